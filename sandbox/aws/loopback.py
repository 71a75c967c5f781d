"""Only this machine: every address that the sandbox's AWS listens on or calls is checked here."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from isthmus.core.errors import InputError


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and `localhost`; no other name, whatever it resolves to."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_loopback_host(host: str) -> str:
    """`host` itself, or `InputError` when it is not this machine's own address."""
    if not is_loopback(host):
        raise InputError(
            f"`{host}` is not a loopback address and the sandbox's AWS listens on nothing else",
            fix="Use 127.0.0.1",
        )
    return host


def require_loopback_url(url: str) -> str:
    """`url` itself, or `InputError` when it leads to another machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
        raise InputError(
            f"the sandbox's AWS provider refuses the endpoint `{parts.scheme}://{parts.hostname or ''}`: "
            "it speaks only to 127.0.0.0/8, ::1 and localhost",
            fix="Use the sandbox's own address (`isthmus sandbox env`), or install the real AWS plugin",
        )
    return url
