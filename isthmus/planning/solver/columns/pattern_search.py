"""Finds the pattern of an endpoint that saves most at the shadow prices: dynamic programming in branch and bound.

For each number of replicas, the best workloads are a knapsack: what each saves against the load that the replicas
carry. A set that needs more replicas together than its loads add up to is found when it is chosen. Then the search
branches: as many replicas as the set needs, or one of its workloads is left out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.planning.solver.columns.endpoints import Endpoint, Pattern
from isthmus.planning.solver.columns.master import Master

CELLS_PER_REPLICA, MAX_CELLS, QUICK_CELLS = 512, 8192, 1024
"""Resolution of loads in the dynamic program; at most so many in all, and in a quick search."""
MAX_NODES = 60
"""Of a thorough search. What is left open counts in the bound."""
LEAST_SAVING = 1e-6
"""USD a month that a pattern must save at the shadow prices."""
Item = tuple[float, float, int]
"""What a member saves at the shadow prices, its load, and its variable."""


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    patterns: Sequence[Pattern]
    """Those that save something."""
    at_most: float
    """No pattern of the endpoint saves more."""


@dataclass(order=True)
class _Node:
    """A part of the search."""

    negative_bound: float
    least: int
    """Fewest replicas."""
    excluded: tuple[int, ...]
    included: tuple[int, ...]
    saved: float = field(compare=False)
    count: int = field(compare=False)
    members: tuple[int, ...] = field(compare=False)


def find_patterns(master: Master, number: int, *, is_thorough: bool) -> Found:
    """Search the patterns of an endpoint. A quick search takes the first one, and bounds loosely."""
    search = _Search(master, number, MAX_CELLS if is_thorough else QUICK_CELLS)
    open_nodes = list(search.nodes([(1, (), ())]))
    patterns: list[Pattern] = []
    best = 0.0
    for _ in range(MAX_NODES if is_thorough else 1):
        if not open_nodes or -open_nodes[0].negative_bound <= max(best, LEAST_SAVING):
            break
        node = heapq.heappop(open_nodes)
        needed = master.needed(number, node.members)
        if needed is not None:
            saved = node.saved - max(0.0, search.prices[needed - 1] - search.prices[node.count - 1])
            if saved > LEAST_SAVING:
                patterns.append(Pattern(number, max(needed, node.count), node.members))
            best = max(best, -node.negative_bound if needed <= node.count else saved)
        if needed is not None and needed <= node.count:
            continue
        if not is_thorough:
            heapq.heappush(open_nodes, node)  # its bound counts
            break
        for child in search.nodes(_branches(master, number, node)):
            heapq.heappush(open_nodes, child)
    bounds = [-node.negative_bound for node in open_nodes]
    return Found(patterns, search.beyond + max([best, *bounds, 0.0]))


Branch = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Fewest replicas, excluded and included members."""


def _branches(master: Master, number: int, node: _Node) -> Iterator[Branch]:
    """Split a node whose members need more replicas than it has into parts that do not overlap."""
    crowd, crowd_needs = master.crowd(number, node.members, node.count)
    if crowd_needs is not None:
        yield max(crowd_needs, node.least), node.excluded, node.included
    included = node.included
    for index in crowd:
        if index not in node.included:
            yield node.least, (*node.excluded, index), included
            included = (*included, index)


@dataclass
class _Search:
    """What is the same in the whole search of one endpoint."""

    master: Master
    number: int
    most_cells: int

    def __post_init__(self) -> None:
        reduced = self.master.reduced
        self.endpoint: Endpoint = self.master.endpoints[self.number]
        self.prices = self.master.prices(self.number)
        # Rows that are met with equality can price a replica below nothing.
        replica = float(reduced[self.endpoint.replicas])
        self.beyond = max(0.0, -replica) * self.master.rows.upper(self.endpoint.replicas)
        self.items: list[Item] = sorted(
            (
                (-float(reduced[index]), load, index)
                for index, load in zip(self.endpoint.members, self.endpoint.loads, strict=True)
                if reduced[index] < 0
            ),
            key=lambda item: (-item[0] / max(item[1], 1e-9), item[2]),
        )

    def nodes(self, branches: Sequence[Branch] | Iterator[Branch]) -> Iterator[_Node]:
        """The parts in which something can be saved, each with its best pattern."""
        for branch in branches:
            if (node := self._node(*branch)) is not None:
                yield node

    def _node(self, least: int, excluded: tuple[int, ...], included: tuple[int, ...]) -> _Node | None:
        forced = [item for item in self.items if item[2] in included]
        free = [item for item in self.items if item[2] not in included and item[2] not in excluded]
        solved = self._solve(forced, free, least)
        if solved is None or (at_most := float(solved.at_most.max())) <= LEAST_SAVING:
            return None
        count = int(np.argmax(solved.saved)) + 1
        members = tuple(sorted((*included, *solved.members(count))))
        if not members or solved.saved[count - 1] == -math.inf:
            return None
        return _Node(-at_most, least, excluded, included, float(solved.saved[count - 1]), count, members)

    def _solve(self, forced: Sequence[Item], free: Sequence[Item], least: int) -> _Knapsacks | None:
        """Solve the knapsacks of `least` replicas and more; None if nothing fits."""
        base_value, base_load = (math.fsum(item[place] for item in forced) for place in (0, 1))
        total = base_load + math.fsum(load for _, load, _ in free)
        worth = base_value + math.fsum(value for value, _, _ in free)
        limits = self.endpoint.limits
        # More replicas than carry everything, or than everything is worth, never pay.
        enough = next(
            (count for count, limit in enumerate(limits, 1) if limit >= total and count >= least), len(limits)
        )
        left = np.array(limits[:enough], dtype=float) - base_load
        paid = np.array(self.prices[:enough], dtype=float)
        counts = np.arange(1, enough + 1)
        allowed = (left >= -1e-9) & (counts >= least) & (paid < worth) & (np.array(limits[:enough]) > 0)
        if not allowed.any() or not (forced or free):
            return None
        left = np.where(allowed, np.maximum(left, 0.0), 0.0)
        largest = float(left.max())
        scale = min(CELLS_PER_REPLICA, self.most_cells / largest) if largest > 0 else 1.0
        cells = int(largest * scale + 1e-9) + 1
        low, high = np.zeros(cells), np.zeros(cells)
        taken = np.zeros((len(free), cells), dtype=bool)
        for place, (value, load, _) in enumerate(free):
            _take(low, math.ceil(load * scale - 1e-9), value, taken[place])
            _take(high, math.floor(load * scale), value, None)
        ends = (left * scale + 1e-9).astype(int)
        saved = np.where(allowed, base_value + low[ends] - paid, -math.inf)
        at_most = np.where(allowed, base_value + high[ends] - paid, -math.inf)
        return _Knapsacks(free, scale, ends, saved, at_most, taken)


@dataclass(frozen=True)
class _Knapsacks:
    """The knapsacks of each number of replicas, all solved at once."""

    items: Sequence[Item]
    scale: float
    ends: Any
    """By number of replicas, the cell of its capacity."""
    saved: Any
    """By number of replicas, what the best members save. Loads are rounded up."""
    at_most: Any
    """The same with loads rounded down."""
    taken: Any

    def members(self, count: int) -> list[int]:
        """The best members for a number of replicas."""
        chosen, cell = [], int(self.ends[count - 1])
        for place in range(len(self.items) - 1, -1, -1):
            if self.taken[place, cell]:
                chosen.append(self.items[place][2])
                cell -= math.ceil(self.items[place][1] * self.scale - 1e-9)
        return chosen


def _take(values: Any, weight: int, value: float, taken: Any) -> None:
    """Add an item to the best values by capacity, in place."""
    if weight >= len(values):
        return
    with_item = values[: len(values) - weight] + value
    is_better = with_item > values[weight:]
    np.copyto(values[weight:], with_item, where=is_better)
    if taken is not None:
        taken[weight:] = is_better
