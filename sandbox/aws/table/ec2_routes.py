"""Amazon VPC: route tables, routes, and associations with subnets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.calls import CallRefused
from sandbox.aws.model import Call, Facet, Scope, Type
from sandbox.aws.schema import Prop
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, tag_specifications

_NO_TABLE = ("InvalidRouteTableID.NotFound",)

ROUTE_TABLE = Type(
    "aws:ec2/routeTable:RouteTable",
    service="ec2",
    id="{id}",
    inputs={
        "vpcId": Prop(required=True, replace=True),
        "routes": Prop(
            "list",
            local=True,
            check=lambda routes: "routes are not served inline; make each an `aws:ec2/route:Route`.",
        ),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_route_table",
        {"VpcId": "$vpcId", "TagSpecifications": tag_specifications("route-table")},
        result={"id": "RouteTable.RouteTableId"},
    ),
    reads=(
        Call(
            "describe_route_tables",
            {"RouteTableIds": ["$id"]},
            pick="RouteTables[0]",
            result={"vpcId": "VpcId", "ownerId": "OwnerId", "tagsAll": "Tags"},
            absent=_NO_TABLE,
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_route_table", {"RouteTableId": "$id"}, absent=_NO_TABLE),
    computed={"arn": arn("route-table")},
    limits="Inline `routes` are refused: give each its own `Route`. No route is ever propagated by a gateway.",
)

_DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}
_TARGETS = {
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}
_TO = {"RouteTableId": "$routeTableId", **{api: f"${name}" for name, api in _DESTINATIONS.items()}}
_VIA = {api: f"${name}" for name, api in _TARGETS.items()}
_SAME = " || ".join(f"{api}=='{{destination}}'" for api in _DESTINATIONS.values())

ROUTE = Type(
    "aws:ec2/route:Route",
    service="ec2",
    id="{routeTableId}_{destination}",
    inputs={
        "routeTableId": Prop(required=True, replace=True),
        **{name: Prop(replace=True) for name in _DESTINATIONS},
        **{name: Prop() for name in _TARGETS},
        "region": REGION,
    },
    outputs={"origin": Prop(), "state": Prop()},
    create=Call("create_route", {**_TO, **_VIA}),
    reads=(
        Call(
            "describe_route_tables",
            {"RouteTableIds": ["$routeTableId"]},
            pick=f"RouteTables[0].Routes[?{_SAME}] | [0]",
            result={**_DESTINATIONS, **_TARGETS, "origin": "Origin", "state": "State"},
            absent=_NO_TABLE,
        ),
    ),
    facets=(Facet(tuple(_TARGETS), put=Call("replace_route", {**_TO, **_VIA})),),
    delete=Call("delete_route", _TO, absent=("InvalidRoute.NotFound", *_NO_TABLE)),
    derived={
        "destination": lambda scope: next((scope[name] for name in _DESTINATIONS if scope.get(name)), "")
    },
    limits="No packet moves; a route whose target is gone stays `active` here, in AWS it becomes "
    "`blackhole`. The id is the import's form, `table_destination`, where the real plugin makes up another.",
)


def _association(call: Callable[..., Any], scope: Scope) -> dict[str, str]:
    """Return the id of a subnet's or gateway's association. Raises `CallRefused` if there is none."""
    target = scope["target"]
    for table in call("describe_route_tables")["RouteTables"]:
        for association in table.get("Associations", []):
            if target in (association.get("SubnetId"), association.get("GatewayId")):
                return {"_association": association["RouteTableAssociationId"]}
    raise CallRefused(f"{target} is associated with no route table", "InvalidAssociationID.NotFound")


def _move(call: Callable[..., Any], scope: Scope) -> None:
    association = _association(call, scope)["_association"]
    call("replace_route_table_association", AssociationId=association, RouteTableId=scope["routeTableId"])


ROUTE_TABLE_ASSOCIATION = Type(
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    service="ec2",
    id="{target}",
    inputs={
        "routeTableId": Prop(required=True),
        "subnetId": Prop(replace=True),
        "gatewayId": Prop(replace=True),
        "region": REGION,
    },
    outputs={},
    create=Call(
        "associate_route_table",
        {"RouteTableId": "$routeTableId", "SubnetId": "$subnetId", "GatewayId": "$gatewayId"},
    ),
    reads=(
        Call(
            "describe_route_tables",
            {},
            pick="RouteTables[].Associations[] | [?SubnetId=='{target}' || GatewayId=='{target}'] | [0]",
            result={
                "routeTableId": "RouteTableId",
                "subnetId": "SubnetId",
                "gatewayId": "GatewayId",
                "_association": "RouteTableAssociationId",
            },
        ),
    ),
    facets=(Facet(("routeTableId",), put=_move),),
    before_delete=_association,
    delete=Call(
        "disassociate_route_table",
        {"AssociationId": "$_association"},
        absent=("InvalidAssociationID.NotFound",),
    ),
    derived={"target": lambda scope: scope.get("subnetId") or scope["gatewayId"]},
    imports="{target}/{routeTableId}",
    limits="The id is the subnet's or gateway's, as each has one association at most; the real plugin's is "
    "`rtbassoc-…`, which changes whenever the table does.",
)

TYPES = (ROUTE_TABLE, ROUTE, ROUTE_TABLE_ASSOCIATION)
