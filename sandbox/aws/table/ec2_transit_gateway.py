"""Amazon EC2: transit gateways and their attachments of VPCs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, find_only_id, list_all_ids
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, added_and_removed, arn, tag_specifications

_GATEWAY_GONE = ("InvalidTransitGatewayID.NotFound",)
_ATTACHMENT_GONE = ("InvalidTransitGatewayAttachmentID.NotFound",)
_ID = {"TransitGatewayId": "$id"}
_OPTIONS = {
    "autoAcceptSharedAttachments": "disable",
    "defaultRouteTableAssociation": "enable",
    "defaultRouteTablePropagation": "enable",
    "dnsSupport": "enable",
    "securityGroupReferencingSupport": "disable",
    "vpnEcmpSupport": "enable",
}
"""Options of a transit gateway that can be changed, with their defaults."""


def _api(name: str) -> str:
    return name[0].upper() + name[1:]


def _modify_gateway(call: Callable[..., Any], scope: Scope) -> None:
    """Change a gateway: add and remove address blocks, and set the other options."""
    gateway = call("describe_transit_gateways", TransitGatewayIds=[scope["id"]])["TransitGateways"][0]
    new_blocks = scope.get("transitGatewayCidrBlocks") or []
    old = gateway["Options"].get("TransitGatewayCidrBlocks") or []
    options: dict[str, Any] = {
        _api(name): scope.get(name) or default for name, default in _OPTIONS.items()
    } | {"AmazonSideAsn": scope.get("amazonSideAsn") or 64512}
    options |= added_and_removed("TransitGatewayCidrBlocks", old, new_blocks)
    call(
        "modify_transit_gateway",
        TransitGatewayId=scope["id"],
        Description=scope.get("description") or "",
        Options=options,
    )


TRANSIT_GATEWAY = Type(
    "aws:ec2transitgateway/transitGateway:TransitGateway",
    service="ec2",
    id="{id}",
    inputs={
        "amazonSideAsn": Prop("number", default=64512),
        "description": Prop(),
        **{name: Prop(default=default) for name, default in _OPTIONS.items()},
        "multicastSupport": Prop(replace=True, default="disable"),
        "transitGatewayCidrBlocks": Prop("list", alike=has_same_members),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "ownerId": Prop(),
        # Empty if the gateway has no default table.
        "associationDefaultRouteTableId": Prop(computed=True),
        "propagationDefaultRouteTableId": Prop(computed=True),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_transit_gateway",
        {
            "Description": "$description",
            "Options": {
                "AmazonSideAsn": "$amazonSideAsn",
                **{_api(name): f"${name}" for name in _OPTIONS},
                "MulticastSupport": "$multicastSupport",
                "TransitGatewayCidrBlocks": "$transitGatewayCidrBlocks",
            },
            "TagSpecifications": tag_specifications("transit-gateway"),
        },
        result={"id": "TransitGateway.TransitGatewayId"},
    ),
    list_all=list_all_ids("describe_transit_gateways", "TransitGateways[].TransitGatewayId"),
    reads=(
        Call(
            "describe_transit_gateways",
            {"TransitGatewayIds": ["$id"]},
            pick="TransitGateways[0]",
            result={
                "description": "Description",
                "ownerId": "OwnerId",
                "amazonSideAsn": "Options.AmazonSideAsn",
                **{name: f"Options.{_api(name)}" for name in _OPTIONS},
                "multicastSupport": "Options.MulticastSupport",
                "transitGatewayCidrBlocks": "Options.TransitGatewayCidrBlocks",
                "associationDefaultRouteTableId": "Options.AssociationDefaultRouteTableId || ''",
                "propagationDefaultRouteTableId": "Options.PropagationDefaultRouteTableId || ''",
                "tagsAll": "Tags",
            },
            absent=_GATEWAY_GONE,
        ),
    ),
    facets=(
        Facet(
            ("amazonSideAsn", "description", *_OPTIONS, "transitGatewayCidrBlocks"),
            put=_modify_gateway,
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_transit_gateway", _ID, absent=_GATEWAY_GONE),
    computed={"arn": arn("transit-gateway")},
    limits="Nothing is routed. Ready at once, where AWS takes minutes. Sharing with other accounts, "
    "multicast and encryption are not served.",
)


def _join_default(call: Callable[..., Any], scope: Scope) -> None:
    """Join the attachment to the gateway's default route tables, or remove it, according to the properties."""
    hub = call("describe_transit_gateways", TransitGatewayIds=[scope["transitGatewayId"]])["TransitGateways"]
    relations = (
        ("Association", "associate_transit_gateway_route_table", "disassociate_transit_gateway_route_table"),
        (
            "Propagation",
            "enable_transit_gateway_route_table_propagation",
            "disable_transit_gateway_route_table_propagation",
        ),
    )
    for relation, join, part in relations:
        target = hub[0]["Options"].get(f"{relation}DefaultRouteTableId")
        if not target:
            continue
        listed = call(
            f"get_transit_gateway_route_table_{relation.lower()}s",
            TransitGatewayRouteTableId=target,
            Filters=[{"Name": "transit-gateway-attachment-id", "Values": [scope["id"]]}],
        )
        joined = bool(listed.get("Associations") or listed.get("TransitGatewayRouteTablePropagations"))
        is_wanted = scope.get(f"transitGatewayDefaultRouteTable{relation}")
        if is_wanted is not None and is_wanted != joined:
            call(
                join if is_wanted else part,
                TransitGatewayRouteTableId=target,
                TransitGatewayAttachmentId=scope["id"],
            )


_ATTACHMENT_OPTIONS = {
    "applianceModeSupport": "disable",
    "dnsSupport": "enable",
    "ipv6Support": "disable",
    "securityGroupReferencingSupport": "enable",
}
_DEFAULT_TABLES = (
    "transitGatewayDefaultRouteTableAssociation",
    "transitGatewayDefaultRouteTablePropagation",
)


def _modify_attachment(call: Callable[..., Any], scope: Scope) -> None:
    attachment = call("describe_transit_gateway_vpc_attachments", TransitGatewayAttachmentIds=[scope["id"]])[
        "TransitGatewayVpcAttachments"
    ][0]
    old, new = set(attachment["SubnetIds"]), set(scope["subnetIds"])
    call(
        "modify_transit_gateway_vpc_attachment",
        TransitGatewayAttachmentId=scope["id"],
        AddSubnetIds=sorted(new - old),
        RemoveSubnetIds=sorted(old - new),
        Options={_api(name): scope.get(name) or default for name, default in _ATTACHMENT_OPTIONS.items()},
    )


def _default_table(relation: str) -> Call:
    """Return the call that reads if the attachment is in the gateway's default route table, if there is one."""
    listed = {"Association": "Associations", "Propagation": "TransitGatewayRouteTablePropagations"}[relation]
    return Call(
        f"get_transit_gateway_route_table_{relation.lower()}s",
        {
            "TransitGatewayRouteTableId": f"$_{relation.lower()}",
            "Filters": [{"Name": "transit-gateway-attachment-id", "Values": ["$id"]}],
        },
        result={f"transitGatewayDefaultRouteTable{relation}": f"length({listed}) > `0`"},
        absent=("ParamValidation",),
    )


VPC_ATTACHMENT = Type(
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment",
    service="ec2",
    id="{id}",
    inputs={
        "transitGatewayId": Prop(required=True, replace=True),
        "vpcId": Prop(required=True, replace=True),
        "subnetIds": Prop("list", required=True, alike=has_same_members),
        **{name: Prop(default=default) for name, default in _ATTACHMENT_OPTIONS.items()},
        **{name: Prop("flag", computed=True) for name in _DEFAULT_TABLES},
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "vpcOwnerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_transit_gateway_vpc_attachment",
        {
            "TransitGatewayId": "$transitGatewayId",
            "VpcId": "$vpcId",
            "SubnetIds": "$subnetIds",
            "Options": {_api(name): f"${name}" for name in _ATTACHMENT_OPTIONS},
            "TagSpecifications": tag_specifications("transit-gateway-attachment"),
        },
        result={"id": "TransitGatewayVpcAttachment.TransitGatewayAttachmentId"},
    ),
    find_only=find_only_id(
        "describe_transit_gateway_vpc_attachments",
        "TransitGatewayVpcAttachments[?State!='deleted' && State!='deleting'].TransitGatewayAttachmentId",
        {"transit-gateway-id": "transitGatewayId", "vpc-id": "vpcId"},
    ),
    reads=(
        Call(
            "describe_transit_gateway_vpc_attachments",
            {"TransitGatewayAttachmentIds": ["$id"]},
            pick="TransitGatewayVpcAttachments[0]",
            result={
                "transitGatewayId": "TransitGatewayId",
                "vpcId": "VpcId",
                "vpcOwnerId": "VpcOwnerId",
                "subnetIds": "SubnetIds",
                **{name: f"Options.{_api(name)}" for name in _ATTACHMENT_OPTIONS},
                "tagsAll": "Tags",
            },
            absent=_ATTACHMENT_GONE,
        ),
        Call(
            "describe_transit_gateways",
            {"TransitGatewayIds": ["$transitGatewayId"]},
            pick="TransitGateways[0].Options",
            result={
                "_association": "AssociationDefaultRouteTableId",
                "_propagation": "PropagationDefaultRouteTableId",
                # Without a default table the attachment is in none.
                **{name: lambda options: False for name in _DEFAULT_TABLES},
            },
        ),
        _default_table("Association"),
        _default_table("Propagation"),
    ),
    facets=(
        Facet(("subnetIds", *_ATTACHMENT_OPTIONS), put=_modify_attachment),
        Facet(_DEFAULT_TABLES, at_create=True, put=_join_default),
    ),
    tagging=TAGGING,
    delete=Call(
        "delete_transit_gateway_vpc_attachment",
        {"TransitGatewayAttachmentId": "$id"},
        absent=_ATTACHMENT_GONE,
    ),
    computed={"arn": arn("transit-gateway-attachment")},
    limits="No network interface is made in the subnets. Attachments of other accounts are not served.",
)

TYPES = (TRANSIT_GATEWAY, VPC_ATTACHMENT)
