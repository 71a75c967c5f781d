"""Ways in which a rule is kept and broken, from which the tests are made.

A case starts from resources that keep its rule and changes one property of the first of them at a time. `fails` is
what breaks it; `missing` are properties whose absence breaks it; `unknown` those that decide, and may not be known.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render.recorder import Resource
from tests.policies.making import made

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
    """The same, with values written at dotted paths of the first one's inputs."""
    first, *others = resources
    inputs = copy.deepcopy(first.inputs)
    for path, value in values.items():
        _write(inputs, _split(path), value)
    return [replace(first, inputs=inputs), *others]


def _split(path: str) -> list[str]:
    """Dots divide, but within `[…]`: annotations and labels have dots of their own."""
    parts, word, inside = [], "", False
    for letter in path:
        if letter in "[]":
            inside = letter == "["
        elif letter == "." and not inside:
            parts.append(word)
            word = ""
        else:
            word += letter
    return [*parts, word]


def _write(value: Any, path: list[str], new: Any) -> None:
    for part in path[:-1]:
        value = value[int(part)] if isinstance(value, list) else value.setdefault(part, {})
    last: Any = int(path[-1]) if isinstance(value, list) else path[-1]
    if new is GONE:
        del value[last]
    else:
        value[last] = new


def renamed(resources: Iterable[Resource], suffix: str) -> list[Resource]:
    """The same under other names, wherever they are named."""
    import json

    every = list(resources)
    names = sorted({each.name for each in every}, key=len, reverse=True)
    found = []
    for each in every:
        text = json.dumps(each.inputs)
        for name in names:
            text = text.replace(f"${{{name}.", f"${{{name}{suffix}.")
        inputs = json.loads(text)
        meta = inputs.get("metadata")
        if isinstance(meta, dict) and isinstance(meta.get("namespace"), str):
            meta["namespace"] += suffix
        if (
            each.type.endswith("v1:Namespace")
            and isinstance(meta, dict)
            and isinstance(meta.get("name"), str)
        ):
            meta["name"] += suffix
        found.append(replace(made(each.type, each.name + suffix, inputs), options=each.options))
    return found
