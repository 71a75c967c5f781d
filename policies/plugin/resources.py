"""Converts resources from the engine into the form of a rendered stack, so that the same rules apply to both.

The engine sends each resource twice: its inputs when it is registered; its outputs and dependencies at the end. Rules
use the inputs. A value that is not known yet becomes `${NAME.unknown}`, where NAME is each resource that its property
depends on.
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
"""Input of that component that contains the platform."""


@dataclass(frozen=True)
class PreviewResource:
    """A resource of a preview (`isthmus.graph.resources.Resource`)."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    made: bool
    property_dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    provider: str | None = None
    """URN of its provider, whose name contains the site."""
    parent: str | None = None
    """URN of its parent; None: the stack."""


def rendered_value(value: Any, placeholder: str) -> Any:
    """Wire data in the form of a rendering: secrets masked, whole numbers as integers, unknown values replaced."""
    if isinstance(value, Mapping):
        mark = value.get(SIGNATURE)
        if mark == SECRET:
            return MASK
        if mark == OUTPUT:
            return (
                MASK if value.get("secret") else rendered_value(value.get("value", UNKNOWN_TEXT), placeholder)
            )
        if mark is not None:
            return {"asset": rendered_value(value.get("text", value.get("path")), placeholder)}
        return {key: rendered_value(item, placeholder) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list | tuple):
        return [rendered_value(item, placeholder) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value in UNKNOWNS:
        return placeholder
    return value


def resource(
    urn: str,
    type_: str,
    inputs: Mapping[str, Any],
    needs: Mapping[str, Sequence[str]],
    *,
    is_made: bool,
    provider: str | None = None,
    parent: str | None = None,
) -> PreviewResource:
    """A resource from its registration. `needs`: the URNs that each property depends on."""
    plain_inputs = {
        key: rendered_value(value, "".join(map(_placeholder, sorted(set(needs.get(key, ()))))) or UNKNOWN)
        for key, value in inputs.items()
        if key != "__defaults"
    }
    name = urn.split("::", 3)[3] if urn.count("::") >= 3 else urn
    return PreviewResource(
        urn, type_, name, plain_inputs, is_made and not type_.startswith("pulumi:"), needs, provider, parent
    )


def _placeholder(urn: str) -> str:
    return f"${{{urn.rsplit('::', 1)[-1]}.unknown}}"


def platform(resources: Sequence[PreviewResource]) -> Platform | None:
    """The platform that the stack builds, from its component; None in a program of another team.

    Raises `ValueError` if the component's platform is invalid, because rules must not run as if there were none.
    """
    platforms = [
        component for component in resources if component.type == PLATFORM and CONTRACT in component.inputs
    ]
    return policy_view.parse(platforms[0].inputs[CONTRACT]) if platforms else None
