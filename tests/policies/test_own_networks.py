"""A network of own code that leads to the internet: one exact entry, and nothing that joins it to the platform."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.engine.render.recorder import Resource
from tests.policies.boundary_rows import other, proposed, stops
from tests.policies.test_boundary_rows_of_own_objects import trusting

pytestmark = pytest.mark.whole

LINE = trusting("objects", "runners")
RULES = {"data-path/no-way-to-the-internet", "network/dns-firewall", "data-path/groups-name-whom-they-call"}


def network(block: str = "10.200.0.0/22", **more: Any) -> Resource:
    return other("aws:ec2/vpc:Vpc", "runners", cidrBlock=block, enableDnsSupport=True, **more)


def members() -> list[Resource]:
    inside = {"vpcId": "${runners.id}"}
    routes = [{"cidrBlock": "0.0.0.0/0", "gatewayId": "${runners-internet.id}"}]
    group = {"securityGroupId": "${runners-group.id}"}
    return [
        other("aws:ec2/internetGateway:InternetGateway", "runners-internet", **inside),
        other("aws:ec2/subnet:Subnet", "runners-outer", cidrBlock="10.200.0.0/26", **inside),
        other(
            "aws:ec2/natGateway:NatGateway",
            "runners-nat",
            subnetId="${runners-outer.id}",
            allocationId="${runners-address.id}",
        ),
        other("aws:ec2/eip:Eip", "runners-address", domain="vpc"),
        other("aws:ec2/routeTable:RouteTable", "runners-table", routes=routes, **inside),
        other("aws:ec2/securityGroup:SecurityGroup", "runners-group", description="HTTPS", **inside),
        other(
            "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            "runners-https",
            cidrIpv4="0.0.0.0/0",
            ipProtocol="tcp",
            fromPort=443,
            toPort=443,
            **group,
        ),
    ]


def found(*resources: Resource, settings: Settings | None = LINE) -> set[str]:
    return {finding.policy for finding in stops(*resources, settings=settings)} & RULES


def test_a_network_apart_passes_with_one_line_and_not_without():
    assert found(network(), *members()) == set()
    assert found(network(), *members(), settings=None) == RULES
    assert found(network(), *members(), settings=trusting("objects", "run*")) == RULES


def test_exactly_the_network_is_proposed_and_not_one_that_is_joined():
    assert proposed(network(), *members()) == {("objects", "runners")}
    peering = other("aws:ec2/vpcPeeringConnection:VpcPeeringConnection", "peer", vpcId="${runners.id}")
    assert ("objects", "runners") not in proposed(network(), *members(), peering)


@pytest.mark.parametrize(
    "joined",
    [
        other(
            "aws:ec2/vpcPeeringConnection:VpcPeeringConnection", "j", vpcId="${runners.id}", peerVpcId="${x}"
        ),
        other("aws:ec2transitgateway/vpcAttachment:VpcAttachment", "j", vpcId="${runners.id}"),
        other("aws:ec2/vpcEndpoint:VpcEndpoint", "j", vpcId="${runners.id}"),
        other("aws:ec2/vpnGateway:VpnGateway", "j", vpcId="${runners.id}"),
        other("aws:route53/zoneAssociation:ZoneAssociation", "j", vpcId="${runners.id}", zoneId="Z1"),
        other(
            "aws:ec2/subnet:Subnet", "j", vpcId="${runners.id}", outpostArn="${bank-frankfurt-network-vpc.id}"
        ),
        other(
            "aws:ec2/route:Route",
            "j",
            routeTableId="${runners-table.id}",
            destinationCidrBlock="10.40.0.0/16",
            transitGatewayId="tgw-0123456789abcdef0",
        ),
        other(
            "aws:ec2/instance:Instance",
            "j",
            subnetId="${runners-outer.id}",
            iamInstanceProfile="${bank-x.name}",
        ),
    ],
    ids=["peering", "transit", "endpoint", "vpn", "zone", "platform", "literal-transit", "reaches-nothing"],
)
def test_what_joins_it_to_another_network_closes_it(joined: Resource, request: pytest.FixtureRequest):
    is_harmless = request.node.callspec.id == "reaches-nothing"
    assert bool(found(network(), *members(), joined)) is not is_harmless


@pytest.mark.parametrize("block", ["10.40.0.0/20", "10.0.0.0/8", "${later}"])
def test_a_range_of_the_platform_or_one_that_is_not_known_closes_it(block: str):
    assert found(network(block), *members()) >= {"data-path/no-way-to-the-internet"}


def test_another_networks_gateway_is_still_refused():
    elsewhere = other(
        "aws:ec2/internetGateway:InternetGateway", "elsewhere", vpcId="${bank-frankfurt-network-vpc.id}"
    )
    assert found(network(), *members(), elsewhere) == {"data-path/no-way-to-the-internet"}
