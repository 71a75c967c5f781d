"""Who set which field of a Kubernetes object: its `metadata.managedFields` as a tree.

FieldsV1 (kubernetes/apimachinery, `meta/v1`) spells a field `f:NAME`, an element of a keyed list `k:{…}`, an element of
a set `v:VALUE`, one of a list by place `i:NUMBER`, and the thing itself `.`. A list without such elements is kept as a
whole: whoever sets it sets all of it.
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
        """The name as text, the rest as data."""
        return self.text if self.sort == "f" else json.loads(self.text)

    def spelt(self) -> str:
        return f"{self.sort}:{self.text}"


@dataclass
class Owned:
    """A field, who set it, and what is below."""

    managers: set[str] = field(default_factory=set)
    """Of the thing itself: a map that somebody began has fields that others set."""
    below: dict[Step, Owned] = field(default_factory=dict)

    def name(self, name: str) -> Owned | None:
        return self.below.get(Step("f", name))

    @property
    def whole(self) -> bool:
        """Whether nothing below it is anybody's own: set as one."""
        return not self.below

    @property
    def keyed(self) -> bool:
        """Whether it is a list whose elements are each somebody's."""
        return any(step.sort in ("k", "v") for step in self.below)

    def all(self) -> set[str]:
        """Whoever set it, or something below it."""
        return set().union(self.managers, *(owned.all() for owned in self.below.values()))

    def paths(self) -> Iterator[tuple[Step, ...]]:
        """Each path at which somebody set something."""
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
    """Manager → when it last set something, as the API server says."""


def parse_fields(managed: Any) -> Fields:
    """The fields of an object's `managedFields`; what controllers say in its status is left out."""
    tree, since = Owned(), dict[str, str]()
    for entry in managed if isinstance(managed, list) else []:
        if not isinstance(entry, Mapping):
            continue
        manager = str(entry.get("manager") or "unnamed")
        since[manager] = max(since.get(manager, ""), str(entry.get("time") or ""))
        _add(tree, entry.get("fieldsV1"), manager)
    # Not by the subresource: who may set a status may set labels by the same call.
    tree.below.pop(Step("f", "status"), None)
    return Fields(tree, since)


def _add(owned: Owned, content: Any, manager: str) -> None:
    """`{}` is a leaf, and so is what says `.` beside what is below it."""
    if not isinstance(content, Mapping) or not content:
        owned.managers.add(manager)
        return
    for key, below in content.items():
        step = parse_step(str(key))
        if step is None:
            # `.`, or a spelling that is not known here: whatever is below, it is this manager's.
            owned.managers.add(manager)
        else:
            _add(owned.below.setdefault(step, Owned()), below, manager)


def parse_step(key: str) -> Step | None:
    """A step by its key in FieldsV1; None for `.`, and for a spelling that is not known here."""
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
    # The order of keys is no difference.
    return Step(step_sort, json.dumps(value, sort_keys=True))
