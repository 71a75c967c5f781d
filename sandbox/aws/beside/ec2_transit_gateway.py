"""Transit gateways, their attachments, route tables and routes.

The objects are moto's, so moto's answers (`Describe…`, `Get…`) show the changes. moto has these errors: it always
creates a default route table and does not delete it; it loses an attachment's tags; it always joins a new attachment
to the default table; an attachment can be associated twice; only one propagation of an attachment can be disabled;
and an unknown id causes an internal error.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest


def moto_backend(request: ServiceRequest) -> Any:
    """Return moto's EC2 backend of the request's account and region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[request.account][request.region]


def find_resource(resources: dict[str, Any], id: str, code: str, noun: str) -> Any:
    """Return the resource with this id. Raises `Refused` as AWS does if it does not exist."""
    resource = resources.get(id)
    if resource is None or getattr(resource, "state", "") == "deleted":
        raise Refused(code, 400, f"{noun} {id} was deleted or does not exist.")
    return resource


def find_gateway(request: ServiceRequest, id: str) -> Any:
    return find_resource(
        moto_backend(request).transit_gateways, id, "InvalidTransitGatewayID.NotFound", "Transit Gateway"
    )


def find_attachment(request: ServiceRequest, id: str) -> Any:
    attachments = moto_backend(request).transit_gateway_attachments
    return find_resource(
        attachments, id, "InvalidTransitGatewayAttachmentID.NotFound", "Transit Gateway Attachment"
    )


def find_route_table(request: ServiceRequest, id: str) -> Any:
    tables = moto_backend(request).transit_gateways_route_tables
    return find_resource(tables, id, "InvalidRouteTableID.NotFound", "Transit Gateway Route Table")


def requested_tags(request: ServiceRequest, resource: str) -> dict[str, str]:
    """Return the tags of a creating request for a new `resource` (`transit-gateway`, …)."""
    specifications = request.params.get("TagSpecifications", ())
    own_specifications = [spec for spec in specifications if spec.get("ResourceType") == resource]
    if len(own_specifications) != len(specifications):
        raise Refused("InvalidParameterValue", 400, f"Only tags of a {resource} can be given here.")
    return {tag["Key"]: tag["Value"] for spec in own_specifications for tag in spec.get("Tags", ())}


def describe_tags(resource: Any) -> list[dict[str, str]]:
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in resource.get_tags()]


def attach(request: ServiceRequest, gateway_id: str, resource_id: str, kind: str) -> Any:
    """Create an attachment of a VPN connection or Direct Connect gateway, and join it to the default route tables."""
    from moto.ec2.models.transit_gateway_attachments import TransitGatewayAttachment

    hub = find_gateway(request, gateway_id)
    new_attachment = TransitGatewayAttachment(
        moto_backend(request), resource_id=resource_id, resource_type=kind, transit_gateway=hub
    )
    return _join_default_tables(request, hub, new_attachment)


def detach(request: ServiceRequest, old_attachment: Any) -> None:
    """Delete an attachment with its associations and propagations. As in AWS, its static routes become black holes."""
    backend = moto_backend(request)
    old_attachment.state = "deleted"
    backend.transit_gateway_attachments.pop(old_attachment.id, None)
    backend.tags.pop(old_attachment.id, None)
    for route_table in backend.transit_gateways_route_tables.values():
        route_table.route_table_associations.pop(old_attachment.id, None)
        route_table.route_table_propagation = _other_propagations(route_table, old_attachment.id)
        for route in route_table.routes.values():
            if any(end["TransitGatewayAttachmentId"] == old_attachment.id for end in route.get("ends", ())):
                route["state"] = "blackhole"


def _join_default_tables(request: ServiceRequest, hub: Any, new_attachment: Any) -> Any:
    moto_backend(request).transit_gateway_attachments[new_attachment.id] = new_attachment
    new_attachment.transit_gateway_route_table = None
    if hub.options.get("AssociationDefaultRouteTableId"):
        _associate(find_route_table(request, hub.options["AssociationDefaultRouteTableId"]), new_attachment)
    if hub.options.get("PropagationDefaultRouteTableId"):
        _propagate(find_route_table(request, hub.options["PropagationDefaultRouteTableId"]), new_attachment)
    return new_attachment


def _associate(route_table: Any, member: Any) -> None:
    from moto.ec2.models.transit_gateway_route_tables import RouteTableAssociation

    if member.transit_gateway_route_table is not None:
        raise Refused(
            "Resource.AlreadyAssociated",
            400,
            f"Transit Gateway Attachment {member.id} is already associated to a route table.",
        )
    member.transit_gateway_route_table = route_table
    route_table.route_table_associations[member.id] = RouteTableAssociation(
        member.resource_id, member.resource_type, "associated", member.id
    )


def _propagate(route_table: Any, member: Any) -> None:
    from moto.ec2.models.transit_gateway_route_tables import RouteTablePropagation

    if len(_other_propagations(route_table, member.id)) != len(route_table.route_table_propagation):
        code = "TransitGatewayRouteTablePropagation.Duplicate"
        raise Refused(code, 400, f"Propagation of {member.id} is already enabled for {route_table.id}.")
    route_table.route_table_propagation.append(
        RouteTablePropagation(member.resource_id, member.resource_type, "enabled", member.id)
    )


def _other_propagations(route_table: Any, id: str) -> list[Any]:
    """Return the propagations into a route table, without those of this attachment."""
    return [
        propagation
        for propagation in route_table.route_table_propagation
        if propagation.transitGatewayAttachmentId != id
    ]


def create_transit_gateway(request: ServiceRequest) -> dict[str, Any]:
    """Create a gateway. Without default association and propagation it has no default route table."""
    tags = [{"Key": key, "Value": text} for key, text in requested_tags(request, "transit-gateway").items()]
    options = dict(request.params.get("Options", {}))
    hub = moto_backend(request).create_transit_gateway(request.params.get("Description"), options, tags)
    hub.options.setdefault("SecurityGroupReferencingSupport", "disable")
    for name in ("Association", "Propagation"):
        on = hub.options[f"DefaultRouteTable{name}"] == "enable"
        setattr(hub.default_route_table, f"default_{name.lower()}_route_table", on)
        if not on:
            del hub.options[f"{name}DefaultRouteTableId"]
    if "DefaultRouteTableId" not in "".join(hub.options):
        del moto_backend(request).transit_gateways_route_tables[hub.default_route_table.id]
    return {"TransitGateway": _describe_gateway(hub)}


def _describe_gateway(hub: Any) -> dict[str, Any]:
    return {
        "TransitGatewayId": hub.id,
        "TransitGatewayArn": hub.arn,
        "State": hub.state,
        "OwnerId": hub.owner_id,
        "Description": hub.description or "",
        "Options": {**hub.options, "AmazonSideAsn": int(hub.options["AmazonSideAsn"])},
        "Tags": describe_tags(hub),
    }


def modify_transit_gateway(request: ServiceRequest) -> dict[str, Any]:
    hub = find_gateway(request, request.params["TransitGatewayId"])
    if "Description" in request.params:
        hub.description = request.params["Description"]
    options = dict(request.params.get("Options", {}))
    removed = options.pop("RemoveTransitGatewayCidrBlocks", [])
    added = options.pop("AddTransitGatewayCidrBlocks", [])
    blocks = [block for block in hub.options.get("TransitGatewayCidrBlocks") or [] if block not in removed]
    hub.options |= {**options, "TransitGatewayCidrBlocks": [*blocks, *added]}
    return {"TransitGateway": _describe_gateway(hub)}


def delete_transit_gateway(request: ServiceRequest) -> dict[str, Any]:
    """Delete a gateway with its default route table. Raises `Refused` if it has attachments or other route tables."""
    backend, id = moto_backend(request), request.params["TransitGatewayId"]
    hub = find_gateway(request, id)
    if any(member.transit_gateway_id == id for member in backend.transit_gateway_attachments.values()):
        raise Refused("IncorrectState", 400, f"{id} has non-deleted Transit Gateway Attachments.")
    default = hub.default_route_table.id
    tables = backend.transit_gateways_route_tables.values()
    if any(route_table.transit_gateway_id == id and route_table.id != default for route_table in tables):
        raise Refused("IncorrectState", 400, f"{id} has non-deleted Transit Gateway Route Tables.")
    backend.transit_gateways_route_tables.pop(default, None)
    answer = {"TransitGateway": {**_describe_gateway(hub), "State": "deleting"}}
    backend.delete_transit_gateway(id)
    backend.tags.pop(id, None)
    return answer


def create_vpc_attachment(request: ServiceRequest) -> dict[str, Any]:
    from moto.ec2.models.transit_gateway_attachments import TransitGatewayVpcAttachment

    backend, vpc = moto_backend(request), request.params["VpcId"]
    hub = find_gateway(request, request.params["TransitGatewayId"])
    if vpc not in backend.vpcs:
        raise Refused("InvalidVpcID.NotFound", 400, f"The vpc ID '{vpc}' does not exist")
    _check_subnets(request, vpc, request.params["SubnetIds"])
    attachments = backend.transit_gateway_attachments.values()
    if any(existing.resource_id == vpc and existing.transit_gateway_id == hub.id for existing in attachments):
        raise Refused("DuplicateTransitGatewayAttachment", 400, f"{hub.id} has non-deleted {vpc} attachment.")
    new_attachment = TransitGatewayVpcAttachment(
        backend,
        transit_gateway=hub,
        vpc_id=vpc,
        subnet_ids=list(request.params["SubnetIds"]),
        tags=requested_tags(request, "transit-gateway-attachment"),
        options=dict(request.params.get("Options", {})),
    )
    return {
        "TransitGatewayVpcAttachment": _describe_vpc_attachment(
            _join_default_tables(request, hub, new_attachment)
        )
    }


def _check_subnets(request: ServiceRequest, vpc: str, subnets: list[str]) -> None:
    """Raise `Refused` unless the subnets are in this VPC and in different zones."""
    subnets_by_id = {
        subnet.id: subnet for zone in moto_backend(request).subnets.values() for subnet in zone.values()
    }
    for id in subnets:
        if id not in subnets_by_id:
            raise Refused("InvalidSubnetID.NotFound", 400, f"The subnet ID '{id}' does not exist")
        if subnets_by_id[id].vpc_id != vpc:
            raise Refused("InvalidParameterValue", 400, f"The subnet {id} is not of the VPC {vpc}.")
    zones = [subnets_by_id[id].availability_zone for id in subnets]
    if len(set(zones)) != len(zones):
        raise Refused("DuplicateSubnetsInSameZone", 400, "Only one subnet of each zone can be attached.")


def _describe_vpc_attachment(member: Any) -> dict[str, Any]:
    return {
        "TransitGatewayAttachmentId": member.id,
        "TransitGatewayId": member.transit_gateway_id,
        "VpcId": member.vpc_id,
        "VpcOwnerId": member.vpc_owner_id,
        "State": member.state,
        "SubnetIds": member.subnet_ids,
        "Options": member.options,
        "Tags": describe_tags(member),
    }


def modify_vpc_attachment(request: ServiceRequest) -> dict[str, Any]:
    member = find_attachment(request, request.params["TransitGatewayAttachmentId"])
    removed = request.params.get("RemoveSubnetIds", ())
    remaining = [id for id in member.subnet_ids if id not in removed]
    remaining += [id for id in request.params.get("AddSubnetIds", ()) if id not in remaining]
    _check_subnets(request, member.vpc_id, remaining)
    member.subnet_ids = remaining
    member.options |= request.params.get("Options", {})
    return {"TransitGatewayVpcAttachment": _describe_vpc_attachment(member)}


def delete_vpc_attachment(request: ServiceRequest) -> dict[str, Any]:
    member = find_attachment(request, request.params["TransitGatewayAttachmentId"])
    answer = {"TransitGatewayVpcAttachment": {**_describe_vpc_attachment(member), "State": "deleting"}}
    detach(request, member)
    return answer


def delete_route_table(request: ServiceRequest) -> dict[str, Any]:
    route_table = find_route_table(request, request.params["TransitGatewayRouteTableId"])
    if route_table.route_table_associations:
        raise Refused("IncorrectState", 400, f"{route_table.id} has associations; disassociate them first.")
    del moto_backend(request).transit_gateways_route_tables[route_table.id]
    moto_backend(request).tags.pop(route_table.id, None)
    return {
        "TransitGatewayRouteTable": {
            "TransitGatewayRouteTableId": route_table.id,
            "TransitGatewayId": route_table.transit_gateway_id,
            "State": "deleting",
        }
    }


def _table_and_attachment(request: ServiceRequest) -> tuple[Any, Any]:
    return find_route_table(request, request.params["TransitGatewayRouteTableId"]), find_attachment(
        request, request.params["TransitGatewayAttachmentId"]
    )


def _describe_relation(route_table: Any, member: Any, state: str) -> dict[str, Any]:
    return {
        "TransitGatewayRouteTableId": route_table.id,
        "TransitGatewayAttachmentId": member.id,
        "ResourceId": member.resource_id,
        "ResourceType": member.resource_type,
        "State": state,
    }


def associate(request: ServiceRequest) -> dict[str, Any]:
    route_table, member = _table_and_attachment(request)
    _associate(route_table, member)
    return {"Association": _describe_relation(route_table, member, "associated")}


def disassociate(request: ServiceRequest) -> dict[str, Any]:
    route_table, member = _table_and_attachment(request)
    if member.transit_gateway_route_table is not route_table:
        raise Refused(
            "InvalidAssociation.NotFound", 400, f"{member.id} is not associated with {route_table.id}."
        )
    member.transit_gateway_route_table = None
    route_table.route_table_associations.pop(member.id)
    return {"Association": _describe_relation(route_table, member, "disassociating")}


def enable_propagation(request: ServiceRequest) -> dict[str, Any]:
    route_table, member = _table_and_attachment(request)
    _propagate(route_table, member)
    return {"Propagation": _describe_relation(route_table, member, "enabled")}


def disable_propagation(request: ServiceRequest) -> dict[str, Any]:
    route_table, member = _table_and_attachment(request)
    remaining = _other_propagations(route_table, member.id)
    if len(remaining) == len(route_table.route_table_propagation):
        code = "TransitGatewayRouteTablePropagation.NotFound"
        raise Refused(code, 400, f"Propagation of {member.id} is not enabled for {route_table.id}.")
    route_table.route_table_propagation = remaining
    return {"Propagation": _describe_relation(route_table, member, "disabling")}


def create_route(request: ServiceRequest) -> dict[str, Any]:
    """Create a static route to an attachment of the same gateway, or a black hole."""
    route_table = find_route_table(request, request.params["TransitGatewayRouteTableId"])
    cidr, attachment_id = (
        request.params["DestinationCidrBlock"],
        request.params.get("TransitGatewayAttachmentId"),
    )
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        raise Refused("InvalidParameterValue", 400, f"{cidr} is no network in CIDR notation.") from None
    if bool(attachment_id) == bool(request.params.get("Blackhole")):
        raise Refused("InvalidParameterCombination", 400, "A route has an attachment or is a black hole.")
    if cidr in route_table.routes:
        raise Refused("RouteAlreadyExists", 400, f"Route {cidr} already exists in {route_table.id}.")
    target_attachment = find_attachment(request, attachment_id) if attachment_id else None
    if target_attachment and target_attachment.transit_gateway_id != route_table.transit_gateway_id:
        raise Refused("InvalidParameterValue", 400, f"{attachment_id} is of another transit gateway.")
    route_table.routes[cidr] = {
        "destinationCidrBlock": cidr,
        "type": "static",
        "state": "active" if target_attachment else "blackhole",
        "ends": [
            {
                "TransitGatewayAttachmentId": target_attachment.id,
                "ResourceId": target_attachment.resource_id,
                "ResourceType": target_attachment.resource_type,
            }
        ]
        if target_attachment
        else [],
    }
    return {"Route": _describe_route(route_table.routes[cidr])}


def _describe_route(route: dict[str, Any]) -> dict[str, Any]:
    return {
        "DestinationCidrBlock": route["destinationCidrBlock"],
        "TransitGatewayAttachments": route["ends"],
        "Type": route["type"],
        "State": route["state"],
    }


def delete_route(request: ServiceRequest) -> dict[str, Any]:
    route_table = find_route_table(request, request.params["TransitGatewayRouteTableId"])
    cidr = request.params["DestinationCidrBlock"]
    if cidr not in route_table.routes:
        raise Refused("InvalidRoute.NotFound", 400, f"{route_table.id} has no route to {cidr}.")
    return {"Route": {**_describe_route(route_table.routes.pop(cidr)), "State": "deleted"}}


_ROUTE_FILTERS = {"type": "type", "state": "state", "route-search.exact-match": "destinationCidrBlock"}


def search_routes(request: ServiceRequest) -> dict[str, Any]:
    route_table = find_route_table(request, request.params["TransitGatewayRouteTableId"])
    routes = list(route_table.routes.values())
    for criterion in request.params["Filters"]:
        key = _ROUTE_FILTERS.get(criterion["Name"])
        if key is None:
            raise Refused("InvalidParameterValue", 400, f"The filter {criterion['Name']} is not served here.")
        routes = [route for route in routes if route[key] in criterion["Values"]]
    return {"Routes": [_describe_route(route) for route in routes], "AdditionalRoutesAvailable": False}


OPERATIONS = tuple(
    Operation("ec2", name, answer)
    for name, answer in {
        "CreateTransitGateway": create_transit_gateway,
        "ModifyTransitGateway": modify_transit_gateway,
        "DeleteTransitGateway": delete_transit_gateway,
        "CreateTransitGatewayVpcAttachment": create_vpc_attachment,
        "ModifyTransitGatewayVpcAttachment": modify_vpc_attachment,
        "DeleteTransitGatewayVpcAttachment": delete_vpc_attachment,
        "DeleteTransitGatewayRouteTable": delete_route_table,
        "AssociateTransitGatewayRouteTable": associate,
        "DisassociateTransitGatewayRouteTable": disassociate,
        "EnableTransitGatewayRouteTablePropagation": enable_propagation,
        "DisableTransitGatewayRouteTablePropagation": disable_propagation,
        "CreateTransitGatewayRoute": create_route,
        "DeleteTransitGatewayRoute": delete_route,
        "SearchTransitGatewayRoutes": search_routes,
    }.items()
)
