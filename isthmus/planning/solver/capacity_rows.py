"""Adds the rows of the program that count hardware: replicas for loads, and GPUs and instances for replicas.

Loads are measured in replicas of a column. With `n` replicas, `t` of which may be lost:

    (1 + headroom) load <= n        intact, with headroom
    load <= n - t                   after the failure that its workloads must survive

`t` is 1 for a replica, and at least n / k for a node or a failure domain if replicas are spread over k of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import capacities
from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import hardware
from isthmus.planning.options.hardware import SharedHardware
from isthmus.planning.options.option import Column
from isthmus.planning.sizing.demand import HOURS_PER_MONTH

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool
    from isthmus.planning.solver.milp import Rows
    from isthmus.planning.solver.problem import Problem

MAX_REPLICAS = 2000
"""Upper bound of an endpoint's replicas if nothing else limits them."""
CUTS_BEFORE_NODES = 2
"""Once so many plans did not fit on the nodes of a pool, the program itself decides what runs on each of its nodes."""
EC2_QUOTAS = {"g": "Running On-Demand G and VT instances", "p": "Running On-Demand P instances"}
"""AWS's names of the vCPU quotas, by the first letter of the instance type."""


def add_capacity_rows(
    rows: Rows,
    problem: Problem,
    loads: Mapping[Column, Mapping[int, float]],
    used: Mapping[str, int],
) -> tuple[dict[Column, int], dict[Column, list[int]]]:
    """Add all rows, and return the variable of each column's replicas, and those of its dedicated hardware.

    `loads`: by column, the variable of each choice and its load. `used`: by site, the variable that is 1 if it is used
    at all. Its pools have their GPUs times this variable, so a relaxed program pays for the part of a site it fills.
    """
    counts: dict[Column, int] = {}
    for column, terms in loads.items():
        counts[column] = _add_replica_rows(rows, problem, column, terms)
    unit_variables = _add_shared_hardware_rows(rows, problem, counts)
    for site, terms, most in _pool_rows(problem, counts, unit_variables):
        if site in used:
            rows.at_most({**terms, used[site]: -float(most)})
        else:
            rows.at_most(terms, most)
    _add_quota_rows(rows, problem, unit_variables)
    _add_packing_cuts(rows, problem, counts)
    _add_node_rows(rows, problem, counts, unit_variables)
    dedicated = {
        unit.owner: variables for unit, variables in unit_variables.items() if unit.owner is not None
    }
    return counts, dedicated


def _add_replica_rows(rows: Rows, problem: Problem, column: Column, terms: Mapping[int, float]) -> int:
    requirements = problem.requirements
    max_replicas = _max_replicas(problem, column)
    has_whole_gpus = hardware.shared_hardware(column) is None
    price = hardware.monthly_replica_price(requirements, column) if has_whole_gpus else 0.0
    replicas = rows.variable(0, max_replicas, price, block=column)
    headroom = 1 + requirements.planning.headroom
    rows.at_most({**{index: headroom * units for index, units in terms.items()}, replicas: -1.0})
    for index, units in terms.items():
        # A bound from each single load makes the program tighter.
        rows.at_most({index: float(least_replicas(requirements, column, units)), replicas: -1.0})
    if column.survive == "none":
        return replicas
    lost = rows.variable(0, max_replicas, block=column)
    rows.at_most({**terms, replicas: -1.0, lost: 1.0})
    if column.survive == "replica":
        for index in terms:
            rows.at_most({index: 1.0, lost: -1.0})
    elif column.instance is None:
        site, pool = hardware.column_pool(requirements, column)
        rows.at_most({replicas: 1.0, lost: -float(hardware.spread_parts(site, pool, column))})
        if (per_unit := hardware.replicas_per_unit(column)) > 1:
            # A MIG GPU fails as a whole.
            lost_units = rows.variable(0, math.ceil(max_replicas / per_unit), block=column)
            rows.row(0, 0, {lost: 1.0, lost_units: -float(per_unit)})
    elif column.survive == "node":
        for index in terms:
            rows.at_most({index: float(hardware.replicas_per_unit(column)), lost: -1.0})
    else:
        rows.at_most({replicas: 1.0, lost: -float(hardware.ZONES)})
    return replicas


def least_replicas(requirements: Requirements, column: Column, load: float) -> int:
    """Return the fewest replicas for a load, with headroom and after the failure; `MAX_REPLICAS` if none does."""
    count = max(1, math.ceil(load * (1 + requirements.planning.headroom) - 1e-9))
    lost = hardware.lost_by_count(requirements, column)
    # The surviving replicas grow with the count, except for steps of a MIG GPU, which fails as a whole.
    most_surviving = MAX_REPLICAS - lost(MAX_REPLICAS) + hardware.replicas_per_unit(column)
    if most_surviving < load - 1e-9:
        return MAX_REPLICAS
    while count < MAX_REPLICAS and count - lost(count) < load - 1e-9:
        count += 1
    return min(count, MAX_REPLICAS)


def carried_loads(requirements: Requirements, column: Column, load: float, most: int) -> list[float]:
    """Return the load that 1, 2, … replicas carry: up to `load`, and up to `most` replicas."""
    headroom, limits = 1 + requirements.planning.headroom, list[float]()
    unit = hardware.shared_hardware(column)
    lost = hardware.lost_by_count(requirements, column)
    # All slices of a dedicated MIG GPU run a replica.
    step = 1 if unit is None or unit.owner is None or unit.instance else hardware.replicas_per_unit(column)
    largest = -1.0
    while len(limits) < most and largest < load:
        count = len(limits) + 1
        surviving = count - lost(count)
        limits.append(0.0 if count % step else max(0.0, min(count / headroom, surviving)))
        largest = max(largest, limits[-1])
    return limits


def _max_replicas(problem: Problem, column: Column) -> int:
    if column.instance is not None or f"{column.site}/{column.gpu}" in problem.held:
        return MAX_REPLICAS
    site, pool = hardware.column_pool(problem.requirements, column)
    fitting = sum(free // column.degree for free in hardware.usable_gpus(site, pool)) // column.nodes
    return fitting * hardware.replicas_per_unit(column)


def _add_shared_hardware_rows(
    rows: Rows, problem: Problem, counts: Mapping[Column, int]
) -> dict[SharedHardware, list[int]]:
    """Add the variables of MIG GPUs and instances with their cost, and return them."""
    members: dict[SharedHardware, list[Column]] = {}
    for column in counts:
        if (unit := hardware.shared_hardware(column)) is not None:
            members.setdefault(unit, []).append(column)
    unit_variables: dict[SharedHardware, list[int]] = {}
    for unit, columns in members.items():
        if unit.instance is None:
            price = hardware.monthly_gpu_price(problem.requirements, columns[0])
        else:
            price = hardware.hourly_rate(problem.requirements, unit).usd_per_hour * HOURS_PER_MONTH
        # Hardware of one endpoint alone belongs to its block.
        variable = rows.variable(0, MAX_REPLICAS, price, block=unit.owner)
        unit_variables[unit] = [variable]
        per_unit = float(hardware.replicas_per_unit(columns[0]))
        if unit.owner is not None and unit.instance is not None and unit.owner.survive == "domain":
            # Half of the replicas run in each zone. The larger half comes first, because it may be lost.
            second_zone = rows.variable(0, MAX_REPLICAS, price, block=unit.owner)
            replicas, half = counts[unit.owner], rows.variable(0, MAX_REPLICAS, block=unit.owner)
            rows.at_most({replicas: 1.0, half: -2.0})
            rows.at_most({half: 1.0, variable: -per_unit})
            rows.at_most({replicas: 1.0, half: -1.0, second_zone: -per_unit})
            unit_variables[unit].append(second_zone)
        elif unit.owner is not None and unit.instance is None:
            # No other endpoint may use a dedicated MIG GPU, so all of its slices run a replica.
            rows.row(0, 0, {counts[unit.owner]: 1.0, variable: -per_unit})
        elif unit.instance is not None and unit.target == "eks-vllm":
            gpus = float(aws_instances.find(unit.instance).gpus)
            gpu_use = {counts[column]: float(column.degree) for column in columns}
            rows.at_most(
                {**gpu_use, variable: -gpus}
                if unit.owner is None
                else {counts[unit.owner]: 1.0, variable: -per_unit}
            )
        else:
            rows.at_most({**{counts[column]: 1.0 for column in columns}, variable: -per_unit})
    return unit_variables


def _pool_rows(
    problem: Problem, counts: Mapping[Column, int], unit_variables: Mapping[SharedHardware, list[int]]
) -> Iterator[tuple[str, dict[int, float], int]]:
    """Yield what each pool's GPUs carry, and its nodes for each size of replica: site, use and the most of it."""
    whole_gpu_columns: dict[tuple[str, str], list[Column]] = {}
    cut_gpus: dict[tuple[str, str], list[int]] = {}
    for column in counts:
        if column.instance is None:
            pool_columns = whole_gpu_columns.setdefault((column.site, column.gpu), [])
            pool_columns += [column] if column.mig is None else []
    for unit, variables in unit_variables.items():
        if unit.instance is None:
            cut_gpus.setdefault((unit.site, unit.gpu), []).extend(variables)
    for key, columns in whole_gpu_columns.items():
        if "/".join(key) in problem.held:
            continue
        site, pool = hardware.find_pool(problem.requirements, *key)
        free = hardware.usable_gpus(site, pool)
        gpu_use = {counts[column]: float(column.degree * column.nodes) for column in columns}
        yield site.name, {**gpu_use, **dict.fromkeys(cut_gpus.get(key, []), 1.0)}, sum(free)
        for degree in sorted({column.degree for column in columns} - {1}):
            # Replicas of at least this size share nodes, and each node holds a limited number.
            large_replicas = {
                counts[column]: float(column.nodes * (column.degree // degree))
                for column in columns
                if column.degree >= degree
            }
            yield site.name, large_replicas, sum(gpus // degree for gpus in free)


def _add_quota_rows(rows: Rows, problem: Problem, unit_variables: Mapping[SharedHardware, list[int]]) -> None:
    """Limit vCPUs under EKS and instances under SageMaker by the quotas that a site states."""
    for site in problem.requirements.sites:
        quotas = {name.lower(): amount for name, amount in getattr(site, "quotas", {}).items()}
        if not quotas or not problem.quotas(site.name):
            continue
        by_name: dict[str, dict[int, float]] = {}
        for unit, variables in unit_variables.items():
            if unit.site != site.name or unit.instance is None:
                continue
            instance = aws_instances.find(unit.instance)
            is_eks = unit.target == "eks-vllm"
            name = EC2_QUOTAS.get(instance.type[0], "") if is_eks else f"{unit.instance} for endpoint usage"
            amount = float(instance.vcpus) if is_eks else 1.0
            by_name.setdefault(name.lower(), {}).update(dict.fromkeys(variables, amount))
        for name, terms in by_name.items():
            if name in quotas:
                rows.at_most(terms, quotas[name])


def _add_packing_cuts(rows: Rows, problem: Problem, counts: Mapping[Column, int]) -> None:
    """Exclude replica counts that do not fit on nodes: at least one of them must become smaller."""
    for cut in problem.cuts:
        reduced: dict[int, float] = {}
        for column, count in cut.items():
            if column not in counts:
                continue
            is_below = rows.variable(0, 1)
            upper = rows.upper(counts[column])
            rows.at_most({counts[column]: 1.0, is_below: upper - count + 1}, upper)
            reduced[is_below] = 1.0
        if reduced:
            rows.row(1, rows.infinity, reduced)


def _add_node_rows(
    rows: Rows,
    problem: Problem,
    counts: Mapping[Column, int],
    unit_variables: Mapping[SharedHardware, list[int]],
) -> None:
    """Place what runs in a pool on its nodes, if plans did not fit there before.

    Excluding counts one plan at a time takes too many plans where many endpoints differ in little. All rows hold for
    every plan that `node_placement` accepts.
    """
    misses = Counter((column.site, column.gpu) for cut in problem.cuts for column in list(cut)[:1])
    for (site_name, gpu), missed in misses.items():
        if missed < CUTS_BEFORE_NODES:
            continue
        site, pool = hardware.find_pool(problem.requirements, site_name, gpu)
        free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
        on_node: list[dict[int, float]] = [{} for _ in free]
        for column, replicas in counts.items():
            if (column.site, column.gpu) == (site_name, gpu) and column.mig is None:
                parts = hardware.spread_parts(site, pool, column)
                by_node = _place_on_nodes(rows, column.degree, column.nodes, replicas, on_node, free)
                for together in _lost_together(column, pool, by_node):
                    # At most as many as `replicas` divided by `parts`, rounded up.
                    rows.at_most({**dict.fromkeys(together, float(parts)), replicas: -1.0}, parts - 1)
        for unit, variables in unit_variables.items():
            if (unit.site, unit.gpu, unit.instance) == (site_name, gpu, None):
                _place_on_nodes(rows, 1, 1, variables[0], on_node, free)
        for use, gpus in zip(on_node, free, strict=True):
            rows.at_most(use, gpus)


def _place_on_nodes(
    rows: Rows, degree: int, nodes: int, replicas: int, on_node: list[dict[int, float]], free: Sequence[int]
) -> list[int]:
    """Add a variable for each node: how many of the replicas use it. Return them, and add their GPUs to `on_node`."""
    by_node = []
    for use, gpus in zip(on_node, free, strict=True):
        by_node.append(rows.variable(0, min(gpus // degree, rows.upper(replicas))))
        use[by_node[-1]] = float(degree)
    rows.row(0, 0, {**dict.fromkeys(by_node, 1.0), replicas: -float(nodes)})
    return by_node


def _lost_together(column: Column, pool: Pool, by_node: Sequence[int]) -> list[Sequence[int]]:
    """Return the variables of the nodes that fail together in the failure that the column must survive."""
    if column.survive == "node":
        return [[variable] for variable in by_node]
    if column.survive == "domain" and column.nodes == 1:
        return [by_node[domain :: pool.failure_domains] for domain in range(pool.failure_domains)]
    return []
