"""Resources as the engine shows them to a pack, as a rendering would have them: the same rules judge both.

The engine shows each resource twice: its inputs when it is registered, and at the end, for the stack as a whole, its
outputs, with what it depends on. Rules are written for inputs. A value that is not known yet is one of a few marks;
it becomes `${NAME.unknown}`, where NAME is each resource that its property depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts import platform_stated
from isthmus.contracts.platform import Platform

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (marks a secret on the wire, is none)
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_MASK = "[secret]"
_UNKNOWN = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # text, and whatever the SDK sends
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
PLATFORM = "isthmus:index:LlmPlatform"
CONTRACT = "contract"
"""Input of that component that holds the platform: what the sites are, and whose addresses are whose."""


@dataclass(frozen=True)
class Seen:
    """A resource of a preview (`isthmus.graph.resources.Resource`)."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    made: bool
    property_dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    provider: str | None = None
    """URN of its provider, whose name says at which site it is."""


def plain(value: Any, whose: str) -> Any:
    """Wire data as a rendering has it: secrets masked, whole numbers as integers, unknown values named."""
    if isinstance(value, Mapping):
        mark = value.get(_SIGNATURE)
        if mark == _SECRET:
            return _MASK
        if mark == _OUTPUT:
            return _MASK if value.get("secret") else plain(value.get("value", next(iter(_UNKNOWN))), whose)
        if mark is not None:
            return {"asset": plain(value.get("text", value.get("path")), whose)}
        return {key: plain(item, whose) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list | tuple):
        return [plain(item, whose) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value in _UNKNOWN:
        return whose
    return value


def resource(
    urn: str,
    type_: str,
    inputs: Mapping[str, Any],
    needs: Mapping[str, Sequence[str]],
    *,
    made: bool,
    provider: str | None = None,
) -> Seen:
    """Of a registration: `needs` are the URNs that each of its properties depends on."""
    said = {
        key: plain(value, "".join(map(_named, sorted(set(needs.get(key, ()))))) or "${unknown}")
        for key, value in inputs.items()
        if key != "__defaults"
    }
    name = urn.split("::", 3)[3] if urn.count("::") >= 3 else urn
    return Seen(urn, type_, name, said, made and not type_.startswith("pulumi:"), needs, provider)


def _named(urn: str) -> str:
    return f"${{{urn.rsplit('::', 1)[-1]}.unknown}}"


def platform(resources: Sequence[Seen]) -> Platform | None:
    """The platform that the stack builds, as its component states it; None in a program of another team's.

    Raises `ValueError` where what is stated is no platform: nothing may then be judged as if there were none.
    """
    found = [each for each in resources if each.type == PLATFORM and CONTRACT in each.inputs]
    return platform_stated.read(found[0].inputs[CONTRACT]) if found else None
