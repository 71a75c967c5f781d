"""AWS Direct Connect: gateways, their associations with transit gateways, transit virtual interfaces.

moto has connections only. A Direct Connect gateway belongs to no region; an association and an interface
to the region of what they join. An association makes the transit gateway's attachment, which is moto's own.
The key of an interface's BGP session is made up where none is given, and shown in every answer, as AWS does.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.ec2_transit_gateway import attach, detach, gateway
from sandbox.aws.beside.memory import Memory
from sandbox.aws.service_frame import Asked, Operation, Refused

_HOME = "us-east-1"
"""Where what belongs to no region is kept."""
_CONNECTION = re.compile(r"dxcon-[a-z0-9]{8}")
_LINK_LOCAL = "169.254.{third}.{host}/30"


@dataclass
class _Kept:
    gateways: dict[str, dict[str, Any]] = field(default_factory=dict)
    associations: dict[str, dict[str, Any]] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By ARN."""
    attachments: dict[str, Any] = field(default_factory=dict)
    """moto's attachment of a transit gateway, by association."""


_memory: Memory[_Kept] = Memory(_Kept)


def _refused(message: str, code: str = "DirectConnectClientException") -> Refused:
    return Refused(code, 400, message)


def _global(asked: Asked) -> _Kept:
    return _memory.of(dataclasses.replace(asked, region=_HOME))


def _given_tags(tags: Any) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in tags or ()}


def _shown_tags(tags: dict[str, str]) -> dict[str, Any]:
    """The member `tags` of an answer, which has none where there are none."""
    shown = [{"key": key, "value": text} for key, text in sorted(tags.items())]
    return {"tags": shown} if shown else {}


def _partition(region: str) -> str:
    from moto.utilities.utils import get_partition

    return get_partition(region)


def _gateway_arn(asked: Asked, id: str) -> str:
    return f"arn:{_partition(asked.region)}:directconnect::{asked.account}:dx-gateway/{id}"


def _interface_arn(asked: Asked, id: str) -> str:
    return f"arn:{_partition(asked.region)}:directconnect:{asked.region}:{asked.account}:dxvif/{id}"


def _asn(number: int) -> int:
    """A private BGP number. Raises `Refused` for any other, as AWS does for its own side."""
    if not (64512 <= number <= 65534 or 4200000000 <= number <= 4294967294):
        raise _refused("The ASN of the Amazon side must be private: 64512-65534 or 4200000000-4294967294.")
    return number


def _gateway(asked: Asked, id: str) -> dict[str, Any]:
    found = _global(asked).gateways.get(id)
    if found is None:
        raise _refused(f"Direct Connect Gateway with ID {id} does not exist.")
    return found


def _shown_gateway(asked: Asked, made: dict[str, Any]) -> dict[str, Any]:
    tags = _global(asked).tags.get(_gateway_arn(asked, made["directConnectGatewayId"]), {})
    return {**made, **_shown_tags(tags)}


def create_gateway(asked: Asked) -> dict[str, Any]:
    id = str(uuid.uuid4())
    made = {
        "directConnectGatewayId": id,
        "directConnectGatewayName": asked.params["directConnectGatewayName"],
        "amazonSideAsn": _asn(asked.params.get("amazonSideAsn", 64512)),
        "ownerAccount": asked.account,
        "directConnectGatewayState": "available",
    }
    _global(asked).gateways[id] = made
    _global(asked).tags[_gateway_arn(asked, id)] = _given_tags(asked.params.get("tags"))
    return {"directConnectGateway": _shown_gateway(asked, made)}


def describe_gateways(asked: Asked) -> dict[str, Any]:
    """All, or the one of the id; an unknown id is an empty list, as in AWS."""
    wanted = asked.params.get("directConnectGatewayId")
    kept = [one for id, one in _global(asked).gateways.items() if wanted in (None, id)]
    return {"directConnectGateways": [_shown_gateway(asked, one) for one in kept]}


def update_gateway(asked: Asked) -> dict[str, Any]:
    made = _gateway(asked, asked.params["directConnectGatewayId"])
    made["directConnectGatewayName"] = asked.params["newDirectConnectGatewayName"]
    return {"directConnectGateway": _shown_gateway(asked, made)}


def delete_gateway(asked: Asked) -> dict[str, Any]:
    """Associations and interfaces hold it back."""
    id = asked.params["directConnectGatewayId"]
    made = _gateway(asked, id)
    here, everywhere = _memory.of(asked), _global(asked)
    if any(one["directConnectGatewayId"] == id for one in everywhere.associations.values()):
        raise _refused(f"Direct Connect Gateway {id} has associations.")
    if any(one["directConnectGatewayId"] == id for one in here.interfaces.values()):
        raise _refused(f"Direct Connect Gateway {id} has virtual interfaces.")
    del everywhere.gateways[id]
    everywhere.tags.pop(_gateway_arn(asked, id), None)
    return {"directConnectGateway": {**made, "directConnectGatewayState": "deleting"}}


def _prefixes(parts: Any) -> list[str]:
    """CIDRs; at most 200 to a transit gateway's association (as of knowledge, 2026-11-25, not checked)."""
    cidrs = [part["cidr"] for part in parts or ()]
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError:
            raise _refused(f"{cidr} is no prefix.") from None
    return cidrs


def create_association(asked: Asked) -> dict[str, Any]:
    """With a transit gateway of the request's region. Prefixes are required, and the numbers must differ."""
    from sandbox.aws.beside.ec2_transit_gateway import ec2

    id, hub_id = asked.params["directConnectGatewayId"], asked.params.get("gatewayId", "")
    dx, everywhere = _gateway(asked, id), _global(asked)
    if hub_id not in ec2(asked).transit_gateways:
        raise _refused(f"Transit Gateway {hub_id} does not exist in {asked.region}.")
    hub = gateway(asked, hub_id)
    cidrs = _prefixes(asked.params.get("addAllowedPrefixesToDirectConnectGateway"))
    if not cidrs:
        raise _refused("An association with a transit gateway names the prefixes that it allows.")
    if int(hub.options["AmazonSideAsn"]) == dx["amazonSideAsn"]:
        raise _refused("The transit gateway and the Direct Connect gateway must have different ASNs.")
    for one in everywhere.associations.values():
        if one["directConnectGatewayId"] == id and one["associatedGateway"]["id"] == hub_id:
            raise _refused(f"{hub_id} is already associated with {id}.")
    made = {
        "directConnectGatewayId": id,
        "directConnectGatewayOwnerAccount": asked.account,
        "associationState": "associated",
        "associationId": str(uuid.uuid4()),
        "associatedGateway": {
            "id": hub_id,
            "type": "transitGateway",
            "ownerAccount": asked.account,
            "region": asked.region,
        },
        "allowedPrefixesToDirectConnectGateway": [{"cidr": cidr} for cidr in cidrs],
    }
    everywhere.associations[made["associationId"]] = made
    everywhere.attachments[made["associationId"]] = attach(asked, hub_id, id, "direct-connect-gateway")
    return {"directConnectGatewayAssociation": made}


def describe_associations(asked: Asked) -> dict[str, Any]:
    given = asked.params
    chosen = [
        one
        for one in _global(asked).associations.values()
        if given.get("associationId") in (None, one["associationId"])
        and given.get("directConnectGatewayId") in (None, one["directConnectGatewayId"])
        and given.get("associatedGatewayId") in (None, one["associatedGateway"]["id"])
    ]
    return {"directConnectGatewayAssociations": chosen}


def _association(asked: Asked) -> dict[str, Any]:
    """By its own id, or by those of the two that it joins."""
    found = describe_associations(asked)["directConnectGatewayAssociations"]
    if not found:
        raise _refused("Direct Connect Gateway Association does not exist.")
    return found[0]


def update_association(asked: Asked) -> dict[str, Any]:
    made = _association(asked)
    gone = _prefixes(asked.params.get("removeAllowedPrefixesToDirectConnectGateway"))
    new = _prefixes(asked.params.get("addAllowedPrefixesToDirectConnectGateway"))
    left = [part["cidr"] for part in made["allowedPrefixesToDirectConnectGateway"]]
    left = [cidr for cidr in left if cidr not in gone] + [cidr for cidr in new if cidr not in left]
    if not left:
        raise _refused("An association with a transit gateway names the prefixes that it allows.")
    made["allowedPrefixesToDirectConnectGateway"] = [{"cidr": cidr} for cidr in left]
    return {"directConnectGatewayAssociation": made}


def delete_association(asked: Asked) -> dict[str, Any]:
    made, everywhere = _association(asked), _global(asked)
    del everywhere.associations[made["associationId"]]
    region = made["associatedGateway"]["region"]
    attachment = everywhere.attachments.pop(made["associationId"])
    detach(dataclasses.replace(asked, region=region), attachment)
    return {"directConnectGatewayAssociation": {**made, "associationState": "disassociating"}}


def _connection_there(asked: Asked, id: str) -> None:
    """A connection is ordered by people, so any id of its form is taken to be there."""
    from moto.directconnect.models import directconnect_backends

    kept = directconnect_backends[asked.account][asked.region].connections
    if id not in kept and not _CONNECTION.fullmatch(id):
        raise _refused(f"Connection ID {id} could not be found.")


def create_interface(asked: Asked) -> dict[str, Any]:
    wanted, kept = asked.params["newTransitVirtualInterface"], _memory.of(asked)
    connection = asked.params["connectionId"]
    _connection_there(asked, connection)
    dx = _gateway(asked, wanted.get("directConnectGatewayId", ""))
    vlan = wanted["vlan"]
    if not 1 <= vlan <= 4094:
        raise _refused("The VLAN must be from 1 to 4094.")
    if any(one["connectionId"] == connection and one["vlan"] == vlan for one in kept.interfaces.values()):
        raise _refused(f"VLAN {vlan} is already in use on {connection}.")
    asn = wanted.get("asnLong") or wanted.get("asn")
    if not asn:
        raise _refused("The ASN of the site's side is missing.")
    mtu = wanted.get("mtu", 1500)
    if mtu not in (1500, 8500):
        raise _refused("The MTU of a transit virtual interface is 1500 or 8500.")
    third, host = secrets.randbelow(240) + 8, secrets.randbelow(64) * 4
    id = f"dxvif-{secrets.token_hex(4)}"
    kept.interfaces[id] = {
        "ownerAccount": asked.account,
        "virtualInterfaceId": id,
        "location": "sandbox",
        "connectionId": connection,
        "virtualInterfaceType": "transit",
        "virtualInterfaceName": wanted["virtualInterfaceName"],
        "vlan": vlan,
        **({"asn": asn} if asn <= 2147483647 else {}),
        "asnLong": asn,
        "amazonSideAsn": dx["amazonSideAsn"],
        "authKey": wanted.get("authKey") or secrets.token_urlsafe(18),
        "amazonAddress": wanted.get("amazonAddress") or _LINK_LOCAL.format(third=third, host=host + 1),
        "customerAddress": wanted.get("customerAddress") or _LINK_LOCAL.format(third=third, host=host + 2),
        "addressFamily": wanted.get("addressFamily", "ipv4"),
        "virtualInterfaceState": "down",
        "mtu": mtu,
        "jumboFrameCapable": True,
        "directConnectGatewayId": dx["directConnectGatewayId"],
        "routeFilterPrefixes": [],
        "bgpPeers": [],
        "region": asked.region,
        "awsDeviceV2": "sandbox",
        "siteLinkEnabled": bool(wanted.get("enableSiteLink")),
    }
    kept.tags[_interface_arn(asked, id)] = _given_tags(wanted.get("tags"))
    return {"virtualInterface": _shown_interface(asked, kept.interfaces[id])}


def _shown_interface(asked: Asked, made: dict[str, Any]) -> dict[str, Any]:
    tags = _memory.of(asked).tags.get(_interface_arn(asked, made["virtualInterfaceId"]), {})
    return {**made, **_shown_tags(tags)}


def _interface(asked: Asked) -> dict[str, Any]:
    id = asked.params["virtualInterfaceId"]
    found = _memory.of(asked).interfaces.get(id)
    if found is None:
        raise _refused(f"Virtual Interface with ID {id} does not exist.")
    return found


def describe_interfaces(asked: Asked) -> dict[str, Any]:
    given = asked.params
    chosen = [
        one
        for id, one in _memory.of(asked).interfaces.items()
        if given.get("virtualInterfaceId") in (None, id)
        and given.get("connectionId") in (None, one["connectionId"])
    ]
    return {"virtualInterfaces": [_shown_interface(asked, one) for one in chosen]}


def update_interface(asked: Asked) -> dict[str, Any]:
    made, given = _interface(asked), asked.params
    if given.get("mtu", 1500) not in (1500, 8500):
        raise _refused("The MTU of a transit virtual interface is 1500 or 8500.")
    made["mtu"] = given.get("mtu", made["mtu"])
    made["siteLinkEnabled"] = given.get("enableSiteLink", made["siteLinkEnabled"])
    made["virtualInterfaceName"] = given.get("virtualInterfaceName", made["virtualInterfaceName"])
    return _shown_interface(asked, made)


def delete_interface(asked: Asked) -> dict[str, Any]:
    made, kept = _interface(asked), _memory.of(asked)
    del kept.interfaces[made["virtualInterfaceId"]]
    kept.tags.pop(_interface_arn(asked, made["virtualInterfaceId"]), None)
    return {"virtualInterfaceState": "deleting"}


def _tags(asked: Asked, arn: str) -> dict[str, str] | None:
    """The tags of what is ours; None for what is moto's."""
    kept = _global(asked) if ":dx-gateway/" in arn else _memory.of(asked)
    return kept.tags.get(arn)


def _motos(asked: Asked) -> Any:
    from moto.directconnect.models import directconnect_backends

    return directconnect_backends[asked.account][asked.region]


def tag(asked: Asked) -> dict[str, Any]:
    arn, new = asked.params["resourceArn"], asked.params["tags"]
    mine = _tags(asked, arn)
    if mine is None:
        _motos(asked).tag_resource(arn, _given_tags(new))
    else:
        mine |= _given_tags(new)
    return {}


def untag(asked: Asked) -> dict[str, Any]:
    arn, keys = asked.params["resourceArn"], asked.params["tagKeys"]
    mine = _tags(asked, arn)
    if mine is None:
        _motos(asked).untag_resource(arn, keys)
    else:
        for key in keys:
            mine.pop(key, None)
    return {}


def describe_tags(asked: Asked) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    for arn in asked.params["resourceArns"]:
        mine = _tags(asked, arn)
        tags = _given_tags(_motos(asked).list_tags_for_resource(arn)) if mine is None else mine
        shown.append({"resourceArn": arn, **_shown_tags(tags)})
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
