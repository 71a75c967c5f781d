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


def cost(plan: Plan, *, known: bool = True) -> Cost:
    """By the plan's prices. A plan that states no sum, or whose parts are not its sum, has no cost that is known.

    `known`: false where what is built is not what the plan prices.
    """
    counted = [each for each in plan.cost_items or [] if each.counted]
    total = plan.monthly_cost_usd
    if not known or (
        total is not None and counted and abs(sum(each.monthly_usd for each in counted) - total) > 1
    ):
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


def capacity(
    plan: Plan, requirements: Requirements | None, built: Sequence[Standing] | None = None
) -> list[PoolCapacity]:
    """GPUs of each pool, and of each kind that is rented: of those there are as many as are used.

    `requirements`: those that the plan was made from; without them nobody knows how large the pools were. `built`:
    what stands of it, where an override says another number than the plan; of what follows the load, the most.
    """
    used = _used(plan, {each.id: each for each in built or []})
    found: dict[tuple[str, str], PoolCapacity] = {}
    for site in requirements.sites if requirements is not None else ():
        for pool in site.pools if isinstance(site, OnPremSite) else ():
            name = pool_name(site.name, pool.gpu)
            found[site.name, name] = PoolCapacity(
                site=site.name,
                pool=name,
                gpus=pool.nodes * pool.gpus_per_node,
                reserved=pool.reserved_gpus,
                used=round(used.pop((site.name, name, True), 0), 2),
            )
    for (place, kind, owned), taken in used.items():
        there = None if owned else math.ceil(taken)
        found[place, kind] = PoolCapacity(site=place, pool=kind, gpus=there, used=round(taken, 2))
    return [found[key] for key in sorted(found)]


def priced(plan: Plan, gpus: Mapping[str, int]) -> bool:
    """Whether the plan's prices are of what is built. `gpus`: by endpoint, overrides laid over the plan."""
    return all(gpus.get(each.id, each.gpus) == each.gpus for each in plan.endpoints)


def _used(plan: Plan, built: Mapping[str, Standing]) -> dict[tuple[str, str, bool], float]:
    """GPUs by site, kind and whether they are owned. Of a cut GPU a slice is its share of those that the GPU gives."""
    found: dict[tuple[str, str, bool], float] = {}
    for each in plan.endpoints:
        one = built.get(each.id)
        number, cut = (each.gpus, each.mig_profile) if one is None else (one.total, one.mig_profile)
        if not number:
            continue
        owned = each.target in ON_PREM_TARGETS
        kind = (one.pool if one is not None else "") or (each.instance_type if not owned else None)
        key = (each.site, kind or plan.pool(each) or each.target, owned)
        slices = dict(GPUS[each.gpu].mig).get(cut, 1) if each.gpu and cut else 1
        found[key] = found.get(key, 0) + number / slices
    return found
