"""Functions about existing networks: zones, VPCs, subnets, route tables, instance types, prefix lists.

The answers have the real functions' keys. If a function for a single resource finds none or several, it fails with
the real function's message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.aws.calls import Api, CallRefused
from sandbox.aws.resources import partition

Filters = list[dict[str, Any]]


def _filters(args: Mapping[str, Any], filter_names: Mapping[str, str]) -> Filters:
    """Return EC2 filters for arguments (`filter_names`: filter by argument), tags, and the caller's own filters."""
    filters = [
        {"Name": name, "Values": [_text(args[argument])]}
        for argument, name in filter_names.items()
        if args.get(argument) not in (None, "")
    ]
    filters += [{"Name": f"tag:{key}", "Values": [value]} for key, value in (args.get("tags") or {}).items()]
    filters += [
        {"Name": extra_filter["name"], "Values": extra_filter["values"]}
        for extra_filter in args.get("filters") or []
    ]
    return filters


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe_all(
    api: Api, token: str, args: Mapping[str, Any], operation: str, member: str, **params: Any
) -> list[Any]:
    """Return all results of a `describe_…` operation, from all pages. Raises `CallRefused` with AWS's message."""
    from botocore.exceptions import ClientError, ParamValidationError

    client = api.client("ec2", args.get("region"))
    params = {name: value for name, value in params.items() if value}
    try:
        if client.can_paginate(operation):
            return client.get_paginator(operation).paginate(**params).build_full_result().get(member, [])
        return getattr(client, operation)(**params).get(member, [])
    except ParamValidationError:
        raise CallRefused(
            f"{token}: {operation}: an argument does not have the form that AWS requires"
        ) from None
    except ClientError as error:
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", ""))
        raise CallRefused(f"{token}: {operation}: {detail.get('Message')} ({code})", code) from None


def _single(token: str, kind: str, matches: list[Any]) -> Any:
    if not matches:
        raise CallRefused(f"{token}: no matching {kind} found")
    if len(matches) > 1:
        raise CallRefused(
            f"{token}: multiple {kind}s matched; use additional constraints to reduce matches to a single {kind}"
        )
    return matches[0]


def _tags(resource: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def _region(api: Api, args: Mapping[str, Any]) -> str:
    return str(args.get("region") or api.settings.region)


def _arn(api: Api, args: Mapping[str, Any], owner: str, resource_path: str) -> str:
    region = _region(api, args)
    return f"arn:{partition(region)[0]}:ec2:{region}:{owner}:{resource_path}"


_ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"


def availability_zones(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the zones sorted by name, with their ids in the same order, and the zone groups."""
    zones = _describe_all(
        api,
        _ZONES,
        args,
        "describe_availability_zones",
        "AvailabilityZones",
        Filters=_filters(args, {"state": "state"}),
        AllAvailabilityZones=args.get("allAvailabilityZones"),
    )
    selected = [
        zone
        for zone in sorted(zones, key=lambda zone: zone["ZoneName"])
        if zone["ZoneName"] not in (args.get("excludeNames") or [])
        and zone["ZoneId"] not in (args.get("excludeZoneIds") or [])
    ]
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "names": [zone["ZoneName"] for zone in selected],
        "zoneIds": [zone["ZoneId"] for zone in selected],
        "groupNames": sorted({zone["GroupName"] for zone in selected if zone.get("GroupName")}),
    }


_VPC = "aws:ec2/getVpc:getVpc"


def vpc(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single VPC that matches the arguments."""
    filter_names = {
        "cidrBlock": "cidr",
        "default": "is-default",
        "dhcpOptionsId": "dhcp-options-id",
        "state": "state",
    }
    # Like in the real function, `default` has an effect only if it is true.
    criteria = {**args, "default": args.get("default") or None}
    ids = [args["id"]] if args.get("id") else None
    vpcs = _describe_all(
        api, _VPC, args, "describe_vpcs", "Vpcs", VpcIds=ids, Filters=_filters(criteria, filter_names)
    )
    vpc_answer = _single(_VPC, "EC2 VPC", vpcs)
    client = api.client("ec2", args.get("region"))

    def attribute(name: str) -> bool:
        answer = client.describe_vpc_attribute(VpcId=vpc_answer["VpcId"], Attribute=name)
        return bool(answer[name[0].upper() + name[1:]]["Value"])

    main = [
        {"Name": "vpc-id", "Values": [vpc_answer["VpcId"]]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    tables = _describe_all(api, _VPC, args, "describe_route_tables", "RouteTables", Filters=main)
    v6 = vpc_answer.get("Ipv6CidrBlockAssociationSet", [])
    return {
        "id": vpc_answer["VpcId"],
        "arn": _arn(api, args, vpc_answer["OwnerId"], f"vpc/{vpc_answer['VpcId']}"),
        "cidrBlock": vpc_answer["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": association["AssociationId"],
                "cidrBlock": association["CidrBlock"],
                "state": association["CidrBlockState"]["State"],
            }
            for association in vpc_answer.get("CidrBlockAssociationSet", [])
        ],
        "default": vpc_answer["IsDefault"],
        "dhcpOptionsId": vpc_answer["DhcpOptionsId"],
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "enableNetworkAddressUsageMetrics": attribute("enableNetworkAddressUsageMetrics"),
        "filters": args.get("filters"),
        "instanceTenancy": vpc_answer["InstanceTenancy"],
        "ipv6AssociationId": v6[0]["AssociationId"] if v6 else "",
        "ipv6CidrBlock": v6[0]["Ipv6CidrBlock"] if v6 else "",
        "ipv6CidrBlockAssociations": [],
        "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
        "ownerId": vpc_answer["OwnerId"],
        "region": _region(api, args),
        "state": vpc_answer["State"],
        "tags": _tags(vpc_answer),
    }


_SUBNETS = "aws:ec2/getSubnets:getSubnets"


def subnets(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids of all matching subnets, which may be none."""
    subnets_found = _describe_all(
        api, _SUBNETS, args, "describe_subnets", "Subnets", Filters=_filters(args, {})
    )
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "ids": [subnet_answer["SubnetId"] for subnet_answer in subnets_found],
        "tags": args.get("tags") or {},
    }


_SUBNET = "aws:ec2/getSubnet:getSubnet"


def subnet(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single subnet that matches the arguments."""
    filter_names = {
        "availabilityZone": "availability-zone",
        "availabilityZoneId": "availability-zone-id",
        "cidrBlock": "cidr-block",
        "defaultForAz": "default-for-az",
        "state": "state",
        "vpcId": "vpc-id",
    }
    criteria = {**args, "defaultForAz": args.get("defaultForAz") or None}
    ids = [args["id"]] if args.get("id") else None
    matches = _describe_all(
        api,
        _SUBNET,
        args,
        "describe_subnets",
        "Subnets",
        SubnetIds=ids,
        Filters=_filters(criteria, filter_names),
    )
    subnet_answer = _single(_SUBNET, "EC2 Subnet", matches)
    options = subnet_answer.get("PrivateDnsNameOptionsOnLaunch", {})
    return {
        "id": subnet_answer["SubnetId"],
        "arn": _arn(api, args, subnet_answer["OwnerId"], f"subnet/{subnet_answer['SubnetId']}"),
        "assignIpv6AddressOnCreation": subnet_answer.get("AssignIpv6AddressOnCreation", False),
        "availabilityZone": subnet_answer["AvailabilityZone"],
        "availabilityZoneId": subnet_answer["AvailabilityZoneId"],
        "availableIpAddressCount": subnet_answer["AvailableIpAddressCount"],
        "cidrBlock": subnet_answer.get("CidrBlock", ""),
        "customerOwnedIpv4Pool": "",
        "defaultForAz": subnet_answer["DefaultForAz"],
        "enableDns64": subnet_answer.get("EnableDns64", False),
        "enableLniAtDeviceIndex": 0,
        "enableResourceNameDnsARecordOnLaunch": options.get("EnableResourceNameDnsARecord", False),
        "enableResourceNameDnsAaaaRecordOnLaunch": options.get("EnableResourceNameDnsAAAARecord", False),
        "filters": args.get("filters"),
        "ipv6CidrBlock": "",
        "ipv6CidrBlockAssociationId": "",
        "ipv6Native": subnet_answer.get("Ipv6Native", False),
        "mapCustomerOwnedIpOnLaunch": False,
        "mapPublicIpOnLaunch": subnet_answer["MapPublicIpOnLaunch"],
        "outpostArn": "",
        "ownerId": subnet_answer["OwnerId"],
        "privateDnsHostnameTypeOnLaunch": options.get("HostnameType", ""),
        "region": _region(api, args),
        "state": subnet_answer["State"],
        "tags": _tags(subnet_answer),
        "vpcId": subnet_answer["VpcId"],
    }


_TABLES = "aws:ec2/getRouteTables:getRouteTables"


def route_tables(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids of all matching route tables, which may be none."""
    filters = _filters(args, {"vpcId": "vpc-id"})
    tables = _describe_all(api, _TABLES, args, "describe_route_tables", "RouteTables", Filters=filters)
    return {
        **args,
        "id": _region(api, args),
        "region": _region(api, args),
        "ids": [table["RouteTableId"] for table in tables],
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
    """Return the single route table that matches the arguments, with its routes.

    `subnetId` finds only a table that the subnet is associated with. A subnet without one uses the VPC's main table
    (filters `vpc-id` and `association.main`). Like the real function, this one omits the local route, routes of
    gateway endpoints and propagated routes.
    """
    filter_names = {
        "gatewayId": "association.gateway-id",
        "routeTableId": "route-table-id",
        "subnetId": "association.subnet-id",
        "vpcId": "vpc-id",
    }
    gateway = args.get("gatewayId")
    # moto refuses the filter by gateway, so the filter is applied below.
    filters = _filters({**args, "gatewayId": None}, filter_names)
    tables = _describe_all(api, _TABLE, args, "describe_route_tables", "RouteTables", Filters=filters)
    if gateway:
        tables = [
            candidate
            for candidate in tables
            if any(
                gateway == association.get("GatewayId") for association in candidate.get("Associations", [])
            )
        ]
    if not tables:
        raise CallRefused(
            f"{_TABLE}: query returned no results. Please change your search criteria and try again"
        )
    table = _single(_TABLE, "Route Table", tables)
    return {
        "id": table["RouteTableId"],
        "arn": _arn(api, args, table["OwnerId"], f"route-table/{table['RouteTableId']}"),
        "associations": [
            {
                "gatewayId": association.get("GatewayId", ""),
                "main": association.get("Main", False),
                "routeTableAssociationId": association["RouteTableAssociationId"],
                "routeTableId": association["RouteTableId"],
                "subnetId": association.get("SubnetId", ""),
            }
            for association in table.get("Associations", [])
        ],
        "filters": args.get("filters"),
        "gatewayId": gateway or "",
        "ownerId": table["OwnerId"],
        "region": _region(api, args),
        "routeTableId": table["RouteTableId"],
        "routes": [_route_properties(route) for route in table.get("Routes", []) if _is_shown(route)],
        "subnetId": args.get("subnetId") or "",
        "tags": _tags(table),
        "vpcId": table["VpcId"],
    }


def _is_shown(route: Mapping[str, Any]) -> bool:
    gateway = route.get("GatewayId", "")
    is_endpoint_route = bool(route.get("DestinationPrefixListId")) and gateway.startswith("vpce-")
    return gateway != "local" and not is_endpoint_route and route.get("Origin") != "EnableVgwRoutePropagation"


def _route_properties(route: Mapping[str, Any]) -> dict[str, str]:
    target = {name: route.get(member, "") for name, member in _ROUTE.items()}
    # Gateway Load Balancer endpoints have a property of their own.
    is_endpoint_route = target["gatewayId"].startswith("vpce-")
    return {
        **target,
        "gatewayId": "" if is_endpoint_route else target["gatewayId"],
        "vpcEndpointId": target["gatewayId"] if is_endpoint_route else "",
    }


_OFFERINGS = "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings"


def instance_type_offerings(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the instance types that the region offers according to moto, as three lists in the same order."""
    offerings = _describe_all(
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
        "instanceTypes": [offering["InstanceType"] for offering in offerings],
        "locations": [offering["Location"] for offering in offerings],
        "locationTypes": [offering["LocationType"] for offering in offerings],
    }


_PREFIXES = "aws:ec2/getPrefixList:getPrefixList"


def prefix_list(api: Api, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single prefix list that matches the arguments."""
    filters = _filters(args, {"name": "prefix-list-name", "prefixListId": "prefix-list-id"})
    prefixes = _single(
        _PREFIXES,
        "EC2 Prefix List",
        _describe_all(api, _PREFIXES, args, "describe_prefix_lists", "PrefixLists", Filters=filters),
    )
    return {
        **args,
        "id": prefixes["PrefixListId"],
        "prefixListId": prefixes["PrefixListId"],
        "name": prefixes["PrefixListName"],
        "cidrBlocks": prefixes["Cidrs"],
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
