"""References of images and charts: `registry/name:tag@sha256:…`, read by the grammar of the distribution specification.

Stricter than a container engine in one point: the registry is always written out, because what stands without one
means another place to each engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.core.errors import InputError

LOCAL = "localhost"
"""Registry of what is built here and pushed nowhere yet, as Podman names it."""
_HOST = r"(?:localhost|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)"
_HOST_OR_PORT = rf"(?:{_HOST}(?::[0-9]{{1,5}})?|[a-z0-9-]+:[0-9]{{1,5}})"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(rf"({_HOST_OR_PORT})/({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?")
_REGISTRY = re.compile(rf"({_HOST_OR_PORT})((?:/{_COMPONENT})*)/?")
_LONGEST = 255
"""Characters of registry and name together (distribution specification)."""


@dataclass(frozen=True)
class Reference:
    """An image or chart in a registry."""

    registry: str
    """Host, and port where there is one."""
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
        """The same thing in another registry (`host[:port][/path]`): the path stays below that one's.

        Raises `InputError` for no registry, or a name that grows too long for one.
        """
        found = _REGISTRY.fullmatch(registry)
        if found is None:
            raise InputError(
                f"`{registry}` is no registry",
                fix="Write it like `registry.bank.example` or `host:5000/path`",
            )
        host, path = found.groups()
        name = f"{path.strip('/')}/{self.name}".lstrip("/")
        if len(f"{host}/{name}") > _LONGEST:
            raise InputError(f"`{host}/{name}` is longer than {_LONGEST} characters", fix="Shorten the path")
        return Reference(host, name, self.tag, self.digest)

    def by_digest(self, digest: str) -> str:
        """`registry/name@digest`, as pods name it: with a tag beside it some engines refuse it."""
        return f"{self.registry}/{self.name}@{digest}"


def parse(text: str) -> Reference:
    """Read a reference; `InputError` for what is none."""
    found = _REFERENCE.fullmatch(text)
    if found is None or len(f"{found[1]}/{found[2]}") > _LONGEST:
        raise InputError(
            f"`{text}` is no reference of an image",
            fix="Write registry, name and tag, like `docker.io/library/python:3.13`",
        )
    return Reference(*found.groups())
