"""Stress test of a plan: which endpoint fails first above the planned peak, and what it would need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.plan.document import Stress
from isthmus.planning.options.hardware import column_pool, gpus_in_use, replicas_per_unit, usable_gpus
from isthmus.planning.options.option import Column
from isthmus.planning.output import growth
from isthmus.planning.output.endpoints import SizedEndpoint
from isthmus.planning.sizing.rounding import three_digits
from isthmus.planning.solver.problem import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements


def run_stress_test(
    requirements: Requirements,
    endpoints: Sequence[SizedEndpoint],
    solution: Solution,
) -> Stress:
    """Return the stress test. An endpoint fails if its intact replicas cannot carry the load within the goals.

    APIs are limited by quotas only and do not appear here.
    """
    factor = requirements.planning.stress
    break_factors = {
        endpoint.endpoint.id: solution.replicas[endpoint.column] / endpoint.load
        for endpoint in endpoints
        if endpoint.column is not None and endpoint.load
    }
    if not break_factors:
        return Stress(factor=factor, holds=True)
    first_to_break = min(break_factors, key=lambda name: (break_factors[name], name))
    needs = []
    for endpoint in endpoints:
        if endpoint.column is None or break_factors[endpoint.endpoint.id] >= factor - 1e-9:
            continue
        count = math.ceil(endpoint.load * factor - 1e-9) - solution.replicas[endpoint.column]
        plural = "s" if count > 1 else ""
        hardware = _describe_extra_hardware(requirements, solution, endpoint.column, count)
        needs.append(f"{endpoint.endpoint.id}: {count} more replica{plural}, {hardware}")
    outgrown = growth.find_first_outgrown(requirements, endpoints, solution)
    return Stress(
        factor=factor,
        holds=break_factors[first_to_break] >= factor - 1e-9,
        breaks_first=first_to_break,
        breaks_at=three_digits(break_factors[first_to_break]),
        needs=needs,
        outgrown_first=outgrown and outgrown.endpoint,
        outgrown_in_months=outgrown and outgrown.months,
    )


def _describe_extra_hardware(
    requirements: Requirements, solution: Solution, column: Column, count: int
) -> str:
    """Return the hardware of `count` more replicas, and whether the pool has it."""
    if column.instance is not None:
        return f"{math.ceil(count / replicas_per_unit(column))} x {column.instance}"
    gpus = math.ceil(count / replicas_per_unit(column)) * column.degree * column.nodes
    site, pool = column_pool(requirements, column)
    free = sum(usable_gpus(site, pool)) - gpus_in_use(solution.replicas).get((site.name, pool.gpu), 0)
    room = "the pool has enough free GPUs" if gpus <= free else f"the pool has {free} free"
    return f"{gpus} x {column.gpu} ({room})"
