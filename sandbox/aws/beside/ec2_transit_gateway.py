"""Transit gateways: what moto keeps of them, kept as AWS keeps it.

The objects are moto's own, so moto's answers (`Describe…`, `Get…`) show what is done here. moto makes a
default route table that was not asked for and leaves it behind, forgets an attachment's tags, joins a new
attachment to the default table always, lets one attachment be associated twice, can take back one
propagation of an attachment only, and fails inside at an id that it does not know.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused


def ec2(asked: Asked) -> Any:
    """moto's EC2 of the request's account and region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[asked.account][asked.region]


def found(things: dict[str, Any], id: str, code: str, what: str) -> Any:
    """The thing with this id. Raises `Refused` as AWS does when there is none."""
    thing = things.get(id)
    if thing is None or getattr(thing, "state", "") == "deleted":
        raise Refused(code, 400, f"{what} {id} was deleted or does not exist.")
    return thing


def gateway(asked: Asked, id: str) -> Any:
    return found(ec2(asked).transit_gateways, id, "InvalidTransitGatewayID.NotFound", "Transit Gateway")


def attachment(asked: Asked, id: str) -> Any:
    kept = ec2(asked).transit_gateway_attachments
    return found(kept, id, "InvalidTransitGatewayAttachmentID.NotFound", "Transit Gateway Attachment")


def table(asked: Asked, id: str) -> Any:
    kept = ec2(asked).transit_gateways_route_tables
    return found(kept, id, "InvalidRouteTableID.NotFound", "Transit Gateway Route Table")


def tags_of(asked: Asked, resource: str) -> dict[str, str]:
    """The tags that a request gives to a new `resource` (`transit-gateway`, …)."""
    given = asked.params.get("TagSpecifications", ())
    mine = [spec for spec in given if spec.get("ResourceType") == resource]
    if len(mine) != len(given):
        raise Refused("InvalidParameterValue", 400, f"Only tags of a {resource} can be given here.")
    return {tag["Key"]: tag["Value"] for spec in mine for tag in spec.get("Tags", ())}


def tags_in(thing: Any) -> list[dict[str, str]]:
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in thing.get_tags()]


def attach(asked: Asked, gateway_id: str, resource_id: str, kind: str) -> Any:
    """A new attachment of a VPN connection or of a Direct Connect gateway, joined as the gateway's options say."""
    from moto.ec2.models.transit_gateway_attachments import TransitGatewayAttachment

    hub = gateway(asked, gateway_id)
    made = TransitGatewayAttachment(
        ec2(asked), resource_id=resource_id, resource_type=kind, transit_gateway=hub
    )
    return _joined(asked, hub, made)


def detach(asked: Asked, made: Any) -> None:
    """Take an attachment away with all that joins it; static routes to it become black holes, as in AWS."""
    backend = ec2(asked)
    made.state = "deleted"
    backend.transit_gateway_attachments.pop(made.id, None)
    backend.tags.pop(made.id, None)
    for each in backend.transit_gateways_route_tables.values():
        each.route_table_associations.pop(made.id, None)
        each.route_table_propagation = _others(each, made.id)
        for route in each.routes.values():
            if any(end["TransitGatewayAttachmentId"] == made.id for end in route.get("ends", ())):
                route["state"] = "blackhole"


def _joined(asked: Asked, hub: Any, made: Any) -> Any:
    ec2(asked).transit_gateway_attachments[made.id] = made
    made.transit_gateway_route_table = None
    if hub.options.get("AssociationDefaultRouteTableId"):
        _associate(table(asked, hub.options["AssociationDefaultRouteTableId"]), made)
    if hub.options.get("PropagationDefaultRouteTableId"):
        _propagate(table(asked, hub.options["PropagationDefaultRouteTableId"]), made)
    return made


def _associate(target: Any, made: Any) -> None:
    from moto.ec2.models.transit_gateway_route_tables import RouteTableAssociation

    if made.transit_gateway_route_table is not None:
        raise Refused(
            "Resource.AlreadyAssociated",
            400,
            f"Transit Gateway Attachment {made.id} is already associated to a route table.",
        )
    made.transit_gateway_route_table = target
    target.route_table_associations[made.id] = RouteTableAssociation(
        made.resource_id, made.resource_type, "associated", made.id
    )


def _propagate(target: Any, made: Any) -> None:
    from moto.ec2.models.transit_gateway_route_tables import RouteTablePropagation

    if len(_others(target, made.id)) != len(target.route_table_propagation):
        code = "TransitGatewayRouteTablePropagation.Duplicate"
        raise Refused(code, 400, f"Propagation of {made.id} is already enabled for {target.id}.")
    target.route_table_propagation.append(
        RouteTablePropagation(made.resource_id, made.resource_type, "enabled", made.id)
    )


def _others(target: Any, id: str) -> list[Any]:
    """The propagations into a table of all attachments but this one."""
    return [one for one in target.route_table_propagation if one.transitGatewayAttachmentId != id]


def create_transit_gateway(asked: Asked) -> dict[str, Any]:
    """Without default association and propagation there is no default route table."""
    tags = [{"Key": key, "Value": text} for key, text in tags_of(asked, "transit-gateway").items()]
    options = dict(asked.params.get("Options", {}))
    made = ec2(asked).create_transit_gateway(asked.params.get("Description"), options, tags)
    made.options.setdefault("SecurityGroupReferencingSupport", "disable")
    for name in ("Association", "Propagation"):
        on = made.options[f"DefaultRouteTable{name}"] == "enable"
        setattr(made.default_route_table, f"default_{name.lower()}_route_table", on)
        if not on:
            del made.options[f"{name}DefaultRouteTableId"]
    if "DefaultRouteTableId" not in "".join(made.options):
        del ec2(asked).transit_gateways_route_tables[made.default_route_table.id]
    return {"TransitGateway": _hub(made)}


def _hub(made: Any) -> dict[str, Any]:
    return {
        "TransitGatewayId": made.id,
        "TransitGatewayArn": made.arn,
        "State": made.state,
        "OwnerId": made.owner_id,
        "Description": made.description or "",
        "Options": {**made.options, "AmazonSideAsn": int(made.options["AmazonSideAsn"])},
        "Tags": tags_in(made),
    }


def modify_transit_gateway(asked: Asked) -> dict[str, Any]:
    made = gateway(asked, asked.params["TransitGatewayId"])
    if "Description" in asked.params:
        made.description = asked.params["Description"]
    options = dict(asked.params.get("Options", {}))
    gone = options.pop("RemoveTransitGatewayCidrBlocks", [])
    new = options.pop("AddTransitGatewayCidrBlocks", [])
    blocks = [block for block in made.options.get("TransitGatewayCidrBlocks") or [] if block not in gone]
    made.options |= {**options, "TransitGatewayCidrBlocks": [*blocks, *new]}
    return {"TransitGateway": _hub(made)}


def delete_transit_gateway(asked: Asked) -> dict[str, Any]:
    """Its default route table goes with it; attachments and route tables of others hold it back."""
    backend, id = ec2(asked), asked.params["TransitGatewayId"]
    made = gateway(asked, id)
    if any(one.transit_gateway_id == id for one in backend.transit_gateway_attachments.values()):
        raise Refused("IncorrectState", 400, f"{id} has non-deleted Transit Gateway Attachments.")
    default = made.default_route_table.id
    tables = backend.transit_gateways_route_tables.values()
    if any(one.transit_gateway_id == id and one.id != default for one in tables):
        raise Refused("IncorrectState", 400, f"{id} has non-deleted Transit Gateway Route Tables.")
    backend.transit_gateways_route_tables.pop(default, None)
    answer = {"TransitGateway": {**_hub(made), "State": "deleting"}}
    backend.delete_transit_gateway(id)
    backend.tags.pop(id, None)
    return answer


def create_vpc_attachment(asked: Asked) -> dict[str, Any]:
    from moto.ec2.models.transit_gateway_attachments import TransitGatewayVpcAttachment

    backend, vpc = ec2(asked), asked.params["VpcId"]
    hub = gateway(asked, asked.params["TransitGatewayId"])
    if vpc not in backend.vpcs:
        raise Refused("InvalidVpcID.NotFound", 400, f"The vpc ID '{vpc}' does not exist")
    _same_vpc(asked, vpc, asked.params["SubnetIds"])
    kept = backend.transit_gateway_attachments.values()
    if any(one.resource_id == vpc and one.transit_gateway_id == hub.id for one in kept):
        raise Refused("DuplicateTransitGatewayAttachment", 400, f"{hub.id} has non-deleted {vpc} attachment.")
    made = TransitGatewayVpcAttachment(
        backend,
        transit_gateway=hub,
        vpc_id=vpc,
        subnet_ids=list(asked.params["SubnetIds"]),
        tags=tags_of(asked, "transit-gateway-attachment"),
        options=dict(asked.params.get("Options", {})),
    )
    return {"TransitGatewayVpcAttachment": _vpc_attachment(_joined(asked, hub, made))}


def _same_vpc(asked: Asked, vpc: str, subnets: list[str]) -> None:
    """Subnets of one VPC, one a zone. Raises `Refused` otherwise."""
    known = {one.id: one for zone in ec2(asked).subnets.values() for one in zone.values()}
    for id in subnets:
        if id not in known:
            raise Refused("InvalidSubnetID.NotFound", 400, f"The subnet ID '{id}' does not exist")
        if known[id].vpc_id != vpc:
            raise Refused("InvalidParameterValue", 400, f"The subnet {id} is not of the VPC {vpc}.")
    zones = [known[id].availability_zone for id in subnets]
    if len(set(zones)) != len(zones):
        raise Refused("DuplicateSubnetsInSameZone", 400, "Only one subnet of each zone can be attached.")


def _vpc_attachment(made: Any) -> dict[str, Any]:
    return {
        "TransitGatewayAttachmentId": made.id,
        "TransitGatewayId": made.transit_gateway_id,
        "VpcId": made.vpc_id,
        "VpcOwnerId": made.vpc_owner_id,
        "State": made.state,
        "SubnetIds": made.subnet_ids,
        "Options": made.options,
        "Tags": tags_in(made),
    }


def modify_vpc_attachment(asked: Asked) -> dict[str, Any]:
    made = attachment(asked, asked.params["TransitGatewayAttachmentId"])
    gone = asked.params.get("RemoveSubnetIds", ())
    left = [id for id in made.subnet_ids if id not in gone]
    left += [id for id in asked.params.get("AddSubnetIds", ()) if id not in left]
    _same_vpc(asked, made.vpc_id, left)
    made.subnet_ids = left
    made.options |= asked.params.get("Options", {})
    return {"TransitGatewayVpcAttachment": _vpc_attachment(made)}


def delete_vpc_attachment(asked: Asked) -> dict[str, Any]:
    made = attachment(asked, asked.params["TransitGatewayAttachmentId"])
    answer = {"TransitGatewayVpcAttachment": {**_vpc_attachment(made), "State": "deleting"}}
    detach(asked, made)
    return answer


def delete_route_table(asked: Asked) -> dict[str, Any]:
    made = table(asked, asked.params["TransitGatewayRouteTableId"])
    if made.route_table_associations:
        raise Refused("IncorrectState", 400, f"{made.id} has associations; disassociate them first.")
    del ec2(asked).transit_gateways_route_tables[made.id]
    ec2(asked).tags.pop(made.id, None)
    return {
        "TransitGatewayRouteTable": {
            "TransitGatewayRouteTableId": made.id,
            "TransitGatewayId": made.transit_gateway_id,
            "State": "deleting",
        }
    }


def _ends(asked: Asked) -> tuple[Any, Any]:
    return table(asked, asked.params["TransitGatewayRouteTableId"]), attachment(
        asked, asked.params["TransitGatewayAttachmentId"]
    )


def _relation(target: Any, made: Any, state: str) -> dict[str, Any]:
    return {
        "TransitGatewayRouteTableId": target.id,
        "TransitGatewayAttachmentId": made.id,
        "ResourceId": made.resource_id,
        "ResourceType": made.resource_type,
        "State": state,
    }


def associate(asked: Asked) -> dict[str, Any]:
    target, made = _ends(asked)
    _associate(target, made)
    return {"Association": _relation(target, made, "associated")}


def disassociate(asked: Asked) -> dict[str, Any]:
    target, made = _ends(asked)
    if made.transit_gateway_route_table is not target:
        raise Refused("InvalidAssociation.NotFound", 400, f"{made.id} is not associated with {target.id}.")
    made.transit_gateway_route_table = None
    target.route_table_associations.pop(made.id)
    return {"Association": _relation(target, made, "disassociating")}


def enable_propagation(asked: Asked) -> dict[str, Any]:
    target, made = _ends(asked)
    _propagate(target, made)
    return {"Propagation": _relation(target, made, "enabled")}


def disable_propagation(asked: Asked) -> dict[str, Any]:
    target, made = _ends(asked)
    left = _others(target, made.id)
    if len(left) == len(target.route_table_propagation):
        code = "TransitGatewayRouteTablePropagation.NotFound"
        raise Refused(code, 400, f"Propagation of {made.id} is not enabled for {target.id}.")
    target.route_table_propagation = left
    return {"Propagation": _relation(target, made, "disabling")}


def create_route(asked: Asked) -> dict[str, Any]:
    """A static route to an attachment of the same gateway, or into a black hole."""
    target = table(asked, asked.params["TransitGatewayRouteTableId"])
    cidr, end = asked.params["DestinationCidrBlock"], asked.params.get("TransitGatewayAttachmentId")
    try:
        ipaddress.ip_network(cidr)
    except ValueError:
        raise Refused("InvalidParameterValue", 400, f"{cidr} is no network in CIDR notation.") from None
    if bool(end) == bool(asked.params.get("Blackhole")):
        raise Refused("InvalidParameterCombination", 400, "A route has an attachment or is a black hole.")
    if cidr in target.routes:
        raise Refused("RouteAlreadyExists", 400, f"Route {cidr} already exists in {target.id}.")
    made = attachment(asked, end) if end else None
    if made and made.transit_gateway_id != target.transit_gateway_id:
        raise Refused("InvalidParameterValue", 400, f"{end} is of another transit gateway.")
    target.routes[cidr] = {
        "destinationCidrBlock": cidr,
        "type": "static",
        "state": "active" if made else "blackhole",
        "ends": [
            {
                "TransitGatewayAttachmentId": made.id,
                "ResourceId": made.resource_id,
                "ResourceType": made.resource_type,
            }
        ]
        if made
        else [],
    }
    return {"Route": _route(target.routes[cidr])}


def _route(route: dict[str, Any]) -> dict[str, Any]:
    return {
        "DestinationCidrBlock": route["destinationCidrBlock"],
        "TransitGatewayAttachments": route["ends"],
        "Type": route["type"],
        "State": route["state"],
    }


def delete_route(asked: Asked) -> dict[str, Any]:
    target = table(asked, asked.params["TransitGatewayRouteTableId"])
    cidr = asked.params["DestinationCidrBlock"]
    if cidr not in target.routes:
        raise Refused("InvalidRoute.NotFound", 400, f"{target.id} has no route to {cidr}.")
    return {"Route": {**_route(target.routes.pop(cidr)), "State": "deleted"}}


_ROUTE_FILTERS = {"type": "type", "state": "state", "route-search.exact-match": "destinationCidrBlock"}


def search_routes(asked: Asked) -> dict[str, Any]:
    target = table(asked, asked.params["TransitGatewayRouteTableId"])
    routes = list(target.routes.values())
    for each in asked.params["Filters"]:
        key = _ROUTE_FILTERS.get(each["Name"])
        if key is None:
            raise Refused("InvalidParameterValue", 400, f"The filter {each['Name']} is not served here.")
        routes = [route for route in routes if route[key] in each["Values"]]
    return {"Routes": [_route(route) for route in routes], "AdditionalRoutesAvailable": False}


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
