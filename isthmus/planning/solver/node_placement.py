"""Which node each replica stands on, so that what a loss takes away is no more than was counted with."""

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
from isthmus.planning.options.hardware import pool_of, shared, spread
from isthmus.planning.options.option import Column
from isthmus.planning.solver.milp import Rows

MOST_NODES = 50
"""Of the search for a packing: what is not found by then is taken not to pack."""


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
    for column in replicas:
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


def _largest(column: Column) -> tuple[int, int, str]:
    """The largest first, then those that ask to be spread most."""
    return -column.degree * column.nodes, -SURVIVES.index(column.survive), str(column)


def _spread(column: Column) -> tuple[bool, int, int, str]:
    """What is laid over several nodes, then those that ask to be spread, before others fill the nodes up."""
    return column.nodes == 1, -SURVIVES.index(column.survive), -column.degree, str(column)


def _pool(
    site: OnPremSite, pool: Pool, columns: list[Column], replicas: Mapping[Column, int]
) -> dict[Column, Placed] | None:
    """By two rules of thumb, and where neither finds room by a program of its own."""
    pieces: dict[Column, int] = {}
    sharing: dict[Column, list[Column]] = {}
    for column in sorted(columns, key=str):
        of = shared(column)
        if of is None or of.owner is not None:
            pieces[column] = math.ceil(replicas[column] / hardware.each_holds(column))
            continue
        first = next((each for each in sharing if shared(each) == of), column)
        sharing.setdefault(first, []).append(column)
        pieces[first] = hardware.needed(of, replicas)
    nodes = (
        _by_rule(site, pool, pieces, _largest)
        or _by_rule(site, pool, pieces, _spread)
        or _by_program(site, pool, pieces)
    )
    if nodes is None:
        return None
    found: dict[Column, Placed] = {}
    for column in pieces:
        holds, begin = hardware.each_holds(column), 0
        for each in sharing.get(column, [column]):
            # Slices of one GPU after the other, those who share them one after the other.
            mine = tuple(nodes[column][at // holds] for at in range(begin, begin + replicas[each]))
            found[each] = Placed(mine, pool.failure_domains)
            begin += replicas[each]
    return found if _cuts_fit(site, pool, found) else None


def _cuts_fit(site: OnPremSite, pool: Pool, placed: Mapping[Column, Placed]) -> bool:
    """Whether there are nodes for the cut GPUs: of one node those of one profile serve one class (`contracts.mig`)."""
    sliced, whole = [], []
    bound: list[list[Replica]] = [[] for _ in range(pool.failure_domains)]
    for column, each in placed.items():
        by_domain = tuple(each.by_domain(site.name).values()) if hardware.own(column) else None
        if column.mig is not None:
            endpoint = mig.Sliced(
                str(column), column.class_, column.mig, each.count, column.survive, by_domain
            )
            sliced.append(endpoint)
            continue
        replica = Replica(column.degree, column.nodes)
        whole += [replica] * each.count
        for domain, count in enumerate(by_domain or () if each.within_domains else ()):
            bound[domain] += [replica] * count
    if not sliced:
        return True
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    return mig.lay_out(mig.cuts(pool.gpu, sliced), free, pool.failure_domains, whole, bound) is not None


def _by_rule(
    site: OnPremSite, pool: Pool, pieces: Mapping[Column, int], order: Callable[[Column], Any]
) -> dict[Column, list[tuple[int, ...]]] | None:
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    found: dict[Column, list[tuple[int, ...]]] = {}
    for column in sorted(pieces, key=order):
        nodes = _units(site, pool, column, free, pieces[column])
        if nodes is None:
            return None
        found[column] = nodes
    return found


def _by_program(
    site: OnPremSite, pool: Pool, pieces: Mapping[Column, int]
) -> dict[Column, list[tuple[int, ...]]] | None:
    """How many of each stand on each node; what lies over several nodes is placed by rule before."""
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    found: dict[Column, list[tuple[int, ...]]] = {}
    wide = sorted((column for column in pieces if column.nodes > 1), key=_spread)
    for column in wide:
        nodes = _units(site, pool, column, free, pieces[column])
        if nodes is None:
            return None
        found[column] = nodes
    rows = Rows(gap=0.0, nodes=MOST_NODES)
    count: dict[tuple[Column, int], int] = {}
    single = [column for column in pieces if column.nodes == 1]
    for column in single:
        most = math.ceil(pieces[column] / spread(site, pool, column))
        for node, gpus in enumerate(free):
            room = gpus // column.degree
            count[column, node] = rows.variable(0, min(room, most) if column.survive == "node" else room)
        rows.row(pieces[column], pieces[column], {count[column, node]: 1.0 for node in range(len(free))})
        for domain in range(pool.failure_domains) if column.survive == "domain" else ():
            rows.at_most(
                {count[column, node]: 1.0 for node in range(domain, len(free), pool.failure_domains)}, most
            )
    for node, gpus in enumerate(free):
        rows.at_most({count[column, node]: float(column.degree) for column in single}, gpus)
    if not rows.minimise():
        return None
    values = rows.values()
    for column in single:
        found[column] = [
            (node,) for node in range(len(free)) for _ in range(round(values[count[column, node]]))
        ]
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
