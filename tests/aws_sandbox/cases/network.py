"""Cases of Amazon VPC: networks, subnets, gateways, routes, security groups."""

from __future__ import annotations

from typing import Any

from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import REGION, World

TAGS = {"tags": {"class": "confidential"}}
NEW_TAGS = {"tags": {"class": "internal", "new": "1"}}


def id_of(inputs: Inputs) -> str:
    """EC2's ids are made up by AWS: the last part of the ARN."""
    return str(inputs["arn"]).rsplit("/", 1)[-1]


def vpc(world: World, cidr: str = "10.20.0.0/16", dns: bool = False) -> str:
    """A network; with `dns`, one in which private names can be used."""
    ec2 = world.boto("ec2")
    id = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    if dns:
        ec2.modify_vpc_attribute(VpcId=id, EnableDnsHostnames={"Value": True})
    return id


def subnet(world: World, network: str, cidr: str, zone: str = "a") -> str:
    subnet = world.boto("ec2").create_subnet(
        VpcId=network, CidrBlock=cidr, AvailabilityZone=f"{REGION}{zone}"
    )
    return subnet["Subnet"]["SubnetId"]


def route_table(world: World, network: str) -> str:
    return world.boto("ec2").create_route_table(VpcId=network)["RouteTable"]["RouteTableId"]


def group(world: World, network: str) -> str:
    arguments = {"GroupName": world.name("group"), "Description": "test"}
    return world.boto("ec2").create_security_group(VpcId=network, **arguments)["GroupId"]


def internet_gateway(world: World, network: str) -> str:
    ec2 = world.boto("ec2")
    id = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=id, VpcId=network)
    return id


def _exists(world: World, operation: str, **by: Any) -> bool:
    """Whether a `describe_…` by id finds anything."""
    answer = found(lambda: getattr(world.boto("ec2"), operation)(**by)) or {}
    return any(value for name, value in answer.items() if name != "ResponseMetadata")


def tagged_behind(world: World, inputs: Inputs) -> str:
    tag = {"Key": "owner", "Value": "another hand"}
    world.boto("ec2").create_tags(Resources=[id_of(inputs)], Tags=[tag])
    return "tags"


def _vpc_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").modify_vpc_attribute(VpcId=id_of(inputs), EnableDnsHostnames={"Value": False})
    return "enableDnsHostnames"


def _subnet_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").modify_subnet_attribute(SubnetId=id_of(inputs), MapPublicIpOnLaunch={"Value": True})
    return "mapPublicIpOnLaunch"


def _gateway_behind(world: World, inputs: Inputs) -> str:
    ec2, id = world.boto("ec2"), id_of(inputs)
    ec2.detach_internet_gateway(InternetGatewayId=id, VpcId=inputs["vpcId"])
    ec2.attach_internet_gateway(InternetGatewayId=id, VpcId=vpc(world))
    return "vpcId"


def _route_inputs(world: World) -> Inputs:
    network = vpc(world)
    return {
        "routeTableId": route_table(world, network),
        "destinationCidrBlock": "0.0.0.0/0",
        "networkInterfaceId": _interface(world, network),
    }


def _network_of(world: World, table: str) -> str:
    return world.boto("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["VpcId"]


def _interface(world: World, network: str) -> str:
    mine = [{"Name": "vpc-id", "Values": [network]}]
    taken = len(world.boto("ec2").describe_subnets(Filters=mine)["Subnets"])
    place = subnet(world, network, f"10.20.{taken}.0/24")
    return world.boto("ec2").create_network_interface(SubnetId=place)["NetworkInterface"][
        "NetworkInterfaceId"
    ]


def _other_target(world: World, inputs: Inputs) -> Inputs:
    retained = {name: value for name, value in inputs.items() if name != "networkInterfaceId"}
    return {**retained, "gatewayId": internet_gateway(world, _network_of(world, inputs["routeTableId"]))}


def _route_behind(world: World, inputs: Inputs) -> str:
    world.boto("ec2").replace_route(
        RouteTableId=inputs["routeTableId"],
        DestinationCidrBlock=inputs["destinationCidrBlock"],
        NetworkInterfaceId=_interface(world, _network_of(world, inputs["routeTableId"])),
    )
    return "networkInterfaceId"


def _route_left(world: World, inputs: Inputs) -> bool:
    answer = found(lambda: world.boto("ec2").describe_route_tables(RouteTableIds=[inputs["routeTableId"]]))
    routes = answer["RouteTables"][0]["Routes"] if answer else []
    return any(route.get("DestinationCidrBlock") == inputs["destinationCidrBlock"] for route in routes)


def _association_inputs(world: World) -> Inputs:
    network = vpc(world)
    return {"routeTableId": route_table(world, network), "subnetId": subnet(world, network, "10.20.1.0/24")}


def _association(world: World, inputs: Inputs) -> dict[str, Any] | None:
    tables = world.boto("ec2").describe_route_tables()["RouteTables"]
    every = [association for table in tables for association in table.get("Associations", [])]
    return next((subnet for subnet in every if subnet.get("SubnetId") == inputs["subnetId"]), None)


def _association_behind(world: World, inputs: Inputs) -> str:
    there = _association(world, inputs)
    assert there is not None
    table = route_table(world, _network_of(world, inputs["routeTableId"]))
    world.boto("ec2").replace_route_table_association(
        AssociationId=there["RouteTableAssociationId"], RouteTableId=table
    )
    return "routeTableId"


def _let_in(world: World, inputs: Inputs) -> str:
    everyone = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    world.boto("ec2").authorize_security_group_ingress(GroupId=id_of(inputs), IpPermissions=everyone)
    return "ingress"


def _rule_inputs(world: World) -> Inputs:
    return {
        "securityGroupId": group(world, vpc(world)),
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "cidrIpv4": "10.1.0.0/16",
        "description": "the site",
        **TAGS,
    }


def _other_peer(world: World, inputs: Inputs) -> Inputs:
    """Another kind of peer: a group in place of a network."""
    retained = {name: value for name, value in inputs.items() if name != "cidrIpv4"}
    peer = {"referencedSecurityGroupId": inputs["securityGroupId"], "description": "each other"}
    return {**retained, **peer, "fromPort": 80, **NEW_TAGS}


def _rule_behind(world: World, inputs: Inputs) -> str:
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "0.0.0.0/0"}
    change = {"SecurityGroupRuleId": id_of(inputs), "SecurityGroupRule": rule}
    world.boto("ec2").modify_security_group_rules(
        GroupId=inputs["securityGroupId"], SecurityGroupRules=[change]
    )
    return "cidrIpv4"


_RULE = Case(
    make=_rule_inputs,
    change=_other_peer,
    replace=lambda world, inputs: {**inputs, "securityGroupId": group(world, vpc(world))},
    behind=_rule_behind,
    left=lambda world, inputs: _exists(
        world, "describe_security_group_rules", SecurityGroupRuleIds=[id_of(inputs)]
    ),
)

CASES: dict[str, Case] = {
    "aws:ec2/vpc:Vpc": Case(
        make=lambda world: {"cidrBlock": "10.20.0.0/16", "enableDnsHostnames": True, **TAGS},
        change=changed(
            enableDnsHostnames=False,
            enableDnsSupport=False,
            enableNetworkAddressUsageMetrics=True,
            **NEW_TAGS,
        ),
        replace=changed(cidrBlock="10.21.0.0/16"),
        behind=_vpc_behind,
        left=lambda world, inputs: _exists(world, "describe_vpcs", VpcIds=[id_of(inputs)]),
    ),
    "aws:ec2/subnet:Subnet": Case(
        make=lambda world: {
            "vpcId": vpc(world),
            "cidrBlock": "10.20.1.0/24",
            "availabilityZone": f"{REGION}b",
            "enableResourceNameDnsARecordOnLaunch": True,
            **TAGS,
        },
        change=changed(
            mapPublicIpOnLaunch=True,
            enableResourceNameDnsARecordOnLaunch=False,
            privateDnsHostnameTypeOnLaunch="resource-name",
            **NEW_TAGS,
        ),
        replace=changed(cidrBlock="10.20.2.0/24", availabilityZone=f"{REGION}c"),
        behind=_subnet_behind,
        left=lambda world, inputs: _exists(world, "describe_subnets", SubnetIds=[id_of(inputs)]),
    ),
    "aws:ec2/internetGateway:InternetGateway": Case(
        make=lambda world: {"vpcId": vpc(world), **TAGS},
        change=lambda world, inputs: {**inputs, "vpcId": vpc(world), **NEW_TAGS},
        replace=changed(region="eu-west-1", vpcId=None),
        behind=_gateway_behind,
        left=lambda world, inputs: _exists(
            world, "describe_internet_gateways", InternetGatewayIds=[id_of(inputs)]
        ),
    ),
    "aws:ec2/routeTable:RouteTable": Case(
        make=lambda world: {"vpcId": vpc(world), **TAGS},
        change=changed(**NEW_TAGS),
        replace=lambda world, inputs: {**inputs, "vpcId": vpc(world)},
        behind=tagged_behind,
        left=lambda world, inputs: _exists(world, "describe_route_tables", RouteTableIds=[id_of(inputs)]),
    ),
    "aws:ec2/route:Route": Case(
        make=_route_inputs,
        change=_other_target,
        replace=changed(destinationCidrBlock="192.0.2.0/24"),
        behind=_route_behind,
        left=_route_left,
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Case(
        make=_association_inputs,
        change=lambda world, inputs: {
            **inputs,
            "routeTableId": route_table(world, _network_of(world, inputs["routeTableId"])),
        },
        replace=lambda world, inputs: {
            **inputs,
            "subnetId": subnet(world, _network_of(world, inputs["routeTableId"]), "10.20.2.0/24"),
        },
        behind=_association_behind,
        left=lambda world, inputs: _association(world, inputs) is not None,
    ),
    "aws:ec2/securityGroup:SecurityGroup": Case(
        make=lambda world: {
            "name": world.name("endpoints"),
            "description": "private endpoints",
            "vpcId": vpc(world),
            **TAGS,
        },
        change=changed(**NEW_TAGS),
        replace=changed(description="something else"),
        behind=tagged_behind,
        left=lambda world, inputs: _exists(world, "describe_security_groups", GroupIds=[id_of(inputs)]),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Case(
        make=lambda world: {"vpcId": vpc(world), **TAGS},
        change=changed(**NEW_TAGS),
        replace=lambda world, inputs: {**inputs, "vpcId": vpc(world)},
        behind=_let_in,
        left=lambda world, inputs: _exists(world, "describe_security_groups", GroupIds=[id_of(inputs)]),
        stays=True,
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _RULE,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _RULE,
}
