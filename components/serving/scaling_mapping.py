"""Builds a gateway's routes from the platform's contract, and what fetching of weights needs of a quota."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.cluster.quantities import amount
from components.serving.vllm_arguments import TEXT_TASKS
from components.serving.weights.cache import BESIDE_CPU, BESIDE_MEMORY, FETCH_CPU, FETCH_MEMORY
from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups.node_cache import fetchers
from isthmus.contracts.platform.lookups.serving import (
    at_once_by_replica,
    lists_replicas,
    most_replicas,
    scaled_endpoints,
)
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Workload
from isthmus.contracts.vocabulary import VLLM_TARGETS


@dataclass(frozen=True)
class FetchResources:
    """Resources for pods that fetch weights: number of pods, requests and limits."""

    pods: int
    cpu: Decimal
    memory: Decimal
    most_cpu: Decimal
    most_memory: Decimal


def fetching_of(platform: Platform, endpoint: Endpoint) -> FetchResources:
    """The resources for fetching an endpoint's weights. `platform`: with autoscaled endpoints at their maximum."""
    if endpoint.weights is None or endpoint.weights.cache is None:
        return fetching_on_nodes(0)
    if endpoint.weights.cache.node_path is not None:
        return fetching_on_nodes(fetchers(platform, endpoint))
    # Twice, because a changed job runs beside the one before, whose pod exists until it is deleted.
    cpu, memory = 2 * amount(FETCH_CPU), 2 * amount(FETCH_MEMORY)
    return FetchResources(2, cpu, memory, cpu, memory)


def fetching_on_nodes(machines: int) -> FetchResources:
    """Resources for one fetching pod on each node. In a rollout, a pod is removed before its successor starts."""
    return FetchResources(
        machines,
        machines * amount(BESIDE_CPU),
        machines * amount(BESIDE_MEMORY),
        machines * amount(FETCH_CPU),
        machines * amount(FETCH_MEMORY),
    )


def place_args(platform: Platform, endpoint: Endpoint, digests: bool, copies: int = 1) -> dict[str, Any]:
    """`GatewayPlace` of an endpoint. `digests`: whether this stack knows its release. `copies` of the gateway."""
    place: dict[str, Any] = {"target": endpoint.target, "site": endpoint.site}
    if digests and endpoint.weights is not None and endpoint.target in VLLM_TARGETS:
        place["model_digest"] = endpoint.weights.digest
    if endpoint.cost is not None:
        place |= endpoint.cost.model_dump(exclude_none=True, exclude={"source", "as_of"})
        if endpoint.cost.usd_per_gpu_hour is not None:
            place["gpus"] = _whole_gpus(platform, endpoint)
    place |= _probed(platform, endpoint)
    if lists_replicas(platform, endpoint):
        place["by_replica"] = True
        if "gpus" in place:
            # For one replica, so that another number of replicas restarts no gateway.
            place |= {"gpus": round(place["gpus"] / endpoint.replicas, 4), "replicas": 1}
    # A release changes what a replica runs at once. Where another stack has the release, only a stated number counts,
    # so that a release restarts no gateway.
    at_once = at_once_by_replica(endpoint) if digests else endpoint.concurrency
    return place if at_once is None else place | _concurrency(platform, endpoint, place, at_once, copies)


def _probed(platform: Platform, endpoint: Endpoint) -> dict[str, bool]:
    """Of `GatewayPlace`: what differs from the gateway's default. A probe would wake a model that scales to zero."""
    monitoring, scaling = platform.monitoring, scaled_endpoints(platform).get(endpoint.id)
    if not monitoring.model_probes:
        return {}
    if scaling is not None and scaling.min_replicas == 0:
        return {"probed": False}
    by_token = endpoint.target == "bedrock" or (
        endpoint.cost is not None and endpoint.cost.usd_per_million_tokens is not None
    )
    return {"probed": True} if by_token and monitoring.model_probes_by_token else {}


def _concurrency(
    platform: Platform, endpoint: Endpoint, place: dict[str, Any], by_replica: int, copies: int
) -> dict[str, Any]:
    """Of `GatewayPlace`: the requests at once for each copy of the gateway.

    Where the gateway knows the listed replicas, the number for one of them is enough: another number of replicas then
    restarts no gateway.
    """
    listed = place.get("by_replica", False)
    replicas = place.get("replicas", 1) if listed else most_replicas(platform, endpoint)
    at_once = {"concurrency": max(1, -(-by_replica * replicas // copies))}
    return {**at_once, "replicas": replicas} if listed else at_once


def _whole_gpus(platform: Platform, endpoint: Endpoint) -> float:
    """Number of GPUs behind an endpoint. Slices and shares count as parts of a GPU."""
    pool = next((candidate for candidate in platform.pools if candidate.name == endpoint.pool), None)
    if pool is None or endpoint.target not in VLLM_TARGETS:
        return 0.0
    parts_per_gpu = 1
    if endpoint.mig_profile is not None:
        parts_per_gpu = mig.instances(pool.gpu, endpoint.mig_profile)
    elif endpoint.time_sliced and pool.time_slicing is not None:
        parts_per_gpu = pool.time_slicing.replicas
    return round(endpoint.gpus / parts_per_gpu, 4)


def route_args(
    workload: Workload,
    endpoints: dict[str, Endpoint],
    cluster_ips: dict[str, Any],
    places: dict[str, Any],
    *,
    addresses: bool,
) -> dict[str, Any]:
    """Optional arguments of `GatewayRoute`: task, salt, equivalent places, canary. `places`: platform and price of
    each endpoint. `addresses`: set ClusterIPs, because the gateway uses no cluster DNS.
    """
    endpoint = endpoints[workload.endpoint]
    arguments: dict[str, Any] = {}
    if endpoint.task not in TEXT_TASKS:
        arguments["task"] = endpoint.task
    if endpoint.prefix_cache == "salted":
        # A team and a workload with the same name get different salts.
        arguments["cache_salt"] = f"team/{workload.team}" if workload.team else f"workload/{workload.name}"
    if endpoint.picker is not None:
        arguments["picker"] = endpoint.picker.model_dump()

    def alternative(endpoint_id: str) -> dict[str, Any]:
        return {
            "endpoint": endpoint_id,
            "model": workload.adapter or endpoints[endpoint_id].model,
            "place": places[endpoint_id],
            **({"cluster_ip": cluster_ips[endpoint_id]} if addresses else {}),
        }

    if workload.also:
        arguments["also"] = [alternative(endpoint_id) for endpoint_id in workload.also]
    if workload.canary is not None:
        canary = endpoints[workload.canary.endpoint]
        arguments["canary"] = {
            **alternative(canary.id),
            "percent": workload.canary.percent,
            **workload.canary.model_dump(
                include={"release", "steps", "shadow_percent"}, exclude_defaults=True
            ),
            **({"two_people": True} if workload.canary.steps and workload.impact == "high" else {}),
            **({"judge": workload.canary.judge.model_dump()} if workload.canary.judge else {}),
            **({"picker": canary.picker.model_dump()} if canary.picker else {}),
        }
    return arguments
