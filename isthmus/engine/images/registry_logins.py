"""Reads the registry credentials of `docker login` and `podman login`: `auths` of config.json.

Credential helpers (`credsStore`, `credHelpers`) are programs and are not started. Registries whose credentials only a
helper knows are queried without credentials.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.core.errors import InputError

_DOCKER_HUB_NAMES = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")
"""Other names of docker.io in config.json."""


@dataclass(frozen=True)
class Logins:
    """Registry → value of an `Authorization` header."""

    headers: dict[str, str] = field(default_factory=dict)

    def of(self, registry: str) -> str | None:
        return self.headers.get(registry)


def read_logins() -> Logins:
    """Read `$DOCKER_CONFIG/config.json`, otherwise `~/.docker/config.json`; empty if the file does not exist.

    Raises `InputError` for an invalid file. The message does not quote its content.
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
        reason = getattr(error, "strerror", None) or "its content is invalid"
        raise InputError(
            f"the registry credentials cannot be read ({reason})",
            where=str(path),
            fix="Log in again (`docker login REGISTRY`), or set DOCKER_CONFIG to another folder",
        ) from None
    headers: dict[str, str] = {}
    for key, value in entries:
        if header := _basic_header(value):
            headers.setdefault(_registry_of_key(key), header)
    return Logins(headers)


def _registry_of_key(key: str) -> str:
    if key in _DOCKER_HUB_NAMES:
        return "docker.io"
    return urlsplit(key if "://" in key else f"//{key}").netloc


def _basic_header(entry: dict[str, Any]) -> str | None:
    """The Basic header of an entry: `auth` (base64 of `user:password`), or `username` and `password`."""
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
