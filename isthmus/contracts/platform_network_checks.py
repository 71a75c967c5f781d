"""What must hold of a platform's AWS networks and links. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2). Nothing here asks a cloud.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts import handling
from isthmus.contracts.errors import At

if TYPE_CHECKING:
    from isthmus.contracts.platform import Platform, Site

_NOT_PUBLIC = [
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
    )
]
"""Networks that no packet from the internet reaches (RFC 6890), the documentation ones left out: the
sandbox's example stands in one."""


def networks_are_whole(platform: Platform) -> None:
    """A network has what its mode needs, shares no address with another, and carries nothing restricted."""
    for index, network in enumerate(platform.networks):
        path = ("networks", index)
        _crosses_no_boundary(platform, network.classes, f"network {network.name}", *path, "classes")
        if network.internet and any(one != "public" for one in network.classes):
            above = ", ".join(one for one in network.classes if one != "public")
            raise At(
                f"network {network.name} has an internet gateway and carries {above} work",
                *(*path, "internet"),
                todo="Take it out, or give public work a network of its own",
                no=True,
            )
        if network.mode == "off":
            continue
        if network.cidr is None:
            raise At(f"network {network.name} names no cidr", *path, "cidr")
        _cidr(network.cidr, *path, "cidr")
        if network.mode == "manage":
            _managed(platform, index)
        elif network.vpc is None or len(network.subnets) < 2:
            missing = "vpc" if network.vpc is None else "subnets"
            what = f"the existing network {network.name} names no vpc"
            if network.vpc is not None:
                what = f"the existing network {network.name} names {len(network.subnets)} private subnets"
            raise At(what, *(*path, missing), todo="Name the VPC and private subnets in two zones at least")
        if network.mode == "existing" and not network.route_tables:
            what = f"the existing network {network.name} names no route_tables"
            raise At(what, *(*path, "route_tables"), todo="Name those of its private subnets")


def _managed(platform: Platform, index: int) -> None:
    network = platform.networks[index]
    path = ("networks", index)
    site = _site(platform, network.site)
    length = int((network.cidr or "").split("/")[1])
    if not 16 <= length <= 26:
        what = f"a VPC has a network between /16 and /26, not /{length}"
        raise At(what, *(*path, "cidr"), todo="AWS allows /16 to /28, and below /26 subnets have no room")
    if len(set(network.zones)) < 2:
        todo = f"Name two or more, like [{site.region}a, {site.region}b]"
        raise At(f"network {network.name} lies in fewer than two zones", *(*path, "zones"), todo=todo)
    for number, zone in enumerate(network.zones):
        if site.region and zone[:-1] != site.region:
            what = f"zone `{zone}` is not in {site.region}"
            raise At(what, *(*path, "zones", number))


def addresses_are_apart(platform: Platform) -> None:
    """No network of a site overlaps another's: a route between them would be ambiguous."""
    taken: list[tuple[ipaddress.IPv4Network, str]] = []
    for index, site in enumerate(platform.sites):
        if site.kind == "on-prem":
            for number, text in enumerate(site.cidrs):
                taken.append((_cidr(text, "sites", index, "cidrs", number), f"site {site.name}"))
    for index, network in enumerate(platform.networks):
        if network.mode == "off" or network.cidr is None:
            continue
        mine = _cidr(network.cidr, "networks", index, "cidr")
        for other, owner in taken:
            if mine.overlaps(other):
                raise At(
                    f"`{mine}` of network {network.name} overlaps `{other}` of {owner}",
                    *("networks", index, "cidr"),
                    todo="Give each its own addresses",
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
            raise At(f"link {link.name} leads to {link.to}, which has no network", *(*path, "to"))
        if link.mode == "existing":
            continue
        if link.site_asn is None:
            raise At(f"link {link.name} names no site_asn", *(*path, "site_asn"), todo="Its BGP number")
        if link.site_asn == link.amazon_asn:
            what = f"both ends of link {link.name} have the BGP number {link.site_asn}"
            raise At(what, *(*path, "amazon_asn"), todo="Give AWS's end another, like 64512")
        if link.kind == "vpn":
            if link.peer_ip is None:
                raise At(f"link {link.name} names no peer_ip", *(*path, "peer_ip"))
            _public(link.peer_ip, *path, "peer_ip")
        elif link.connection is None and link.direct_connect_gateway is None:
            raise At(
                f"link {link.name} names no Direct Connect connection",
                *(*path, "connection"),
                todo="Order one first, then name it (dxcon-…), or an existing direct_connect_gateway",
            )
        elif link.connection is not None and link.vlan is None:
            raise At(f"link {link.name} names no vlan for its virtual interface", *(*path, "vlan"))
        site = _site(platform, link.from_)
        for number, text in enumerate(link.sources):
            source = _cidr(text, *path, "sources", number)
            if not any(source.subnet_of(ipaddress.IPv4Network(one)) for one in site.cidrs):
                what = f"`{text}` is not within the networks of {site.name} ({', '.join(site.cidrs)})"
                raise At(what, *(*path, "sources", number), no=True)


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
            raise At(
                f"{gateway.class_} work would reach AWS at {to} over the internet: no network there carries it",
                *("gateways", index, "identity"),
                todo=f"Add class {gateway.class_} to one of `networks` at {to}",
                no=True,
            )
        if kinds[gateway.site] == "on-prem" and not any(
            link.from_ == gateway.site
            and link.to == to
            and link.mode != "off"
            and gateway.class_ in link.classes
            for link in platform.links
        ):
            raise At(
                f"{gateway.class_} work has no private link from {gateway.site} to {to}",
                *("gateways", index, "identity"),
                todo=f"Add class {gateway.class_} to a link from {gateway.site} to {to}",
                no=True,
            )
        missing = [one for one in ("bedrock-runtime", "rolesanywhere") if one not in network.services]
        if missing:
            raise At(
                f"network {network.name} has no private endpoint for {' and '.join(missing)}",
                *("networks", platform.networks.index(network), "services"),
                todo="Add it to its services",
                no=True,
            )


def _crosses_no_boundary(platform: Platform, classes: Iterable[str], what: str, *path: str | int) -> None:
    for number, one in enumerate(classes):
        known = handling.of(one)
        if set(known.targets) == {"onprem-vllm"} and not known.by_exception:
            raise At(f"{what} would carry {one} work, which stays on-prem", *path, number, no=True)


def _site(platform: Platform, name: str) -> Site:
    return next(site for site in platform.sites if site.name == name)


def _cidr(text: str, *path: str | int) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise At(f"`{text}` is not a network", *path) from None


def _public(text: str, *path: str | int) -> None:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise At(f"`{text}` is not an IPv4 address", *path) from None
    inside = next((network for network in _NOT_PUBLIC if address in network), None)
    if inside is not None:
        raise At(
            f"the peer `{text}` lies in {inside}, which AWS cannot reach from the internet",
            *path,
            todo="Name the public address of the site's VPN device",
        )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    networks_are_whole,
    addresses_are_apart,
    links_are_whole,
    private_classes_have_a_private_path,
)
