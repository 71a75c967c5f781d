"""Subnets, route tables, routes, and the deletion of VPCs.

moto treats the first subnet in a zone given by id as a default subnet, has no host name options, accepts a second
route table for a subnet, routes to transit gateways without an attachment, and deletes resources in use. AWS refuses
these requests (not verified).
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.ec2_shared import backend, in_use, operation, requested_tags, tags
from sandbox.aws.service_frame import Refused, ServiceRequest


def create_subnet(request: ServiceRequest) -> dict[str, Any]:
    ec2, params = backend(request), request.params
    zones = ec2.describe_availability_zones()
    zone = params.get("AvailabilityZone")
    if params.get("AvailabilityZoneId"):
        by_id = {zone_entry.zone_id: zone_entry.name for zone_entry in zones}
        zone = by_id.get(params["AvailabilityZoneId"])
    zone_names = sorted(zone_entry.name for zone_entry in zones)
    if zone is None and not params.get("AvailabilityZoneId"):
        zone = zone_names[0]
    if zone not in zone_names:
        zone_given = params.get("AvailabilityZoneId") or zone
        offered = ", ".join(zone_names)
        message = (
            f"Value ({zone_given}) for parameter availabilityZone is invalid. Subnets can be in: {offered}."
        )
        raise Refused("InvalidParameterValue", 400, message)
    subnet = ec2.create_subnet(
        params["VpcId"],
        params.get("CidrBlock"),
        params.get("Ipv6CidrBlock"),
        availability_zone=zone,
        ipv6_native=bool(params.get("Ipv6Native")),
        tags={"subnet": requested_tags(request, "subnet")},
    )
    # Only AWS makes default subnets.
    subnet.default_for_az = subnet.map_public_ip_on_launch = False
    return {"Subnet": _describe_subnet(subnet)}


def _describe_subnet(subnet: Any) -> dict[str, Any]:
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


_FLAG_ATTRIBUTES = {
    "MapPublicIpOnLaunch": "map_public_ip_on_launch",
    "AssignIpv6AddressOnCreation": "assign_ipv6_address_on_creation",
    "EnableDns64": "enable_dns64",
}
_DNS_NAME_OPTIONS = {
    "EnableResourceNameDnsARecordOnLaunch": "EnableResourceNameDnsARecord",
    "EnableResourceNameDnsAAAARecordOnLaunch": "EnableResourceNameDnsAAAARecord",
}


def modify_subnet_attribute(request: ServiceRequest) -> dict[str, Any]:
    params = request.params
    subnet = backend(request).get_subnet(params["SubnetId"])
    supported = {*_FLAG_ATTRIBUTES, *_DNS_NAME_OPTIONS, "SubnetId", "PrivateDnsHostnameTypeOnLaunch"}
    if set(params) - supported:
        unsupported = ", ".join(sorted(set(params) - supported))
        raise Refused("InvalidParameterValue", 400, f"The sandbox's AWS keeps no {unsupported} of a subnet.")
    for name, attribute in _FLAG_ATTRIBUTES.items():
        if name in params:
            setattr(subnet, attribute, params[name]["Value"])
    options = subnet.private_dns_name_options_on_launch
    for name, option in _DNS_NAME_OPTIONS.items():
        if name in params:
            options[option] = params[name]["Value"]
    if "PrivateDnsHostnameTypeOnLaunch" in params:
        options["HostnameType"] = params["PrivateDnsHostnameTypeOnLaunch"]
    return {}


def associate_route_table(request: ServiceRequest) -> dict[str, Any]:
    ec2, params = backend(request), request.params
    target = params.get("SubnetId") or params.get("GatewayId")
    for table in ec2.route_tables.values():
        for id, associated in table._associations.items():
            if associated == target:
                message = f"The specified association for route table {table.id} conflicts with an existing one: {id}."
                raise Refused("Resource.AlreadyAssociated", 400, message)
    table = ec2.get_route_table(params["RouteTableId"])
    if params.get("SubnetId") and ec2.get_subnet(params["SubnetId"]).vpc_id != table.vpc_id:
        message = f"Route table {table.id} and subnet {target} belong to different networks."
        raise Refused("InvalidParameterValue", 400, message)
    id = ec2.associate_route_table(table.id, params.get("GatewayId"), params.get("SubnetId"))
    return {"AssociationId": id, "AssociationState": {"State": "associated"}}


_ROUTE_ARGUMENTS = {
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


def create_route(request: ServiceRequest) -> dict[str, Any]:
    params = request.params
    destinations = [name for name in _ROUTE_ARGUMENTS if name.startswith("Destination") and params.get(name)]
    targets = [name for name in _ROUTE_ARGUMENTS if not name.startswith("Destination") and params.get(name)]
    if len(destinations) != 1 or len(targets) != 1:
        message = "A route has exactly one destination and exactly one target."
        raise Refused("InvalidParameterCombination" if destinations else "MissingParameter", 400, message)
    _check_transit_gateway(request)
    arguments = {argument: params.get(name) for name, argument in _ROUTE_ARGUMENTS.items()}
    backend(request).create_route(params["RouteTableId"], **arguments)
    return {"Return": True}


def _check_transit_gateway(request: ServiceRequest) -> None:
    """Raise `Refused` for a route to a transit gateway to which the VPC is not attached."""
    ec2, gateway_id = backend(request), request.params.get("TransitGatewayId")
    if gateway_id is None:
        return
    vpc = ec2.get_route_table(request.params["RouteTableId"]).vpc_id
    attached = any(
        attachment.transit_gateway_id == gateway_id
        and attachment.resource_id == vpc
        and attachment.state == "available"
        for attachment in ec2.transit_gateway_attachments.values()
    )
    if not attached:
        message = f"transitGateway {gateway_id} does not exist or is not attached to {vpc}."
        raise Refused("InvalidTransitGatewayID.NotFound", 400, message)


def _has_attachment(ec2: Any, kind: str, id: str) -> bool:
    """Return True if a transit gateway is attached to a VPC (`resource_id`) or a subnet (`subnet_ids`)."""
    return any(
        id in (value if isinstance(value, list) else [value])
        for attachment in ec2.transit_gateway_attachments.values()
        if attachment.state not in ("deleted", "deleting", "rejected", "failed")
        and (value := getattr(attachment, kind, None))
    )


def delete_subnet(request: ServiceRequest) -> dict[str, Any]:
    ec2, id = backend(request), request.params["SubnetId"]
    ec2.get_subnet(id)
    if any(eni.subnet.id == id for eni in ec2.enis.values()) or _has_attachment(ec2, "subnet_ids", id):
        raise in_use(f"The subnet '{id}'")
    ec2.delete_subnet(id)
    for table in ec2.route_tables.values():
        # AWS deletes the association with its subnet.
        table._associations = {
            key: associated for key, associated in table._associations.items() if associated != id
        }
    return {}


def delete_vpc(request: ServiceRequest) -> dict[str, Any]:
    ec2, id = backend(request), request.params["VpcId"]
    ec2.get_vpc(id)
    if (
        any(endpoint.vpc_id == id for endpoint in ec2.vpc_end_points.values() if endpoint.state != "deleted")
        or any(gateway.vpc and gateway.vpc.id == id for gateway in ec2.internet_gateways.values())
        or any(not group.is_default for group in ec2.groups[id].values())
        or _has_attachment(ec2, "resource_id", id)
    ):
        raise in_use(f"The vpc '{id}'")
    ec2.delete_vpc(id)
    return {}


def delete_route_table(request: ServiceRequest) -> dict[str, Any]:
    ec2, id = backend(request), request.params["RouteTableId"]
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
