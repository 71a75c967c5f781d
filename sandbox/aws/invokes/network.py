"""Functions about the network that there is: zones, VPCs, subnets, route tables, types of machines.

Their answers have the real functions' names. Where one thing is asked for and none or several are found, the
function fails, in the real one's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.resources import partition

Filters = list[dict[str, Any]]


def _filters(args: Mapping[str, Any], named: Mapping[str, str]) -> Filters:
    """EC2's filters from arguments (`named`: argument to filter), tags, and the caller's own."""
    made = [
        {"Name": name, "Values": [_text(args[argument])]}
        for argument, name in named.items()
        if args.get(argument) not in (None, "")
    ]
    made += [{"Name": f"tag:{key}", "Values": [value]} for key, value in (args.get("tags") or {}).items()]
    made += [{"Name": each["name"], "Values": each["values"]} for each in args.get("filters") or []]
    return made


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(
    api: Api, token: str, args: Mapping[str, Any], operation: str, member: str, **params: Any
) -> list[Any]:
    """Everything that a `describe_…` finds, over all pages. Raises `CallRefused` with AWS's reason."""
    from botocore.exceptions import ClientError, ParamValidationError

    client = api.client("ec2", args.get("region"))
    params = {name: value for name, value in params.items() if value}
    try:
        if client.can_paginate(operation):
            return client.get_paginator(operation).paginate(**params).build_full_result().get(member, [])
        return getattr(client, operation)(**params).get(member, [])
    except ParamValidationError:
        raise CallRefused(f"{token}: {operation}: an argument is not of the form that AWS takes") from None
    except ClientError as error:
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        raise CallRefused(f"{token}: {operation}: {detail.get('Message')} ({code})", code) from None


def _only(token: str, what: str, found: list[Any]) -> Any:
    if not found:
        raise CallRefused(f"{token}: no matching {what} found")
    if len(found) > 1:
        raise CallRefused(
            f"{token}: multiple {what}s matched; use additional constraints to reduce matches to a single {what}"
        )
    return found[0]


def _tags(thing: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def _region(api: Api, args: Mapping[str, Any]) -> str:
    return str(args.get("region") or api.settings.region)


def _arn(api: Api, args: Mapping[str, Any], owner: str, what: str) -> str:
    region = _region(api, args)
    return f"arn:{partition(region)[0]}:ec2:{region}:{owner}:{what}"


_ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"


def availability_zones(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The zones by name, in order, with their ids and groups in the same order."""
    found = _listed(
        api,
        _ZONES,
        args,
        "describe_availability_zones",
        "AvailabilityZones",
        Filters=_filters(args, {"state": "state"}),
        AllAvailabilityZones=args.get("allAvailabilityZones"),
    )
    kept = [
        zone
        for zone in sorted(found, key=lambda zone: zone["ZoneName"])
        if zone["ZoneName"] not in (args.get("excludeNames") or [])
        and zone["ZoneId"] not in (args.get("excludeZoneIds") or [])
    ]
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "names": [zone["ZoneName"] for zone in kept],
        "zoneIds": [zone["ZoneId"] for zone in kept],
        "groupNames": sorted({zone["GroupName"] for zone in kept if zone.get("GroupName")}),
    }


_VPC = "aws:ec2/getVpc:getVpc"


def vpc(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The one VPC that the arguments mean."""
    named = {
        "cidrBlock": "cidr",
        "default": "is-default",
        "dhcpOptionsId": "dhcp-options-id",
        "state": "state",
    }
    # As the real one: `default` narrows only when it is true.
    asked = {**args, "default": args.get("default") or None}
    ids = [args["id"]] if args.get("id") else None
    found = _listed(api, _VPC, args, "describe_vpcs", "Vpcs", VpcIds=ids, Filters=_filters(asked, named))
    one = _only(_VPC, "EC2 VPC", found)
    client = api.client("ec2", args.get("region"))

    def attribute(name: str) -> bool:
        answer = client.describe_vpc_attribute(VpcId=one["VpcId"], Attribute=name)
        return bool(answer[name[0].upper() + name[1:]]["Value"])

    main = [{"Name": "vpc-id", "Values": [one["VpcId"]]}, {"Name": "association.main", "Values": ["true"]}]
    tables = _listed(api, _VPC, args, "describe_route_tables", "RouteTables", Filters=main)
    v6 = one.get("Ipv6CidrBlockAssociationSet", [])
    return {
        "id": one["VpcId"],
        "arn": _arn(api, args, one["OwnerId"], f"vpc/{one['VpcId']}"),
        "cidrBlock": one["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": each["AssociationId"],
                "cidrBlock": each["CidrBlock"],
                "state": each["CidrBlockState"]["State"],
            }
            for each in one.get("CidrBlockAssociationSet", [])
        ],
        "default": one["IsDefault"],
        "dhcpOptionsId": one["DhcpOptionsId"],
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "enableNetworkAddressUsageMetrics": attribute("enableNetworkAddressUsageMetrics"),
        "filters": args.get("filters"),
        "instanceTenancy": one["InstanceTenancy"],
        "ipv6AssociationId": v6[0]["AssociationId"] if v6 else "",
        "ipv6CidrBlock": v6[0]["Ipv6CidrBlock"] if v6 else "",
        "ipv6CidrBlockAssociations": [],
        "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
        "ownerId": one["OwnerId"],
        "region": _region(api, args),
        "state": one["State"],
        "tags": _tags(one),
    }


_SUBNETS = "aws:ec2/getSubnets:getSubnets"


def subnets(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all subnets that fit; none is no error."""
    found = _listed(api, _SUBNETS, args, "describe_subnets", "Subnets", Filters=_filters(args, {}))
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "ids": [each["SubnetId"] for each in found],
        "tags": args.get("tags") or {},
    }


_SUBNET = "aws:ec2/getSubnet:getSubnet"


def subnet(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The one subnet that the arguments mean."""
    named = {
        "availabilityZone": "availability-zone",
        "availabilityZoneId": "availability-zone-id",
        "cidrBlock": "cidr-block",
        "defaultForAz": "default-for-az",
        "state": "state",
        "vpcId": "vpc-id",
    }
    asked = {**args, "defaultForAz": args.get("defaultForAz") or None}
    ids = [args["id"]] if args.get("id") else None
    found = _listed(
        api, _SUBNET, args, "describe_subnets", "Subnets", SubnetIds=ids, Filters=_filters(asked, named)
    )
    one = _only(_SUBNET, "EC2 Subnet", found)
    options = one.get("PrivateDnsNameOptionsOnLaunch", {})
    return {
        "id": one["SubnetId"],
        "arn": _arn(api, args, one["OwnerId"], f"subnet/{one['SubnetId']}"),
        "assignIpv6AddressOnCreation": one.get("AssignIpv6AddressOnCreation", False),
        "availabilityZone": one["AvailabilityZone"],
        "availabilityZoneId": one["AvailabilityZoneId"],
        "availableIpAddressCount": one["AvailableIpAddressCount"],
        "cidrBlock": one.get("CidrBlock", ""),
        "customerOwnedIpv4Pool": "",
        "defaultForAz": one["DefaultForAz"],
        "enableDns64": one.get("EnableDns64", False),
        "enableLniAtDeviceIndex": 0,
        "enableResourceNameDnsARecordOnLaunch": options.get("EnableResourceNameDnsARecord", False),
        "enableResourceNameDnsAaaaRecordOnLaunch": options.get("EnableResourceNameDnsAAAARecord", False),
        "filters": args.get("filters"),
        "ipv6CidrBlock": "",
        "ipv6CidrBlockAssociationId": "",
        "ipv6Native": one.get("Ipv6Native", False),
        "mapCustomerOwnedIpOnLaunch": False,
        "mapPublicIpOnLaunch": one["MapPublicIpOnLaunch"],
        "outpostArn": "",
        "ownerId": one["OwnerId"],
        "privateDnsHostnameTypeOnLaunch": options.get("HostnameType", ""),
        "region": _region(api, args),
        "state": one["State"],
        "tags": _tags(one),
        "vpcId": one["VpcId"],
    }


_TABLES = "aws:ec2/getRouteTables:getRouteTables"


def route_tables(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of all route tables that fit; none is no error."""
    filters = _filters(args, {"vpcId": "vpc-id"})
    found = _listed(api, _TABLES, args, "describe_route_tables", "RouteTables", Filters=filters)
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "ids": [each["RouteTableId"] for each in found],
        "tags": args.get("tags") or {},
    }


_TABLE = "aws:ec2/getRouteTable:getRouteTable"
_ROUTE = {
    "carrierGatewayId": "CarrierGatewayId",
    "cidrBlock": "DestinationCidrBlock",
    "coreNetworkArn": "CoreNetworkArn",
    "destinationPrefixListId": "DestinationPrefixListId",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "gatewayId": "GatewayId",
    "instanceId": "InstanceId",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    "localGatewayId": "LocalGatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "odbNetworkArn": "OdbNetworkArn",
    "transitGatewayId": "TransitGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
}


def route_table(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The one route table that the arguments mean, with its routes.

    By `subnetId` only a table that the subnet is associated with is found: one without follows the VPC's main
    table (filters `vpc-id` and `association.main`). As in the real function, the route within the VPC, those of
    gateway endpoints and those that a gateway propagated are left out.
    """
    named = {
        "gatewayId": "association.gateway-id",
        "routeTableId": "route-table-id",
        "subnetId": "association.subnet-id",
        "vpcId": "vpc-id",
    }
    gateway = args.get("gatewayId")
    # moto does not filter by gateway; what it does not know it refuses.
    filters = _filters({**args, "gatewayId": None}, named)
    found = _listed(api, _TABLE, args, "describe_route_tables", "RouteTables", Filters=filters)
    if gateway:
        found = [
            each
            for each in found
            if any(gateway == association.get("GatewayId") for association in each.get("Associations", []))
        ]
    if not found:
        raise CallRefused(
            f"{_TABLE}: query returned no results. Please change your search criteria and try again"
        )
    one = _only(_TABLE, "Route Table", found)
    return {
        "id": one["RouteTableId"],
        "arn": _arn(api, args, one["OwnerId"], f"route-table/{one['RouteTableId']}"),
        "associations": [
            {
                "gatewayId": each.get("GatewayId", ""),
                "main": each.get("Main", False),
                "routeTableAssociationId": each["RouteTableAssociationId"],
                "routeTableId": each["RouteTableId"],
                "subnetId": each.get("SubnetId", ""),
            }
            for each in one.get("Associations", [])
        ],
        "filters": args.get("filters"),
        "gatewayId": gateway or "",
        "ownerId": one["OwnerId"],
        "region": _region(api, args),
        "routeTableId": one["RouteTableId"],
        "routes": [_shown(route) for route in one.get("Routes", []) if _is_told(route)],
        "subnetId": args.get("subnetId") or "",
        "tags": _tags(one),
        "vpcId": one["VpcId"],
    }


def _is_told(route: Mapping[str, Any]) -> bool:
    gateway = route.get("GatewayId", "")
    by_endpoint = bool(route.get("DestinationPrefixListId")) and gateway.startswith("vpce-")
    return gateway != "local" and not by_endpoint and route.get("Origin") != "EnableVgwRoutePropagation"


def _shown(route: Mapping[str, Any]) -> dict[str, str]:
    made = {name: route.get(member, "") for name, member in _ROUTE.items()}
    # An endpoint of a load balancer is told apart by its own name.
    by_endpoint = made["gatewayId"].startswith("vpce-")
    return {
        **made,
        "gatewayId": "" if by_endpoint else made["gatewayId"],
        "vpcEndpointId": made["gatewayId"] if by_endpoint else "",
    }


_OFFERINGS = "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"


def instance_type_offerings(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The types of machines that the region offers, as moto lists them; three lists in the same order."""
    found = _listed(
        api,
        _OFFERINGS,
        args,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType=args.get("locationType"),
        Filters=_filters(args, {}),
    )
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "instanceTypes": [each["InstanceType"] for each in found],
        "locations": [each["Location"] for each in found],
        "locationTypes": [each["LocationType"] for each in found],
    }


_PREFIXES = "aws:ec2/getPrefixList:getPrefixList"


def prefix_list(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """The one list of a service's addresses that the arguments mean."""
    asked = _filters(args, {"name": "prefix-list-name", "prefixListId": "prefix-list-id"})
    one = _only(
        _PREFIXES,
        "EC2 Prefix List",
        _listed(api, _PREFIXES, args, "describe_prefix_lists", "PrefixLists", Filters=asked),
    )
    return {
        **args,
        "id": one["PrefixListId"],
        "prefixListId": one["PrefixListId"],
        "name": one["PrefixListName"],
        "cidrBlocks": one["Cidrs"],
        "region": _region(api, args),
    }


INVOKES = {
    _ZONES: availability_zones,
    _VPC: vpc,
    _SUBNETS: subnets,
    _SUBNET: subnet,
    _TABLES: route_tables,
    _TABLE: route_table,
    _OFFERINGS: instance_type_offerings,
    _PREFIXES: prefix_list,
}
