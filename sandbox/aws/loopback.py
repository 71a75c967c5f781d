"""Checks that every address that the sandbox's AWS listens on or calls is on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from isthmus.core.errors import InputError


def is_loopback(host: str) -> bool:
    """Return True for 127.0.0.0/8, ::1 and `localhost`. Other names are refused, whatever they resolve to."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_loopback_host(host: str) -> str:
    """Return `host`. Raises `InputError` if it is not a loopback address."""
    if not is_loopback(host):
        raise InputError(
            f"`{host}` is not a loopback address, and the sandbox's AWS listens on loopback addresses only",
            fix="Use 127.0.0.1",
        )
    return host


def require_loopback_url(url: str) -> str:
    """Return `url`. Raises `InputError` if it leads to another machine."""
    url_parts = urlsplit(url)
    if url_parts.scheme not in ("http", "https") or not is_loopback(url_parts.hostname or ""):
        raise InputError(
            f"the sandbox's AWS provider refuses the endpoint `{url_parts.scheme}://{url_parts.hostname or ''}`: "
            "it calls only 127.0.0.0/8, ::1 and localhost",
            fix="Use the sandbox's address (`isthmus sandbox env` prints it), or install the real AWS plugin",
        )
    return url
