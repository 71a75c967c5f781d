"""What a plan costs and what GPUs it takes, as a preview sets before beside after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.plan.document import Plan, pool_name
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.reports.preview import Cost, CostItem, PoolCapacity
from isthmus.contracts.requirements.document import OnPremSite, Requirements
from isthmus.contracts.vocabulary import ON_PREM_TARGETS


def plan_cost(plan: Plan, *, prices_apply: bool = True) -> Cost:
    """By the plan's prices. A plan that states no sum, or whose parts are not its sum, has no cost that is known.

    `known`: false where what is built is not what the plan prices.
    """
    counted = [item for item in plan.cost_items or [] if item.counted]
    total = plan.monthly_cost_usd
    if not prices_apply or (
        total is not None and counted and abs(sum(item.monthly_usd for item in counted) - total) > 1
    ):
        total = None
    return Cost(
        monthly_usd=total,
        items=[
            CostItem(
                what=item.what,
                monthly_usd=item.monthly_usd,
                evidence=item.evidence.kind if item.evidence else None,
                source=item.evidence.source if item.evidence else "",
                as_of=item.evidence.as_of if item.evidence else "",
            )
            for item in counted
        ],
        prices_as_of=plan.prices_as_of or "",
    )


def plan_capacity(
    plan: Plan, requirements: Requirements | None, standings: Sequence[Standing] | None = None
) -> list[PoolCapacity]:
    """GPUs of each pool, and of each kind that is rented: of those there are as many as are used.

    `requirements`: those that the plan was made from; without them nobody knows how large the pools were. `built`:
    what stands of it, where an override says another number than the plan; of what follows the load, the most.
    """
    used = _used_gpus(plan, {standing.id: standing for standing in standings or []})
    pools: dict[tuple[str, str], PoolCapacity] = {}
    for site in requirements.sites if requirements is not None else ():
        for pool in site.pools if isinstance(site, OnPremSite) else ():
            name = pool_name(site.name, pool.gpu)
            pools[site.name, name] = PoolCapacity(
                site=site.name,
                pool=name,
                gpus=pool.nodes * pool.gpus_per_node,
                reserved=pool.reserved_gpus,
                used=round(used.pop((site.name, name, True), 0), 2),
            )
    for (place, kind, owned), used_gpus in used.items():
        gpu_count = None if owned else math.ceil(used_gpus)
        pools[place, kind] = PoolCapacity(site=place, pool=kind, gpus=gpu_count, used=round(used_gpus, 2))
    return [pools[key] for key in sorted(pools)]


def prices_match(plan: Plan, gpus: Mapping[str, int]) -> bool:
    """Whether the plan's prices are of what is built. `gpus`: by endpoint, overrides laid over the plan."""
    return all(gpus.get(endpoint.id, endpoint.gpus) == endpoint.gpus for endpoint in plan.endpoints)


def _used_gpus(plan: Plan, standings: Mapping[str, Standing]) -> dict[tuple[str, str, bool], float]:
    """GPUs by site, kind and whether they are owned. Of a cut GPU a slice is its share of those that the GPU gives."""
    used: dict[tuple[str, str, bool], float] = {}
    for endpoint in plan.endpoints:
        standing = standings.get(endpoint.id)
        number, cut = (
            (endpoint.gpus, endpoint.mig_profile)
            if standing is None
            else (standing.total, standing.mig_profile)
        )
        if not number:
            continue
        owned = endpoint.target in ON_PREM_TARGETS
        kind = (standing.pool if standing is not None else "") or (
            endpoint.instance_type if not owned else None
        )
        key = (endpoint.site, kind or plan.pool(endpoint) or endpoint.target, owned)
        slices = dict(GPUS[endpoint.gpu].mig).get(cut, 1) if endpoint.gpu and cut else 1
        used[key] = used.get(key, 0) + number / slices
    return used
