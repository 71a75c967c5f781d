"""How each AWS resource type is looked for after a creation that was cut off (`aws_lookup` has the ways).

Operations, parameters and members are botocore's; ids are those of pulumi-aws 7. What a type's creation
does when it is repeated is as of knowledge of AWS, not checked against an account.
"""

from __future__ import annotations

from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery.aws import eks_types
from isthmus.engine.recovery.aws.efs_types import EFS
from isthmus.engine.recovery.aws.fargate_types import FARGATE
from isthmus.engine.recovery.aws.lookup import Way, again, child, named, tagged, unheard
from isthmus.engine.recovery.aws.settings_types import SETTINGS, simulated
from isthmus.engine.state.interrupted_creations import Creation, Verdict


def look(aws: Aws, creation: Creation) -> Verdict:
    """The fate of a creation. Raises `EnvironmentFault` where AWS cannot be asked."""
    return WAYS.get(creation.type, unheard)(aws, creation)


def _ec2(call: str, items: str, id: str, *, gone: str | None = None, created: str | None = None) -> Way:
    return tagged("ec2", call, items, f"{{found[{id}]}}", gone=gone, created=created, filtered=True)


def _association(aws: Aws, creation: Creation) -> Verdict:
    """A subnet's or gateway's place in a route table."""
    way = child(
        "ec2",
        "describe_route_tables",
        {"RouteTableIds": ["{routeTableId}"]},
        "RouteTables[].Associations[] | [?(SubnetId && SubnetId=='{subnetId}') ||"
        " (GatewayId && GatewayId=='{gatewayId}')]",
        "{subnetId}{gatewayId}" if simulated() else "{found[RouteTableAssociationId]}",
    )
    return way(aws, creation)


def _dx_association(aws: Aws, creation: Creation) -> Verdict:
    """A transit gateway's place at a Direct Connect gateway."""
    way = child(
        "directconnect",
        "describe_direct_connect_gateway_associations",
        {"directConnectGatewayId": "{dxGatewayId}"},
        "directConnectGatewayAssociations[?associatedGateway.id=='{associatedGatewayId}' &&"
        " associationState!='disassociated' && associationState!='disassociating']",
        "{found[associationId]}" if simulated() else "ga-{dxGatewayId}{associatedGatewayId}",
    )
    return way(aws, creation)


def _budget_action(aws: Aws, creation: Creation) -> Verdict:
    """AWS's plugin joins account, action and budget to the id."""
    way = tagged(
        "budgets",
        "describe_budget_actions_for_budget",
        "Actions",
        "{account}:{found[ActionId]}:{budgetName}",
        params={"AccountId": "{account}", "BudgetName": "{budgetName}"},
        tags=(
            "list_tags_for_resource",
            {"ResourceARN": f"{_BUDGET}/{{budgetName}}/action/{{found[ActionId]}}"},
            "ResourceTags",
        ),
    )
    return way(aws, creation)


def _hosted(call: str, name: str, arn: str) -> Way:
    """What SageMaker has one of by a name; where there is none it says that the request is not valid."""
    return named(
        "sagemaker",
        call,
        {name: "{name}"},
        "{name}",
        tags=("list_tags", {"ResourceArn": f"{{found[{arn}]}}"}, "Tags"),
    )


_DELETED = "State=='deleted' || State=='deleting'"
_TGW_PAIR = "{transitGatewayRouteTableId}_{transitGatewayAttachmentId}"
_DX_GATEWAY = "arn:{partition}:directconnect::{account}:dx-gateway/{found[directConnectGatewayId]}"
_BUDGET = "arn:{partition}:budgets::{account}:budget"
_RESOLVER_TAGS = ("list_tags_for_resource", {"ResourceArn": "{found[Arn]}"}, "Tags")
_TGW_TABLE = {"TransitGatewayRouteTableId": "{transitGatewayRouteTableId}"}

WAYS: dict[str, Way] = {
    # IAM
    "aws:iam/role:Role": named(
        "iam", "get_role", {"RoleName": "{name}"}, "{name}", found="Role", tags="Tags"
    ),
    "aws:iam/policy:Policy": named(
        "iam",
        "list_policies",
        {"Scope": "Local"},
        "{found[Arn]}",
        found="Policies[?PolicyName=='{name}'] | [0]",
        tags=("list_policy_tags", {"PolicyArn": "{found[Arn]}"}, "Tags"),
    ),
    # Keys and secrets
    "aws:kms/key:Key": tagged(
        "kms",
        "list_keys",
        "Keys",
        "{found[KeyId]}",
        tags=("list_resource_tags", {"KeyId": "{found[KeyId]}"}, "Tags"),
        more=("describe_key", {"KeyId": "{found[KeyId]}"}, "KeyMetadata"),
        created="CreationDate",
        gone="KeyState=='PendingDeletion' || KeyState=='PendingReplicaDeletion'",
    ),
    "aws:kms/alias:Alias": named(
        "kms",
        "list_aliases",
        {},
        "{name}",
        # It bears no tags; an alias of that name of another key is not ours.
        found="Aliases[?AliasName=='{name}' && TargetKeyId && ends_with('/{targetKeyId}',"
        " join('', ['/', TargetKeyId]))] | [0]",
    ),
    "aws:secretsmanager/secret:Secret": tagged(
        "secretsmanager",
        "list_secrets",
        "SecretList",
        "{found[ARN]}",
        created="CreatedDate",
        gone="DeletedDate",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": again(
        "a version more is the current one, with the same value"
    ),
    # Storage
    "aws:s3/bucket:Bucket": named(
        "s3",
        "list_buckets",
        {},
        "{bucket}",
        name="bucket",
        found="Buckets[?Name=='{bucket}'] | [0]",
        tags=("get_bucket_tagging", {"Bucket": "{bucket}"}, "TagSet"),
    ),
    # Logs, trail, alarms
    "aws:cloudwatch/logGroup:LogGroup": named(
        "logs",
        "describe_log_groups",
        {"logGroupNamePrefix": "{name}"},
        "{name}",
        found="logGroups[?logGroupName=='{name}'] | [0]",
        tags=("list_tags_log_group", {"logGroupName": "{name}"}, "tags"),
        prefixed=tagged(
            "logs",
            "describe_log_groups",
            "logGroups",
            "{found[logGroupName]}",
            params={"logGroupNamePrefix": "{namePrefix}"},
            tags=("list_tags_for_resource", {"resourceArn": "{found[logGroupArn]}"}, "tags"),
            created="creationTime",
        ),
    ),
    "aws:cloudtrail/trail:Trail": named(
        "cloudtrail",
        "describe_trails",
        {"trailNameList": ["{name}"]},
        "{found[TrailARN]}",
        found="trailList[?Name=='{name}'] | [0]",
        tags=("list_tags", {"ResourceIdList": ["{found[TrailARN]}"]}, "ResourceTagList[0].TagsList"),
    ),
    "aws:sns/topic:Topic": named(
        "sns",
        "list_topics",
        {},
        "{found[TopicArn]}",
        found="Topics[?ends_with(TopicArn, ':{name}')] | [0]",
        tags=("list_tags_for_resource", {"ResourceArn": "{found[TopicArn]}"}, "Tags"),
    ),
    "aws:sns/topicSubscription:TopicSubscription": again(
        "subscribing an address again gives the same subscription"
    ),
    # Money
    "aws:budgets/budget:Budget": named(
        "budgets",
        "describe_budgets",
        {"AccountId": "{account}"},
        "{account}:{name}",
        found="Budgets[?BudgetName=='{name}'] | [0]",
        tags=("list_tags_for_resource", {"ResourceARN": f"{_BUDGET}/{{name}}"}, "ResourceTags"),
    ),
    "aws:budgets/budgetAction:BudgetAction": _budget_action,
    "aws:costexplorer/costAllocationTag:CostAllocationTag": again("an active tag that is activated stays so"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": tagged(
        "ce",
        "get_anomaly_monitors",
        "AnomalyMonitors",
        "{found[MonitorArn]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{found[MonitorArn]}"}, "ResourceTags"),
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": tagged(
        "ce",
        "get_anomaly_subscriptions",
        "AnomalySubscriptions",
        "{found[SubscriptionArn]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{found[SubscriptionArn]}"}, "ResourceTags"),
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
    "aws:ec2/flowLog:FlowLog": tagged(
        "ec2",
        "describe_flow_logs",
        "FlowLogs",
        "{found[FlowLogId]}",
        created="CreationTime",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ec2(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _ec2(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": again("it is adopted, not made"),
    "aws:ec2/defaultRouteTable:DefaultRouteTable": again("it is adopted, not made"),
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl": again("it is adopted, not made"),
    "aws:ec2/route:Route": child(
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
    "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation": child(
        "ec2",
        "get_transit_gateway_route_table_associations",
        _TGW_TABLE,
        "Associations[?TransitGatewayAttachmentId=='{transitGatewayAttachmentId}' &&"
        " State!='disassociated' && State!='disassociating']",
        _TGW_PAIR,
    ),
    "aws:ec2transitgateway/routeTablePropagation:RouteTablePropagation": child(
        "ec2",
        "get_transit_gateway_route_table_propagations",
        _TGW_TABLE,
        "TransitGatewayRouteTablePropagations[?TransitGatewayAttachmentId=='{transitGatewayAttachmentId}' &&"
        " State!='disabled' && State!='disabling']",
        _TGW_PAIR,
    ),
    "aws:ec2transitgateway/route:Route": child(
        "ec2",
        "search_transit_gateway_routes",
        {**_TGW_TABLE, "Filters": [{"Name": "type", "Values": ["static"]}]},
        "Routes[?DestinationCidrBlock=='{destinationCidrBlock}' && State!='deleted' && State!='deleting']",
        "{transitGatewayRouteTableId}_{destinationCidrBlock}",
    ),
    # Resolvers
    "aws:route53/resolverEndpoint:ResolverEndpoint": tagged(
        "route53resolver",
        "list_resolver_endpoints",
        "ResolverEndpoints",
        "{found[Id]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{found[Arn]}"}, "Tags"),
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverRule:ResolverRule": tagged(
        "route53resolver",
        "list_resolver_rules",
        "ResolverRules[?OwnerId!='Route 53 Resolver']",
        "{found[Id]}",
        tags=("list_tags_for_resource", {"ResourceArn": "{found[Arn]}"}, "Tags"),
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverRuleAssociation:ResolverRuleAssociation": child(
        "route53resolver",
        "list_resolver_rule_associations",
        {"Filters": [{"Name": "VPCId", "Values": ["{vpcId}"]}]},
        "ResolverRuleAssociations[?ResolverRuleId=='{resolverRuleId}' && Status!='DELETING']",
        "{found[Id]}",
    ),
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList": tagged(
        "route53resolver",
        "list_firewall_domain_lists",
        # Lists of AWS's own have an owner, and no tags.
        "FirewallDomainLists[?!ManagedOwnerName]",
        "{found[Id]}",
        tags=_RESOLVER_TAGS,
    ),
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup": tagged(
        "route53resolver",
        "list_firewall_rule_groups",
        "FirewallRuleGroups[?ShareStatus!='SHARED_WITH_ME']",
        "{found[Id]}",
        tags=_RESOLVER_TAGS,
    ),
    "aws:route53/resolverFirewallRule:ResolverFirewallRule": child(
        "route53resolver",
        "list_firewall_rules",
        {"FirewallRuleGroupId": "{firewallRuleGroupId}"},
        "FirewallRules[?FirewallDomainListId=='{firewallDomainListId}']",
        "{firewallRuleGroupId}:{firewallDomainListId}",
    ),
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation": tagged(
        "route53resolver",
        "list_firewall_rule_group_associations",
        "FirewallRuleGroupAssociations",
        "{found[Id]}",
        params={"VpcId": "{vpcId}"},
        tags=_RESOLVER_TAGS,
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig": tagged(
        "route53resolver",
        "list_resolver_query_log_configs",
        "ResolverQueryLogConfigs",
        "{found[Id]}",
        tags=_RESOLVER_TAGS,
        created="CreationTime",
        gone="Status=='DELETING'",
    ),
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation": child(
        "route53resolver",
        "list_resolver_query_log_config_associations",
        {"Filters": [{"Name": "ResourceId", "Values": ["{resourceId}"]}]},
        "ResolverQueryLogConfigAssociations[?ResolverQueryLogConfigId=='{resolverQueryLogConfigId}' &&"
        " Status!='DELETING']",
        "{found[Id]}",
    ),
    # Direct Connect
    "aws:directconnect/gateway:Gateway": tagged(
        "directconnect",
        "describe_direct_connect_gateways",
        "directConnectGateways",
        "{found[directConnectGatewayId]}",
        tags=("describe_tags", {"resourceArns": [_DX_GATEWAY]}, "resourceTags[0].tags"),
        gone="directConnectGatewayState=='deleted' || directConnectGatewayState=='deleting'",
    ),
    "aws:directconnect/transitVirtualInterface:TransitVirtualInterface": tagged(
        "directconnect",
        "describe_virtual_interfaces",
        "virtualInterfaces",
        "{found[virtualInterfaceId]}",
        params={"connectionId": "{connectionId}"},
        tags="tags",
        gone="virtualInterfaceState=='deleted' || virtualInterfaceState=='deleting'",
    ),
    "aws:directconnect/gatewayAssociation:GatewayAssociation": _dx_association,
    # Bedrock
    "aws:bedrock/guardrail:Guardrail": tagged(
        "bedrock",
        "list_guardrails",
        "guardrails",
        "{found[id]},{found[version]}",
        tags=("list_tags_for_resource", {"resourceARN": "{found[arn]}"}, "tags"),
        created="createdAt",
        gone="status=='DELETING'",
    ),
    "aws:bedrock/guardrailVersion:GuardrailVersion": child(
        "bedrock",
        "list_guardrails",
        {"guardrailIdentifier": "{guardrailArn}"},
        "guardrails[?version!='DRAFT']",
        "{guardrailArn},{found[version]}",
        created="createdAt",
    ),
    "aws:bedrock/inferenceProfile:InferenceProfile": tagged(
        "bedrock",
        "list_inference_profiles",
        "inferenceProfileSummaries",
        "{found[inferenceProfileId]}",
        params={"typeEquals": "APPLICATION"},
        tags=("list_tags_for_resource", {"resourceARN": "{found[inferenceProfileArn]}"}, "tags"),
        created="createdAt",
    ),
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": tagged(
        "bedrock",
        "list_provisioned_model_throughputs",
        "provisionedModelSummaries",
        "{found[provisionedModelArn]}",
        tags=("list_tags_for_resource", {"resourceARN": "{found[provisionedModelArn]}"}, "tags"),
        created="creationTime",
    ),
    # SageMaker
    "aws:sagemaker/model:Model": _hosted("describe_model", "ModelName", "ModelArn"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _hosted(
        "describe_endpoint_config", "EndpointConfigName", "EndpointConfigArn"
    ),
    "aws:sagemaker/endpoint:Endpoint": _hosted("describe_endpoint", "EndpointName", "EndpointArn"),
    # Roles Anywhere
    "aws:rolesanywhere/trustAnchor:TrustAnchor": tagged(
        "rolesanywhere",
        "list_trust_anchors",
        "trustAnchors",
        "{found[trustAnchorId]}",
        tags=("list_tags_for_resource", {"resourceArn": "{found[trustAnchorArn]}"}, "tags"),
        created="createdAt",
    ),
    "aws:rolesanywhere/profile:Profile": tagged(
        "rolesanywhere",
        "list_profiles",
        "profiles",
        "{found[profileId]}",
        tags=("list_tags_for_resource", {"resourceArn": "{found[profileArn]}"}, "tags"),
        created="createdAt",
    ),
    **eks_types.WAYS,
    **FARGATE,
    **EFS,
    **SETTINGS,
}
"""By type token. A type that is not here is never decided: it is named, and the run stops."""
