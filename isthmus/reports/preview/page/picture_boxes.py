"""The boxes of the diagram on a preview's page: the boxes of a data path, and their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.reports.preview.data_paths import MARKS, SIGNS, WORDS, ComparedPath, Mark
from isthmus.reports.preview.page.values import visible

PAD, LINE = 8, 16
_LETTER = 6.9
"""A generous width of a letter at 12 pixels."""
_REGIONS = "regions and sites that may serve"

Key = tuple[str, str, str]
"""Step, name, place."""


@dataclass
class Node:
    key: Key
    title: str
    lines: list[tuple[str, str]]
    """Texts, each with its CSS class."""
    mark: str = "same"
    class_: str = ""
    x: float = 0
    y: float = 0
    width: float = 0

    @property
    def height(self) -> float:
        return 2 * PAD + LINE * len(self.lines)

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Chain:
    """A data path with its edges."""

    way: ComparedPath
    edges: list[tuple[Key, Key]]

    @cached_property
    def keys(self) -> set[Key]:
        return {("class", self.way.path.class_, ""), *(key for edge in self.edges for key in edge)}

    @cached_property
    def last(self) -> set[Key]:
        """Keys at which the path ends."""
        return self.keys - {start for start, _ in self.edges}


def edges_of(path: ComparedPath) -> list[tuple[Key, Key]]:
    """Return the edges of a path, from the class over its hops."""
    edges: list[tuple[Key, Key]] = []
    current: Key = ("class", path.path.class_, "")
    for hop in path.path.hops:
        # A site directly after a hop in this site adds nothing.
        if hop.kind == "workload" or (hop.kind == "site" and hop.name == current[2]):
            continue
        served = hop.kind in ("region", "site")
        key = (
            "region" if served else hop.kind,
            hop.name,
            hop.where or (_REGIONS if served else "place unknown"),
        )
        if key != current:
            edges.append((current, key))
        current = key
    return list(dict.fromkeys(edges))


def fill(node: Node, chains: Sequence[Chain], width: float, changed: dict[str, int], compared: bool) -> None:
    """Set the texts and the mark of a box.

    `width`: of the box, in pixels. `changed`: number of changes by component. `compared`: whether the state before is
    known; without it no box is marked as new.
    """
    mine = [chain.way for chain in chains if node.key in chain.keys]
    step, name, place = node.key
    node.class_ = max((path.path.class_ for path in mine), key=SENSITIVITIES.index)
    letters = int((width - 2 * PAD) / _LETTER)
    if step == "class":
        node.lines = [(name, "name")]
        worst: dict[str, Mark] = {}
        for path in mine:
            workload_name = path.path.workload or next(
                (h.name for h in path.path.hops if h.kind == "workload"), ""
            )
            if workload_name and MARKS.index(path.mark) < MARKS.index(worst.get(workload_name, "same")):
                worst[workload_name] = path.mark
            elif workload_name:
                worst.setdefault(workload_name, "same")
        for workload_name in sorted(worst, key=lambda workload: (MARKS.index(worst[workload]), workload)):
            sign = "" if worst[workload_name] == "same" else f"{SIGNS[worst[workload_name]]} "
            node.lines += [
                (line, f"word {worst[workload_name]}")
                for line in _folded(f"{sign}{workload_name}", letters, 2)
            ]
        if len(node.lines) > 13:
            node.lines[12:] = [("and more", "word")]
    else:
        # A hop of several regions has a line for each.
        names = name.split(", ")[:12] if step == "region" else [name]
        node.lines = [(line, "name") for part in names for line in _folded(part, letters, 3)]
        if step == "region" and name.count(", ") >= 12:
            node.lines.append((f"and {name.count(', ') - 11} more", "name"))
    touched = 0
    last = [chain.way.mark for chain in chains if node.key in chain.last]
    marks = {path.mark for path in mine}
    if marks == {"removed"}:
        node.mark = "removed"
    elif "refused" in last or "undecided" in last:
        node.mark = "refused" if "refused" in last else "undecided"
    elif compared and step != "class" and all(path.words.startswith("new") for path in mine):
        node.mark = "added"
    elif touched := _change_count(name, changed):
        node.mark = "changed"
    if node.mark != "same" and step != "class":
        note = WORDS[node.mark]
        if node.mark in ("refused", "undecided"):
            note += f": {', '.join(_refused_classes(chains, node))}"
        if node.mark == "changed":
            note = f"{touched} change{'' if touched == 1 else 's'}"
        node.lines += [
            (line, f"mark {node.mark}") for line in _folded(f"{SIGNS[node.mark]} {note}", letters, 3)
        ]
    where = f" at {place}" if place else ""
    node.title = short(f"{step} {name}{where}: {WORDS[node.mark]}", 300)


def _change_count(name: str, changed: dict[str, int]) -> int:
    """Number of changes of the component with this name. Prefixes for platform and site are ignored."""
    return sum(
        number_of
        for component, number_of in changed.items()
        if component == name or component.endswith(f"-{name}")
    )


def _refused_classes(chains: Sequence[Chain], node: Node) -> list[str]:
    """Classes with a path that ends at this box and is not allowed."""
    classes = {
        chain.way.path.class_ for chain in chains if node.key in chain.last and chain.way.mark == node.mark
    }
    return sorted(classes, key=SENSITIVITIES.index, reverse=True)


def short(text: str, letters: int) -> str:
    text = visible(text)
    return text if len(text) <= letters else f"{text[: max(letters - 1, 1)]}…"


def _folded(name: str, letters: int, most: int) -> list[str]:
    """Break a name into at most `most` lines of `letters` characters, if possible after a hyphen, dot or slash."""
    lines: list[str] = []
    name = visible(name)
    while name and len(lines) < most:
        if len(name) <= letters:
            return [*lines, name]
        at = max(name.rfind(sign, letters // 3, letters) for sign in "-./:_ ") + 1 or letters
        lines.append(name[:at])
        name = name[at:]
    if name:
        lines[-1] = short(lines[-1] + name, letters)
    return lines or ["(no name)"]
