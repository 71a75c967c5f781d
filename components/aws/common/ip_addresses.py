"""IPv4 networks among a component's arguments: read, measured, held apart. Nothing here asks a cloud."""

import ipaddress
from collections.abc import Sequence

from isthmus.core.errors import InputError
from isthmus.core.ip_addresses import NOT_PUBLIC

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918."""


def ipv4_network(text: str, where: str) -> ipaddress.IPv4Network:
    """The network that `text` names; `InputError` for a host name, IPv6, or bits set beyond its length."""
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError as bad:
        raise InputError(
            f"'{text}' is not an IPv4 network ({bad})", where=where, fix="Write it like 10.40.0.0/16"
        ) from None
    if found.prefixlen == 0:
        raise InputError(
            "0.0.0.0/0 is every address there is", where=where, fix="Name the networks that are meant"
        )
    return found


def ipv4_networks(texts: Sequence[str], where: str) -> list[ipaddress.IPv4Network]:
    """Several, in their order without repetition; `InputError` for two that overlap."""
    found: list[ipaddress.IPv4Network] = []
    for at, text in enumerate(texts):
        network = ipv4_network(text, f"{where}.{at}")
        for other in found:
            if network != other and network.overlaps(other):
                raise InputError(
                    f"{network} and {other} overlap", where=f"{where}.{at}", fix="Name the wider one only"
                )
        if network not in found:
            found.append(network)
    return found


def public_address(text: str, where: str) -> str:
    """An IPv4 address that AWS can reach over the internet; `InputError` for any other."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InputError(
            f"'{text}' is not an IPv4 address",
            where=where,
            fix="Name the public address of the site's VPN device, not its host name",
        ) from None
    inside = next((text for text in NOT_PUBLIC if address in ipaddress.IPv4Network(text)), None)
    if inside is not None:
        raise InputError(
            f"{address} lies in {inside}, which AWS cannot reach over the internet",
            where=where,
            fix="Name the public address of the site's VPN device (or of the NAT before it)",
        )
    return str(address)


def label(cidr: str) -> str:
    """A network as part of a resource's name: 10.40.0.0/16 is 10-40-0-0-16."""
    return cidr.replace(".", "-").replace("/", "-")
