"""Lookups in the platform's contract, and arguments of several components that are built from it."""

from typing import Any

from isthmus.contracts.platform.model.aws.account import Guardrail
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Identity, Platform, Pool, Site
from isthmus.contracts.reference import inference_profiles
from isthmus.contracts.vocabulary import SENSITIVITIES, VLLM_TARGETS, Target
from isthmus.core.errors import InputError


def model_name(endpoint: str, workload: str) -> str:
    """Name of the model in requests from a gateway's route to its translator: `ENDPOINT--WORKLOAD`."""
    return f"{endpoint}--{workload}"


def region_of(platform: Platform, endpoint: Endpoint) -> str:
    """The AWS region of an endpoint: its own, else its site's. Raises `InputError` without one."""
    region = endpoint.region or next(site.region for site in platform.sites if site.name == endpoint.site)
    if not region:
        raise InputError(
            f"endpoint '{endpoint.id}' has no AWS region", where=f"endpoints.{endpoint.id}.region"
        )
    return region


def regions_of(platform: Platform, endpoint: Endpoint) -> list[str]:
    """Every region in which Bedrock may serve a call of the endpoint."""
    region = region_of(platform, endpoint)
    regions = endpoint.destination_regions or inference_profiles.destinations(
        endpoint.inference_profile, region
    )
    return list(regions)


def exception_arguments(platform: Platform, workloads: list[str]) -> dict[str, str]:
    """The argument `exception`: the recorded exceptions of these workloads in one line. Empty without any."""
    exceptions = [exception for exception in platform.exceptions if exception.workload in workloads]
    if not exceptions:
        return {}
    return {
        "exception": "; ".join(
            f"{exception.who} until {exception.until}: {exception.reason}" for exception in exceptions
        )
    }


def classes_at(platform: Platform, site: Site) -> list[str]:
    """Classes in use at a site, in order of sensitivity."""
    cluster_endpoints = [endpoint for endpoint in platform.endpoints if endpoint.target in VLLM_TARGETS]
    gateways = [gateway for gateway in platform.gateways if gateway.runs_on == "kubernetes"]
    classes = {server.class_ for server in (*gateways, *cluster_endpoints) if server.site == site.name}
    return [sensitivity for sensitivity in SENSITIVITIES if sensitivity in classes]


def endpoints_on_pool(platform: Platform, pool: Pool) -> list[Endpoint]:
    """Endpoints that run on a pool."""
    return [
        endpoint
        for endpoint in platform.endpoints
        if endpoint.site == pool.site and endpoint.pool == pool.name
    ]


def cpu_endpoints(platform: Platform, site: Site) -> list[Endpoint]:
    """Endpoints of a site that run without GPUs."""
    return [
        endpoint for endpoint in platform.endpoints if endpoint.site == site.name and endpoint.engine == "cpu"
    ]


def shared_arguments(platform: Platform, certificate_secret: str | None) -> dict[str, Any]:
    """Arguments that every workload takes from the platform as a whole."""
    shared: dict[str, Any] = {
        "monitoring_namespace": platform.monitoring.namespace,
        "pod_monitors": platform.monitoring.pod_monitors,
    }
    if platform.pod_priorities.mode != "off":
        shared["pod_priority"] = platform.pod_priorities.gateway
    if platform.monitoring.labels:
        shared["monitor_labels"] = dict(platform.monitoring.labels)
    if secrets := platform.images.all_pull_secrets:
        shared["pull_secrets"] = secrets
    if platform.issuer and platform.operators.cert_manager != "off":
        shared["issuer"] = {"name": platform.issuer.name, "kind": platform.issuer.kind}
    if certificate_secret:
        shared["certificate_secret"] = certificate_secret
    return shared


def scaling_arguments(platform: Platform, gateway: Gateway) -> dict[str, Any]:
    """Of `InferenceGatewayArgs` and `TranslatorSettings`: how KEDA scales them. Empty if it does not."""
    if gateway.max_replicas is None:
        return {}
    scaling = {
        "max_replicas": gateway.max_replicas,
        "prometheus_url": platform.monitoring.prometheus_url,
        "authentication": gateway.metrics_authentication,
    }
    return {"scaling": {key: value for key, value in scaling.items() if value is not None}}


def region_at(platform: Platform, name: str) -> str:
    region = platform.site(name).region
    if not region:
        raise InputError(f"site '{name}' has no AWS region", where=f"sites.{name}.region")
    return region


def tags(platform: Platform, **extra: str) -> dict[str, str]:
    return {
        **platform.tags,
        **{f"isthmus.dev/{key.replace('_', '-')}": value for key, value in extra.items()},
    }


def boundary_argument(site: Site) -> dict[str, str]:
    """The organisation's permissions boundary of every role at a site. Empty without one."""
    return {"permissions_boundary": site.permissions_boundary} if site.permissions_boundary else {}


def key_argument(site: Site) -> dict[str, str]:
    """The organisation's key of records at a site. Empty without one."""
    return {"kms_key": site.kms_key} if site.kms_key else {}


def guardrail_of(platform: Platform, identity: Identity) -> Guardrail | None:
    """The guardrail of every call of an identity. None without one."""
    return next(
        (guardrail for guardrail in platform.guardrails if guardrail.name == identity.guardrail), None
    )


def gateways_of(platform: Platform, identity: Identity) -> list[Gateway]:
    return [gateway for gateway in platform.gateways if gateway.identity == identity.name]


def calls_of(
    platform: Platform, identity: Identity, target: Target | None = None
) -> list[tuple[Endpoint, str]]:
    """Each endpoint (of a target) that the identity calls, and the workload for which it does."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    return [
        (endpoints[name], workload.name)
        for gateway in gateways_of(platform, identity)
        for workload in gateway.workloads
        for name in workload.reaches
        if name in identity.endpoints and target in (None, endpoints[name].target)
    ]
