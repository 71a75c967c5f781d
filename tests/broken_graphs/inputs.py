"""Sets values at dotted paths of a resource's inputs, and copies resources under other names."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.policies.making import resource_of

GONE: Any = object()
"""In place of a value: the property is not there."""


def changed(resources: Sequence[Resource], values: dict[str, Any]) -> list[Resource]:
    """Copies of the resources with values set at dotted paths of the first resource's inputs."""
    first, *unchanged = resources
    inputs = copy.deepcopy(first.inputs)
    for path, value in values.items():
        _write(inputs, _split(path), value)
    return [replace(first, inputs=inputs), *unchanged]


def _split(path: str) -> list[str]:
    """Splits a path at dots, except within `[…]`, because annotations and labels contain dots."""
    keys, key, inside = [], "", False
    for letter in path:
        if letter in "[]":
            inside = letter == "["
        elif letter == "." and not inside:
            keys.append(key)
            key = ""
        else:
            key += letter
    return [*keys, key]


def _write(value: Any, path: list[str], new: Any) -> None:
    for part in path[:-1]:
        value = value[int(part)] if isinstance(value, list) else value.setdefault(part, {})
    last: Any = int(path[-1]) if isinstance(value, list) else path[-1]
    if new is GONE:
        del value[last]
    else:
        value[last] = new


def renamed(resources: Iterable[Resource], suffix: str) -> list[Resource]:
    """Copies of the resources with other names, also in references."""
    sorted_resources = list(resources)
    names = sorted({resource.name for resource in sorted_resources}, key=len, reverse=True)
    copies = []
    for resource in sorted_resources:
        text = json.dumps(resource.inputs)
        for name in names:
            text = text.replace(f"${{{name}.", f"${{{name}{suffix}.")
        inputs = json.loads(text)
        meta = inputs.get("metadata")
        if isinstance(meta, dict) and isinstance(meta.get("namespace"), str):
            meta["namespace"] += suffix
        if (
            resource.type.endswith("v1:Namespace")
            and isinstance(meta, dict)
            and isinstance(meta.get("name"), str)
        ):
            meta["name"] += suffix
        copies.append(
            replace(resource_of(resource.type, resource.name + suffix, inputs), options=resource.options)
        )
    return copies
