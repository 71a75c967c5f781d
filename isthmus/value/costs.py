"""Cost of each workload in a month: metered by the ledger, and its part of what the plan costs at any load.

- Metered: usage of APIs, which the ledger has by request. Guardrails, which the ledger does not price, follow the
  requests.
- Shared: GPUs, people, links and parts of sites cost the same at any load. They are divided as the plan's cost is
  (`planning/output/workload_costs.py`), but workloads on one endpoint share its GPUs by the GPU time that the ledger
  has. What the ledger has as cost of GPU time is a part of it.

The sum over all workloads is the plan's monthly cost, with the metered usage of APIs in place of what was planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from isthmus.contracts.reports.value import AddingUp, WorkloadCost
from isthmus.core.cents import to_cents
from isthmus.planning.output import cost_items, workload_costs

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import CostItem, Plan
    from isthmus.contracts.reports.usage import UsageDay
    from isthmus.contracts.reports.usage_file import UsageFile
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.from_usage.series import Window

_MONTH_DAYS = Decimal(730) / 24
_ZERO = Decimal(0)


@dataclass(frozen=True)
class _Metered:
    """What the ledger has of one workload, scaled to a month."""

    api_usd: Decimal
    gpu_usd: Decimal
    requests: float
    """Answered requests."""


def workload_costs_of(
    plan: Plan, requirements: Requirements, usage: UsageFile, windows: Mapping[str, Window]
) -> tuple[list[WorkloadCost], AddingUp]:
    """Return the cost of all workloads, in their order, and how they add up.

    `windows`: the measured days, by workload. A workload without them costs what the plan expects.
    """
    metered = {name: _metered(plan, usage, name, window) for name, window in windows.items()}
    shares = _endpoint_shares(plan, requirements, usage, windows)
    planned_metered = {workload.name: _ZERO for workload in requirements.workloads}
    shared, used = dict(planned_metered), dict(planned_metered)
    for item in plan.cost_items or []:
        if not item.counted:
            continue
        parts = workload_costs.divide(item, plan, requirements, shares)
        if cost_items.kind_of(item) != "tokens":
            shared = {name: usd + parts.get(name, _ZERO) for name, usd in shared.items()}
            continue
        for name, usd in parts.items():
            planned_metered[name] += usd
            used[name] += _now(item, usd, metered.get(name), requirements)
    for name, of_workload in metered.items():
        used[name] += of_workload.api_usd
    costs = [
        WorkloadCost(
            workload=name,
            metered_usd=used[name],
            metered_is_measured=name in metered,
            shared_usd=shared[name],
            gpu_time_usd=metered[name].gpu_usd if name in metered else _ZERO,
            total_usd=used[name] + shared[name],
        )
        for name in (workload.name for workload in requirements.workloads)
    ]
    plan_usd = sum(planned_metered.values(), _ZERO) + sum(shared.values(), _ZERO)
    return costs, AddingUp(
        plan_usd=plan_usd,
        metered_in_plan_usd=sum(planned_metered.values(), _ZERO),
        metered_usd=sum(used.values(), _ZERO),
        total_usd=sum((cost.total_usd for cost in costs), _ZERO),
    )


def rows_of(usage: UsageFile, workload: str, begin: date, end: date) -> Iterator[UsageDay]:
    """Yield the rows of a workload in a time, `end` included."""
    return (row for row in usage.days if row.workload == workload and begin <= row.day <= end)


def _metered(plan: Plan, usage: UsageFile, name: str, window: Window) -> _Metered:
    on_gpus = {endpoint.id for endpoint in plan.endpoints if endpoint.gpus}
    api = gpu = _ZERO
    for row in rows_of(usage, name, window.begin, window.end):
        if row.endpoint in on_gpus or row.gpu_seconds:  # also on an endpoint of an earlier plan
            gpu += row.cost_usd
        else:
            api += row.cost_usd
    factor = _MONTH_DAYS / len(window.days)
    return _Metered(to_cents(api * factor), to_cents(gpu * factor), float(factor) * window.answered)


def _now(item: CostItem, usd: Decimal, metered: _Metered | None, requirements: Requirements) -> Decimal:
    """What a metered item of the plan costs now: as planned without usage; tokens are in the ledger."""
    if metered is None:
        return usd
    if item.unit != cost_items.TEXT_UNITS:
        return _ZERO
    workload = requirements.workload(item.what.partition(": ")[0])
    planned = workload.traffic.mean_rps * 3600 * 730 if workload is not None else 0.0
    return to_cents(usd * Decimal(repr(metered.requests / planned))) if planned else usd


def _endpoint_shares(
    plan: Plan, requirements: Requirements, usage: UsageFile, windows: Mapping[str, Window]
) -> dict[str, dict[str, float]]:
    """The plan's shares of endpoints, by measured GPU time where all workloads of an endpoint have some."""
    shares = workload_costs.endpoint_shares(plan, requirements)
    for endpoint, planned in shares.items():
        seconds = {
            name: sum(
                row.gpu_seconds
                for row in rows_of(usage, name, windows[name].begin, windows[name].end)
                if row.endpoint == endpoint
            )
            / len(windows[name].days)
            for name in planned
            if name in windows
        }
        if planned and len(seconds) == len(planned) and all(seconds.values()):
            total = sum(seconds.values())
            shares[endpoint] = {name: of_workload / total for name, of_workload in seconds.items()}
    return shares
