"""Cost and GPU capacity of a plan, as a preview compares before and after."""

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
    """Return the cost by the plan's prices. It is unknown if the plan has no sum, or its items do not add up to it.

    `prices_apply`: false if something else is built than the plan prices.
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
    """Return the GPUs of each pool, and of each rented kind, of which there are as many as are used.

    `requirements`: those of the plan; without them the size of pools is unknown. `standings`: what is built, if an
    override sets another number than the plan; with autoscaling, the maximum.
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
    """Whether the plan's prices apply to what is built. `gpus`: by endpoint, with overrides applied."""
    return all(gpus.get(endpoint.id, endpoint.gpus) == endpoint.gpus for endpoint in plan.endpoints)


def _used_gpus(plan: Plan, standings: Mapping[str, Standing]) -> dict[tuple[str, str, bool], float]:
    """Return the GPUs by site, kind and ownership. A MIG slice counts as its share of the GPU."""
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
