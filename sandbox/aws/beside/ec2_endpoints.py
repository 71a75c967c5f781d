"""VPC endpoints of AWS services, with AWS's DNS names and checks.

moto gives an endpoint other names than AWS, addresses outside its subnets, and no DNS options. It does not check the
service, the subnets, the security groups or private DNS. The names are those of AWS's guide ("Access an AWS service
using an interface VPC endpoint"); AWS's refusals are not verified.
"""

from __future__ import annotations

import json
import secrets
import string
import zlib
from typing import Any

from sandbox.aws.beside.ec2_shared import backend, operation, requested_tags, tags
from sandbox.aws.service_frame import Refused, ServiceRequest

_GATEWAY_SERVICES = ("s3", "dynamodb")
"""Services with gateway endpoints."""
_WILDCARD_SERVICES = ("s3", "ecr.dkr")
"""Services with wildcard names, for buckets and registries."""


def _refuse(message: str, code: str = "InvalidParameter") -> Refused:
    return Refused(code, 400, message)


def _service(request: ServiceRequest, name: str) -> str:
    """Return `bedrock-runtime` for `com.amazonaws.eu-central-1.bedrock-runtime`. Raises `Refused` if it is unknown."""
    from moto.ec2.models import vpcs

    prefix = f"com.amazonaws.{request.region}."
    service = name.removeprefix(prefix)
    services = {*vpcs.AWS_ENDPOINT_SERVICES, *vpcs.COVERED_ENDPOINT_SERVICES}
    if not name.startswith(prefix) or service not in services:
        raise _refuse(f"The Vpc Endpoint Service '{name}' does not exist", "InvalidServiceName")
    return service


def _hosted_zone_id(text: str) -> str:
    """Return the id of a hosted zone. The same text gives the same id."""
    return f"Z{zlib.crc32(text.encode()):08X}{zlib.adler32(text.encode()):08X}"[:14]


def build_dns_entries(endpoint: Any, service: str, region: str, zones: list[str]) -> list[dict[str, str]]:
    """Return the endpoint's DNS entries: the regional name, one for each zone, and with private DNS the service's name.

    The service `ecr.api` becomes `api.ecr` in a name.
    """
    host = f"{'.'.join(reversed(service.split('.')))}.{region}"
    wildcard = "*." if service == "s3" else ""
    public = {"HostedZoneId": _hosted_zone_id(f"{host}.vpce")}
    entries = [
        {"DnsName": f"{wildcard}{endpoint.id}-{endpoint.dns_suffix}.{host}.vpce.amazonaws.com", **public}
    ]
    for zone in sorted(zones):
        name = f"{wildcard}{endpoint.id}-{endpoint.dns_suffix}-{zone}.{host}.vpce.amazonaws.com"
        entries.append({"DnsName": name, **public})
    if endpoint.private_dns_enabled:
        private = f"{'*.' if service in _WILDCARD_SERVICES else ''}{host}.amazonaws.com"
        entries.append({"DnsName": private, "HostedZoneId": _hosted_zone_id(endpoint.id)})
    return entries


def create_vpc_endpoint(request: ServiceRequest) -> dict[str, Any]:
    from moto.ec2.models.vpcs import VPCEndPoint
    from moto.ec2.utils import random_vpc_ep_id

    ec2, params = backend(request), request.params
    kind = params.get("VpcEndpointType") or "Gateway"
    vpc = ec2.get_vpc(params["VpcId"])
    service = _service(request, params.get("ServiceName") or "")
    is_interface = kind == "Interface"
    if not is_interface and (kind != "Gateway" or service not in _GATEWAY_SERVICES):
        offered = "[Gateway, Interface]" if service in _GATEWAY_SERVICES else "[Interface]"
        raise _refuse(f"Endpoint type ({kind}) does not match available service types ({offered}).")
    _check_kind(params, is_interface)
    subnets = [ec2.get_subnet(id) for id in params.get("SubnetIds") or []]
    has_private_dns = is_interface and params.get("PrivateDnsEnabled", True)
    endpoint: Any = VPCEndPoint(
        ec2,
        random_vpc_ep_id(),
        vpc.id,
        params["ServiceName"],
        kind,
        _policy(params.get("PolicyDocument")),
        route_table_ids=[],
        subnet_ids=[],
        security_group_ids=_groups(request, vpc, params.get("SecurityGroupIds")) if is_interface else [],
        private_dns_enabled=has_private_dns,
        dns_entries=[],
        tags=requested_tags(request, "vpc-endpoint"),
    )
    endpoint.dns_suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    endpoint.ip_address_type = params.get("IpAddressType") or "ipv4"
    endpoint.dns_options = _dns_options(params.get("DnsOptions"), has_private_dns)
    endpoint.requester_managed = False
    _check_private_names(request, endpoint)
    _check_subnets(vpc.id, subnets)
    _check_tables(ec2, endpoint, params.get("RouteTableIds") or [])
    ec2.vpc_end_points[endpoint.id] = endpoint
    _add(ec2, endpoint, [subnet.id for subnet in subnets], params.get("RouteTableIds") or [])
    _refresh_names(request, endpoint)
    return {"VpcEndpoint": _describe(ec2, endpoint)}


def _check_kind(params: Any, is_interface: bool) -> None:
    unsuitable = ("RouteTableIds",) if is_interface else ("SubnetIds", "SecurityGroupIds")
    conflicting = [name for name in unsuitable if params.get(name)]
    if conflicting:
        kind = "Interface" if is_interface else "Gateway"
        raise _refuse(f"{' and '.join(conflicting)} cannot be given for an endpoint of the type {kind}.")
    if not is_interface and params.get("PrivateDnsEnabled"):
        raise _refuse("Private DNS can't be enabled because the endpoint is of the type Gateway.")


def _policy(text: str | None) -> str | None:
    if text:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not document.get("Statement"):
            raise _refuse("The policy is not valid JSON with a statement.", "InvalidPolicyDocument")
    return text


def _dns_options(options: Any, has_private_dns: bool) -> dict[str, Any]:
    only = {"PrivateDnsOnlyForInboundResolverEndpoint": False} if has_private_dns else {}
    return {"DnsRecordIpType": "ipv4", **only, **(options or {})}


def _groups(request: ServiceRequest, vpc: Any, ids: list[str] | None) -> list[str]:
    ec2 = backend(request)
    if not ids:
        return [ec2.get_default_security_group(vpc.id).id]
    for id in ids:
        group = ec2.get_security_group_from_id(id)
        if group is None or group.vpc_id != vpc.id:
            raise _refuse(f"The security group '{id}' does not exist in {vpc.id}", "InvalidGroup.NotFound")
    return list(ids)


def _check_subnets(vpc: str, subnets: list[Any]) -> None:
    """Raise `Refused` unless the subnets are in different zones and all in the endpoint's VPC."""
    zones: set[str] = set()
    for subnet in subnets:
        if subnet.vpc_id != vpc:
            raise _refuse(f"Subnet {subnet.id} does not belong to {vpc}.")
        if subnet.availability_zone in zones:
            message = f"Found another VPC endpoint subnet in the availability zone of {subnet.id}."
            raise _refuse(message, "DuplicateSubnetsInSameZone")
        zones.add(subnet.availability_zone)


def _check_tables(ec2: Any, endpoint: Any, ids: list[str]) -> None:
    """Raise `Refused` unless the route tables are in the endpoint's VPC and have no endpoint of this service yet."""
    for id in ids:
        if ec2.get_route_table(id).vpc_id != endpoint.vpc_id:
            raise _refuse(
                f"Route table {id} does not belong to {endpoint.vpc_id}.", "InvalidRouteTableId.NotFound"
            )
        for other in ec2.vpc_end_points.values():
            if id in other.route_table_ids and other.service_name == endpoint.service_name:
                message = (
                    f"route table {id} already has a route with destination-prefix-list-id of {other.id}"
                )
                raise _refuse(message, "RouteAlreadyExists")


def _check_private_names(request: ServiceRequest, endpoint: Any) -> None:
    """Raise `Refused` if private DNS conflicts with another endpoint in the VPC, or if the VPC's DNS is off."""
    if not endpoint.private_dns_enabled:
        return
    ec2 = backend(request)
    vpc = ec2.get_vpc(endpoint.vpc_id)
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        raise _refuse(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to "
            f"true for {vpc.id}"
        )
    for other in ec2.vpc_end_points.values():
        is_same_service = (other.vpc_id, other.service_name) == (endpoint.vpc_id, endpoint.service_name)
        if (
            is_same_service
            and other.private_dns_enabled
            and other.id != endpoint.id
            and other.state != "deleted"
        ):
            raise _refuse(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{endpoint.service_name} in the VPC {vpc.id}"
            )


def _add(ec2: Any, endpoint: Any, subnets: list[str], tables: list[str]) -> None:
    """Add a network interface in each subnet, and a route to the service's addresses in each route table."""
    for id in subnets:
        eni = ec2.create_network_interface(
            id,
            "",
            group_ids=endpoint.security_group_ids,
            description=f"VPC Endpoint Interface {endpoint.id}",
        )
        eni.interface_type, eni.status, eni.requester_managed = "vpc_endpoint", "in-use", True
        endpoint.network_interface_ids.append(eni.id)
        endpoint.subnet_ids.append(id)
    for id in tables:
        prefixes = _prefix_list(ec2, endpoint.service_name)
        ec2.create_route(id, None, gateway_id=endpoint.id, destination_prefix_list_id=prefixes)
        endpoint.route_table_ids.append(id)


def _remove(ec2: Any, endpoint: Any, subnets: list[str], tables: list[str]) -> None:
    for id in endpoint.network_interface_ids.copy():
        if ec2.enis[id].subnet.id in subnets:
            ec2.delete_network_interface(id)
            endpoint.network_interface_ids.remove(id)
    endpoint.subnet_ids = [id for id in endpoint.subnet_ids if id not in subnets]
    for id in tables:
        table = ec2.route_tables.get(id)
        for key, route in list(table._routes.items()) if table else []:
            if route.gateway_id == endpoint.id:
                del table._routes[key]
    endpoint.route_table_ids = [id for id in endpoint.route_table_ids if id not in tables]


def _prefix_list(ec2: Any, service: str) -> str:
    return next(
        prefix_list.id
        for prefix_list in ec2.managed_prefix_lists.values()
        if prefix_list.prefix_list_name == service
    )


def _refresh_names(request: ServiceRequest, endpoint: Any) -> None:
    if endpoint.vpc_endpoint_type != "Interface":
        return
    zones = [backend(request).get_subnet(id).availability_zone for id in endpoint.subnet_ids]
    endpoint.dns_entries = build_dns_entries(
        endpoint, _service(request, endpoint.service_name), request.region, zones
    )


def _describe(ec2: Any, endpoint: Any) -> dict[str, Any]:
    return {
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": endpoint.vpc_endpoint_type,
        "VpcId": endpoint.vpc_id,
        "ServiceName": endpoint.service_name,
        "State": endpoint.state,
        "PolicyDocument": endpoint.policy_document,
        "RouteTableIds": list(endpoint.route_table_ids),
        "SubnetIds": list(endpoint.subnet_ids),
        "Groups": endpoint.groups,
        "IpAddressType": endpoint.ip_address_type,
        "DnsOptions": endpoint.dns_options,
        "PrivateDnsEnabled": endpoint.private_dns_enabled,
        "RequesterManaged": False,
        "NetworkInterfaceIds": list(endpoint.network_interface_ids),
        "DnsEntries": endpoint.dns_entries,
        "CreationTimestamp": endpoint.creation_timestamp,
        "Tags": tags(endpoint),
        "OwnerId": endpoint.owner_id,
    }


def _find_endpoint(ec2: Any, id: str) -> Any:
    endpoint = ec2.vpc_end_points.get(id)
    if endpoint is None:
        raise _refuse(f"The Vpc Endpoint Id '{id}' does not exist", "InvalidVpcEndpointId.NotFound")
    return endpoint


def modify_vpc_endpoint(request: ServiceRequest) -> dict[str, Any]:
    ec2, params = backend(request), request.params
    endpoint = _find_endpoint(ec2, params["VpcEndpointId"])

    def ids_in(name: str) -> list[str]:
        return list(params.get(name) or [])

    if params.get("ResetPolicy") or params.get("PolicyDocument"):
        policy = _policy(params.get("PolicyDocument"))
        endpoint.policy_document = policy or json.dumps(endpoint.DEFAULT_POLICY)
    if "PrivateDnsEnabled" in params and params["PrivateDnsEnabled"] != endpoint.private_dns_enabled:
        _check_kind(
            {"PrivateDnsEnabled": params["PrivateDnsEnabled"]}, endpoint.vpc_endpoint_type == "Interface"
        )
        before, endpoint.private_dns_enabled = endpoint.private_dns_enabled, params["PrivateDnsEnabled"]
        try:
            _check_private_names(request, endpoint)
        except Refused:
            endpoint.private_dns_enabled = before
            raise
    endpoint.ip_address_type = params.get("IpAddressType") or endpoint.ip_address_type
    endpoint.dns_options = {**endpoint.dns_options, **(params.get("DnsOptions") or {})}
    removed = ids_in("RemoveSubnetIds")
    remaining = [id for id in endpoint.subnet_ids if id not in removed]
    _check_subnets(endpoint.vpc_id, [ec2.get_subnet(id) for id in (*remaining, *ids_in("AddSubnetIds"))])
    _check_tables(ec2, endpoint, ids_in("AddRouteTableIds"))
    _change_groups(request, endpoint, ids_in("AddSecurityGroupIds"), ids_in("RemoveSecurityGroupIds"))
    _remove(ec2, endpoint, removed, ids_in("RemoveRouteTableIds"))
    _add(ec2, endpoint, ids_in("AddSubnetIds"), ids_in("AddRouteTableIds"))
    _refresh_names(request, endpoint)
    return {"Return": True}


def _change_groups(request: ServiceRequest, endpoint: Any, added: list[str], removed: list[str]) -> None:
    if not added and not removed:
        return
    ec2 = backend(request)
    remaining = [id for id in endpoint.security_group_ids if id not in removed]
    ids = [*remaining, *(id for id in added if id not in remaining)]
    if not ids:
        raise _refuse("An interface endpoint has one security group at least.")
    endpoint.security_group_ids = _groups(request, ec2.get_vpc(endpoint.vpc_id), ids)
    for id in endpoint.network_interface_ids:
        ec2.enis[id]._group_set = [ec2.get_security_group_from_id(group_id) for group_id in ids]


def delete_vpc_endpoints(request: ServiceRequest) -> dict[str, Any]:
    """Delete the endpoints that exist. The answer lists the others."""
    ec2 = backend(request)
    unsuccessful = []
    for id in request.params["VpcEndpointIds"]:
        endpoint = ec2.vpc_end_points.pop(id, None)
        if endpoint is None:
            error = {
                "Code": "InvalidVpcEndpoint.NotFound",
                "Message": f"The VpcEndPoint Id '{id}' does not exist",
            }
            unsuccessful.append({"ResourceId": id, "Error": error})
        else:
            _remove(ec2, endpoint, list(endpoint.subnet_ids or []), list(endpoint.route_table_ids))
    return {"Unsuccessful": unsuccessful}


def describe_prefix_lists(request: ServiceRequest) -> dict[str, Any]:
    """List AWS's prefix lists with their address ranges, which moto omits. The ranges are moto's, not AWS's."""
    filters = {
        criterion["Name"]: criterion.get("Values", []) for criterion in request.params.get("Filters") or []
    }
    shown_lists = []
    for prefix_list in backend(request).managed_prefix_lists.values():
        shown = {"prefix-list-id": prefix_list.id, "prefix-list-name": prefix_list.prefix_list_name}
        if prefix_list.prefix_list_name.startswith("com.amazonaws.") and all(
            shown.get(name) in values for name, values in filters.items()
        ):
            # moto gives AWS's own lists no version.
            cidrs = [entry["Cidr"] for entry in next(reversed(prefix_list.entries.values()), [])]
            shown_lists.append(
                {
                    "PrefixListId": prefix_list.id,
                    "PrefixListName": prefix_list.prefix_list_name,
                    "Cidrs": cidrs,
                }
            )
    return {"PrefixLists": shown_lists}


OPERATIONS = (
    operation("CreateVpcEndpoint", create_vpc_endpoint),
    operation("ModifyVpcEndpoint", modify_vpc_endpoint),
    operation("DeleteVpcEndpoints", delete_vpc_endpoints),
    operation("DescribePrefixLists", describe_prefix_lists),
)
