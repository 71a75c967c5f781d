"""Finds the pattern of an endpoint that saves most at the shadow prices: dynamic programming in branch and bound.

For each number of replicas, the best workloads are a knapsack: what each saves against the load that the replicas
carry. A set that needs more replicas together than its loads add up to is found when it is chosen. Then the search
branches: as many replicas as the set needs, or one of its workloads is left out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.planning.solver.columns.endpoints import TOLERANCE, Endpoint, Pattern
from isthmus.planning.solver.columns.master import Master

CELLS_PER_REPLICA = 512
"""Resolution of loads where they are rounded."""
MAX_ITEMS, MAX_SETS = 63, 4000
"""Beyond which loads are rounded."""
LEAST_SAVING = 1e-7
"""Share of the cost that a pattern must save at the shadow prices; smaller savings count in the bound."""
Item = tuple[float, float, int]
"""What a member saves at the shadow prices, its load, and its variable."""


@dataclass(frozen=True)
class Effort:
    """How long the patterns of an endpoint are sought. What is left open counts in the bound."""

    nodes: int
    """Parts of the search."""
    cells: int
    """Of the grid of loads."""


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


def find_patterns(master: Master, number: int, effort: Effort) -> Found:
    """Search the patterns of an endpoint."""
    search = _Search(master, number, effort.cells)
    open_nodes = list(search.nodes([(1, (), ())]))
    patterns: list[Pattern] = []
    best = 0.0
    for place in range(effort.nodes):
        if not open_nodes or -open_nodes[0].negative_bound <= max(best, search.least_saving):
            break
        node = heapq.heappop(open_nodes)
        needed = master.needed(number, node.members) if node.members else node.count
        if needed is not None:
            saved = node.saved - max(0.0, search.prices[needed - 1] - search.prices[node.count - 1])
            if node.members and saved > search.least_saving:
                patterns.append(Pattern(number, max(needed, node.count), node.members))
            best = max(best, -node.negative_bound if needed <= node.count else saved)
        if needed is not None and needed <= node.count:
            continue
        if place == effort.nodes - 1:
            heapq.heappush(open_nodes, node)  # its bound counts
            break
        for child in search.nodes(_branches(master, number, node)):
            heapq.heappush(open_nodes, child)
    bounds = [-node.negative_bound for node in open_nodes]
    return Found(patterns, max([best, *bounds, search.least_saving]))


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
        self.least_saving = LEAST_SAVING * self.master.cost
        self.items: list[Item] = sorted(
            (
                (-float(reduced[index]), load, index)
                for index, load in zip(self.endpoint.members, self.endpoint.loads, strict=True)
                if reduced[index] < 0
            ),
            key=lambda item: (-item[0] / max(item[1], TOLERANCE), item[2]),
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
        if solved is None or (at_most := float(solved.at_most.max())) <= self.least_saving:
            return None
        count = int(np.argmax(solved.saved)) + 1
        saved = float(solved.saved[count - 1])
        if saved == -math.inf:
            return None
        members = tuple(sorted((*included, *solved.members(count))))
        if not members and saved >= at_most:
            return None
        # Rounded loads can leave no members where exact ones would: the bound counts.
        return _Node(-at_most, least, excluded, included, saved, count, members)

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
        allowed = (left >= -TOLERANCE) & (counts >= least) & (paid < worth) & (np.array(limits[:enough]) > 0)
        if not allowed.any() or not (forced or free):
            return None
        left = np.where(allowed, np.maximum(left, 0.0), 0.0)
        net = np.where(allowed, base_value - paid, -math.inf)
        return _exact(free, left, net, self.least_saving) or _rounded(free, left, net, self.most_cells)


@dataclass(frozen=True)
class _Knapsacks:
    """The knapsacks of each number of replicas, all solved at once."""

    saved: Any
    """By number of replicas, what the best members save. Minus infinity: nothing worth it fits."""
    at_most: Any
    """By number of replicas, what no members save more than."""
    members: Callable[[int], list[int]]
    """Gives the best members for a number of replicas."""


def _exact(items: Sequence[Item], capacities: Any, net: Any, least_saving: float) -> _Knapsacks | None:
    """Solve knapsacks by all sets of items that no lighter set equals; None if those are too many.

    `items`: those that save most for their load first. `net`: by number of replicas, what is added to the items. Left
    out are sets that cannot save more than `least_saving`, nor as much as the first items do.
    """
    if len(items) > MAX_ITEMS:
        return None
    allowed = np.flatnonzero(net > -math.inf)
    ends = allowed[np.argsort(capacities[allowed], kind="stable")]
    most, paid = capacities[ends] + TOLERANCE, net[ends]
    worth = max(least_saving, _of_first_items(items, most, paid) * (1 - TOLERANCE))
    loads, values, sets = np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.uint64)
    for place, (value, load, _) in enumerate(items):
        # The rest of a capacity is worth at most what the next item saves for its load.
        per_load = value / max(load, TOLERANCE)
        rest = np.maximum.accumulate((per_load * most + paid)[::-1])[::-1]
        promising = values - per_load * loads + rest[np.searchsorted(most, loads)] >= worth
        loads, values, sets = loads[promising], values[promising], sets[promising]
        fits = loads + load <= most[-1]
        loads = np.concatenate([loads, loads[fits] + load])
        values = np.concatenate([values, values[fits] + value])
        sets = np.concatenate([sets, sets[fits] | np.uint64(1 << place)])
        order = loads.argsort(kind="stable")
        loads, values, sets = loads[order], values[order], sets[order]
        is_better = np.ones(len(values), dtype=bool)
        is_better[1:] = values[1:] > np.maximum.accumulate(values)[:-1]
        loads, values, sets = loads[is_better], values[is_better], sets[is_better]
        if not MAX_SETS >= len(loads) > 0:
            break
    if len(loads) > MAX_SETS:
        return None
    last = np.searchsorted(loads, most, side="right") - 1
    saved = np.full(len(net), -math.inf)
    saved[ends] = np.where(last >= 0, np.append(values, 0.0)[last] + paid, -math.inf)

    def members(count: int) -> list[int]:
        chosen = int(sets[last[np.flatnonzero(ends == count - 1)[0]]])
        return [item[2] for place, item in enumerate(items) if chosen >> place & 1]

    return _Knapsacks(saved, saved, members)


def _of_first_items(items: Sequence[Item], most: Any, paid: Any) -> float:
    """What the first items save that fit together, with the best number of replicas."""
    loads = np.cumsum([0.0, *(load for _, load, _ in items)])
    values = np.cumsum([0.0, *(value for value, _, _ in items)])
    return float(np.max(values[np.searchsorted(loads, most, side="right") - 1] + paid))


def _rounded(items: Sequence[Item], capacities: Any, net: Any, most_cells: int) -> _Knapsacks:
    """Solve knapsacks by a grid of loads: rounded up for the best members, and down for what none exceed."""
    largest = float(capacities.max())
    scale = min(CELLS_PER_REPLICA, most_cells / largest) if largest > 0 else 1.0
    cells = int(largest * scale + TOLERANCE) + 1
    low, high = np.zeros(cells), np.zeros(cells)
    taken = np.zeros((len(items), cells), dtype=bool)
    for place, (value, load, _) in enumerate(items):
        _take(low, math.ceil(load * scale - TOLERANCE), value, taken[place])
        _take(high, math.floor(load * scale), value, None)
    ends = (capacities * scale + TOLERANCE).astype(int)

    def members(count: int) -> list[int]:
        chosen, cell = [], int(ends[count - 1])
        for place in range(len(items) - 1, -1, -1):
            if taken[place, cell]:
                chosen.append(items[place][2])
                cell -= math.ceil(items[place][1] * scale - TOLERANCE)
        return chosen

    return _Knapsacks(low[ends] + net, high[ends] + net, members)


def _take(values: Any, weight: int, value: float, taken: Any) -> None:
    """Add an item to the best values by capacity, in place."""
    if weight >= len(values):
        return
    with_item = values[: len(values) - weight] + value
    is_better = with_item > values[weight:]
    np.copyto(values[weight:], with_item, where=is_better)
    if taken is not None:
        taken[weight:] = is_better
