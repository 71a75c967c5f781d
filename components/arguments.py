"""From the platform's contract to the arguments of the components: names and parts, nothing decided twice."""

from decimal import Decimal
from typing import Any

from components.aws.bedrock_access import BedrockAccessArgs, BedrockModel
from components.gateway.inference_gateway import GatewayRoute, InferenceGatewayArgs
from components.governance.audit_trail import AuditTrailArgs
from components.onprem.gpu_pool import GpuPoolArgs, priority_class
from components.onprem.model_args import ModelServerArgs
from components.onprem.namespace import ClassNamespaceArgs
from components.quantities import amount, as_cpu, as_memory
from isthmus.contracts import inference_profiles
from isthmus.contracts.errors import InputError
from isthmus.contracts.platform import AuditStore, Endpoint, Gateway, Identity, Platform, Pool, Site
from isthmus.contracts.words import SENSITIVITIES

EDGE_CPU, EDGE_MEMORY = Decimal("0.5"), Decimal(2**29)
"""What the sidecar of a model server asks for."""


def classes_at(platform: Platform, site: Site) -> list[str]:
    """Classes in use at a site, in order of sensitivity."""
    used = {gateway.class_ for gateway in platform.gateways if gateway.site == site.name}
    used |= {endpoint.class_ for endpoint in platform.endpoints if endpoint.site == site.name}
    return [held for held in SENSITIVITIES if held in used]


def served_on(platform: Platform, pool: Pool) -> list[Endpoint]:
    """Endpoints that run on a pool."""
    return [e for e in platform.endpoints if e.site == pool.site and e.pool == pool.name]


def namespace_args(platform: Platform, site: Site, held: str) -> ClassNamespaceArgs:
    """Quota: what the class's pods ask for, and room for a roll: an ending pod counts until it is gone."""
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    gpus = cpu = memory = Decimal(0)
    pods = 0
    rolling = [Decimal(0), Decimal(0), Decimal(0)]
    for endpoint in platform.endpoints:
        if endpoint.class_ != held or endpoint.site != site.name or endpoint.target != "onprem-vllm":
            continue
        one = (
            Decimal(endpoint.tensor_parallel),
            amount(endpoint.cpu) + EDGE_CPU,
            amount(endpoint.memory) + EDGE_MEMORY,
        )
        gpus += one[0] * endpoint.replicas
        cpu += one[1] * endpoint.replicas
        memory += one[2] * endpoint.replicas
        pods += endpoint.replicas + 1
        rolling = [max(a, b) for a, b in zip(rolling, one, strict=True)]
    for gateway in platform.gateways:
        if gateway.class_ != held or gateway.site != site.name:
            continue
        # Doubled: while one rolls, old pods finish their answers beside the new.
        copies = 2 * (gateway.replicas + 1)
        translated = any(targets[workload.endpoint] == "bedrock" for workload in gateway.workloads)
        cpu += copies * Decimal(2 if translated else 1)
        memory += copies * Decimal(2**30) * (3 if translated else 1)
        pods += copies * (2 if translated else 1)
    quota = {
        "pods": str(pods),
        "requests.cpu": as_cpu(cpu + rolling[1]),
        "limits.cpu": as_cpu(cpu + rolling[1]),
        "requests.memory": as_memory(memory + rolling[2]),
        "limits.memory": as_memory(memory + rolling[2]),
        "requests.nvidia.com/gpu": as_cpu(gpus + rolling[0]),
    }
    return {"sensitivity": held, "quota": quota, "resolvers": list(site.dns)}


def pool_args(platform: Platform, pool: Pool) -> GpuPoolArgs:
    if pool.mig_profile:
        raise InputError(
            f"pool '{pool.name}' asks for MIG profile {pool.mig_profile}, which is not in this version",
            where=f"pools.{pool.name}.mig_profile",
            todo="Leave it out",
        )
    used = {endpoint.class_ for endpoint in served_on(platform, pool)}
    return {
        "name": pool.name,
        "product": pool.product,
        "nodes": pool.nodes,
        "gpus_per_node": pool.gpus_per_node,
        "reserved_gpus": pool.reserved_gpus,
        "node_names": list(pool.node_names),
        "classes": [held for held in SENSITIVITIES if held in used],
        "gpu_operator": platform.operators.gpu_operator,
        "kueue": platform.operators.kueue,
    }


def _shared(platform: Platform, certificate_secret: str | None) -> dict[str, Any]:
    """What every workload takes from the platform as a whole."""
    shared: dict[str, Any] = {
        "monitoring_namespace": platform.monitoring.namespace,
        "pod_monitors": platform.monitoring.pod_monitors,
    }
    if platform.images.pull_secret:
        shared["pull_secret"] = platform.images.pull_secret
    if platform.issuer and platform.operators.cert_manager != "off":
        shared["issuer"] = {"name": platform.issuer.name, "kind": platform.issuer.kind}
    if certificate_secret:
        shared["certificate_secret"] = certificate_secret
    return shared


def model_args(platform: Platform, pool: Pool, endpoint: Endpoint) -> ModelServerArgs:
    where = f"endpoints.{endpoint.id}"
    if endpoint.nodes_per_replica > 1:
        raise InputError(
            f"endpoint '{endpoint.id}' spans {endpoint.nodes_per_replica} machines: not in this version",
            where=f"{where}.nodes_per_replica",
            todo="Place it within one machine",
        )
    if endpoint.weights is None:
        raise InputError(
            f"endpoint '{endpoint.id}' names no weights",
            where=f"{where}.weights",
            todo="Name uri and digest in the stack's overrides",
        )
    given = endpoint.model_dump(exclude_none=True)
    same = (
        *("id", "model", "weights", "precision", "tensor_parallel", "replicas", "survive", "max_model_len"),
        *("max_num_seqs", "gpu_memory_utilization", "kv_cache_dtype", "adapters", "engine_version"),
        *("engine_args", "cpu", "memory", "load_timeout_s", "surge"),
    )
    queued = platform.operators.kueue == "existing"
    made: dict[str, Any] = {
        **{key: given[key] for key in same if key in given},
        **_shared(platform, endpoint.certificate_secret),
        "sensitivity": endpoint.class_,
        "vllm_image": platform.images.vllm,
        "edge_image": platform.images.edge,
        "product": pool.product,
        "pool": pool.name,
        "failure_domains": pool.failure_domains,
        **(
            {"queue": pool.name, "priority_class": priority_class(pool.name, endpoint.class_)}
            if queued
            else {}
        ),
    }
    return made  # type: ignore[return-value]


def gateway_args(
    platform: Platform,
    site: Site,
    gateway: Gateway,
    cluster_ips: dict[str, Any],
    role_arn: Any | None,
) -> InferenceGatewayArgs:
    """`cluster_ips` of the site's model servers by endpoint; `role_arn` of the gateway's identity."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    routes: list[GatewayRoute] = []
    cloud: dict[str, Any] = {}
    for workload in gateway.workloads:
        endpoint = endpoints[workload.endpoint]
        route: GatewayRoute = {
            "workload": workload.name,
            "endpoint": endpoint.id,
            "model": workload.adapter or endpoint.model,
        }
        if endpoint.target == "bedrock":
            cloud[endpoint.id] = {
                "name": endpoint.id,
                "region": region_of(platform, endpoint),
                "inference_profile": endpoint.inference_profile or endpoint.model,
            }
        elif endpoint.id not in cluster_ips:
            raise InputError(
                f"'{workload.name}' at {gateway.site} is served by '{endpoint.id}' at {endpoint.site}",
                where=f"gateways.{gateway.name}.workloads.{workload.name}",
                todo="A gateway reaches model servers of its own site and Amazon Bedrock",
            )
        elif gateway.class_ == "restricted":
            # Only it needs addresses; the others would wait for their models for nothing.
            route["cluster_ip"] = cluster_ips[endpoint.id]
        routes.append(route)
    made: dict[str, Any] = {
        **_shared(platform, gateway.certificate_secret),
        "sensitivity": gateway.class_,
        "site": site.name,
        "image": platform.images.edge,
        "routes": routes,
        "callers_secret": gateway.callers_secret,
        "replicas": gateway.replicas,
        "destinations": [way.model_dump() for way in gateway.destinations],
        "site_cidrs": [cidr for each in platform.sites if each.kind == "on-prem" for cidr in each.cidrs],
        "resolvers": list(site.dns),
    }
    if cloud:
        made["translator"] = {
            "image": platform.images.translator,
            "models": list(cloud.values()),
            "replicas": gateway.replicas,
            **({"role_arn": role_arn} if role_arn is not None else {}),
        }
        made |= _exception(platform, [workload.name for workload in gateway.workloads])
    return made  # type: ignore[return-value]


def bedrock_args(platform: Platform, identity: Identity) -> BedrockAccessArgs:
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    made: BedrockAccessArgs = {
        "sensitivity": identity.class_,
        "models": [_bedrock_model(platform, endpoints[named]) for named in identity.endpoints],
        "tags": dict(platform.tags),
    }
    served = [
        workload.name
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.endpoint in identity.endpoints
    ]
    made |= _exception(platform, served)
    if identity.permissions_boundary:
        made["permissions_boundary"] = identity.permissions_boundary
    return made


def _exception(platform: Platform, workloads: list[str]) -> Any:
    """The recorded exceptions that cover these workloads, as one line."""
    found = [each for each in platform.exceptions if each.workload in workloads]
    if not found:
        return {}
    return {"exception": "; ".join(f"{each.who} until {each.until}: {each.reason}" for each in found)}


def _bedrock_model(platform: Platform, endpoint: Endpoint) -> BedrockModel:
    region = region_of(platform, endpoint)
    model: BedrockModel = {"id": endpoint.id, "model": endpoint.model, "region": region}
    if endpoint.inference_profile:
        model["inference_profile"] = endpoint.inference_profile
        model["destination_regions"] = regions_of(platform, endpoint)
    return model


def region_of(platform: Platform, endpoint: Endpoint) -> str:
    """The region in which an endpoint on Bedrock is called: its own, else its site's."""
    region = endpoint.region or next(site.region for site in platform.sites if site.name == endpoint.site)
    if not region:
        raise InputError(f"endpoint '{endpoint.id}' names no region", where=f"endpoints.{endpoint.id}.region")
    return region


def regions_of(platform: Platform, endpoint: Endpoint) -> list[str]:
    """Every region in which a call of an endpoint on Bedrock may be served."""
    region = region_of(platform, endpoint)
    named = endpoint.destination_regions or inference_profiles.destinations(
        endpoint.inference_profile, region
    )
    return list(named)


def audit_args(platform: Platform, site: Site, store: AuditStore) -> AuditTrailArgs:
    made = store.model_dump(exclude_none=True)
    if site.kind == "aws" and site.region:
        made["region"] = site.region
    made["tags"] = dict(platform.tags)
    return made  # type: ignore[return-value]
