"""Compares the data paths of a preview before and after the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.preview import DataPath, DataPaths
from isthmus.contracts.vocabulary import SENSITIVITIES

Mark = Literal["refused", "undecided", "allowed", "added", "removed", "same"]
MARKS: tuple[Mark, ...] = ("refused", "undecided", "allowed", "added", "removed", "same")
"""Most severe first. `allowed`: the path was refused or undecided before."""
SIGNS: dict[str, str] = {
    "refused": "×",
    "undecided": "?",
    "allowed": "!",
    "added": "+",
    "removed": "−",
    "changed": "~",
    "same": "=",
}
WORDS: dict[str, str] = {
    "refused": "refused",
    "undecided": "undecided",
    "allowed": "was refused, now allowed",
    "added": "new",
    "removed": "removed",
    "changed": "changed",
    "same": "unchanged",
}


@dataclass(frozen=True)
class ComparedPath:
    """A data path with its most severe mark and a description."""

    path: DataPath
    mark: Mark
    words: str


def compare_paths(paths: DataPaths) -> list[ComparedPath]:
    """Return all paths before and after, the most severe first. If the state before is unknown, none is called new."""
    before = {_key(path): path for path in paths.before or []}
    after = {_key(path): path for path in paths.after or []}
    compared = [_compare(path, before.get(key), paths.before is not None) for key, path in after.items()]
    if paths.after is not None:
        compared += [
            ComparedPath(path, "removed", "removed") for key, path in before.items() if key not in after
        ]
    return sorted(compared, key=_order)


def _key(path: DataPath) -> tuple[str, str]:
    return path.id, path.workload


def _compare(path: DataPath, previous: DataPath | None, compared: bool) -> ComparedPath:
    is_new = compared and previous is None
    if path.verdict != "allowed":
        change = f", was {previous.verdict}" if previous and previous.verdict != path.verdict else ""
        return ComparedPath(path, path.verdict, f"{'new, ' if is_new else ''}{path.verdict}{change}")
    if previous and previous.verdict != "allowed":
        return ComparedPath(path, "allowed", f"was {previous.verdict}, now allowed")
    return (
        ComparedPath(path, "added", "new, allowed")
        if is_new
        else ComparedPath(path, "same", "unchanged" if previous else "allowed")
    )


def _order(compared: ComparedPath) -> tuple[int, int, str, str]:
    return (
        MARKS.index(compared.mark),
        -SENSITIVITIES.index(compared.path.class_),
        compared.path.workload,
        compared.path.id,
    )
