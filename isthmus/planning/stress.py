"""What breaks first when more comes than was planned for, and what it would take to hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.contracts.plan import Stress
from isthmus.planning import demand, fits
from isthmus.planning.endpoints import Made
from isthmus.planning.memory import Adapter
from isthmus.planning.options import Column
from isthmus.planning.pools import pool_of, usable
from isthmus.planning.program import Solution
from isthmus.planning.promise import three

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements


def of(
    requirements: Requirements,
    made: Sequence[Made],
    solution: Solution,
) -> Stress:
    """An endpoint breaks where its intact replicas no longer carry the load within the goals; APIs by quota only."""
    factor = requirements.planning.stress
    loads = {
        each.endpoint.id: _load(requirements, each, solution)
        for each in made
        if each.column is not None and each.load
    }
    at = {
        each.endpoint.id: solution.replicas[each.column] / loads[each.endpoint.id]
        for each in made
        if each.column is not None and each.endpoint.id in loads
    }
    if not at:
        return Stress(factor=factor, holds=True)
    first = min(at, key=lambda name: (at[name], name))
    needs = []
    for each in made:
        if each.column is None or at[each.endpoint.id] >= factor - 1e-9:
            continue
        count = math.ceil(loads[each.endpoint.id] * factor - 1e-9) - solution.replicas[each.column]
        gpus = count * each.column.degree
        free = _free(requirements, solution, each.column)
        room = "the pool has them" if gpus <= free else f"the pool has {free} left"
        plural = "s" if count > 1 else ""
        needs.append(f"{each.endpoint.id}: {count} more replica{plural}, {gpus} x {each.column.gpu} ({room})")
    return Stress(
        factor=factor,
        holds=at[first] >= factor - 1e-9,
        breaks_first=first,
        breaks_at=three(at[first]),
        needs=needs,
    )


def _load(requirements: Requirements, made: Made, solution: Solution) -> float:
    """Replicas that the peak takes. Of several workloads together: each is slowed by what the others send."""
    served = [each for each in requirements.workloads if each.name in made.primary]
    if len(served) < 2:
        return made.load
    endpoint = made.endpoint
    fit = fits.fit(
        endpoint.model,
        endpoint.gpu or "",
        endpoint.precision,
        endpoint.tensor_parallel or 1,
        endpoint.max_model_len or 0,
        tuple(Adapter(each.rank, each.size_mib) for each in endpoint.adapters),
    )
    wanted = [demand.of(each) for each in served]
    parts = [
        replace(each, rate=each.rate * solution.choices[workload.name].part)
        for each, workload in zip(wanted, served, strict=True)
    ]
    times = 0.0 if isinstance(fit, str) else fits.together(fit, parts)
    return 1 / times if times else made.load


def _free(requirements: Requirements, solution: Solution, column: Column) -> int:
    site, pool = pool_of(requirements, column)
    used = sum(
        count * each.degree
        for each, count in solution.replicas.items()
        if (each.site, each.gpu) == (column.site, column.gpu)
    )
    return sum(usable(site, pool)) - used
