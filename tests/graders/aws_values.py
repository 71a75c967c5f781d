"""Gives a rendering's placeholders the values that AWS would give, so that checks of form can read them.

A rendering has `${bank-frankfurt-network-vpc.id}` where only AWS knows the value. Checks of patterns and of policies
need `vpc-0a1b2c3d4e5f67890` there.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from tests.graders.terraform import REFERENCE, Resource

ACCOUNT = "123456789012"
REGION = "eu-central-1"
_ARN = re.compile(rf"arn:aws:[a-z0-9-]+:::{REFERENCE.pattern}")

IDS = {
    "aws:ec2/customerGateway:CustomerGateway": "cgw-{hex}",
    "aws:ec2/launchTemplate:LaunchTemplate": "lt-{hex}",
    "aws:ec2/routeTable:RouteTable": "rtb-{hex}",
    "aws:ec2/securityGroup:SecurityGroup": "sg-{hex}",
    "aws:ec2/subnet:Subnet": "subnet-{hex}",
    "aws:ec2/vpc:Vpc": "vpc-{hex}",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce-{hex}",
    "aws:ec2transitgateway/routeTable:RouteTable": "tgw-rtb-{hex}",
    "aws:ec2transitgateway/transitGateway:TransitGateway": "tgw-{hex}",
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": "tgw-attach-{hex}",
    "aws:efs/accessPoint:AccessPoint": "fsap-{hex}",
    "aws:efs/fileSystem:FileSystem": "fs-{hex}",
    "aws:route53/resolverEndpoint:ResolverEndpoint": "rslvr-out-{hex}",
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList": "rslvr-fdl-{hex}",
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup": "rslvr-frg-{hex}",
    "aws:route53/resolverQueryLogConfig:ResolverQueryLogConfig": "rqlc-{hex}",
    "aws:route53/resolverRule:ResolverRule": "rslvr-rr-{hex}",
    "aws:s3/bucket:Bucket": "{name}",
}
"""Ids, by Pulumi type. `{name}` is the resource's physical name."""
ARNS = {
    "aws:bedrock/guardrail:Guardrail": "bedrock:{place}:guardrail/a1b2c3d4e5f6",
    "aws:bedrock/inferenceProfile:InferenceProfile": "bedrock:{place}:application-inference-profile/a1b2c3d4e5f6",
    "aws:cloudwatch/logGroup:LogGroup": "logs:{place}:log-group:{name}",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "ce::{account}:anomalymonitor/{uuid}",
    "aws:ecs/cluster:Cluster": "ecs:{place}:cluster/{name}",
    "aws:ecs/taskDefinition:TaskDefinition": "ecs:{place}:task-definition/{name}:1",
    "aws:efs/accessPoint:AccessPoint": "elasticfilesystem:{place}:access-point/fsap-{hex}",
    "aws:efs/fileSystem:FileSystem": "elasticfilesystem:{place}:file-system/fs-{hex}",
    "aws:eks/cluster:Cluster": "eks:{place}:cluster/{name}",
    "aws:iam/policy:Policy": "iam::{account}:policy/{name}",
    "aws:iam/role:Role": "iam::{account}:role/{name}",
    "aws:kms/key:Key": "kms:{place}:key/{uuid}",
    "aws:lb/loadBalancer:LoadBalancer": "elasticloadbalancing:{place}:loadbalancer/net/{name}/0123456789abcdef",
    "aws:lb/targetGroup:TargetGroup": "elasticloadbalancing:{place}:targetgroup/{name}/0123456789abcdef",
    "aws:rolesanywhere/trustAnchor:TrustAnchor": "rolesanywhere:{place}:trust-anchor/{uuid}",
    "aws:s3/bucket:Bucket": "s3:::{name}",
    "aws:sns/topic:Topic": "sns:{place}:{name}",
}
"""ARNs after `arn:aws:`. `{place}` is region and account."""
OTHERS = {
    "accountId": ACCOUNT,
    "dnsName": f"gateway-0123456789abcdef.elb.{REGION}.amazonaws.com",
    "keyId": "{uuid}",
    "prefixListId": "pl-6ea54007",
    "s3": "pl-6ea54007",
    "transitGatewayAttachmentId": "tgw-attach-{hex}",
    "version": "1",
    "zoneId": "Z0123456789ABCDEFGHIJ",
}
"""Values of other outputs, by the output's name."""


def fill(resources: Iterable[Resource]) -> list[Resource]:
    """The resources with a value for every placeholder. Raises `LookupError` where a table above lacks one."""
    resources = list(resources)
    by_urn = {resource["urn"]: resource for resource in resources}
    by_name: dict[str, list[Resource]] = {}
    for resource in resources:
        by_name.setdefault(_name(resource["urn"]), []).append(resource)
    filled = []
    for resource in resources:
        # Two resources of different types may have one name: what a resource depends on comes first.
        near = {_name(urn): by_urn[urn] for urn in resource["needs"] if urn in by_urn}
        sources = {name: same_name[0] for name, same_name in by_name.items() if len(same_name) == 1} | near
        filled.append({**resource, "inputs": _replace(resource["inputs"], sources)})
    return filled


def physical_name(resource: Resource) -> str:
    """The name that a resource has in AWS, or one in its form where AWS completes it."""
    inputs = resource["inputs"]
    name = inputs.get("name") or inputs.get("family")
    if name:
        return str(name)
    prefix = inputs.get("namePrefix")
    return f"{prefix}20261129" if prefix else f"{_name(resource['urn'])}-1a2b3c4"


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _replace(value: Any, sources: Mapping[str, Resource]) -> Any:
    if isinstance(value, dict):
        return {key: _replace(item, sources) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, sources) for item in value]
    if not isinstance(value, str):
        return value
    text = _ARN.sub(lambda match: _value(match[1], match[2], sources), value)
    return REFERENCE.sub(lambda match: _value(match[1], match[2], sources), text)


def _value(name: str, output: str, sources: Mapping[str, Resource]) -> str:
    if name == "aws" or name.startswith("prefix-list."):
        return OTHERS[output]
    resource = sources[name]
    # A name may hold another resource's value.
    physical = str(_replace(physical_name(resource), sources))
    if output == "name":
        return physical
    if output == "id":
        return identifier(resource, physical)
    if output.lower().endswith("arn"):
        return arn(resource, physical)
    return _form(OTHERS[output], resource, physical)


def identifier(resource: Resource, physical: str) -> str:
    """A resource's id, the same one whenever it is asked for and no other resource's."""
    return _form(IDS[resource["type"]], resource, physical)


def arn(resource: Resource, physical: str = "") -> str:
    """A resource's ARN. `named`: its physical name, where that holds another resource's value."""
    return "arn:aws:" + _form(ARNS[resource["type"]], resource, physical or physical_name(resource))


def _form(form: str, resource: Resource, physical: str) -> str:
    digits = hashlib.sha256(resource["urn"].encode()).hexdigest()
    return form.format(
        name=physical,
        hex=digits[:17],
        uuid=str(uuid.UUID(digits[:32])),
        account=ACCOUNT,
        place=f"{REGION}:{ACCOUNT}",
    )
