"""Builds serving arguments from the platform's contract: scaling, fetched weights, canaries, salts."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.cluster.quantities import amount
from components.serving.vllm_arguments import TEXT_TASKS
from components.serving.weights.cache import BESIDE_CPU, BESIDE_MEMORY, FETCH_CPU, FETCH_MEMORY
from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups.node_cache import fetchers
from isthmus.contracts.platform.lookups.serving import scaled_endpoints
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Workload
from isthmus.contracts.vocabulary import VLLM_TARGETS

_ENGINE = {"task", "speculative", "prefix_cache", "drain_s", "picker", "engine", "compile_cache"}


def serving_args(platform: Platform, endpoint: Endpoint) -> dict[str, Any]:
    """Of `ModelServerArgs`: what the engine is told beyond the usual, how it is scaled, what fetches its weights."""
    arguments = endpoint.model_dump(include=_ENGINE, exclude_defaults=True, exclude_none=True)
    arguments |= _router(platform, endpoint)
    scaling = scaled_endpoints(platform).get(endpoint.id)
    if scaling is not None:
        arguments["scaling"] = {
            **scaling.model_dump(exclude={"endpoint"}, exclude_none=True),
            "prometheus_url": platform.monitoring.prometheus_url,
        }
        if scaling.min_replicas == 0:
            arguments["scaling"]["woken_by"] = sorted(
                workload.name
                for gateway in platform.gateways
                for workload in gateway.workloads
                if workload.endpoint == endpoint.id
            )
    if endpoint.weights and endpoint.weights.uri.startswith("s3://"):
        arguments["fetch_image"] = platform.images.translator
    return arguments


def _router(platform: Platform, endpoint: Endpoint) -> dict[str, str]:
    """The Service of its class's router at its site, where there is one."""
    services = [
        gateway.router.service
        for gateway in platform.gateways
        if gateway.router is not None and (gateway.class_, gateway.site) == (endpoint.class_, endpoint.site)
    ]
    return {"router": services[-1]} if services else {}


def door_access_args(platform: Platform, endpoint: Endpoint) -> dict[str, Any]:
    """Of `ModelDoorArgs`: who reaches it beside its gateway, and what its weights are fetched from."""
    arguments: dict[str, Any] = _router(platform, endpoint)
    if endpoint.picker is not None:
        arguments["picker"] = endpoint.picker.model_dump()
    weights = endpoint.weights
    if weights is not None and weights.uri.startswith("s3://") and weights.store is not None:
        arguments["fetched_from"] = weights.store.model_dump(include={"endpoint", "address"})
    return arguments


def weights_args(endpoint: Endpoint) -> dict[str, Any]:
    """Arguments of `ModelWeights`. A `pvc://` claim belongs to the class, a cache to the endpoint."""
    if endpoint.weights is None:
        return {}
    weights = endpoint.weights.model_dump(exclude_none=True)
    cached = endpoint.weights.cache is not None
    omitted = {"volume"} | (set() if cached else {"size_gib"}) | (set() if weights["verify"] else {"verify"})
    return {key: value for key, value in weights.items() if key not in omitted}


@dataclass(frozen=True)
class FetchResources:
    """What fetches weights beside all else that runs: pods, what they ask for, and what they may take."""

    pods: int
    cpu: Decimal
    memory: Decimal
    most_cpu: Decimal
    most_memory: Decimal


def fetching_of(platform: Platform, endpoint: Endpoint) -> FetchResources:
    """Of an endpoint. `platform`: at its most."""
    if endpoint.weights is None or endpoint.weights.cache is None:
        return fetching_on_nodes(0)
    if endpoint.weights.cache.node_path is not None:
        return fetching_on_nodes(fetchers(platform, endpoint))
    # Twice: a changed job runs beside the one before it, whose pod is there until it is deleted.
    cpu, memory = 2 * amount(FETCH_CPU), 2 * amount(FETCH_MEMORY)
    return FetchResources(2, cpu, memory, cpu, memory)


def fetching_on_nodes(machines: int) -> FetchResources:
    """A pod on each machine. While they are exchanged, none comes before the one that it takes the place of is gone."""
    return FetchResources(
        machines,
        machines * amount(BESIDE_CPU),
        machines * amount(BESIDE_MEMORY),
        machines * amount(FETCH_CPU),
        machines * amount(FETCH_MEMORY),
    )


def place_args(platform: Platform, endpoint: Endpoint, digests: bool) -> dict[str, Any]:
    """`GatewayPlace` of an endpoint. `digests`: whether its release is known here."""
    place: dict[str, Any] = {"target": endpoint.target, "site": endpoint.site}
    if digests and endpoint.weights is not None and endpoint.target in VLLM_TARGETS:
        place["model_digest"] = endpoint.weights.digest
    if endpoint.cost is not None:
        place |= endpoint.cost.model_dump(exclude_none=True)
        # Only where they are charged: of every other endpoint the gateway need not know how many replicas there are.
        if endpoint.cost.usd_per_gpu_hour is not None:
            place["gpus"] = _whole_gpus(platform, endpoint)
    return place


def _whole_gpus(platform: Platform, endpoint: Endpoint) -> float:
    """GPUs behind an endpoint, slices and shares as parts of one."""
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
    """Of `GatewayRoute`: its task, its salt, others that are as good, its canary. `places`: on what each endpoint runs;
    `addresses`: the gateway asks no cluster DNS."""
    endpoint = endpoints[workload.endpoint]
    arguments: dict[str, Any] = {}
    if endpoint.task not in TEXT_TASKS:
        arguments["task"] = endpoint.task
    if endpoint.prefix_cache == "salted":
        # A team's name and a workload's of the same letters are two salts.
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
            **({"picker": canary.picker.model_dump()} if canary.picker else {}),
        }
    return arguments
