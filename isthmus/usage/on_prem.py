"""GPU-hours of on-prem pools at the cost basis of the plan: used, idle and spare."""

from __future__ import annotations

import re
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reports.usage import UsageDay
from isthmus.contracts.vocabulary import ON_PREM_TARGETS

_POOL_ITEM = re.compile(r"(?P<idle>idle: )?(?P<site>[^,:]+), (?P<gpu>[^:]+?)(?:: (?P<part>[a-z ]+))?")
"""Titles of the plan's cost items for GPUs: `fra1, h100-sxm-80gb: capital` and `idle: fra1, h100-sxm-80gb`."""
_GPU_MONTH = "GPU month"


@dataclass(frozen=True, order=True)
class Pool:
    """The GPUs of one kind at a site."""

    site: str
    gpu: str


@dataclass
class PoolCost:
    """What the plan says about a pool, for a month."""

    gpus: int = 0
    usd: Decimal = Decimal(0)
    spare_gpus: int = 0
    spare_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class PoolUse:
    """A pool in a month: planned cost, and GPU-hours that were there and that were used."""

    pool: Pool
    cost: PoolCost
    gpu_hours: Decimal
    used_hours: Decimal
    used_usd: Decimal
    by_team: Mapping[str, Decimal]
    """GPU-hours by team."""

    @property
    def idle_hours(self) -> Decimal:
        return self.gpu_hours - self.used_hours

    @property
    def idle_usd(self) -> Decimal:
        return self.cost.usd - self.used_usd


def pool_costs(plan: Plan) -> dict[Pool, PoolCost]:
    """GPUs and monthly cost by pool, from the plan's cost items."""
    costs: dict[Pool, PoolCost] = defaultdict(PoolCost)
    for item in plan.cost_items or []:
        match = _POOL_ITEM.fullmatch(item.what) if item.unit == _GPU_MONTH else None
        if match is None:
            continue
        cost = costs[Pool(match["site"], match["gpu"])]
        if match["idle"]:
            cost.spare_gpus += int(item.quantity)
            cost.spare_usd += Decimal(str(item.monthly_usd))
        else:
            cost.gpus = max(cost.gpus, int(item.quantity))
            cost.usd += Decimal(str(item.monthly_usd))
    return dict(costs)


def fixed_costs(plan: Plan) -> dict[str, Decimal]:
    """Fixed costs of on-prem sites and links, e.g. people. AWS's fixed costs are in its bill."""
    sites = {endpoint.site for endpoint in plan.endpoints if endpoint.target in ON_PREM_TARGETS}
    return {
        item.what: Decimal(str(item.monthly_usd))
        for item in plan.cost_items or []
        if item.counted
        and item.unit == "month"
        and (item.what.startswith("link ") or any(item.what.startswith(f"{site}: ") for site in sites))
    }


def pool_uses(plan: Plan, days: Iterable[UsageDay], month: date) -> list[PoolUse]:
    """The GPU-hours of each pool in a month.

    A GPU-hour costs the pool's monthly cost divided by its GPU-hours in that month. More used than planned hours cost
    no more than the pool.
    """
    pool_of = {
        endpoint.id: Pool(endpoint.site, endpoint.gpu)
        for endpoint in plan.endpoints
        if endpoint.target in ON_PREM_TARGETS and endpoint.gpu
    }
    used: dict[Pool, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for day in days:
        pool = pool_of.get(day.endpoint or "")
        if pool is not None and (day.day.year, day.day.month) == (month.year, month.month):
            used[pool][day.team] += Decimal(str(day.gpu_seconds)) / 3600
    hours = monthrange(month.year, month.month)[1] * 24
    uses = []
    for pool, cost in sorted(pool_costs(plan).items()):
        gpu_hours = Decimal(cost.gpus * hours)
        used_hours = sum(used[pool].values(), Decimal(0))
        share = min(used_hours / gpu_hours, Decimal(1)) if gpu_hours else Decimal(0)
        uses.append(PoolUse(pool, cost, gpu_hours, used_hours, cost.usd * share, dict(used[pool])))
    return uses
