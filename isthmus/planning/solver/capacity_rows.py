"""The part of the program that counts hardware: replicas for the loads, and GPUs and instances for the replicas.

Loads are in replicas: a workload's peak takes so many of a column's. With `n` replicas, `t` of which may be lost,

    (1 + headroom) load <= n        intact, with headroom
    load <= n - t                   after the loss that its workloads must survive

where `t` is 1 for a replica, and at least n / k for a node or a failure domain among k that replicas are spread over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from isthmus.planning.catalogues import aws_instances
from isthmus.planning.options import hardware
from isthmus.planning.options.hardware import Shared
from isthmus.planning.options.option import Column
from isthmus.planning.sizing.demand import HOURS

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.solver.milp import Rows
    from isthmus.planning.solver.problem import Problem

UNBOUND = 2000
"""Replicas of an endpoint where nothing holds their number."""
EC2_QUOTAS = {"g": "Running On-Demand G and VT instances", "p": "Running On-Demand P instances"}
"""AWS's names of what an account may run, in vCPUs, by the first letter of the type."""


def build(rows: Rows, problem: Problem, loads: Mapping[Column, Mapping[int, float]]) -> dict[Column, int]:
    """The variables of the columns' replicas; `loads`: by column, the variable of each choice and its load."""
    counts: dict[Column, int] = {}
    for column, terms in loads.items():
        counts[column] = _replicas(rows, problem, column, terms)
    pieces = _shared(rows, problem, counts)
    _pools(rows, problem, counts, pieces)
    _quotas(rows, problem, pieces)
    _cuts(rows, problem, counts)
    return counts


def _replicas(rows: Rows, problem: Problem, column: Column, terms: Mapping[int, float]) -> int:
    requirements = problem.requirements
    most = _most(problem, column)
    whole = hardware.shared(column) is None
    n = rows.variable(0, most, hardware.replica_price(requirements, column) if whole else 0.0)
    headroom = 1 + requirements.planning.headroom
    rows.at_most({**{index: headroom * units for index, units in terms.items()}, n: -1.0})
    for index, units in terms.items():
        # Alone it already needs so many: the program is tighter for it.
        rows.at_most({index: float(least(requirements, column, units)), n: -1.0})
    if column.survive == "none":
        return n
    lost = rows.variable(0, most)
    rows.at_most({**terms, n: -1.0, lost: 1.0})
    if column.survive == "replica":
        for index in terms:
            rows.at_most({index: 1.0, lost: -1.0})
    elif column.instance is None:
        site, pool = hardware.pool_of(requirements, column)
        rows.at_most({n: 1.0, lost: -float(hardware.spread(site, pool, column))})
        if (holds := hardware.each_holds(column)) > 1:
            # A cut GPU is lost whole.
            cut = rows.variable(0, math.ceil(most / holds))
            rows.row(0, 0, {lost: 1.0, cut: -float(holds)})
    elif column.survive == "node":
        for index in terms:
            rows.at_most({index: float(hardware.each_holds(column)), lost: -1.0})
    else:
        rows.at_most({n: 1.0, lost: -float(hardware.ZONES)})
    return n


def least(requirements: Requirements, column: Column, load: float) -> int:
    """The least replicas for a load: intact with headroom, and after the loss; `UNBOUND` where none will do."""
    count = max(1, math.ceil(load * (1 + requirements.planning.headroom) - 1e-9))
    # What is left of so many after the loss grows with them, but for a GPU that is cut and lost whole.
    most = UNBOUND - hardware.lost(requirements, column, UNBOUND) + hardware.each_holds(column)
    if most < load - 1e-9:
        return UNBOUND
    while count < UNBOUND and count - hardware.lost(requirements, column, count) < load - 1e-9:
        count += 1
    return min(count, UNBOUND)


def _most(problem: Problem, column: Column) -> int:
    if column.instance is not None or f"{column.site}/{column.gpu}" in problem.held:
        return UNBOUND
    site, pool = hardware.pool_of(problem.requirements, column)
    fitting = sum(free // column.degree for free in hardware.usable(site, pool)) // column.nodes
    return fitting * hardware.each_holds(column)


def _shared(rows: Rows, problem: Problem, counts: Mapping[Column, int]) -> dict[Shared, list[int]]:
    """The variables of cut GPUs and of instances, with what they cost."""
    members: dict[Shared, list[Column]] = {}
    for column in counts:
        if (of := hardware.shared(column)) is not None:
            members.setdefault(of, []).append(column)
    found: dict[Shared, list[int]] = {}
    for of, columns in members.items():
        if of.instance is None:
            price = hardware.gpu_price(problem.requirements, columns[0])
        else:
            price = hardware.hourly(problem.requirements, of).usd_per_hour * HOURS
        piece = rows.variable(0, UNBOUND, price)
        found[of] = [piece]
        holds = float(hardware.each_holds(columns[0]))
        if of.owner is not None and of.instance is not None and of.owner.survive == "domain":
            # A half in each zone, the larger one first: it is what may be lost.
            other = rows.variable(0, UNBOUND, price)
            n, half = counts[of.owner], rows.variable(0, UNBOUND)
            rows.at_most({n: 1.0, half: -2.0})
            rows.at_most({half: 1.0, piece: -holds})
            rows.at_most({n: 1.0, half: -1.0, other: -holds})
            found[of].append(other)
        elif of.owner is not None and of.instance is None:
            # Nobody else may use them: all of their slices run a replica.
            rows.row(0, 0, {counts[of.owner]: 1.0, piece: -holds})
        elif of.instance is not None and of.target == "eks-vllm":
            gpus = float(aws_instances.find(of.instance).gpus)
            used = {counts[each]: float(each.degree) for each in columns}
            rows.at_most(
                {**used, piece: -gpus} if of.owner is None else {counts[of.owner]: 1.0, piece: -holds}
            )
        else:
            rows.at_most({**{counts[each]: 1.0 for each in columns}, piece: -holds})
    return found


def _pools(
    rows: Rows, problem: Problem, counts: Mapping[Column, int], pieces: Mapping[Shared, list[int]]
) -> None:
    """The GPUs of each pool, and of its nodes for each size of replica."""
    whole: dict[tuple[str, str], list[Column]] = {}
    cut: dict[tuple[str, str], list[int]] = {}
    for column in counts:
        if column.instance is None:
            mine = whole.setdefault((column.site, column.gpu), [])
            mine += [column] if column.mig is None else []
    for of, variables in pieces.items():
        if of.instance is None:
            cut.setdefault((of.site, of.gpu), []).extend(variables)
    for key, columns in whole.items():
        if "/".join(key) in problem.held:
            continue
        site, pool = hardware.pool_named(problem.requirements, *key)
        free = hardware.usable(site, pool)
        taken = {counts[each]: float(each.degree * each.nodes) for each in columns}
        rows.at_most({**taken, **dict.fromkeys(cut.get(key, []), 1.0)}, sum(free))
        for degree in sorted({each.degree for each in columns} - {1}):
            # Replicas of at least this size share nodes: each node holds so many of them.
            big = {
                counts[each]: float(each.nodes * (each.degree // degree))
                for each in columns
                if each.degree >= degree
            }
            rows.at_most(big, sum(gpus // degree for gpus in free))


def _quotas(rows: Rows, problem: Problem, pieces: Mapping[Shared, list[int]]) -> None:
    """What an account may run at once, where its site states it: vCPUs under EKS, instances under SageMaker."""
    for site in problem.requirements.sites:
        stated = {name.lower(): amount for name, amount in getattr(site, "quotas", {}).items()}
        if not stated or not problem.quotas(site.name):
            continue
        by_name: dict[str, dict[int, float]] = {}
        for of, variables in pieces.items():
            if of.site != site.name or of.instance is None:
                continue
            kind = aws_instances.find(of.instance)
            eks = of.target == "eks-vllm"
            name = EC2_QUOTAS.get(kind.type[0], "") if eks else f"{of.instance} for endpoint usage"
            each = float(kind.vcpus) if eks else 1.0
            by_name.setdefault(name.lower(), {}).update(dict.fromkeys(variables, each))
        for name, terms in by_name.items():
            if name in stated:
                rows.at_most(terms, stated[name])


def _cuts(rows: Rows, problem: Problem, counts: Mapping[Column, int]) -> None:
    """Numbers of replicas that do not pack, nor more of all of them: one of them must be smaller."""
    for cut in problem.cuts:
        fewer: dict[int, float] = {}
        for column, count in cut.items():
            if column not in counts:
                continue
            below = rows.variable(0, 1)
            most = rows.upper(counts[column])
            rows.at_most({counts[column]: 1.0, below: most - count + 1}, most)
            fewer[below] = 1.0
        if fewer:
            rows.row(1, rows.infinity, fewer)
