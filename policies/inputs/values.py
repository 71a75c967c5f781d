"""Values that decide, where a preview may not know them yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.contracts.reports.findings import Verdict
from isthmus.core.pulumi_values import MASK
from isthmus.graph.resources.resources import Resource
from policies.rules.rule import Broken

_UNKNOWN = re.compile(r"\$\{[^{}]*\}")


def unknown(value: Any) -> bool:
    """Whether only a cloud, a cluster or an owner of secrets knows it: `${name.property}`, whole or in part."""
    return isinstance(value, str) and (value == MASK or _UNKNOWN.search(value) is not None)


def at(inputs: Any, path: str) -> Any:
    """The value at `a.b.0.c`; None where it is not there, the placeholder where a part on the way is unknown."""
    value = inputs
    for part in path.split("."):
        if unknown(value):
            return value
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def listed(value: Any) -> list[Any]:
    """Its items; of what is no list there are none."""
    return value if isinstance(value, list) else []


def verdict(value: Any, holds: Callable[[Any], bool]) -> Verdict | None:
    """None where the value is as wanted; an unknown one is undecided, one of a wrong type is not as wanted."""
    if unknown(value):
        return "undecided"
    try:
        return None if holds(value) else "violated"
    except (TypeError, ValueError):
        return "violated"


def wants(
    resource: Resource, path: str, holds: Callable[[Any], bool], message: str, patch: str = ""
) -> Iterator[Broken]:
    """At most one: the value at `path` is not as wanted, or cannot be known."""
    found = verdict(at(resource.inputs, path), holds)
    if found == "undecided":
        yield Broken(f"{resource.name}: {path} is not known before the change is made", resource, found)
    elif found:
        yield Broken(f"{resource.name} {message}", resource, found, patch)


def true(value: Any) -> bool:
    return value is True


def given(value: Any) -> bool:
    """Something stands there; which, is the cloud's to know."""
    return bool(value)


def wants_one(resource: Resource, path: str, message: str, patch: str = "") -> Iterator[Broken]:
    """A reference must stand at `path`; one that only the cloud knows (a key's ARN) is one."""
    if not at(resource.inputs, path):
        yield Broken(f"{resource.name} {message}", resource, patch=patch)
