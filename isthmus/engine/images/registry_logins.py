"""Credentials for registries, as `docker login` and `podman login` keep them: `auths` of config.json.

Helpers that a file may name (`credsStore`, `credHelpers`) are programs, and are not started: where only they know
the credentials, the registry is asked without any.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.core.errors import InputError

_DOCKER_HUB_NAMES = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")
"""Further names of docker.io in such files."""


@dataclass(frozen=True)
class Logins:
    """Registry → value of an `Authorization` header."""

    headers: dict[str, str] = field(default_factory=dict)

    def of(self, registry: str) -> str | None:
        return self.headers.get(registry)


def read_logins() -> Logins:
    """From `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; none where there is no such file.

    Raises `InputError` for a file that cannot be read; what stands in it is not repeated.
    """
    folder = os.environ.get("DOCKER_CONFIG")
    path = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        data = json.loads(path.read_text("utf-8"))
        auths = data.get("auths") or {}
        entries = [(str(key), value) for key, value in auths.items() if isinstance(value, dict)]
    except FileNotFoundError:
        return Logins()
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "it is not such a file"
        raise InputError(
            f"the credentials of registries cannot be read ({reason})",
            where=str(path),
            fix="Log in anew (`docker login REGISTRY`), or set DOCKER_CONFIG to another folder",
        ) from None
    headers: dict[str, str] = {}
    for key, value in entries:
        if header := _basic_header(value):
            headers.setdefault(_registry_of_key(key), header)
    return Logins(headers)


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _registry_of_key(key: str) -> str:
    if key in _DOCKER_HUB_NAMES:
        return "docker.io"
    return urlsplit(key if "://" in key else f"//{key}").netloc


def _basic_header(entry: dict[str, Any]) -> str | None:
    """`auth` is base64 of `user:password`; some writers give the two apart."""
    pair = f"{entry.get('username') or ''}:{entry.get('password') or ''}"
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            pair = base64.b64decode(entry["auth"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    user, _, password = pair.partition(":")
    if not user or not password:
        return None
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
