"""Finds the endpoint that the load outgrows first, from the growth that workloads state (`growth_pct_month`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.options.option import OnGpus
from isthmus.planning.output.endpoints import SizedEndpoint
from isthmus.planning.solver.problem import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

MOST_MONTHS = 120
"""Ten years. No growth rate holds for longer."""


@dataclass(frozen=True)
class Outgrown:
    """The first endpoint that becomes too small, and after how many whole months."""

    endpoint: str
    months: int


def find_first_outgrown(
    requirements: Requirements, endpoints: Sequence[SizedEndpoint], solution: Solution
) -> Outgrown | None:
    """Return the first endpoint whose intact replicas cannot carry the grown peak; None if none within ten years."""
    outgrown: list[Outgrown] = []
    for endpoint in endpoints:
        if endpoint.column is None:
            continue
        loads: list[tuple[float, float]] = []
        for name in endpoint.primary:
            workload, choice = requirements.workload(name), solution.choices[name]
            if workload is not None and isinstance(choice.option, OnGpus):
                growth = 1 + workload.traffic.growth_pct_month / 100
                loads.append((choice.option.units * choice.part, growth))
        # The extra load of sharing is assumed to grow in proportion.
        count = solution.replicas[endpoint.column] * math.fsum(load for load, _ in loads) / endpoint.load
        months = next(
            (
                month
                for month in range(1, MOST_MONTHS + 1)
                if math.fsum(load * growth**month for load, growth in loads) > count + 1e-9
            ),
            None,
        )
        if months is not None:
            outgrown.append(Outgrown(endpoint.endpoint.id, months))
    return min(outgrown, key=lambda candidate: (candidate.months, candidate.endpoint), default=None)
