"""What there is in cluster and AWS, counted without asking the state."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from isthmus.engine.kube import Cluster, Refused, cluster
from isthmus.engine.kube_lookup import MANAGER

DERIVED = {"Pod", "ReplicaSet", "Endpoints", "EndpointSlice", "Event", "ControllerRevision"}
"""Made by controllers from what we make, with its labels."""
_NOT_DELETED = "State!='deleted'"
LISTS = (
    ("iam", "list_roles", "Roles[].RoleName"),
    ("iam", "list_policies", "Policies[].PolicyName"),
    ("s3", "list_buckets", "Buckets[].Name"),
    ("kms", "list_aliases", "Aliases[].AliasName"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("logs", "describe_metric_filters", "metricFilters[].filterName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    ("cloudtrail", "describe_trails", "trailList[].Name"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("sns", "list_subscriptions", "Subscriptions[].Endpoint"),
    ("secretsmanager", "list_secrets", "SecretList[].Name"),
    ("ec2", "describe_vpcs", "Vpcs[].VpcId"),
    ("ec2", "describe_subnets", "Subnets[].SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables[].RouteTableId"),
    ("ec2", "describe_security_groups", "SecurityGroups[].GroupId"),
    ("ec2", "describe_security_group_rules", "SecurityGroupRules[].SecurityGroupRuleId"),
    ("ec2", "describe_vpc_endpoints", f"VpcEndpoints[?{_NOT_DELETED}].VpcEndpointId"),
    ("ec2", "describe_flow_logs", "FlowLogs[].FlowLogId"),
    ("ec2", "describe_vpn_connections", f"VpnConnections[?{_NOT_DELETED}].VpnConnectionId"),
    ("ec2", "describe_customer_gateways", f"CustomerGateways[?{_NOT_DELETED}].CustomerGatewayId"),
    ("ec2", "describe_transit_gateways", f"TransitGateways[?{_NOT_DELETED}].TransitGatewayId"),
    (
        "ec2",
        "describe_transit_gateway_vpc_attachments",
        f"TransitGatewayVpcAttachments[?{_NOT_DELETED}].TransitGatewayAttachmentId",
    ),
    (
        "ec2",
        "describe_transit_gateway_route_tables",
        f"TransitGatewayRouteTables[?{_NOT_DELETED}].TransitGatewayRouteTableId",
    ),
    ("route53resolver", "list_resolver_endpoints", "ResolverEndpoints[].Id"),
    ("route53resolver", "list_resolver_rules", "ResolverRules[].Id"),
    ("bedrock", "list_guardrails", "guardrails[].id"),
    (
        "bedrock",
        "list_inference_profiles",
        "inferenceProfileSummaries[?type=='APPLICATION'].inferenceProfileId",
    ),
    ("bedrock", "list_provisioned_model_throughputs", "provisionedModelSummaries[].provisionedModelArn"),
    ("rolesanywhere", "list_trust_anchors", "trustAnchors[].trustAnchorId"),
    ("rolesanywhere", "list_profiles", "profiles[].profileId"),
    ("budgets", "describe_budgets", "Budgets[].BudgetName"),
    ("ce", "get_anomaly_monitors", "AnomalyMonitors[].MonitorArn"),
)
"""Service, operation, what to count (JMESPath). What the endpoint does not serve counts as none."""


def kubernetes(env: dict[str, str], context: str = "fra1") -> Counter[str]:
    """Each of our objects by kind, namespace and name, and how many of our field managers it bears.

    The managers tell a patch made twice: the second leaves the first's claim behind, on a node, for ever.
    """
    one = cluster(context, env)
    found: Counter[str] = Counter()
    for root, kind, plural in _kinds(one):
        labelled = _list(one, f"{root}/{plural}", {"labelSelector": "app.kubernetes.io/part-of=isthmus"})
        for each in labelled:
            meta = each["metadata"]
            if not meta.get("ownerReferences") and not meta.get("deletionTimestamp"):
                found[f"{kind} {meta.get('namespace', '')}/{meta['name']}"] += 1
    for path in ("/api/v1/nodes", "/apis/nvidia.com/v1/clusterpolicies"):
        for each in _list(one, path, {}):
            managers = {
                claim["manager"]
                for claim in each["metadata"].get("managedFields") or []
                if claim["manager"].startswith(MANAGER)
            }
            found[f"claims on {path.rpartition('/')[2]} {each['metadata']['name']}"] += len(managers)
    return +found


def aws(env: dict[str, str]) -> Counter[str]:
    """How many there are of each, keys that wait for their deletion apart."""
    import boto3
    import jmespath
    from botocore.exceptions import ClientError

    session = boto3.Session("sandbox", "sandbox", region_name=env["AWS_REGION"])
    found: Counter[str] = Counter()

    def ask(service: str, call: str, **params: Any) -> Any:
        client = session.client(service, endpoint_url=env["AWS_ENDPOINT_URL"])
        if client.can_paginate(call):
            return client.get_paginator(call).paginate(**params).build_full_result()
        return getattr(client, call)(**params)

    for service, call, counted in LISTS:
        params = {"Scope": "Local"} if call == "list_policies" else {}
        params |= {"AccountId": "123456789012"} if service == "budgets" else {}
        try:
            answer = ask(service, call, **params)
        except ClientError:
            continue
        found[f"{service} {call}"] = len(jmespath.search(counted, answer) or [])
    for each in ask("kms", "list_keys")["Keys"]:
        state = ask("kms", "describe_key", KeyId=each["KeyId"])["KeyMetadata"]
        if state["KeyManager"] == "CUSTOMER" and state["KeyState"] != "PendingDeletion":
            found["kms keys"] += 1
    return +found


def difference(wanted: Counter[str], found: Counter[str]) -> list[str]:
    """`+` what is too much, `-` what is missing."""
    more = [f"+{count} {name}" for name, count in sorted((found - wanted).items())]
    return more + [f"-{count} {name}" for name, count in sorted((wanted - found).items())]


def _kinds(one: Cluster) -> list[tuple[str, str, str]]:
    """Root path, kind and plural of all that can be listed."""
    groups = one.call("GET", "/apis")["groups"]
    roots = ["/api/v1", *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in groups)]
    found = []
    for root in roots:
        for each in one.call("GET", root)["resources"]:
            if "list" in each["verbs"] and "/" not in each["name"] and each["kind"] not in DERIVED:
                found.append((root, each["kind"], each["name"]))
    return found


def _list(one: Cluster, path: str, params: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return one.call("GET", path, params=params).get("items") or []
    except Refused:
        return []


def environment(env: dict[str, str]) -> None:
    """Take over the variables that boto3 and the proxies' rules are read from."""
    os.environ.update({name: env[name] for name in ("NO_PROXY", "no_proxy") if name in env})
