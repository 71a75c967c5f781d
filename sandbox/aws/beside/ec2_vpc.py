"""Subnets, routes, and what AWS refuses to delete while something needs it.

moto takes the first subnet of a zone that is named by its id for a default one, does not know how hosts
are named, takes a second route table for a subnet in silence, routes to a transit gateway that the VPC is not
attached to, and deletes what is in use. That AWS refuses these is as of knowledge, not checked against it.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.ec2_shared import backend, in_use, named, operation, tags
from sandbox.aws.service_frame import Asked, Refused


def create_subnet(asked: Asked) -> dict[str, Any]:
    ec2, params = backend(asked), asked.params
    zones = ec2.describe_availability_zones()
    zone = params.get("AvailabilityZone")
    if params.get("AvailabilityZoneId"):
        by_id = {each.zone_id: each.name for each in zones}
        zone = by_id.get(params["AvailabilityZoneId"])
    known = sorted(each.name for each in zones)
    if zone is None and not params.get("AvailabilityZoneId"):
        zone = known[0]
    if zone not in known:
        wanted = params.get("AvailabilityZoneId") or zone
        message = f"Value ({wanted}) for parameter availabilityZone is invalid. Subnets can be in: {', '.join(known)}."
        raise Refused("InvalidParameterValue", 400, message)
    subnet = ec2.create_subnet(
        params["VpcId"],
        params.get("CidrBlock"),
        params.get("Ipv6CidrBlock"),
        availability_zone=zone,
        ipv6_native=bool(params.get("Ipv6Native")),
        tags={"subnet": named(asked, "subnet")},
    )
    # Only AWS makes default subnets.
    subnet.default_for_az = subnet.map_public_ip_on_launch = False
    return {"Subnet": _subnet(subnet)}


def _subnet(subnet: Any) -> dict[str, Any]:
    return {
        "SubnetId": subnet.id,
        "SubnetArn": subnet.arn,
        "VpcId": subnet.vpc_id,
        "CidrBlock": subnet.cidr_block or "",
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": subnet.availability_zone_id,
        "AvailableIpAddressCount": subnet.available_ip_address_count,
        "DefaultForAz": subnet.default_for_az,
        "MapPublicIpOnLaunch": subnet.map_public_ip_on_launch,
        "AssignIpv6AddressOnCreation": subnet.assign_ipv6_address_on_creation,
        "Ipv6Native": subnet.ipv6_native,
        "PrivateDnsNameOptionsOnLaunch": dict(subnet.private_dns_name_options_on_launch),
        "OwnerId": subnet.owner_id,
        "State": subnet.state,
        "Tags": tags(subnet),
    }


_FLAGS = {
    "MapPublicIpOnLaunch": "map_public_ip_on_launch",
    "AssignIpv6AddressOnCreation": "assign_ipv6_address_on_creation",
    "EnableDns64": "enable_dns64",
}
_NAMES = {
    "EnableResourceNameDnsARecordOnLaunch": "EnableResourceNameDnsARecord",
    "EnableResourceNameDnsAAAARecordOnLaunch": "EnableResourceNameDnsAAAARecord",
}


def modify_subnet_attribute(asked: Asked) -> dict[str, Any]:
    params = asked.params
    subnet = backend(asked).get_subnet(params["SubnetId"])
    known = {*_FLAGS, *_NAMES, "SubnetId", "PrivateDnsHostnameTypeOnLaunch"}
    if set(params) - known:
        wanted = ", ".join(sorted(set(params) - known))
        raise Refused("InvalidParameterValue", 400, f"The sandbox's AWS keeps no {wanted} of a subnet.")
    for name, attribute in _FLAGS.items():
        if name in params:
            setattr(subnet, attribute, params[name]["Value"])
    options = subnet.private_dns_name_options_on_launch
    for name, option in _NAMES.items():
        if name in params:
            options[option] = params[name]["Value"]
    if "PrivateDnsHostnameTypeOnLaunch" in params:
        options["HostnameType"] = params["PrivateDnsHostnameTypeOnLaunch"]
    return {}


def associate_route_table(asked: Asked) -> dict[str, Any]:
    ec2, params = backend(asked), asked.params
    target = params.get("SubnetId") or params.get("GatewayId")
    for table in ec2.route_tables.values():
        for id, other in table._associations.items():
            if other == target:
                message = f"The specified association for route table {table.id} conflicts with an existing one: {id}."
                raise Refused("Resource.AlreadyAssociated", 400, message)
    table = ec2.get_route_table(params["RouteTableId"])
    if params.get("SubnetId") and ec2.get_subnet(params["SubnetId"]).vpc_id != table.vpc_id:
        message = f"Route table {table.id} and subnet {target} belong to different networks."
        raise Refused("InvalidParameterValue", 400, message)
    id = ec2.associate_route_table(table.id, params.get("GatewayId"), params.get("SubnetId"))
    return {"AssociationId": id, "AssociationState": {"State": "associated"}}


_ROUTE = {
    "DestinationCidrBlock": "destination_cidr_block",
    "DestinationIpv6CidrBlock": "destination_ipv6_cidr_block",
    "DestinationPrefixListId": "destination_prefix_list_id",
    "GatewayId": "gateway_id",
    "InstanceId": "instance_id",
    "NatGatewayId": "nat_gateway_id",
    "EgressOnlyInternetGatewayId": "egress_only_igw_id",
    "TransitGatewayId": "transit_gateway_id",
    "NetworkInterfaceId": "interface_id",
    "VpcPeeringConnectionId": "vpc_peering_connection_id",
    "CarrierGatewayId": "carrier_gateway_id",
    "VpcEndpointId": "vpc_endpoint_id",
}


def create_route(asked: Asked) -> dict[str, Any]:
    params = asked.params
    destinations = [name for name in _ROUTE if name.startswith("Destination") and params.get(name)]
    targets = [name for name in _ROUTE if not name.startswith("Destination") and params.get(name)]
    if len(destinations) != 1 or len(targets) != 1:
        message = "A route has exactly one destination and exactly one target."
        raise Refused("InvalidParameterCombination" if destinations else "MissingParameter", 400, message)
    _check_transit_gateway(asked)
    given = {argument: params.get(name) for name, argument in _ROUTE.items()}
    backend(asked).create_route(params["RouteTableId"], **given)
    return {"Return": True}


def _check_transit_gateway(asked: Asked) -> None:
    """A VPC reaches a transit gateway through an attachment, which therefore comes first."""
    ec2, wanted = backend(asked), asked.params.get("TransitGatewayId")
    if wanted is None:
        return
    vpc = ec2.get_route_table(asked.params["RouteTableId"]).vpc_id
    attached = any(
        each.transit_gateway_id == wanted and each.resource_id == vpc and each.state == "available"
        for each in ec2.transit_gateway_attachments.values()
    )
    if not attached:
        message = f"transitGateway {wanted} does not exist or is not attached to {vpc}."
        raise Refused("InvalidTransitGatewayID.NotFound", 400, message)


def _attached(ec2: Any, kind: str, id: str) -> bool:
    """Whether a transit gateway's attachment is in a VPC (`resource_id`) or a subnet (`subnet_ids`)."""
    return any(
        id in (value if isinstance(value, list) else [value])
        for each in ec2.transit_gateway_attachments.values()
        if each.state not in ("deleted", "deleting", "rejected", "failed")
        and (value := getattr(each, kind, None))
    )


def delete_subnet(asked: Asked) -> dict[str, Any]:
    ec2, id = backend(asked), asked.params["SubnetId"]
    ec2.get_subnet(id)
    if any(eni.subnet.id == id for eni in ec2.enis.values()) or _attached(ec2, "subnet_ids", id):
        raise in_use(f"The subnet '{id}'")
    ec2.delete_subnet(id)
    for table in ec2.route_tables.values():
        # The association goes with its subnet.
        table._associations = {key: other for key, other in table._associations.items() if other != id}
    return {}


def delete_vpc(asked: Asked) -> dict[str, Any]:
    ec2, id = backend(asked), asked.params["VpcId"]
    ec2.get_vpc(id)
    if (
        any(each.vpc_id == id for each in ec2.vpc_end_points.values() if each.state != "deleted")
        or any(each.vpc and each.vpc.id == id for each in ec2.internet_gateways.values())
        or any(not group.is_default for group in ec2.groups[id].values())
        or _attached(ec2, "resource_id", id)
    ):
        raise in_use(f"The vpc '{id}'")
    ec2.delete_vpc(id)
    return {}


def delete_route_table(asked: Asked) -> dict[str, Any]:
    ec2, id = backend(asked), asked.params["RouteTableId"]
    if ec2.get_route_table(id).main_association_id:
        raise in_use(f"The routeTable '{id}'")
    ec2.delete_route_table(id)
    return {}


OPERATIONS = (
    operation("CreateSubnet", create_subnet),
    operation("ModifySubnetAttribute", modify_subnet_attribute),
    operation("AssociateRouteTable", associate_route_table),
    operation("CreateRoute", create_route),
    operation("DeleteSubnet", delete_subnet),
    operation("DeleteRouteTable", delete_route_table),
    operation("DeleteVpc", delete_vpc),
)
