"""What breaks first when more comes than was planned for, and what it would take to hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.plan import Stress
from isthmus.planning.endpoints import Made
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
    at = {
        each.endpoint.id: solution.replicas[each.column] / each.load
        for each in made
        if each.column is not None and each.load
    }
    if not at:
        return Stress(factor=factor, holds=True)
    first = min(at, key=lambda name: (at[name], name))
    needs = []
    for each in made:
        if each.column is None or at[each.endpoint.id] >= factor - 1e-9:
            continue
        count = math.ceil(each.load * factor - 1e-9) - solution.replicas[each.column]
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


def _free(requirements: Requirements, solution: Solution, column: Column) -> int:
    site, pool = pool_of(requirements, column)
    used = sum(
        count * each.degree
        for each, count in solution.replicas.items()
        if (each.site, each.gpu) == (column.site, column.gpu)
    )
    return sum(usable(site, pool)) - used
