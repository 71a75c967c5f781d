"""The master program: rows that endpoints share, over the patterns made so far."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isthmus.planning.sizing.searches import first_that_passes
from isthmus.planning.solver import silent
from isthmus.planning.solver.columns.endpoints import TOLERANCE, Carried, Endpoint, Pattern
from isthmus.planning.solver.milp import Row, Rows, add_rows

FIRST_PATTERNS = 5
"""Patterns of a workload alone with which the master begins."""
MISSING, LEAST_MISSING = 10, 1e7
"""To leave a workload out costs so many times all workloads alone, each in its cheapest place; at least the second, in
USD a month, because hardware that several share is not in the first."""
MAX_ITERATIONS = 20_000
"""Of the simplex method from the last basis; after them it begins anew, because it may be in a cycle."""


@dataclass
class Master:
    """The relaxed program. Its variables: those of no endpoint (static), what is missing, and the patterns."""

    rows: Rows
    """The whole program, with a block for each endpoint's variables."""
    endpoints: Sequence[Endpoint]
    carried_together: Carried
    patterns: list[Pattern] = field(default_factory=list)
    cost: float = 0.0
    """USD a month of the relaxed program."""
    reduced: Any = None
    """What each variable of an endpoint costs at the present shadow prices."""
    _places: dict[Pattern, int] = field(default_factory=dict)
    _counts: dict[tuple[int, tuple[int, ...]], int | None] = field(default_factory=dict)
    """Replicas that members need together; None: more than the endpoint can have."""
    _carried: dict[tuple[int, tuple[int, ...], int], bool] = field(default_factory=dict)
    _once: dict[int, int] = field(default_factory=dict)
    """Endpoint → the row that allows it one pattern. Only endpoints that would have several have such a row."""
    _surcharges: dict[int, float] = field(default_factory=dict)
    """Endpoint → what that row adds to the price of its patterns, at the shadow prices."""
    _scores: Any = None
    """By variable; while the score decides and not the cost."""
    _cost_row: int | None = None
    """The row that limits the cost then."""

    def __post_init__(self) -> None:
        highspy, self.solver = silent.silent_solver()
        self.infinity = highspy.kHighsInf
        self._integer = int(highspy.HighsVarType.kInteger)
        self._continuous = int(highspy.HighsVarType.kContinuous)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._interrupted = highspy.HighsModelStatus.kIterationLimit
        self._unlimited = int(highspy.kHighsIInf)
        self._add_static_part()
        self._index_members()
        self._add_first_patterns()

    # -- what it is made of

    def _add_static_part(self) -> None:
        """Add the variables of no endpoint and the rows that link endpoints, and index what endpoints put there."""
        blocks = self.rows.blocks
        self.static = [index for index, block in enumerate(blocks) if block is None]
        self.costs = np.array(self.rows.costs)
        position = {index: place for place, index in enumerate(self.static)}
        linking = [row for row in self.rows.rows if _is_linking(row[2], blocks)]
        static_rows: list[Row] = []
        link_rows, link_variables, link_values = [], [], []
        for number, (low, high, terms) in enumerate(linking):
            static_rows.append(
                (low, high, {position[index]: terms[index] for index in terms if blocks[index] is None})
            )
            for index, value in terms.items():
                if blocks[index] is not None:
                    link_rows.append(number)
                    link_variables.append(index)
                    link_values.append(value)
        order = np.argsort(np.array(link_variables), kind="stable")
        self._link_rows = np.array(link_rows, dtype=np.int32)[order]
        self._link_variables = np.array(link_variables, dtype=np.int32)[order]
        self._link_values = np.array(link_values, dtype=float)[order]
        self._link_starts = np.searchsorted(self._link_variables, np.arange(len(self.costs) + 1))
        count = len(self.static)
        self.solver.addVars(
            count,
            np.array([self.rows.lower(index) for index in self.static], dtype=float),
            np.array([self.rows.upper(index) for index in self.static], dtype=float),
        )
        self.solver.changeColsCost(count, np.arange(count, dtype=np.int32), self.costs[self.static])
        add_rows(self.solver, static_rows)
        self._linking = len(linking)
        self.short = [number for number, (low, _, _) in enumerate(linking) if low > 0]
        """Rows that need something, which may be missing at a price above every other."""

    def _index_members(self) -> None:
        """Put what is known of endpoints and their members into arrays."""
        endpoints = self.endpoints
        members = [index for endpoint in endpoints for index in endpoint.members]
        self.members = np.array(members, dtype=np.int32)
        self._member_rows = np.array([self.row_of(index) for index in members], dtype=np.int32)
        self._member_loads = np.array([load for endpoint in endpoints for load in endpoint.loads])
        sizes = [len(endpoint.members) for endpoint in endpoints]
        self._member_endpoints = np.repeat(np.arange(len(endpoints)), sizes)
        self._replicas = np.array([endpoint.replicas for endpoint in endpoints], dtype=np.int32)
        self._most_replicas = np.array([self.rows.upper(endpoint.replicas) for endpoint in endpoints])
        # An endpoint without dedicated hardware has its replicas here, with the part 0.
        units = [tuple(endpoint.dedicated) or (endpoint.replicas,) for endpoint in endpoints]
        self._first_units = np.array([variables[0] for variables in units], dtype=np.int32)
        self._last_units = np.array([variables[-1] for variables in units], dtype=np.int32)
        self._unit_parts = np.array([_least_units(endpoint) for endpoint in endpoints])
        self._best_shares = np.array([_best_share(endpoint.limits) for endpoint in endpoints])

    def _add_first_patterns(self) -> None:
        """Add the cheapest patterns of each workload alone, and the prices of leaving it out."""
        singles = [
            Pattern(number, count, (index,))
            for number, endpoint in enumerate(self.endpoints)
            for index, load in zip(endpoint.members, endpoint.loads, strict=True)
            if (count := endpoint.replicas_for(load)) is not None
        ]
        prices = {pattern: self.price(pattern) for pattern in singles}
        by_row: dict[int, list[Pattern]] = {}
        for pattern in sorted(singles, key=lambda pattern: (prices[pattern], pattern.members)):
            cover = by_row.setdefault(self.row_of(pattern.members[0]), [])
            if len(cover) < FIRST_PATTERNS:
                cover.append(pattern)
        cheapest = math.fsum(min(prices[pattern] for pattern in patterns) for patterns in by_row.values())
        for number in self.short:
            self.solver.addCol(max(MISSING * cheapest, LEAST_MISSING), 0.0, self.infinity, 1, [number], [1.0])
        self.add(pattern for patterns in by_row.values() for pattern in patterns)

    @property
    def first_pattern(self) -> int:
        """Column of the first pattern."""
        return len(self.static) + len(self.short)

    def rows_of(self, pattern: Pattern) -> list[int]:
        """The rows that give the pattern's workloads one choice each."""
        return [self.row_of(member) for member in pattern.members]

    def row_of(self, member: int) -> int:
        """The row that gives a member's workload one choice."""
        return int(self._link_rows[self._link_starts[member]])

    # -- patterns

    def add(self, patterns: Iterable[Pattern]) -> int:
        """Add patterns that are new, and return their number."""
        new = [pattern for pattern in dict.fromkeys(patterns) if pattern not in self._places]
        if not new:
            return 0
        starts, indices, values = [], [], []
        for pattern in new:
            starts.append(len(indices))
            column = self._column(pattern)
            indices += column
            values += column.values()
        self.solver.addCols(
            len(new),
            np.array([self._objective(pattern) for pattern in new]),
            np.zeros(len(new)),
            np.full(len(new), self.infinity),
            len(indices),
            np.array(starts, dtype=np.int32),
            np.array(indices, dtype=np.int32),
            np.array(values, dtype=float),
        )
        self._places |= {pattern: place for place, pattern in enumerate(new, len(self.patterns))}
        self.patterns += new
        return len(new)

    def bound(self, patterns: Iterable[Pattern], low: float, high: float) -> None:
        """Bound how often each of these patterns is chosen."""
        for pattern in patterns:
            self.solver.changeColBounds(self.first_pattern + self._places[pattern], low, high)

    def _column(self, pattern: Pattern) -> dict[int, float]:
        """What a pattern puts into each row."""
        column: dict[int, float] = {}
        for index, times in self.variables(pattern):
            for place in range(self._link_starts[index], self._link_starts[index + 1]):
                row = int(self._link_rows[place])
                column[row] = column.get(row, 0.0) + times * float(self._link_values[place])
        if pattern.endpoint in self._once:
            column[self._once[pattern.endpoint]] = 1.0
        if self._cost_row is not None:
            column[self._cost_row] = self.price(pattern)
        return column

    def variables(self, pattern: Pattern) -> Iterator[tuple[int, float]]:
        """The variables of the program that a pattern sets, with their values."""
        yield from ((index, 1.0) for index in pattern.members)
        endpoint = self.endpoints[pattern.endpoint]
        yield endpoint.replicas, float(pattern.count)
        if endpoint.dedicated:
            yield from (
                (index, float(units))
                for index, units in zip(endpoint.dedicated, endpoint.units[pattern.count - 1], strict=True)
            )

    def price(self, pattern: Pattern) -> float:
        """USD a month of a pattern."""
        return math.fsum(self.costs[index] * times for index, times in self.variables(pattern))

    def _objective(self, pattern: Pattern) -> float:
        if self._scores is None:
            return self.price(pattern)
        return -math.fsum(self._scores[index] for index in pattern.members)

    def carries(self, number: int, members: tuple[int, ...], count: int) -> bool:
        """Whether so many replicas of an endpoint carry members together."""
        key = number, members, count
        if key not in self._carried:
            endpoint, limit = self.endpoints[number], self.endpoints[number].limits[count - 1]
            self._carried[key] = endpoint.load(members) <= limit + TOLERANCE and (
                len(members) < 2 or self.carried_together(number, members, limit)
            )
        return self._carried[key]

    def needed(self, number: int, members: tuple[int, ...]) -> int | None:
        """The replicas that members need together; None if the endpoint cannot have so many."""
        if (number, members) not in self._counts:
            endpoint = self.endpoints[number]
            least = endpoint.replicas_for(endpoint.load(members)) or len(endpoint.limits) + 1
            counts = [count for count, limit in enumerate(endpoint.limits, 1) if count >= least and limit > 0]
            place = first_that_passes(len(counts), lambda place: self.carries(number, members, counts[place]))
            self._counts[number, members] = None if place is None else counts[place]
        return self._counts[number, members]

    def crowd(self, number: int, members: tuple[int, ...], count: int) -> tuple[tuple[int, ...], int | None]:
        """Of members that need more than `count` replicas, a smallest part that does, and what the part needs."""
        part = members
        for index in members:
            smaller = tuple(member for member in part if member != index)
            if smaller and not self.carries(number, smaller, count):
                part = smaller
        return part, self.needed(number, part)

    # -- solving

    def solve(self) -> float | None:
        """Solve the relaxed program for its cost and its shadow prices. None if it is infeasible."""
        self.solver.setOptionValue("simplex_iteration_limit", MAX_ITERATIONS)
        self.solver.run()
        self.solver.setOptionValue("simplex_iteration_limit", self._unlimited)
        if self.solver.getModelStatus() == self._interrupted:
            self.solver.clearSolver()
            self.solver.run()
        if self.solver.getModelStatus() != self._optimal:
            return None
        self.cost = float(self.solver.getInfo().objective_function_value)
        duals = np.array(self.solver.getSolution().row_dual)
        self._surcharges = {number: -float(duals[row]) for number, row in self._once.items()}
        priced = np.bincount(
            self._link_variables,
            weights=self._link_values * duals[self._link_rows],
            minlength=len(self.costs),
        )
        self.reduced = self.costs - priced
        return self.cost

    def gains(self) -> tuple[Any, Any]:
        """By member and by endpoint, what it saves at the shadow prices if replicas came in fractions: at most that."""
        units = np.minimum(self.reduced[self._first_units], self.reduced[self._last_units])
        per_replica = self.reduced[self._replicas] + self._unit_parts * units
        per_load = (per_replica / self._best_shares)[self._member_endpoints]
        gains = -self.reduced[self.members] - self._member_loads * per_load
        sums = np.bincount(
            self._member_endpoints, weights=np.maximum(gains, 0.0), minlength=len(self.endpoints)
        )
        return gains, sums

    def missing(self, at_most: Any) -> float:
        """What all patterns of a plan together could save at the shadow prices: at most that.

        `at_most`: by endpoint, what one of its patterns saves. Each pattern has a workload of its own that pays for it
        in part, so a plan saves for each workload at most what the best endpoint for it does.
        """
        pays = self.reduced[self.members] < 0
        by_row = np.zeros(self._linking)
        np.maximum.at(by_row, self._member_rows[pays], at_most[self._member_endpoints[pays]])
        # Rows that are met with equality can price a replica below nothing.
        beyond = np.maximum(0.0, -self.reduced[self._replicas]) @ self._most_replicas
        return float(min(at_most.sum(), by_row.sum()) + beyond)

    def prices(self, number: int) -> list[float]:
        """What 1, 2, … replicas of an endpoint cost at the shadow prices, with their dedicated hardware."""
        endpoint = self.endpoints[number]
        base, replica = self._surcharges.get(number, 0.0), float(self.reduced[endpoint.replicas])
        units = [float(self.reduced[index]) for index in endpoint.dedicated]
        if not units:
            return [base + replica * count for count in range(1, len(endpoint.limits) + 1)]
        return [
            base + replica * count + sum(price * part for price, part in zip(units, parts, strict=True))
            for count, parts in enumerate(endpoint.units, 1)
        ]

    def count(self, variables: Sequence[int]) -> int:
        """Add a row for the sum of variables of no endpoint, without limits, and return it."""
        row = self.solver.getNumRow()
        places = [self.static.index(variable) for variable in variables]
        self.solver.addRow(-self.infinity, self.infinity, len(places), places, [1.0] * len(places))
        return row

    def limit(self, row: int, low: float, high: float) -> None:
        """Limit a row that `count` added."""
        self.solver.changeRowBounds(row, max(low, -self.infinity), min(high, self.infinity))

    def sum_of(self, variables: Sequence[int]) -> float:
        """The sum of variables of no endpoint in the present solution."""
        values = self.solver.getSolution().col_value
        return math.fsum(values[self.static.index(variable)] for variable in variables)

    def is_short(self) -> bool:
        """Whether the relaxed program leaves out what a row needs."""
        first = len(self.static)
        return sum(self.solver.getSolution().col_value[first : self.first_pattern]) > 1e-6

    def allow_missing(self, *, is_allowed: bool) -> None:
        """Whether something may be left out."""
        for index in range(len(self.static), self.first_pattern):
            self.solver.changeColBounds(index, 0.0, self.infinity if is_allowed else 0.0)

    def forbid_several(self, values: Sequence[float]) -> bool:
        """Allow one pattern to each endpoint that has more in a solution. Returns whether there was one."""
        sums: dict[int, float] = {}
        for pattern, value in zip(self.patterns, values[self.first_pattern :], strict=False):
            if value > 1e-9:
                sums[pattern.endpoint] = sums.get(pattern.endpoint, 0.0) + value
        several = [number for number, value in sums.items() if value > 1 + 1e-6 and number not in self._once]
        for number in several:
            self._once[number] = self.solver.getNumRow()
            columns = [
                self.first_pattern + place
                for place, pattern in enumerate(self.patterns)
                if pattern.endpoint == number
            ]
            self.solver.addRow(-self.infinity, 1.0, len(columns), columns, [1.0] * len(columns))
        return bool(several)

    def decide_by_score(self, most: float) -> None:
        """From now on the best score is sought, at a cost of at most `most`."""
        self._scores = np.array(self.rows.scores)
        prices = [self.price(pattern) for pattern in self.patterns]
        costs = np.concatenate([self.costs[self.static], np.zeros(len(self.short)), prices])
        indices = np.flatnonzero(costs)
        self._cost_row = self.solver.getNumRow()
        self.solver.addRow(-self.infinity, most, len(indices), indices.astype(np.int32), costs[indices])
        count = self.solver.getNumCol()
        objective = np.zeros(count)
        objective[: len(self.static)] = -self._scores[self.static]
        objective[self.first_pattern :] = [self._objective(pattern) for pattern in self.patterns]
        self.solver.changeColsCost(count, np.arange(count, dtype=np.int32), objective)

    def make_whole(self, whole: Container[str]) -> None:
        """Let the patterns of these groups and the static variables be whole numbers, the other patterns parts."""
        kinds = np.full(self.solver.getNumCol(), self._integer, dtype=np.uint8)
        kinds[len(self.static) : self.first_pattern] = self._continuous
        are_whole = [self.group(pattern) in whole for pattern in self.patterns]
        kinds[self.first_pattern :] = np.where(are_whole, self._integer, self._continuous)
        self._set_kinds(kinds)

    def relax(self) -> None:
        """Let every variable be a part again."""
        self._set_kinds(np.full(self.solver.getNumCol(), self._continuous, dtype=np.uint8))

    def _set_kinds(self, kinds: Any) -> None:
        self.solver.changeColsIntegrality(len(kinds), np.arange(len(kinds), dtype=np.int32), kinds)

    def group(self, pattern: Pattern) -> str:
        """The group of a pattern's endpoint, as text."""
        return str(self.endpoints[pattern.endpoint].group)

    def program_values(self, values: Sequence[float], chosen: Iterable[Pattern]) -> Mapping[int, float]:
        """The variables of the program with chosen patterns, each with as few replicas as its workloads need."""
        plan = {index: float(round(values[place])) for place, index in enumerate(self.static)}
        for pattern in chosen:
            count = self.needed(pattern.endpoint, pattern.members) or pattern.count
            plan |= dict(self.variables(replace(pattern, count=count)))
        return plan


def _is_linking(terms: Mapping[int, float], blocks: Sequence[Any]) -> bool:
    """Whether a row has variables of several blocks, or of none."""
    first = next(iter(terms), None)
    block = None if first is None else blocks[first]
    return block is None or any(blocks[index] != block for index in terms)


def _best_share(limits: Sequence[float]) -> float:
    """The load of a replica, with the number of replicas that carries most for each."""
    return max((limit / count for count, limit in enumerate(limits, 1)), default=1.0) or 1.0


def _least_units(endpoint: Endpoint) -> float:
    """The dedicated hardware for a replica, with the number of replicas that needs least for each; 0 without any."""
    if not endpoint.dedicated:
        return 0.0
    return min((sum(parts) / count for count, parts in enumerate(endpoint.units, 1)), default=0.0)
