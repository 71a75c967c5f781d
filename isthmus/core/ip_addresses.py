"""Parses IPv4 networks and addresses that users write, with errors that show the right form (`FieldError`).

`is_within` and `INSIDE` are for IPv6 too, and for values that nobody has checked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from urllib.parse import urlsplit

from isthmus.core.errors import FieldError

UNUSABLE = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
"""Networks that no machine of a site can use: this host, loopback, link-local, multicast, reserved (RFC 6890)."""
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
NOT_PUBLIC = (*UNUSABLE, *_PRIVATE, "198.18.0.0/15")
"""Networks that are not routed on the internet (RFC 6890). Documentation networks are not included, because the
sandbox's examples use them; see `documented`."""
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""RFC 5737."""
INSIDE = (
    *(*_PRIVATE, "127.0.0.0/8", "169.254.0.0/16", *DOCUMENTATION),
    *("::1/128", "2001:db8::/32", "fc00::/7", "fe80::/10"),
)
"""Private and shared networks, loopback, link-local and documentation, of both versions (RFC 6890)."""


def network(text: str, *path: str | int) -> IPv4Network:
    """Parse a network. Raises `FieldError` for a name, for IPv6, and for host bits beyond the prefix."""
    try:
        parsed = IPv4Network(text)
    except ValueError:
        try:
            example = str(IPv4Network(text, strict=False))
        except ValueError:
            example = "10.40.0.0/16"
        raise FieldError(
            f"`{text}` is not an IPv4 network", *path, fix=f"Write it as ADDRESS/LENGTH, like `{example}`"
        ) from None
    if "/" not in text:
        raise FieldError(f"`{text}` has no prefix length", *path, fix=f"Write `{text}/32` for one address")
    return parsed


def site_network(text: str, *path: str | int) -> IPv4Network:
    """As `network`, for a site or a VPC. Raises `FieldError` for reserved networks that no machine can use."""
    parsed = network(text, *path)
    overlapping = _overlapping_network(parsed, UNUSABLE)
    if overlapping:
        raise FieldError(
            f"`{text}` overlaps {overlapping}, which is reserved: no machine can use these addresses",
            *path,
            fix="Use a private network, like `10.40.0.0/16`",
        )
    return parsed


def address(text: str, *path: str | int) -> IPv4Address:
    """Parse an address. Raises `FieldError` for a name and for IPv6."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise FieldError(f"`{text}` is not an IPv4 address", *path, fix="Write it like `52.29.1.2`") from None


def public_address(text: str, *path: str | int) -> IPv4Address:
    """As `address`, for a VPN peer. Raises `FieldError` if AWS cannot reach it over the internet."""
    parsed = address(text, *path)
    containing = _network_containing(parsed, NOT_PUBLIC)
    if containing:
        raise FieldError(
            f"the peer `{text}` lies in {containing}, which AWS cannot reach from the internet",
            *path,
            fix="Set the public address of the site's VPN device (or of the NAT in front of it)",
        )
    return parsed


def documented(text: str) -> str:
    """The documentation network (RFC 5737) that contains the address, or an empty text."""
    return _network_containing(address(text), DOCUMENTATION)


def _network_containing(address: IPv4Address, networks: tuple[str, ...]) -> str:
    return next((str(network) for network in _parse_networks(networks) if address in network), "")


def _overlapping_network(network: IPv4Network, networks: tuple[str, ...]) -> str:
    return next(
        (str(candidate) for candidate in _parse_networks(networks) if network.overlaps(candidate)), ""
    )


@lru_cache(maxsize=3)
def _parse_networks(networks: tuple[str, ...]) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in networks)


def is_within(block: str, blocks: Iterable[str]) -> bool:
    """Whether an address range is inside one of the others. False for text that is not a range."""
    inner = parse_range(block)
    return inner is not None and any(
        outer is not None and inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
        for outer in map(parse_range, blocks)
    )


@lru_cache(maxsize=4096)
def parse_range(text: str) -> IPv4Network | IPv6Network | None:
    """The range or address of either version; None for text that is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
