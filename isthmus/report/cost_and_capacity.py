"""What a plan costs and what GPUs it takes, as a preview sets before beside after."""

from __future__ import annotations

import math
from collections.abc import Iterable

from isthmus.contracts.gpus import GPUS
from isthmus.contracts.plan import Plan, PlannedEndpoint, pool_name
from isthmus.contracts.preview import Cost, CostItem, PoolCapacity
from isthmus.contracts.requirements import OnPremSite, Requirements
from isthmus.contracts.words import ON_PREM_TARGETS


def cost(plan: Plan) -> Cost:
    """By the plan's prices. A plan that states no sum, or whose parts are not its sum, has no cost that is known."""
    counted = [each for each in plan.cost_items or [] if each.counted]
    total = plan.monthly_cost_usd
    if total is not None and counted and abs(sum(each.monthly_usd for each in counted) - total) > 1:
        total = None
    return Cost(
        monthly_usd=total,
        items=[
            CostItem(
                what=each.what,
                monthly_usd=each.monthly_usd,
                evidence=each.evidence.kind if each.evidence else None,
                source=each.evidence.source if each.evidence else "",
                as_of=each.evidence.as_of if each.evidence else "",
            )
            for each in counted
        ],
        prices_as_of=plan.prices_as_of or "",
    )


def capacity(plan: Plan, requirements: Requirements | None) -> list[PoolCapacity]:
    """GPUs of each pool, and of each kind that is rented: of those there are as many as are used.

    `requirements`: those that the plan was made from; without them nobody knows how large the pools were.
    """
    found: dict[tuple[str, str], PoolCapacity] = {}
    used: dict[tuple[str, str], list[PlannedEndpoint]] = {}
    for each in plan.endpoints:
        if each.gpus:
            owned = each.target in ON_PREM_TARGETS
            kind = plan.pool(each) if owned else each.instance_type or plan.pool(each)
            used.setdefault((each.site, kind or each.target), []).append(each)
    for site in requirements.sites if requirements is not None else ():
        for pool in site.pools if isinstance(site, OnPremSite) else ():
            name = pool_name(site.name, pool.gpu)
            found[site.name, name] = PoolCapacity(
                site=site.name,
                pool=name,
                gpus=pool.nodes * pool.gpus_per_node,
                reserved=pool.reserved_gpus,
                used=_used(used.pop((site.name, name), [])),
            )
    for (site_, kind), mine in used.items():
        taken = _used(mine)
        rented = mine[0].target not in ON_PREM_TARGETS
        found[site_, kind] = PoolCapacity(
            site=site_, pool=kind, gpus=math.ceil(taken) if rented else None, used=taken
        )
    return [found[key] for key in sorted(found)]


def _used(endpoints: Iterable[PlannedEndpoint]) -> float:
    """Whole GPUs as they are; of a cut GPU each slice is its share of those that the GPU gives of its kind."""
    total = 0.0
    for each in endpoints:
        slices = dict(GPUS[each.gpu].mig).get(each.mig_profile, 1) if each.gpu and each.mig_profile else 1
        total += each.gpus / slices
    return round(total, 2)
