"""Bounds the cost of a large program from below, and finds good plans of it, by generating columns.

The program has a variable for each workload on each possible endpoint, which is too many to solve exactly. Here a
variable stands for an endpoint with its replicas and all of its workloads (a pattern). Only patterns that lower the
cost at the present shadow prices are generated: the cheapest one of an endpoint is a knapsack, solved by dynamic
programming. Rows that several endpoints share (each workload once, pools, quotas, sites, budget) stay as they are.

The bound holds for all options. A pattern has as many replicas as its workloads need together. Where the search for a
cheaper pattern is cut off, the bound counts what it could still save.

References: Dantzig and Wolfe, "Decomposition Principle for Linear Programs", 1960; Geoffrion, "Lagrangean Relaxation
for Integer Programming", 1974; Desaulniers, Desrosiers, Solomon (editors), "Column Generation", 2005.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.planning.solver import silent, watch
from isthmus.planning.solver.milp import Rows

MAX_ROUNDS = 120
MAX_NEW_PATTERNS = 400
"""In one round."""
CLOSE = 1e-3
"""The bound is sought until it is this share below the cost of the relaxed program."""
CELLS_PER_REPLICA, MAX_CELLS = 512, 8192
"""Resolution of loads in the dynamic program."""
MAX_RAISES = 2
"""Times that leaving something out becomes a thousand times dearer, before the program counts as impossible."""
FEW = 40
"""New patterns of a quick round, from which on they are sought thoroughly."""
MOST_OF_ONE = 12
"""Patterns with the same workload in one round, unless other workloads need more."""
MAX_NODES = 60
"""Of the search for one pattern. What is left open counts in the bound."""
NEARLY = 0.05
"""From this share between cost and bound on, patterns are sought thoroughly."""
FEW = 40
"""New patterns of a quick round, from which on they are sought thoroughly."""
MOST_OF_ONE = 12
"""Patterns with the same workload in one round, unless other workloads need more."""
MAX_NODES = 60
"""Of the search for one pattern. What is left open counts in the bound."""
NEARLY = 0.05
"""From this share between cost and bound on, patterns are sought thoroughly."""
NEAR = 0.002
"""Patterns that cost at most this share of the plan too much are offered to it in the end."""
LEAST_SAVING = 1e-6
"""USD a month that a pattern must save at the shadow prices."""
PLAN_NODES = 40
"""Nodes of the search for a part of a plan of the patterns."""
PLAN_GAP, GOOD_GAP = 0.001, 0.004
"""Gaps at which the search for a plan of the patterns ends, and from which on its parts are chosen anew."""
LEAST_GAIN = 1e-9
IMPROVEMENTS = 2
"""Times that each part is chosen anew."""
MAX_REPEATS = 6
"""Times that a plan is sought again because an endpoint had several patterns."""


@dataclass(frozen=True)
class Endpoint:
    """A possible endpoint: its variables in the program, and what its replicas carry."""

    replicas: int
    """Variable."""
    members: Sequence[int]
    """Variables, one for each choice that may use it."""
    loads: Sequence[float]
    """Replicas that each member needs, without headroom."""
    limits: Sequence[float]
    """Load that 1, 2, … replicas carry, with headroom and after the failure that they must survive."""
    dedicated: Sequence[int] = ()
    """Variables of the hardware that serves this endpoint alone."""
    group: Hashable = None
    """Endpoints of different groups have no workload in common: the class."""
    units: Sequence[Sequence[int]] = ()
    """Values of those variables with 1, 2, … replicas."""

    def replicas_for(self, load: float) -> int | None:
        """The fewest replicas for a load; None if no number carries it."""
        return next((count for count, limit in enumerate(self.limits, 1) if limit >= load - 1e-9), None)


@dataclass(frozen=True)
class Relaxation:
    """What is known of a large program."""

    bound: float
    """USD a month. No plan costs less."""
    penalties: Mapping[int, float]
    """By variable of a choice on an endpoint: USD a month that it costs more, at the shadow prices, than what the
    relaxed program chose; an estimate."""
    values: Mapping[int, float] | None
    """Variables of the best plan of the patterns; None if they give none."""
    least: float
    """USD a month of the cheapest plan that was found."""


@dataclass(frozen=True)
class _Pattern:
    endpoint: int
    count: int
    members: tuple[int, ...]


Needed = Callable[[int, tuple[int, ...], int, float], int]
"""Gives the replicas that members of an endpoint need together, as they slow each other down: from the endpoint's
number, the members, the replicas that their loads add up to, and the load that so many carry."""


@dataclass
class _Master:
    """The relaxed program over the patterns so far."""

    rows: Rows
    endpoints: Sequence[Endpoint]
    needed_together: Needed
    last_reduced: Any = None
    once: dict[int, int] = field(default_factory=dict)
    """Endpoint → the row that allows it one pattern. Only endpoints that would have several have such a row."""
    surcharges: dict[int, float] = field(default_factory=dict)
    """Endpoint → what that row adds to the price of its patterns, at the shadow prices."""
    scores: Any = None
    """By variable; while the score decides and not the cost."""
    cost_row: int | None = None
    """The row that limits the cost then."""
    counts: dict[tuple[int, tuple[int, ...]], int | None] = field(default_factory=dict)
    """What was computed of `needed_together`; None: more than the endpoint can have."""
    patterns: list[_Pattern] = field(default_factory=list)
    known: set[_Pattern] = field(default_factory=set)

    def __post_init__(self) -> None:
        highspy, self.solver = silent.silent_solver()
        self.infinity = highspy.kHighsInf
        self.integer = int(highspy.HighsVarType.kInteger)
        self.continuous = int(highspy.HighsVarType.kContinuous)
        self.optimal = highspy.HighsModelStatus.kOptimal
        for key, value in {"threads": 1, "random_seed": 0}.items():
            self.solver.setOptionValue(key, value)
        self._add_static_part()
        self._index_members()

    def _add_static_part(self) -> None:
        """Add the variables of no endpoint and the rows that link endpoints, and index what endpoints put there."""
        blocks = self.rows.blocks
        self.static = [index for index, block in enumerate(blocks) if block is None]
        self.costs = np.array(self.rows.costs)
        position = {index: place for place, index in enumerate(self.static)}
        linking = [row for row in self.rows.rows if _is_linking(row[2], blocks)]
        link_rows, link_variables, link_values = [], [], []
        starts, indices, values = [], [], []
        for number, (_, _, terms) in enumerate(linking):
            starts.append(len(indices))
            for index, value in terms.items():
                if blocks[index] is None:
                    indices.append(position[index])
                    values.append(value)
                else:
                    link_rows.append(number)
                    link_variables.append(index)
                    link_values.append(value)
        order = np.argsort(np.array(link_variables), kind="stable")
        self.link_rows = np.array(link_rows, dtype=np.int32)[order]
        self.link_variables = np.array(link_variables, dtype=np.int32)[order]
        self.link_values = np.array(link_values, dtype=float)[order]
        self.link_starts = np.searchsorted(self.link_variables, np.arange(len(self.costs) + 1))
        count = len(self.static)
        self.solver.addVars(
            count,
            np.array([self.rows.lower(index) for index in self.static], dtype=float),
            np.array([self.rows.upper(index) for index in self.static], dtype=float),
        )
        self.solver.changeColsCost(count, np.arange(count, dtype=np.int32), self.costs[self.static])
        self.solver.addRows(
            len(linking),
            np.array([low for low, _, _ in linking], dtype=float),
            np.array([high for _, high, _ in linking], dtype=float),
            len(indices),
            np.array(starts, dtype=np.int32),
            np.array(indices, dtype=np.int32),
            np.array(values, dtype=float),
        )
        # What a row needs at least may be missing at a price above every other.
        self.short = [number for number, (low, _, _) in enumerate(linking) if low > 0]

    def _index_members(self) -> None:
        """Put what is known of endpoints and their members into arrays."""
        self.members = np.array(
            [index for endpoint in self.endpoints for index in endpoint.members], dtype=np.int32
        )
        self.member_loads = np.array([load for endpoint in self.endpoints for load in endpoint.loads])
        self.member_endpoints = np.repeat(
            np.arange(len(self.endpoints)), [len(endpoint.members) for endpoint in self.endpoints]
        )
        self.replicas = np.array([endpoint.replicas for endpoint in self.endpoints], dtype=np.int32)
        # Units of dedicated hardware for a replica, at best; without any, the replicas' own variable counts nothing.
        firsts = [
            endpoint.dedicated[0] if endpoint.dedicated else endpoint.replicas for endpoint in self.endpoints
        ]
        lasts = [
            endpoint.dedicated[-1] if endpoint.dedicated else endpoint.replicas for endpoint in self.endpoints
        ]
        self.first_units, self.last_units = np.array(firsts, dtype=np.int32), np.array(lasts, dtype=np.int32)
        self.unit_parts = np.array(
            [
                min((sum(numbers) / count for count, numbers in enumerate(endpoint.units, 1)), default=0.0)
                if endpoint.dedicated
                else 0.0
                for endpoint in self.endpoints
            ]
        )
        # What a replica carries at best, by the count that carries most.
        self.share = np.array([_best_share(endpoint.limits) for endpoint in self.endpoints])

    def begin(self) -> None:
        """Add the prices of what is missing, and for each member the pattern of it alone."""
        singles = [
            _Pattern(number, count, (index,))
            for number, endpoint in enumerate(self.endpoints)
            for index, load in zip(endpoint.members, endpoint.loads, strict=True)
            if (count := endpoint.replicas_for(load)) is not None
        ]
        prices = {pattern: self._price(pattern) for pattern in singles}
        by_row: dict[int, list[_Pattern]] = {}
        for pattern in sorted(singles, key=lambda pattern: (prices[pattern], pattern.members)):
            cover = by_row.setdefault(self.row_of(pattern.members[0]), [])
            if len(cover) < 5:
                cover.append(pattern)
        for number in self.short:
            dearest = max((prices[pattern] for pattern in by_row.get(number, [])), default=1e6)
            self.solver.addCol(50 * dearest + 1.0, 0.0, self.infinity, 1, [number], [1.0])
        self.add(pattern for patterns in by_row.values() for pattern in patterns)

    def rows_of(self, place: int) -> list[int]:
        """The rows of the workloads of a pattern."""
        return [self.row_of(member) for member in self.patterns[place].members]

    def row_of(self, member: int) -> int:
        """The row that gives a member's workload one choice."""
        return int(self.link_rows[self.link_starts[member]])

    def is_short(self) -> bool:
        """Whether the relaxed program leaves out what a row needs."""
        first = len(self.static)
        values = self.solver.getSolution().col_value[first : first + len(self.short)]
        return sum(values) > 1e-6

    def raise_missing(self) -> None:
        """Make it dearer to leave something out."""
        first = len(self.static)
        for index in range(first, first + len(self.short)):
            self.solver.changeColCost(index, self.solver.getLp().col_cost_[index] * 1000)

    def _price(self, pattern: _Pattern) -> float:
        return math.fsum(self.costs[index] * times for index, times in self._variables(pattern))

    def _objective(self, pattern: _Pattern) -> float:
        if self.scores is None:
            return self._price(pattern)
        return -math.fsum(self.scores[index] for index in pattern.members)

    def decide_by_score(self, most: float) -> None:
        """From now on the best score is sought, at a cost of at most `most`."""
        self.scores = np.array(self.rows.scores)
        count, first = self.solver.getNumCol(), len(self.static) + len(self.short)
        costs = np.concatenate(
            [
                self.costs[self.static],
                np.zeros(len(self.short)),
                [self._price(pattern) for pattern in self.patterns],
            ]
        )
        indices = np.flatnonzero(costs)
        self.cost_row = self.solver.getNumRow()
        self.solver.addRow(
            -self.infinity, most, len(indices), indices.astype(np.int32), costs[indices].astype(float)
        )
        objective = np.zeros(count)
        objective[: len(self.static)] = -self.scores[self.static]
        objective[first:] = [self._objective(pattern) for pattern in self.patterns]
        self.solver.changeColsCost(count, np.arange(count, dtype=np.int32), objective)

    def add(self, patterns: Iterator[_Pattern]) -> int:
        """Add patterns that are new, and return their number."""
        new = [pattern for pattern in dict.fromkeys(patterns) if pattern not in self.known]
        starts, indices, values = [], [], []
        for pattern in new:
            starts.append(len(indices))
            column: dict[int, float] = {}
            for index, times in self._variables(pattern):
                for place in range(self.link_starts[index], self.link_starts[index + 1]):
                    row = int(self.link_rows[place])
                    column[row] = column.get(row, 0.0) + times * float(self.link_values[place])
            if pattern.endpoint in self.once:
                column[self.once[pattern.endpoint]] = 1.0
            if self.cost_row is not None:
                column[self.cost_row] = self._price(pattern)
            indices += column
            values += column.values()
        count = len(new)
        if count:
            self.solver.addCols(
                count,
                np.array([self._objective(pattern) for pattern in new]),
                np.zeros(count),
                np.full(count, self.infinity),
                len(indices),
                np.array(starts, dtype=np.int32),
                np.array(indices, dtype=np.int32),
                np.array(values, dtype=float),
            )
        self.patterns += new
        self.known |= set(new)
        return count

    def _variables(self, pattern: _Pattern) -> Iterator[tuple[int, float]]:
        yield from ((index, 1.0) for index in pattern.members)
        endpoint = self.endpoints[pattern.endpoint]
        yield endpoint.replicas, float(pattern.count)
        if endpoint.dedicated:
            yield from (
                (index, float(units))
                for index, units in zip(endpoint.dedicated, endpoint.units[pattern.count - 1], strict=True)
            )

    def needed(self, number: int, members: tuple[int, ...]) -> int | None:
        """The replicas that members need together; None if the endpoint cannot have so many."""
        if (number, members) not in self.counts:
            endpoint = self.endpoints[number]
            loads = dict(zip(endpoint.members, endpoint.loads, strict=True))
            count = endpoint.replicas_for(math.fsum(loads[index] for index in members))
            if count is not None and len(members) > 1:
                count = max(count, self.needed_together(number, members, count, endpoint.limits[count - 1]))
            while count is not None and (count > len(endpoint.limits) or endpoint.limits[count - 1] <= 0):
                count = count + 1 if count < len(endpoint.limits) else None
            self.counts[number, members] = count
        return self.counts[number, members]

    def crowd(self, number: int, members: tuple[int, ...], count: int) -> tuple[tuple[int, ...], int | None]:
        """Of members that need more than `count` replicas, a smallest part that does, and what the part needs."""
        part = members
        for index in members:
            smaller = tuple(member for member in part if member != index)
            needed = self.needed(number, smaller) if smaller else 1
            if needed is None or needed > count:
                part = smaller
        return part, self.needed(number, part)

    def prices(self, number: int, reduced: Any) -> list[float]:
        """What 1, 2, … replicas of an endpoint cost at the shadow prices, with their dedicated hardware."""
        endpoint = self.endpoints[number]
        base, replica = self.surcharges.get(number, 0.0), float(reduced[endpoint.replicas])
        units = [float(reduced[index]) for index in endpoint.dedicated]
        if not units:
            return [base + replica * count for count in range(1, len(endpoint.limits) + 1)]
        return [
            base + replica * count + sum(price * part for price, part in zip(units, parts, strict=True))
            for count, parts in enumerate(endpoint.units, 1)
        ]

    def forbid_twice(self, values: Sequence[float]) -> bool:
        """Allow one pattern to each endpoint that has more in a solution. Returns whether there was one."""
        sums: dict[int, float] = {}
        for pattern, value in zip(self.patterns, values[len(self.static) + len(self.short) :], strict=False):
            if value > 1e-9:
                sums[pattern.endpoint] = sums.get(pattern.endpoint, 0.0) + value
        several = [number for number, value in sums.items() if value > 1 + 1e-6 and number not in self.once]
        first = len(self.static) + len(self.short)
        for number in several:
            self.once[number] = self.solver.getNumRow()
            places = [
                first + place for place, pattern in enumerate(self.patterns) if pattern.endpoint == number
            ]
            self.solver.addRow(-self.infinity, 1.0, len(places), places, [1.0] * len(places))
        return bool(several)

    def forbid_all_twice(self) -> None:
        """Allow one pattern to each endpoint of which the relaxed program has parts of several."""
        values = self.solver.getSolution().col_value
        self.forbid_twice([min(1.0, value * 1e6) for value in values])

    def solve(self) -> tuple[float, Any] | None:
        """Cost of the relaxed program and its shadow prices by row."""
        self.solver.run()
        if self.solver.getModelStatus() != self.optimal:
            return None
        return float(self.solver.getInfo().objective_function_value), np.array(
            self.solver.getSolution().row_dual
        )

    def reduced(self, duals: Any) -> Any:
        """What each variable of an endpoint costs at the shadow prices."""
        self.surcharges = {number: -float(duals[row]) for number, row in self.once.items()}
        priced = np.bincount(
            self.link_variables, weights=self.link_values * duals[self.link_rows], minlength=len(self.costs)
        )
        return self.costs - priced

    def gains(self, reduced: Any) -> tuple[Any, Any]:
        """By member and by endpoint, what it saves at best if replicas came in fractions."""
        # The least price of a replica's worth of load: the price of replicas falls no further than to its own part.
        per_replica = reduced[self.replicas] + self.unit_parts * np.minimum(
            reduced[self.first_units], reduced[self.last_units]
        )
        by_load = self.member_loads * (per_replica / self.share)[self.member_endpoints]
        gains = -reduced[self.members] - by_load
        sums = np.bincount(
            self.member_endpoints, weights=np.maximum(gains, 0.0), minlength=len(self.endpoints)
        )
        return gains, sums

    def _set_kinds(self, whole: Container[str] | None) -> None:
        """Let the patterns of these groups be whole, and all other patterns continuous; None: no variable is whole."""
        count, first = self.solver.getNumCol(), len(self.static) + len(self.short)
        kinds = np.full(count, self.continuous if whole is None else self.integer, dtype=np.uint8)
        if whole is not None:
            kinds[len(self.static) : first] = self.continuous
            are_whole = [self._group(place) in whole for place in range(len(self.patterns))]
            kinds[first:] = np.where(are_whole, self.integer, self.continuous)
        self.solver.changeColsIntegrality(count, np.arange(count, dtype=np.int32), kinds)

    def _bound(self, places: Iterable[int], low: float) -> None:
        """Set the lower bound of patterns: 1 keeps them."""
        first = len(self.static) + len(self.short)
        for place in places:
            self.solver.changeColBounds(first + place, low, self.infinity)

    def first_plan(self) -> Chosen | None:
        """Choose whole patterns group by group, while those of later groups stay parts."""
        groups = sorted({self._group(place) for place in range(len(self.patterns))})
        chosen: Chosen | None = None
        done: list[str] = []
        kept: list[int] = []
        for group in groups:
            done.append(group)
            chosen = self.choose(done)
            if chosen is None:
                break
            kept = [place for place in chosen.places if self._group(place) in done]
            self._bound(kept, 1.0)
        self._bound(kept, 0.0)
        return chosen

    def choose(self, whole: Container[str], start: Sequence[float] | None = None) -> Chosen | None:
        """Choose whole patterns of the groups `whole` at least cost; None if no choice was found."""
        first_missing, first_pattern = len(self.static), len(self.static) + len(self.short)
        for index in range(first_missing, first_pattern):
            self.solver.changeColBounds(index, 0.0, 0.0)
        self._set_kinds(whole)
        self.solver.setOptionValue("mip_rel_gap", PLAN_GAP)
        self.solver.setOptionValue("mip_max_nodes", PLAN_NODES)
        if start is not None:
            values = np.zeros(self.solver.getNumCol())
            values[: len(start)] = start
            self.solver.setSolution(len(values), np.arange(len(values), dtype=np.int32), values)
        for _ in range(MAX_REPEATS):
            self.solver.run()
            if not self.forbid_twice(self.solver.getSolution().col_value):
                break
        is_found = self.solver.getInfo().primal_solution_status == 2
        values = list(self.solver.getSolution().col_value) if is_found else []
        cost = float(self.solver.getInfo().objective_function_value)
        self._set_kinds(None)
        for index in range(first_missing, first_pattern):
            self.solver.changeColBounds(index, 0.0, self.infinity)
        if not is_found or self.forbid_twice(values):
            return None
        places = [place for place, value in enumerate(values[first_pattern:]) if value > 0.5]
        return Chosen(cost, values, places)

    def improve(self, chosen: Chosen) -> Chosen:
        """Choose the endpoints of one group anew while the others stay, group by group."""
        groups = sorted({self._group(place) for place in chosen.places})
        for group in groups * IMPROVEMENTS:
            if watch.is_ending():
                break
            others = [place for place in chosen.places if self._group(place) != group]
            self._bound(others, 1.0)
            self.add(self._neighbours([place for place in chosen.places if self._group(place) == group]))
            again = self.choose(groups, chosen.values)
            self._bound(others, 0.0)
            if again is not None and again.cost < chosen.cost - LEAST_GAIN * abs(chosen.cost):
                chosen = again
        return chosen

    def _group(self, place: int) -> str:
        return str(self.endpoints[self.patterns[place].endpoint].group)

    def _neighbours(self, places: Sequence[int]) -> Iterator[_Pattern]:
        """Patterns that have a workload more or less than chosen ones."""
        rows = {row for place in places for row in self.rows_of(place)}
        for place in places:
            pattern = self.patterns[place]
            number, members = pattern.endpoint, pattern.members
            smaller = [tuple(member for member in members if member != index) for index in members]
            own = set(self.rows_of(place))
            larger = [
                tuple(sorted((*members, index)))
                for index in self.endpoints[number].members
                if self.row_of(index) in rows - own
            ]
            for changed in filter(None, (*smaller, *larger)):
                needed = self.needed(number, changed)
                if needed is not None:
                    yield _Pattern(number, needed, changed)

    def variables(self, chosen: Chosen) -> Mapping[int, float] | None:
        """The variables of the program with the chosen patterns; patterns of one endpoint become one."""
        members: dict[int, list[int]] = {}
        for place in chosen.places:
            members.setdefault(self.patterns[place].endpoint, []).extend(self.patterns[place].members)
        plan = {index: float(round(chosen.values[place])) for place, index in enumerate(self.static)}
        for number, indices in members.items():
            needed = self.needed(number, tuple(sorted(indices)))
            if needed is None:
                return None
            plan |= dict(self._variables(_Pattern(number, needed, tuple(indices))))
        return plan


@dataclass(frozen=True)
class Chosen:
    """Whole patterns: what they cost in USD a month, all values of the master, and which patterns they are."""

    cost: float
    values: Sequence[float]
    places: Sequence[int]


def relax(
    rows: Rows, endpoints: Sequence[Endpoint], needed_together: Needed, near_tie_pct: float = 0.0
) -> Relaxation | None:
    """Bound a program and find a plan of it; None if it has none.

    `rows`: all rows, with a block for each endpoint's variables. `near_tie_pct`: by how much the plan may cost more
    than the cheapest one that was found, for a better score.
    """
    master = _Master(rows, endpoints, needed_together)
    master.begin()
    bound = _generate(master)
    if bound is None or master.is_short():
        return None
    gains, _ = master.gains(master.last_reduced)
    penalties = dict(zip(master.members.tolist(), (-gains).tolist(), strict=True))
    master.forbid_all_twice()
    watch.say(f"no plan costs less than {bound:,.0f} USD a month; looks for one that is near")
    chosen = master.first_plan()
    if chosen is None:
        return Relaxation(bound, penalties, None, math.inf)
    chosen = master.improve(chosen)
    watch.say(
        f"found a plan of {chosen.cost:,.0f} USD a month, at most {1 - bound / chosen.cost:.1%} too dear"
    )
    least = chosen.cost
    if near_tie_pct > 0 and not watch.is_ending():
        master.decide_by_score(least * (1 + near_tie_pct / 100))
        chosen = master.improve(Chosen(0.0, chosen.values, chosen.places))
    return Relaxation(bound, penalties, master.variables(chosen), least)


def _generate(master: _Master) -> float | None:
    """Add patterns until none saves anything. Returns the bound; None if nothing is possible."""
    bound, is_thorough, raises = -math.inf, False, 0
    for number in range(MAX_ROUNDS):
        if number and not master.is_short() and watch.is_ending():
            break
        solved = master.solve()
        if solved is None:
            return None
        cost, duals = solved
        if is_thorough and master.forbid_twice(master.solver.getSolution().col_value):
            continue
        is_thorough |= cost - bound <= NEARLY * abs(cost)
        reduced = master.last_reduced = master.reduced(duals)
        _, sums = master.gains(reduced)
        patterns: list[_Pattern] = []
        missing = 0.0
        covered: dict[int, int] = {}
        for place in map(int, np.argsort(-sums, kind="stable")):
            if sums[place] <= LEAST_SAVING:
                break
            if len(patterns) >= MAX_NEW_PATTERNS or _is_covered(master, place, reduced, covered):
                missing += float(sums[place])
                continue
            found = _find_patterns(master, place, reduced, is_thorough=is_thorough)
            missing += found.at_most
            patterns += found.patterns
            for pattern in found.patterns:
                for index in pattern.members:
                    row = master.row_of(index)
                    covered[row] = covered.get(row, 0) + 1
        bound = max(bound, cost - missing)
        added = master.add(iter(patterns))
        if added <= FEW and master.is_short() and raises < MAX_RAISES:
            master.raise_missing()
            bound, raises, is_thorough = -math.inf, raises + 1, False
        elif cost - bound <= CLOSE * abs(cost) or (is_thorough and not added):
            break
        elif added <= FEW:
            is_thorough = True
    return bound


def _is_covered(master: _Master, number: int, reduced: Any, covered: Mapping[int, int]) -> bool:
    """Whether a round has enough patterns of all members that would be worth a pattern of this endpoint."""
    return all(
        covered.get(master.row_of(index), 0) >= MOST_OF_ONE
        for index in master.endpoints[number].members
        if reduced[index] < 0
    )


@dataclass(frozen=True)
class _Found:
    """The result of the search for the best pattern of an endpoint."""

    patterns: Sequence[_Pattern]
    """Those that save something, the best first."""
    at_most: float
    """No pattern of the endpoint saves more."""


@dataclass(order=True)
class _Node:
    """A part of the search: some members are left out, and there are at least so many replicas."""

    negative_bound: float
    least: int
    excluded: tuple[int, ...]
    saved: float = field(compare=False)
    count: int = field(compare=False)
    members: tuple[int, ...] = field(compare=False)


def _find_patterns(master: _Master, number: int, reduced: Any, *, is_thorough: bool) -> _Found:
    """Find the pattern of an endpoint that saves most at the shadow prices, by branch and bound.

    A set of members that needs more replicas together than its loads add up to is found when it is chosen. Then either
    one of them is left out, or there are as many replicas as the set needs.
    """
    endpoint = master.endpoints[number]
    # Rows that are met with equality can price a replica below nothing.
    beyond = max(0.0, -float(reduced[endpoint.replicas])) * master.rows.upper(endpoint.replicas)
    items = _items(endpoint, reduced)
    prices = master.prices(number, reduced)
    cells = MAX_CELLS if is_thorough else MAX_CELLS // 8
    first = _solve_node(endpoint, items, prices, 1, (), cells)
    open_nodes = [first] if first is not None else []
    patterns: list[_Pattern] = []
    seen: set[tuple[int, tuple[int, ...]]] = set()
    best = 0.0
    for _ in range(MAX_NODES if is_thorough else 1):
        if not open_nodes or -open_nodes[0].negative_bound <= max(best, LEAST_SAVING):
            break
        node = heapq.heappop(open_nodes)
        needed = master.needed(number, node.members)
        saved = node.saved
        if needed is not None and needed > node.count:
            saved -= prices[needed - 1] - prices[node.count - 1]
        if needed is not None and saved > LEAST_SAVING:
            patterns.append(_Pattern(number, max(needed, node.count), node.members))
        if needed is not None and needed <= node.count:
            best = max(best, -node.negative_bound)
            continue
        if needed is not None:
            best = max(best, saved)
        if not is_thorough:
            # The same members with what they need; a smaller part is sought later.
            heapq.heappush(open_nodes, node)
            break
        crowd, crowd_needs = master.crowd(number, node.members, node.count)
        children = [(node.least, tuple(sorted((*node.excluded, index)))) for index in crowd]
        if crowd_needs is not None:
            children.append((max(crowd_needs, node.least), node.excluded))
        for least, excluded in children:
            if (least, excluded) in seen:
                continue
            seen.add((least, excluded))
            child = _solve_node(endpoint, items, prices, least, excluded, cells)
            if child is not None:
                heapq.heappush(open_nodes, child)
    bounds = [-node.negative_bound for node in open_nodes]
    return _Found(patterns, beyond + max([best, *bounds, 0.0]))


Item = tuple[float, float, int]
"""What a member saves at the shadow prices, its load, and its variable."""


def _items(endpoint: Endpoint, reduced: Any) -> list[Item]:
    """The members that save anything, those first that save most for their load."""
    return sorted(
        (
            (-float(reduced[index]), load, index)
            for index, load in zip(endpoint.members, endpoint.loads, strict=True)
            if reduced[index] < 0
        ),
        key=lambda item: (-item[0] / max(item[1], 1e-9), item[2]),
    )


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

    def members(self, count: int) -> tuple[int, ...]:
        """The best members for a number of replicas."""
        chosen, cell = [], int(self.ends[count - 1])
        for place in range(len(self.items) - 1, -1, -1):
            if self.taken[place, cell]:
                chosen.append(self.items[place][2])
                cell -= math.ceil(self.items[place][1] * self.scale - 1e-9)
        return tuple(sorted(chosen))


def _solve_knapsacks(
    endpoint: Endpoint, items: Sequence[Item], prices: Sequence[float], least: int, most_cells: int
) -> _Knapsacks | None:
    """Solve them for `least` replicas and more; None if nothing fits."""
    total = math.fsum(load for _, load, _ in items)
    worth = math.fsum(value for value, _, _ in items)
    # More replicas than carry everything, or than everything is worth, never pay.
    enough = next(
        (count for count, limit in enumerate(endpoint.limits, 1) if limit >= total and count >= least),
        len(endpoint.limits),
    )
    limits = [
        limit if price < worth and count >= least else 0.0
        for count, (limit, price) in enumerate(zip(endpoint.limits[:enough], prices, strict=False), 1)
    ]
    largest = max(limits, default=0.0)
    if not items or largest <= 0:
        return None
    scale = min(CELLS_PER_REPLICA, most_cells / largest)
    cells = int(largest * scale + 1e-9) + 1
    low, high, taken = np.zeros(cells), np.zeros(cells), np.zeros((len(items), cells), dtype=bool)
    for place, (value, load, _) in enumerate(items):
        _take(low, math.ceil(load * scale - 1e-9), value, taken[place])
        _take(high, math.floor(load * scale), value, None)
    ends = np.array([int(limit * scale + 1e-9) for limit in limits])
    paid = np.array(prices[: len(limits)])
    return _Knapsacks(items, scale, ends, low[ends] - paid, high[ends] - paid, taken)


def _solve_node(
    endpoint: Endpoint,
    items: Sequence[Item],
    prices: Sequence[float],
    least: int,
    excluded: tuple[int, ...],
    most_cells: int,
) -> _Node | None:
    """The best pattern of a part of the search; None if nothing can be saved."""
    left = [item for item in items if item[2] not in excluded]
    solved = _solve_knapsacks(endpoint, left, prices, least, most_cells)
    if solved is None or (at_most := float(solved.at_most.max())) <= LEAST_SAVING:
        return None
    count = int(np.argmax(solved.saved)) + 1
    if not (members := solved.members(count)):
        return None
    return _Node(-at_most, least, excluded, float(solved.saved[count - 1]), count, members)


def _take(values: Any, weight: int, value: float, taken: Any) -> None:
    """Add an item to the best values by capacity, in place."""
    if weight >= len(values):
        return
    with_item = values[: len(values) - weight] + value
    is_better = with_item > values[weight:]
    np.copyto(values[weight:], with_item, where=is_better)
    if taken is not None:
        taken[weight:] = is_better


def _best_share(limits: Sequence[float]) -> float:
    return max((limit / count for count, limit in enumerate(limits, 1)), default=1.0) or 1.0


def _is_linking(terms: Mapping[int, float], blocks: Sequence[Any]) -> bool:
    """Whether a row has variables of several blocks, or of none."""
    first = next(iter(terms), None)
    block = None if first is None else blocks[first]
    return block is None or any(blocks[index] != block for index in terms)
