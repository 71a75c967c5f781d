"""Chooses whole patterns for a plan: one after another, then class by class again with workloads that may move."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.planning.solver import watch
from isthmus.planning.solver.columns.endpoints import Pattern
from isthmus.planning.solver.columns.master import Master

MAX_NODES, GAP = 40, 0.001
"""At which the search for a part of a plan ends."""
NEARLY, PART = 0.99, 1e-6
"""A pattern of which the relaxed program has so much is taken as a whole; less than the second is nothing."""
DEARER, MAX_FIXED = 0.003, 1000
"""A pattern that makes the program dearer by more than this share is left out; at most so many steps."""
IMPROVEMENTS = 3
"""Times that each class is chosen anew."""
LEAST_GAIN, CYCLE_GAIN = 1e-9, 1e-3
"""Share of the cost that a change must gain, and all classes together to be chosen once more."""
MAX_REPEATS = 6
"""Times that a plan is sought again because an endpoint had several patterns."""


@dataclass(frozen=True)
class Chosen:
    """Whole patterns of a plan."""

    cost: float
    """USD a month; while the score decides, the score with a minus."""
    values: Sequence[float]
    """Of the master's variables."""
    patterns: Sequence[Pattern]


def first_plan(master: Master) -> Chosen | None:
    """Choose whole patterns one after another, or class by class if that gives no plan. None if no choice was found."""
    groups = {master.group(pattern) for pattern in master.patterns}
    master.solve()
    # An endpoint of which the relaxed program has parts of several patterns would get several.
    master.forbid_several([min(1.0, value * 1e6) for value in master.solver.getSolution().col_value])
    _fix_patterns(master)
    chosen = None if master.is_short() else _choose(master, groups)
    master.bound(master.patterns, 0.0, master.infinity)
    return chosen or _class_by_class(master)


def _fix_patterns(master: Master) -> None:
    """Fix the patterns that the relaxed program has nearly as a whole, and solve it again, until all are whole.

    A pattern that makes the program much dearer is left out instead.
    """
    parts, cost = _parts(master)
    most_dearer = DEARER * abs(cost)
    fixed: set[Pattern] = set()
    for _ in range(MAX_FIXED):
        largest_first = sorted(parts.items(), key=lambda part: -part[1])
        open_parts = [(pattern, part) for pattern, part in largest_first if pattern not in fixed]
        if not open_parts:
            break
        largest = [open_parts[0][0]]
        nearly = [pattern for pattern, part in open_parts if part >= NEARLY]
        for batch in filter(None, (nearly, largest)):
            master.bound(batch, 1.0, 1.0)
            after, cost_after = _parts(master)
            if cost_after <= cost + most_dearer:
                fixed |= set(batch)
                parts, cost = after, cost_after
                break
            master.bound(batch, 0.0, master.infinity)
        else:
            master.bound(largest, 0.0, 0.0)
            parts, cost = _parts(master)


def _parts(master: Master) -> tuple[dict[Pattern, float], float]:
    """Solve the relaxed program. Returns how much it has of each pattern, and its cost; infinite without a solution."""
    while (cost := master.solve()) is not None:
        solution = master.solver.getSolution().col_value
        if not master.forbid_several(solution):
            parts = zip(master.patterns, solution[master.first_pattern :], strict=True)
            return {pattern: part for pattern, part in parts if part > PART}, cost
    return {}, math.inf


def _class_by_class(master: Master) -> Chosen | None:
    """Choose whole patterns class by class, while those of later classes stay parts."""
    groups = sorted({master.group(pattern) for pattern in master.patterns})
    chosen: Chosen | None = None
    kept: list[Pattern] = []
    for number in range(len(groups)):
        chosen = _choose(master, groups[: number + 1])
        if chosen is None:
            break
        kept = [pattern for pattern in chosen.patterns if master.group(pattern) in groups[: number + 1]]
        master.bound(kept, 1.0, master.infinity)
    master.bound(kept, 0.0, master.infinity)
    return chosen


def improve(master: Master, chosen: Chosen) -> Chosen:
    """Choose the endpoints of one class anew while the others stay, class by class."""
    groups = sorted({master.group(pattern) for pattern in chosen.patterns})
    for _ in range(IMPROVEMENTS):
        before = chosen.cost
        for group in groups:
            if watch.is_ending():
                return chosen
            others = [pattern for pattern in chosen.patterns if master.group(pattern) != group]
            own = [pattern for pattern in chosen.patterns if master.group(pattern) == group]
            master.add(_neighbours(master, own))
            master.bound(others, 1.0, 1.0)
            again = _choose(master, groups, chosen.values)
            master.bound(others, 0.0, master.infinity)
            if again is not None and again.cost < chosen.cost - LEAST_GAIN * abs(chosen.cost):
                chosen = again
        if before - chosen.cost <= CYCLE_GAIN * abs(before):
            break
    return chosen


def _choose(master: Master, whole: Container[str], start: Sequence[float] | None = None) -> Chosen | None:
    """Choose whole patterns of the groups `whole`, from a known solution if there is one."""
    solver = master.solver
    master.allow_missing(is_allowed=False)
    master.make_whole(whole)
    solver.setOptionValue("mip_rel_gap", GAP)
    solver.setOptionValue("mip_max_nodes", MAX_NODES)
    if start is not None:
        values = np.zeros(solver.getNumCol())
        values[: len(start)] = start
        solver.setSolution(len(values), np.arange(len(values), dtype=np.int32), values)
    is_solved = False
    for _ in range(MAX_REPEATS):
        solver.run()
        if not master.forbid_several(solver.getSolution().col_value):
            is_solved = solver.getInfo().primal_solution_status == 2
            break
    solution = list(solver.getSolution().col_value)
    cost = float(np.array(solver.getLp().col_cost_) @ np.array(solution)) if solution else math.inf
    master.relax()
    master.allow_missing(is_allowed=True)
    if not is_solved:
        return None
    parts = zip(master.patterns, solution[master.first_pattern :], strict=True)
    return Chosen(cost, solution, [pattern for pattern, value in parts if value > 0.5])


def _neighbours(master: Master, patterns: Sequence[Pattern]) -> Iterator[Pattern]:
    """Patterns that have a workload more or less than these; all workloads of a class may move between them."""
    rows = {row for pattern in patterns for row in master.rows_of(pattern)}
    for pattern in patterns:
        own = set(master.rows_of(pattern))
        smaller = [
            tuple(member for member in pattern.members if member != index) for index in pattern.members
        ]
        larger = [
            tuple(sorted((*pattern.members, index)))
            for index in master.endpoints[pattern.endpoint].members
            if master.row_of(index) in rows - own
        ]
        for members in filter(None, (*smaller, *larger)):
            needed = master.needed(pattern.endpoint, members)
            if needed is not None:
                yield Pattern(pattern.endpoint, needed, members)
