"""Whether the capacity that other work leaves over a day suffices for batches, and the price of their storage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.planning.options.option import OnGpus
from isthmus.planning.output.endpoints import SizedEndpoint
from isthmus.planning.sizing import demand
from isthmus.planning.solver.problem import Solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements, Workload

STORED_DAYS = 2
"""Days for which a line is stored at most: until its batch ends, and as its result."""
STORAGE_USD = 0.115
"""Of a GB of database storage for a month. The organisation's own PostgreSQL may cost another amount."""
STORAGE_SOURCE = (
    "gp3 storage of Amazon RDS for PostgreSQL in us-east-1, as quoted by "
    "https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/"
)
STORAGE_AS_OF = "2026-06"


@dataclass(frozen=True)
class BatchCapacity:
    """The capacity of an endpoint on a busy day, in hours of one replica."""

    endpoint: str
    workloads: Sequence[str]
    """Those with batches."""
    needed: float
    """What the batches take, at the speed that the latency goals allow."""
    left: float
    """What other work leaves."""
    total: float

    @property
    def suffices(self) -> bool:
        return self.needed <= self.left


def batch_capacities(
    requirements: Requirements, endpoints: Sequence[SizedEndpoint], solution: Solution
) -> list[BatchCapacity]:
    """Return the capacities of all endpoints on GPUs that serve batches.

    Each hour is taken at its part of the peak, so the check is for the busiest day. All replicas are intact.
    """
    capacities: list[BatchCapacity] = []
    for endpoint in endpoints:
        served = [requirements.workload(name) for name in endpoint.primary]
        workloads = [workload for workload in served if workload is not None]
        batched = [workload for workload in workloads if workload.batches is not None]
        if endpoint.column is None or not batched:
            continue
        units = {workload.name: _units(workload, solution) for workload in workloads}
        # Requests of different lengths on one replica cost more than each alone.
        sharing = endpoint.load / math.fsum(units.values())
        replicas = solution.replicas[endpoint.column]
        left = math.fsum(
            max(
                0.0,
                replicas
                - sharing * math.fsum(_load(workload, hour) * units[workload.name] for workload in workloads),
            )
            for hour in range(24)
        )
        needed = sharing * math.fsum(units[workload.name] * _busy_hours(workload) for workload in batched)
        names = [workload.name for workload in batched]
        capacities.append(BatchCapacity(endpoint.endpoint.id, names, needed, left, 24.0 * replicas))
    return capacities


def _units(workload: Workload, solution: Solution) -> float:
    """Return the replicas that the peak of a workload takes at its own place."""
    choice = solution.choices[workload.name]
    return choice.option.units * choice.part if isinstance(choice.option, OnGpus) else 0.0


def _load(workload: Workload, hour: int) -> float:
    """Return the load of an hour as a part of the peak. Batch workloads run at one rate."""
    if workload.mode == "batch":
        return 1.0
    hourly = demand.hourly_weights(workload)
    return hourly[hour] / max(hourly)


def _busy_hours(workload: Workload) -> float:
    """Return the hours at the peak rate in which a day's lines are answered."""
    lines = workload.batches.requests_per_day if workload.batches is not None else 0.0
    return lines / demand.of_workload(workload).rate / 3600


def batch_warnings(requirements: Requirements, capacities: Sequence[BatchCapacity]) -> list[str]:
    """Warn about batches that do not fit into a day, and about batches of unknown volume."""
    warnings = [_shortage(capacity) for capacity in capacities if not capacity.suffices]
    return warnings + [
        f"{workload.name} takes batches of unknown volume, so the plan neither checks their capacity nor prices their "
        "tokens. Fix: State batches.requests_per_day"
        for workload in requirements.workloads
        if "batches" in workload.interfaces and workload.batches is None
    ]


def _shortage(capacity: BatchCapacity) -> str:
    part = math.floor(100 * capacity.left / capacity.needed)
    return (
        f"batches of {', '.join(capacity.workloads)} at {capacity.endpoint} need {capacity.needed:,.1f} replica-hours "
        f"a day, and other work leaves {capacity.left:,.1f} of {capacity.total:,.0f} on its busiest day, so "
        f"{capacity.needed - capacity.left:,.1f} are missing. Fix: Lower batches.requests_per_day to {part} % of it, "
        "or state this work as a workload of its own with `mode: batch`, for which the plan adds replicas"
    )


def describe_batches(capacities: Sequence[BatchCapacity]) -> list[str]:
    """Return by how much the capacity for batches suffices."""
    return [
        f"Batches of {', '.join(capacity.workloads)} at {capacity.endpoint} need {capacity.needed:,.1f} of the "
        f"{capacity.left:,.1f} replica-hours that other work leaves on its busiest day."
        for capacity in capacities
        if capacity.suffices
    ]
