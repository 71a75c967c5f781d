"""Computes whether old and new endpoints fit the pools together while one plan replaces another.

An endpoint that the new plan does not have is removed last, when its successor serves. Until then a pool must hold
the replicas of both. Arithmetic only: `stacks.migration` and `isthmus.engine.estate.migration` find out which
endpoints exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import Replica, pack
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.node_cache import fetchers
from isthmus.contracts.platform.lookups.serving import at_max_replicas, claim_of
from isthmus.contracts.vocabulary import SENSITIVITIES, Part

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool

STANDING_OUTPUT = "standing"
"""Name of the stack output with the endpoints that exist; a list of `Standing`."""


class Standing(Part):
    """An endpoint on GPUs as it was built."""

    id: str
    class_: str
    site: str
    pool: str
    """Empty where it stands on none: an engine on CPUs."""
    gpus: int = 1
    """GPUs of each node of a replica, or its slices."""
    mig_profile: str | None = None
    time_sliced: bool = False
    """On shared GPUs: a share a replica."""
    nodes: int = 1
    """Nodes of a replica."""
    replicas: int = 1
    """None while it makes room."""
    survive: str = "none"
    cpu: str = "8"
    memory: str = "64Gi"
    claim: str | None = None
    volume: str | None = None
    fetchers: int = 0
    """Machines that keep its weights on their own disks, a pod on each."""
    workloads: list[str] = []
    """Those that its class's gateways send to it."""

    @model_serializer(mode="wrap")
    def _said(self, default: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what most have none of: the outputs of a stack that does not use it stay as they were."""
        return {key: value for key, value in default(self).items() if (key, value) != ("fetchers", 0)}

    @property
    def total(self) -> int:
        """GPUs in all."""
        return self.gpus * self.nodes * self.replicas

    @property
    def whole(self) -> bool:
        """Whether its GPUs are its own, all of each."""
        return self.mig_profile is None and not self.time_sliced


@dataclass(frozen=True)
class Short:
    """A pool without room for the old and the new beside each other."""

    pool: str
    wanted: int
    """GPUs of the new plan and of all that goes."""
    usable: int
    per_node: int


@dataclass(frozen=True)
class Held:
    """A volume that a new endpoint asks for under a claim that it cannot have."""

    endpoint: str
    volume: str
    claim: str
    """The claim that has the volume."""
    class_: str
    same_class: bool
    """Whether the new endpoint could share that claim."""


@dataclass(frozen=True)
class Move:
    """What becomes of the endpoints that stand."""

    going: tuple[Standing, ...] = ()
    """Those that the new plan does not have, or has on another pool."""
    first: tuple[Standing, ...] = ()
    """Those of them that must go before the new ones can come."""
    short: tuple[Short, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def beside(self) -> tuple[Standing, ...]:
        """Those that serve until the new ones do."""
        return tuple(endpoint for endpoint in self.going if endpoint not in self.first)

    @property
    def down(self) -> list[str]:
        """Workloads that get no answers in between."""
        return sorted({workload for endpoint in self.first for workload in endpoint.workloads})


def built_endpoints(platform: Platform) -> list[Standing]:
    """The platform's endpoints on pools, as they exist once it is built, at their maximum replicas."""
    at_max = at_max_replicas(platform)
    return [_built_endpoint(platform, endpoint) for endpoint in at_max.endpoints if endpoint.pool is not None]


def hosted_endpoints(platform: Platform) -> list[Standing]:
    """The SageMaker endpoints. They need no pool, but in an estate their callers wait for them too."""
    return [
        _built_endpoint(platform, endpoint)
        for endpoint in platform.endpoints
        if endpoint.target == "sagemaker"
    ]


def is_moved(endpoint: Standing, pools: dict[str, str | None]) -> bool:
    """Whether a plan does not have the endpoint, or has it on another pool. `pools`: the plan's pool by endpoint."""
    return endpoint.id not in pools or pools[endpoint.id] != (endpoint.pool or None)


def plan_move(built: Iterable[Standing], platform: Platform) -> Move:
    """Which existing endpoints can stay until their successors serve, and which must go first."""
    endpoints, platform = list(built), at_max_replicas(platform)
    pools = {endpoint.id: endpoint.pool for endpoint in platform.endpoints}
    going = [endpoint for endpoint in endpoints if endpoint.replicas and is_moved(endpoint, pools)]
    # The most sensitive endpoints are kept first, then the largest.
    going.sort(key=lambda endpoint: (-_sensitivity_rank(endpoint.class_), -endpoint.total, endpoint.id))
    # A name cannot exist twice, and Kueue does not let a Deployment change its queue while a pod of it is ready.
    first = [endpoint for endpoint in going if endpoint.id in pools]
    short = []
    for pool in platform.pools:
        on_pool = [endpoint for endpoint in going if endpoint.pool == pool.name]
        may_stay = [endpoint for endpoint in on_pool if endpoint not in first]
        if not on_pool or _has_room(pool, platform, may_stay):
            continue
        short.append(_missing_room(pool, platform, may_stay))
        spared: list[Standing] = []
        for endpoint in may_stay:
            if _has_room(pool, platform, [*spared, endpoint]):
                spared.append(endpoint)
        first += [each for each in may_stay if each not in spared]
    return Move(tuple(going), tuple(first), tuple(short), tuple(_volume_conflicts(endpoints, platform)))


def _sensitivity_rank(class_: str) -> int:
    return SENSITIVITIES.index(class_) if class_ in SENSITIVITIES else -1


def _has_room(pool: Pool, platform: Platform, old: Sequence[Standing]) -> bool:
    """Whether the pool's nodes hold the new plan's replicas and these, each spread as it must be.

    Counted as if all were placed anew: first what each node or domain must have, then the rest wherever it goes.
    Where what stands lies badly a new replica may find no node all the same: then the run fails in time, with the
    old ones serving.
    """
    endpoints = [*_new_endpoints(pool, platform), *old]
    whole_gpu_endpoints = [endpoint for endpoint in endpoints if endpoint.whole]
    if sum(endpoint.total for endpoint in endpoints if endpoint.time_sliced) > platform_slicing.shares(pool):
        return False
    free = platform_slicing.free_whole_gpus(pool)
    placed_replicas: dict[int, int] = {}
    for survive, groups in _node_groups(pool).items():
        for index, endpoint in enumerate(whole_gpu_endpoints):
            if endpoint.survive != survive or endpoint.nodes > 1 or len(groups) < 2:
                continue
            share = endpoint.replicas // len(groups)
            for nodes in groups:
                placed = pack([free[node] for node in nodes], _replicas(endpoint, share))
                if placed is None:
                    return False
                for (position,) in placed:
                    free[nodes[position]] -= endpoint.gpus
            placed_replicas[index] = share * len(groups)
    unbound_replicas = [
        replica
        for index, endpoint in enumerate(whole_gpu_endpoints)
        for replica in _replicas(endpoint, endpoint.replicas - placed_replicas.get(index, 0))
    ]
    return pack(free, [*unbound_replicas, *[Replica(1)] * _cut_gpus(pool, endpoints)]) is not None


def _cut_gpus(pool: Pool, endpoints: Sequence[Standing]) -> int:
    """GPUs that must be cut for those on slices, wherever they lie."""
    sliced = [
        mig.Sliced(f"{index}", endpoint.class_, endpoint.mig_profile, endpoint.replicas, endpoint.survive)
        for index, endpoint in enumerate(endpoints)
        if endpoint.mig_profile is not None and endpoint.replicas
    ]
    return sum(cut.gpus for cut in mig.cuts(pool.gpu, sliced))


def _node_groups(pool: Pool) -> dict[str, list[list[int]]]:
    """By what must be survived: the groups of nodes over which replicas are spread evenly."""
    domains = pool.failure_domains
    return {
        "node": [[node] for node in range(pool.nodes)],
        "domain": [[node for node in range(pool.nodes) if node % domains == at] for at in range(domains)],
    }


def _replicas(endpoint: Standing, count: int) -> list[Replica]:
    return [Replica(endpoint.gpus, endpoint.nodes)] * count


def _new_endpoints(pool: Pool, platform: Platform) -> list[Standing]:
    return [
        _built_endpoint(platform, endpoint) for endpoint in platform.endpoints if endpoint.pool == pool.name
    ]


def _missing_room(pool: Pool, platform: Platform, old: Sequence[Standing]) -> Short:
    endpoints = [*_new_endpoints(pool, platform), *old]
    needed = sum(endpoint.total for endpoint in endpoints if endpoint.whole) + _cut_gpus(pool, endpoints)
    usable = sum(platform_slicing.free_whole_gpus(pool))
    return Short(pool.name, needed, usable, pool.gpus_per_node)


def _volume_conflicts(built: Sequence[Standing], platform: Platform) -> list[Held]:
    """A volume has one claim, for ever: it is not free again when the claim goes (`Retain` releases it only)."""
    conflicts = []
    owners = {
        (endpoint.site, endpoint.volume or ""): endpoint
        for endpoint in built
        if endpoint.volume and endpoint.claim
    }
    for endpoint in platform.endpoints:
        claim, volume = claim_of(endpoint), endpoint.weights.volume if endpoint.weights else None
        owner = owners.get((endpoint.site, volume or ""))
        if claim is None or owner is None or (owner.class_, owner.claim) == (endpoint.class_, claim):
            continue
        same_class = owner.class_ == endpoint.class_
        conflicts.append(Held(endpoint.id, str(volume), str(owner.claim), owner.class_, same_class))
    return conflicts


def _built_endpoint(platform: Platform, endpoint: Endpoint) -> Standing:
    return Standing(
        id=endpoint.id,
        class_=endpoint.class_,
        site=endpoint.site,
        pool=endpoint.pool or "",
        gpus=endpoint.tensor_parallel,
        mig_profile=endpoint.mig_profile,
        time_sliced=endpoint.time_sliced,
        nodes=endpoint.nodes_per_replica,
        replicas=endpoint.replicas,
        survive=endpoint.survive,
        cpu=endpoint.cpu,
        memory=endpoint.memory,
        claim=claim_of(endpoint),
        volume=endpoint.weights.volume if endpoint.weights else None,
        fetchers=fetchers(platform, endpoint),
        workloads=[
            workload.name
            for gateway in platform.gateways
            for workload in gateway.workloads
            if workload.endpoint == endpoint.id
        ],
    )
