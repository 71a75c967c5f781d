"""Amazon EC2: a transit gateway's route tables, associations, propagations, and static routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Scope, Type, list_all_ids
from sandbox.aws.schema import Prop
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, tag_specifications

_ATTACHMENT_GONE = ("InvalidTransitGatewayAttachmentID.NotFound",)
_TABLE_GONE = ("InvalidRouteTableID.NotFound",)

ROUTE_TABLE = Type(
    "aws:ec2transitgateway/routeTable:RouteTable",
    service="ec2",
    id="{id}",
    inputs={
        "transitGatewayId": Prop(required=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "defaultAssociationRouteTable": Prop("flag"),
        "defaultPropagationRouteTable": Prop("flag"),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_transit_gateway_route_table",
        {
            "TransitGatewayId": "$transitGatewayId",
            "TagSpecifications": tag_specifications("transit-gateway-route-table"),
        },
        result={"id": "TransitGatewayRouteTable.TransitGatewayRouteTableId"},
    ),
    list_all=list_all_ids(
        "describe_transit_gateway_route_tables", "TransitGatewayRouteTables[].TransitGatewayRouteTableId"
    ),
    reads=(
        Call(
            "describe_transit_gateway_route_tables",
            {"TransitGatewayRouteTableIds": ["$id"]},
            pick="TransitGatewayRouteTables[0]",
            result={
                "transitGatewayId": "TransitGatewayId",
                "defaultAssociationRouteTable": "DefaultAssociationRouteTable",
                "defaultPropagationRouteTable": "DefaultPropagationRouteTable",
                "tagsAll": "Tags",
            },
            absent=_TABLE_GONE,
        ),
    ),
    tagging=TAGGING,
    delete=Call(
        "delete_transit_gateway_route_table", {"TransitGatewayRouteTableId": "$id"}, absent=_TABLE_GONE
    ),
    computed={"arn": arn("transit-gateway-route-table")},
    limits="Nothing is routed by it.",
)

_ENDS = {
    "TransitGatewayRouteTableId": "$transitGatewayRouteTableId",
    "TransitGatewayAttachmentId": "$transitGatewayAttachmentId",
}
_JOINED_INPUTS = {
    "transitGatewayAttachmentId": Prop(required=True, replace=True),
    "transitGatewayRouteTableId": Prop(required=True, replace=True),
    "region": REGION,
}


def _listed(operation: str, within: str) -> Call:
    return Call(
        operation,
        {"TransitGatewayRouteTableId": "$transitGatewayRouteTableId"},
        pick=f"{within}[?TransitGatewayAttachmentId=='{{transitGatewayAttachmentId}}'] | [0]",
        result={"resourceId": "ResourceId", "resourceType": "ResourceType"},
        absent=_TABLE_GONE,
    )


def _detach_first(call: Callable[..., Any], scope: Scope) -> None:
    """With `replaceExistingAssociation`, remove the attachment's existing association first."""
    if not scope.get("replaceExistingAssociation"):
        return
    attachment = scope["transitGatewayAttachmentId"]
    listed = call("describe_transit_gateway_attachments", TransitGatewayAttachmentIds=[attachment])
    for one in listed["TransitGatewayAttachments"]:
        table = one.get("Association", {}).get("TransitGatewayRouteTableId")
        if table and table != scope["transitGatewayRouteTableId"]:
            call(
                "disassociate_transit_gateway_route_table",
                TransitGatewayRouteTableId=table,
                TransitGatewayAttachmentId=attachment,
            )


ROUTE_TABLE_ASSOCIATION = Type(
    "aws:ec2transitgateway/routeTableAssociation:RouteTableAssociation",
    service="ec2",
    id="{transitGatewayRouteTableId}_{transitGatewayAttachmentId}",
    inputs={**_JOINED_INPUTS, "replaceExistingAssociation": Prop("flag", local=True)},
    outputs={"resourceId": Prop(), "resourceType": Prop()},
    before_create=_detach_first,
    create=Call("associate_transit_gateway_route_table", _ENDS),
    reads=(_listed("get_transit_gateway_route_table_associations", "Associations"),),
    delete=Call(
        "disassociate_transit_gateway_route_table",
        _ENDS,
        absent=(*_TABLE_GONE, *_ATTACHMENT_GONE, "InvalidAssociation.NotFound"),
    ),
    limits="Nothing is routed by it.",
)

ROUTE_TABLE_PROPAGATION = Type(
    "aws:ec2transitgateway/routeTablePropagation:RouteTablePropagation",
    service="ec2",
    id="{transitGatewayRouteTableId}_{transitGatewayAttachmentId}",
    inputs=_JOINED_INPUTS,
    outputs={"resourceId": Prop(), "resourceType": Prop()},
    create=Call("enable_transit_gateway_route_table_propagation", _ENDS),
    reads=(_listed("get_transit_gateway_route_table_propagations", "TransitGatewayRouteTablePropagations"),),
    delete=Call(
        "disable_transit_gateway_route_table_propagation",
        _ENDS,
        absent=(*_TABLE_GONE, *_ATTACHMENT_GONE, "TransitGatewayRouteTablePropagation.NotFound"),
    ),
    limits="No route appears in the table: neither a VPC's network nor what a site announces by BGP.",
)

_ROUTE = {
    "TransitGatewayRouteTableId": "$transitGatewayRouteTableId",
    "DestinationCidrBlock": "$destinationCidrBlock",
}

ROUTE = Type(
    "aws:ec2transitgateway/route:Route",
    service="ec2",
    id="{transitGatewayRouteTableId}_{destinationCidrBlock}",
    inputs={
        "blackhole": Prop("flag", replace=True, default=False),
        "destinationCidrBlock": Prop(required=True, replace=True),
        "transitGatewayAttachmentId": Prop(replace=True),
        "transitGatewayRouteTableId": Prop(required=True, replace=True),
        "region": REGION,
    },
    outputs={},
    create=Call(
        "create_transit_gateway_route",
        {**_ROUTE, "TransitGatewayAttachmentId": "$transitGatewayAttachmentId", "Blackhole": "$blackhole"},
    ),
    reads=(
        Call(
            "search_transit_gateway_routes",
            {
                "TransitGatewayRouteTableId": "$transitGatewayRouteTableId",
                "Filters": [
                    {"Name": "type", "Values": ["static"]},
                    {"Name": "route-search.exact-match", "Values": ["$destinationCidrBlock"]},
                ],
            },
            pick="Routes[0]",
            result={
                "transitGatewayAttachmentId": "TransitGatewayAttachments[0].TransitGatewayAttachmentId",
                "blackhole": "State == 'blackhole' && !TransitGatewayAttachments",
            },
            absent=_TABLE_GONE,
        ),
    ),
    delete=Call("delete_transit_gateway_route", _ROUTE, absent=(*_TABLE_GONE, "InvalidRoute.NotFound")),
    limits="Nothing is routed by it.",
)

TYPES = (ROUTE_TABLE, ROUTE_TABLE_ASSOCIATION, ROUTE_TABLE_PROPAGATION, ROUTE)
