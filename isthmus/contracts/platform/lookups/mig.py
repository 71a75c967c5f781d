"""MIG GPUs of a platform: which GPUs of a pool are cut for which endpoints, and the rules for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.hardware.packing import Replica, capacities

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool


def endpoints_on_slices(platform: Platform, pool: Pool) -> list[Endpoint]:
    """The pool's endpoints on slices."""
    return [
        endpoint for endpoint in platform.endpoints if endpoint.pool == pool.name and endpoint.mig_profile
    ]


def endpoints_on_whole_gpus(platform: Platform, pool: Pool) -> list[Endpoint]:
    """The pool's endpoints on whole GPUs."""
    return [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.pool == pool.name and not endpoint.mig_profile and not endpoint.time_sliced
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
    return mig.cuts(pool.gpu, [sliced(endpoint) for endpoint in endpoints_on_slices(platform, pool)])


def layout(platform: Platform, pool: Pool) -> list[dict[str, int]] | None:
    """Cut GPUs of each node of a pool, by whose they are; None where no layout serves all."""
    free = capacities(pool.nodes, pool.gpus_per_node, pool.reserved_gpus)
    whole_gpu_endpoints = endpoints_on_whole_gpus(platform, pool)
    # As many as every domain has when they are spread evenly, whichever has one more.
    domain_replicas = [
        Replica(endpoint.tensor_parallel, endpoint.nodes_per_replica)
        for endpoint in whole_gpu_endpoints
        if endpoint.survive == "domain"
        for _ in range(endpoint.replicas // pool.failure_domains)
    ]
    bound = [domain_replicas] * pool.failure_domains
    return mig.lay_out(cuts(platform, pool), free, pool.failure_domains, replicas(whole_gpu_endpoints), bound)
