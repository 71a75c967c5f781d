"""Functions about the network: what a preflight asks before anything is made."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

from sandbox.aws.invokes.network import INVOKES
from tests.aws_sandbox.cases.network import internet_gateway, route_table, subnet, vpc
from tests.aws_sandbox.driver import REGION, Client, Refusal, World

ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"
VPC = "aws:ec2/getVpc:getVpc"
SUBNETS = "aws:ec2/getSubnets:getSubnets"
SUBNET = "aws:ec2/getSubnet:getSubnet"
TABLES = "aws:ec2/getRouteTables:getRouteTables"
TABLE = "aws:ec2/getRouteTable:getRouteTable"
OFFERINGS = "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"


def _tagged(world: World, id: str, **tags: str) -> None:
    created = [{"Key": key, "Value": value} for key, value in tags.items()]
    world.boto("ec2").create_tags(Resources=[id], Tags=created)


def test_the_zones_of_a_region_are_named_in_order(client: Client) -> None:
    answer = client.invoke(ZONES, state="available")
    assert answer["names"] == [f"{REGION}{letter}" for letter in "abc"]
    assert len(answer["zoneIds"]) == len(answer["names"])
    fewer = client.invoke(ZONES, excludeNames=[f"{REGION}b"])
    assert fewer["names"] == [f"{REGION}a", f"{REGION}c"]
    assert client.invoke(ZONES, region="eu-west-1")["names"][0] == "eu-west-1a"


def test_a_vpc_is_found_by_id_by_tag_and_by_range(client: Client, world: World) -> None:
    id, name = vpc(world, "10.77.0.0/16", dns=True), world.name("net")
    _tagged(world, id, Name=name)
    answer = client.invoke(VPC, id=id)
    assert answer["cidrBlock"] == answer["cidrBlockAssociations"][0]["cidrBlock"] == "10.77.0.0/16"
    assert answer["default"] is False
    assert (answer["enableDnsSupport"], answer["enableDnsHostnames"]) == (True, True)
    assert answer["arn"] == f"arn:aws:ec2:{REGION}:123456789012:vpc/{id}"
    assert client.invoke(VPC, tags={"Name": name}) == answer
    by_filter = client.invoke(VPC, filters=[{"name": "tag:Name", "values": [name]}])
    assert by_filter["id"] == id
    tables = client.invoke(TABLES, vpcId=id)["ids"]
    assert tables == [answer["mainRouteTableId"]]


def test_the_account_s_default_vpc_is_found_as_such(client: Client) -> None:
    assert client.invoke(VPC, default=True)["default"] is True


def test_a_vpc_that_is_not_there_and_one_of_several_are_refused(client: Client, world: World) -> None:
    with pytest.raises(Refusal, match=r"getVpc.*InvalidVpcID.NotFound"):
        client.invoke(VPC, id="vpc-0123456789abcdef0")
    with pytest.raises(Refusal, match="no matching EC2 VPC found"):
        client.invoke(VPC, tags={"Name": world.name("nobody")})
    name = world.name("twice")
    for _ in range(2):
        _tagged(world, vpc(world), Name=name)
    with pytest.raises(Refusal, match="multiple EC2 VPCs matched"):
        client.invoke(VPC, tags={"Name": name})


def test_subnets_are_listed_by_vpc_and_none_is_no_error(client: Client, world: World) -> None:
    network = vpc(world)
    mine = [{"name": "vpc-id", "values": [network]}]
    assert client.invoke(SUBNETS, filters=mine)["ids"] == []
    created = {subnet(world, network, "10.20.1.0/24"), subnet(world, network, "10.20.2.0/24", "b")}
    assert set(client.invoke(SUBNETS, filters=mine)["ids"]) == created
    first = next(iter(created))
    _tagged(world, first, tier=world.name("private"))
    [tag] = world.boto("ec2").describe_subnets(SubnetIds=[first])["Subnets"][0]["Tags"]
    assert client.invoke(SUBNETS, tags={"tier": tag["Value"]})["ids"] == [first]


def test_a_subnet_says_its_zone_its_range_and_whether_it_gives_public_addresses(
    client: Client, world: World
) -> None:
    network = vpc(world)
    id = subnet(world, network, "10.20.1.0/24", "c")
    answer = client.invoke(SUBNET, id=id)
    assert (answer["vpcId"], answer["cidrBlock"], answer["availabilityZone"]) == (
        network,
        "10.20.1.0/24",
        f"{REGION}c",
    )
    assert answer["mapPublicIpOnLaunch"] is False
    assert client.invoke(SUBNET, vpcId=network, cidrBlock="10.20.1.0/24")["id"] == id
    with pytest.raises(Refusal, match="no matching EC2 Subnet found"):
        client.invoke(SUBNET, vpcId=network, cidrBlock="10.20.9.0/24")
    with pytest.raises(Refusal, match=r"InvalidSubnetID.NotFound"):
        client.invoke(SUBNET, id="subnet-0123456789abcdef0")


def test_the_routes_tell_a_public_subnet_from_a_private_one(client: Client, world: World) -> None:
    network = vpc(world)
    ec2 = world.boto("ec2")
    public, private = subnet(world, network, "10.20.1.0/24"), subnet(world, network, "10.20.2.0/24")
    out, within = route_table(world, network), route_table(world, network)
    ec2.create_route(
        RouteTableId=out,
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=(gateway := internet_gateway(world, network)),
    )
    ec2.associate_route_table(RouteTableId=out, SubnetId=public)
    ec2.associate_route_table(RouteTableId=within, SubnetId=private)
    answer = client.invoke(TABLE, subnetId=public)
    assert answer["routeTableId"] == answer["id"] == out
    [route] = answer["routes"]
    assert (route["cidrBlock"], route["gatewayId"]) == ("0.0.0.0/0", gateway)
    assert [association["subnetId"] for association in answer["associations"]] == [public]
    assert client.invoke(TABLE, subnetId=private)["routes"] == [], "the route within the VPC is not told"


def test_the_route_of_a_gateway_endpoint_is_not_told(client: Client, world: World) -> None:
    network = vpc(world)
    table = route_table(world, network)
    world.boto("ec2").create_vpc_endpoint(
        VpcId=network, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[table]
    )
    assert client.invoke(TABLE, routeTableId=table)["routes"] == []


def test_a_subnet_without_a_table_of_its_own_follows_the_main_one(client: Client, world: World) -> None:
    network = vpc(world)
    alone = subnet(world, network, "10.20.1.0/24")
    with pytest.raises(Refusal, match="query returned no results"):
        client.invoke(TABLE, subnetId=alone)
    main = [
        {"name": "vpc-id", "values": [network]},
        {"name": "association.main", "values": ["true"]},
    ]
    answer = client.invoke(TABLE, filters=main)
    assert answer["vpcId"] == network
    assert [each["main"] for each in answer["associations"]] == [True]
    table = route_table(world, network)
    assert set(client.invoke(TABLES, vpcId=network)["ids"]) == {table, answer["id"]}
    with pytest.raises(Refusal, match="multiple Route Tables matched"):
        client.invoke(TABLE, vpcId=network)


def test_a_table_is_found_by_the_gateway_that_it_is_for(client: Client, world: World) -> None:
    network = vpc(world)
    table, gateway = route_table(world, network), internet_gateway(world, network)
    with pytest.raises(Refusal, match="query returned no results"):
        client.invoke(TABLE, gatewayId=gateway)
    world.boto("ec2").associate_route_table(RouteTableId=table, GatewayId=gateway)
    assert client.invoke(TABLE, gatewayId=gateway)["id"] == table


def test_a_region_says_which_machines_it_offers(client: Client) -> None:
    expected = [{"name": "instance-type", "values": ["p4d.24xlarge", "m5.large", "made.up"]}]
    answer = client.invoke(OFFERINGS, filters=expected, locationType="region", region="us-east-1")
    assert sorted(answer["instanceTypes"]) == ["m5.large", "p4d.24xlarge"]
    assert set(answer["locations"]) == {"us-east-1"}
    assert len(answer["locationTypes"]) == 2
    zones = client.invoke(OFFERINGS, filters=[expected[0]], locationType="availability-zone")
    assert all(place.startswith(REGION) for place in zones["locations"])


def _result(token: str) -> set[str]:
    """The names that pulumi-aws's class of the function's results takes."""
    module, name = token.split(":")[1].split("/")
    package = importlib.import_module("pulumi_aws" if module == "index" else f"pulumi_aws.{module}")
    hasattr(package, "anything that is not there")
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    source: Any = importlib.import_module(f"{package.__name__}.{snake}")
    cls = getattr(source, f"{name[0].upper()}{name[1:]}Result")
    return set(inspect.signature(cls.__init__).parameters) - {"__self__"}


@pytest.mark.parametrize("token", sorted(INVOKES))
def test_every_answer_has_names_that_pulumi_aws_knows(client: Client, world: World, token: str) -> None:
    network = vpc(world)
    place = subnet(world, network, "10.20.1.0/24")
    world.boto("ec2").associate_route_table(RouteTableId=route_table(world, network), SubnetId=place)
    request: dict[str, Any] = {VPC: {"id": network}, SUBNET: {"id": place}, TABLE: {"subnetId": place}}
    request["aws:ec2/getPrefixList:getPrefixList"] = {"name": f"com.amazonaws.{REGION}.s3"}
    answer = client.invoke(token, **request.get(token, {}))
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name) for name in answer}
    assert snake <= _result(token)
    unsaid = _result(token) - snake
    assert unsaid <= {
        "filters",
        "all_availability_zones",
        "exclude_names",
        "exclude_zone_ids",
        "state",
        "vpc_id",
        "location_type",
    }, "an answer lacks what the real one has"
