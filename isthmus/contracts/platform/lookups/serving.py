"""Answers questions about the endpoints that a platform serves: their scaling and largest size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.serving import Scaling
from isthmus.contracts.vocabulary import VLLM_TARGETS

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def scaled_endpoints(platform: Platform) -> dict[str, Scaling]:
    """Scaling settings of the endpoints that are scaled by load, by endpoint id."""
    return {scaling.endpoint: scaling for scaling in platform.scaling if scaling.by_load}


def at_max_replicas(platform: Platform) -> Platform:
    """The platform with every scaled endpoint at max_replicas, for checks of quotas, queues and pools."""
    scalings = scaled_endpoints(platform)
    if not scalings:
        return platform
    return platform.model_copy(
        update={
            "endpoints": [
                _endpoint_at_max(endpoint, scalings.get(endpoint.id)) for endpoint in platform.endpoints
            ]
        }
    )


def lists_replicas(platform: Platform, endpoint: Endpoint) -> bool:
    """Whether a headless Service lists an endpoint's replicas, so that gateways choose the replica of a request.

    Not for class restricted, whose gateway has no resolver of the cluster, and not where a router chooses.
    """
    has_router = any(
        gateway.router is not None and (gateway.class_, gateway.site) == (endpoint.class_, endpoint.site)
        for gateway in platform.gateways
    )
    if endpoint.target not in VLLM_TARGETS or endpoint.class_ == "restricted" or has_router:
        return False
    scaling = scaled_endpoints(platform).get(endpoint.id)
    return max(endpoint.replicas, scaling.max_replicas if scaling is not None else 0) > 1


def _endpoint_at_max(endpoint: Endpoint, scaling: Scaling | None) -> Endpoint:
    if scaling is None:
        return endpoint
    gpus = endpoint.tensor_parallel * endpoint.nodes_per_replica
    count = scaling.max_replicas
    return endpoint.model_copy(update={"replicas": count, "gpus": gpus * count})


def claim_of(endpoint: Endpoint) -> str | None:
    """The name of the claim that an endpoint reads its weights from; None: an image, or none named."""
    uri = endpoint.weights.uri if endpoint.weights else ""
    return uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else None


BATCH_ROOM = 1.1
"""`max_num_seqs` of a plan, as a multiple of the requests that a replica runs at once (`isthmus.planning.output`)."""


def at_once_by_replica(endpoint: Endpoint) -> int | None:
    """Requests that a replica of a model server runs at once within its goals. None: nothing says how many."""
    if endpoint.target not in VLLM_TARGETS:
        return None
    if endpoint.concurrency is not None:
        return endpoint.concurrency
    return None if endpoint.max_num_seqs is None else max(1, int(endpoint.max_num_seqs / BATCH_ROOM))


def most_replicas(platform: Platform, endpoint: Endpoint) -> int:
    """Replicas of an endpoint, or the most if it scales."""
    scaling = scaled_endpoints(platform).get(endpoint.id)
    return endpoint.replicas if scaling is None else scaling.max_replicas
