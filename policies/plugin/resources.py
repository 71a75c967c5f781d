"""Resources as the engine shows them to a pack, as a rendering would have them: the same rules judge both.

The engine shows each resource twice: its inputs when it is registered, and at the end, for the stack as a whole, its
outputs, with what it depends on. Rules are written for inputs. A value that is not known yet is one of a few marks;
it becomes `${NAME.unknown}`, where NAME is each resource that its property depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.platform import policy_view
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.pulumi_values import MASK, OUTPUT, SECRET, SIGNATURE, UNKNOWN, UNKNOWN_TEXT, UNKNOWNS

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
        mark = value.get(SIGNATURE)
        if mark == SECRET:
            return MASK
        if mark == OUTPUT:
            return MASK if value.get("secret") else plain(value.get("value", UNKNOWN_TEXT), whose)
        if mark is not None:
            return {"asset": plain(value.get("text", value.get("path")), whose)}
        return {key: plain(item, whose) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list | tuple):
        return [plain(item, whose) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value in UNKNOWNS:
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
        key: plain(value, "".join(map(_named, sorted(set(needs.get(key, ()))))) or UNKNOWN)
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
    return policy_view.read(found[0].inputs[CONTRACT]) if found else None
