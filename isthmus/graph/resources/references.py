"""Makes references visible in values that are unknown before a change: they name what they depend on.

Under the engine, a value that is built from another resource's id is unknown as a whole, but the registration states
which resources the property depends on. Each of them is named in place of the value. This is an upper bound: a text of
three parts refers to all three.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from isthmus.core.pulumi_values import UNKNOWN
from isthmus.graph.resources.state import Stated

UNKNOWN_PROPERTY = "unknown"
"""Property in the names that are inserted: `${NAME.unknown}`."""


def with_references(resource: Any) -> Any:
    """The resource, or a copy in which unknown values name the resources that their properties depend on."""
    dependencies: dict[str, list[str]] = getattr(resource, "property_dependencies", None) or {}
    changed = {
        key: _with_names(resource.inputs[key], "".join(_name(urn) for urn in urns))
        for key, urns in dependencies.items()
        if urns and _has_unknown(resource.inputs.get(key))
    }
    if not changed:
        return resource
    inputs = {**resource.inputs, **changed}
    if dataclasses.is_dataclass(resource):
        return dataclasses.replace(resource, inputs=inputs)  # type: ignore[type-var]
    provider = getattr(resource, "provider", None)
    return Stated(resource.urn, resource.type, resource.name, inputs, provider=provider)


def undecided(value: Any) -> bool:
    """Whether a text is unknown as a whole, so that only its dependencies are known."""
    return isinstance(value, str) and (UNKNOWN in value or f".{UNKNOWN_PROPERTY}}}" in value)


def _name(urn: str) -> str:
    return f"${{{urn.rsplit('::', 1)[-1]}.{UNKNOWN_PROPERTY}}}"


def _has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_unknown(item) for item in value)
    return isinstance(value, str) and UNKNOWN in value


def _with_names(value: Any, names: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_names(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_names(item, names) for item in value]
    return value.replace(UNKNOWN, names) if isinstance(value, str) else value
