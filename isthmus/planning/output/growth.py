"""In how many months the load outgrows the plan, where workloads say that they grow (`growth_pct_month`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.options.option import OnGpus
from isthmus.planning.output.endpoints import Made
from isthmus.planning.solver.program import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

MOST_MONTHS = 120
"""Ten years: nobody plans further, and growth does not go on so long."""


@dataclass(frozen=True)
class Outgrown:
    """The endpoint that is too small first, and after how many whole months it is."""

    endpoint: str
    months: int


def of(requirements: Requirements, made: Sequence[Made], solution: Solution) -> Outgrown | None:
    """When an endpoint's intact replicas no longer carry the peak within the goals; None: none does in ten years."""
    found: list[Outgrown] = []
    for each in made:
        if each.column is None:
            continue
        loads: list[tuple[float, float]] = []
        for name in each.primary:
            workload, choice = requirements.workload(name), solution.choices[name]
            if workload is not None and isinstance(choice.option, OnGpus):
                growth = 1 + workload.traffic.growth_pct_month / 100
                loads.append((choice.option.units * choice.part, growth))
        # What sharing costs besides stays in proportion: mixtures are not looked at month by month.
        count = solution.replicas[each.column] * math.fsum(load for load, _ in loads) / each.load
        months = next(
            (
                month
                for month in range(1, MOST_MONTHS + 1)
                if math.fsum(load * growth**month for load, growth in loads) > count + 1e-9
            ),
            None,
        )
        if months is not None:
            found.append(Outgrown(each.endpoint.id, months))
    return min(found, key=lambda one: (one.months, one.endpoint), default=None)
