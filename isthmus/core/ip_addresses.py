"""IPv4 networks and addresses as people write them: read, or refused with how to write them (`FieldError`)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network

NOWHERE = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
"""Networks in which no site can have machines: this host, loopback, link-local, multicast, reserved (RFC 6890)."""
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")
NOT_PUBLIC = (*NOWHERE, *_PRIVATE)
"""Networks from which no packet comes over the internet (RFC 6890). Those of documentation are not among them:
the sandbox's examples stand there; see `documented`."""
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""RFC 5737."""


def network(text: str, *path: str | int) -> IPv4Network:
    """The network that `text` names. Raises `FieldError` for a name, IPv6, and bits set beyond its length."""
    import ipaddress

    try:
        found = ipaddress.IPv4Network(text)
    except ValueError:
        try:
            meant = str(ipaddress.IPv4Network(text, strict=False))
        except ValueError:
            meant = "10.40.0.0/16"
        raise FieldError(
            f"`{text}` is not an IPv4 network", *path, fix=f"Write it as ADDRESS/LENGTH, like `{meant}`"
        ) from None
    if "/" not in text:
        raise FieldError(f"`{text}` has no prefix length", *path, fix=f"Write `{text}/32` for one address")
    return found


def site_network(text: str, *path: str | int) -> IPv4Network:
    """As `network`, of a site or a VPC. Raises `FieldError` where no machine can have such an address."""
    found = network(text, *path)
    inside = _overlapping(found, NOWHERE)
    if inside:
        raise FieldError(
            f"`{text}` overlaps {inside}, whose addresses no machine of a site can have",
            *path,
            fix="Name a private network, like `10.40.0.0/16`",
        )
    return found


def address(text: str, *path: str | int) -> IPv4Address:
    """The address that `text` names. Raises `FieldError` for a name and for IPv6."""
    import ipaddress

    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise FieldError(f"`{text}` is not an IPv4 address", *path, fix="Write it like `52.29.1.2`") from None


def public_address(text: str, *path: str | int) -> IPv4Address:
    """As `address`, of a peer. Raises `FieldError` where AWS cannot reach it over the internet."""
    found = address(text, *path)
    inside = _around(found, NOT_PUBLIC)
    if inside:
        raise FieldError(
            f"the peer `{text}` lies in {inside}, which AWS cannot reach from the internet",
            *path,
            fix="Name the public address of the site's VPN device (or of the NAT before it)",
        )
    return found


def documented(text: str) -> str:
    """The documentation network that an address stands in, which nobody owns; empty for others."""
    return _around(address(text), DOCUMENTATION)


def _around(one: IPv4Address, networks: tuple[str, ...]) -> str:
    return next((str(each) for each in _read(networks) if one in each), "")


def _overlapping(one: IPv4Network, networks: tuple[str, ...]) -> str:
    return next((str(each) for each in _read(networks) if one.overlaps(each)), "")


@lru_cache(maxsize=3)
def _read(networks: tuple[str, ...]) -> tuple[IPv4Network, ...]:
    import ipaddress

    return tuple(ipaddress.IPv4Network(text) for text in networks)
