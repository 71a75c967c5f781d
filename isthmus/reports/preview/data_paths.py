"""The data paths of a preview, each with what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.reports.preview import DataPath, DataPaths
from isthmus.contracts.vocabulary import SENSITIVITIES

Mark = Literal["refused", "undecided", "allowed", "added", "removed", "same"]
MARKS: tuple[Mark, ...] = ("refused", "undecided", "allowed", "added", "removed", "same")
"""In the order of what can hurt. `allowed`: it was refused or undecided before, and no longer is."""
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
    "removed": "gone",
    "changed": "changed",
    "same": "as before",
}


@dataclass(frozen=True)
class Way:
    """A data path, its worst mark, and all that is to be said of it."""

    path: DataPath
    mark: Mark
    words: str


def ways(paths: DataPaths) -> list[Way]:
    """All paths of before and after, the worst first. Where nothing is known of before, none is called new."""
    before = {_key(each): each for each in paths.before or []}
    after = {_key(each): each for each in paths.after or []}
    found = [_way(each, before.get(key), paths.before is not None) for key, each in after.items()]
    if paths.after is not None:
        found += [Way(each, "removed", "gone") for key, each in before.items() if key not in after]
    return sorted(found, key=_order)


def _key(path: DataPath) -> tuple[str, str]:
    return path.id, path.workload


def _way(path: DataPath, was: DataPath | None, compared: bool) -> Way:
    new = compared and was is None
    if path.verdict != "allowed":
        told = f", was {was.verdict}" if was and was.verdict != path.verdict else ""
        return Way(path, path.verdict, f"{'new, ' if new else ''}{path.verdict}{told}")
    if was and was.verdict != "allowed":
        return Way(path, "allowed", f"was {was.verdict}, now allowed")
    return Way(path, "added", "new, allowed") if new else Way(path, "same", "as before" if was else "allowed")


def _order(way: Way) -> tuple[int, int, str, str]:
    return MARKS.index(way.mark), -SENSITIVITIES.index(way.path.class_), way.path.workload, way.path.id
