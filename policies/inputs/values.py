"""Reads property values that a preview may not know yet, and compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.contracts.reports.findings import Verdict
from isthmus.core.pulumi_values import MASK
from isthmus.graph.resources.resources import Resource
from policies.rules.rule import Violation

_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")


def is_unknown(value: Any) -> bool:
    """Whether a value is not known yet: it contains `${name.property}`, or is a masked secret."""
    return isinstance(value, str) and (value == MASK or _PLACEHOLDER.search(value) is not None)


def has_unknown(value: Any) -> bool:
    """Whether a value, or a part of it, is not known yet."""
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else is_unknown(value)


def at(inputs: Any, path: str) -> Any:
    """The value at a path such as `a.b.0.c`; None if missing, the placeholder if a part of the path is unknown."""
    value = inputs
    for part in path.split("."):
        if is_unknown(value):
            return value
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def list_or_empty(value: Any) -> list[Any]:
    """The value if it is a list, otherwise an empty list."""
    return value if isinstance(value, list) else []


def verdict(value: Any, holds: Callable[[Any], bool]) -> Verdict | None:
    """None if `holds(value)`, `undecided` if it is unknown, `violated` otherwise (also for a wrong type)."""
    if is_unknown(value):
        return "undecided"
    try:
        return None if holds(value) else "violated"
    except (TypeError, ValueError):
        return "violated"


def require(
    resource: Resource, path: str, holds: Callable[[Any], bool], message: str, patch: str = ""
) -> Iterator[Violation]:
    """Yields a violation if the value at `path` does not meet `holds`, or is not known yet."""
    result = verdict(at(resource.inputs, path), holds)
    if result == "undecided":
        yield Violation(f"{resource.name}: {path} is not known before the change is made", resource, result)
    elif result:
        yield Violation(f"{resource.name} {message}", resource, result, patch)


def is_true(value: Any) -> bool:
    return value is True


def is_set(value: Any) -> bool:
    """Any non-empty value passes; AWS validates it."""
    return bool(value)


def require_value(resource: Resource, path: str, message: str, patch: str = "") -> Iterator[Violation]:
    """Yields a violation if there is no value at `path`. An unknown value (such as a key's ARN) passes."""
    if not at(resource.inputs, path):
        yield Violation(f"{resource.name} {message}", resource, patch=patch)
