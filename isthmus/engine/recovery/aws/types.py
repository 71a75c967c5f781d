"""Table: how each AWS resource type is looked up after an interrupted creation (`lookup` has the methods).

Operations, parameters and members are botocore's; ids are those of pulumi-aws 7. The effects of repeated creations are
taken from AWS's documentation, not verified in an account.
"""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws import eks_types
from isthmus.engine.recovery.aws.efs_types import EFS
from isthmus.engine.recovery.aws.fargate_types import FARGATE
from isthmus.engine.recovery.aws.lookup import ByTags, Lookup, by_name, by_parent, repeatable, undecidable
from isthmus.engine.recovery.aws.settings_types import SETTINGS, in_sandbox
from isthmus.engine.state.interrupted_creations import Creation, Verdict


def look_up(aws: Aws, creation: Creation) -> Verdict:
    """The verdict about a creation. Raises `EnvironmentFault` if AWS does not answer."""
    return LOOKUPS.get(creation.type, undecidable)(aws, creation)


def _ec2(call: str, items: str, id: str, *, gone: str | None = None, created: str | None = None) -> Lookup:
    return ByTags("ec2", call, items, f"{{item[{id}]}}", gone=gone, created=created, filtered=True)


def _association(aws: Aws, creation: Creation) -> Verdict:
    """The association of a subnet or gateway with a route table."""
    find = by_parent(
        "ec2",
        "describe_route_tables",
        {"RouteTableIds": ["{routeTableId}"]},
        "RouteTables[].Associations[] | [?(SubnetId && SubnetId=='{subnetId}') ||"
        " (GatewayId && GatewayId=='{gatewayId}')]",
        "{subnetId}{gatewayId}" if in_sandbox() else "{item[RouteTableAssociationId]}",
    )
    return find(aws, creation)


def _dx_association(aws: Aws, creation: Creation) -> Verdict:
    """The association of a transit gateway with a Direct Connect gateway."""
    find = by_parent(
        "directconnect",
        "describe_direct_connect_gateway_associations",
        {"directConnectGatewayId": "{dxGatewayId}"},
        "directConnectGatewayAssociations[?associatedGateway.id=='{associatedGatewayId}' &&"
        " associationState!='disassociated' && associationState!='disassociating']",
        "{item[associationId]}" if in_sandbox() else "ga-{dxGatewayId}{associatedGatewayId}",
    )
    return find(aws, creation)


def _budget_action(aws: Aws, creation: Creation) -> Verdict:
    """A budget action. Its id in pulumi-aws joins account, action and budget."""
    find = ByTags(
        "budgets",
        "describe_budget_actions_for_budget",
        "Actions",
        "{account}:{item[ActionId]}:{budgetName}",
        params={"AccountId": "{account}", "BudgetName": "{budgetName}"},
        tags=(
            "list_tags_for_resource",
            {"ResourceARN": f"{_BUDGET}/{{budgetName}}/action/{{item[ActionId]}}"},
            "ResourceTags",
        ),
    )
    return find(aws, creation)


def _sagemaker(call: str, name: str, arn: str) -> Lookup:
    """A SageMaker resource by its unique name. SageMaker reports an unknown name as an invalid request."""
    return by_name(
        "sagemaker",
        call,
        {name: "{name}"},
        "{name}",
        tags=("list_tags", {"ResourceArn": f"{{item[{arn}]}}"}, "Tags"),
    )


_DELETED = "State=='deleted' || State=='deleting'"
_TGW_PAIR = "{transitGatewayRouteTableId}_{transitGatewayAttachmentId}"
_DX_GATEWAY = "arn:{partition}:directconnect::{account}:dx-gateway/{item[directConnectGatewayId]}"
_BUDGET = "arn:{partition}:budgets::{account}:budget"
_RESOLVER_TAGS = ("list_tags_for_resource", {"ResourceArn": "{item[Arn]}"}, "Tags")
_TGW_TABLE = {"TransitGatewayRouteTableId": "{transitGatewayRouteTableId}"}

LOOKUPS: dict[str, Lookup] = {
    # IAM
    "aws:iam/role:Role": by_name(
        "iam", "get_role", {"RoleName": "{name}"}, "{name}", item_path="Role", tags="Tags"
    ),
    "aws:iam/policy:Policy": by_name(
        "iam",
        "list_policies",
        {"Scope": "Local"},
        "{item[Arn]}",
        item_path="Policies[?PolicyName=='{name}'] | [0]",
        tags=("list_policy_tags", {"PolicyArn": "{item[Arn]}"}, "Tags"),
    ),
    # Keys and secrets
    "aws:kms/key:Key": ByTags(
        "kms",
        "list_keys",
        "Keys",
        "{item[KeyId]}",
        tags=("list_resource_tags", {"KeyId": "{item[KeyId]}"}, "Tags"),
        more=("describe_key", {"KeyId": "{item[KeyId]}"}, "KeyMetadata"),
        created="CreationDate",
        gone="KeyState=='PendingDeletion' || KeyState=='PendingReplicaDeletion'",
    ),
    "aws:kms/alias:Alias": by_name(
        "kms",
        "list_aliases",
        {},
        "{name}",
        # It has no tags. An alias with this name for another key is foreign.
        item_path="Aliases[?AliasName=='{name}' && TargetKeyId && ends_with('/{targetKeyId}',"
        " join('', ['/', TargetKeyId]))] | [0]",
    ),
    "aws:secretsmanager/secret:Secret": ByTags(
        "secretsmanager",
        "list_secrets",
        "SecretList",
        "{item[ARN]}",
        created="CreatedDate",
        gone="DeletedDate",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": repeatable(
        "another version becomes the current one, with the same value"
    ),
    # Storage
    "aws:s3/bucket:Bucket": by_name(
        "s3",
        "list_buckets",
        {},
        "{bucket}",
        name="bucket",
        item_path="Buckets[?Name=='{bucket}'] | [0]",
        tags=("get_bucket_tagging", {"Bucket": "{bucket}"}, "TagSet"),
    ),
    # Logs, trail, alarms
    "aws:cloudwatch/logGroup:LogGroup": by_name(
        "logs",
        "describe_log_groups",
        {"logGroupNamePrefix": "{name}"},
        "{name}",
        item_path="logGroups[?logGroupName=='{name}'] | [0]",
        tags=("list_tags_log_group", {"logGroupName": "{name}"}, "tags"),
        prefixed=ByTags(
            "logs",
            "describe_log_groups",
            "logGroups",
            "{item[logGroupName]}",
            params={"logGroupNamePrefix": "{namePrefix}"},
            tags=("list_tags_for_resource", {"resourceArn": "{item[logGroupArn]}"}, "tags"),
            created="creationTime",
        ),
    ),
    "aws:cloudtrail/trail:Trail": by_name(
        "cloudtrail",
        "describe_trails",
        {"trailNameList": ["{name}"]},
        "{item[TrailARN]}",
        item_path="trailList[?Name=='{name}'] | [0]",
        tags=("list_tags", {"ResourceIdList": ["{item[TrailARN]}"]}, "ResourceTagList[0].TagsList"),
    ),
    "aws:sns/topic:Topic": by_name(
        "sns",
        "list_topics",
        {},
        "{item[TopicArn]}",
        item_path="Topics[?ends_with(TopicArn, ':{name}')] | [0]",
        tags=("list_tags_for_resource", {"ResourceArn": "{item[TopicArn]}"}, "Tags"),
    ),
    "aws:sns/topicSubscription:TopicSubscription": repeatable(
        "subscribing an address again returns the same subscription"
    ),
    # Money
    "aws:budgets/budget:Budget": by_name(
        "budgets",
        "describe_budgets",
        {"AccountId": "{account}"},
        "{account}:{name}",
        item_path="Budgets[?BudgetName=='{name}'] | [0]",
        tags=("list_tags_for_resource", {"ResourceARN": f"{_BUDGET}/{{name}}"}, "ResourceTags"),
    ),
    "aws:budgets/budgetAction:BudgetAction": _budget_action,
    "aws:costexplorer/costAllocationTag:CostAllocationTag": repeatable(
        "activating an active tag has no effect"
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": ByTags(
        "ce",
        "get_anomaly_monitors",
        "AnomalyMonitors",
        "{item[MonitorArn]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{item[MonitorArn]}"}, "ResourceTags"),
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": ByTags(
        "ce",
        "get_anomaly_subscriptions",
        "AnomalySubscriptions",
        "{item[SubscriptionArn]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{item[SubscriptionArn]}"}, "ResourceTags"),
    ),
    # Network
    "aws:ec2/vpc:Vpc": _ec2("describe_vpcs", "Vpcs", "VpcId"),
    "aws:ec2/subnet:Subnet": _ec2("describe_subnets", "Subnets", "SubnetId"),
    "aws:ec2/routeTable:RouteTable": _ec2("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws:ec2/securityGroup:SecurityGroup": _ec2("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws:ec2/internetGateway:InternetGateway": _ec2(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2(
        "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", gone=_DELETED, created="CreationTimestamp"
    ),
    "aws:ec2/customerGateway:CustomerGateway": _ec2(
        "describe_customer_gateways", "CustomerGateways", "CustomerGatewayId", gone=_DELETED
    ),
    "aws:ec2/vpnConnection:VpnConnection": _ec2(
        "describe_vpn_connections", "VpnConnections", "VpnConnectionId", gone=_DELETED
    ),
    "aws:ec2/flowLog:FlowLog": ByTags(
        "ec2",
        "describe_flow_logs",
        "FlowLogs",
        "{item[FlowLogId]}",
        created="CreationTime",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ec2(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _ec2(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": repeatable("it is adopted, not created"),
    "aws:ec2/defaultRouteTable:DefaultRouteTable": repeatable("it is adopted, not created"),
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl": repeatable("it is adopted, not created"),
    "aws:ec2/route:Route": by_parent(
        "ec2",
        "describe_route_tables",
        {"RouteTableIds": ["{routeTableId}"]},
        "RouteTables[].Routes[] | [?(DestinationCidrBlock && DestinationCidrBlock=='{destinationCidrBlock}') ||"
        " (DestinationIpv6CidrBlock && DestinationIpv6CidrBlock=='{destinationIpv6CidrBlock}') ||"
        " (DestinationPrefixListId && DestinationPrefixListId=='{destinationPrefixListId}')]",
        "{routeTableId}_{destinationCidrBlock}{destinationIpv6CidrBlock}{destinationPrefixListId}",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _association,
    # Transit gateway
    "aws:ec2transitgateway/transitGateway:TransitGateway": _ec2(
        "describe_transit_gateways",
        "TransitGateways",
        "TransitGatewayId",
        gone=_DELETED,
        created="CreationTime",
    ),
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": _ec2(
        "describe_transit_gateway_vpc_attachments",
        "TransitGatewayVpcAttachments",
        "TransitGatewayAttachmentId",
        gone=_DELETED,
        created="CreationTime",
    ),
    "aws:ec2transitgateway/routeTable:RouteTable": _ec2(
        "describe_transit_gateway_route_tables",
        "TransitGatewayRouteTables",
        "TransitGatewayRouteTableId",
        gone=_DELETED,
        created="CreationTime",
    ),
    "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation": by_parent(
        "ec2",
        "get_transit_gateway_route_table_associations",
        _TGW_TABLE,
        "Associations[?TransitGatewayAttachmentId=='{transitGatewayAttachmentId}' &&"
        " State!='disassociated' && State!='disassociating']",
        _TGW_PAIR,
    ),
    "aws:ec2transitgateway/routeTablePropagation:RouteTablePropagation": by_parent(
        "ec2",
        "get_transit_gateway_route_table_propagations",
        _TGW_TABLE,
        "TransitGatewayRouteTablePropagations[?TransitGatewayAttachmentId=='{transitGatewayAttachmentId}' &&"
        " State!='disabled' && State!='disabling']",
        _TGW_PAIR,
    ),
    "aws:ec2transitgateway/route:Route": by_parent(
        "ec2",
        "search_transit_gateway_routes",
        {**_TGW_TABLE, "Filters": [{"Name": "type", "Values": ["static"]}]},
        "Routes[?DestinationCidrBlock=='{destinationCidrBlock}' && State!='deleted' && State!='deleting']",
        "{transitGatewayRouteTableId}_{destinationCidrBlock}",
    ),
    # Resolvers
    "aws:route53/resolverEndpoint:ResolverEndpoint": ByTags(
        "route53resolver",
        "list_resolver_endpoints",
        "ResolverEndpoints",
        "{item[Id]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{item[Arn]}"}, "Tags"),
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverRule:ResolverRule": ByTags(
        "route53resolver",
        "list_resolver_rules",
        "ResolverRules[?OwnerId!='Route 53 Resolver']",
        "{item[Id]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{item[Arn]}"}, "Tags"),
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverRuleAssociation:ResolverRuleAssociation": by_parent(
        "route53resolver",
        "list_resolver_rule_associations",
        {"Filters": [{"Name": "VPCId", "Values": ["{vpcId}"]}]},
        "ResolverRuleAssociations[?ResolverRuleId=='{resolverRuleId}' && Status!='DELETING']",
        "{item[Id]}",
    ),
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList": ByTags(
        "route53resolver",
        "list_firewall_domain_lists",
        # Lists that AWS manages have an owner and no tags.
        "FirewallDomainLists[?!ManagedOwnerName]",
        "{item[Id]}",
        tags=_RESOLVER_TAGS,
    ),
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup": ByTags(
        "route53resolver",
        "list_firewall_rule_groups",
        "FirewallRuleGroups[?ShareStatus!='SHARED_WITH_ME']",
        "{item[Id]}",
        tags=_RESOLVER_TAGS,
    ),
    "aws:route53/resolverFirewallRule:ResolverFirewallRule": by_parent(
        "route53resolver",
        "list_firewall_rules",
        {"FirewallRuleGroupId": "{firewallRuleGroupId}"},
        "FirewallRules[?FirewallDomainListId=='{firewallDomainListId}']",
        "{firewallRuleGroupId}:{firewallDomainListId}",
    ),
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation": ByTags(
        "route53resolver",
        "list_firewall_rule_group_associations",
        "FirewallRuleGroupAssociations",
        "{item[Id]}",
        params={"VpcId": "{vpcId}"},
        tags=_RESOLVER_TAGS,
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig": ByTags(
        "route53resolver",
        "list_resolver_query_log_configs",
        "ResolverQueryLogConfigs",
        "{item[Id]}",
        tags=_RESOLVER_TAGS,
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation": by_parent(
        "route53resolver",
        "list_resolver_query_log_config_associations",
        {"Filters": [{"Name": "ResourceId", "Values": ["{resourceId}"]}]},
        "ResolverQueryLogConfigAssociations[?ResolverQueryLogConfigId=='{resolverQueryLogConfigId}' &&"
        " Status!='DELETING']",
        "{item[Id]}",
    ),
    # Direct Connect
    "aws:directconnect/gateway:Gateway": ByTags(
        "directconnect",
        "describe_direct_connect_gateways",
        "directConnectGateways",
        "{item[directConnectGatewayId]}",
        tags=("describe_tags", {"resourceArns": [_DX_GATEWAY]}, "resourceTags[0].tags"),
        gone="directConnectGatewayState=='deleted' || directConnectGatewayState=='deleting'",
    ),
    "aws:directconnect/transitVirtualInterface:TransitVirtualInterface": ByTags(
        "directconnect",
        "describe_virtual_interfaces",
        "virtualInterfaces",
        "{item[virtualInterfaceId]}",
        params={"connectionId": "{connectionId}"},
        tags="tags",
        gone="virtualInterfaceState=='deleted' || virtualInterfaceState=='deleting'",
    ),
    "aws:directconnect/gatewayAssociation:GatewayAssociation": _dx_association,
    # Bedrock
    "aws:bedrock/guardrail:Guardrail": ByTags(
        "bedrock",
        "list_guardrails",
        "guardrails",
        "{item[id]},{item[version]}",
        tags=("list_tags_for_resource", {"resourceARN": "{item[arn]}"}, "tags"),
        created="createdAt",
        gone="status=='DELETING'",
    ),
    "aws:bedrock/guardrailVersion:GuardrailVersion": by_parent(
        "bedrock",
        "list_guardrails",
        {"guardrailIdentifier": "{guardrailArn}"},
        "guardrails[?version!='DRAFT']",
        "{guardrailArn},{item[version]}",
        created="createdAt",
    ),
    "aws:bedrock/inferenceProfile:InferenceProfile": ByTags(
        "bedrock",
        "list_inference_profiles",
        "inferenceProfileSummaries",
        "{item[inferenceProfileId]}",
        params={"typeEquals": "APPLICATION"},
        tags=("list_tags_for_resource", {"resourceARN": "{item[inferenceProfileArn]}"}, "tags"),
        created="createdAt",
    ),
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": ByTags(
        "bedrock",
        "list_provisioned_model_throughputs",
        "provisionedModelSummaries",
        "{item[provisionedModelArn]}",
        tags=("list_tags_for_resource", {"resourceARN": "{item[provisionedModelArn]}"}, "tags"),
        created="creationTime",
    ),
    # SageMaker
    "aws:sagemaker/model:Model": _sagemaker("describe_model", "ModelName", "ModelArn"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _sagemaker(
        "describe_endpoint_config", "EndpointConfigName", "EndpointConfigArn"
    ),
    "aws:sagemaker/endpoint:Endpoint": _sagemaker("describe_endpoint", "EndpointName", "EndpointArn"),
    # Roles Anywhere
    "aws:rolesanywhere/trustAnchor:TrustAnchor": ByTags(
        "rolesanywhere",
        "list_trust_anchors",
        "trustAnchors",
        "{item[trustAnchorId]}",
        tags=("list_tags_for_resource", {"resourceArn": "{item[trustAnchorArn]}"}, "tags"),
        created="createdAt",
    ),
    "aws:rolesanywhere/profile:Profile": ByTags(
        "rolesanywhere",
        "list_profiles",
        "profiles",
        "{item[profileId]}",
        tags=("list_tags_for_resource", {"resourceArn": "{item[profileArn]}"}, "tags"),
        created="createdAt",
    ),
    **eks_types.EKS,
    **FARGATE,
    **EFS,
    **SETTINGS,
}
"""Type token → lookup. Other types are never decided: the run stops and names them."""
