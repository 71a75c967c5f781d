"""Cut GPUs: how many a pool needs for its slices, and on which of its nodes they stand.

An endpoint on slices has one slice a replica. A cut GPU serves slices of one profile and of one class.
Endpoints that survive at most a replica's loss share the cut GPUs of their class and profile; one that
survives a node's or a domain's has its cut GPUs for itself, uses every slice of them, and has them spread
evenly, so that what a loss takes is known. Whose slice of a node's cut GPUs a pod gets, Kubernetes does
not say: a node's cut GPUs of one profile are therefore of one class. Pure functions; no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.hardware.packing import Replica, pack
from isthmus.core.errors import FieldError

_MAX_TRIES = 20_000
"""Places of cut GPUs that are tried before a layout counts as not found."""
_MAX_NODES_FOR_EXACT_SEARCH = 8
"""With more nodes only the roomiest and the tightest are tried."""


@dataclass(frozen=True)
class Sliced:
    """An endpoint on slices, as plan and platform both state it."""

    id: str
    class_: str
    profile: str
    replicas: int
    """Slices."""
    survive: str = "none"
    by_domain: tuple[int, ...] | None = None
    """Replicas in each failure domain, where the plan says it."""


@dataclass(frozen=True)
class Cut:
    """GPUs of a pool cut alike for one purpose."""

    owner: str
    """`CLASS-PROFILE` where endpoints share them, else the endpoint's id."""
    class_: str
    profile: str
    gpus: int
    spread: str | None = None
    """`node` or `domain`: over how many of them, evenly; None: as close together as can be."""
    by_domain: tuple[int, ...] | None = None
    """GPUs in each failure domain, where the plan says it."""


def instances(gpu: str, profile: str) -> int:
    """Slices of that profile that one GPU gives. Raises `FieldError` with the profiles that there are."""
    slices = dict(GPUS[gpu].mig) if gpu in GPUS else {}
    if profile not in slices:
        fix = (
            f"Use one of {', '.join(slices)}"
            if slices
            else "Remove mig_profile: this GPU does not support MIG"
        )
        raise FieldError(f"`{gpu}` has no MIG profile `{profile}`", fix=fix)
    return slices[profile]


def owner_of(endpoint: Sliced) -> str:
    """Whose cut GPUs serve the endpoint: its own, or those of its class and profile."""
    return endpoint.id if _needs_own_gpus(endpoint) else f"{endpoint.class_}-{endpoint.profile}"


def cuts(gpu: str, endpoints: Iterable[Sliced]) -> list[Cut]:
    """The cut GPUs that a pool's endpoints need. Raises `FieldError` for an unknown profile, and where an endpoint
    that must outlive a node or a domain would leave slices of its GPUs to others."""
    shared: dict[tuple[str, str], int] = {}
    result: list[Cut] = []
    for endpoint in endpoints:
        slices_per_gpu = instances(gpu, endpoint.profile)
        if not _needs_own_gpus(endpoint):
            key = (endpoint.class_, endpoint.profile)
            shared[key] = shared.get(key, 0) + endpoint.replicas
            continue
        counts = endpoint.by_domain if endpoint.survive == "domain" else None
        if endpoint.replicas % slices_per_gpu or any(count % slices_per_gpu for count in counts or ()):
            raise FieldError(
                f"{endpoint.id} must survive the loss of a {endpoint.survive}, so it needs MIG GPUs of its "
                "own, but its "
                f"{endpoint.replicas} replicas do not fill GPUs of {slices_per_gpu} slices in each place",
                fix=f"Set replicas to a multiple of {slices_per_gpu}",
            )
        gpus = endpoint.replicas // slices_per_gpu
        if gpus < 2:
            raise FieldError(
                f"{endpoint.id} must survive the loss of a {endpoint.survive}, but its slices are on one GPU",
                fix=f"Set replicas to {2 * slices_per_gpu} or more",
            )
        result.append(
            Cut(
                *(endpoint.id, endpoint.class_, endpoint.profile, gpus, endpoint.survive),
                by_domain=tuple(count // slices_per_gpu for count in counts) if counts else None,
            )
        )
    result += [
        Cut(f"{class_}-{profile}", class_, profile, math.ceil(slices / instances(gpu, profile)))
        for (class_, profile), slices in shared.items()
    ]
    return sorted(result, key=lambda cut: (cut.class_, cut.profile, cut.owner))


def cut_gpus(gpu: str, endpoints: Iterable[Sliced]) -> dict[tuple[str, str], int]:
    """Cut GPUs of a pool by class and profile. Raises as `cuts` does."""
    counts: dict[tuple[str, str], int] = {}
    for cut in cuts(gpu, endpoints):
        key = (cut.class_, cut.profile)
        counts[key] = counts.get(key, 0) + cut.gpus
    return counts


def lay_out(
    cuts: Sequence[Cut],
    free: Sequence[int],
    failure_domains: int,
    replicas: Sequence[Replica],
    replicas_by_domain: Sequence[Sequence[Replica]] = (),
) -> list[dict[str, int]] | None:
    """Cut GPUs of each node by owner, so that the whole GPUs' replicas still fit; None where none is found.

    `free` are the usable GPUs of each node; node i is in domain i mod `failure_domains`. `bound` are those of
    the replicas that each domain must hold. The same input gives the same layout. With up to eight nodes
    every place of a cut is tried, `_TRIES` in all.
    """
    tries = 0

    def place(index: int, room: list[int], layout: list[dict[str, int]]) -> list[dict[str, int]] | None:
        nonlocal tries
        if index == len(order):
            fits = pack(room, replicas) is not None and all(
                pack(room[domain::failure_domains], domain_replicas) is not None
                for domain, domain_replicas in enumerate(replicas_by_domain)
            )
            return layout if fits else None
        for placement in _placements(order[index], room, layout, failure_domains, class_of):
            tries += 1
            if tries > _MAX_TRIES:
                return None
            result = place(
                index + 1,
                [left - placement.get(node, 0) for node, left in enumerate(room)],
                [
                    {**node_cuts, order[index].owner: placement[node]} if node in placement else node_cuts
                    for node, node_cuts in enumerate(layout)
                ],
            )
            if result is not None:
                return result
        return None

    class_of = {cut.owner: (cut.class_, cut.profile) for cut in cuts}
    # What must be spread has the fewest places.
    order = sorted(cuts, key=lambda cut: (cut.spread is None, -cut.gpus, cut.owner))
    if sum(cut.gpus for cut in cuts) > sum(free):
        return None
    return place(0, list(free), [{} for _ in free])


def skew(cut: Cut, layout: Sequence[Mapping[str, int]], failure_domains: int, slices_per_gpu: int) -> int:
    """How far the slices of an owner's places differ: the least that lets all its replicas be placed."""
    counts: dict[int, int] = {}
    for node, cuts_of_node in enumerate(layout):
        if cut.owner in cuts_of_node:
            place = node % failure_domains if cut.spread == "domain" else node
            counts[place] = counts.get(place, 0) + cuts_of_node[cut.owner]
    return max(1, (max(counts.values()) - min(counts.values())) * slices_per_gpu) if counts else 1


def _needs_own_gpus(endpoint: Sliced) -> bool:
    return endpoint.survive in ("node", "domain")


def _placements(
    cut: Cut,
    room: Sequence[int],
    layout: Sequence[Mapping[str, int]],
    domains: int,
    class_of: Mapping[str, tuple[str, str]],
) -> Iterator[dict[int, int]]:
    """GPUs by node, one way after the other."""
    usable = [
        node
        for node, left in enumerate(room)
        if left and all(_may_share_node(class_of[owner], cut) for owner in layout[node])
    ]
    if cut.spread == "node":
        for count in range(min(cut.gpus, len(usable)), 1, -1):
            shares = _evenly(cut.gpus, count)
            for nodes in _node_combinations(usable, count, room):
                if all(room[node] >= share for node, share in zip(nodes, shares, strict=True)):
                    yield dict(zip(nodes, shares, strict=True))
    elif cut.spread == "domain":
        yield from _placements_by_domain(cut, room, usable, domains)
    else:
        yield from _placements_together(cut.gpus, room, usable)


def _placements_by_domain(
    cut: Cut, room: Sequence[int], usable: Sequence[int], domains: int
) -> Iterator[dict[int, int]]:
    planned = cut.by_domain
    distributions = [planned] if planned else []
    if not planned:
        for count in range(min(cut.gpus, domains), 1, -1):
            shares = _evenly(cut.gpus, count)
            for domains_used in combinations(range(domains), count):
                spread = dict(zip(domains_used, shares, strict=True))
                distributions.append(tuple(spread.get(domain, 0) for domain in range(domains)))
    for distribution in distributions:
        options: list[dict[int, int]] = [{}]
        for domain, gpus in enumerate(distribution):
            nodes = [node for node in usable if node % domains == domain]
            placements = list(_placements_together(gpus, room, nodes)) if gpus else [{}]
            options = [before | more for before in options for more in placements]
        yield from options


def _placements_together(gpus: int, room: Sequence[int], usable: Sequence[int]) -> Iterator[dict[int, int]]:
    """On one node, the tightest first; over several only where none is large enough."""
    fitting = sorted((room[node], node) for node in usable if room[node] >= gpus)
    for _, node in fitting:
        yield {node: gpus}
    if fitting:
        return
    remaining, placement = gpus, {}
    for node in sorted(usable, key=lambda node: (-room[node], node)):
        placement[node] = min(remaining, room[node])
        remaining -= placement[node]
        if not remaining:
            yield placement
            return


def _node_combinations(usable: Sequence[int], count: int, room: Sequence[int]) -> Iterator[tuple[int, ...]]:
    by_room = sorted(usable, key=lambda node: (-room[node], node))
    if len(usable) <= _MAX_NODES_FOR_EXACT_SEARCH:
        yield from combinations(by_room, count)
        return
    yield tuple(by_room[:count])
    yield tuple(reversed(by_room[-count:]))


def _evenly(gpus: int, places: int) -> list[int]:
    return [gpus // places + (1 if place < gpus % places else 0) for place in range(places)]


def _may_share_node(class_and_profile: tuple[str, str], cut: Cut) -> bool:
    """Whether a node may hold both: of one profile, only those of one class."""
    class_, profile = class_and_profile
    return profile != cut.profile or class_ == cut.class_
