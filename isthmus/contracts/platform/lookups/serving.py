"""Answers questions about the endpoints that a platform serves: their scaling and largest size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.serving import Scaling

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def scaled(platform: Platform) -> dict[str, Scaling]:
    """What is scaled by load, by endpoint."""
    return {each.endpoint: each for each in platform.scaling if each.by_load}


def at_most(platform: Platform) -> Platform:
    """The platform with every scaled endpoint at its most replicas: what quotas, queues and pools must hold."""
    most = scaled(platform)
    if not most:
        return platform
    return platform.model_copy(
        update={"endpoints": [_at_most(each, most.get(each.id)) for each in platform.endpoints]}
    )


def _at_most(endpoint: Endpoint, scaling: Scaling | None) -> Endpoint:
    if scaling is None:
        return endpoint
    each = endpoint.tensor_parallel * endpoint.nodes_per_replica
    count = scaling.max_replicas
    return endpoint.model_copy(update={"replicas": count, "gpus": each * count})


def claim_of(endpoint: Endpoint) -> str | None:
    """The name of the claim that an endpoint reads its weights from; None: an image, or none named."""
    uri = endpoint.weights.uri if endpoint.weights else ""
    return uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else None
