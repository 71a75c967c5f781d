"""Parses `metadata.managedFields` of a Kubernetes object into a tree of fields and their managers.

FieldsV1 (kubernetes/apimachinery, `meta/v1`) writes a field as `f:NAME`, an element of a keyed list as `k:{…}`, an
element of a set as `v:VALUE`, a list element by index as `i:NUMBER`, and the object itself as `.`. A list without such
elements is atomic: a manager sets all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sort = Literal["f", "k", "v", "i"]
_SORTS: tuple[Sort, ...] = ("f", "k", "v", "i")


@dataclass(frozen=True)
class Step:
    """One step of a path: a field's name, an element's keys or value as sorted JSON, or its place."""

    sort: Sort
    text: str

    @property
    def said(self) -> Any:
        """The field name as text; keys, values and indexes as data."""
        return self.text if self.sort == "f" else json.loads(self.text)

    def spelt(self) -> str:
        return f"{self.sort}:{self.text}"


@dataclass
class Owned:
    """A field, its managers, and the fields below it."""

    managers: set[str] = field(default_factory=set)
    """Managers of the field itself; fields below may have others."""
    below: dict[Step, Owned] = field(default_factory=dict)

    def name(self, name: str) -> Owned | None:
        return self.below.get(Step("f", name))

    @property
    def whole(self) -> bool:
        """Whether it has no fields below: it is set as one value."""
        return not self.below

    @property
    def keyed(self) -> bool:
        """Whether it is a list or set whose elements have managers of their own."""
        return any(step.sort in ("k", "v") for step in self.below)

    def all(self) -> set[str]:
        """Managers of the field and of all fields below it."""
        return set().union(self.managers, *(owned.all() for owned in self.below.values()))

    def paths(self) -> Iterator[tuple[Step, ...]]:
        """Paths of all fields that have managers."""
        if self.managers:
            yield ()
        for step, owned in self.below.items():
            for subpath in owned.paths():
                yield (step, *subpath)


@dataclass(frozen=True)
class Fields:
    """The fields of one object."""

    tree: Owned
    since: dict[str, str]
    """Manager → time of its last change, from the API server."""


def parse_fields(managed: Any) -> Fields:
    """Parse an object's `managedFields`, without its status."""
    tree, since = Owned(), dict[str, str]()
    for entry in managed if isinstance(managed, list) else []:
        if not isinstance(entry, Mapping):
            continue
        manager = str(entry.get("manager") or "unnamed")
        since[manager] = max(since.get(manager, ""), str(entry.get("time") or ""))
        _add(tree, entry.get("fieldsV1"), manager)
    # Removed by field, not by subresource: a status update may also set labels.
    tree.below.pop(Step("f", "status"), None)
    return Fields(tree, since)


def _add(owned: Owned, content: Any, manager: str) -> None:
    """Add a FieldsV1 value. `{}` and `.` mark the field itself."""
    if not isinstance(content, Mapping) or not content:
        owned.managers.add(manager)
        return
    for key, below in content.items():
        step = parse_step(str(key))
        if step is None:
            # `.` or an unknown notation: the manager owns the whole field.
            owned.managers.add(manager)
        else:
            _add(owned.below.setdefault(step, Owned()), below, manager)


def parse_step(key: str) -> Step | None:
    """The step of a FieldsV1 key; None for `.` and for unknown notations."""
    sort, colon, text = key.partition(":")
    step_sort: Sort | None = next((candidate for candidate in _SORTS if candidate == sort), None)
    if not colon or step_sort is None:
        return None
    if step_sort == "f":
        return Step(step_sort, text)
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if (step_sort == "k" and not isinstance(value, dict)) or (
        step_sort == "i" and not isinstance(value, int)
    ):
        return None
    # Sorted, so that the order of keys does not matter.
    return Step(step_sort, json.dumps(value, sort_keys=True))
