"""AWS Direct Connect: gateways, their associations with transit gateways, and transit virtual interfaces.

moto has connections only. A Direct Connect gateway has no region; an association or interface has the region of what
it connects. An association creates the transit gateway's attachment, a moto object. Without a BGP key for an
interface, one is generated. As in AWS, every answer shows it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.ec2_transit_gateway import attach, detach, find_gateway
from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_GLOBAL_REGION = "us-east-1"
"""Region under which resources without a region are stored."""
_CONNECTION = re.compile(r"dxcon-[a-z0-9]{8}")
_LINK_LOCAL = "169.254.{third}.{host}/30"


@dataclass
class _State:
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict)
    associations: dict[str, dict[str, Any]] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""
    attachments: dict[str, Any] = field(default_factory=dict)
    """moto's attachment of the transit gateway, by association."""


_STATE: Memory[_State] = Memory(_State)


def _refused(message: str, code: str = "DirectConnectClientException") -> Refused:
    return Refused(code, 400, message)


def _account_state(request: ServiceRequest) -> _State:
    return _STATE.of(dataclasses.replace(request, region=_GLOBAL_REGION))


def _tags_by_key(tags: Any) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in tags or ()}


def _tags_member(tags: dict[str, str]) -> dict[str, Any]:
    """Return the member `tags` of an answer, which is omitted without tags."""
    shown = [{"key": key, "value": text} for key, text in sorted(tags.items())]
    return {"tags": shown} if shown else {}


def _partition(region: str) -> str:
    from moto.utilities.utils import get_partition

    return get_partition(region)


def _gateway_arn(request: ServiceRequest, id: str) -> str:
    return f"arn:{_partition(request.region)}:directconnect::{request.account}:dx-gateway/{id}"


def _interface_arn(request: ServiceRequest, id: str) -> str:
    return f"arn:{_partition(request.region)}:directconnect:{request.region}:{request.account}:dxvif/{id}"


def _check_asn(number: int) -> int:
    """Return a private ASN. Raises `Refused` for others, as AWS does for the Amazon side."""
    if not (64512 <= number <= 65534 or 4200000000 <= number <= 4294967294):
        raise _refused("The ASN of the Amazon side must be private: 64512-65534 or 4200000000-4294967294.")
    return number


def _find_gateway(request: ServiceRequest, id: str) -> dict[str, Any]:
    dx_gateway = _account_state(request).gateways.get(id)
    if dx_gateway is None:
        raise _refused(f"Direct Connect Gateway with ID {id} does not exist.")
    return dx_gateway


def _describe_gateway(request: ServiceRequest, dx_gateway: dict[str, Any]) -> dict[str, Any]:
    tags = _account_state(request).tags.get(_gateway_arn(request, dx_gateway["directConnectGatewayId"]), {})
    return {**dx_gateway, **_tags_member(tags)}


def create_gateway(request: ServiceRequest) -> dict[str, Any]:
    id = str(uuid.uuid4())
    dx_gateway = {
        "directConnectGatewayId": id,
        "directConnectGatewayName": request.params["directConnectGatewayName"],
        "amazonSideAsn": _check_asn(request.params.get("amazonSideAsn", 64512)),
        "ownerAccount": request.account,
        "directConnectGatewayState": "available",
    }
    _account_state(request).gateways[id] = dx_gateway
    _account_state(request).tags[_gateway_arn(request, id)] = _tags_by_key(request.params.get("tags"))
    return {"directConnectGateway": _describe_gateway(request, dx_gateway)}


def describe_gateways(request: ServiceRequest) -> dict[str, Any]:
    """List all gateways, or the one with the id. As in AWS, an unknown id gives an empty list."""
    gateway_id = request.params.get("directConnectGatewayId")
    dx_gateways = [
        dx_gateway for id, dx_gateway in _account_state(request).gateways.items() if gateway_id in (None, id)
    ]
    return {"directConnectGateways": [_describe_gateway(request, dx_gateway) for dx_gateway in dx_gateways]}


def update_gateway(request: ServiceRequest) -> dict[str, Any]:
    dx_gateway = _find_gateway(request, request.params["directConnectGatewayId"])
    dx_gateway["directConnectGatewayName"] = request.params["newDirectConnectGatewayName"]
    return {"directConnectGateway": _describe_gateway(request, dx_gateway)}


def delete_gateway(request: ServiceRequest) -> dict[str, Any]:
    """Delete a gateway. Raises `Refused` if it has associations or interfaces."""
    id = request.params["directConnectGatewayId"]
    dx_gateway = _find_gateway(request, id)
    regional, account_state = _STATE.of(request), _account_state(request)
    if any(
        association["directConnectGatewayId"] == id for association in account_state.associations.values()
    ):
        raise _refused(f"Direct Connect Gateway {id} has associations.")
    if any(interface["directConnectGatewayId"] == id for interface in regional.interfaces.values()):
        raise _refused(f"Direct Connect Gateway {id} has virtual interfaces.")
    del account_state.gateways[id]
    account_state.tags.pop(_gateway_arn(request, id), None)
    return {"directConnectGateway": {**dx_gateway, "directConnectGatewayState": "deleting"}}


def _check_prefixes(prefixes: Any) -> list[str]:
    """Return the CIDRs of allowed prefixes. AWS's maximum of 200 (2026-11-25, not verified) is not checked."""
    cidrs = [part["cidr"] for part in prefixes or ()]
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError:
            raise _refused(f"{cidr} is no prefix.") from None
    return cidrs


def create_association(request: ServiceRequest) -> dict[str, Any]:
    """Associate a gateway with a transit gateway of the region. Prefixes are required, and the ASNs must differ."""
    from sandbox.aws.beside.ec2_transit_gateway import moto_backend

    id, hub_id = request.params["directConnectGatewayId"], request.params.get("gatewayId", "")
    dx_gateway, account_state = _find_gateway(request, id), _account_state(request)
    if hub_id not in moto_backend(request).transit_gateways:
        raise _refused(f"Transit Gateway {hub_id} does not exist in {request.region}.")
    transit_gateway = find_gateway(request, hub_id)
    cidrs = _check_prefixes(request.params.get("addAllowedPrefixesToDirectConnectGateway"))
    if not cidrs:
        raise _refused("An association with a transit gateway names the prefixes that it allows.")
    if int(transit_gateway.options["AmazonSideAsn"]) == dx_gateway["amazonSideAsn"]:
        raise _refused("The transit gateway and the Direct Connect gateway must have different ASNs.")
    for other in account_state.associations.values():
        if other["directConnectGatewayId"] == id and other["associatedGateway"]["id"] == hub_id:
            raise _refused(f"{hub_id} is already associated with {id}.")
    association = {
        "directConnectGatewayId": id,
        "directConnectGatewayOwnerAccount": request.account,
        "associationState": "associated",
        "associationId": str(uuid.uuid4()),
        "associatedGateway": {
            "id": hub_id,
            "type": "transitGateway",
            "ownerAccount": request.account,
            "region": request.region,
        },
        "allowedPrefixesToDirectConnectGateway": [{"cidr": cidr} for cidr in cidrs],
    }
    account_state.associations[association["associationId"]] = association
    account_state.attachments[association["associationId"]] = attach(
        request, hub_id, id, "direct-connect-gateway"
    )
    return {"directConnectGatewayAssociation": association}


def describe_associations(request: ServiceRequest) -> dict[str, Any]:
    params = request.params
    associations = [
        association
        for association in _account_state(request).associations.values()
        if params.get("associationId") in (None, association["associationId"])
        and params.get("directConnectGatewayId") in (None, association["directConnectGatewayId"])
        and params.get("associatedGatewayId") in (None, association["associatedGateway"]["id"])
    ]
    return {"directConnectGatewayAssociations": associations}


def _find_association(request: ServiceRequest) -> dict[str, Any]:
    """Return an association by its id, or by the ids of both gateways."""
    associations = describe_associations(request)["directConnectGatewayAssociations"]
    if not associations:
        raise _refused("Direct Connect Gateway Association does not exist.")
    return associations[0]


def update_association(request: ServiceRequest) -> dict[str, Any]:
    association = _find_association(request)
    removed = _check_prefixes(request.params.get("removeAllowedPrefixesToDirectConnectGateway"))
    added = _check_prefixes(request.params.get("addAllowedPrefixesToDirectConnectGateway"))
    remaining = [part["cidr"] for part in association["allowedPrefixesToDirectConnectGateway"]]
    remaining = [cidr for cidr in remaining if cidr not in removed] + [
        cidr for cidr in added if cidr not in remaining
    ]
    if not remaining:
        raise _refused("An association with a transit gateway names the prefixes that it allows.")
    association["allowedPrefixesToDirectConnectGateway"] = [{"cidr": cidr} for cidr in remaining]
    return {"directConnectGatewayAssociation": association}


def delete_association(request: ServiceRequest) -> dict[str, Any]:
    association, account_state = _find_association(request), _account_state(request)
    del account_state.associations[association["associationId"]]
    region = association["associatedGateway"]["region"]
    attachment = account_state.attachments.pop(association["associationId"])
    detach(dataclasses.replace(request, region=region), attachment)
    return {"directConnectGatewayAssociation": {**association, "associationState": "disassociating"}}


def _check_connection(request: ServiceRequest, id: str) -> None:
    """Raise `Refused` for an unknown id. People order connections, so any id of the right form counts as known."""
    from moto.directconnect.models import directconnect_backends

    connections = directconnect_backends[request.account][request.region].connections
    if id not in connections and not _CONNECTION.fullmatch(id):
        raise _refused(f"Connection ID {id} could not be found.")


def create_interface(request: ServiceRequest) -> dict[str, Any]:
    settings, state = request.params["newTransitVirtualInterface"], _STATE.of(request)
    connection = request.params["connectionId"]
    _check_connection(request, connection)
    dx_gateway = _find_gateway(request, settings.get("directConnectGatewayId", ""))
    vlan = settings["vlan"]
    if not 1 <= vlan <= 4094:
        raise _refused("The VLAN must be from 1 to 4094.")
    if any(
        interface["connectionId"] == connection and interface["vlan"] == vlan
        for interface in state.interfaces.values()
    ):
        raise _refused(f"VLAN {vlan} is already in use on {connection}.")
    asn = settings.get("asnLong") or settings.get("asn")
    if not asn:
        raise _refused("The ASN of the site's side is missing.")
    mtu = settings.get("mtu", 1500)
    if mtu not in (1500, 8500):
        raise _refused("The MTU of a transit virtual interface is 1500 or 8500.")
    third, host = secrets.randbelow(240) + 8, secrets.randbelow(64) * 4
    id = f"dxvif-{secrets.token_hex(4)}"
    state.interfaces[id] = {
        "ownerAccount": request.account,
        "virtualInterfaceId": id,
        "location": "sandbox",
        "connectionId": connection,
        "virtualInterfaceType": "transit",
        "virtualInterfaceName": settings["virtualInterfaceName"],
        "vlan": vlan,
        **({"asn": asn} if asn <= 2147483647 else {}),
        "asnLong": asn,
        "amazonSideAsn": dx_gateway["amazonSideAsn"],
        "authKey": settings.get("authKey") or secrets.token_urlsafe(18),
        "amazonAddress": settings.get("amazonAddress") or _LINK_LOCAL.format(third=third, host=host + 1),
        "customerAddress": settings.get("customerAddress") or _LINK_LOCAL.format(third=third, host=host + 2),
        "addressFamily": settings.get("addressFamily", "ipv4"),
        "virtualInterfaceState": "down",
        "mtu": mtu,
        "jumboFrameCapable": True,
        "directConnectGatewayId": dx_gateway["directConnectGatewayId"],
        "routeFilterPrefixes": [],
        "bgpPeers": [],
        "region": request.region,
        "awsDeviceV2": "sandbox",
        "siteLinkEnabled": bool(settings.get("enableSiteLink")),
    }
    state.tags[_interface_arn(request, id)] = _tags_by_key(settings.get("tags"))
    return {"virtualInterface": _describe_interface(request, state.interfaces[id])}


def _describe_interface(request: ServiceRequest, interface: dict[str, Any]) -> dict[str, Any]:
    tags = _STATE.of(request).tags.get(_interface_arn(request, interface["virtualInterfaceId"]), {})
    return {**interface, **_tags_member(tags)}


def _find_interface(request: ServiceRequest) -> dict[str, Any]:
    id = request.params["virtualInterfaceId"]
    interface = _STATE.of(request).interfaces.get(id)
    if interface is None:
        raise _refused(f"Virtual Interface with ID {id} does not exist.")
    return interface


def describe_interfaces(request: ServiceRequest) -> dict[str, Any]:
    params = request.params
    interfaces = [
        interface
        for id, interface in _STATE.of(request).interfaces.items()
        if params.get("virtualInterfaceId") in (None, id)
        and params.get("connectionId") in (None, interface["connectionId"])
    ]
    return {"virtualInterfaces": [_describe_interface(request, interface) for interface in interfaces]}


def update_interface(request: ServiceRequest) -> dict[str, Any]:
    interface, params = _find_interface(request), request.params
    if params.get("mtu", 1500) not in (1500, 8500):
        raise _refused("The MTU of a transit virtual interface is 1500 or 8500.")
    interface["mtu"] = params.get("mtu", interface["mtu"])
    interface["siteLinkEnabled"] = params.get("enableSiteLink", interface["siteLinkEnabled"])
    interface["virtualInterfaceName"] = params.get("virtualInterfaceName", interface["virtualInterfaceName"])
    return _describe_interface(request, interface)


def delete_interface(request: ServiceRequest) -> dict[str, Any]:
    interface, state = _find_interface(request), _STATE.of(request)
    del state.interfaces[interface["virtualInterfaceId"]]
    state.tags.pop(_interface_arn(request, interface["virtualInterfaceId"]), None)
    return {"virtualInterfaceState": "deleting"}


def _tags(request: ServiceRequest, arn: str) -> dict[str, str] | None:
    """Return the tags of a resource that is stored here. None: moto stores it."""
    state = _account_state(request) if ":dx-gateway/" in arn else _STATE.of(request)
    return state.tags.get(arn)


def _motos(request: ServiceRequest) -> Any:
    from moto.directconnect.models import directconnect_backends

    return directconnect_backends[request.account][request.region]


def tag(request: ServiceRequest) -> dict[str, Any]:
    arn, new = request.params["resourceArn"], request.params["tags"]
    tags = _tags(request, arn)
    if tags is None:
        _motos(request).tag_resource(arn, _tags_by_key(new))
    else:
        tags |= _tags_by_key(new)
    return {}


def untag(request: ServiceRequest) -> dict[str, Any]:
    arn, keys = request.params["resourceArn"], request.params["tagKeys"]
    tags = _tags(request, arn)
    if tags is None:
        _motos(request).untag_resource(arn, keys)
    else:
        for key in keys:
            tags.pop(key, None)
    return {}


def describe_tags(request: ServiceRequest) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    for arn in request.params["resourceArns"]:
        own_tags = _tags(request, arn)
        tags = _tags_by_key(_motos(request).list_tags_for_resource(arn)) if own_tags is None else own_tags
        shown.append({"resourceArn": arn, **_tags_member(tags)})
    return {"resourceTags": shown}


OPERATIONS = tuple(
    Operation("directconnect", name, answer)
    for name, answer in {
        "CreateDirectConnectGateway": create_gateway,
        "DescribeDirectConnectGateways": describe_gateways,
        "UpdateDirectConnectGateway": update_gateway,
        "DeleteDirectConnectGateway": delete_gateway,
        "CreateDirectConnectGatewayAssociation": create_association,
        "DescribeDirectConnectGatewayAssociations": describe_associations,
        "UpdateDirectConnectGatewayAssociation": update_association,
        "DeleteDirectConnectGatewayAssociation": delete_association,
        "CreateTransitVirtualInterface": create_interface,
        "DescribeVirtualInterfaces": describe_interfaces,
        "UpdateVirtualInterfaceAttributes": update_interface,
        "DeleteVirtualInterface": delete_interface,
        "TagResource": tag,
        "UntagResource": untag,
        "DescribeTags": describe_tags,
    }.items()
)
