"""The pools that columns stand in: their free GPUs, and over how many parts replicas are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.packing import capacities
from isthmus.contracts.requirements import OnPremSite
from isthmus.planning import costs
from isthmus.planning.options import Column

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements
    from isthmus.contracts.requirements_sites import Pool


def pool_of(requirements: Requirements, column: Column) -> tuple[OnPremSite, Pool]:
    site = requirements.site(column.site)
    if not isinstance(site, OnPremSite):
        raise TypeError(f"{column.site} is no on-prem site")
    return site, next(each for each in site.pools if each.gpu == column.gpu)


def gpu_price(requirements: Requirements, column: Column) -> float:
    """USD a month of one GPU of the column's pool, on the stated basis; a pool without a price has no options."""
    site, pool = pool_of(requirements, column)
    basis = requirements.objective.cost_basis
    price = costs.node(site, pool, basis)
    return 0.0 if isinstance(price, str) else price.of_gpu(pool, basis)


def usable(site: OnPremSite, pool: Pool) -> list[int]:
    """Free GPUs of each node, with the spare nodes away: the roomiest are the worst to lose."""
    free = sorted(capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus))
    return free[: len(free) - site.maintenance.spare_nodes_per_pool]


def spread(site: OnPremSite, pool: Pool, column: Column) -> int:
    """Parts over which replicas are spread, one of which may be lost."""
    if column.survive == "domain":
        return max(1, pool.failure_domains)
    return max(1, sum(free >= column.degree for free in usable(site, pool)))
