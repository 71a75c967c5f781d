"""The boxes of a preview's picture: which a path has, and what each says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.reports.preview.data_paths import MARKS, SIGNS, WORDS, Mark, Way
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
    """A path and its steps."""

    way: Way
    edges: list[tuple[Key, Key]]

    @cached_property
    def keys(self) -> set[Key]:
        return {("class", self.way.path.class_, ""), *(key for edge in self.edges for key in edge)}

    @cached_property
    def last(self) -> set[Key]:
        """Where it ends."""
        return self.keys - {start for start, _ in self.edges}


def edges_of(way: Way) -> list[tuple[Key, Key]]:
    """The steps of a path: each hop follows on the one before."""
    found: list[tuple[Key, Key]] = []
    here: Key = ("class", way.path.class_, "")
    for hop in way.path.hops:
        # A site after what stands in it says nothing new.
        if hop.kind == "workload" or (hop.kind == "site" and hop.name == here[2]):
            continue
        served = hop.kind in ("region", "site")
        key = (
            "region" if served else hop.kind,
            hop.name,
            hop.where or (_REGIONS if served else "place not said"),
        )
        if key != here:
            found.append((here, key))
        here = key
    return list(dict.fromkeys(found))


def fill(node: Node, chains: Sequence[Chain], width: float, changed: dict[str, int], compared: bool) -> None:
    """What a box says, and its mark."""
    mine = [chain.way for chain in chains if node.key in chain.keys]
    step, name, place = node.key
    node.class_ = max((way.path.class_ for way in mine), key=SENSITIVITIES.index)
    letters = int((width - 2 * PAD) / _LETTER)
    if step == "class":
        node.lines = [(name, "name")]
        worst: dict[str, Mark] = {}
        for way in mine:
            called = way.path.workload or next((h.name for h in way.path.hops if h.kind == "workload"), "")
            if called and MARKS.index(way.mark) < MARKS.index(worst.get(called, "same")):
                worst[called] = way.mark
            elif called:
                worst.setdefault(called, "same")
        for called in sorted(worst, key=lambda each: (MARKS.index(worst[each]), each)):
            sign = "" if worst[called] == "same" else f"{SIGNS[worst[called]]} "
            node.lines += [(each, f"word {worst[called]}") for each in _folded(f"{sign}{called}", letters, 2)]
        if len(node.lines) > 13:
            node.lines[12:] = [("and more", "word")]
    else:
        # A hop of several regions has a line for each.
        parts = name.split(", ")[:12] if step == "region" else [name]
        node.lines = [(each, "name") for part in parts for each in _folded(part, letters, 3)]
        if step == "region" and name.count(", ") >= 12:
            node.lines.append((f"and {name.count(', ') - 11} more", "name"))
    touched = 0
    last = [chain.way.mark for chain in chains if node.key in chain.last]
    marks = {way.mark for way in mine}
    if marks == {"removed"}:
        node.mark = "removed"
    elif "refused" in last or "undecided" in last:
        node.mark = "refused" if "refused" in last else "undecided"
    elif compared and step != "class" and all(way.words.startswith("new") for way in mine):
        node.mark = "added"
    elif touched := _touched(name, changed):
        node.mark = "changed"
    if node.mark != "same" and step != "class":
        told = WORDS[node.mark]
        if node.mark in ("refused", "undecided"):
            told += f": {', '.join(_held(chains, node))}"
        if node.mark == "changed":
            told = f"{touched} change{'' if touched == 1 else 's'}"
        node.lines += [
            (each, f"mark {node.mark}") for each in _folded(f"{SIGNS[node.mark]} {told}", letters, 3)
        ]
    where = f" at {place}" if place else ""
    node.title = short(f"{step} {name}{where}: {WORDS[node.mark]}", 300)


def _touched(name: str, changed: dict[str, int]) -> int:
    """Changes of the component of this name, which may stand behind the platform's and the site's."""
    return sum(number_of for each, number_of in changed.items() if each == name or each.endswith(f"-{name}"))


def _held(chains: Sequence[Chain], node: Node) -> list[str]:
    """Of which classes a path that ends here is not allowed."""
    found = {each.way.path.class_ for each in chains if node.key in each.last and each.way.mark == node.mark}
    return sorted(found, key=SENSITIVITIES.index, reverse=True)


def short(text: str, letters: int) -> str:
    text = visible(text)
    return text if len(text) <= letters else f"{text[: max(letters - 1, 1)]}…"


def _folded(name: str, letters: int, most: int) -> list[str]:
    """A name on at most so many lines, broken after a hyphen, dot, slash or colon where there is one."""
    told: list[str] = []
    name = visible(name)
    while name and len(told) < most:
        if len(name) <= letters:
            return [*told, name]
        at = max(name.rfind(sign, letters // 3, letters) for sign in "-./:_ ") + 1 or letters
        told.append(name[:at])
        name = name[at:]
    if name:
        told[-1] = short(told[-1] + name, letters)
    return told or ["(no name)"]
