"""Explains GPUs that are owned or rented and not used: those of on-prem pools, and those of rented instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.reports.explanation import IdleHardware
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.explanation.cost_bases import gpus_in_use, owned_items
from isthmus.planning.explanation.ruled_out import describe_kinds
from isthmus.planning.explanation.solving import Case, place_of
from isthmus.planning.options import hardware
from isthmus.planning.options.option import OnGpus, Option
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool
    from isthmus.planning.options.hardware import SharedHardware

MAX_FEWER_NODES = 8
"""Nodes fewer of a pool that are tried at most."""


def idle_pools(plan: Plan, requirements: Requirements) -> list[IdleHardware]:
    """Return the pools with idle GPUs, with their cost but no reasons. It needs no solver."""
    used = gpus_in_use(plan, requirements)
    prices = {
        item.what: item.monthly_usd
        for item in owned_items(plan, requirements, "allocated")
        if not item.counted
    }
    idle_hardware = []
    for site in requirements.sites:
        for pool in site.pools if isinstance(site, OnPremSite) else []:
            owned, in_use = pool.nodes * pool.gpus_per_node, used[site.name, pool.gpu]
            idle = owned - pool.reserved_gpus - in_use
            if idle > 0:
                idle_hardware.append(
                    IdleHardware(
                        site=site.name,
                        gpu=pool.gpu,
                        owned=owned,
                        reserved=pool.reserved_gpus,
                        used=in_use,
                        idle=idle,
                        monthly_usd=prices.get(f"idle: {site.name}, {pool.gpu}", 0.0),
                        counted=False,
                        why=[],
                    )
                )
    return idle_hardware


def explain_idle_hardware(case: Case) -> list[IdleHardware]:
    """Return the pools and instances with idle GPUs, each with the reasons."""
    explained = []
    for idle in idle_pools(case.plan, case.requirements):
        site, pool = hardware.find_pool(case.requirements, idle.site, idle.gpu)
        why = [*_reasons_of_pool(case, site, pool, idle), *_fewer_nodes(case, site, pool, idle)]
        explained.append(idle.model_copy(update={"why": why}))
    return [*explained, *_idle_instances(case)]


def _reasons_of_pool(case: Case, site: OnPremSite, pool: Pool, idle: IdleHardware) -> Iterator[str]:
    """Yield why the workloads do not use more of a pool."""
    spare = site.maintenance.spare_nodes_per_pool * pool.gpus_per_node
    if spare:
        yield f"{spare} GPUs are kept for maintenance ({site.maintenance.spare_nodes_per_pool} spare nodes)."
    if idle.monthly_usd == 0:
        yield f"The requirements state no full cost of {pool.gpu} at {site.name}, so its price is not known."
    for workload in case.requirements.workloads:
        name = workload.name
        there = [option for option in case.options.by_workload[name] if _is_in(option, site.name, pool.gpu)]
        if _is_in(case.chosen.option(name), site.name, pool.gpu):
            continue
        if not there:
            reasons = [
                reason
                for reason in case.options.rejected[name]
                if pool.gpu in reason and reason.partition(": ")[0].endswith(f"at {site.name}")
            ]
            tried = f": {describe_kinds(reasons)}" if reasons else ": its class or its candidates rule it out"
            yield f"{name} cannot run there{tried}."
            continue
        solved = case.solve(options=case.with_options(name, there), cheapest=True)
        if solved is None:
            yield f"{name} could run there, but not together with the other workloads."
            continue
        extra = round(solved.cost - case.chosen.cost, 2)
        place = place_of(solved.option(name))
        compared = f"{extra:,.2f} USD a month more" if extra > 0 else f"{-extra:,.2f} USD a month less"
        score = "" if extra > 0 else f", at score {place.score:g} and not {case.chosen.option(name).score:g}"
        yield f"{name} could run there, on {place.words}: the plan then costs {compared}{score}."


def _is_in(option: Option, site: str, gpu: str) -> bool:
    return isinstance(option, OnGpus) and (option.column.site, option.column.gpu) == (site, gpu)


def _fewer_nodes(case: Case, site: OnPremSite, pool: Pool, idle: IdleHardware) -> Iterator[str]:
    """Yield how many nodes could be given away at the plan's cost, or what keeps them."""
    most = min(idle.idle // pool.gpus_per_node, pool.nodes - 1, MAX_FEWER_NODES)
    name = f"{pool.gpu} at {site.name}"
    if not idle.used:
        yield f"No workload uses {name}: {_counted(pool.nodes, 'node')} could be given away or used otherwise."
        return
    if not most:
        yield (
            f"{_counted(idle.idle, 'GPU')} {'is' if idle.idle == 1 else 'are'} less than a node, and nodes are bought "
            f"whole ({pool.gpus_per_node} GPUs)."
        )
        return
    spare = 0
    for fewer in range(1, most + 1):
        solved = case.solve(_with_nodes(case.requirements, site, pool, pool.nodes - fewer), cheapest=True)
        if solved is None or solved.cost > case.chosen.cost + 0.005:
            break
        spare = fewer
    if spare:
        yield f"{_counted(spare, 'node')} fewer of {name} would carry the same at no higher cost."
    if spare < most:
        left = pool.nodes - spare - 1
        loss = (
            f"so that a failure domain can be lost ({pool.failure_domains} domains)"
            if left < pool.failure_domains
            else "for the load with its headroom and what must survive"
        )
        yield f"With {_counted(left, 'node')} the plan would be infeasible or cost more: the nodes are needed {loss}."


def _with_nodes(requirements: Requirements, site: OnPremSite, pool: Pool, nodes: int) -> Requirements:
    domains = min(pool.failure_domains, nodes)
    fewer = pool.model_copy(update={"nodes": nodes, "failure_domains": domains})
    pools = [fewer if other.gpu == pool.gpu else other for other in site.pools]
    changed = site.model_copy(update={"pools": pools})
    sites = [changed if other.name == site.name else other for other in requirements.sites]
    return requirements.model_copy(update={"sites": sites})


def _idle_instances(case: Case) -> Iterator[IdleHardware]:
    """Yield the rented instances that have GPUs without a replica."""
    replicas = case.chosen.solution.replicas
    for unit, count in sorted(hardware.instances_needed(replicas).items(), key=lambda entry: str(entry[0])):
        gpus = aws_instances.find(unit.instance or "").gpus * count
        used = sum(
            number * column.degree
            for column, number in replicas.items()
            if hardware.shared_hardware(column) == unit
        )
        if gpus > used:
            rate = hardware.hourly_rate(case.requirements, unit)
            monthly = rate.usd_per_hour * HOURS_PER_MONTH * count * (gpus - used) / gpus
            yield IdleHardware(
                site=unit.site,
                gpu=unit.gpu,
                owned=gpus,
                reserved=0,
                used=used,
                idle=gpus - used,
                monthly_usd=round(monthly, 2),
                counted=True,
                why=[_why_instances_idle(unit, count)],
            )


def _why_instances_idle(unit: SharedHardware, count: int) -> str:
    shared = (
        f"serve {unit.owner.model} alone, because it must survive the loss of a {unit.owner.survive}"
        if unit.owner is not None
        else f"serve {unit.sensitivity} work only"
    )
    per_replica = ", and SageMaker runs one replica on an instance" if unit.target == "sagemaker" else ""
    return f"Instances are rented whole: {count} x {unit.instance} {shared}{per_replica}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
