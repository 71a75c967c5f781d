"""Cases of a gateway's name and of its PrivateLink service."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases import link
from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.cases.fargate import balancer_of
from tests.aws_sandbox.cases.network import NEW_TAGS, TAGS, id_of, vpc
from tests.aws_sandbox.driver import REGION, World


def zone(world: World) -> Inputs:
    return {
        "name": f"{world.name('gateway')}.isthmus.internal",
        "comment": "a gateway",
        "vpcs": [{"vpcId": vpc(world), "vpcRegion": REGION}],
        **TAGS,
    }


def _wider(world: World, inputs: Inputs) -> Inputs:
    vpcs = [*inputs["vpcs"], {"vpcId": vpc(world), "vpcRegion": REGION}]
    return {**inputs, "comment": "another", "vpcs": vpcs, **NEW_TAGS}


def _zone_behind(world: World, inputs: Inputs) -> str:
    world.boto("route53").update_hosted_zone_comment(Id=inputs["zoneId"], Comment="by another hand")
    return "comment"


def _zone_left(world: World, inputs: Inputs) -> bool:
    return found(lambda: world.boto("route53").get_hosted_zone(Id=id_of(inputs))) is not None


def record(world: World) -> Inputs:
    name = f"{world.name('gateway')}.isthmus.internal"
    zone = world.boto("route53").create_hosted_zone(
        Name=name, CallerReference=world.name("ref"), VPC={"VPCRegion": REGION, "VPCId": vpc(world)}
    )
    return {
        "zoneId": zone["HostedZone"]["Id"].rpartition("/")[2],
        "name": name,
        "type": "A",
        "aliases": [
            {"name": "door.elb.eu-central-1.amazonaws.com", "zoneId": "Z1", "evaluateTargetHealth": True}
        ],
    }


def _sets(world: World, inputs: Inputs, action: str, target: str) -> None:
    alias = {"HostedZoneId": "Z1", "DNSName": target, "EvaluateTargetHealth": True}
    record_set: Any = {"Name": inputs["name"], "Type": "A", "AliasTarget": alias}
    world.boto("route53").change_resource_record_sets(
        HostedZoneId=inputs["zoneId"],
        ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record_set}]},  # type: ignore[list-item]
    )


def _record_behind(world: World, inputs: Inputs) -> str:
    _sets(world, inputs, "UPSERT", "another.elb.amazonaws.com")
    return "aliases"


def _record_left(world: World, inputs: Inputs) -> bool:
    answer = world.boto("route53").list_resource_record_sets(HostedZoneId=inputs["zoneId"])
    return any(entry["Type"] == "A" for entry in answer["ResourceRecordSets"])


def endpoint_service(world: World) -> Inputs:
    return {
        "acceptanceRequired": False,
        "networkLoadBalancerArns": [balancer_of(world, link.vpc(world)[1])],
        "allowedPrincipals": ["arn:aws:iam::222233334444:root"],
        **TAGS,
    }


def _other_service(world: World, inputs: Inputs) -> Inputs:
    return {**inputs, "allowedPrincipals": ["arn:aws:iam::333344445555:root"], **NEW_TAGS}


def _in_another_region(world: World, inputs: Inputs) -> Inputs:
    """With a load balancer of that region."""
    region = "eu-west-1"
    ec2, elb = world.boto("ec2", region), world.boto("elbv2", region)
    network = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=network, CidrBlock=f"10.30.{at}.0/24", AvailabilityZone=region + zone)
        for at, zone in ((1, "a"), (2, "b"))
    ]
    ids = [subnet["Subnet"]["SubnetId"] for subnet in subnets]
    balancer = elb.create_load_balancer(Name=world.name("d"), Type="network", Subnets=ids)
    return {
        **inputs,
        "region": region,
        "networkLoadBalancerArns": [balancer["LoadBalancers"][0]["LoadBalancerArn"]],
    }


def _endpoint_service_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").modify_vpc_endpoint_service_permissions(
        ServiceId=id_of(inputs), AddAllowedPrincipals=["*"]
    )
    return "allowedPrincipals"


def _endpoint_service_left(world: World, inputs: Inputs) -> bool:
    request = {"ServiceIds": [id_of(inputs)]}
    return (
        found(lambda: world.boto("ec2").describe_vpc_endpoint_service_configurations(**request)) is not None
    )


CASES: dict[str, Case] = {
    "aws:route53/zone:Zone": Case(
        make=zone,
        change=_wider,
        replace=lambda world, inputs: {**inputs, "name": f"{world.name('another')}.isthmus.internal"},
        behind=_zone_behind,
        left=_zone_left,
    ),
    "aws:route53/record:Record": Case(
        make=record,
        change=changed(aliases=[{"name": "new.elb.amazonaws.com", "zoneId": "Z1"}]),
        replace=lambda world, inputs: {**inputs, "name": f"sub.{inputs['name']}"},
        behind=_record_behind,
        left=_record_left,
    ),
    "aws:ec2/vpcEndpointService:VpcEndpointService": Case(
        make=endpoint_service,
        change=_other_service,
        replace=_in_another_region,
        behind=_endpoint_service_behind,
        left=_endpoint_service_left,
    ),
}
