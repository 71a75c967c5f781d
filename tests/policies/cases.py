"""Cases of rules: resources that pass a rule, and changes that violate it. Tests are generated from them.

A case starts from resources that pass its rule and changes one property of the first resource at a time. `fails`:
values that violate the rule; `missing`: properties that must exist; `unknown`: properties that may be unknown.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render.recorder import Resource
from tests.policies.making import resource_of

GONE: Any = object()
"""In place of a value: the property is not there."""


@dataclass(frozen=True)
class Case:
    """One rule, and resources that keep it."""

    rule: str
    holds: Sequence[Resource]
    fails: Sequence[dict[str, Any]] = ()
    """Each: what is written where, in the first resource."""
    missing: Sequence[str] = ()
    unknown: Sequence[str] = ()
    broken: Sequence[Sequence[Resource]] = ()
    """Whole graphs that break it, where one property of one resource says too little."""
    also: Sequence[Sequence[Resource]] = field(default_factory=tuple)
    """Further graphs that keep it."""
    platform: Platform | None = None
    """What the rule holds the resources to, where it is the platform's word."""
    one_keeps_it: bool = False
    """Copies cannot stand beside it: one is enough for the whole stack, or the platform's word names the one."""


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
    import json

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
