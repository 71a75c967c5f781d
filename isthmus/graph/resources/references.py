"""References that a value does not show: what is not known before a change, linked by what the engine says it needs.

Under the engine a value made of another resource's id is unknown as a whole; the registration still says which
resources the property is made of. So each is named in the value's place, over-stated: a text of three parts refers
to all three wherever it is unknown.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from isthmus.core.pulumi_values import UNKNOWN
from isthmus.graph.resources.state import Stated

PROPERTY = "unknown"
"""Of the names put in: `${NAME.unknown}`."""


def linked(resource: Any) -> Any:
    """The resource itself, or a copy whose unknown values name what their properties are made of."""
    needs: dict[str, list[str]] = getattr(resource, "property_dependencies", None) or {}
    changed = {
        key: _filled(resource.inputs[key], "".join(_name(urn) for urn in urns))
        for key, urns in needs.items()
        if urns and _holds(resource.inputs.get(key))
    }
    if not changed:
        return resource
    inputs = {**resource.inputs, **changed}
    if dataclasses.is_dataclass(resource):
        return dataclasses.replace(resource, inputs=inputs)  # type: ignore[type-var]
    provider = getattr(resource, "provider", None)
    return Stated(resource.urn, resource.type, resource.name, inputs, provider=provider)


def undecided(value: Any) -> bool:
    """Whether a text is unknown as a whole: only what it is made of is known."""
    return isinstance(value, str) and (UNKNOWN in value or f".{PROPERTY}}}" in value)


def _name(urn: str) -> str:
    return f"${{{urn.rsplit('::', 1)[-1]}.{PROPERTY}}}"


def _holds(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds(each) for each in value.values())
    if isinstance(value, list):
        return any(_holds(each) for each in value)
    return isinstance(value, str) and UNKNOWN in value


def _filled(value: Any, names: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, names) for each in value]
    return value.replace(UNKNOWN, names) if isinstance(value, str) else value
