"""The diagram on a preview's page: classes, gateways, exits, endpoints and regions, grouped by place.

It shows the data paths and the GPU capacity of the preview. Columns are the steps of a path; bands are sites and
regions. An edge is drawn once for each mark of its paths, beside each other, so that an allowed path never hides a
refused one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from isthmus.contracts.reports.preview import Capacities, PoolCapacity
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.reports.format.numbers import number
from isthmus.reports.preview.data_paths import MARKS, WORDS, ComparedPath, Mark
from isthmus.reports.preview.page.picture_boxes import LINE, Chain, Key, Node, edges_of, fill, short

WIDTH = 1180
_GAP, _TOP = 44, 30
_STEPS = ("class", "gateway", "translator", "identity", "network", "endpoint", "region")
_TITLES = {"class": "class and workloads", "region": "served in"}
_TRACK: dict[Mark, int] = {"same": 0, "added": 4, "removed": -4, "allowed": 8, "undecided": 10, "refused": -9}


@dataclass
class Band:
    """A site or a region, with its GPU pools."""

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
    """Position of the sign. None: the edge is unchanged, or unchanged paths share it."""


@dataclass
class Picture:
    nodes: list[Node] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    titles: list[tuple[float, str]] = field(default_factory=list)
    height: float = 0
    inset: float = 14
    """Left edge of the texts of a band, in pixels."""
    left_out: int = 0
    """Number of paths that are not drawn: the least dangerous ones."""

    @property
    def words(self) -> dict[str, str]:
        return WORDS

    @property
    def marks(self) -> list[str]:
        """The marks in the diagram, for its key."""
        used = {edge.mark for edge in self.edges} | {node.mark for node in self.nodes}
        return [mark for mark in (*MARKS, "changed") if mark in used]

    def places(self) -> list[tuple[Band, list[Node]]]:
        """Return each place with its boxes, for the description in words."""
        return [(band, [node for node in self.nodes if node.key[2] == band.name]) for band in self.bands]


def picture(
    paths: Sequence[ComparedPath],
    capacity: Capacities,
    changed: dict[str, int] | None = None,
    *,
    compared: bool = True,
    most: int = 70,
) -> Picture | None:
    """Return the diagram; None if there are no paths.

    `changed`: number of changes by component. `compared`: whether the state before is known. `most`: maximum number of
    boxes.
    """
    drawn: dict[Key, Node] = {}
    chains: list[Chain] = []
    left_out = 0
    for path in paths:
        chain = Chain(path, edges_of(path))
        if len(drawn.keys() | chain.keys) > most:
            left_out += 1
            continue
        chains.append(chain)
        for key in sorted(chain.keys):
            drawn.setdefault(key, Node(key, "", []))
    if not chains:
        return None
    drawing = Picture(left_out=left_out)
    used = [step for step in _STEPS if any(key[0] == step for key in drawn)]
    columns = {step: index for index, step in enumerate(used)}
    width = min((WIDTH - 2 * 14 - _GAP * (len(used) - 1)) / len(used), 210)
    gap = (WIDTH - 2 * 14 - width * len(used)) / max(len(used) - 1, 1)
    for node in drawn.values():
        fill(node, chains, width, changed or {}, compared)
        node.width = width
        node.x = 14 + columns[node.key[0]] * (width + gap)
    drawing.titles = [
        (14 + index * (width + gap), _TITLES.get(step, step)) for index, step in enumerate(used)
    ]
    ends = {pair for chain in chains for pair in chain.edges}
    drawing.inset = drawing.titles[1][0] if used[0] == "class" and len(used) > 1 else 14
    lanes = _stack(drawing, list(drawn.values()), ends, columns, capacity)
    _classes(list(drawn.values()), ends)
    _edges(drawing, chains, drawn, lanes, columns, width, gap)
    drawing.nodes = sorted(drawn.values(), key=lambda node: (node.x, node.y))
    drawing.height = max(
        max(node.y + node.height for node in drawing.nodes),
        max((b.y + b.height for b in drawing.bands), default=0),
    )
    drawing.height += 4
    return drawing


def _stack(
    drawing: Picture,
    nodes: list[Node],
    ends: set[tuple[Key, Key]],
    columns: dict[str, int],
    capacity: Capacities,
) -> dict[tuple[Key, Key, int], float]:
    """Place the boxes into bands from top to bottom.

    Returns the heights (in pixels) at which an edge passes the columns between its ends.
    """
    places = _places(nodes, columns, capacity)
    stacks: dict[tuple[str, int], list[Node | tuple[Key, Key, int]]] = defaultdict(list)
    by_key = {node.key: node for node in nodes}
    for node in nodes:
        if node.key[0] != "class":
            stacks[node.key[2], columns[node.key[0]]].append(node)
    for start, end in sorted(ends):
        for column in range(columns[start[0]] + 1, columns[end[0]]):
            stacks[end[2], column].append((start, end, column))

    def rank(placed: Node | tuple[Key, Key, int]) -> tuple[int, bool, str, str]:
        node = placed if isinstance(placed, Node) else by_key[placed[1]]
        return -SENSITIVITIES.index(node.class_), not isinstance(placed, Node), node.key[1], str(placed)[:200]

    def tall(placed: Node | tuple[Key, Key, int]) -> float:
        return placed.height + 14 if isinstance(placed, Node) else 24

    lanes: dict[tuple[Key, Key, int], float] = {}
    y = _TOP
    for place in places:
        lines = _pools(place, capacity)
        head = 30 + LINE * len(lines)
        mine = [stack for (where, _), stack in sorted(stacks.items()) if where == place]
        body = max((sum(map(tall, stack)) for stack in mine), default=0)
        for stack in mine:
            at = y + head + (body - sum(map(tall, stack))) / 2
            for placed in sorted(stack, key=rank):
                if isinstance(placed, Node):
                    placed.y = at
                else:
                    lanes[placed] = at + 12
                at += tall(placed)
        drawing.bands.append(Band(place, lines, y, head + body))
        y += head + body + 14
    return lanes


def _places(nodes: list[Node], columns: dict[str, int], capacity: Capacities) -> list[str]:
    """Return the places: sites with GPU pools first, then by the first step of a path there."""
    onprem_sites = dict.fromkeys(pool.site for pool in [*(capacity.after or []), *(capacity.before or [])])
    first: dict[str, int] = {}
    for node in nodes:
        if node.key[0] != "class":
            first[node.key[2]] = min(columns[node.key[0]], first.get(node.key[2], 99))
    # Sites without a path are drawn too, but not so many that they fill the diagram.
    onprem_sites = [name for index, name in enumerate(onprem_sites) if index < 24 or name in first]
    return [
        *onprem_sites,
        *sorted((site for site in first if site not in onprem_sites), key=lambda site: (first[site], site)),
    ]


def _pools(site: str, capacity: Capacities) -> list[str]:
    """Return a line for each GPU pool of a site, with the figures before if they differ."""
    before = {pool.pool: pool for pool in capacity.before or [] if pool.site == site}
    lines = []
    for pool in capacity.after or []:
        if pool.site == site:
            before_pool = before.pop(pool.pool, None)
            same = capacity.before is None or (before_pool and _figures(before_pool) == _figures(pool))
            lines.append(
                f"{pool.pool}: {_figures(pool)}" + ("" if same else f" (before: {_figures(before_pool)})")
            )
    if capacity.after is not None:
        lines += [
            f"{name}: removed (before: {_figures(before_pool)})" for name, before_pool in before.items()
        ]
    return [short(line, 150) for line in lines][:12]


def _figures(pool: PoolCapacity | None) -> str:
    return (
        "none"
        if pool is None
        else f"{number(pool.used)} of {'?' if pool.gpus is None else pool.gpus} GPUs used"
    )


def _classes(nodes: list[Node], ends: set[tuple[Key, Key]]) -> None:
    """Place the classes beside the boxes that they lead to, without overlap."""
    by_key = {node.key: node for node in nodes}
    free = float(_TOP)
    wished = []
    for node in nodes:
        if node.key[0] == "class":
            heights = [by_key[end].middle for start, end in ends if start == node.key]
            middle = sum(heights) / len(heights) if heights else free
            wished.append((middle - node.height / 2, -SENSITIVITIES.index(node.class_), node))
    for wish, _, node in sorted(wished, key=lambda wish_row: wish_row[:2]):
        node.y = max(wish, free)
        free = node.y + node.height + 14


def _edges(
    drawing: Picture,
    chains: Sequence[Chain],
    nodes: dict[Key, Node],
    lanes: dict[tuple[Key, Key, int], float],
    columns: dict[str, int],
    width: float,
    gap: float,
) -> None:
    """Draw the edges, each mark on its own track. Less dangerous ones are drawn first, below the others."""
    marks: defaultdict[tuple[Key, Key], set[Mark]] = defaultdict(set)
    last: set[tuple[Key, Key, Mark]] = set()
    for chain in chains:
        for start, end in chain.edges:
            marks[start, end].add(chain.way.mark)
            if end in chain.last:
                last.add((start, end, chain.way.mark))
    ranked = [(-MARKS.index(mark), pair) for pair, of in marks.items() for mark in of]
    for rank, (start, end) in sorted(ranked):
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
                # An edge that leads back, or stays in a column, is bent outwards.
                bend = (x2 - x1) / 2 if x2 > x1 else 60
                path += f"C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        (x1, y1), (x2, y2) = points[-2:]
        shown = mark != "same" and ((start, end, mark) in last or "same" not in marks[start, end])
        badge = (round((x1 + x2) / 2), round((y1 + y2) / 2)) if shown else None
        title = f"{WORDS[mark]}: {short(start[1], 120)} to {short(end[1], 120)}"
        drawing.edges.append(Edge(mark, path, title, badge))
