"""Answers questions about the endpoints that a platform serves: their scaling and largest size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.serving import Scaling

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
