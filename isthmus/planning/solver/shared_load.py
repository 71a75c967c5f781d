"""Workloads that share an endpoint: what their peaks take of it together, where each is slowed by what the others send.

The program adds up what each takes alone. Where short answers stand beside long prompts that is too little: what a
solution leaves short so is told to the program, which is solved again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, OnGpus, Options
from isthmus.planning.sizing import demand, fit
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.solver import capacity_rows
from isthmus.planning.solver.problem import Choice, Crowd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.solver.program import Solution

NEVER = 1e6
"""Replicas of workloads that keep their goals together at no load."""


@dataclass(frozen=True)
class Sharers:
    """The workloads on one column, with what each takes of it."""

    column: Column
    names: Sequence[str]
    choices: Sequence[Choice]


def by_column(choices: Mapping[str, Choice]) -> list[Sharers]:
    """Who shares what, in the order of the first workload on each."""
    found: dict[Column, list[str]] = {}
    for name, choice in choices.items():
        if isinstance(choice.option, OnGpus):
            found.setdefault(choice.option.column, []).append(name)
    return [Sharers(column, names, [choices[name] for name in names]) for column, names in found.items()]


def load(requirements: Requirements, found: Options, sharers: Sharers) -> float:
    """Replicas that the peaks take together, without headroom."""
    alone = math.fsum(
        each.option.units * each.part for each in sharers.choices if isinstance(each.option, OnGpus)
    )
    if len(sharers.names) < 2:
        return alone
    times = fit.together(found.fit(sharers.column), demands(requirements, sharers))
    return 1 / times if times else NEVER


def demands(requirements: Requirements, sharers: Sharers) -> tuple[Demand, ...]:
    """What each sends there at its peak."""
    wanted = []
    for name, choice in zip(sharers.names, sharers.choices, strict=True):
        if (workload := requirements.workload(name)) is not None:
            one = demand.of(workload)
            wanted.append(replace(one, rate=one.rate * choice.part))
    return tuple(wanted)


def crowded(requirements: Requirements, found: Options, solution: Solution) -> list[Crowd]:
    """Endpoints of a solution that have fewer replicas than what shares them needs."""
    crowds: list[Crowd] = []
    for sharers in by_column(solution.choices):
        if len(sharers.names) < 2:
            continue
        need = capacity_rows.least(requirements, sharers.column, load(requirements, found, sharers))
        if need > solution.replicas[sharers.column]:
            parts = {name: choice.part for name, choice in zip(sharers.names, sharers.choices, strict=True)}
            crowds.append(Crowd(sharers.column, parts, need))
    return crowds


def others(solution: Solution, crowds: Sequence[Crowd]) -> dict[str, Choice]:
    """What those take who are on no crowded endpoint."""
    crowded = {name for crowd in crowds for name in crowd.parts}
    return {name: choice for name, choice in solution.choices.items() if name not in crowded}
