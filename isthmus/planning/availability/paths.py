"""Finds what must work for each workload of a plan: sites, gateway, database, link, provider and replicas."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import Replica, capacities, pack
from isthmus.contracts.plan.capacity_rules import survive_of
from isthmus.contracts.platform.lookups.gateway_size import planned_copies
from isthmus.contracts.requirements.document import OnPremSite
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.planning.availability.model import Copies, NodeGroup, Path, Replicas
from isthmus.planning.catalogues import failure_modes
from isthmus.planning.catalogues.failure_modes import FailureMode
from isthmus.planning.options import gateway_sites, hardware, monthly_costs

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan, PlannedEndpoint, PlannedGateway
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.contracts.vocabulary import FailurePart
    from isthmus.planning.options.option import Column
    from isthmus.planning.output.endpoints import SizedEndpoint
    from isthmus.planning.solver.node_placement import PlacedReplicas

MOST_SPARE_NODES = 3
"""More nodes of a pool are practically never down at once."""


@dataclass(frozen=True)
class PathFinder:
    """Finds the paths of a plan's workloads."""

    requirements: Requirements
    plan: Plan
    endpoints: Sequence[SizedEndpoint]
    nodes: Mapping[Column, PlacedReplicas]
    builds: Collection[str]
    """What the blueprint builds: gateways in AWS run in a cluster or on Fargate."""

    @functools.cached_property
    def _modes(self) -> Mapping[FailurePart, FailureMode]:
        return failure_modes.of_requirements(self.requirements)

    @functools.cached_property
    def _callers(self) -> Mapping[tuple[str, str], Sequence[Workload]]:
        """The workloads of each gateway, by its class and site."""
        callers: dict[tuple[str, str], list[Workload]] = {}
        for workload in self.requirements.workloads:
            if (gateway := self.plan.gateway_of(workload.name)) is not None:
                callers.setdefault((gateway.class_, gateway.site), []).append(workload)
        return callers

    def path(self, workload: str) -> Path:
        """Return what must work for a workload. Its overflow must work too, because the peak needs it."""
        ids = {placement.endpoint for placement in self.plan.placements if placement.workload == workload}
        sized_endpoints = [sized for sized in self.endpoints if sized.endpoint.id in ids]
        gateway = self.plan.gateway_of(workload)
        sites = [sized.endpoint.site for sized in sized_endpoints]
        copies: list[Copies] = []
        if gateway is not None:
            sites.insert(0, gateway.site)
            copies += self._gateway(gateway)
        copies = [*(self._site(site) for site in dict.fromkeys(sites)), *copies]
        for sized in sized_endpoints:
            copies += self._way_to(gateway, sized.endpoint)
        replicas = [
            self._replicas(sized, sized.column) for sized in sized_endpoints if sized.column is not None
        ]
        return Path(tuple(dict.fromkeys(copies)), tuple(replicas))

    def _site(self, name: str) -> Copies:
        on_prem = isinstance(self.requirements.site(name), OnPremSite)
        return Copies(self._modes["site-on-prem" if on_prem else "site-aws"], name)

    def _gateway(self, gateway: PlannedGateway) -> Iterator[Copies]:
        """Yield the gateway's copies and, if its answers may be held for people, its database."""
        callers = self._callers[gateway.class_, gateway.site]
        name, count = f"{gateway.class_}-{gateway.site}", planned_copies(callers)
        # Copies are planned so that the others carry the peak without one of them.
        yield Copies(self._modes["gateway"], name, count, count - 1)
        in_cluster = gateway_sites.has_cluster(self.requirements, gateway.site, self.builds)
        if in_cluster and any(workload.needs_people for workload in callers):
            yield Copies(self._modes["database"], name)

    def _way_to(self, gateway: PlannedGateway | None, endpoint: PlannedEndpoint) -> Iterator[Copies]:
        """Yield the link to a service in AWS, and the service."""
        if endpoint.target not in CALLED_TARGETS:
            return
        if gateway is not None and isinstance(self.requirements.site(gateway.site), OnPremSite):
            link = monthly_costs.find_link(self.requirements.links, gateway.site, endpoint.site)
            part: FailurePart = (
                "link-internet"
                if link is None
                else "link-vpn"
                if link.kind == "vpn"
                else "link-direct-connect"
            )
            yield Copies(self._modes[part], f"{gateway.site}-{endpoint.site}")
        service: FailurePart = "provider-bedrock" if endpoint.target == "bedrock" else "provider-sagemaker"
        yield Copies(self._modes[service], endpoint.site)

    def _replicas(self, sized: SizedEndpoint, column: Column) -> Replicas:
        place, placed = "aws" if column.instance is not None else "on-prem", self.nodes[column]
        survive = survive_of(self.plan, self.requirements, sized.endpoint.id)
        # Replicas that survive a domain are spread evenly over domains, so a free node of another one does not help.
        spare = 0 if survive == "domain" else self._spare_nodes(column)
        domains, spanned = self._domains(column, placed, survive, spare)
        domain = self._modes["domain-aws" if place == "aws" else "domain-on-prem"]
        return Replicas(
            at=sized.endpoint.id,
            needed=min(placed.count, max(1, math.ceil(sized.load - 1e-9))),
            domains=domains,
            replica=self._modes["replica"],
            node=self._modes["node-aws" if place == "aws" else "node-on-prem"],
            # A replica over several domains is lost with each of them.
            domain=replace(domain, rate_per_year=domain.rate_per_year * spanned),
            spare_nodes=spare,
        )

    def _spare_nodes(self, column: Column) -> int:
        """Return how many nodes of the pool may be away, whichever they are, while all of its replicas find room.

        None in AWS, where nodes are replaced. None for MIG slices, because other nodes are not cut for them, and for
        replicas over several nodes, which need neighbours.
        """
        if column.instance is not None or column.mig is not None or column.nodes > 1:
            return 0
        _, pool = hardware.column_pool(self.requirements, column)
        counts = {
            other: placed.count
            for other, placed in self.nodes.items()
            if other.instance is None and (other.site, other.gpu) == (column.site, column.gpu)
        }
        cut = {unit for other in counts if (unit := hardware.shared_hardware(other)) is not None}
        replicas = [Replica(1) for unit in cut for _ in range(hardware.units_needed(unit, counts))]
        for other, count in counts.items():
            replicas += [Replica(other.degree, other.nodes)] * (0 if other.mig is not None else count)
        free = sorted(capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus))
        for spare in range(1, min(MOST_SPARE_NODES + 1, pool.nodes)):
            if pack(free[: len(free) - spare], replicas) is None:
                return spare - 1
        return min(MOST_SPARE_NODES, pool.nodes - 1)

    def _domains(
        self, column: Column, placed: PlacedReplicas, survive: str, spare: int
    ) -> tuple[tuple[tuple[NodeGroup, ...], ...], int]:
        """Return the nodes by domain, and how many domains a replica spans.

        In AWS replicas are in one zone, except those that survive its loss. Nodes without replicas count if others may
        start there.
        """
        count = placed.domains
        if column.instance is not None and survive != "domain":
            count = 1
        spans = column.instance is None and not placed.within_domains
        groups = _joined_nodes(placed)
        if spare:
            _, pool = hardware.column_pool(self.requirements, column)
            used = {node for nodes, _ in groups for node in nodes}
            groups += [((node,), 0) for node in range(pool.nodes) if node not in used]
        domains: list[list[NodeGroup]] = [[] for _ in range(1 if spans else count)]
        for nodes, replicas in groups:
            domains[0 if spans else nodes[0] % count].append(NodeGroup(replicas, len(nodes)))
        return tuple(tuple(domain) for domain in domains), count if spans else 1


def _joined_nodes(placed: PlacedReplicas) -> list[tuple[tuple[int, ...], int]]:
    """Return the nodes with their replicas; nodes that share a replica as one.

    Two replicas over the nodes 0, 1 and 1, 2 count as lost with any of the three: a little too careful.
    """
    groups: list[tuple[set[int], int]] = []
    for nodes in placed.replicas:
        joined, count = set(nodes), 1
        others = []
        for other_nodes, other_count in groups:
            if joined & other_nodes:
                joined, count = joined | other_nodes, count + other_count
            else:
                others.append((other_nodes, other_count))
        groups = [*others, (joined, count)]
    return sorted((tuple(sorted(nodes)), count) for nodes, count in groups)
