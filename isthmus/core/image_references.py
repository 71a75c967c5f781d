"""References of images and charts: `registry/name:tag@sha256:…`, read by the grammar of the distribution specification.

Stricter than a container engine in one point: the registry must be written out, because each engine has another
default registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.core.errors import InputError

LOCAL = "localhost"
"""Registry of images that are built locally and not pushed yet, as Podman names it."""
_HOST = r"(?:localhost|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)"
_HOST_OR_PORT = rf"(?:{_HOST}(?::[0-9]{{1,5}})?|[a-z0-9-]+:[0-9]{{1,5}})"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(rf"({_HOST_OR_PORT})/({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?")
_REGISTRY = re.compile(rf"({_HOST_OR_PORT})((?:/{_COMPONENT})*)/?")
_MAX_NAME_LENGTH = 255
"""Characters of registry and name together (limit of the distribution specification)."""


@dataclass(frozen=True)
class Reference:
    """An image or chart in a registry."""

    registry: str
    """Host, with a port if it has one."""
    name: str
    """Path in the registry."""
    tag: str | None = None
    digest: str | None = None
    """`sha256:…`."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.name}{tag}{digest}"

    def at(self, registry: str) -> Reference:
        """The same image in another registry (`host[:port][/path]`), below that registry's path.

        Raises `InputError` for an invalid registry, or if the name becomes too long.
        """
        match = _REGISTRY.fullmatch(registry)
        if match is None:
            raise InputError(
                f"`{registry}` is not a registry",
                fix="Write it like `registry.bank.example` or `host:5000/path`",
            )
        host, path = match.groups()
        name = f"{path.strip('/')}/{self.name}".lstrip("/")
        if len(f"{host}/{name}") > _MAX_NAME_LENGTH:
            raise InputError(
                f"`{host}/{name}` is longer than {_MAX_NAME_LENGTH} characters", fix="Shorten the path"
            )
        return Reference(host, name, self.tag, self.digest)

    def by_digest(self, digest: str) -> str:
        """`registry/name@digest`, as pods name it. Some engines refuse a tag beside a digest."""
        return f"{self.registry}/{self.name}@{digest}"


def parse(text: str) -> Reference:
    """Parse a reference. Raises `InputError` if it is invalid."""
    match = _REFERENCE.fullmatch(text)
    if match is None or len(f"{match[1]}/{match[2]}") > _MAX_NAME_LENGTH:
        raise InputError(
            f"`{text}` is not an image reference",
            fix="Write registry, name and tag, like `docker.io/library/python:3.13`",
        )
    return Reference(*match.groups())
