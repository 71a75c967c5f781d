"""Cases of Route 53 Resolver."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.link import vpc
from tests.aws_sandbox.driver import World


def _room(world: World) -> None:
    """Four endpoints are a region's quota, here too: those of earlier tests go."""
    resolver = world.boto("route53resolver")
    for resolver_rule_association in resolver.list_resolver_rule_associations()["ResolverRuleAssociations"]:
        resolver.disassociate_resolver_rule(
            VPCId=resolver_rule_association["VPCId"],
            ResolverRuleId=resolver_rule_association["ResolverRuleId"],
        )
    for resolver_rule in resolver.list_resolver_rules()["ResolverRules"]:
        resolver.delete_resolver_rule(ResolverRuleId=resolver_rule["Id"])
    for resolver_endpoint in resolver.list_resolver_endpoints()["ResolverEndpoints"]:
        resolver.delete_resolver_endpoint(ResolverEndpointId=resolver_endpoint["Id"])


def _group(world: World, id: str) -> str:
    group = world.boto("ec2").create_security_group(
        GroupName=world.name("dns"), Description="DNS of the site", VpcId=id
    )
    return group["GroupId"]


def _endpoint_inputs(world: World) -> Inputs:
    _room(world)
    id, subnets = vpc(world, zones=3)
    return {
        "name": world.name("inbound"),
        "direction": "INBOUND",
        "ipAddresses": [{"subnetId": subnets[0], "ip": "10.20.0.10"}, {"subnetId": subnets[1]}],
        "protocols": ["Do53"],
        "resolverEndpointType": "IPV4",
        "securityGroupIds": [_group(world, id)],
        "tags": {"class": "confidential"},
    }


def _elsewhere(world: World, inputs: Inputs) -> Inputs:
    """The first address stays, the second moves to another subnet."""
    ec2 = world.boto("ec2")
    retained = inputs["ipAddresses"]
    there = ec2.describe_subnets(SubnetIds=[retained[0]["subnetId"]])["Subnets"][0]["VpcId"]
    filters: Any = [{"Name": "vpc-id", "Values": [there]}]
    known = {address["subnetId"] for address in retained}
    free = [
        subnet["SubnetId"]
        for subnet in ec2.describe_subnets(Filters=filters)["Subnets"]
        if subnet["SubnetId"] not in known
    ]
    return {
        **inputs,
        "ipAddresses": [{"subnetId": free[0]}, retained[0]],
        "name": world.name("renamed"),
        "tags": {"class": "internal"},
    }


def _endpoint_id(inputs: Inputs) -> str:
    return inputs["arn"].rsplit("/", 1)[-1]


def _endpoint_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").update_resolver_endpoint(
        ResolverEndpointId=_endpoint_id(inputs), Name="by-another-hand"
    )
    return "name"


def _endpoint_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_resolver_endpoints()["ResolverEndpoints"]
    return any(summary["Arn"] == inputs["arn"] for summary in listed)


def _outbound(world: World) -> str:
    id, subnets = vpc(world)
    places: Any = [{"SubnetId": subnet} for subnet in subnets]
    endpoint = world.boto("route53resolver").create_resolver_endpoint(
        CreatorRequestId=world.name("request"),
        Direction="OUTBOUND",
        SecurityGroupIds=[_group(world, id)],
        IpAddresses=places,
    )
    return endpoint["ResolverEndpoint"]["Id"]


def _rule_inputs(world: World) -> Inputs:
    _room(world)
    return {
        "name": world.name("bank"),
        "domainName": "fra1.bank.example",
        "ruleType": "FORWARD",
        "resolverEndpointId": _outbound(world),
        "targetIps": [{"ip": "10.10.0.53"}, {"ip": "10.10.1.53", "port": 53, "protocol": "Do53"}],
        "tags": {"class": "confidential"},
    }


def _rule_behind(world: World, inputs: Inputs) -> str:
    config: Any = {"TargetIps": [{"Ip": "192.0.2.53", "Port": 53}]}
    world.boto("route53resolver").update_resolver_rule(ResolverRuleId=_endpoint_id(inputs), Config=config)
    return "targetIps"


def _rule_left(world: World, inputs: Inputs) -> bool:
    listed = world.boto("route53resolver").list_resolver_rules()["ResolverRules"]
    return any(summary["Arn"] == inputs["arn"] for summary in listed)


def _association_inputs(world: World) -> Inputs:
    _room(world)
    rule = world.boto("route53resolver").create_resolver_rule(
        CreatorRequestId=world.name("request"),
        RuleType="FORWARD",
        DomainName="fra1.bank.example",
        ResolverEndpointId=_outbound(world),
        TargetIps=[{"Ip": "10.10.0.53", "Port": 53}],
    )
    return {"name": "bank", "resolverRuleId": rule["ResolverRule"]["Id"], "vpcId": vpc(world)[0]}


def _parted(world: World, inputs: Inputs) -> str:
    world.boto("route53resolver").disassociate_resolver_rule(
        ResolverRuleId=inputs["resolverRuleId"], VPCId=inputs["vpcId"]
    )
    return ""


def _joined(world: World, inputs: Inputs) -> bool:
    listed = found(lambda: world.boto("route53resolver").list_resolver_rule_associations())
    return any(entry["VPCId"] == inputs["vpcId"] for entry in listed["ResolverRuleAssociations"])


CASES: dict[str, Case] = {
    "aws:route53/resolverEndpoint:ResolverEndpoint": Case(
        make=_endpoint_inputs,
        change=_elsewhere,
        replace=changed(direction="OUTBOUND", name="other-direction"),
        behind=_endpoint_behind,
        left=_endpoint_left,
    ),
    "aws:route53/resolverRule:ResolverRule": Case(
        make=_rule_inputs,
        change=changed(targetIps=[{"ip": "10.10.0.54"}], tags={"class": "internal"}),
        replace=changed(domainName="ams1.bank.example", name="other-zone"),
        behind=_rule_behind,
        left=_rule_left,
    ),
    "aws:route53/resolverRuleAssociation:ResolverRuleAssociation": Case(
        make=_association_inputs,
        change=None,
        replace=lambda world, inputs: {**inputs, "vpcId": vpc(world)[0], "name": "other-vpc"},
        behind=_parted,
        left=_joined,
    ),
}
