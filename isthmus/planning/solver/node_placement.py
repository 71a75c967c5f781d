"""Places each replica on a node, so that a failure affects no more replicas than the solver assumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import Replica, capacities
from isthmus.contracts.plan.document import zone_name
from isthmus.contracts.requirements.document import OnPremSite, Requirements
from isthmus.contracts.requirements.sites import Pool
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.options import hardware
from isthmus.planning.options.hardware import column_pool, shared_hardware, spread_parts
from isthmus.planning.options.option import Column
from isthmus.planning.solver.milp import Rows

MOST_NODES = 50
"""Node limit of the search for a packing. If none is found by then, the replicas are assumed not to fit."""


@dataclass(frozen=True)
class PlacedReplicas:
    """The nodes of each replica, numbered from 0 within its pool; on AWS, within its own instances."""

    replicas: tuple[tuple[int, ...], ...]
    domains: int

    @property
    def count(self) -> int:
        return len(self.replicas)

    @property
    def by_node(self) -> dict[int, int]:
        """Replicas that use a node, completely or partly."""
        counts: dict[int, int] = {}
        for nodes in self.replicas:
            for node in nodes:
                counts[node] = counts.get(node, 0) + 1
        return counts

    def by_domain(self, site: str) -> dict[str, int]:
        """Return the replicas of each zone of the pool. A replica over several nodes counts where its first node is."""
        counts = {zone_name(site, domain): 0 for domain in range(self.domains)}
        for nodes in self.replicas:
            counts[zone_name(site, nodes[0] % self.domains)] += 1
        return counts

    @property
    def within_domains(self) -> bool:
        """Whether all nodes of each replica are in one domain."""
        return all(len({node % self.domains for node in nodes}) == 1 for nodes in self.replicas)

    def lost(self, survive: str) -> int:
        """Return how many replicas are lost, at worst, with a replica, a node or a domain."""
        if survive == "none":
            return 0
        if survive == "replica":
            return min(1, self.count)
        if survive == "node":
            return max(self.by_node.values(), default=0)
        return max(
            sum(any(node % self.domains == domain for node in nodes) for nodes in self.replicas)
            for domain in range(self.domains)
        )


def place_replicas(
    requirements: Requirements, replicas: Mapping[Column, int]
) -> dict[Column, PlacedReplicas] | dict[Column, int]:
    """Return the nodes of all replicas; or, if a pool's replicas do not fit, the counts of that pool."""
    placements: dict[Column, PlacedReplicas] = {}
    by_pool: dict[tuple[str, str], list[Column]] = {}
    for column in replicas:
        if column.instance is not None:
            placements[column] = _place_on_instances(column, replicas[column])
        else:
            by_pool.setdefault((column.site, column.gpu), []).append(column)
    for columns in by_pool.values():
        site, pool = column_pool(requirements, columns[0])
        placed = _place_in_pool(site, pool, columns, replicas)
        if placed is None:
            return {column: replicas[column] for column in columns}
        placements |= placed
    return placements


def _place_on_instances(column: Column, count: int) -> PlacedReplicas:
    """Fill instances one after the other. To survive the loss of a zone, alternate between the two zones."""
    per_instance = hardware.replicas_per_unit(column)
    if column.survive != "domain":
        return PlacedReplicas(tuple((index // per_instance,) for index in range(count)), hardware.ZONES)
    zones = hardware.ZONES
    return PlacedReplicas(
        tuple((index // zones // per_instance * zones + index % zones,) for index in range(count)), zones
    )


def _largest_first(column: Column) -> tuple[int, int, str]:
    """Sort key: the largest replicas first, then those with the strictest `survive`."""
    return -column.degree * column.nodes, -SURVIVES.index(column.survive), str(column)


def _most_spread_first(column: Column) -> tuple[bool, int, int, str]:
    """Sort key: replicas over several nodes first, then those with the strictest `survive`."""
    return column.nodes == 1, -SURVIVES.index(column.survive), -column.degree, str(column)


def _place_in_pool(
    site: OnPremSite, pool: Pool, columns: list[Column], replicas: Mapping[Column, int]
) -> dict[Column, PlacedReplicas] | None:
    """Place the replicas of a pool by two heuristics, and if both fail by an integer program."""
    unit_counts: dict[Column, int] = {}
    sharing: dict[Column, list[Column]] = {}
    for column in sorted(columns, key=str):
        unit = shared_hardware(column)
        if unit is None or unit.owner is not None:
            unit_counts[column] = math.ceil(replicas[column] / hardware.replicas_per_unit(column))
            continue
        first = next((sharer for sharer in sharing if shared_hardware(sharer) == unit), column)
        sharing.setdefault(first, []).append(column)
        unit_counts[first] = hardware.units_needed(unit, replicas)
    nodes = (
        _place_greedily(site, pool, unit_counts, _largest_first)
        or _place_greedily(site, pool, unit_counts, _most_spread_first)
        or _place_by_program(site, pool, unit_counts)
    )
    if nodes is None:
        return None
    placements: dict[Column, PlacedReplicas] = {}
    for column in unit_counts:
        per_unit, start = hardware.replicas_per_unit(column), 0
        for sharer in sharing.get(column, [column]):
            # Fill the slices of one GPU after the other, endpoint by endpoint.
            replica_nodes = tuple(
                nodes[column][index // per_unit] for index in range(start, start + replicas[sharer])
            )
            placements[sharer] = PlacedReplicas(replica_nodes, pool.failure_domains)
            start += replicas[sharer]
    return placements if _mig_layout_exists(site, pool, placements) else None


def _mig_layout_exists(site: OnPremSite, pool: Pool, placed: Mapping[Column, PlacedReplicas]) -> bool:
    """Whether the MIG GPUs fit on nodes. On one node, a profile serves one class (`contracts.mig`)."""
    sliced, whole_gpu_replicas = [], []
    domain_replicas: list[list[Replica]] = [[] for _ in range(pool.failure_domains)]
    for column, placement in placed.items():
        by_domain = (
            tuple(placement.by_domain(site.name).values())
            if hardware.has_dedicated_hardware(column)
            else None
        )
        if column.mig is not None:
            endpoint = mig.Sliced(
                str(column), column.sensitivity, column.mig, placement.count, column.survive, by_domain
            )
            sliced.append(endpoint)
            continue
        replica = Replica(column.degree, column.nodes)
        whole_gpu_replicas += [replica] * placement.count
        for domain, count in enumerate(by_domain or () if placement.within_domains else ()):
            domain_replicas[domain] += [replica] * count
    if not sliced:
        return True
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    return (
        mig.lay_out(
            mig.cuts(pool.gpu, sliced), free, pool.failure_domains, whole_gpu_replicas, domain_replicas
        )
        is not None
    )


def _place_greedily(
    site: OnPremSite, pool: Pool, unit_counts: Mapping[Column, int], order: Callable[[Column], Any]
) -> dict[Column, list[tuple[int, ...]]] | None:
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    unit_nodes: dict[Column, list[tuple[int, ...]]] = {}
    for column in sorted(unit_counts, key=order):
        nodes = _place_units(site, pool, column, free, unit_counts[column])
        if nodes is None:
            return None
        unit_nodes[column] = nodes
    return unit_nodes


def _place_by_program(
    site: OnPremSite, pool: Pool, unit_counts: Mapping[Column, int]
) -> dict[Column, list[tuple[int, ...]]] | None:
    """Decide by a program how many replicas run on each node. Those over several nodes are placed greedily before."""
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    unit_nodes: dict[Column, list[tuple[int, ...]]] = {}
    wide = sorted((column for column in unit_counts if column.nodes > 1), key=_most_spread_first)
    for column in wide:
        nodes = _place_units(site, pool, column, free, unit_counts[column])
        if nodes is None:
            return None
        unit_nodes[column] = nodes
    rows = Rows(gap=0.0, nodes=MOST_NODES)
    count: dict[tuple[Column, int], int] = {}
    single = [column for column in unit_counts if column.nodes == 1]
    for column in single:
        max_per_part = math.ceil(unit_counts[column] / spread_parts(site, pool, column))
        for node, gpus in enumerate(free):
            room = gpus // column.degree
            count[column, node] = rows.variable(
                0, min(room, max_per_part) if column.survive == "node" else room
            )
        rows.row(
            unit_counts[column], unit_counts[column], {count[column, node]: 1.0 for node in range(len(free))}
        )
        for domain in range(pool.failure_domains) if column.survive == "domain" else ():
            rows.at_most(
                {count[column, node]: 1.0 for node in range(domain, len(free), pool.failure_domains)},
                max_per_part,
            )
    for node, gpus in enumerate(free):
        rows.at_most({count[column, node]: float(column.degree) for column in single}, gpus)
    if not rows.minimise():
        return None
    values = rows.values()
    for column in single:
        unit_nodes[column] = [
            (node,) for node in range(len(free)) for _ in range(round(values[count[column, node]]))
        ]
    return unit_nodes


def _place_units(
    site: OnPremSite, pool: Pool, column: Column, free: list[int], count: int
) -> list[tuple[int, ...]] | None:
    """Return the nodes of `count` replicas or MIG GPUs, and subtract their GPUs from `free`."""
    unit_nodes: list[tuple[int, ...]] = []
    by_node: dict[int, int] = {}
    domains = [0] * pool.failure_domains
    # The solver assumed that a failure affects at most this many replicas.
    max_per_part = math.ceil(count / spread_parts(site, pool, column))
    for _ in range(count):
        nodes = _best_nodes(pool, column, free, by_node, domains, max_per_part)
        if nodes is None:
            return None
        for node in nodes:
            free[node] -= column.degree
            by_node[node] = by_node.get(node, 0) + 1
        domains[nodes[0] % pool.failure_domains] += 1
        unit_nodes.append(nodes)
    return unit_nodes


def _best_nodes(
    pool: Pool,
    column: Column,
    free: list[int],
    by_node: dict[int, int],
    domains: list[int],
    max_per_part: int,
) -> tuple[int, ...] | None:
    """Return the nodes in the domain and with the fewest replicas of this column, then with the fewest free GPUs."""
    room = [node for node, gpus in enumerate(free) if gpus >= column.degree]
    if column.survive == "domain":
        room = [node for node in room if domains[node % pool.failure_domains] < max_per_part]
    if column.survive == "node":
        room = [node for node in room if by_node.get(node, 0) < max_per_part]

    def order(node: int) -> tuple[int, ...]:
        if column.survive == "none":
            return free[node], node
        return domains[node % pool.failure_domains], by_node.get(node, 0), free[node], node

    room.sort(key=order)
    if column.nodes == 1:
        return (room[0],) if room else None
    # A replica over several nodes stays in one domain if possible, so that a failure affects fewer replicas.
    for domain in dict.fromkeys(node % pool.failure_domains for node in room):
        inside = [node for node in room if node % pool.failure_domains == domain]
        if len(inside) >= column.nodes:
            return tuple(inside[: column.nodes])
    if column.survive == "domain" or len(room) < column.nodes:
        return None
    return tuple(room[: column.nodes])
