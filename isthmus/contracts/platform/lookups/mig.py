"""The platform's cut GPUs: what a pool states fits its endpoints and its nodes. Rules of `platform_checks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import Replica, capacities
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool


def on_slices(platform: Platform, pool: Pool) -> list[Endpoint]:
    """The pool's endpoints on slices."""
    return [each for each in platform.endpoints if each.pool == pool.name and each.mig_profile]


def whole(platform: Platform, pool: Pool) -> list[Endpoint]:
    """The pool's endpoints on whole GPUs."""
    return [
        each
        for each in platform.endpoints
        if each.pool == pool.name and not each.mig_profile and not each.time_sliced
    ]


def replicas(endpoints: Sequence[Endpoint]) -> list[Replica]:
    """Every replica of endpoints on whole GPUs."""
    return [
        replica
        for endpoint in endpoints
        for replica in [Replica(endpoint.tensor_parallel, endpoint.nodes_per_replica)] * endpoint.replicas
    ]


def sliced(endpoint: Endpoint) -> mig.Sliced:
    """An endpoint with `mig_profile` as `mig.cuts` takes it."""
    return mig.Sliced(
        endpoint.id, endpoint.class_, endpoint.mig_profile or "", endpoint.replicas, endpoint.survive
    )


def cuts(platform: Platform, pool: Pool) -> list[mig.Cut]:
    """The GPUs of a pool that are cut, by whose they are."""
    return mig.cuts(pool.gpu, [sliced(endpoint) for endpoint in on_slices(platform, pool)])


def layout(platform: Platform, pool: Pool) -> list[dict[str, int]] | None:
    """Cut GPUs of each node of a pool, by whose they are; None where no layout serves all."""
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    others = whole(platform, pool)
    # As many as every domain has when they are spread evenly, whichever has one more.
    each = [
        Replica(endpoint.tensor_parallel, endpoint.nodes_per_replica)
        for endpoint in others
        if endpoint.survive == "domain"
        for _ in range(endpoint.replicas // pool.failure_domains)
    ]
    bound = [each] * pool.failure_domains
    return mig.lay_out(cuts(platform, pool), free, pool.failure_domains, replicas(others), bound)


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
