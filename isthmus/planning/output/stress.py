"""What breaks first when more comes than was planned for, and what it would take to hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import Stress
from isthmus.planning.options.hardware import each_holds, pool_of, taken, usable
from isthmus.planning.options.option import Column
from isthmus.planning.output import growth
from isthmus.planning.output.endpoints import Made
from isthmus.planning.sizing.rounding import three
from isthmus.planning.solver.program import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


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
        plural = "s" if count > 1 else ""
        what = _hardware(requirements, solution, each.column, count)
        needs.append(f"{each.endpoint.id}: {count} more replica{plural}, {what}")
    outgrown = growth.of(requirements, made, solution)
    return Stress(
        factor=factor,
        holds=at[first] >= factor - 1e-9,
        breaks_first=first,
        breaks_at=three(at[first]),
        needs=needs,
        outgrown_first=outgrown and outgrown.endpoint,
        outgrown_in_months=outgrown and outgrown.months,
    )


def _hardware(requirements: Requirements, solution: Solution, column: Column, count: int) -> str:
    """What so many more replicas run on, and whether it is there."""
    if column.instance is not None:
        return f"{math.ceil(count / each_holds(column))} x {column.instance}"
    gpus = math.ceil(count / each_holds(column)) * column.degree * column.nodes
    site, pool = pool_of(requirements, column)
    free = sum(usable(site, pool)) - taken(solution.replicas).get((site.name, pool.gpu), 0)
    room = "the pool has them" if gpus <= free else f"the pool has {free} left"
    return f"{gpus} x {column.gpu} ({room})"
