"""What must hold of a platform's AWS networks and links. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2). Nothing here asks a cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.reference import handling
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from isthmus.contracts.platform.model.aws.account import Network
    from isthmus.contracts.platform.model.platform import Gateway, Platform


_SERVICES = (("bedrock", "bedrock-runtime"), ("sagemaker", "sagemaker.runtime"))
"""The service by which the models of a target are called."""


def networks_are_whole(platform: Platform) -> None:
    """A network has what its mode needs, shares no address with another, and carries nothing restricted."""
    carried: dict[tuple[str, str], str] = {}
    for index, network in enumerate(platform.networks):
        path = ("networks", index)
        _crosses_no_boundary(platform, network.classes, f"network {network.name}", *path, "classes")
        if network.internet and any(one != "public" for one in network.classes):
            above = ", ".join(one for one in network.classes if one != "public")
            raise FieldError(
                f"network {network.name} has an internet gateway and carries {above} work",
                *(*path, "internet"),
                fix="Take it out, or give public work a network of its own",
                refused=True,
            )
        if network.mode == "off":
            continue
        _asks_for_named_names(network, *path, "dns_firewall")
        for number, one in enumerate(network.classes):
            other = carried.setdefault((network.site, one), network.name)
            if other != network.name:
                what = f"{one} work at {network.site} lies in two networks, {other} and {network.name}"
                raise FieldError(what, *(*path, "classes", number), fix="Name the class in one of them")
        if network.cidr is None:
            raise FieldError(f"network {network.name} names no cidr", *path, "cidr")
        ip_addresses.site_network(network.cidr, *path, "cidr")
        if network.mode == "manage":
            _managed(platform, index)
        elif network.vpc is None or len(set(network.subnets)) < 2:
            missing = "vpc" if network.vpc is None else "subnets"
            what = f"the existing network {network.name} names no vpc"
            if network.vpc is not None:
                named = {0: "no private subnets", 1: "one private subnet"}[len(set(network.subnets))]
                what = f"the existing network {network.name} names {named} of {network.vpc}"
            raise FieldError(
                what, *(*path, missing), fix="Name the VPC and private subnets in two zones at least"
            )
        if network.mode == "existing" and not network.route_tables:
            what = f"the existing network {network.name} names no route_tables"
            raise FieldError(what, *(*path, "route_tables"), fix="Name those of its private subnets")


SHARED_ZONES = ("ac", "co", "com", "edu", "gov", "gob", "ne", "net", "or", "org")
"""Second labels of two below which anybody registers a name, like `co.uk`. A wildcard there would be no boundary."""


def _asks_for_named_names(network: Network, *path: str | int) -> None:
    """A network above public has a DNS firewall, and no wildcard in it covers names that anybody can register."""
    above = [held for held in network.classes if held != "public"]
    if network.dns_mode == "off" and above:
        raise FieldError(
            f"network {network.name} carries {', '.join(above)} work and has no DNS firewall",
            *(*path, "mode"),
            fix="Say `manage`, or `existing` where your organisation associates its own with the VPC",
            refused=True,
        )
    for number, name in enumerate(network.dns_firewall.names):
        labels = name.removeprefix("*.").split(".")
        if name.startswith("*.") and len(labels) == 2 and len(labels[1]) == 2 and labels[0] in SHARED_ZONES:
            raise FieldError(
                f"`{name}` covers every name that anybody registers below {'.'.join(labels)}",
                *(*path, "names", number),
                fix=f"Name your own zone, like *.bank.{'.'.join(labels)}",
                refused=True,
            )


def _managed(platform: Platform, index: int) -> None:
    network = platform.networks[index]
    path = ("networks", index)
    site = platform.site(network.site)
    length = ip_addresses.network(network.cidr or "", *path, "cidr").prefixlen
    if not 16 <= length <= 24:
        fix = "Take one between /16, the widest that AWS allows, and /24, below which subnets have no room"
        raise FieldError(
            f"`{network.cidr}` is too {'wide' if length < 16 else 'small'} for a VPC",
            *path,
            "cidr",
            fix=fix,
        )
    for number, zone in enumerate(network.zones):
        if site.region and zone[:-1] != site.region:
            what = f"zone `{zone}` is not in {site.region}"
            raise FieldError(what, *(*path, "zones", number), fix=f"Zones there are like {site.region}a")
        if zone in network.zones[:number]:
            what = f"network {network.name} names zone `{zone}` twice"
            raise FieldError(
                what, *(*path, "zones", number), fix="Name each zone once: a subnet is made in each"
            )
    if len(network.zones) < 2:
        fix = f"Name two or more, like [{site.region}a, {site.region}b]"
        raise FieldError(f"network {network.name} lies in fewer than two zones", *(*path, "zones"), fix=fix)


def addresses_are_apart(platform: Platform) -> None:
    """No network of a site overlaps another's: a route between them would be ambiguous."""
    taken: list[tuple[IPv4Network, str]] = []
    for index, site in enumerate(platform.sites):
        if site.kind == "on-prem":
            for number, text in enumerate(site.cidrs):
                read = ip_addresses.site_network(text, *("sites", index, "cidrs", number))
                taken.append((read, f"site {site.name}"))
    for index, network in enumerate(platform.networks):
        if network.mode == "off" or network.cidr is None:
            continue
        mine = ip_addresses.network(network.cidr, *("networks", index, "cidr"))
        for other, owner in taken:
            if mine.overlaps(other):
                raise FieldError(
                    f"`{mine}` of network {network.name} overlaps `{other}` of {owner}",
                    *("networks", index, "cidr"),
                    fix="Give each its own addresses",
                )
        taken.append((mine, f"network {network.name}"))


def links_are_whole(platform: Platform) -> None:
    """A link has a public peer, two different BGP numbers, a network at its end, and crosses no boundary."""
    for index, link in enumerate(platform.links):
        path = ("links", index)
        _crosses_no_boundary(platform, link.classes, f"link {link.name}", *path, "classes")
        if link.mode == "off":
            continue
        if not any(network.site == link.to and network.mode != "off" for network in platform.networks):
            what = f"link {link.name} leads to {link.to}, which has no network"
            raise FieldError(
                what, *(*path, "to"), fix=f"Give {link.to} one of `networks`, or say `mode: off` here"
            )
        if link.mode == "existing":
            continue
        if link.site_asn is None:
            raise FieldError(
                f"link {link.name} names no site_asn", *(*path, "site_asn"), fix="Its BGP number"
            )
        if link.site_asn == link.amazon_asn:
            what = f"both ends of link {link.name} have the BGP number {link.site_asn}"
            raise FieldError(what, *(*path, "amazon_asn"), fix="Give AWS's end another, like 64512")
        if link.kind == "vpn":
            if link.peer_ip is None:
                fix = "Name the public address of the site's VPN device: `vpn_peer_ip` in the requirements"
                raise FieldError(f"link {link.name} names no peer_ip", *(*path, "peer_ip"), fix=fix)
            ip_addresses.public_address(link.peer_ip, *path, "peer_ip")
        elif link.connection is None and link.direct_connect_gateway is None:
            raise FieldError(
                f"link {link.name} names no Direct Connect connection",
                *(*path, "connection"),
                fix="Order one first, then name it (dxcon-…), or an existing direct_connect_gateway",
            )
        elif link.connection is not None and link.vlan is None:
            raise FieldError(f"link {link.name} names no vlan for its virtual interface", *(*path, "vlan"))
        site = platform.site(link.from_)
        for number, text in enumerate(link.sources):
            source = ip_addresses.network(text, *path, "sources", number)
            if not any(source.subnet_of(ip_addresses.network(one)) for one in site.cidrs):
                what = f"`{text}` is not within the networks of {site.name} ({', '.join(site.cidrs)})"
                fix = "Leave it out, or state it among the site's networks in the requirements"
                raise FieldError(what, *(*path, "sources", number), fix=fix, refused=True)


def private_classes_have_a_private_path(platform: Platform) -> None:
    """A class above public reaches AWS through a network that carries it, and from on-prem over a link."""
    kinds = {site.name: site.kind for site in platform.sites}
    identities = {identity.name: identity for identity in platform.identities}
    for index, gateway in enumerate(platform.gateways):
        if gateway.identity is None or gateway.class_ == "public":
            continue
        to = identities[gateway.identity].site
        network = next((n for n in platform.networks if n.site == to and gateway.class_ in n.classes), None)
        if network is None or network.mode == "off":
            raise FieldError(
                f"{gateway.class_} work would reach AWS at {to} over the internet: no network there carries it",
                *("gateways", index, "identity"),
                fix=f"Add class {gateway.class_} to one of `networks` at {to}",
                refused=True,
            )
        if kinds[gateway.site] == "on-prem" and not any(
            link.from_ == gateway.site
            and link.to == to
            and link.mode != "off"
            and gateway.class_ in link.classes
            for link in platform.links
        ):
            raise FieldError(
                f"{gateway.class_} work has no private link from {gateway.site} to {to}",
                *("gateways", index, "identity"),
                fix=f"Add class {gateway.class_} to a link from {gateway.site} to {to}",
                refused=True,
            )
        _reaches(gateway, index, network)
        called = {
            one.target for one in platform.endpoints if one.id in identities[gateway.identity].endpoints
        }
        by_certificate = identities[gateway.identity].assumed_by == "roles-anywhere"
        needed = [service for target, service in _SERVICES if target in called]
        needed += ["rolesanywhere"] if by_certificate else []
        missing = [one for one in needed if one not in network.services]
        if missing:
            raise FieldError(
                f"network {network.name} has no private endpoint for {' and '.join(missing)}",
                *("networks", platform.networks.index(network), "services"),
                fix="Add it to its services",
                refused=True,
            )


def _reaches(gateway: Gateway, index: int, network: Network) -> None:
    """A gateway's ways out to AWS end in its network, where the private endpoints stand."""
    place = ip_addresses.network(network.cidr or "", *("networks", network.name, "cidr"))
    for number, destination in enumerate(gateway.destinations):
        path = ("gateways", index, "destinations", number, "cidr")
        if not ip_addresses.network(destination.cidr, *path).subnet_of(place):
            raise FieldError(
                f"`{destination.cidr}` is not within network {network.name}, `{place}`: the gateway would not "
                "reach the private endpoints there",
                *path,
                fix=f"Name `{place}` or a part of it here and among the site's networks, or correct the network's",
            )


def links_lead_to_one_network(platform: Platform) -> None:
    """All of a link's classes lie in one network: a link is attached to one, and joins no two."""
    for index, link in enumerate(platform.links):
        there = [one for one in platform.networks if one.site == link.to and one.mode != "off"]
        if link.mode == "off" or any(set(link.classes) <= set(network.classes) for network in there):
            continue
        lie = "; ".join(f"{network.name}: {', '.join(network.classes)}" for network in there)
        raise FieldError(
            f"no network at {link.to} carries all that link {link.name} does ({', '.join(link.classes)})",
            *("links", index, "classes"),
            fix=f"Give each network a link of its own, with the classes that lie there ({lie})",
            refused=True,
        )


def _crosses_no_boundary(platform: Platform, classes: Iterable[str], what: str, *path: str | int) -> None:
    for number, one in enumerate(classes):
        known = handling.of(one)
        if set(known.targets) == {"onprem-vllm"} and not known.by_exception:
            raise FieldError(
                f"{what} would carry {one} work, which stays on-prem", *path, number, refused=True
            )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    networks_are_whole,
    addresses_are_apart,
    links_are_whole,
    private_classes_have_a_private_path,
    links_lead_to_one_network,
)
