"""What the network's types and the operations beside moto do that the generated tests do not ask for."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.table import TYPES
from tests.aws_sandbox.cases.network import group, internet_gateway, route_table, subnet, vpc
from tests.aws_sandbox.cases.network_endpoints import interface_endpoint
from tests.aws_sandbox.driver import REGION, Client, Refusal, World

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ROUTE = "aws:ec2/route:Route"


def make(client: Client, token: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return client.create(token, client.checked(token, inputs))


def refused(operation: Any, code: str, **params: Any) -> str:
    """What AWS says when it refuses the call with this code."""
    with pytest.raises(ClientError) as error:
        operation(**params)
    actual = error.value.response["Error"]
    assert actual["Code"] == code
    return actual["Message"]


# -- what is in use


def test_what_an_endpoint_uses_cannot_be_deleted_before_it(client: Client, world: World) -> None:
    inputs = interface_endpoint(world)
    id, state = make(client, ENDPOINT, inputs)
    ec2 = world.boto("ec2")
    refused(ec2.delete_subnet, "DependencyViolation", SubnetId=inputs["subnetIds"][0])
    refused(ec2.delete_security_group, "DependencyViolation", GroupId=inputs["securityGroupIds"][0])
    refused(ec2.delete_vpc, "DependencyViolation", VpcId=inputs["vpcId"])
    client.delete(ENDPOINT, id, state)
    for subnet_id in inputs["subnetIds"]:
        ec2.delete_subnet(SubnetId=subnet_id)
    ec2.delete_security_group(GroupId=inputs["securityGroupIds"][0])
    ec2.delete_vpc(VpcId=inputs["vpcId"])


def test_a_vpc_with_a_gateway_or_a_group_of_ours_stays(world: World) -> None:
    ec2, network = world.boto("ec2"), vpc(world)
    gateway, ours = internet_gateway(world, network), group(world, network)
    refused(ec2.delete_vpc, "DependencyViolation", VpcId=network)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network)
    refused(ec2.delete_vpc, "DependencyViolation", VpcId=network)
    ec2.delete_security_group(GroupId=ours)
    ec2.delete_vpc(VpcId=network)
    refused(ec2.delete_vpc, "InvalidVpcID.NotFound", VpcId=network)


def test_a_group_that_another_s_rule_names_stays(client: Client, world: World) -> None:
    network = vpc(world)
    arguments, naming = group(world, network), group(world, network)
    rule = {"securityGroupId": naming, "ipProtocol": "-1", "referencedSecurityGroupId": arguments}
    id, state = make(client, INGRESS, rule)
    refused(world.boto("ec2").delete_security_group, "DependencyViolation", GroupId=arguments)
    client.delete(INGRESS, id, state)
    world.boto("ec2").delete_security_group(GroupId=arguments)


# -- security groups


def test_a_new_group_lets_nothing_in_and_nothing_out(client: Client, world: World) -> None:
    id, _ = make(client, GROUP, {"name": world.name("shut"), "vpcId": vpc(world)})
    [answer] = world.boto("ec2").describe_security_groups(GroupIds=[id])["SecurityGroups"]
    assert answer["Description"] == "Managed by Pulumi"
    assert (answer["IpPermissions"], answer["IpPermissionsEgress"]) == ([], [])


def test_the_vpc_s_own_group_is_emptied_and_stays_so(client: Client, world: World) -> None:
    network = vpc(world)
    ec2 = world.boto("ec2")
    mine = [{"Name": "vpc-id", "Values": [network]}, {"Name": "group-name", "Values": ["default"]}]
    [before] = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    assert before["IpPermissionsEgress"], "AWS lets it out"
    id, state = make(client, DEFAULT_GROUP, {"vpcId": network, "ingress": [], "egress": []})
    assert id == before["GroupId"]
    client.delete(DEFAULT_GROUP, id, state)
    [after] = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    assert (after["IpPermissions"], after["IpPermissionsEgress"]) == ([], [])
    with pytest.raises(Refusal, match="found nothing to take over"):
        make(client, DEFAULT_GROUP, {})


@pytest.mark.parametrize("token", [GROUP, DEFAULT_GROUP])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_rules_within_a_group_are_refused_with_what_to_use(
    client: Client, token: str, direction: str
) -> None:
    rule = {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["0.0.0.0/0"]}
    _, failures = client.check(token, {"vpcId": "vpc-1", direction: [rule]})
    [(path, reason)] = failures
    assert path == direction
    assert "aws:vpc/securityGroupIngressRule" in reason


def test_routes_within_a_table_are_refused_with_what_to_use(client: Client) -> None:
    token = "aws:ec2/routeTable:RouteTable"
    _, failures = client.check(token, {"vpcId": "vpc-1", "routes": [{"cidrBlock": "0.0.0.0/0"}]})
    assert [path for path, _ in failures] == ["routes"]
    assert "aws:ec2/route:Route" in failures[0][1]


@pytest.mark.parametrize("token", [INGRESS, EGRESS])
def test_a_rule_keeps_its_description_whatever_its_peer(client: Client, world: World, token: str) -> None:
    network = vpc(world)
    ours = group(world, network)
    lists = world.boto("ec2").describe_prefix_lists()["PrefixLists"]
    s3 = next(
        domain_list for domain_list in lists if domain_list["PrefixListName"] == f"com.amazonaws.{REGION}.s3"
    )
    for peer in (
        {"cidrIpv4": "10.9.0.0/16"},
        {"cidrIpv6": "2001:db8::/32"},
        {"prefixListId": s3["PrefixListId"]},
        {"referencedSecurityGroupId": group(world, network)},
    ):
        inputs = {
            "securityGroupId": ours,
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
            "description": "HTTPS",
            **peer,
        }
        id, state = make(client, token, inputs)
        assert state["description"] == "HTTPS"
        assert client.read(token, id, state, client.checked(token, inputs))[1] == state


def test_a_rule_for_every_protocol_has_no_ports(client: Client, world: World) -> None:
    inputs = {"securityGroupId": group(world, vpc(world)), "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8"}
    id, state = make(client, INGRESS, inputs)
    assert "fromPort" not in state
    assert not client.diff(INGRESS, id, state, client.checked(INGRESS, inputs)).diffs


def test_the_same_rule_twice_is_refused(client: Client, world: World) -> None:
    inputs = {"securityGroupId": group(world, vpc(world)), "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8"}
    make(client, INGRESS, inputs)
    with pytest.raises(Refusal, match=r"InvalidPermission.Duplicate"):
        make(client, INGRESS, inputs)


# -- routes


def test_a_subnet_follows_one_table(client: Client, world: World) -> None:
    network = vpc(world)
    place = subnet(world, network, "10.20.1.0/24")
    make(client, ASSOCIATION, {"subnetId": place, "routeTableId": route_table(world, network)})
    with pytest.raises(Refusal, match=r"Resource.AlreadyAssociated"):
        make(client, ASSOCIATION, {"subnetId": place, "routeTableId": route_table(world, network)})


def test_an_association_is_imported_by_the_real_plugin_s_form_too(client: Client, world: World) -> None:
    network = vpc(world)
    place, table = subnet(world, network, "10.20.1.0/24"), route_table(world, network)
    id, state = make(client, ASSOCIATION, {"subnetId": place, "routeTableId": table})
    read_id, read, _ = client.read(ASSOCIATION, f"{place}/{table}")
    assert (read_id, read) == (id, state)


def test_a_route_has_one_destination_and_one_target(client: Client, world: World) -> None:
    network = vpc(world)
    table, gateway = route_table(world, network), internet_gateway(world, network)
    with pytest.raises(Refusal, match="MissingParameter"):
        make(client, ROUTE, {"routeTableId": table, "gatewayId": gateway})
    with pytest.raises(Refusal, match="InvalidParameterCombination"):
        make(client, ROUTE, {"routeTableId": table, "destinationCidrBlock": "0.0.0.0/0"})


def test_a_vpc_reaches_a_transit_gateway_only_when_attached(client: Client, world: World) -> None:
    ec2, network = world.boto("ec2"), vpc(world)
    hub = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    place = subnet(world, network, "10.20.1.0/24")
    route = {
        "routeTableId": route_table(world, network),
        "destinationCidrBlock": "10.0.0.0/8",
        "transitGatewayId": hub,
    }
    with pytest.raises(Refusal, match=r"InvalidTransitGatewayID.NotFound"):
        make(client, ROUTE, route)
    ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=hub, VpcId=network, SubnetIds=[place])
    _, state = make(client, ROUTE, route)
    assert state["transitGatewayId"] == hub
    refused(ec2.delete_subnet, "DependencyViolation", SubnetId=place)


@given(
    table=st.from_regex(r"rtb-[0-9a-f]{8,17}", fullmatch=True),
    destination=st.ip_addresses().map(lambda address: f"{address}/{address.max_prefixlen}"),
)
def test_a_route_s_id_can_be_read_back(table: str, destination: str) -> None:
    kind = TYPES[ROUTE]
    prop = "destinationIpv6CidrBlock" if ":" in destination else "destinationCidrBlock"
    created = {name: part({prop: destination}) for name, part in kind.derived.items()}
    id = kind.id.format_map({"routeTableId": table, **created})
    assert kind.parse_id(id) == {"routeTableId": table, "destination": destination}
    assert kind.canonical_id(id) == id


# -- subnets


def test_a_subnet_named_by_its_zone_s_id_is_no_default_one(client: Client, world: World) -> None:
    token = "aws:ec2/subnet:Subnet"
    zones = world.boto("ec2").describe_availability_zones()["AvailabilityZones"]
    zone = {zone["ZoneId"]: zone["ZoneName"] for zone in zones}
    id, name = sorted(zone.items())[0]
    inputs = {"vpcId": vpc(world), "cidrBlock": "10.20.1.0/24", "availabilityZoneId": id}
    created, state = make(client, token, inputs)
    assert (state["availabilityZone"], state["mapPublicIpOnLaunch"]) == (name, False)
    assert not client.diff(token, created, state, client.checked(token, inputs)).diffs
    with pytest.raises(Refusal, match="is invalid"):
        make(client, token, {**inputs, "availabilityZoneId": "no1-az1", "cidrBlock": "10.20.2.0/24"})
