"""When endpoints of a plan become too small or too large, if the trend of their workloads goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from isthmus.contracts.reports.measured_traffic import SizeOutlook
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options.option import Column, OnGpus
from isthmus.planning.solver.capacity_rows import least_replicas

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan, PlannedEndpoint
    from isthmus.contracts.reports.measured_traffic import Trend
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.options.option import Options

MOST_WEEKS = 52
"""Weeks that a trend is followed. No trend holds for longer."""

Becomes = Literal["too small", "too large"]
Loads = Sequence[tuple[float, "Trend | None"]]
"""Replicas that the peak of each workload takes, and its trend."""


def outlook(
    plan: Plan, requirements: Requirements, options: Options, trends: Mapping[str, Trend]
) -> list[SizeOutlook]:
    """Judge the endpoints of a plan on GPUs.

    `requirements` and `options` are those of the measured traffic; `trends`: those that exclude no change. A workload
    without one keeps its load. Endpoints of APIs are limited by quotas only, and are left out. So is an endpoint whose
    model no longer is an option of its workloads.
    """
    judged = []
    for endpoint in plan.endpoints:
        sized = _loads(endpoint, plan, options, trends) if endpoint.replicas and endpoint.gpu else None
        if sized is not None:
            column, loads = sized
            result = _judge(endpoint, requirements, column, list(loads.values()))
            if result is not None:
                names = [name for name, (_, trend) in loads.items() if trend is not None]
                judged.append(result.model_copy(update={"workloads": names}))
    return judged


def _loads(
    endpoint: PlannedEndpoint, plan: Plan, options: Options, trends: Mapping[str, Trend]
) -> tuple[Column, dict[str, tuple[float, Trend | None]]] | None:
    """The endpoint's column, and the load and trend of each of its workloads."""
    loads: dict[str, tuple[float, Trend | None]] = {}
    columns: list[Column] = []
    for placement in plan.placements:
        if placement.endpoint != endpoint.id or placement.role == "fallback":
            continue
        option = _option(endpoint, options, placement.workload)
        if option is None:
            return None
        part = 1.0 if placement.peak_share is None else placement.peak_share
        loads[placement.workload] = option.units * part, trends.get(placement.workload)
        columns.append(option.column)
    if not columns:
        return None
    return max(columns, key=lambda column: SURVIVES.index(column.survive)), loads


def _option(endpoint: PlannedEndpoint, options: Options, workload: str) -> OnGpus | None:
    for option in options.by_workload.get(workload, []):
        if isinstance(option, OnGpus) and _place(option.column) == (
            *(endpoint.site, endpoint.target, endpoint.model, endpoint.precision),
            *(endpoint.gpu, endpoint.mig_profile, endpoint.tensor_parallel, endpoint.nodes_per_replica),
            *(endpoint.instance_type,),
        ):
            return option
    return None


def _place(column: Column) -> tuple[object, ...]:
    return (
        *(column.site, column.target, column.model, column.precision),
        *(column.gpu, column.mig, column.degree, column.nodes, column.instance),
    )


def _judge(
    endpoint: PlannedEndpoint, requirements: Requirements, column: Column, loads: Loads
) -> SizeOutlook | None:
    replicas = endpoint.replicas or 1

    def needed(weeks: int, end: str) -> int:
        load = math.fsum(
            load * (1 + (getattr(trend, end) if trend else 0.0) / 100) ** weeks for load, trend in loads
        )
        return least_replicas(requirements, column, load)

    def first_week(becomes: Becomes, end: str) -> int | None:
        return next((week for week in range(MOST_WEEKS + 1) if is_wrong(becomes, needed(week, end))), None)

    def is_wrong(becomes: Becomes, count: int) -> bool:
        return count > replicas if becomes == "too small" else count < replicas

    now, later = needed(0, "pct_per_week"), needed(MOST_WEEKS, "pct_per_week")
    becomes: Becomes = "too small" if now > replicas or (now <= replicas and later > now) else "too large"
    # The fast end of the trend's interval gives the earliest week, the slow end the latest one.
    fast, slow = ("high", "low") if becomes == "too small" else ("low", "high")
    earliest = first_week(becomes, fast)
    if earliest is None:
        return None
    return SizeOutlook(
        endpoint=endpoint.id,
        becomes=becomes,
        replicas=replicas,
        needed_now=now,
        weeks_from=earliest,
        weeks_to=first_week(becomes, slow),
        workloads=[],
    )
