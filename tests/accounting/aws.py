"""What AWS's endpoint says there is, asked by AWS's own client, to be held against a stack's state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

ACCOUNT = "123456789012"

LISTED: dict[str, tuple[str, str, str]] = {
    "aws:appautoscaling/target:Target": (
        "application-autoscaling",
        "describe_scalable_targets",
        "ScalableTargets[].join('|', [ServiceNamespace, ResourceId, ScalableDimension])",
    ),
    "aws:bedrock/guardrail:Guardrail": (
        "bedrock",
        "list_guardrails",
        "guardrails[].join(',', [id, version])",
    ),
    "aws:bedrock/inferenceProfile:InferenceProfile": (
        "bedrock",
        "list_inference_profiles",
        "inferenceProfileSummaries[].inferenceProfileId",
    ),
    "aws:budgets/budget:Budget": ("budgets", "describe_budgets", "Budgets[].BudgetName"),
    "aws:cloudtrail/trail:Trail": ("cloudtrail", "describe_trails", "trailList[].TrailARN"),
    "aws:cloudwatch/eventRule:EventRule": ("events", "list_rules", "Rules[].Name"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": (
        "logs",
        "describe_metric_filters",
        "metricFilters[].join(':', [logGroupName, filterName])",
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": (
        "ce",
        "get_anomaly_monitors",
        "AnomalyMonitors[].MonitorArn",
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": (
        "ce",
        "get_anomaly_subscriptions",
        "AnomalySubscriptions[].SubscriptionArn",
    ),
    "aws:ec2/customerGateway:CustomerGateway": (
        "ec2",
        "describe_customer_gateways",
        "CustomerGateways[?State!='deleted'].CustomerGatewayId",
    ),
    "aws:ec2/flowLog:FlowLog": ("ec2", "describe_flow_logs", "FlowLogs[].FlowLogId"),
    "aws:ec2/routeTable:RouteTable": (
        "ec2",
        "describe_route_tables",
        "RouteTables[?!not_null(Associations[?Main==`true`].Main | [0])].RouteTableId",
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        "ec2",
        "describe_security_groups",
        "SecurityGroups[?GroupName!='default'].GroupId",
    ),
    "aws:ec2/subnet:Subnet": ("ec2", "describe_subnets", "Subnets[?DefaultForAz!=`true`].SubnetId"),
    "aws:ec2/vpc:Vpc": ("ec2", "describe_vpcs", "Vpcs[?IsDefault!=`true`].VpcId"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        "ec2",
        "describe_vpc_endpoints",
        "VpcEndpoints[?State!='deleted'].VpcEndpointId",
    ),
    "aws:ec2/vpnConnection:VpnConnection": (
        "ec2",
        "describe_vpn_connections",
        "VpnConnections[?State!='deleted'].VpnConnectionId",
    ),
    "aws:ec2transitgateway/routeTable:RouteTable": (
        "ec2",
        "describe_transit_gateway_route_tables",
        "TransitGatewayRouteTables[?State!='deleted' && !DefaultAssociationRouteTable].TransitGatewayRouteTableId",
    ),
    "aws:ec2transitgateway/transitGateway:TransitGateway": (
        "ec2",
        "describe_transit_gateways",
        "TransitGateways[?State!='deleted'].TransitGatewayId",
    ),
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": (
        "ec2",
        "describe_transit_gateway_vpc_attachments",
        "TransitGatewayVpcAttachments[?VpcId && State!='deleted'].TransitGatewayAttachmentId",
    ),
    "aws:ec2/vpcEndpointService:VpcEndpointService": (
        "ec2",
        "describe_vpc_endpoint_service_configurations",
        "ServiceConfigurations[].ServiceId",
    ),
    "aws:efs/fileSystem:FileSystem": ("efs", "describe_file_systems", "FileSystems[].FileSystemId"),
    "aws:efs/accessPoint:AccessPoint": (
        "efs",
        "describe_access_points",
        "AccessPoints[].AccessPointId",
    ),
    "aws:ecs/taskDefinition:TaskDefinition": ("ecs", "list_task_definitions", "taskDefinitionArns"),
    "aws:lb/loadBalancer:LoadBalancer": (
        "elbv2",
        "describe_load_balancers",
        "LoadBalancers[].LoadBalancerArn",
    ),
    "aws:lb/targetGroup:TargetGroup": (
        "elbv2",
        "describe_target_groups",
        "TargetGroups[].TargetGroupArn",
    ),
    "aws:route53/zone:Zone": ("route53", "list_hosted_zones", "HostedZones[].Id"),
    "aws:iam/policy:Policy": ("iam", "list_policies", "Policies[].Arn"),
    "aws:iam/role:Role": ("iam", "list_roles", "Roles[].RoleName"),
    "aws:kms/alias:Alias": (
        "kms",
        "list_aliases",
        "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName",
    ),
    "aws:kms/key:Key": ("kms", "list_keys", "Keys[].KeyId"),
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "ec2",
        "describe_launch_templates",
        "LaunchTemplates[].LaunchTemplateId",
    ),
    "aws:eks/cluster:Cluster": ("eks", "list_clusters", "clusters"),
    "aws:rolesanywhere/profile:Profile": ("rolesanywhere", "list_profiles", "profiles[].profileId"),
    "aws:rolesanywhere/trustAnchor:TrustAnchor": (
        "rolesanywhere",
        "list_trust_anchors",
        "trustAnchors[].trustAnchorId",
    ),
    "aws:route53/resolverEndpoint:ResolverEndpoint": (
        "route53resolver",
        "list_resolver_endpoints",
        "ResolverEndpoints[].Id",
    ),
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList": (
        "route53resolver",
        "list_firewall_domain_lists",
        "FirewallDomainLists[].Id",
    ),
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup": (
        "route53resolver",
        "list_firewall_rule_groups",
        "FirewallRuleGroups[].Id",
    ),
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation": (
        "route53resolver",
        "list_firewall_rule_group_associations",
        "FirewallRuleGroupAssociations[].Id",
    ),
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig": (
        "route53resolver",
        "list_resolver_query_log_configs",
        "ResolverQueryLogConfigs[].Id",
    ),
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation": (
        "route53resolver",
        "list_resolver_query_log_config_associations",
        "ResolverQueryLogConfigAssociations[].Id",
    ),
    "aws:route53/resolverRule:ResolverRule": (
        "route53resolver",
        "list_resolver_rules",
        "ResolverRules[].Id",
    ),
    "aws:route53/resolverRuleAssociation:ResolverRuleAssociation": (
        "route53resolver",
        "list_resolver_rule_associations",
        "ResolverRuleAssociations[].Id",
    ),
    "aws:s3/bucket:Bucket": ("s3", "list_buckets", "Buckets[].Name"),
    "aws:sagemaker/endpoint:Endpoint": ("sagemaker", "list_endpoints", "Endpoints[].EndpointName"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        "sagemaker",
        "list_endpoint_configs",
        "EndpointConfigs[].EndpointConfigName",
    ),
    "aws:sagemaker/model:Model": ("sagemaker", "list_models", "Models[].ModelName"),
    "aws:secretsmanager/secret:Secret": (
        "secretsmanager",
        "list_secrets",
        "SecretList[?!starts_with(Name, 's2svpn!')].ARN",
    ),
    "aws:sns/topic:Topic": ("sns", "list_topics", "Topics[].TopicArn"),
    "aws:sns/topicSubscription:TopicSubscription": (
        "sns",
        "list_subscriptions",
        "Subscriptions[].SubscriptionArn",
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules[?IsEgress && length(Tags || `[]`)>`0`].SecurityGroupRuleId",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules[?!IsEgress && length(Tags || `[]`)>`0`].SecurityGroupRuleId",
    ),
}
"""Pulumi's type → service, operation, and the ids in its answer (JMESPath) as the state holds them.

A secret that a VPN connection keeps its keys in is AWS's own (`s2svpn!…`), and goes with the connection."""

INLINE = "aws:iam/rolePolicy:RolePolicy"
"""Listed role by role: one that no state knows keeps its permissions on a role that lives on."""

ASKED: dict[str, dict[str, Any]] = {
    "list_policies": {"Scope": "Local"},
    "describe_budgets": {"AccountId": ACCOUNT},
    "list_inference_profiles": {"typeEquals": "APPLICATION"},
    "describe_scalable_targets": {"ServiceNamespace": "sagemaker"},
}
"""What an operation must be told to list ours, and not AWS's."""

PARTS = {
    "aws:appautoscaling/policy:Policy",
    "aws:bedrock/guardrailVersion:GuardrailVersion",
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
    "aws:budgets/budgetAction:BudgetAction",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:costexplorer/costAllocationTag:CostAllocationTag",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ecs/cluster:Cluster",
    "aws:ecs/service:Service",
    "aws:efs/fileSystemPolicy:FileSystemPolicy",
    "aws:efs/mountTarget:MountTarget",
    "aws:lb/listener:Listener",
    "aws:route53/record:Record",
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig",
    "aws:route53/resolverFirewallRule:ResolverFirewallRule",
    "aws:ec2transitgateway/route:Route",
    "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation",
    "aws:eks/accessEntry:AccessEntry",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:eks/addon:Addon",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sns/topicPolicy:TopicPolicy",
}
"""Settings of a thing above: they come and go with it, and AWS lists them one by one at most. Clusters and services of
ECS besides: the endpoint goes on listing those that are gone."""


def clients(env: Mapping[str, str]) -> Callable[[str], Any]:
    """What makes AWS's own client for a service of the sandbox whose environment this is."""
    import boto3
    from botocore.config import Config

    return partial(
        boto3.client,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_REGION"],
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        # The endpoint is on this machine, whatever proxies there are to the world.
        config=Config(proxies={}),
    )


def counted(client: Callable[[str], Any]) -> Counter[str]:
    """Per type, how many there are: what two lives of a stack have in common."""
    return +Counter({kind: len(ids) for kind, ids in listed(client).items()})


def listed(client: Callable[[str], Any]) -> dict[str, set[str]]:
    """Per type, the ids of all there are."""
    import jmespath

    ids_by_kind = {}
    for kind, (service, operation, ids) in LISTED.items():
        answers = list(_pages(client(service), operation))
        ids_by_kind[kind] = {id_ for answer in answers for id_ in jmespath.search(ids, answer) or []}
    ids_by_kind[INLINE] = {
        f"{role}:{name}"
        for role in ids_by_kind["aws:iam/role:Role"]
        for page in _pages(client("iam"), "list_role_policies", RoleName=role)
        for name in page["PolicyNames"]
    }
    # `/hostedzone/Z…` is a zone's id as Route 53 writes it; the state has its last part.
    zones = ids_by_kind["aws:route53/zone:Zone"]
    ids_by_kind["aws:route53/zone:Zone"] = {zone.rpartition("/")[2] for zone in zones}
    keys = ids_by_kind["aws:kms/key:Key"]
    ids_by_kind["aws:kms/key:Key"] = {key for key in keys if not _ending(client("kms"), key)}
    return ids_by_kind


def in_state(resources: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    """Per listed type, the ids that a state holds."""
    ids_by_kind: dict[str, set[str]] = {kind: set() for kind in (*LISTED, INLINE)}
    for resource in resources:
        if resource["type"] in ids_by_kind and resource.get("id"):
            # A budget's id is `account:name`, a rule's `bus/name` where the bus is not the default one.
            id = resource["id"].removeprefix(f"{ACCOUNT}:")
            ids_by_kind[resource["type"]].add(id)
    return ids_by_kind


def strange(resources: Iterable[dict[str, Any]]) -> set[str]:
    """AWS types of a state that are neither listed nor a part of something listed."""
    types = {resource["type"] for resource in resources if resource.get("custom")}
    return {kind for kind in types if kind.startswith("aws:")} - set(LISTED) - {INLINE} - PARTS


def _ending(kms: Any, key: str) -> bool:
    """AWS's own keys, and those that wait for their deletion."""
    key_metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    return key_metadata["KeyState"] == "PendingDeletion" or key_metadata["KeyManager"] == "AWS"


def _pages(client: Any, operation: str, **more: str) -> Iterator[dict[str, Any]]:
    params = {**ASKED.get(operation, {}), **more}
    if client.can_paginate(operation):
        yield from client.get_paginator(operation).paginate(**params)
    else:
        yield getattr(client, operation)(**params)
