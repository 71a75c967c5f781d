"""Checks how replicas share GPUs: MIG slices and time-slicing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups.mig import layout, on_slices, sliced
from isthmus.contracts.platform.lookups.slicing import MEMORY, domains, shares
from isthmus.contracts.platform.model.pools import Pool, TimeSlicing
from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def slices_are_one_a_replica(platform: Platform) -> None:
    """An endpoint on slices has one a replica, of a profile that its pool's GPU has."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        if not endpoint.mig_profile or endpoint.pool not in pools:
            continue
        path = ("endpoints", index)
        for key in ("tensor_parallel", "nodes_per_replica"):
            if getattr(endpoint, key) > 1:
                raise FieldError("a replica on slices has one of them", *path, key, fix=f"Say `{key}: 1`")
        if endpoint.surge:
            what = "no slice is kept for a replica more: a pool reserves whole GPUs"
            raise FieldError(what, *path, "surge", fix="Say `surge: false`")
        try:
            mig.instances(pools[endpoint.pool].gpu, endpoint.mig_profile)
        except FieldError as error:
            raise FieldError(error.what, *path, "mig_profile", fix=error.fix) from None
        try:
            mig.cuts(pools[endpoint.pool].gpu, [sliced(endpoint)])
        except FieldError as error:
            raise FieldError(error.what, *path, "replicas", fix=error.fix) from None


def pools_state_their_cuts(platform: Platform) -> None:
    """What a pool cuts is what its endpoints need, on machines that are named, and leaves room for the rest."""
    for index, pool in enumerate(platform.pools):
        path = ("pools", index, "mig")
        needed = mig.cut_gpus(pool.gpu, [sliced(endpoint) for endpoint in on_slices(platform, pool)])
        stated: dict[tuple[str, str], int] = {}
        for number, cut in enumerate(pool.mig):
            key = (cut.class_, cut.profile)
            if key in stated:
                raise FieldError(f"{cut.profile} for class {cut.class_} stands twice", *path, number)
            stated[key] = cut.gpus
        for class_, profile in sorted(stated.keys() | needed.keys()):
            has, needs = stated.get((class_, profile), 0), needed.get((class_, profile), 0)
            if has != needs:
                raise FieldError(
                    f"pool {pool.name} cuts {has} GPU(s) into {profile} for class {class_}, and its endpoints "
                    f"need {needs}",
                    *path,
                    fix=f"Say `{{class: {class_}, profile: {profile}, gpus: {needs}}}`"
                    if needs
                    else "Take it out",
                )
        if not pool.mig:
            continue
        if not pool.node_names:
            raise FieldError(
                f"pool {pool.name} cuts GPUs and names no machines",
                *("pools", index, "node_names"),
                fix="Name each: MIG manager reads a machine's own label; machine i is in failure domain "
                "i mod failure_domains",
            )
        if layout(platform, pool) is None:
            raise FieldError(
                f"the GPUs of pool {pool.name} cannot be cut so that all its endpoints fit: a node's cut GPUs of "
                "one profile are of one class, and what outlives a node or a domain is spread evenly",
                *path,
                fix="Other profiles for different classes, fewer replicas, or a larger pool",
            )


def shares_fit(platform: Platform) -> None:
    """Endpoints on shared GPUs are of the one class, ask for what there is, and leave each other memory."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, pool in enumerate(platform.pools):
        if pool.time_slicing is not None:
            _machines(pool, pool.time_slicing, ("pools", index))
    asked: dict[str, int] = {}
    for index, endpoint in enumerate(platform.endpoints):
        if not endpoint.time_sliced:
            continue
        path, pool = ("endpoints", index), pools.get(endpoint.pool or "")
        slicing = pool.time_slicing if pool is not None else None
        if pool is None or slicing is None:
            what = f"endpoint {endpoint.id} is on shared GPUs, and its pool has none"
            raise FieldError(what, *path, "time_sliced", fix="Say `time_slicing` of the pool, or take it out")
        if endpoint.class_ != slicing.class_:
            what = f"the shared GPUs of pool {pool.name} are {slicing.class_}, and {endpoint.id} is {endpoint.class_}"
            raise FieldError(
                what,
                *path,
                "time_sliced",
                fix="No GPU serves two classes: use whole GPUs, or slices",
                refused=True,
            )
        _one_share(endpoint, slicing, path)
        places = {"node": len(slicing.nodes), "domain": domains(pool)}.get(endpoint.survive, 2)
        if places < 2:
            what = f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}"
            raise FieldError(
                f"{what}, and one {endpoint.survive} of pool {pool.name} has all of its shared GPUs",
                *path,
                "survive",
            )
        asked[pool.name] = asked.get(pool.name, 0) + endpoint.replicas
        if asked[pool.name] > shares(pool):
            what = (
                f"{asked[pool.name]} replicas ask for shares of GPUs, and pool {pool.name} has {shares(pool)}"
            )
            raise FieldError(
                what, *path, "replicas", fix="Fewer replicas, or more machines in `time_slicing.nodes`"
            )


def _machines(pool: Pool, slicing: TimeSlicing, path: tuple[str | int, ...]) -> None:
    for number, node in enumerate(slicing.nodes):
        at = (*path, "time_slicing", "nodes", number)
        if node not in pool.node_names:
            hint = (
                f"{did_you_mean(node, pool.node_names)} Known: {', '.join(pool.node_names) or 'none'}".strip()
            )
            raise FieldError(f"`{node}` is no machine that pool {pool.name} names", *at, fix=hint)
        if node in slicing.nodes[:number]:
            raise FieldError(f"`{node}` stands twice", *at, fix="Leave one out")
    if pool.mig:
        what = f"pool {pool.name} cuts GPUs, and the device plugin shares a machine's GPUs in one way"
        raise FieldError(what, *path, "time_slicing", fix="Cut them or share them; use two pools for both")
    if pool.reserved_gpus > (pool.nodes - len(slicing.nodes)) * pool.gpus_per_node:
        what = f"pool {pool.name} reserves {pool.reserved_gpus} GPUs, and has fewer that are not shared"
        raise FieldError(what, *path, "reserved_gpus", fix="Reserve fewer, or share fewer machines")


def _one_share(endpoint: Endpoint, slicing: TimeSlicing, path: tuple[str | int, ...]) -> None:
    if endpoint.mig_profile:
        raise FieldError("a replica is on a slice or on a share", *path, "mig_profile", fix="Take one out")
    for key in ("tensor_parallel", "nodes_per_replica"):
        if getattr(endpoint, key) > 1:
            raise FieldError("a replica on shared GPUs has one share", *path, key, fix=f"Say `{key}: 1`")
    if endpoint.surge:
        what = "no share is kept for a replica more: a pool reserves whole GPUs"
        raise FieldError(what, *path, "surge", fix="Say `surge: false`")
    most, takes = MEMORY / slicing.replicas, endpoint.gpu_memory_utilization
    if takes is None or takes > most:
        what = f"{slicing.replicas} replicas share a GPU, and one of {endpoint.id} takes"
        raise FieldError(
            f"{what} {'nearly all' if takes is None else takes} of its memory, which nobody divides",
            *(*path, "gpu_memory_utilization"),
            fix=f"Say {int(most * 100) / 100} or less",
        )
