"""Amazon VPC: networks, subnets and internet gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import Call, Facet, Scope, Type, find_only_id, list_all_ids
from sandbox.aws.schema import Prop
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, tag_specifications

_VPC = {"VpcId": "$id"}
_SUBNET = {"SubnetId": "$id"}


def _filters(name: str, value: str) -> dict[str, Any]:
    """Return filters for resources that AWS creates with a VPC."""
    filters = {"vpc-id": "$id", name: value}
    return {"Filters": [{"Name": name, "Values": [value]} for name, value in filters.items()]}


def _flag(operation: str, target: dict[str, str], prop: str, api: str) -> Facet:
    """Return the facet of one attribute: EC2 changes one at a time."""
    return Facet((prop,), at_create=True, put=Call(operation, {**target, api: {"Value": f"${prop}"}}))


VPC = Type(
    "aws:ec2/vpc:Vpc",
    service="ec2",
    id="{id}",
    inputs={
        "cidrBlock": Prop(replace=True, computed=True),
        "enableDnsSupport": Prop("flag", default=True),
        "enableDnsHostnames": Prop("flag", default=False),
        "enableNetworkAddressUsageMetrics": Prop("flag", default=False),
        "instanceTenancy": Prop(replace=True, default="default"),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "defaultNetworkAclId": Prop(),
        "defaultRouteTableId": Prop(),
        "defaultSecurityGroupId": Prop(),
        "dhcpOptionsId": Prop(),
        "mainRouteTableId": Prop(),
        "ownerId": Prop(),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_vpc",
        {
            "CidrBlock": "$cidrBlock",
            "InstanceTenancy": "$instanceTenancy",
            "TagSpecifications": tag_specifications("vpc"),
        },
        result={"id": "Vpc.VpcId"},
    ),
    list_all=list_all_ids("describe_vpcs", "Vpcs[].VpcId"),
    reads=(
        Call(
            "describe_vpcs",
            {"VpcIds": ["$id"]},
            pick="Vpcs[0]",
            result={
                "cidrBlock": "CidrBlock",
                "instanceTenancy": "InstanceTenancy",
                "dhcpOptionsId": "DhcpOptionsId",
                "ownerId": "OwnerId",
                "tagsAll": "Tags",
            },
            absent=("InvalidVpcID.NotFound",),
        ),
        *(
            Call(
                "describe_vpc_attribute",
                {**_VPC, "Attribute": prop},
                result={prop: f"{prop[0].upper()}{prop[1:]}.Value"},
            )
            for prop in ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
        ),
        Call(
            "describe_route_tables",
            _filters("association.main", "true"),
            result={
                "mainRouteTableId": "RouteTables[0].RouteTableId",
                "defaultRouteTableId": "RouteTables[0].RouteTableId",
            },
        ),
        Call(
            "describe_security_groups",
            _filters("group-name", "default"),
            result={"defaultSecurityGroupId": "SecurityGroups[0].GroupId"},
        ),
        Call(
            "describe_network_acls",
            _filters("default", "true"),
            result={"defaultNetworkAclId": "NetworkAcls[0].NetworkAclId"},
        ),
    ),
    facets=(
        # DNS host names need DNS support, so they are enabled after it.
        _flag("modify_vpc_attribute", _VPC, "enableDnsSupport", "EnableDnsSupport"),
        _flag("modify_vpc_attribute", _VPC, "enableDnsHostnames", "EnableDnsHostnames"),
        _flag(
            "modify_vpc_attribute",
            _VPC,
            "enableNetworkAddressUsageMetrics",
            "EnableNetworkAddressUsageMetrics",
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_vpc", _VPC, absent=("InvalidVpcID.NotFound",)),
    computed={"arn": arn("vpc")},
    limits="No packet moves. IPv6 and address pools (IPAM) are not served. In AWS a change of the tenancy "
    "from `dedicated` to `default` is made in place. The default route table is taken to be the main one.",
)

SUBNET = Type(
    "aws:ec2/subnet:Subnet",
    service="ec2",
    id="{id}",
    inputs={
        "vpcId": Prop(required=True, replace=True),
        "cidrBlock": Prop(replace=True),
        "availabilityZone": Prop(replace=True, computed=True),
        "availabilityZoneId": Prop(replace=True, computed=True),
        "mapPublicIpOnLaunch": Prop("flag", default=False),
        "enableResourceNameDnsARecordOnLaunch": Prop("flag", default=False),
        "privateDnsHostnameTypeOnLaunch": Prop(computed=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_subnet",
        {
            "VpcId": "$vpcId",
            "CidrBlock": "$cidrBlock",
            "AvailabilityZone": "$availabilityZone",
            "AvailabilityZoneId": "$availabilityZoneId",
            "TagSpecifications": tag_specifications("subnet"),
        },
        result={"id": "Subnet.SubnetId"},
    ),
    find_only=find_only_id(
        "describe_subnets", "Subnets[].SubnetId", {"vpc-id": "vpcId", "cidr-block": "cidrBlock"}
    ),
    reads=(
        Call(
            "describe_subnets",
            {"SubnetIds": ["$id"]},
            pick="Subnets[0]",
            result={
                "vpcId": "VpcId",
                "cidrBlock": "CidrBlock",
                "availabilityZone": "AvailabilityZone",
                "availabilityZoneId": "AvailabilityZoneId",
                "mapPublicIpOnLaunch": "MapPublicIpOnLaunch",
                "enableResourceNameDnsARecordOnLaunch": "PrivateDnsNameOptionsOnLaunch"
                ".EnableResourceNameDnsARecord",
                "privateDnsHostnameTypeOnLaunch": "PrivateDnsNameOptionsOnLaunch.HostnameType",
                "ownerId": "OwnerId",
                "tagsAll": "Tags",
            },
            absent=("InvalidSubnetID.NotFound",),
        ),
    ),
    facets=(
        _flag("modify_subnet_attribute", _SUBNET, "mapPublicIpOnLaunch", "MapPublicIpOnLaunch"),
        _flag(
            "modify_subnet_attribute",
            _SUBNET,
            "enableResourceNameDnsARecordOnLaunch",
            "EnableResourceNameDnsARecordOnLaunch",
        ),
        Facet(
            ("privateDnsHostnameTypeOnLaunch",),
            at_create=True,
            put=Call(
                "modify_subnet_attribute",
                {**_SUBNET, "PrivateDnsHostnameTypeOnLaunch": "$privateDnsHostnameTypeOnLaunch"},
            ),
        ),
    ),
    tagging=TAGGING,
    delete=Call("delete_subnet", _SUBNET, absent=("InvalidSubnetID.NotFound",)),
    computed={"arn": arn("subnet")},
    limits="The zones are those that moto knows; AWS's are named per account, and a service is not in each. "
    "IPv6, address pools and outposts are not served.",
)


def _attach(call: Callable[..., Any], scope: Scope) -> None:
    """Detach the gateway from its old VPC: it can be attached to one VPC only."""
    _detach(call, scope)
    if scope.get("vpcId"):
        call("attach_internet_gateway", InternetGatewayId=scope["id"], VpcId=scope["vpcId"])


def _detach(call: Callable[..., Any], scope: Scope) -> None:
    [gateway] = call("describe_internet_gateways", InternetGatewayIds=[scope["id"]])["InternetGateways"]
    for attachment in gateway.get("Attachments", []):
        call("detach_internet_gateway", InternetGatewayId=scope["id"], VpcId=attachment["VpcId"])


INTERNET_GATEWAY = Type(
    "aws:ec2/internetGateway:InternetGateway",
    service="ec2",
    id="{id}",
    inputs={"vpcId": Prop(), "region": REGION, "tags": TAGS},
    outputs={"arn": Prop(), "ownerId": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_internet_gateway",
        {"TagSpecifications": tag_specifications("internet-gateway")},
        result={"id": "InternetGateway.InternetGatewayId"},
    ),
    list_all=list_all_ids("describe_internet_gateways", "InternetGateways[].InternetGatewayId"),
    reads=(
        Call(
            "describe_internet_gateways",
            {"InternetGatewayIds": ["$id"]},
            pick="InternetGateways[0]",
            result={"vpcId": "Attachments[0].VpcId", "ownerId": "OwnerId", "tagsAll": "Tags"},
            absent=("InvalidInternetGatewayID.NotFound",),
        ),
    ),
    facets=(Facet(("vpcId",), put=_attach, at_create=True),),
    tagging=TAGGING,
    before_delete=_detach,
    delete=Call(
        "delete_internet_gateway",
        {"InternetGatewayId": "$id"},
        absent=("InvalidInternetGatewayID.NotFound",),
    ),
    computed={"arn": arn("internet-gateway")},
    limits="No packet moves. In AWS a gateway cannot be detached while public addresses of the VPC are in "
    "use; here it can.",
)

TYPES = (VPC, SUBNET, INTERNET_GATEWAY)
