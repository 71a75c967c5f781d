"""Checks how replicas share GPUs: MIG slices and time-slicing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups.mig import endpoints_on_slices, layout, sliced
from isthmus.contracts.platform.lookups.slicing import SHARED_MEMORY_PART, shares, sharing_domains
from isthmus.contracts.platform.model.pools import Pool, TimeSlicing
from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import known_names

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def replicas_use_one_slice(platform: Platform) -> None:
    """An endpoint on slices has one a replica, of a profile that its pool's GPU has."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        if not endpoint.mig_profile or endpoint.pool not in pools:
            continue
        path = ("endpoints", index)
        for key in ("tensor_parallel", "nodes_per_replica"):
            if getattr(endpoint, key) > 1:
                raise FieldError(
                    f"{key} is {getattr(endpoint, key)}, but a replica on MIG slices uses exactly one slice",
                    *path,
                    key,
                    fix=f"Set `{key}: 1`, or use whole GPUs (remove mig_profile)",
                )
        if endpoint.surge:
            message = "`surge` is not possible on MIG slices, because a pool reserves whole GPUs only"
            raise FieldError(message, *path, "surge", fix="Set `surge: false`")
        try:
            mig.instances(pools[endpoint.pool].gpu, endpoint.mig_profile)
        except FieldError as error:
            raise FieldError(error.what, *path, "mig_profile", fix=error.fix) from None
        try:
            mig.cuts(pools[endpoint.pool].gpu, [sliced(endpoint)])
        except FieldError as error:
            raise FieldError(error.what, *path, "replicas", fix=error.fix) from None


def cut_gpus_match_the_endpoints(platform: Platform) -> None:
    """What a pool cuts is what its endpoints need, on machines that are named, and leaves room for the rest."""
    for index, pool in enumerate(platform.pools):
        path = ("pools", index, "mig")
        needed = mig.cut_gpus(
            pool.gpu, [sliced(endpoint) for endpoint in endpoints_on_slices(platform, pool)]
        )
        cut_counts: dict[tuple[str, str], int] = {}
        for number, cut in enumerate(pool.mig):
            key = (cut.class_, cut.profile)
            if key in cut_counts:
                raise FieldError(
                    f"{cut.profile} for class {cut.class_} appears twice",
                    *path,
                    number,
                    fix="Remove one of them",
                )
            cut_counts[key] = cut.gpus
        for class_, profile in sorted(cut_counts.keys() | needed.keys()):
            has, needs = cut_counts.get((class_, profile), 0), needed.get((class_, profile), 0)
            if has != needs:
                raise FieldError(
                    f"pool {pool.name} cuts {has} GPU(s) into {profile} for class {class_}, but its endpoints "
                    f"need {needs}",
                    *path,
                    fix=f"Set `{{class: {class_}, profile: {profile}, gpus: {needs}}}`"
                    if needs
                    else "Remove the entry",
                )
        if not pool.mig:
            continue
        if not pool.node_names:
            raise FieldError(
                f"pool {pool.name} has `mig`, but no node_names",
                *("pools", index, "node_names"),
                fix=(
                    "List the nodes in node_names, because MIG manager needs a label on each node; node i is in "
                    "failure domain i mod failure_domains"
                ),
            )
        if layout(platform, pool) is None:
            raise FieldError(
                f"the GPUs of pool {pool.name} cannot be cut so that all its endpoints fit: on a node, "
                "one profile serves one class, and endpoints that survive a node or domain are spread evenly",
                *path,
                fix="Use other profiles for different classes, fewer replicas, or a larger pool",
            )


def time_slicing_is_valid(platform: Platform) -> None:
    """Time-sliced endpoints have the class of the shared GPUs, fit their number, and limit their memory."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, pool in enumerate(platform.pools):
        if pool.time_slicing is not None:
            _check_nodes(pool, pool.time_slicing, ("pools", index))
    requested: dict[str, int] = {}
    for index, endpoint in enumerate(platform.endpoints):
        if not endpoint.time_sliced:
            continue
        path, pool = ("endpoints", index), pools.get(endpoint.pool or "")
        slicing = pool.time_slicing if pool is not None else None
        if pool is None or slicing is None:
            message = f"endpoint {endpoint.id} has `time_sliced`, but its pool has no time_slicing"
            raise FieldError(
                message, *path, "time_sliced", fix="Set `time_slicing` of the pool, or remove `time_sliced`"
            )
        if endpoint.class_ != slicing.class_:
            message = (
                f"the shared GPUs of pool {pool.name} serve class {slicing.class_}, and "
                f"endpoint {endpoint.id} is of class {endpoint.class_}"
            )
            raise FieldError(
                message,
                *path,
                "time_sliced",
                fix="Use whole GPUs or MIG slices: a GPU never serves two classes",
                refused=True,
            )
        _check_shared_endpoint(endpoint, slicing, path)
        place_count = {"node": len(slicing.nodes), "domain": sharing_domains(pool)}.get(endpoint.survive, 2)
        if place_count < 2:
            message = f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}"
            raise FieldError(
                f"{message}, but all shared GPUs of pool {pool.name} are in one {endpoint.survive}",
                *path,
                "survive",
                fix="Add nodes to `time_slicing.nodes`, or lower `survive`",
            )
        requested[pool.name] = requested.get(pool.name, 0) + endpoint.replicas
        if requested[pool.name] > shares(pool):
            message = f"{requested[pool.name]} replicas need shares of GPUs, but pool {pool.name} has {shares(pool)}"
            raise FieldError(
                message, *path, "replicas", fix="Use fewer replicas, or add nodes to `time_slicing.nodes`"
            )


def _check_nodes(pool: Pool, slicing: TimeSlicing, path: tuple[str | int, ...]) -> None:
    for number, node in enumerate(slicing.nodes):
        path_to_node = (*path, "time_slicing", "nodes", number)
        if node not in pool.node_names:
            hint = known_names(node, pool.node_names)
            raise FieldError(f"`{node}` is not in node_names of pool {pool.name}", *path_to_node, fix=hint)
        if node in slicing.nodes[:number]:
            raise FieldError(f"`{node}` appears twice", *path_to_node, fix="Leave one out")
    if pool.mig:
        message = (
            f"pool {pool.name} has both `mig` and `time_slicing`, which the device plugin does not support"
        )
        raise FieldError(message, *path, "time_slicing", fix="Remove one of them, or use two pools")
    if pool.reserved_gpus > (pool.nodes - len(slicing.nodes)) * pool.gpus_per_node:
        message = (
            f"pool {pool.name} reserves {pool.reserved_gpus} GPUs, but has fewer that are not time-sliced"
        )
        raise FieldError(
            message,
            *path,
            "reserved_gpus",
            fix="Lower reserved_gpus, or remove nodes from `time_slicing.nodes`",
        )


def _check_shared_endpoint(endpoint: Endpoint, slicing: TimeSlicing, path: tuple[str | int, ...]) -> None:
    if endpoint.mig_profile:
        raise FieldError(
            f"endpoint {endpoint.id} has both mig_profile and time_sliced",
            *path,
            "mig_profile",
            fix="Remove one of them",
        )
    for key in ("tensor_parallel", "nodes_per_replica"):
        if getattr(endpoint, key) > 1:
            raise FieldError(
                f"{key} is {getattr(endpoint, key)}, but a time-sliced replica uses exactly one share",
                *path,
                key,
                fix=f"Set `{key}: 1`",
            )
    if endpoint.surge:
        message = "`surge` is not possible on time-sliced GPUs, because a pool reserves whole GPUs only"
        raise FieldError(message, *path, "surge", fix="Set `surge: false`")
    max_memory, memory = SHARED_MEMORY_PART / slicing.replicas, endpoint.gpu_memory_utilization
    if memory is None or memory > max_memory:
        message = f"{slicing.replicas} replicas share a GPU, but one of {endpoint.id} uses"
        raise FieldError(
            f"{message} {'nearly all' if memory is None else memory} of its memory",
            *(*path, "gpu_memory_utilization"),
            fix=f"Set gpu_memory_utilization to {int(max_memory * 100) / 100} or less: together they may use "
            f"{SHARED_MEMORY_PART:g} of the GPU",
        )
