"""Builds the arguments of a model server and its router from the platform's contract."""

from typing import Any

from components.base.platform_lookups import shared_arguments
from components.pools.mapping import placement_arguments, queue_of
from components.serving.arguments import ModelDoorArgs, ModelServerArgs
from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.layers import DoorGiven
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups.engine_settings import ENGINE_SETTINGS
from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.lookups.serving import (
    at_max_replicas,
    lists_replicas,
    scaled_endpoints,
)
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool
from isthmus.contracts.platform.model.pools import ZONE_LABEL
from isthmus.core.errors import InputError

_ENGINE = {"task", "speculative", "prefix_cache", "drain_s", "picker", "engine", "compile_cache"}


def spread_arguments(platform: Platform, site: str) -> dict[str, Any]:
    """The node label over which a site's pods are spread; empty for the default."""
    label = failure_domain_label(platform, site)
    return {"failure_domain_label": label} if label != ZONE_LABEL else {}


def door_args(platform: Platform, endpoint: Endpoint) -> ModelDoorArgs:
    arguments: dict[str, Any] = {
        **_door_access_args(platform, endpoint),
        "id": endpoint.id,
        "sensitivity": endpoint.class_,
        "monitoring_namespace": platform.monitoring.namespace or "",
        "nodes_per_replica": endpoint.nodes_per_replica,
        "replicas": endpoint.replicas,
        "surge": endpoint.surge,
    }
    return arguments  # type: ignore[return-value]


def model_args(
    platform: Platform, pool: Pool | None, endpoint: Endpoint, door: DoorGiven | None = None
) -> ModelServerArgs:
    """Arguments of a model server. `pool`: None on CPUs. `door`: its network, if another stack creates it."""
    if endpoint.weights is None:
        raise InputError(
            f"endpoint '{endpoint.id}' has no weights",
            where=f"endpoints.{endpoint.id}.weights",
            fix="Set uri and digest in the stack's overrides",
        )
    endpoint_fields = endpoint.model_dump(exclude_none=True)
    endpoint_fields["weights"] = _weights_args(endpoint)
    copied_keys = (
        *ENGINE_SETTINGS,
        *("id", "model", "weights", "mig_profile", "nodes_per_replica", "replicas", "survive"),
        *("adapters", "cpu", "memory", "load_timeout_s", "surge", "chat_template"),
    )
    arguments: dict[str, Any] = {
        **{key: endpoint_fields[key] for key in copied_keys if key in endpoint_fields},
        **shared_arguments(platform, endpoint.certificate_secret),
        **({"trust_bundle": platform.trust_bundle} if platform.trust_bundle else {}),
        "sensitivity": endpoint.class_,
        "vllm_image": platform.images.vllm if pool is not None else platform.images.vllm_cpu,
        "edge_image": platform.images.edge,
        **({"pod_priority": platform.pod_priorities.model} if platform.pod_priorities.mode != "off" else {}),
        **_serving_args(platform, endpoint),
        **({"door": door.model_dump()} if door is not None else {}),
    }
    if pool is not None:
        arguments |= {
            "product": pool.product,
            "pool": pool.name,
            "failure_domains": pool.failure_domains,
            **spread_arguments(platform, pool.site),
            **_slice_arguments(platform, pool, endpoint),
            **placement_arguments(pool, endpoint),
            **queue_of(platform, pool, endpoint),
        }
    return arguments  # type: ignore[return-value]


def _slice_arguments(platform: Platform, pool: Pool, endpoint: Endpoint) -> dict[str, Any]:
    """Arguments of an endpoint on MIG slices: the owner of its slices, and how they are spread."""
    if not endpoint.mig_profile:
        return {}
    platform = at_max_replicas(platform)
    owner = mig.owner_of(platform_mig.sliced(endpoint))
    cut = next(cut for cut in platform_mig.cuts(platform, pool) if cut.owner == owner)
    instances_per_gpu = mig.instances(pool.gpu, cut.profile)
    layout = platform_mig.layout(platform, pool) or []
    domains = {node % pool.failure_domains for node, node_cuts in enumerate(layout) if owner in node_cuts}
    return {
        "slices": owner,
        # A domain without slices of its own cannot run one of its replicas.
        "failure_domains": len(domains),
        "max_skew": mig.skew(cut, layout, pool.failure_domains, instances_per_gpu),
    }


def _serving_args(platform: Platform, endpoint: Endpoint) -> dict[str, Any]:
    """Optional arguments of `ModelServerArgs`: engine settings, scaling, and the image that fetches weights."""
    arguments = endpoint.model_dump(include=_ENGINE, exclude_defaults=True, exclude_none=True)
    arguments |= _router(platform, endpoint)
    if lists_replicas(platform, endpoint):
        arguments["by_replica"] = True
    if any(
        "batches" in workload.interfaces and endpoint.id in workload.reaches
        for gateway in platform.gateways
        for workload in gateway.workloads
    ):
        arguments["batches"] = True
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
    """The Service of its class's router at its site, if there is one."""
    services = [
        gateway.router.service
        for gateway in platform.gateways
        if gateway.router is not None and (gateway.class_, gateway.site) == (endpoint.class_, endpoint.site)
    ]
    return {"router": services[-1]} if services else {}


def _door_access_args(platform: Platform, endpoint: Endpoint) -> dict[str, Any]:
    """Optional arguments of `ModelDoorArgs`: the router and picker that reach it, and the store of its weights."""
    arguments: dict[str, Any] = _router(platform, endpoint)
    if lists_replicas(platform, endpoint):
        arguments["by_replica"] = True
    if endpoint.picker is not None:
        arguments["picker"] = endpoint.picker.model_dump()
    weights = endpoint.weights
    if weights is not None and weights.uri.startswith("s3://") and weights.store is not None:
        arguments["fetched_from"] = weights.store.model_dump(include={"endpoint", "address"})
    return arguments


def _weights_args(endpoint: Endpoint) -> dict[str, Any]:
    """Arguments of `ModelWeights`. A `pvc://` claim belongs to the class, a cache to the endpoint."""
    if endpoint.weights is None:
        return {}
    weights = endpoint.weights.model_dump(exclude_none=True)
    cached = endpoint.weights.cache is not None
    omitted = {"volume"} | (set() if cached else {"size_gib"}) | (set() if weights["verify"] else {"verify"})
    return {key: value for key, value in weights.items() if key not in omitted}
