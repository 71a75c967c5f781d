"""Amazon VPC: private endpoints of AWS services, and flow logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, fresh_token
from sandbox.aws.schema import Prop, has_same_members
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, added_and_removed, arn, tag_specifications

_ENDPOINT = {"VpcEndpointId": "$id"}
_NO_ENDPOINT = ("InvalidVpcEndpointId.NotFound",)
_MEMBERS = Prop("list", computed=True, alike=has_same_members)


def _change_members(call: Callable[..., Any], scope: Scope) -> None:
    """Add and remove an endpoint's subnets, route tables and security groups in one call."""
    [endpoint] = call("describe_vpc_endpoints", VpcEndpointIds=[scope["id"]])["VpcEndpoints"]
    actual = {
        "SubnetIds": ("subnetIds", endpoint.get("SubnetIds", [])),
        "RouteTableIds": ("routeTableIds", endpoint.get("RouteTableIds", [])),
        "SecurityGroupIds": ("securityGroupIds", [group["GroupId"] for group in endpoint.get("Groups", [])]),
    }
    changes: dict[str, list[str]] = {}
    for api, (name, old_ids) in actual.items():
        new_ids = scope.get(name)
        if new_ids is not None:
            changes |= added_and_removed(api, old_ids, new_ids)
    if changes:
        call("modify_vpc_endpoint", VpcEndpointId=scope["id"], **changes)


VPC_ENDPOINT = Type(
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    service="ec2",
    id="{id}",
    inputs={
        "vpcId": Prop(required=True, replace=True),
        "serviceName": Prop(replace=True),
        "vpcEndpointType": Prop(replace=True, default="Gateway"),
        "policy": Prop("json", computed=True),
        "privateDnsEnabled": Prop("flag", default=False),
        "securityGroupIds": _MEMBERS,
        "subnetIds": _MEMBERS,
        # Requested addresses. moto chooses the actual ones.
        "subnetConfigurations": Prop("list", local=True),
        "routeTableIds": _MEMBERS,
        "ipAddressType": Prop(computed=True),
        "dnsOptions": Prop(
            "object",
            computed=True,
            fields={
                "dnsRecordIpType": Prop(computed=True),
                "privateDnsOnlyForInboundResolverEndpoint": Prop("flag", computed=True),
            },
        ),
        "autoAccept": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "cidrBlocks": Prop("list"),
        "dnsEntries": Prop(
            "list",
            computed=True,
            item=Prop("object", fields={"dnsName": Prop(), "hostedZoneId": Prop()}),
        ),
        "networkInterfaceIds": Prop("list", computed=True),
        "ownerId": Prop(),
        "prefixListId": Prop(),
        "requesterManaged": Prop("flag"),
        "state": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_vpc_endpoint",
        {
            "ClientToken": fresh_token,
            "VpcId": "$vpcId",
            "ServiceName": "$serviceName",
            "VpcEndpointType": "$vpcEndpointType",
            "PolicyDocument": "$policy",
            # AWS's default is true for an interface endpoint, but the real plugin sends false.
            "PrivateDnsEnabled": lambda scope: (
                bool(scope.get("privateDnsEnabled")) if scope.get("vpcEndpointType") == "Interface" else None
            ),
            "SecurityGroupIds": "$securityGroupIds",
            "SubnetIds": "$subnetIds",
            "RouteTableIds": "$routeTableIds",
            "IpAddressType": "$ipAddressType",
            "DnsOptions": "$dnsOptions",
            "TagSpecifications": tag_specifications("vpc-endpoint"),
        },
        result={"id": "VpcEndpoint.VpcEndpointId"},
    ),
    reads=(
        Call(
            "describe_vpc_endpoints",
            {"VpcEndpointIds": ["$id"]},
            pick="VpcEndpoints[0]",
            result={
                "vpcId": "VpcId",
                "serviceName": "ServiceName",
                "vpcEndpointType": "VpcEndpointType",
                "policy": "PolicyDocument",
                "privateDnsEnabled": "PrivateDnsEnabled",
                "securityGroupIds": "Groups[].GroupId || `[]`",
                "subnetIds": "SubnetIds || `[]`",
                "routeTableIds": "RouteTableIds || `[]`",
                "ipAddressType": "IpAddressType",
                "dnsOptions": "DnsOptions",
                "dnsEntries": "DnsEntries || `[]`",
                "networkInterfaceIds": "NetworkInterfaceIds || `[]`",
                "ownerId": "OwnerId",
                "requesterManaged": "RequesterManaged || `false`",
                "state": "State",
                "tagsAll": "Tags",
            },
            absent=_NO_ENDPOINT,
        ),
        Call(
            "describe_prefix_lists",
            {"Filters": [{"Name": "prefix-list-name", "Values": ["$serviceName"]}]},
            result={
                "prefixListId": "PrefixLists[0].PrefixListId || ''",
                "cidrBlocks": "PrefixLists[0].Cidrs || `[]`",
            },
        ),
    ),
    facets=(
        Facet(("policy",), put=Call("modify_vpc_endpoint", {**_ENDPOINT, "PolicyDocument": "$policy"})),
        Facet(("securityGroupIds", "subnetIds", "routeTableIds"), put=_change_members),
        Facet(
            ("privateDnsEnabled",),
            put=Call(
                "modify_vpc_endpoint",
                {**_ENDPOINT, "PrivateDnsEnabled": lambda scope: bool(scope.get("privateDnsEnabled"))},
            ),
        ),
        Facet(
            ("ipAddressType", "dnsOptions"),
            put=Call(
                "modify_vpc_endpoint",
                {**_ENDPOINT, "IpAddressType": "$ipAddressType", "DnsOptions": "$dnsOptions"},
            ),
        ),
    ),
    tagging=TAGGING,
    is_gone=lambda scope: scope.get("state") in ("deleted", "deleting"),
    delete=Call("delete_vpc_endpoints", {"VpcEndpointIds": ["$id"]}, absent=_NO_ENDPOINT),
    computed={"arn": arn("vpc-endpoint")},
    limits="Kept, and its names are AWS's; nothing answers at them, and no request is refused by its policy "
    "or security groups. In AWS it takes minutes to become available and to go. A service that AWS does not "
    "offer in the region is refused only where moto knows none of that name.",
)


def _resources(scope: Scope) -> tuple[str, str]:
    """Return the monitored resource: the API's name of its type, and its id."""
    kinds = {
        "vpcId": "VPC",
        "subnetId": "Subnet",
        "eniId": "NetworkInterface",
        "transitGatewayId": "TransitGateway",
        "transitGatewayAttachmentId": "TransitGatewayAttachment",
    }
    return next(((kind, scope[name]) for name, kind in kinds.items() if scope.get(name)), ("VPC", ""))


def _same_group(left: Any, right: Any) -> bool:
    """Compare ARNs of log groups, with or without `:*` at the end."""
    return str(left).removesuffix(":*") == str(right).removesuffix(":*")


def _watched(prefix: str) -> str:
    return f"starts_with(ResourceId, '{prefix}-') && ResourceId || `null`"


FLOW_LOG = Type(
    "aws:ec2/flowLog:FlowLog",
    service="ec2",
    id="{id}",
    inputs={
        "vpcId": Prop(replace=True),
        "subnetId": Prop(replace=True),
        "eniId": Prop(replace=True),
        "transitGatewayId": Prop(replace=True),
        "transitGatewayAttachmentId": Prop(replace=True),
        "trafficType": Prop(replace=True),
        "iamRoleArn": Prop(replace=True),
        "logDestination": Prop(replace=True, computed=True, alike=_same_group),
        "logDestinationType": Prop(replace=True, default="cloud-watch-logs"),
        "logFormat": Prop(replace=True, computed=True),
        "maxAggregationInterval": Prop("number", replace=True, default=600),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_flow_logs",
        {
            "ClientToken": fresh_token,
            "ResourceType": lambda scope: _resources(scope)[0],
            "ResourceIds": lambda scope: [_resources(scope)[1]],
            "TrafficType": "$trafficType",
            "DeliverLogsPermissionArn": "$iamRoleArn",
            "LogDestination": lambda scope: (scope.get("logDestination") or "").removesuffix(":*") or None,
            "LogDestinationType": "$logDestinationType",
            "LogFormat": "$logFormat",
            "MaxAggregationInterval": "$maxAggregationInterval",
            "TagSpecifications": tag_specifications("vpc-flow-log"),
        },
        result={"id": "FlowLogIds[0]"},
    ),
    reads=(
        Call(
            "describe_flow_logs",
            {"FlowLogIds": ["$id"]},
            pick="FlowLogs[0]",
            result={
                "vpcId": _watched("vpc"),
                "subnetId": _watched("subnet"),
                "eniId": _watched("eni"),
                "transitGatewayId": "starts_with(ResourceId, 'tgw-') && !starts_with(ResourceId, 'tgw-attach-') "
                "&& ResourceId || `null`",
                "transitGatewayAttachmentId": _watched("tgw-attach"),
                "trafficType": "TrafficType",
                "iamRoleArn": "DeliverLogsPermissionArn",
                "logDestination": "LogDestination",
                "logDestinationType": "LogDestinationType",
                "logFormat": "LogFormat",
                "maxAggregationInterval": "MaxAggregationInterval",
                "tagsAll": "Tags",
            },
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_flow_logs", {"FlowLogIds": ["$id"]}, absent=("InvalidFlowLogId.NotFound",)),
    computed={"arn": arn("vpc-flow-log")},
    limits="Kept; no packet moves, so nothing is written to the log group. Options of files in S3 are not "
    "served.",
)

TYPES = (VPC_ENDPOINT, FLOW_LOG)
