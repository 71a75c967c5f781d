"""Computes the replicas that workloads need together when they share an endpoint and slow each other down.

The program adds up the replicas that each workload needs alone. That is too few if short answers share an endpoint with
long prompts. Then a constraint is added, and the program is solved again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, OnGpus, Options
from isthmus.planning.sizing import demand, fit
from isthmus.planning.sizing.demand import Demand
from isthmus.planning.solver import capacity_rows
from isthmus.planning.solver.problem import Choice, CrowdedEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.solver.problem import Solution

UNREACHABLE_REPLICAS = 1e6
"""Replicas of workloads that cannot meet their goals together at any load."""


@dataclass(frozen=True)
class Sharers:
    """The workloads on one column, with their choices."""

    column: Column
    names: Sequence[str]
    choices: Sequence[Choice]


def group_by_column(choices: Mapping[str, Choice]) -> list[Sharers]:
    """Return the sharers of each column, in the order of their first workload."""
    names_by_column: dict[Column, list[str]] = {}
    for name, choice in choices.items():
        if isinstance(choice.option, OnGpus):
            names_by_column.setdefault(choice.option.column, []).append(name)
    return [
        Sharers(column, names, [choices[name] for name in names]) for column, names in names_by_column.items()
    ]


def shared_replicas(requirements: Requirements, options: Options, sharers: Sharers) -> float:
    """Return the replicas that the peaks need together, without headroom."""
    separate_replicas = math.fsum(
        choice.option.units * choice.part for choice in sharers.choices if isinstance(choice.option, OnGpus)
    )
    if len(sharers.names) < 2:
        return separate_replicas
    factor = fit.shared_load_factor(options.fit(sharers.column), sharer_demands(requirements, sharers))
    return 1 / factor if factor else UNREACHABLE_REPLICAS


def carried_by(requirements: Requirements, options: Options, sharers: Sharers, limit: float) -> bool:
    """Whether replicas that carry `limit` times the load of one carry the peaks together."""
    demands = sharer_demands(requirements, sharers)
    return fit.carries_together(options.fit(sharers.column), demands, 1 / limit)


def sharer_demands(requirements: Requirements, sharers: Sharers) -> tuple[Demand, ...]:
    """Return the demand of each sharer at its peak."""
    shared_demands = []
    for name, choice in zip(sharers.names, sharers.choices, strict=True):
        if (workload := requirements.workload(name)) is not None:
            workload_demand = demand.of_workload(workload)
            shared_demands.append(replace(workload_demand, rate=workload_demand.rate * choice.part))
    return tuple(shared_demands)


def find_crowded(requirements: Requirements, options: Options, solution: Solution) -> list[CrowdedEndpoint]:
    """Return the endpoints of a solution that have too few replicas for the workloads that share them."""
    crowded_endpoints: list[CrowdedEndpoint] = []
    for sharers in group_by_column(solution.choices):
        if len(sharers.names) < 2:
            continue
        needed_replicas = capacity_rows.least_replicas(
            requirements, sharers.column, shared_replicas(requirements, options, sharers)
        )
        if needed_replicas > solution.replicas[sharers.column]:
            peak_parts = {
                name: choice.part for name, choice in zip(sharers.names, sharers.choices, strict=True)
            }
            crowded_endpoints.append(CrowdedEndpoint(sharers.column, peak_parts, needed_replicas))
    return crowded_endpoints


def choices_elsewhere(solution: Solution, columns: Set[Column]) -> dict[str, Choice]:
    """Return the choices of workloads that use none of the columns."""
    return {
        name: choice
        for name, choice in solution.choices.items()
        if not isinstance(choice.option, OnGpus) or choice.option.column not in columns
    }
