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

_TRIES = 20_000
"""Places of cut GPUs that are tried before a layout counts as not found."""
_EXACT_NODES = 8
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
    known = dict(GPUS[gpu].mig) if gpu in GPUS else {}
    if profile not in known:
        fix = f"It has: {', '.join(known)}" if known else "It cannot be cut: leave it away"
        raise FieldError(f"`{gpu}` has no MIG profile `{profile}`", fix=fix)
    return known[profile]


def owner_of(endpoint: Sliced) -> str:
    """Whose cut GPUs serve the endpoint: its own, or those of its class and profile."""
    return endpoint.id if _alone(endpoint) else f"{endpoint.class_}-{endpoint.profile}"


def cuts(gpu: str, endpoints: Iterable[Sliced]) -> list[Cut]:
    """The cut GPUs that a pool's endpoints need. Raises `FieldError` for an unknown profile, and where an endpoint
    that must outlive a node or a domain would leave slices of its GPUs to others."""
    shared: dict[tuple[str, str], int] = {}
    made: list[Cut] = []
    for endpoint in endpoints:
        each = instances(gpu, endpoint.profile)
        if not _alone(endpoint):
            key = (endpoint.class_, endpoint.profile)
            shared[key] = shared.get(key, 0) + endpoint.replicas
            continue
        counts = endpoint.by_domain if endpoint.survive == "domain" else None
        if endpoint.replicas % each or any(count % each for count in counts or ()):
            raise FieldError(
                f"{endpoint.id} must outlive a {endpoint.survive}, so it has cut GPUs for itself, and its "
                f"{endpoint.replicas} replicas are not whole GPUs of {each} slices in each place",
                fix=f"Say a multiple of {each}",
            )
        gpus = endpoint.replicas // each
        if gpus < 2:
            raise FieldError(
                f"{endpoint.id} must outlive a {endpoint.survive}, and its slices are of one GPU",
                fix=f"Say {2 * each} replicas or more",
            )
        made.append(
            Cut(
                *(endpoint.id, endpoint.class_, endpoint.profile, gpus, endpoint.survive),
                by_domain=tuple(count // each for count in counts) if counts else None,
            )
        )
    made += [
        Cut(f"{class_}-{profile}", class_, profile, math.ceil(slices / instances(gpu, profile)))
        for (class_, profile), slices in shared.items()
    ]
    return sorted(made, key=lambda cut: (cut.class_, cut.profile, cut.owner))


def cut_gpus(gpu: str, endpoints: Iterable[Sliced]) -> dict[tuple[str, str], int]:
    """Cut GPUs of a pool by class and profile. Raises as `cuts` does."""
    found: dict[tuple[str, str], int] = {}
    for cut in cuts(gpu, endpoints):
        key = (cut.class_, cut.profile)
        found[key] = found.get(key, 0) + cut.gpus
    return found


def lay_out(
    wanted: Sequence[Cut],
    free: Sequence[int],
    failure_domains: int,
    whole: Sequence[Replica],
    bound: Sequence[Sequence[Replica]] = (),
) -> list[dict[str, int]] | None:
    """Cut GPUs of each node by owner, so that the whole GPUs' replicas still fit; None where none is found.

    `free` are the usable GPUs of each node; node i is in domain i mod `failure_domains`. `bound` are those of
    the replicas that each domain must hold. The same input gives the same layout. With up to eight nodes
    every place of a cut is tried, `_TRIES` in all.
    """
    tries = 0

    def place(at: int, room: list[int], made: list[dict[str, int]]) -> list[dict[str, int]] | None:
        nonlocal tries
        if at == len(order):
            fits = pack(room, whole) is not None and all(
                pack(room[domain::failure_domains], here) is not None for domain, here in enumerate(bound)
            )
            return made if fits else None
        for chosen in _places(order[at], room, made, failure_domains, class_of):
            tries += 1
            if tries > _TRIES:
                return None
            found = place(
                at + 1,
                [left - chosen.get(node, 0) for node, left in enumerate(room)],
                [
                    {**mine, order[at].owner: chosen[node]} if node in chosen else mine
                    for node, mine in enumerate(made)
                ],
            )
            if found is not None:
                return found
        return None

    class_of = {cut.owner: (cut.class_, cut.profile) for cut in wanted}
    # What must be spread has the fewest places.
    order = sorted(wanted, key=lambda cut: (cut.spread is None, -cut.gpus, cut.owner))
    if sum(cut.gpus for cut in wanted) > sum(free):
        return None
    return place(0, list(free), [{} for _ in free])


def skew(cut: Cut, layout: Sequence[Mapping[str, int]], failure_domains: int, each: int) -> int:
    """How far the slices of an owner's places differ: the least that lets all its replicas be placed."""
    counts: dict[int, int] = {}
    for node, mine in enumerate(layout):
        if cut.owner in mine:
            where = node % failure_domains if cut.spread == "domain" else node
            counts[where] = counts.get(where, 0) + mine[cut.owner]
    return max(1, (max(counts.values()) - min(counts.values())) * each) if counts else 1


def _alone(endpoint: Sliced) -> bool:
    return endpoint.survive in ("node", "domain")


def _places(
    cut: Cut,
    room: Sequence[int],
    made: Sequence[Mapping[str, int]],
    domains: int,
    class_of: Mapping[str, tuple[str, str]],
) -> Iterator[dict[int, int]]:
    """GPUs by node, one way after the other."""
    usable = [
        node
        for node, left in enumerate(room)
        if left and all(_agree(class_of[other], cut) for other in made[node])
    ]
    if cut.spread == "node":
        for count in range(min(cut.gpus, len(usable)), 1, -1):
            shares = _evenly(cut.gpus, count)
            for nodes in _some(usable, count, room):
                if all(room[node] >= share for node, share in zip(nodes, shares, strict=True)):
                    yield dict(zip(nodes, shares, strict=True))
    elif cut.spread == "domain":
        yield from _by_domain(cut, room, usable, domains)
    else:
        yield from _together(cut.gpus, room, usable)


def _by_domain(
    cut: Cut, room: Sequence[int], usable: Sequence[int], domains: int
) -> Iterator[dict[int, int]]:
    named = cut.by_domain
    ways = [named] if named else []
    if not named:
        for count in range(min(cut.gpus, domains), 1, -1):
            shares = _evenly(cut.gpus, count)
            for chosen in combinations(range(domains), count):
                spread = dict(zip(chosen, shares, strict=True))
                ways.append(tuple(spread.get(domain, 0) for domain in range(domains)))
    for way in ways:
        options: list[dict[int, int]] = [{}]
        for domain, gpus in enumerate(way):
            here = [node for node in usable if node % domains == domain]
            found = list(_together(gpus, room, here)) if gpus else [{}]
            options = [before | more for before in options for more in found]
        yield from options


def _together(gpus: int, room: Sequence[int], usable: Sequence[int]) -> Iterator[dict[int, int]]:
    """On one node, the tightest first; over several only where none is large enough."""
    fitting = sorted((room[node], node) for node in usable if room[node] >= gpus)
    for _, node in fitting:
        yield {node: gpus}
    if fitting:
        return
    left, made = gpus, {}
    for node in sorted(usable, key=lambda node: (-room[node], node)):
        made[node] = min(left, room[node])
        left -= made[node]
        if not left:
            yield made
            return


def _some(usable: Sequence[int], count: int, room: Sequence[int]) -> Iterator[tuple[int, ...]]:
    roomy = sorted(usable, key=lambda node: (-room[node], node))
    if len(usable) <= _EXACT_NODES:
        yield from combinations(roomy, count)
        return
    yield tuple(roomy[:count])
    yield tuple(reversed(roomy[-count:]))


def _evenly(gpus: int, places: int) -> list[int]:
    return [gpus // places + (1 if place < gpus % places else 0) for place in range(places)]


def _agree(other: tuple[str, str], cut: Cut) -> bool:
    """Whether a node may hold both: of one profile, only those of one class."""
    class_, profile = other
    return profile != cut.profile or class_ == cut.class_
