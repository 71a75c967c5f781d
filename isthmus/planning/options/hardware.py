"""The hardware that columns stand on: pools that are there, and AWS's instances that are bought as they are needed.

A GPU that is cut, and an instance, serve one class. Where a loss of more than a replica must be outlived they serve one
endpoint, so that what a loss takes is its own; else endpoints of the class share them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import capacities
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import monthly_costs
from isthmus.planning.options.gpu import SERVICES
from isthmus.planning.options.option import Column
from isthmus.planning.sizing.demand import HOURS

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool

ZONES = 2
"""Availability zones that an AWS site is used in."""


@dataclass(frozen=True)
class Shared:
    """Cut GPUs of a profile in a pool, or instances of a type: endpoints of a class share them, or one has its own."""

    class_: str
    site: str
    gpu: str
    mig: str | None
    target: str
    instance: str | None
    purchase: str | None
    owner: Column | None = None


def own(column: Column) -> bool:
    """Whether its cut GPUs or instances are its own."""
    return column.survive in ("node", "domain")


def shared(column: Column) -> Shared | None:
    """What a column's replicas are parts of; None where they take whole GPUs of a pool."""
    if column.mig is None and column.instance is None:
        return None
    return Shared(
        column.class_,
        column.site,
        column.gpu,
        column.mig,
        column.target,
        column.instance,
        column.purchase,
        column if own(column) else None,
    )


def each_holds(column: Column) -> int:
    """Replicas on a cut GPU, or on an instance; 1 for whole GPUs."""
    if column.mig is not None:
        return mig.instances(column.gpu, column.mig)
    if column.instance is not None and column.target == "eks-vllm":
        return max(1, aws_instances.find(column.instance).gpus // column.degree)
    return 1


def needed(of: Shared, replicas: Mapping[Column, int]) -> int:
    """Cut GPUs, or instances, for so many replicas of those who share them."""
    mine = {column: count for column, count in replicas.items() if shared(column) == of}
    if of.owner is not None:
        holds, count = each_holds(of.owner), mine.get(of.owner, 0)
        if of.instance is not None and of.owner.survive == "domain":
            # A half in each zone.
            return math.ceil(math.ceil(count / 2) / holds) + math.ceil(count // 2 / holds)
        return math.ceil(count / holds)
    if of.instance is None:
        return math.ceil(sum(count / each_holds(column) for column, count in mine.items()) - 1e-9)
    if of.target == "sagemaker":
        return sum(mine.values())
    # Degrees and GPUs of an instance are powers of two: what fits in all fits.
    used = sum(count * column.degree for column, count in mine.items())
    return math.ceil(used / aws_instances.find(of.instance).gpus)


def bought(replicas: Mapping[Column, int]) -> dict[Shared, int]:
    """Instances by what they serve."""
    found = {of: 0 for column in replicas if (of := shared(column)) is not None and of.instance is not None}
    return {of: needed(of, replicas) for of in found}


def taken(replicas: Mapping[Column, int]) -> dict[tuple[str, str], int]:
    """GPUs in use of each pool, by site and GPU: whole ones, and those that are cut."""
    found: dict[tuple[str, str], int] = {}
    cut: set[Shared] = set()
    for column, count in replicas.items():
        key, of = (column.site, column.gpu), shared(column)
        if column.instance is not None or of in cut:
            continue
        if of is not None:
            cut.add(of)
        more = needed(of, replicas) if of is not None else count * column.degree * column.nodes
        found[key] = found.get(key, 0) + more
    return found


# -- pools


def pool_named(requirements: Requirements, name: str, gpu: str) -> tuple[OnPremSite, Pool]:
    """Raises `TypeError` for a site on AWS."""
    site = requirements.site(name)
    if not isinstance(site, OnPremSite):
        raise TypeError(f"{name} is no on-prem site")
    return site, next(each for each in site.pools if each.gpu == gpu)


def pool_of(requirements: Requirements, column: Column) -> tuple[OnPremSite, Pool]:
    """The pool that a column stands in. Raises `TypeError` for a column on AWS."""
    return pool_named(requirements, column.site, column.gpu)


def usable(site: OnPremSite, pool: Pool) -> list[int]:
    """Free GPUs of each node, with the spare nodes away: the roomiest are the worst to lose."""
    free = sorted(capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus))
    return free[: len(free) - site.maintenance.spare_nodes_per_pool]


def spread(site: OnPremSite, pool: Pool, column: Column) -> int:
    """Parts over which replicas are spread, one of which may be lost."""
    if column.survive == "domain":
        return max(1, pool.failure_domains)
    return max(1, sum(free >= column.degree for free in usable(site, pool)) // column.nodes)


def lost(requirements: Requirements, column: Column, count: int) -> int:
    """Replicas of so many that go, at the worst, with what it must outlive."""
    if column.survive == "none" or not count:
        return 0
    if column.survive == "replica":
        return 1
    holds = each_holds(column)
    if column.instance is not None:
        return min(holds, count) if column.survive == "node" else math.ceil(count / ZONES)
    site, pool = pool_of(requirements, column)
    return holds * math.ceil(count / holds / spread(site, pool, column) - 1e-9)


# -- what they cost


def gpu_price(requirements: Requirements, column: Column) -> float:
    """USD a month of one GPU of the column's pool, on the stated basis; a pool without a price has no options."""
    site, pool = pool_of(requirements, column)
    basis = requirements.objective.cost_basis
    price = monthly_costs.node(site, pool, basis)
    return 0.0 if isinstance(price, str) else price.of_gpu(pool, basis)


def hourly(requirements: Requirements, column: Column | Shared) -> aws_instances.Rate:
    """What an hour of the column's instance costs. Raises `LookupError` where it has no price."""
    site = requirements.site(column.site)
    if isinstance(site, AwsSite) and column.instance is not None:
        kind = aws_instances.find(column.instance)
        of = SERVICES[column.target][1]  # type: ignore[index]
        months = requirements.commitments.max_term_months
        if rate := aws_instances.rate(kind, of, site.region, site.prices, months):
            return rate
    raise LookupError(f"{column.instance} at {column.site}")


def replica_price(requirements: Requirements, column: Column) -> float:
    """USD a month of a replica, if hardware came in parts."""
    if column.instance is not None:
        return hourly(requirements, column).usd_per_hour * HOURS / each_holds(column)
    return gpu_price(requirements, column) * column.degree * column.nodes / each_holds(column)
