"""The picture of a platform in a preview: classes, gateways, ways out, endpoints and regions, by where they are.

Drawn from the data paths and the capacity of a preview and from nothing else. Columns are the steps of a path, bands
are sites and regions; a line is drawn once for each mark that its paths have, each on a track of its own, so that
what is refused is not hidden under what is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from isthmus.contracts.preview import Capacities, PoolCapacity
from isthmus.contracts.words import SENSITIVITIES
from isthmus.report.plan_figures import number
from isthmus.report.preview_values import visible
from isthmus.report.preview_ways import MARKS, SIGNS, WORDS, Mark, Way

WIDTH = 1180
_GAP, _PAD, _LINE, _TOP = 44, 8, 16, 30
_LETTER = 6.9
"""A generous width of a letter at 12 pixels."""
_STEPS = ("class", "gateway", "translator", "identity", "network", "endpoint", "region")
_REGIONS = "regions and sites that may serve"
_TITLES = {"class": "class and workloads", "region": "served in"}
_TRACK: dict[Mark, int] = {"same": 0, "added": 4, "removed": -4, "allowed": 8, "undecided": 10, "refused": -9}

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
        return 2 * _PAD + _LINE * len(self.lines)

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass
class Band:
    """A site or a region, and what there is."""

    name: str
    lines: list[str]
    y: float = 0
    height: float = 0


@dataclass(frozen=True)
class Edge:
    mark: Mark
    d: str
    title: str
    badge: tuple[float, float] | None
    """Where its sign stands; none on a line that others share."""


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


@dataclass
class Picture:
    nodes: list[Node] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    titles: list[tuple[float, str]] = field(default_factory=list)
    height: float = 0
    inset: float = 14
    """Where the words of a band begin."""
    left_out: int = 0
    """Paths that are not drawn, all of them as before or least of what can hurt."""

    @property
    def words(self) -> dict[str, str]:
        return WORDS

    @property
    def marks(self) -> list[str]:
        """Those that are used, for the key."""
        used = {each.mark for each in self.edges} | {each.mark for each in self.nodes}
        return [each for each in (*MARKS, "changed") if each in used]

    def places(self) -> list[tuple[Band, list[Node]]]:
        """Each place with what stands there, for the same in words."""
        return [(band, [each for each in self.nodes if each.key[2] == band.name]) for band in self.bands]


def picture(
    ways: Sequence[Way],
    capacity: Capacities,
    changed: dict[str, int] | None = None,
    *,
    compared: bool = True,
    most: int = 70,
) -> Picture | None:
    """None where there is no path. `changed`: changes by component; `most`: boxes at most."""
    drawn: dict[Key, Node] = {}
    chains: list[Chain] = []
    left_out = 0
    for way in ways:
        chain = Chain(way, _edges_of(way))
        if len(drawn.keys() | chain.keys) > most:
            left_out += 1
            continue
        chains.append(chain)
        for key in sorted(chain.keys):
            drawn.setdefault(key, Node(key, "", []))
    if not chains:
        return None
    made = Picture(left_out=left_out)
    used = [step for step in _STEPS if any(key[0] == step for key in drawn)]
    columns = {step: index for index, step in enumerate(used)}
    width = min((WIDTH - 2 * 14 - _GAP * (len(used) - 1)) / len(used), 210)
    gap = (WIDTH - 2 * 14 - width * len(used)) / max(len(used) - 1, 1)
    for node in drawn.values():
        _fill(node, chains, width, changed or {}, compared)
        node.width = width
        node.x = 14 + columns[node.key[0]] * (width + gap)
    made.titles = [(14 + index * (width + gap), _TITLES.get(step, step)) for index, step in enumerate(used)]
    ends = {pair for chain in chains for pair in chain.edges}
    made.inset = made.titles[1][0] if used[0] == "class" and len(used) > 1 else 14
    lanes = _stack(made, list(drawn.values()), ends, columns, capacity)
    _classes(made, list(drawn.values()), ends)
    _edges(made, chains, drawn, lanes, columns, width, gap)
    made.nodes = sorted(drawn.values(), key=lambda each: (each.x, each.y))
    made.height = max(
        max(each.y + each.height for each in made.nodes), max((b.y + b.height for b in made.bands), default=0)
    )
    made.height += 4
    return made


def _edges_of(way: Way) -> list[tuple[Key, Key]]:
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


def _fill(node: Node, chains: Sequence[Chain], width: float, changed: dict[str, int], compared: bool) -> None:
    """What a box says, and its mark."""
    mine = [chain.way for chain in chains if node.key in chain.keys]
    step, name, place = node.key
    node.class_ = max((way.path.class_ for way in mine), key=SENSITIVITIES.index)
    letters = int((width - 2 * _PAD) / _LETTER)
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
    node.title = _short(f"{step} {name}{where}: {WORDS[node.mark]}", 300)


def _touched(name: str, changed: dict[str, int]) -> int:
    """Changes of the component of this name, which may stand behind the platform's and the site's."""
    return sum(number_of for each, number_of in changed.items() if each == name or each.endswith(f"-{name}"))


def _held(chains: Sequence[Chain], node: Node) -> list[str]:
    """Of which classes a path that ends here is not allowed."""
    found = {each.way.path.class_ for each in chains if node.key in each.last and each.way.mark == node.mark}
    return sorted(found, key=SENSITIVITIES.index, reverse=True)


def _stack(
    made: Picture,
    nodes: list[Node],
    ends: set[tuple[Key, Key]],
    columns: dict[str, int],
    capacity: Capacities,
) -> dict[tuple[Key, Key, int], float]:
    """Put boxes into bands from top to bottom; the heights at which lines pass columns between theirs."""
    places = _places(nodes, columns, capacity)
    stacks: dict[tuple[str, int], list[Node | tuple[Key, Key, int]]] = defaultdict(list)
    by_key = {each.key: each for each in nodes}
    for node in nodes:
        if node.key[0] != "class":
            stacks[node.key[2], columns[node.key[0]]].append(node)
    for start, end in sorted(ends):
        for column in range(columns[start[0]] + 1, columns[end[0]]):
            stacks[end[2], column].append((start, end, column))

    def rank(one: Node | tuple[Key, Key, int]) -> tuple[int, bool, str, str]:
        node = one if isinstance(one, Node) else by_key[one[1]]
        return -SENSITIVITIES.index(node.class_), not isinstance(one, Node), node.key[1], str(one)[:200]

    def tall(one: Node | tuple[Key, Key, int]) -> float:
        return one.height + 14 if isinstance(one, Node) else 24

    lanes: dict[tuple[Key, Key, int], float] = {}
    y = _TOP
    for place in places:
        lines = _pools(place, capacity)
        head = 30 + _LINE * len(lines)
        mine = [stack for (where, _), stack in sorted(stacks.items()) if where == place]
        body = max((sum(map(tall, stack)) for stack in mine), default=0)
        for stack in mine:
            at = y + head + (body - sum(map(tall, stack))) / 2
            for one in sorted(stack, key=rank):
                if isinstance(one, Node):
                    one.y = at
                else:
                    lanes[one] = at + 12
                at += tall(one)
        made.bands.append(Band(place, lines, y, head + body))
        y += head + body + 14
    return lanes


def _places(nodes: list[Node], columns: dict[str, int], capacity: Capacities) -> list[str]:
    """Sites with GPUs of their own first, then by the step at which a path comes there."""
    ours = dict.fromkeys(each.site for each in [*(capacity.after or []), *(capacity.before or [])])
    first: dict[str, int] = {}
    for node in nodes:
        if node.key[0] != "class":
            first[node.key[2]] = min(columns[node.key[0]], first.get(node.key[2], 99))
    # Sites in which no path has a step are drawn as long as they do not fill the picture.
    ours = [name for index, name in enumerate(ours) if index < 24 or name in first]
    return [
        *ours,
        *sorted((each for each in first if each not in ours), key=lambda each: (first[each], each)),
    ]


def _pools(site: str, capacity: Capacities) -> list[str]:
    """The GPUs of a site, and what they were."""
    before = {each.pool: each for each in capacity.before or [] if each.site == site}
    told = []
    for each in capacity.after or []:
        if each.site == site:
            was = before.pop(each.pool, None)
            same = capacity.before is None or (was and _figures(was) == _figures(each))
            told.append(f"{each.pool}: {_figures(each)}" + ("" if same else f" (before: {_figures(was)})"))
    if capacity.after is not None:
        told += [f"{name}: gone (before: {_figures(was)})" for name, was in before.items()]
    return [_short(each, 150) for each in told][:12]


def _figures(pool: PoolCapacity | None) -> str:
    return (
        "none"
        if pool is None
        else f"{number(pool.used)} of {'?' if pool.gpus is None else pool.gpus} GPUs used"
    )


def _classes(made: Picture, nodes: list[Node], ends: set[tuple[Key, Key]]) -> None:
    """Classes beside what they lead to, none over another."""
    by_key = {each.key: each for each in nodes}
    free = float(_TOP)
    wished = []
    for node in nodes:
        if node.key[0] == "class":
            heights = [by_key[end].middle for start, end in ends if start == node.key]
            middle = sum(heights) / len(heights) if heights else free
            wished.append((middle - node.height / 2, -SENSITIVITIES.index(node.class_), node))
    for wish, _, node in sorted(wished, key=lambda each: each[:2]):
        node.y = max(wish, free)
        free = node.y + node.height + 14


def _edges(
    made: Picture,
    chains: Sequence[Chain],
    nodes: dict[Key, Node],
    lanes: dict[tuple[Key, Key, int], float],
    columns: dict[str, int],
    width: float,
    gap: float,
) -> None:
    """Lines, the calm ones below, each mark on its own track."""
    marks: defaultdict[tuple[Key, Key], set[Mark]] = defaultdict(set)
    last: set[tuple[Key, Key, Mark]] = set()
    for chain in chains:
        for start, end in chain.edges:
            marks[start, end].add(chain.way.mark)
            if end in chain.last:
                last.add((start, end, chain.way.mark))
    found = [(-MARKS.index(mark), pair) for pair, of in marks.items() for mark in of]
    for rank, (start, end) in sorted(found):
        mark = MARKS[-rank]
        shift = _TRACK[mark] if len(marks[start, end]) > 1 else 0
        a, b = nodes[start], nodes[end]
        points = [(a.x + a.width, a.middle + shift)]
        for column in range(columns[start[0]] + 1, columns[end[0]]):
            x, y = 14 + column * (width + gap), lanes[start, end, column] + shift
            points += [(x, y), (x + width, y)]
        points.append((b.x, b.middle + shift))
        path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
        for index, ((x1, y1), (x2, y2)) in enumerate(pairwise(points)):
            if index % 2:
                path += f"L{x2:.0f} {y2:.0f}"
            else:
                # A step back, or within a column, swings out.
                bend = (x2 - x1) / 2 if x2 > x1 else 60
                path += f"C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        (x1, y1), (x2, y2) = points[-2:]
        shown = mark != "same" and ((start, end, mark) in last or "same" not in marks[start, end])
        badge = (round((x1 + x2) / 2), round((y1 + y2) / 2)) if shown else None
        title = f"{WORDS[mark]}: {_short(start[1], 120)} to {_short(end[1], 120)}"
        made.edges.append(Edge(mark, path, title, badge))


def _short(text: str, letters: int) -> str:
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
        told[-1] = _short(told[-1] + name, letters)
    return told or ["(no name)"]
