"""AWS Direct Connect: gateways, their associations with transit gateways, transit virtual interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.aws_errors import CallRefused
from sandbox.aws.model import AutoName, Call, Facet, Hook, Scope, Tagging, Type, list_all_ids, pairs
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.kms import REGION, TAGS

_ENDED = ("deleting", "deleted", "disassociating", "disassociated")
_GONE = "NoSuchThing"
"""Direct Connect has one code for all refusals, so the existence is checked before a deletion."""


def _check_exists(operation: str, listing: str, **params: str) -> Hook:
    """Return a hook that refuses with `_GONE` if the listing by these parameters from the scope is empty."""

    def look(call: Callable[..., Any], scope: Scope) -> None:
        listed = call(operation, **{name: scope[key] for name, key in params.items()})[listing]
        if not listed:
            raise CallRefused(f"{scope['id']} does not exist", _GONE)

    return look


def _same_number(left: Any, right: Any) -> bool:
    return str(left) == str(right)


def _tags(scope: Scope) -> list[dict[str, str]] | None:
    return pairs(scope.get("tagsAll"), "key", "value")


_TAGGING = Tagging(
    put=Call(
        "tag_resource",
        {"resourceArn": "$arn", "tags": lambda scope: pairs(scope["tagsSet"], "key", "value")},
    ),
    remove=Call("untag_resource", {"resourceArn": "$arn", "tagKeys": "$tagsGone"}),
)
_READ_TAGS = "tags[].{Key: key, Value: value}"

GATEWAY = Type(
    "aws:directconnect/gateway:Gateway",
    service="directconnect",
    id="{id}",
    inputs={
        "amazonSideAsn": Prop(required=True, replace=True, alike=_same_number),
        "name": Prop(),
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerAccountId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_direct_connect_gateway",
        {
            "directConnectGatewayName": "$name",
            "amazonSideAsn": lambda scope: int(scope["amazonSideAsn"]),
            "tags": _tags,
        },
        result={"id": "directConnectGateway.directConnectGatewayId"},
    ),
    list_all=list_all_ids(
        "describe_direct_connect_gateways", "directConnectGateways[].directConnectGatewayId"
    ),
    reads=(
        Call(
            "describe_direct_connect_gateways",
            {"directConnectGatewayId": "$id"},
            pick="directConnectGateways[0]",
            result={
                "amazonSideAsn": lambda answer: str(answer["amazonSideAsn"]),
                "name": "directConnectGatewayName",
                "ownerAccountId": "ownerAccount",
                "tagsAll": _READ_TAGS,
            },
        ),
    ),
    facets=(
        Facet(
            ("name",),
            put=Call(
                "update_direct_connect_gateway",
                {"directConnectGatewayId": "$id", "newDirectConnectGatewayName": "$name"},
            ),
        ),
    ),
    tagging=_TAGGING,
    before_delete=_check_exists(
        "describe_direct_connect_gateways", "directConnectGateways", directConnectGatewayId="id"
    ),
    delete=Call("delete_direct_connect_gateway", {"directConnectGatewayId": "$id"}, absent=(_GONE,)),
    computed={"arn": "arn:{partition}:directconnect::{account}:dx-gateway/{id}"},
    autoname=AutoName("name", None, longest=100),
    allows_duplicates=True,
    limits="Nothing is routed.",
)


def _prefixes(scope: Scope) -> list[dict[str, str]] | None:
    return [{"cidr": cidr} for cidr in scope.get("allowedPrefixes") or ()] or None


def _change_prefixes(call: Callable[..., Any], scope: Scope) -> None:
    """Add and remove prefixes: the API cannot replace the list."""
    id, new_prefixes = scope["dxGatewayAssociationId"], scope.get("allowedPrefixes") or []
    answer = call("describe_direct_connect_gateway_associations", associationId=id)
    old_prefixes = answer["directConnectGatewayAssociations"][0]["allowedPrefixesToDirectConnectGateway"]
    old = [part["cidr"] for part in old_prefixes]
    call(
        "update_direct_connect_gateway_association",
        associationId=id,
        addAllowedPrefixesToDirectConnectGateway=[{"cidr": cidr} for cidr in new_prefixes if cidr not in old],
        removeAllowedPrefixesToDirectConnectGateway=[
            {"cidr": cidr} for cidr in old if cidr not in new_prefixes
        ],
    )


def _find_association(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the id of the only association that two gateways can have."""
    listed = call("describe_direct_connect_gateway_associations", directConnectGatewayId=scope["dxGatewayId"])
    return next(
        (
            str(association["associationId"])
            for association in listed["directConnectGatewayAssociations"]
            if association["associatedGateway"]["id"] == scope.get("associatedGatewayId")
            and association["associationState"] not in _ENDED
        ),
        None,
    )


GATEWAY_ASSOCIATION = Type(
    "aws:directconnect/gatewayAssociation:GatewayAssociation",
    service="directconnect",
    id="{dxGatewayAssociationId}",
    inputs={
        "allowedPrefixes": Prop("list", computed=True, alike=has_same_members),
        "associatedGatewayId": Prop(replace=True),
        "dxGatewayId": Prop(required=True, replace=True),
        "region": REGION,
    },
    outputs={
        "associatedGatewayType": Prop(),
        "dxGatewayAssociationId": Prop(),
        "dxGatewayOwnerAccountId": Prop(),
        "transitGatewayAttachmentId": Prop(),
    },
    create=Call(
        "create_direct_connect_gateway_association",
        {
            "directConnectGatewayId": "$dxGatewayId",
            "gatewayId": "$associatedGatewayId",
            "addAllowedPrefixesToDirectConnectGateway": _prefixes,
        },
        result={"dxGatewayAssociationId": "directConnectGatewayAssociation.associationId"},
    ),
    find_only=_find_association,
    reads=(
        Call(
            "describe_direct_connect_gateway_associations",
            {"associationId": "$dxGatewayAssociationId"},
            pick="directConnectGatewayAssociations[0]",
            result={
                "allowedPrefixes": "allowedPrefixesToDirectConnectGateway[].cidr",
                "associatedGatewayId": "associatedGateway.id",
                "associatedGatewayType": "associatedGateway.type",
                "dxGatewayId": "directConnectGatewayId",
                "dxGatewayOwnerAccountId": "directConnectGatewayOwnerAccount",
            },
        ),
        Call(
            "describe_transit_gateway_attachments",
            {
                "Filters": [
                    {"Name": "resource-id", "Values": ["$dxGatewayId"]},
                    {"Name": "transit-gateway-id", "Values": ["$associatedGatewayId"]},
                ]
            },
            pick="TransitGatewayAttachments[0]",
            result={"transitGatewayAttachmentId": "TransitGatewayAttachmentId"},
            service="ec2",
        ),
    ),
    facets=(Facet(("allowedPrefixes",), put=_change_prefixes),),
    before_delete=_check_exists(
        "describe_direct_connect_gateway_associations",
        "directConnectGatewayAssociations",
        associationId="dxGatewayAssociationId",
    ),
    delete=Call(
        "delete_direct_connect_gateway_association",
        {"associationId": "$dxGatewayAssociationId"},
        absent=(_GONE,),
    ),
    limits="Nothing is announced. Only transit gateways of the same account. The id is the association's own, "
    "where the real plugin's is `ga-` and both gateways' ids.",
)


def _number(name: str) -> Callable[[Scope], int | None]:
    return lambda scope: int(scope[name]) if scope.get(name) else None


def _interface_on_vlan(call: Callable[..., Any], scope: Scope) -> str | None:
    """Return the id of the only interface that a VLAN of a connection can have."""
    listed = call("describe_virtual_interfaces", connectionId=scope["connectionId"])["virtualInterfaces"]
    return next(
        (
            str(interface["virtualInterfaceId"])
            for interface in listed
            if interface["vlan"] == scope["vlan"] and interface["virtualInterfaceState"] not in _ENDED
        ),
        None,
    )


TRANSIT_VIRTUAL_INTERFACE = Type(
    "aws:directconnect/transitVirtualInterface:TransitVirtualInterface",
    service="directconnect",
    id="{id}",
    inputs={
        "addressFamily": Prop(required=True, replace=True),
        "amazonAddress": Prop(replace=True, computed=True),
        "bgpAsn": Prop("number", replace=True, computed=True),
        "bgpAsnLong": Prop(replace=True, computed=True, alike=_same_number),
        "bgpAuthKey": Prop(replace=True, computed=True, secret=True),
        "connectionId": Prop(required=True, replace=True),
        "customerAddress": Prop(replace=True, computed=True),
        "dxGatewayId": Prop(required=True, replace=True),
        "mtu": Prop("number", default=1500),
        "name": Prop(replace=True),
        "sitelinkEnabled": Prop("flag", default=False),
        "vlan": Prop("number", required=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "amazonSideAsn": Prop(),
        "arn": Prop(),
        "awsDevice": Prop(),
        "jumboFrameCapable": Prop("flag"),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_transit_virtual_interface",
        {
            "connectionId": "$connectionId",
            "newTransitVirtualInterface": {
                "virtualInterfaceName": "$name",
                "vlan": "$vlan",
                "asn": "$bgpAsn",
                "asnLong": _number("bgpAsnLong"),
                "mtu": "$mtu",
                "authKey": "$bgpAuthKey",
                "amazonAddress": "$amazonAddress",
                "customerAddress": "$customerAddress",
                "addressFamily": "$addressFamily",
                "directConnectGatewayId": "$dxGatewayId",
                "enableSiteLink": "$sitelinkEnabled",
                "tags": _tags,
            },
        },
        result={"id": "virtualInterface.virtualInterfaceId"},
    ),
    find_only=_interface_on_vlan,
    reads=(
        Call(
            "describe_virtual_interfaces",
            {"virtualInterfaceId": "$id"},
            pick="virtualInterfaces[0]",
            result={
                "addressFamily": "addressFamily",
                "amazonAddress": "amazonAddress",
                "amazonSideAsn": lambda answer: str(answer["amazonSideAsn"]),
                "awsDevice": "awsDeviceV2",
                "bgpAsn": "asn",
                "bgpAsnLong": lambda answer: str(answer["asnLong"]),
                "bgpAuthKey": "authKey",
                "connectionId": "connectionId",
                "customerAddress": "customerAddress",
                "dxGatewayId": "directConnectGatewayId",
                "jumboFrameCapable": "jumboFrameCapable",
                "mtu": "mtu",
                "name": "virtualInterfaceName",
                "sitelinkEnabled": "siteLinkEnabled",
                "tagsAll": _READ_TAGS,
                "vlan": "vlan",
            },
        ),
    ),
    facets=(
        Facet(
            ("mtu", "sitelinkEnabled"),
            put=Call(
                "update_virtual_interface_attributes",
                {"virtualInterfaceId": "$id", "mtu": "$mtu", "enableSiteLink": "$sitelinkEnabled"},
            ),
        ),
    ),
    tagging=_TAGGING,
    before_delete=_check_exists("describe_virtual_interfaces", "virtualInterfaces", virtualInterfaceId="id"),
    delete=Call("delete_virtual_interface", {"virtualInterfaceId": "$id"}, absent=(_GONE,)),
    computed={"arn": "arn:{partition}:directconnect:{region}:{account}:dxvif/{id}"},
    autoname=AutoName("name", None, longest=255),
    limits="Any connection id of the form `dxcon-` and eight characters is taken to be there, since people "
    "order connections. The interface stays down. The key of its BGP session is marked as a secret here; the real "
    "plugin (7.51.1) does not mark it.",
)

TYPES = (GATEWAY, GATEWAY_ASSOCIATION, TRANSIT_VIRTUAL_INTERFACE)
