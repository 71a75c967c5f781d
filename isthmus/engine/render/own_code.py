"""Marks what an organisation's own code adds to a rendering, and what it alters of what Isthmus makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack
    from isthmus.engine.render.recorder import Resource

FILE = "own.py"
ADDED, ALTERED = "added", "altered"
_FIELDS = ("type", "custom", "parent", "provider", "options")
_MAX_PATHS = 5


def file_of(stack: Stack) -> Path:
    """The file with the organisation's own code, whether or not it is there."""
    return stack.project.stacks_dir / FILE


def marked(without: Iterable[Resource], resources: Iterable[Resource]) -> list[Resource]:
    """A stack's resources with marks. `without`: those of a rendering without the organisation's own code."""
    before = {resource.urn: resource for resource in without}
    return [_marked(before.get(resource.urn), resource) for resource in resources]


def _marked(before: Resource | None, resource: Resource) -> Resource:
    if before is None:
        return replace(resource, own=ADDED)
    paths = [field for field in _FIELDS if getattr(before, field) != getattr(resource, field)]
    paths += _differences(before.inputs, resource.inputs)
    if not paths:
        return resource
    more = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
    return replace(resource, own=f"{ALTERED}: {', '.join(paths[:_MAX_PATHS])}{more}")


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(old, new, f"{path}[{index}]")
    elif before != after:
        yield path
