"""Which node each replica stands on, so that what a loss takes away is no more than was counted with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.contracts.packing import capacities
from isthmus.contracts.plan import zone_name
from isthmus.contracts.requirements import OnPremSite, Requirements
from isthmus.contracts.requirements_sites import Pool
from isthmus.planning.options import Column
from isthmus.planning.pools import pool_of, spread


@dataclass(frozen=True)
class Placed:
    """Replicas of a column by node, of its pool's nodes from 0."""

    by_node: Mapping[int, int]
    domains: int

    @property
    def count(self) -> int:
        return sum(self.by_node.values())

    def by_domain(self, site: str) -> dict[str, int]:
        """By the zone's name, all zones of the pool."""
        found = {zone_name(site, domain): 0 for domain in range(self.domains)}
        for node, count in self.by_node.items():
            found[zone_name(site, node % self.domains)] += count
        return found

    def lost(self, survive: str) -> int:
        """Replicas that go with the largest part of that kind."""
        if survive == "none":
            return 0
        if survive == "replica":
            return min(1, self.count)
        if survive == "node":
            return max(self.by_node.values(), default=0)
        domains = [0] * self.domains
        for node, count in self.by_node.items():
            domains[node % self.domains] += count
        return max(domains)


def place(
    requirements: Requirements, replicas: Mapping[Column, int]
) -> dict[Column, Placed] | dict[Column, int]:
    """Every replica on a node; or, where a pool's do not fit so, the numbers of that pool."""
    found: dict[Column, Placed] = {}
    by_pool: dict[tuple[str, str], list[Column]] = {}
    for column in sorted(replicas, key=_order):
        by_pool.setdefault((column.site, column.gpu), []).append(column)
    for columns in by_pool.values():
        site, pool = pool_of(requirements, columns[0])
        placed = _pool(site, pool, columns, replicas)
        if placed is None:
            return {column: replicas[column] for column in columns}
        found |= placed
    return found


def _order(column: Column) -> tuple[int, str, str]:
    """The largest first, then those that ask to be spread most."""
    return (
        -column.degree,
        {"domain": "a", "node": "b", "replica": "c", "none": "d"}[column.survive],
        str(column),
    )


def _pool(
    site: OnPremSite, pool: Pool, columns: list[Column], replicas: Mapping[Column, int]
) -> dict[Column, Placed] | None:
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    found: dict[Column, Placed] = {}
    for column in columns:
        by_node: dict[int, int] = {}
        domains = [0] * pool.failure_domains
        for _ in range(replicas[column]):
            node = _node(site, pool, column, free, by_node, domains, replicas[column])
            if node is None:
                return None
            free[node] -= column.degree
            by_node[node] = by_node.get(node, 0) + 1
            domains[node % pool.failure_domains] += 1
        found[column] = Placed(by_node, pool.failure_domains)
    return found


def _node(
    site: OnPremSite,
    pool: Pool,
    column: Column,
    free: list[int],
    by_node: dict[int, int],
    domains: list[int],
    count: int,
) -> int | None:
    """The node with the fewest of its own, in the domain with the fewest, where it fits tightest."""
    room = [node for node, gpus in enumerate(free) if gpus >= column.degree]
    if column.survive == "domain":
        most = math.ceil(count / spread(site, pool, column))
        room = [node for node in room if domains[node % pool.failure_domains] < most]
    if column.survive == "node":
        # The program counts on the loss of no more: where others fill the nodes, these numbers do not pack.
        most = math.ceil(count / spread(site, pool, column))
        room = [node for node in room if by_node.get(node, 0) < most]
    if column.survive == "none":
        return min(room, key=lambda node: (free[node], node), default=None)
    return min(
        room,
        key=lambda node: (domains[node % pool.failure_domains], by_node.get(node, 0), free[node], node),
        default=None,
    )
