"""Rules for AWS networks and links. They do not call AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups import dns_servers
from isthmus.contracts.reference import handling
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError, caught, raise_all

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from isthmus.contracts.platform.model.aws.account import Network
    from isthmus.contracts.platform.model.platform import Gateway, Platform


_CALL_SERVICES = (("bedrock", "bedrock-runtime"), ("sagemaker", "sagemaker.runtime"))
"""Targets and the AWS service that calls their models."""


def networks_are_complete(platform: Platform) -> None:
    """A network has the settings of its mode, a DNS firewall if needed, and no class twice at a site."""
    checks = (_check_classes_of_network, _check_addresses_of_network, _check_existing_network)
    raise_all(
        error
        for index in range(len(platform.networks))
        for check in checks
        for error in caught(check, platform, index)
    )


def _check_classes_of_network(platform: Platform, index: int) -> None:
    """The classes of a network may use AWS, have no way to the internet, and are in no other network of the site."""
    network, path = platform.networks[index], ("networks", index)
    _check_classes_may_use_aws(platform, network.classes, f"network {network.name}", *path, "classes")
    if network.internet and any(class_ != "public" for class_ in network.classes):
        non_public = ", ".join(class_ for class_ in network.classes if class_ != "public")
        raise FieldError(
            f"network {network.name} has an internet gateway, but carries {non_public} work",
            *(*path, "internet"),
            fix="Remove `internet`, or give public work a network of its own",
            refused=True,
        )
    if network.mode == "off":
        return
    _check_dns_firewall(network, *path, "dns_firewall")
    for number, class_ in enumerate(network.classes):
        for earlier in platform.networks[:index]:
            if earlier.mode != "off" and earlier.site == network.site and class_ in earlier.classes:
                names = f"{earlier.name} and {network.name}"
                raise FieldError(
                    f"class {class_} is in two networks at {network.site}, {names}",
                    *(*path, "classes", number),
                    fix="Remove the class from one of them",
                )


def _check_addresses_of_network(platform: Platform, index: int) -> None:
    network, path = platform.networks[index], ("networks", index)
    if network.mode == "off":
        return
    if network.cidr is None:
        raise FieldError(
            f"network {network.name} has no cidr: pods are let out to addresses, not to names",
            *(*path, "cidr"),
            fix=f"Set `vpc_cidr` of site {network.site} in the requirements, e.g. 10.80.0.0/16, or `cidr` of the "
            "network in `isthmus:overrides`",
        )
    ip_addresses.site_network(network.cidr, *path, "cidr")
    if network.mode == "manage":
        _check_managed_network(platform, index)


def _check_existing_network(platform: Platform, index: int) -> None:
    """An existing network names its VPC, two private subnets and their route tables."""
    network, path = platform.networks[index], ("networks", index)
    if network.mode != "existing":
        return
    if network.vpc is None or len(set(network.subnets)) < 2:
        missing = "vpc" if network.vpc is None else "subnets"
        message = f"the existing network {network.name} has no vpc"
        if network.vpc is not None:
            subnet_count = {0: "no private subnets", 1: "one private subnet"}[len(set(network.subnets))]
            message = f"the existing network {network.name} has {subnet_count} of {network.vpc}"
        raise FieldError(
            message,
            *(*path, missing),
            fix="Set `vpc`, and `subnets` to private subnets in at least two zones",
        )
    if not network.route_tables:
        message = f"the existing network {network.name} has no route_tables"
        raise FieldError(
            message, *(*path, "route_tables"), fix="Set `route_tables` to those of its private subnets"
        )


PUBLIC_SECOND_LEVELS = ("ac", "co", "com", "edu", "gov", "gob", "ne", "net", "or", "org")
"""Second-level labels below which anybody can register names, like `co.uk`. Wildcards there are refused."""


def _check_dns_firewall(network: Network, *path: str | int) -> None:
    """Non-public networks have a DNS firewall whose wildcards cover no names that anybody can register."""
    non_public = [class_ for class_ in network.classes if class_ != "public"]
    if network.dns_mode == "off" and non_public:
        raise FieldError(
            f"network {network.name} carries {', '.join(non_public)} work, but its DNS firewall is off",
            *(*path, "mode"),
            fix="Set `mode` to manage, or to existing if your organisation associates its own firewall with the VPC",
            refused=True,
        )
    for number, name in enumerate(network.dns_firewall.names):
        labels = name.removeprefix("*.").split(".")
        if (
            name.startswith("*.")
            and len(labels) == 2
            and len(labels[1]) == 2
            and labels[0] in PUBLIC_SECOND_LEVELS
        ):
            raise FieldError(
                f"`{name}` covers all names below {'.'.join(labels)}, where anybody can register names",
                *(*path, "names", number),
                fix=f"Use your own zone, like *.bank.{'.'.join(labels)}",
                refused=True,
            )


def _check_managed_network(platform: Platform, index: int) -> None:
    network = platform.networks[index]
    path = ("networks", index)
    site = platform.site(network.site)
    length = ip_addresses.network(network.cidr or "", *path, "cidr").prefixlen
    if not 16 <= length <= 24:
        fix = "Use a length from /16 (the widest that AWS allows) to /24 (smaller ones have no room for subnets)"
        raise FieldError(
            f"`{network.cidr}` is too {'wide' if length < 16 else 'small'} for a VPC",
            *path,
            "cidr",
            fix=fix,
        )
    for number, zone in enumerate(network.zones):
        if site.region and zone[:-1] != site.region:
            message = f"zone `{zone}` is not in {site.region}"
            raise FieldError(message, *(*path, "zones", number), fix=f"Use zones like {site.region}a")
        if zone in network.zones[:number]:
            message = f"zone `{zone}` appears twice in network {network.name}"
            raise FieldError(
                message, *(*path, "zones", number), fix="Remove one of them: each zone gets one subnet"
            )
    if len(network.zones) < 2:
        fix = f"Set two or more, like [{site.region}a, {site.region}b]"
        raise FieldError(
            f"network {network.name} has {len(network.zones)} zones, but needs at least two",
            *(*path, "zones"),
            fix=fix,
        )


def networks_do_not_overlap(platform: Platform) -> None:
    """Networks of sites do not overlap, because routes between them would be ambiguous."""
    networks: list[tuple[IPv4Network, str]] = []
    for index, site in enumerate(platform.sites):
        if site.kind == "on-prem":
            for number, text in enumerate(site.cidrs):
                parsed = ip_addresses.site_network(text, *("sites", index, "cidrs", number))
                networks.append((parsed, f"site {site.name}"))
    for index, network in enumerate(platform.networks):
        if network.mode == "off" or network.cidr is None:
            continue
        candidate = ip_addresses.network(network.cidr, *("networks", index, "cidr"))
        for taken_network, owner in networks:
            if candidate.overlaps(taken_network):
                raise FieldError(
                    f"`{candidate}` of network {network.name} overlaps `{taken_network}` of {owner}",
                    *("networks", index, "cidr"),
                    fix="Use addresses that do not overlap",
                )
        networks.append((candidate, f"network {network.name}"))


def links_are_complete(platform: Platform) -> None:
    """A link has the settings of its kind, two different BGP numbers, and a network at its AWS end."""
    checks = (_check_ends_of_link, _check_bgp_numbers, _check_line, _check_sources, _check_dns_servers)
    raise_all(
        error
        for index in range(len(platform.links))
        for check in checks
        for error in caught(check, platform, index)
    )


def _check_ends_of_link(platform: Platform, index: int) -> None:
    link, path = platform.links[index], ("links", index)
    _check_classes_may_use_aws(platform, link.classes, f"link {link.name}", *path, "classes")
    if link.mode != "off" and not any(
        network.site == link.to and network.mode != "off" for network in platform.networks
    ):
        message = f"link {link.name} leads to site {link.to}, which has no network"
        raise FieldError(
            message,
            *(*path, "to"),
            fix=f"Add a network for {link.to} to `networks`, or set `mode: off` here",
        )


def _check_bgp_numbers(platform: Platform, index: int) -> None:
    link, path = platform.links[index], ("links", index)
    if link.mode != "manage":
        return
    if link.site_asn is None:
        raise FieldError(
            f"link {link.name} has no site_asn, the BGP number of site {link.from_}",
            *(*path, "site_asn"),
            fix=f"Set `network.bgp_asn` of site {link.from_} in the requirements, e.g. 65020, or `site_asn` of the "
            "link in `isthmus:overrides`",
        )
    if link.site_asn == link.amazon_asn:
        message = f"both ends of link {link.name} have the BGP number {link.site_asn}"
        raise FieldError(message, *(*path, "amazon_asn"), fix="Set amazon_asn to another number, like 64512")


def _check_line(platform: Platform, index: int) -> None:
    """A VPN has the address of the site's end, and Direct Connect a connection with a VLAN."""
    link, path = platform.links[index], ("links", index)
    if link.mode != "manage":
        return
    if link.kind == "vpn":
        if link.peer_ip is None:
            fix = (
                f"Set `network.vpn_peer_ip` of site {link.from_} in the requirements, or `peer_ip` of the link in "
                "`isthmus:overrides`, to the public address of the site's VPN device"
            )
            raise FieldError(f"link {link.name} has no peer_ip", *(*path, "peer_ip"), fix=fix)
        ip_addresses.public_address(link.peer_ip, *path, "peer_ip")
    elif link.connection is None and link.direct_connect_gateway is None:
        raise FieldError(
            f"link {link.name} has no Direct Connect connection",
            *(*path, "connection"),
            fix="Order one, then set `connection` to its id (dxcon-…), or set an existing direct_connect_gateway",
        )
    elif link.connection is not None and link.vlan is None:
        raise FieldError(
            f"link {link.name} has no vlan for its virtual interface",
            *(*path, "vlan"),
            fix="Set `vlan` to the VLAN number from your Direct Connect provider",
        )


def _check_sources(platform: Platform, index: int) -> None:
    """What may cross a link comes from its site's networks."""
    link, path = platform.links[index], ("links", index)
    if link.mode != "manage":
        return
    site = platform.site(link.from_)
    for number, text in enumerate(link.sources):
        source = ip_addresses.network(text, *path, "sources", number)
        if not any(source.subnet_of(ip_addresses.network(cidr)) for cidr in site.cidrs):
            message = f"`{text}` is not within the networks of {site.name} ({', '.join(site.cidrs)})"
            fix = "Remove it, or add it to the site's networks in the requirements"
            raise FieldError(message, *(*path, "sources", number), fix=fix, refused=True)


def _check_dns_servers(platform: Platform, index: int) -> None:
    """AWS's resolvers have servers of the site to ask, within what may cross the link."""
    link = platform.links[index]
    if link.mode == "off" or link.resolvers != "manage":
        return
    number = next(number for number, site in enumerate(platform.sites) if site.name == link.from_)
    site = platform.sites[number]
    sources = [ip_addresses.network(text) for text in link.sources or site.cidrs]
    raise_all(
        FieldError(error.what, *("sites", number, "dns"), *error.path, fix=error.fix)
        for error in dns_servers.wrong_dns_servers(site.dns, sources)
    )


def non_public_classes_have_a_private_path(platform: Platform) -> None:
    """Non-public work reaches AWS through a network that carries its class, and from on-prem over a link."""
    kinds = {site.name: site.kind for site in platform.sites}
    identities = {identity.name: identity for identity in platform.identities}
    for index, gateway in enumerate(platform.gateways):
        if gateway.identity is None or gateway.class_ == "public":
            continue
        aws_site = identities[gateway.identity].site
        network = next(
            (n for n in platform.networks if n.site == aws_site and gateway.class_ in n.classes), None
        )
        if network is None or network.mode == "off":
            raise FieldError(
                f"{gateway.class_} work would reach {aws_site} over the internet, because no network there carries it",
                *("gateways", index, "identity"),
                fix=f"Add class {gateway.class_} to `classes` of a network at {aws_site}",
                refused=True,
            )
        if kinds[gateway.site] == "on-prem" and not any(
            link.from_ == gateway.site
            and link.to == aws_site
            and link.mode != "off"
            and gateway.class_ in link.classes
            for link in platform.links
        ):
            raise FieldError(
                f"no link from {gateway.site} to {aws_site} carries class {gateway.class_}",
                *("gateways", index, "identity"),
                fix=f"Add a link between {gateway.site} and {aws_site} to `links` of the requirements and plan again, "
                f"or add class {gateway.class_} to the link in `isthmus:overrides`",
                refused=True,
            )
        _check_destinations(gateway, index, network)
        targets = {
            endpoint.target
            for endpoint in platform.endpoints
            if endpoint.id in identities[gateway.identity].endpoints
        }
        by_certificate = identities[gateway.identity].assumed_by == "roles-anywhere"
        needed = [service for target, service in _CALL_SERVICES if target in targets]
        needed += ["rolesanywhere"] if by_certificate else []
        missing = [service for service in needed if service not in network.services]
        if missing:
            raise FieldError(
                f"network {network.name} has no private endpoint for {' and '.join(missing)}",
                *("networks", platform.networks.index(network), "services"),
                fix="Add it to `services` of the network",
                refused=True,
            )


def _check_destinations(gateway: Gateway, index: int, network: Network) -> None:
    """The destinations of a gateway are within its AWS network, where the private endpoints are."""
    if network.cidr is None:
        return  # `networks_are_complete` refuses it.
    place = ip_addresses.network(network.cidr, *("networks", network.name, "cidr"))
    for number, destination in enumerate(gateway.destinations):
        path = ("gateways", index, "destinations", number, "cidr")
        if not ip_addresses.network(destination.cidr, *path).subnet_of(place):
            raise FieldError(
                f"`{destination.cidr}` is not within network {network.name} (`{place}`), which has the "
                "private endpoints",
                *path,
                fix=f"Use `{place}` or a part of it here and in the site's networks, or correct the network's cidr",
            )


def link_classes_share_a_network(platform: Platform) -> None:
    """All classes of a link are in one network, because a link is attached to one network."""
    for index, link in enumerate(platform.links):
        networks = [
            network for network in platform.networks if network.site == link.to and network.mode != "off"
        ]
        if link.mode == "off" or any(set(link.classes) <= set(network.classes) for network in networks):
            continue
        listed = "; ".join(f"{network.name}: {', '.join(network.classes)}" for network in networks)
        raise FieldError(
            f"no network at {link.to} carries all classes of link {link.name} ({', '.join(link.classes)})",
            *("links", index, "classes"),
            fix=f"Use a separate link for each network, with its classes ({listed})"
            if listed
            else f"Add a network with these classes at {link.to} to `networks`, or set `mode: off` here",
            refused=True,
        )


def _check_classes_may_use_aws(
    platform: Platform, classes: Iterable[str], label: str, *path: str | int
) -> None:
    for number, class_ in enumerate(classes):
        class_rules = handling.handling_of(class_)
        if set(class_rules.targets) == {"onprem-vllm"} and not class_rules.by_exception:
            raise FieldError(
                f"{label} would carry {class_} work, which must stay on-prem",
                *path,
                number,
                fix=f"Remove class {class_}",
                refused=True,
            )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    networks_are_complete,
    networks_do_not_overlap,
    links_are_complete,
    non_public_classes_have_a_private_path,
    link_classes_share_a_network,
)
