"""Parses and checks IPv4 networks and addresses among a component's arguments, without calling AWS."""

import ipaddress
from collections.abc import Sequence

from isthmus.core.errors import InputError
from isthmus.core.ip_addresses import NOT_PUBLIC

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918."""


def ipv4_network(text: str, where: str) -> ipaddress.IPv4Network:
    """The network in `text`. Raises `InputError` for a host name, IPv6, or host bits that are set."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as bad:
        raise InputError(
            f"'{text}' is not an IPv4 network ({bad})", where=where, fix="Write it like 10.40.0.0/16"
        ) from None
    if network.prefixlen == 0:
        raise InputError("0.0.0.0/0 covers every address", where=where, fix="List the networks that you mean")
    return network


def ipv4_networks(texts: Sequence[str], where: str) -> list[ipaddress.IPv4Network]:
    """Several networks in their order, without duplicates. Raises `InputError` if two overlap."""
    networks: list[ipaddress.IPv4Network] = []
    for index, text in enumerate(texts):
        network = ipv4_network(text, f"{where}.{index}")
        for other in networks:
            if network != other and network.overlaps(other):
                raise InputError(
                    f"{network} and {other} overlap", where=f"{where}.{index}", fix="Keep only the wider one"
                )
        if network not in networks:
            networks.append(network)
    return networks


def public_address(text: str, where: str) -> str:
    """An IPv4 address that AWS can reach over the internet. Raises `InputError` for others."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InputError(
            f"'{text}' is not an IPv4 address",
            where=where,
            fix="Set the public address of the site's VPN device, not its host name",
        ) from None
    reserved_range = next((text for text in NOT_PUBLIC if address in ipaddress.IPv4Network(text)), None)
    if reserved_range is not None:
        raise InputError(
            f"{address} lies in {reserved_range}, which AWS cannot reach over the internet",
            where=where,
            fix="Set the public address of the site's VPN device (or of the NAT in front of it)",
        )
    return str(address)


def cidr_label(cidr: str) -> str:
    """A network as part of a resource's name: 10.40.0.0/16 becomes 10-40-0-0-16."""
    return cidr.replace(".", "-").replace("/", "-")
