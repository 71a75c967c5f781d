"""What a move asks of the hardware: a plan takes the place of one whose endpoints still stand.

An endpoint that a new plan no longer has goes last, when its successor serves. Until then both hold their GPUs,
so what a pool must hold in between is the new plan's replicas and those of every endpoint that goes. Arithmetic
only: who asks what stands is `stacks.migration` and `isthmus.engine.estate.migration`.
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
from isthmus.contracts.platform.lookups.serving import at_most, claim_of
from isthmus.contracts.vocabulary import SENSITIVITIES, Part

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool

STANDING = "standing"
"""The stack's output that says what stands; a list of `Standing`."""


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
    def _said(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what most have none of: the outputs of a stack that does not use it stay as they were."""
        return {key: value for key, value in usual(self).items() if (key, value) != ("fetchers", 0)}

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
        return tuple(each for each in self.going if each not in self.first)

    @property
    def down(self) -> list[str]:
        """Workloads that get no answers in between."""
        return sorted({name for each in self.first for name in each.workloads})


def standing(platform: Platform) -> list[Standing]:
    """The platform's endpoints on its own GPUs, as they stand once it is built."""
    most = at_most(platform)
    return [_standing(platform, each) for each in most.endpoints if each.pool is not None]


def hosted(platform: Platform) -> list[Standing]:
    """Those on SageMaker: they need no room of ours, but in layers their callers wait for them all the same."""
    return [_standing(platform, each) for each in platform.endpoints if each.target == "sagemaker"]


def elsewhere(each: Standing, pools: dict[str, str | None]) -> bool:
    """Whether a plan no longer has what stands, or has it on another pool. `pools`: the plan's, by endpoint."""
    return each.id not in pools or pools[each.id] != (each.pool or None)


def move(before: Iterable[Standing], platform: Platform) -> Move:
    """How to come from what stands to the platform: side by side where there is room."""
    stood, platform = list(before), at_most(platform)
    pools = {endpoint.id: endpoint.pool for endpoint in platform.endpoints}
    going = [each for each in stood if each.replicas and elsewhere(each, pools)]
    # The most sensitive are spared first, then the largest: they are looked at first below.
    going.sort(key=lambda each: (-_rank(each.class_), -each.total, each.id))
    # A name cannot stand twice, and Kueue lets no Deployment change its queue while a pod of it is ready.
    first = [each for each in going if each.id in pools]
    short = []
    for pool in platform.pools:
        here = [each for each in going if each.pool == pool.name]
        may_stay = [each for each in here if each not in first]
        if not here or _holds(pool, platform, may_stay):
            continue
        short.append(_short(pool, platform, may_stay))
        spared: list[Standing] = []
        for each in may_stay:
            if _holds(pool, platform, [*spared, each]):
                spared.append(each)
        first += [each for each in may_stay if each not in spared]
    return Move(tuple(going), tuple(first), tuple(short), tuple(_held(stood, platform)))


def _rank(class_: str) -> int:
    return SENSITIVITIES.index(class_) if class_ in SENSITIVITIES else -1


def _holds(pool: Pool, platform: Platform, old: Sequence[Standing]) -> bool:
    """Whether the pool's nodes hold the new plan's replicas and these, each spread as it must be.

    Counted as if all were placed anew: first what each node or domain must have, then the rest wherever it goes.
    Where what stands lies badly a new replica may find no node all the same: then the run fails in time, with the
    old ones serving.
    """
    every = [*_new(pool, platform), *old]
    wanted = [each for each in every if each.whole]
    if sum(each.total for each in every if each.time_sliced) > platform_slicing.shares(pool):
        return False
    free = platform_slicing.free(pool)
    bound: dict[int, int] = {}
    for survive, places in _places(pool).items():
        for at, each in enumerate(wanted):
            if each.survive != survive or each.nodes > 1 or len(places) < 2:
                continue
            share = each.replicas // len(places)
            for nodes in places:
                placed = pack([free[node] for node in nodes], _replicas(each, share))
                if placed is None:
                    return False
                for (chosen,) in placed:
                    free[nodes[chosen]] -= each.gpus
            bound[at] = share * len(places)
    rest = [one for at, e in enumerate(wanted) for one in _replicas(e, e.replicas - bound.get(at, 0))]
    return pack(free, [*rest, *[Replica(1)] * _cut(pool, every)]) is not None


def _cut(pool: Pool, endpoints: Sequence[Standing]) -> int:
    """GPUs that must be cut for those on slices, wherever they lie."""
    sliced = [
        mig.Sliced(f"{at}", each.class_, each.mig_profile, each.replicas, each.survive)
        for at, each in enumerate(endpoints)
        if each.mig_profile is not None and each.replicas
    ]
    return sum(each.gpus for each in mig.cuts(pool.gpu, sliced))


def _places(pool: Pool) -> dict[str, list[list[int]]]:
    """By what must be survived: the groups of nodes over which replicas are spread evenly."""
    domains = pool.failure_domains
    return {
        "node": [[node] for node in range(pool.nodes)],
        "domain": [[node for node in range(pool.nodes) if node % domains == at] for at in range(domains)],
    }


def _replicas(each: Standing, count: int) -> list[Replica]:
    return [Replica(each.gpus, each.nodes)] * count


def _new(pool: Pool, platform: Platform) -> list[Standing]:
    return [_standing(platform, each) for each in platform.endpoints if each.pool == pool.name]


def _short(pool: Pool, platform: Platform, old: Sequence[Standing]) -> Short:
    every = [*_new(pool, platform), *old]
    wanted = sum(each.total for each in every if each.whole) + _cut(pool, every)
    usable = sum(platform_slicing.free(pool))
    return Short(pool.name, wanted, usable, pool.gpus_per_node)


def _held(stood: Sequence[Standing], platform: Platform) -> list[Held]:
    """A volume has one claim, for ever: it is not free again when the claim goes (`Retain` releases it only)."""
    found = []
    owners = {(each.site, each.volume or ""): each for each in stood if each.volume and each.claim}
    for endpoint in platform.endpoints:
        claim, volume = claim_of(endpoint), endpoint.weights.volume if endpoint.weights else None
        owner = owners.get((endpoint.site, volume or ""))
        if claim is None or owner is None or (owner.class_, owner.claim) == (endpoint.class_, claim):
            continue
        same = owner.class_ == endpoint.class_
        found.append(Held(endpoint.id, str(volume), str(owner.claim), owner.class_, same))
    return found


def _standing(platform: Platform, endpoint: Endpoint) -> Standing:
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
