"""Seeded changes of nested data: removed keys, other numbers, values that similar places of other documents hold."""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
REMOVED = object()


@dataclass(frozen=True)
class Change:
    """The value at `path` becomes `value`, or goes if that is `REMOVED`."""

    path: Path
    value: Any

    def __str__(self) -> str:
        text = "removed" if self.value is REMOVED else json.dumps(self.value, ensure_ascii=False)
        place = ".".join(map(str, self.path))
        if text.startswith('"-----BEGIN'):
            text = '"a certificate, which every run makes anew"'
        return f"{place} {text}" if self.value is REMOVED else f"{place} = {text[:60]}"

    def apply(self, document: Any) -> Any:
        """A changed copy. Raises `LookupError` or `TypeError` if an earlier change replaced the place."""
        changed = copy.deepcopy(document)
        *parents, last = self.path
        place: Any = changed
        for key in parents:
            place = place[key]
        if self.value is REMOVED:
            del place[last]
        else:
            place[last] = copy.deepcopy(self.value)
        return changed


class Corpus:
    """The documents of one kind, by name: what they hold at similar places are the values to try."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents
        self._values: dict[tuple[str, ...], list[Any]] = defaultdict(list)
        for document in documents.values():
            for path, value in _places(document):
                values = self._values[_kind(path)]
                if value not in values:
                    values.append(value)

    def variants(self, count: int, seed: str) -> Iterator[tuple[str, Any]]:
        """Up to `count` changed documents with a label each; every third has two changes."""
        chooser = random.Random(seed)
        candidates = {name: list(self.changes(document)) for name, document in self.documents.items()}
        names = sorted(name for name in candidates if len(candidates[name]) > 1)
        count = min(count, sum(len(candidates[name]) for name in names) // 2)
        labels: set[str] = set()
        while len(labels) < count:
            name = chooser.choice(names)
            changes = chooser.sample(candidates[name], 2 if len(labels) % 3 == 2 else 1)
            label = f"{name}: {'; '.join(map(str, changes))}"
            try:
                changed = self.documents[name]
                for change in changes:
                    changed = change.apply(changed)
            except (LookupError, TypeError):
                continue
            if label not in labels:
                labels.add(label)
                yield label, changed

    def changes(self, document: Any) -> Iterator[Change]:
        """Every single change of a document."""
        for path, value in _places(document):
            if path:
                yield Change(path, REMOVED)
            for other in self._values[_kind(path)]:
                if other != value and path:
                    yield Change(path, other)
            if isinstance(value, dict):
                yield from self._additions(path, value)
            elif isinstance(value, list) and value:
                yield Change(path, [])
                yield Change(path, [*value, value[-1]])
            elif isinstance(value, str) and path:
                yield Change(path, "0.0.0.0/0" if "/" in value else "other")
            elif isinstance(value, bool):
                yield Change(path, not value)
            elif isinstance(value, int | float):
                yield from (
                    Change(path, number) for number in (0, value * 2, value / 2, value + 1, value - 1, -1)
                )

    def _additions(self, path: Path, value: dict[str, Any]) -> Iterator[Change]:
        """Keys that other documents have at such a place."""
        kind = _kind(path)
        for other_kind in sorted(self._values):
            if other_kind[:-1] == kind and len(other_kind) == len(kind) + 1 and other_kind[-1] not in value:
                for added in self._values[other_kind]:
                    yield Change((*path, other_kind[-1]), added)


def _places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _places(entry, (*path, index))


def _kind(path: Path) -> tuple[str, ...]:
    """The place without the positions in lists, so that all entries of a list are alike."""
    return tuple("*" if isinstance(key, int) else key for key in path)
