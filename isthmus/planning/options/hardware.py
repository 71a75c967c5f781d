"""The hardware of columns: existing pools on-prem, and AWS instances that are rented as needed.

A MIG GPU or an instance serves one class. If an endpoint must survive the loss of a node or a domain, it has MIG GPUs
or instances of its own, so that a failure affects only this endpoint. Otherwise endpoints of the class share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import capacities
from isthmus.contracts.requirements.document import AwsSite, OnPremSite
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import monthly_costs
from isthmus.planning.options.gpu import SERVICES
from isthmus.planning.options.option import Column
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool

ZONES = 2
"""Availability zones that an AWS site is used in."""


@dataclass(frozen=True)
class SharedHardware:
    """MIG GPUs of one profile in a pool, or instances of one type: shared by a class, or dedicated to `owner`."""

    sensitivity: str
    site: str
    gpu: str
    mig: str | None
    target: str
    instance: str | None
    purchase: str | None
    owner: Column | None = None


def has_dedicated_hardware(column: Column) -> bool:
    """Whether the endpoint has MIG GPUs or instances of its own."""
    return column.survive in ("node", "domain")


def shared_hardware(column: Column) -> SharedHardware | None:
    """Return the MIG GPUs or instances that the column's replicas run on; None for whole GPUs of a pool."""
    if column.mig is None and column.instance is None:
        return None
    return SharedHardware(
        column.sensitivity,
        column.site,
        column.gpu,
        column.mig,
        column.target,
        column.instance,
        column.purchase,
        column if has_dedicated_hardware(column) else None,
    )


def replicas_per_unit(column: Column) -> int:
    """Return the replicas on one MIG GPU or instance; 1 for whole GPUs."""
    if column.mig is not None:
        return mig.instances(column.gpu, column.mig)
    if column.instance is not None and column.target == "eks-vllm":
        return max(1, aws_instances.find(column.instance).gpus // column.degree)
    return 1


def units_needed(unit: SharedHardware, replicas: Mapping[Column, int]) -> int:
    """Return how many MIG GPUs or instances the replicas of all sharers need."""
    sharing = {column: count for column, count in replicas.items() if shared_hardware(column) == unit}
    if unit.owner is not None:
        return sum(dedicated_units(unit.owner, sharing.get(unit.owner, 0)))
    if unit.instance is None:
        return math.ceil(sum(count / replicas_per_unit(column) for column, count in sharing.items()) - 1e-9)
    if unit.target == "sagemaker":
        return sum(sharing.values())
    # Degrees and GPUs of an instance are powers of two: what fits in all fits.
    gpus = sum(count * column.degree for column, count in sharing.items())
    return math.ceil(gpus / aws_instances.find(unit.instance).gpus)


def dedicated_units(column: Column, count: int) -> tuple[int, ...]:
    """Return the dedicated MIG GPUs or instances of `count` replicas: one number, or one for each zone in use."""
    per_unit = replicas_per_unit(column)
    if column.instance is not None and column.survive == "domain":
        return math.ceil(math.ceil(count / 2) / per_unit), math.ceil(count // 2 / per_unit)
    return (math.ceil(count / per_unit),)


def instances_needed(replicas: Mapping[Column, int]) -> dict[SharedHardware, int]:
    """Return the number of instances, by what they serve."""
    units = {
        unit: 0
        for column in replicas
        if (unit := shared_hardware(column)) is not None and unit.instance is not None
    }
    return {unit: units_needed(unit, replicas) for unit in units}


def gpus_in_use(replicas: Mapping[Column, int]) -> dict[tuple[str, str], int]:
    """Return the GPUs in use of each pool, by site and GPU kind; a MIG GPU counts as one."""
    gpus: dict[tuple[str, str], int] = {}
    counted_units: set[SharedHardware] = set()
    for column, replica_count in replicas.items():
        key, unit = (column.site, column.gpu), shared_hardware(column)
        if column.instance is not None or unit in counted_units:
            continue
        if unit is not None:
            counted_units.add(unit)
        count = (
            units_needed(unit, replicas) if unit is not None else replica_count * column.degree * column.nodes
        )
        gpus[key] = gpus.get(key, 0) + count
    return gpus


# -- pools


def find_pool(requirements: Requirements, name: str, gpu: str) -> tuple[OnPremSite, Pool]:
    """Raises `TypeError` for a site on AWS."""
    site = requirements.site(name)
    if not isinstance(site, OnPremSite):
        raise TypeError(f"{name} is not an on-prem site")
    return site, next(pool for pool in site.pools if pool.gpu == gpu)


def column_pool(requirements: Requirements, column: Column) -> tuple[OnPremSite, Pool]:
    """The pool that a column stands in. Raises `TypeError` for a column on AWS."""
    return find_pool(requirements, column.site, column.gpu)


def usable_gpus(site: OnPremSite, pool: Pool) -> list[int]:
    """Return the free GPUs of each node without the spare nodes. The nodes with most free GPUs count as spare."""
    free = sorted(capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus))
    return free[: len(free) - site.maintenance.spare_nodes_per_pool]


def spread_parts(site: OnPremSite, pool: Pool, column: Column) -> int:
    """Return over how many nodes or domains replicas are spread, one of which may fail."""
    if column.survive == "domain":
        return max(1, pool.failure_domains)
    return max(1, sum(free >= column.degree for free in usable_gpus(site, pool)) // column.nodes)


def lost_by_count(requirements: Requirements, column: Column) -> Callable[[int], int]:
    """Return how many of a count of replicas are lost, at worst, in the failure that the column must survive."""
    if column.survive == "none":
        return lambda count: 0
    if column.survive == "replica":
        return lambda count: min(1, count)
    per_unit = replicas_per_unit(column)
    if column.instance is not None and column.survive == "node":
        return lambda count: min(per_unit, count)
    if column.instance is not None:
        return lambda count: math.ceil(count / ZONES)
    site, pool = column_pool(requirements, column)
    parts = spread_parts(site, pool, column)
    return lambda count: per_unit * math.ceil(count / per_unit / parts - 1e-9)


# -- what they cost


def monthly_gpu_price(requirements: Requirements, column: Column) -> float:
    """Return USD a month of one GPU of the column's pool, by the stated cost basis."""
    site, pool = column_pool(requirements, column)
    basis = requirements.objective.cost_basis
    price = monthly_costs.node_cost(site, pool, basis)
    return 0.0 if isinstance(price, str) else price.of_gpu(pool, basis)


def hourly_rate(requirements: Requirements, column: Column | SharedHardware) -> aws_instances.Rate:
    """Return the price of an hour of the column's instance. Raises `LookupError` if it has none."""
    site = requirements.site(column.site)
    if isinstance(site, AwsSite) and column.instance is not None:
        instance = aws_instances.find(column.instance)
        price_list = SERVICES[column.target][1]  # type: ignore[index]
        months = requirements.commitments.max_term_months
        if rate := aws_instances.cheapest_rate(instance, price_list, site.region, site.prices, months):
            return rate
    raise LookupError(f"{column.instance} at {column.site}")


def monthly_replica_price(requirements: Requirements, column: Column) -> float:
    """Return USD a month of a replica, as if hardware could be bought in fractions."""
    if column.instance is not None:
        return hourly_rate(requirements, column).usd_per_hour * HOURS_PER_MONTH / replicas_per_unit(column)
    return monthly_gpu_price(requirements, column) * column.degree * column.nodes / replicas_per_unit(column)
