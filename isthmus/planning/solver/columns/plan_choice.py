"""Chooses whole patterns for a plan: class by class, then class by class again with workloads that may move."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.planning.solver import watch
from isthmus.planning.solver.columns.endpoints import Pattern
from isthmus.planning.solver.columns.master import Master

MAX_NODES, GAP = 40, 0.001
"""At which the search for a part of a plan ends."""
IMPROVEMENTS = 3
"""Times that each class is chosen anew."""
LEAST_GAIN = 1e-9
"""Share of the cost that a change must gain."""
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
    """Choose whole patterns class by class, while those of later classes stay parts. None if no choice was found."""
    groups = sorted({master.group(pattern) for pattern in master.patterns})
    chosen: Chosen | None = None
    kept: list[Pattern] = []
    for number in range(len(groups)):
        chosen = _choose(master, groups[: number + 1])
        if chosen is None:
            break
        kept = [pattern for pattern in chosen.patterns if master.group(pattern) in groups[: number + 1]]
        _keep(master, kept, is_kept=True)
    _keep(master, kept, is_kept=False)
    return chosen


def improve(master: Master, chosen: Chosen) -> Chosen:
    """Choose the endpoints of one class anew while the others stay, class by class."""
    groups = sorted({master.group(pattern) for pattern in chosen.patterns})
    for group in groups * IMPROVEMENTS:
        if watch.is_ending():
            break
        others = [pattern for pattern in chosen.patterns if master.group(pattern) != group]
        own = [pattern for pattern in chosen.patterns if master.group(pattern) == group]
        master.add(_neighbours(master, own))
        _keep(master, others, is_kept=True)
        again = _choose(master, groups, chosen.values)
        _keep(master, others, is_kept=False)
        if again is not None and again.cost < chosen.cost - LEAST_GAIN * abs(chosen.cost):
            chosen = again
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
    cost = float(solver.getInfo().objective_function_value)
    master.relax()
    master.allow_missing(is_allowed=True)
    if not is_solved:
        return None
    parts = zip(master.patterns, solution[master.first_pattern :], strict=True)
    return Chosen(cost, solution, [pattern for pattern, value in parts if value > 0.5])


def _keep(master: Master, patterns: Iterable[Pattern], *, is_kept: bool) -> None:
    wanted = set(patterns)
    for place, pattern in enumerate(master.patterns):
        if pattern in wanted:
            low = 1.0 if is_kept else 0.0
            master.solver.changeColBounds(master.first_pattern + place, low, master.infinity)


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
