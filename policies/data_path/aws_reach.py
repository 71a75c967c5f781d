"""Rules for AWS resources in reach of classified networks, buckets, keys and roles: known types, known other ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from isthmus.core.ip_addresses import is_within
from isthmus.graph.network.reachability import is_public
from isthmus.graph.network.routes import networks
from isthmus.graph.resources.resources import Resource, statements
from policies.data_path import known_aws
from policies.data_path.known_kinds import is_trusted_type, unknown_types
from policies.inputs.aws_reach import classified_reach, is_literal, is_of_component, resources_in_reach
from policies.inputs.documents import principals
from policies.inputs.links import dependencies
from policies.inputs.neighbours import stated_hosts
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_FIX_OF_TYPE = "Remove it, or have the owner of `trust.yaml` review what the type does with the data"
_ROUTES = (
    *("aws:ec2/route:Route", "aws:ec2/routeTable:RouteTable", "aws:ec2/defaultRouteTable:DefaultRouteTable"),
)
_TARGETS = {
    "carrierGatewayId": "a carrier's network",
    "coreNetworkArn": "a global network",
    "egressOnlyGatewayId": "the internet",
    "gatewayId": "a gateway outside the stack",
    "instanceId": "a machine that no rule reads",
    "localGatewayId": "a local gateway",
    "natGatewayId": "the internet",
    "networkInterfaceId": "a machine that no rule reads",
    "transitGatewayId": "a transit gateway outside the stack",
    "vpcEndpointId": "an endpoint outside the stack",
    "vpcPeeringConnectionId": "another network",
}
_OWN_TARGETS = ("gatewayId", "transitGatewayId", "vpcEndpointId")
"""Targets that may be the stack's own."""
_VPN, _ATTACHMENT = "aws:ec2/vpnConnection:VpnConnection", "aws:ec2transitgateway/vpcAttachment:VpcAttachment"
_DIRECT_CONNECT = "aws:directconnect/"
_INSTANCE = "aws:ec2/instance:Instance"
_RECORD, _ZONE = "aws:route53/record:Record", "aws:route53/zone:Zone"
_ZONE_ID = re.compile(r"\$\{[^${}]+\.(?:zoneId|id)\}")
_PARAMETER = "aws:ssm/parameter:Parameter"
_PLAIN_INPUTS = {"name", "type", "value", "insecureValue", "description", "tags", "tier", "dataType"}
_HAVE_NAMES_ONLY = (
    *("aws:ecs/cluster:Cluster", "aws:ecs/service:Service", "aws:lb/loadBalancer:LoadBalancer"),
    *(_RECORD, _ZONE, "kubernetes:core/v1:Service"),
)
"""Types whose outputs are names and addresses: whoever reads them gets no data, and no key to it."""
_EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
_UNKNOWN = "is beside classified work, and Isthmus does not know whether this type reads or copies what the account has"
_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")
_ACCOUNT = re.compile(r"arn:aws[\w-]*:[\w-]+:[\w-]*:(\d{12}):")


# --- Known types


def _judged_types(subject: Subject) -> Iterator[Resource]:
    for resource, _, _ in _resources_to_judge(subject):
        yield resource


def _resources_to_judge(subject: Subject) -> Iterator[tuple[Resource, str, str]]:
    """Resources in reach with what they refer to; and those that reach the whole account, with how they do.

    What own code adds beside them is one of the latter unless its type is known to stay where it is put.
    """
    reach = classified_reach(subject)
    if not reach:
        return
    for resource in subject.graph.resources:
        if not resource.type.startswith("aws:"):
            continue
        wide = _beginning(resource.type, known_aws.REACHES_WHOLE_ACCOUNT)
        if resource.urn in reach:
            yield resource, reach[resource.urn], wide if resource.type in known_aws.KNOWN else ""
        elif wide:
            yield resource, "", wide
        elif _is_added(subject, resource) and resource.type not in known_aws.HARMLESS:
            yield resource, "", _beginning(resource.type, known_aws.OTHERS_LEAD_AWAY) or _UNKNOWN


def _is_added(subject: Subject, resource: Resource) -> bool:
    """Whether own code adds a resource to the platform's account. A program without a platform has its own rules."""
    return subject.platform is not None and not is_of_component(resource)


def _beginning(type_: str, reasons: Mapping[str, str]) -> str:
    """The reason of the longest beginning of a type; empty if none matches."""
    matching = [beginning for beginning in reasons if type_.startswith(beginning)]
    return reasons[max(matching, key=len)] if matching else ""


def _check_types(subject: Subject) -> Iterator[Violation]:
    yield from unknown_types(
        list(_problems_of_types(subject)), lambda resource: ("objects", resource.name), _FIX_OF_TYPE
    )


def _problems_of_types(subject: Subject) -> Iterator[tuple[Resource, str]]:
    for resource, near, wide in _resources_to_judge(subject):
        others = _beginning(resource.type, known_aws.OTHERS_LEAD_AWAY)
        is_known = resource.type in known_aws.KNOWN and not (wide or others)
        is_own = resource.type in known_aws.KNOWN and is_of_component(resource)
        is_own = is_own or (_is_added(subject, resource) and resource.type in known_aws.SETS)
        if is_known or is_own or is_trusted_type(subject, resource.type):
            continue
        if subject.trusts_exactly("objects", resource.name):
            continue
        if _follows_trusted_zone(subject, resource) or _holds_names_only(subject, resource):
            continue
        if wide:
            problem = (
                wide if wide == _UNKNOWN else f"{wide}; classified data of the account may be among them"
            )
        else:
            way = others or _beginning(resource.type, known_aws.CARRIES_AWAY)
            if resource.type == _INSTANCE and at(resource.inputs, "associatePublicIpAddress"):
                way = "runs a machine with a public address in it"
            holds = "which may hold classified data" if is_literal(near) else "which classified data passes"
            problem = f"refers to {near}, {holds}, and "
            problem += way or "Isthmus does not know what this type does with it"
        yield resource, problem


def _follows_trusted_zone(subject: Subject, resource: Resource) -> bool:
    """Whether a resource is a record in a zone of own code, whose type the organisation trusts.

    Who reviewed that the zone answers names has reviewed its records, unless the platform states a host in the zone.
    """
    zone = str(resource.inputs.get("zoneId") or "")
    referred = subject.graph.referred(zone)
    return (
        resource.type == _RECORD
        and _ZONE_ID.fullmatch(zone) is not None
        and bool(referred)
        and all(_is_apart(subject, other) for other in referred)
        and is_trusted_type(subject, _ZONE)
    )


def _is_apart(subject: Subject, zone: Resource) -> bool:
    """Whether a resource is a zone of own code in which the platform states no host."""
    name = str(zone.inputs.get("name") or "").rstrip(".").lower()
    hosts = set(stated_hosts(subject))
    if subject.platform is not None:
        hosts |= {str(gateway.host) for gateway in subject.platform.gateways}
    is_own = zone.type == _ZONE and not is_of_component(zone) and bool(name) and not is_unknown(name)
    return is_own and not any(f".{host.rstrip('.').lower()}".endswith(f".{name}") for host in hosts)


def _holds_names_only(subject: Subject, resource: Resource) -> bool:
    """Whether a resource is a plain parameter of own code, made of names and addresses of resources only.

    A rendering masks its value, so what the value comes from decides.
    """
    inputs = resource.inputs
    if resource.type != _PARAMETER or is_of_component(resource) or set(inputs) - _PLAIN_INPUTS:
        return False
    if inputs.get("type") != "String" or inputs.get("dataType") not in (None, "text"):
        return False
    urns = dependencies(resource)
    sources = [other for other in subject.graph.resources if other.urn in urns]
    is_read = urns == {other.urn for other in sources}
    sources += subject.graph.referred(inputs)
    return is_read and bool(sources) and all(other.type in _HAVE_NAMES_ONLY for other in sources)


# --- Other ends of known types


def _check_other_ends(subject: Subject) -> Iterator[Violation]:
    yield from _check_event_targets(subject)
    for resource, near in resources_in_reach(subject):
        for violation in _check_other_end(subject, resource):
            # The id may be of a network that holds no classified data.
            yield replace(violation, verdict="undecided") if is_literal(near) else violation


def _check_event_targets(subject: Subject) -> Iterator[Violation]:
    """Targets in other accounts. The account's own bus has events of all its resources."""
    if not classified_reach(subject):
        return
    own = {site.account_id for site in subject.platform.sites} if subject.platform else set()
    for target in subject.graph.of(_EVENT_TARGET):
        arn = str(target.inputs.get("arn") or "")
        found = _ACCOUNT.match(arn)
        if found and found[1] not in own and not subject.trusts("accounts", found[1]):
            yield Violation(
                f"{target.name} sends events of an account with classified work to {arn}, in an account that the"
                " platform does not state",
                target,
                "violated" if any(own) else "undecided",
            )


def _check_other_end(subject: Subject, resource: Resource) -> Iterator[Violation]:
    if resource.type in _ROUTES:
        yield from _check_routes(subject, resource)
    elif resource.type == _VPN:
        yield from _check_vpn(subject, resource)
    elif resource.type == _ATTACHMENT:
        yield from _check_attachment(subject, resource)
    elif resource.type.startswith(_DIRECT_CONNECT):
        yield from _check_direct_connect(subject, resource)
    else:
        yield from _check_content(subject, resource)
    for block in _blocks(resource):
        yield from _check_block(subject, resource, block)
    for group in _groups(resource):
        if "/" in str(group) and not is_unknown(group):
            yield Violation(
                f"{resource.name} opens a network with classified work to {group}, a group of another account",
                resource,
            )
    if not is_of_component(resource):
        yield from _check_prefix_lists(subject, resource)
        yield from _check_literal_groups(subject, resource)


def _check_literal_groups(subject: Subject, resource: Resource) -> Iterator[Violation]:
    """Reports groups that a rule of own code names by an id which neither the stack nor the platform has."""
    platform = subject.platform
    if platform is None or subject.trusts("objects", resource.name):
        return
    stated = json.dumps(platform.model_dump(mode="json"))
    for group in _groups(resource):
        if _GROUP.fullmatch(str(group)) and str(group) not in stated:
            yield Violation(
                f"{resource.name} opens a network with classified work to the machines of group {group}, which"
                " neither the stack makes nor the platform states",
                resource,
                "undecided",
                entry=("objects", resource.name),
            )


def _is_own(subject: Subject, value: Any, kind: str = "") -> bool:
    """Whether a value refers to a classified resource of the stack or the platform."""
    reach = classified_reach(subject)
    if is_unknown(value):
        return any(other.urn in reach for other in subject.graph.referred(value, kind))
    platform = subject.platform
    stated: set[Any] = set(platform.imports.values()) if platform else set()
    for network in platform.networks if platform else []:
        stated |= {network.vpc, *network.subnets, *network.route_tables}
    for link in platform.links if platform else []:
        stated |= {link.transit_gateway, link.direct_connect_gateway, link.connection}
    return value is not None and value in stated


def _check_routes(subject: Subject, resource: Resource) -> Iterator[Violation]:
    inline = resource.inputs.get("routes")
    for route in [resource.inputs, *list_or_empty(inline)]:
        for key, place in _TARGETS.items():
            target = at(route, key)
            if not target or target == "local":
                continue
            leads_out = bool(subject.graph.referred(target, ":InternetGateway"))
            leads_out = leads_out or str(target).startswith(("igw-", "nat-", "eigw-"))
            if leads_out:
                place = "the internet"
            elif key in _OWN_TARGETS and _is_own(subject, target):
                continue
            yield Violation(
                f"{resource.name} leads from a network with classified work to {place} ({target})",
                resource,
                "undecided" if is_unknown(target) and not leads_out else "violated",
            )


def _check_vpn(subject: Subject, resource: Resource) -> Iterator[Violation]:
    platform = subject.platform
    stated = {link.peer_ip for link in platform.links if link.kind == "vpn"} if platform else set()
    peers = subject.graph.referred(resource.inputs.get("customerGatewayId"), ":CustomerGateway")
    addresses = [peer.inputs.get("ipAddress") for peer in peers]
    if addresses and all(address in stated for address in addresses):
        return
    place = ", ".join(str(address) for address in addresses) or str(resource.inputs.get("customerGatewayId"))
    is_certain = platform is not None and not is_unknown(place)
    yield Violation(
        f"{resource.name} joins a network with classified work by VPN to {place}, which no link of the platform states",
        resource,
        "violated" if is_certain else "undecided",
    )


def _check_attachment(subject: Subject, resource: Resource) -> Iterator[Violation]:
    network, gateway = resource.inputs.get("vpcId"), resource.inputs.get("transitGatewayId")
    if not (_is_own(subject, network, ":Vpc") and _is_own(subject, gateway)):
        yield Violation(
            f"{resource.name} joins network {network} and transit gateway {gateway}; classified data can pass between "
            "them, and one of them is outside the stack",
            resource,
        )


def _check_direct_connect(subject: Subject, resource: Resource) -> Iterator[Violation]:
    platform = subject.platform
    if platform is None or not any(link.kind == "direct-connect" for link in platform.links):
        yield Violation(
            f"{resource.name} joins a network with classified work to a direct connection that no link of the "
            "platform states",
            resource,
            "violated" if platform else "undecided",
        )


def _check_content(subject: Subject, resource: Resource) -> Iterator[Violation]:
    inputs, name = resource.inputs, resource.name
    if resource.type == "aws:s3/bucket:Bucket":
        if inputs.get("replicationConfiguration") or inputs.get("replicationConfigurations"):
            yield Violation(f"{name} copies its objects to another bucket", resource)
    elif resource.type == "aws:efs/fileSystemPolicy:FileSystemPolicy":
        for statement in statements(inputs.get("policy")):
            is_anybody = "*" in principals(statement) and statement.get("Effect") == "Allow"
            if is_anybody and not statement.get("Condition"):
                yield Violation(f"{name} lets anybody who reaches the share read its records", resource)
    elif resource.type == "aws:ec2/launchTemplate:LaunchTemplate":
        for interface in list_or_empty(inputs.get("networkInterfaces")):
            if str(at(interface, "associatePublicIpAddress")).lower() == "true":
                yield Violation(f"{name} gives machines with classified work a public address", resource)
    elif resource.type == "aws:route53/resolverRule:ResolverRule":
        for target in list_or_empty(inputs.get("targetIps")):
            address = at(target, "ip")
            if address and not is_unknown(address) and is_public(str(address)):
                yield Violation(
                    f"{name} forwards names of classified work to {address}, on the internet", resource
                )
    elif resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint":
        service = inputs.get("serviceName")
        if service and ".vpce." in str(service) and not subject.graph.referred(service):
            yield Violation(
                f"{name} leads from a network with classified work to {service}, a service of another account",
                resource,
            )


def _blocks(resource: Resource) -> Iterator[Any]:
    """Address ranges that a security group's rules name."""
    inputs = resource.inputs
    if "ecurityGroup" not in resource.type:
        return
    yield from (inputs.get("cidrIpv4"), inputs.get("cidrIpv6"))
    rules = [inputs, *list_or_empty(inputs.get("ingress")), *list_or_empty(inputs.get("egress"))]
    for rule in rules:
        yield from (*list_or_empty(at(rule, "cidrBlocks")), *list_or_empty(at(rule, "ipv6CidrBlocks")))


def _groups(resource: Resource) -> Iterator[Any]:
    """Groups that a security group's rules name; one of another account is `ACCOUNT/ID`."""
    if "ecurityGroup" in resource.type:
        inputs = resource.inputs
        yield from (inputs.get("referencedSecurityGroupId"), inputs.get("sourceSecurityGroupId"))
        for rule in (*list_or_empty(inputs.get("ingress")), *list_or_empty(inputs.get("egress"))):
            yield from list_or_empty(at(rule, "securityGroups"))


def _check_prefix_lists(subject: Subject, resource: Resource) -> Iterator[Violation]:
    """Lists of ranges that a security group's rules name: each range, or that they are not known."""
    if "ecurityGroup" not in resource.type:
        return
    inputs = resource.inputs
    rules = [inputs, *list_or_empty(inputs.get("ingress")), *list_or_empty(inputs.get("egress"))]
    lists = [at(rule, "prefixListId") for rule in rules]
    lists += [entry for rule in rules for entry in list_or_empty(at(rule, "prefixListIds"))]
    for entry in filter(None, lists):
        referred = subject.graph.referred(entry, "aws:ec2/managedPrefixList:ManagedPrefixList")
        for prefix_list in referred:
            for block in list_or_empty(prefix_list.inputs.get("entries")):
                yield from _check_block(subject, resource, at(block, "cidr"))
        if not referred:
            yield Violation(
                f"{resource.name} opens a network with classified work to the ranges of {entry}, which are not known"
                " before the change",
                resource,
                "undecided",
            )


def _check_block(subject: Subject, resource: Resource, block: Any) -> Iterator[Violation]:
    if block is None or is_unknown(block):
        return
    platform = subject.platform
    sources = [cidr for link in platform.links for cidr in link.sources] if platform else []
    if is_within(str(block), [*networks(subject.graph, platform), *sources]):
        return
    if not is_public(str(block)):
        sites = [cidr for site in platform.sites for cidr in site.cidrs] if platform else []
        is_judged = platform is not None and not is_of_component(resource)
        if is_judged and not (is_within(str(block), sites) or subject.trusts("address_ranges", str(block))):
            yield Violation(
                f"{resource.name} opens a network with classified work to {block}, which is no network of the platform",
                resource,
                "undecided",
            )
        return
    if not subject.trusts("address_ranges", str(block)):
        yield Violation(
            f"{resource.name} opens a network with classified work to {block}, which is on the internet",
            resource,
        )


_CONTROLS = (*fw.nist("AC-4", "SC-7", "CM-7(5)"), *fw.iso_27001("A.8.12", "A.8.22"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "data-path/known-aws-types",
        "What refers to a classified network, bucket, key or role, or is beside them in AWS, is of a known type",
        "critical",
        _CONTROLS,
        "A resource that no rule reads can copy the data, or join its network to another",
        _FIX_OF_TYPE,
        _check_types,
        applies_to=_judged_types,
    ),
    Rule(
        "data-path/known-other-ends",
        "Routes, links, shares and security groups of classified work end where the platform states",
        "critical",
        _CONTROLS,
        "A known type with another end carries the class's data there",
        "Close it, or let it end at a site, a link or a network of the platform",
        _check_other_ends,
        applies_to=lambda subject: [resource for resource, _ in resources_in_reach(subject)],
    ),
)
