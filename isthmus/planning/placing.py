"""Which node each replica stands on, so that what a loss takes away is no more than was counted with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.contracts.packing import capacities
from isthmus.contracts.plan import zone_name
from isthmus.contracts.requirements import OnPremSite, Requirements
from isthmus.contracts.requirements_sites import Pool
from isthmus.planning import hardware
from isthmus.planning.hardware import Shared, pool_of, shared, spread
from isthmus.planning.options import Column


@dataclass(frozen=True)
class Placed:
    """The nodes of each replica, of its pool's from 0; on AWS of the instances that are its own."""

    replicas: tuple[tuple[int, ...], ...]
    domains: int

    @property
    def count(self) -> int:
        return len(self.replicas)

    @property
    def by_node(self) -> dict[int, int]:
        """Replicas that stand on a node, or on a part of them."""
        found: dict[int, int] = {}
        for nodes in self.replicas:
            for node in nodes:
                found[node] = found.get(node, 0) + 1
        return found

    def by_domain(self, site: str) -> dict[str, int]:
        """By the zone's name, all zones of the pool. A replica over several nodes is counted where its first stands."""
        found = {zone_name(site, domain): 0 for domain in range(self.domains)}
        for nodes in self.replicas:
            found[zone_name(site, nodes[0] % self.domains)] += 1
        return found

    @property
    def within_domains(self) -> bool:
        """Whether no replica over several nodes stands in several domains."""
        return all(len({node % self.domains for node in nodes}) == 1 for nodes in self.replicas)

    def lost(self, survive: str) -> int:
        """Replicas that go with the largest part of that kind."""
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


def place(
    requirements: Requirements, replicas: Mapping[Column, int]
) -> dict[Column, Placed] | dict[Column, int]:
    """Every replica on a node; or, where a pool's do not fit so, the numbers of that pool."""
    found: dict[Column, Placed] = {}
    by_pool: dict[tuple[str, str], list[Column]] = {}
    for column in sorted(replicas, key=_order):
        if column.instance is not None:
            found[column] = _on_instances(column, replicas[column])
        else:
            by_pool.setdefault((column.site, column.gpu), []).append(column)
    for columns in by_pool.values():
        site, pool = pool_of(requirements, columns[0])
        placed = _pool(site, pool, columns, replicas)
        if placed is None:
            return {column: replicas[column] for column in columns}
        found |= placed
    return found


def _on_instances(column: Column, count: int) -> Placed:
    """Full instances one after the other; those that shall outlive a zone by turns, half of them in each."""
    holds = hardware.each_holds(column)
    if column.survive != "domain":
        return Placed(tuple((at // holds,) for at in range(count)), hardware.ZONES)
    zones = hardware.ZONES
    return Placed(tuple((at // zones // holds * zones + at % zones,) for at in range(count)), zones)


def _order(column: Column) -> tuple[bool, int, str, str]:
    """Whole GPUs first, the largest first, then those that ask to be spread most."""
    return (
        column.mig is not None,
        -column.degree * column.nodes,
        {"domain": "a", "node": "b", "replica": "c", "none": "d"}[column.survive],
        str(column),
    )


def _pool(
    site: OnPremSite, pool: Pool, columns: list[Column], replicas: Mapping[Column, int]
) -> dict[Column, Placed] | None:
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    found: dict[Column, Placed] = {}
    sharing: dict[Shared, list[Column]] = {}
    for column in columns:
        of = shared(column)
        if of is not None and of.owner is None:
            sharing.setdefault(of, []).append(column)
            continue
        holds = hardware.each_holds(column)
        units = math.ceil(replicas[column] / holds)
        nodes = _units(site, pool, column, free, units)
        if nodes is None:
            return None
        each = tuple(nodes[at // holds] for at in range(replicas[column]))
        found[column] = Placed(each, pool.failure_domains)
    for of, members in sharing.items():
        cut = _units(site, pool, members[0], free, hardware.needed(of, replicas))
        if cut is None:
            return None
        holds, begin = hardware.each_holds(members[0]), 0
        for column in members:
            each = tuple(cut[at // holds] for at in range(begin, begin + replicas[column]))
            found[column] = Placed(each, pool.failure_domains)
            begin += replicas[column]
    return found


def _units(
    site: OnPremSite, pool: Pool, column: Column, free: list[int], count: int
) -> list[tuple[int, ...]] | None:
    """The nodes of so many replicas, or of so many cut GPUs; what they take is taken from `free`."""
    found: list[tuple[int, ...]] = []
    by_node: dict[int, int] = {}
    domains = [0] * pool.failure_domains
    # The program counts on the loss of no more: where others fill the nodes, these numbers do not pack.
    most = math.ceil(count / spread(site, pool, column))
    for _ in range(count):
        nodes = _nodes(pool, column, free, by_node, domains, most)
        if nodes is None:
            return None
        for node in nodes:
            free[node] -= column.degree
            by_node[node] = by_node.get(node, 0) + 1
        domains[nodes[0] % pool.failure_domains] += 1
        found.append(nodes)
    return found


def _nodes(
    pool: Pool, column: Column, free: list[int], by_node: dict[int, int], domains: list[int], most: int
) -> tuple[int, ...] | None:
    """The nodes with the fewest of its own, in the domain with the fewest, where it fits tightest."""
    room = [node for node, gpus in enumerate(free) if gpus >= column.degree]
    if column.survive == "domain":
        room = [node for node in room if domains[node % pool.failure_domains] < most]
    if column.survive == "node":
        room = [node for node in room if by_node.get(node, 0) < most]

    def order(node: int) -> tuple[int, ...]:
        if column.survive == "none":
            return free[node], node
        return domains[node % pool.failure_domains], by_node.get(node, 0), free[node], node

    room.sort(key=order)
    if column.nodes == 1:
        return (room[0],) if room else None
    # A replica over several nodes stays in one domain where one has the nodes: a loss then takes no more than it must.
    for domain in dict.fromkeys(node % pool.failure_domains for node in room):
        inside = [node for node in room if node % pool.failure_domains == domain]
        if len(inside) >= column.nodes:
            return tuple(inside[: column.nodes])
    if column.survive == "domain" or len(room) < column.nodes:
        return None
    return tuple(room[: column.nodes])
