"""Private endpoints of AWS services, as AWS makes, names and refuses them.

moto gives an endpoint names that AWS does not, addresses outside its subnets, no options of DNS, and checks
neither its service nor its subnets, security groups and private names. The names are those of AWS's guide
("Access an AWS service using an interface VPC endpoint"); what AWS refuses is as of knowledge, not checked.
"""

from __future__ import annotations

import json
import secrets
import string
import zlib
from typing import Any

from sandbox.aws.beside.ec2_shared import backend, named, operation, tags
from sandbox.aws.service_frame import Asked, Refused

_GATEWAYS = ("s3", "dynamodb")
"""The services that have a gateway endpoint."""
_WILD = ("s3", "ecr.dkr")
"""Services whose names stand for every name below them: a bucket's, a registry's."""


def _refuse(message: str, code: str = "InvalidParameter") -> Refused:
    return Refused(code, 400, message)


def _service(asked: Asked, name: str) -> str:
    """`bedrock-runtime` of `com.amazonaws.eu-central-1.bedrock-runtime`. Raises `Refused` for an unknown one."""
    from moto.ec2.models import vpcs

    prefix = f"com.amazonaws.{asked.region}."
    service = name.removeprefix(prefix)
    known = {*vpcs.AWS_ENDPOINT_SERVICES, *vpcs.COVERED_ENDPOINT_SERVICES}
    if not name.startswith(prefix) or service not in known:
        raise _refuse(f"The Vpc Endpoint Service '{name}' does not exist", "InvalidServiceName")
    return service


def _zone(text: str) -> str:
    """A hosted zone's id, the same for the same text."""
    return f"Z{zlib.crc32(text.encode()):08X}{zlib.adler32(text.encode()):08X}"[:14]


def names(endpoint: Any, service: str, region: str, zones: list[str]) -> list[dict[str, str]]:
    """The endpoint's names: the regional one first, one a zone, and with private DNS the service's own.

    `ecr.api` is `api.ecr` in a name.
    """
    host = f"{'.'.join(reversed(service.split('.')))}.{region}"
    wild = "*." if service == "s3" else ""
    public = {"HostedZoneId": _zone(f"{host}.vpce")}
    made = [{"DnsName": f"{wild}{endpoint.id}-{endpoint.dns_suffix}.{host}.vpce.amazonaws.com", **public}]
    for zone in sorted(zones):
        name = f"{wild}{endpoint.id}-{endpoint.dns_suffix}-{zone}.{host}.vpce.amazonaws.com"
        made.append({"DnsName": name, **public})
    if endpoint.private_dns_enabled:
        private = f"{'*.' if service in _WILD else ''}{host}.amazonaws.com"
        made.append({"DnsName": private, "HostedZoneId": _zone(endpoint.id)})
    return made


def create_vpc_endpoint(asked: Asked) -> dict[str, Any]:
    from moto.ec2.models.vpcs import VPCEndPoint
    from moto.ec2.utils import random_vpc_ep_id

    ec2, params = backend(asked), asked.params
    kind = params.get("VpcEndpointType") or "Gateway"
    vpc = ec2.get_vpc(params["VpcId"])
    service = _service(asked, params.get("ServiceName") or "")
    interface = kind == "Interface"
    if not interface and (kind != "Gateway" or service not in _GATEWAYS):
        offered = "[Gateway, Interface]" if service in _GATEWAYS else "[Interface]"
        raise _refuse(f"Endpoint type ({kind}) does not match available service types ({offered}).")
    _check_kind(params, interface)
    subnets = [ec2.get_subnet(id) for id in params.get("SubnetIds") or []]
    private = interface and params.get("PrivateDnsEnabled", True)
    made: Any = VPCEndPoint(
        ec2,
        random_vpc_ep_id(),
        vpc.id,
        params["ServiceName"],
        kind,
        _policy(params.get("PolicyDocument")),
        route_table_ids=[],
        subnet_ids=[],
        security_group_ids=_groups(asked, vpc, params.get("SecurityGroupIds")) if interface else [],
        private_dns_enabled=private,
        dns_entries=[],
        tags=named(asked, "vpc-endpoint"),
    )
    made.dns_suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    made.ip_address_type = params.get("IpAddressType") or "ipv4"
    made.dns_options = _dns_options(params.get("DnsOptions"), private)
    made.requester_managed = False
    _check_private_names(asked, made)
    _check_subnets(vpc.id, subnets)
    _check_tables(ec2, made, params.get("RouteTableIds") or [])
    ec2.vpc_end_points[made.id] = made
    _add(ec2, made, [subnet.id for subnet in subnets], params.get("RouteTableIds") or [])
    _rename(asked, made)
    return {"VpcEndpoint": _shown(ec2, made)}


def _check_kind(params: Any, interface: bool) -> None:
    wrong = ("RouteTableIds",) if interface else ("SubnetIds", "SecurityGroupIds")
    given = [name for name in wrong if params.get(name)]
    if given:
        kind = "Interface" if interface else "Gateway"
        raise _refuse(f"{' and '.join(given)} cannot be given for an endpoint of the type {kind}.")
    if not interface and params.get("PrivateDnsEnabled"):
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


def _dns_options(given: Any, private: bool) -> dict[str, Any]:
    only = {"PrivateDnsOnlyForInboundResolverEndpoint": False} if private else {}
    return {"DnsRecordIpType": "ipv4", **only, **(given or {})}


def _groups(asked: Asked, vpc: Any, ids: list[str] | None) -> list[str]:
    ec2 = backend(asked)
    if not ids:
        return [ec2.get_default_security_group(vpc.id).id]
    for id in ids:
        group = ec2.get_security_group_from_id(id)
        if group is None or group.vpc_id != vpc.id:
            raise _refuse(f"The security group '{id}' does not exist in {vpc.id}", "InvalidGroup.NotFound")
    return list(ids)


def _check_subnets(vpc: str, subnets: list[Any]) -> None:
    """An endpoint has one subnet a zone, all of its own network."""
    zones: set[str] = set()
    for subnet in subnets:
        if subnet.vpc_id != vpc:
            raise _refuse(f"Subnet {subnet.id} does not belong to {vpc}.")
        if subnet.availability_zone in zones:
            message = f"Found another VPC endpoint subnet in the availability zone of {subnet.id}."
            raise _refuse(message, "DuplicateSubnetsInSameZone")
        zones.add(subnet.availability_zone)


def _check_tables(ec2: Any, endpoint: Any, ids: list[str]) -> None:
    """A table has one endpoint a service, of its own network."""
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


def _check_private_names(asked: Asked, endpoint: Any) -> None:
    """A service's own name means one endpoint in a network, and needs the network's DNS."""
    if not endpoint.private_dns_enabled:
        return
    ec2 = backend(asked)
    vpc = ec2.get_vpc(endpoint.vpc_id)
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        raise _refuse(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to "
            f"true for {vpc.id}"
        )
    for other in ec2.vpc_end_points.values():
        same = (other.vpc_id, other.service_name) == (endpoint.vpc_id, endpoint.service_name)
        if same and other.private_dns_enabled and other.id != endpoint.id and other.state != "deleted":
            raise _refuse(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{endpoint.service_name} in the VPC {vpc.id}"
            )


def _add(ec2: Any, endpoint: Any, subnets: list[str], tables: list[str]) -> None:
    """A network interface in each subnet; a route to the service's addresses in each table."""
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
    return next(each.id for each in ec2.managed_prefix_lists.values() if each.prefix_list_name == service)


def _rename(asked: Asked, endpoint: Any) -> None:
    if endpoint.vpc_endpoint_type != "Interface":
        return
    zones = [backend(asked).get_subnet(id).availability_zone for id in endpoint.subnet_ids]
    endpoint.dns_entries = names(endpoint, _service(asked, endpoint.service_name), asked.region, zones)


def _shown(ec2: Any, endpoint: Any) -> dict[str, Any]:
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


def _endpoint(ec2: Any, id: str) -> Any:
    found = ec2.vpc_end_points.get(id)
    if found is None:
        raise _refuse(f"The Vpc Endpoint Id '{id}' does not exist", "InvalidVpcEndpointId.NotFound")
    return found


def modify_vpc_endpoint(asked: Asked) -> dict[str, Any]:
    ec2, params = backend(asked), asked.params
    endpoint = _endpoint(ec2, params["VpcEndpointId"])

    def asked_for(name: str) -> list[str]:
        return list(params.get(name) or [])

    if params.get("ResetPolicy") or params.get("PolicyDocument"):
        wanted = _policy(params.get("PolicyDocument"))
        endpoint.policy_document = wanted or json.dumps(endpoint.DEFAULT_POLICY)
    if "PrivateDnsEnabled" in params and params["PrivateDnsEnabled"] != endpoint.private_dns_enabled:
        _check_kind(
            {"PrivateDnsEnabled": params["PrivateDnsEnabled"]}, endpoint.vpc_endpoint_type == "Interface"
        )
        before, endpoint.private_dns_enabled = endpoint.private_dns_enabled, params["PrivateDnsEnabled"]
        try:
            _check_private_names(asked, endpoint)
        except Refused:
            endpoint.private_dns_enabled = before
            raise
    endpoint.ip_address_type = params.get("IpAddressType") or endpoint.ip_address_type
    endpoint.dns_options = {**endpoint.dns_options, **(params.get("DnsOptions") or {})}
    gone = asked_for("RemoveSubnetIds")
    stay = [id for id in endpoint.subnet_ids if id not in gone]
    _check_subnets(endpoint.vpc_id, [ec2.get_subnet(id) for id in (*stay, *asked_for("AddSubnetIds"))])
    _check_tables(ec2, endpoint, asked_for("AddRouteTableIds"))
    _change_groups(asked, endpoint, asked_for("AddSecurityGroupIds"), asked_for("RemoveSecurityGroupIds"))
    _remove(ec2, endpoint, gone, asked_for("RemoveRouteTableIds"))
    _add(ec2, endpoint, asked_for("AddSubnetIds"), asked_for("AddRouteTableIds"))
    _rename(asked, endpoint)
    return {"Return": True}


def _change_groups(asked: Asked, endpoint: Any, new: list[str], gone: list[str]) -> None:
    if not new and not gone:
        return
    ec2 = backend(asked)
    kept = [id for id in endpoint.security_group_ids if id not in gone]
    ids = [*kept, *(id for id in new if id not in kept)]
    if not ids:
        raise _refuse("An interface endpoint has one security group at least.")
    endpoint.security_group_ids = _groups(asked, ec2.get_vpc(endpoint.vpc_id), ids)
    for id in endpoint.network_interface_ids:
        ec2.enis[id]._group_set = [ec2.get_security_group_from_id(each) for each in ids]


def delete_vpc_endpoints(asked: Asked) -> dict[str, Any]:
    """Those that there are go, at once; the others are listed."""
    ec2 = backend(asked)
    unsuccessful = []
    for id in asked.params["VpcEndpointIds"]:
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


def describe_prefix_lists(asked: Asked) -> dict[str, Any]:
    """The address ranges of AWS's services; moto leaves the ranges out. The ranges are moto's, not AWS's."""
    filters = {each["Name"]: each.get("Values", []) for each in asked.params.get("Filters") or []}
    found = []
    for each in backend(asked).managed_prefix_lists.values():
        shown = {"prefix-list-id": each.id, "prefix-list-name": each.prefix_list_name}
        if each.prefix_list_name.startswith("com.amazonaws.") and all(
            shown.get(name) in values for name, values in filters.items()
        ):
            # moto gives AWS's own lists no version.
            cidrs = [entry["Cidr"] for entry in next(reversed(each.entries.values()), [])]
            found.append({"PrefixListId": each.id, "PrefixListName": each.prefix_list_name, "Cidrs": cidrs})
    return {"PrefixLists": found}


OPERATIONS = (
    operation("CreateVpcEndpoint", create_vpc_endpoint),
    operation("ModifyVpcEndpoint", modify_vpc_endpoint),
    operation("DeleteVpcEndpoints", delete_vpc_endpoints),
    operation("DescribePrefixLists", describe_prefix_lists),
)
