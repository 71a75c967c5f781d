"""Options of a VPN tunnel: validation, defaults, and their names in answers."""

from __future__ import annotations

import ipaddress
import re
import secrets
import string
from collections.abc import Container, Mapping
from typing import Any

from sandbox.aws.service_frame import Refused

_KEY = re.compile(r"(?!0)[A-Za-z0-9._]{8,64}")
"""Pre-shared keys that AWS accepts."""
_INSIDE = ipaddress.IPv4Network("169.254.0.0/16")
_RESERVED = {f"169.254.{third}.0/30" for third in range(6)} | {"169.254.169.252/30"}
_OUTSIDE = ("198.51.100.", "203.0.113.")
"""Addresses for documentation (RFC 5737), which belong to nobody."""
_TUNNEL_DEFAULTS: dict[str, Any] = {
    "Phase1LifetimeSeconds": 28800,
    "Phase2LifetimeSeconds": 3600,
    "RekeyMarginTimeSeconds": 540,
    "RekeyFuzzPercentage": 100,
    "ReplayWindowSize": 1024,
    "DPDTimeoutSeconds": 30,
    "DPDTimeoutAction": "clear",
    "StartupAction": "add",
    "EnableTunnelLifecycleControl": False,
    "LogOptions": {"CloudWatchLogOptions": {"LogEnabled": False}},
}
_RANGES = {
    "Phase1LifetimeSeconds": (900, 28800),
    "Phase2LifetimeSeconds": (900, 3600),
    "RekeyMarginTimeSeconds": (60, 1800),
    "RekeyFuzzPercentage": (0, 100),
    "ReplayWindowSize": (64, 2048),
    "DPDTimeoutSeconds": (30, 3600),
}
_CIPHERS = {"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}
_HASHES = {"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}
_ONE_OF: dict[str, set[Any]] = {
    "DPDTimeoutAction": {"clear", "none", "restart"},
    "StartupAction": {"add", "start"},
    "IKEVersions": {"ikev1", "ikev2"},
    "Phase1EncryptionAlgorithms": _CIPHERS,
    "Phase2EncryptionAlgorithms": _CIPHERS,
    "Phase1IntegrityAlgorithms": _HASHES,
    "Phase2IntegrityAlgorithms": _HASHES,
    "Phase1DHGroupNumbers": {2, *range(14, 25)},
    "Phase2DHGroupNumbers": {2, 5, *range(14, 25)},
}
"""Names in requests. Three names are different in answers."""
_ANSWERED_AS = {
    "DPDTimeoutSeconds": "DpdTimeoutSeconds",
    "DPDTimeoutAction": "DpdTimeoutAction",
    "IKEVersions": "IkeVersions",
}


def invalid_parameter(name: str) -> Refused:
    """Return the refusal of a parameter. It does not show the value, which can be a key."""
    return Refused("InvalidParameterValue", 400, f"Value for parameter {name} is invalid.")


def check_options(options_given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tunnel's options, with lists as plain values. Raises `Refused` for values that AWS does not accept."""
    options: dict[str, Any] = {}
    for name, value in options_given.items():
        plain: Any = value
        if name in _ONE_OF and isinstance(value, list):
            plain = [part["Value"] for part in value]
        if name in _RANGES and not _RANGES[name][0] <= plain <= _RANGES[name][1]:
            raise invalid_parameter(name)
        if name in _ONE_OF and not {*(plain if isinstance(plain, list) else [plain])} <= _ONE_OF[name]:
            raise invalid_parameter(name)
        options[name] = plain
    if "PreSharedKey" in options and not _KEY.fullmatch(options["PreSharedKey"]):
        raise invalid_parameter("PreSharedKey")
    if "TunnelInsideCidr" in options:
        _check_inside(options["TunnelInsideCidr"])
    return options


def _check_inside(cidr: str) -> None:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        raise invalid_parameter("TunnelInsideCidr") from None
    if network.prefixlen != 30 or not network.subnet_of(_INSIDE) or cidr in _RESERVED:
        raise invalid_parameter("TunnelInsideCidr")


def new_key() -> str:
    """Return a new pre-shared key of 32 characters."""
    letters = string.ascii_letters + string.digits
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(letters) for _ in range(31))


def new_tunnel(index: int, options_given: Mapping[str, Any], used_cidrs: Container[str]) -> dict[str, Any]:
    """Return tunnel 0 or 1 of a new connection: the given options, the defaults, and generated values."""
    return {
        **_TUNNEL_DEFAULTS,
        "OutsideIpAddress": f"{_OUTSIDE[index]}{secrets.randbelow(254) + 1}",
        "TunnelInsideCidr": _choose_inside_cidr(used_cidrs),
        "PreSharedKey": new_key(),
        **options_given,
    }


def _choose_inside_cidr(used_cidrs: Container[str]) -> str:
    while True:
        cidr = f"169.254.{secrets.randbelow(240) + 8}.{secrets.randbelow(64) * 4}/30"
        if cidr not in used_cidrs and cidr not in _RESERVED:
            return cidr


def describe_tunnel(tunnel: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the form of the API's answers."""
    return {
        _ANSWERED_AS.get(name, name): [{"Value": part} for part in value]
        if name in _ONE_OF and isinstance(value, list)
        else value
        for name, value in tunnel.items()
        if name != "storage"
    }
