"""A VPN tunnel's options: what AWS takes, what absence means, how its answers spell them."""

from __future__ import annotations

import ipaddress
import re
import secrets
import string
from collections.abc import Container, Mapping
from typing import Any

from sandbox.aws.service_frame import Refused

_KEY = re.compile(r"(?!0)[A-Za-z0-9._]{8,64}")
"""What AWS takes as a pre-shared key."""
_INSIDE = ipaddress.IPv4Network("169.254.0.0/16")
_RESERVED = {f"169.254.{third}.0/30" for third in range(6)} | {"169.254.169.252/30"}
_OUTSIDE = ("198.51.100.", "203.0.113.")
"""Addresses for documentation (RFC 5737): a made-up tunnel's end is nobody's."""
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
_BETWEEN = {
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
"""Names of the API; its answers spell three of them otherwise."""
_ANSWERED_AS = {
    "DPDTimeoutSeconds": "DpdTimeoutSeconds",
    "DPDTimeoutAction": "DpdTimeoutAction",
    "IKEVersions": "IkeVersions",
}


def wrong(name: str) -> Refused:
    """The refusal of a value, which is not shown: it can be a key."""
    return Refused("InvalidParameterValue", 400, f"Value for parameter {name} is invalid.")


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """A tunnel's options, lists as plain values. Raises `Refused` for what AWS does not take."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        plain: Any = value
        if name in _ONE_OF and isinstance(value, list):
            plain = [part["Value"] for part in value]
        if name in _BETWEEN and not _BETWEEN[name][0] <= plain <= _BETWEEN[name][1]:
            raise wrong(name)
        if name in _ONE_OF and not {*(plain if isinstance(plain, list) else [plain])} <= _ONE_OF[name]:
            raise wrong(name)
        options[name] = plain
    if "PreSharedKey" in options and not _KEY.fullmatch(options["PreSharedKey"]):
        raise wrong("PreSharedKey")
    if "TunnelInsideCidr" in options:
        _check_inside(options["TunnelInsideCidr"])
    return options


def _check_inside(cidr: str) -> None:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        raise wrong("TunnelInsideCidr") from None
    if network.prefixlen != 30 or not network.subnet_of(_INSIDE) or cidr in _RESERVED:
        raise wrong("TunnelInsideCidr")


def new_key() -> str:
    """32 characters that AWS takes as a key."""
    letters = string.ascii_letters + string.digits
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(letters) for _ in range(31))


def new(index: int, given: Mapping[str, Any], taken: Container[str]) -> dict[str, Any]:
    """Tunnel 0 or 1 of a new connection: what was given, the defaults, and what AWS makes up."""
    return {
        **_TUNNEL_DEFAULTS,
        "OutsideIpAddress": f"{_OUTSIDE[index]}{secrets.randbelow(254) + 1}",
        "TunnelInsideCidr": _free_inside(taken),
        "PreSharedKey": new_key(),
        **given,
    }


def _free_inside(taken: Container[str]) -> str:
    while True:
        cidr = f"169.254.{secrets.randbelow(240) + 8}.{secrets.randbelow(64) * 4}/30"
        if cidr not in taken and cidr not in _RESERVED:
            return cidr


def answered(tunnel: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the API answers them."""
    return {
        _ANSWERED_AS.get(name, name): [{"Value": part} for part in value]
        if name in _ONE_OF and isinstance(value, list)
        else value
        for name, value in tunnel.items()
        if name != "storage"
    }
