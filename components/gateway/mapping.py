"""Builds the arguments of a gateway in a cluster, its held answers and its sealer from the contract."""

from typing import Any

from components.aws.common.names import domain
from components.base.platform_lookups import (
    exception_arguments,
    model_name,
    region_at,
    scaling_arguments,
    shared_arguments,
)
from components.gateway.audit_sealer import AuditSealerArgs
from components.gateway.inference_gateway import InferenceGatewayArgs
from components.gateway.resolver_mapping import dns_peers, resolver_args
from components.gateway.routes import GatewayFallback, GatewayRoute
from components.gateway.screening_mapping import screening_args
from components.gateway.sealing import Sealed
from components.gateway.translator.translator import TranslatorSettings
from components.serving.mapping import spread_arguments
from components.serving.scaling_mapping import place_args, route_args
from components.serving.vllm_arguments import TEXT_TASKS
from isthmus.contracts.platform.lookups.budgets import team_limits
from isthmus.contracts.platform.lookups.desk import domain_settings
from isthmus.contracts.platform.lookups.notifier import webhook_of
from isthmus.contracts.platform.lookups.records import audit_store_of, seal_prefix
from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.access import GatewayAccess
from isthmus.contracts.platform.model.platform import AuditStore, Endpoint, Gateway, Platform, Site, Workload
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core.errors import InputError


def gateway_args(
    platform: Platform,
    site: Site,
    gateway: Gateway,
    cluster_ips: dict[str, Any],
    translator: TranslatorSettings | None,
    sealed: Sealed | None = None,
    *,
    digests: bool,
) -> InferenceGatewayArgs:
    """`cluster_ips` of the site's model servers by endpoint; `translator` where the gateway has an identity; `sealed`:
    at an AWS site, where its records go; `digests`: whether the models' releases are this stack's to know."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    routes: list[GatewayRoute] = []
    for workload in gateway.workloads:
        places = {
            endpoint_id: place_args(platform, endpoints[endpoint_id], digests, gateway.replicas)
            for endpoint_id in workload.reaches
        }
        routes.append(_route(gateway, workload, endpoints, places, cluster_ips))
    arguments: dict[str, Any] = {
        **shared_arguments(platform, gateway.certificate_secret),
        **spread_arguments(platform, gateway.site),
        "sensitivity": gateway.class_,
        "site": site.name,
        "image": platform.images.edge,
        "routes": routes,
        "callers_secret": gateway.callers_secret,
        "replicas": gateway.replicas,
        "cpu": gateway.cpu,
        "memory": gateway.memory,
        **scaling_arguments(platform, gateway),
        "destinations": [destination.model_dump() for destination in gateway.destinations],
        "site_cidrs": on_prem_networks(platform),
        "resolvers": list(site.dns),
        **({"model_probes": True} if platform.monitoring.model_probes else {}),
        **_recording_arguments(platform, gateway, sealed),
        **sign_on_arguments(platform, tokens_of(platform, gateway)),
    }
    if gateway.screening is not None:
        arguments["screening"] = screening_args(platform, gateway, cluster_ips)
    if gateway.router is not None:
        arguments["router"] = {**gateway.router.model_dump(exclude_none=True), "dns": dns_peers(site)}
    if platform.trust_bundle:
        arguments["trust_bundle"] = platform.trust_bundle
    if gateway.access is not None:
        arguments["access"] = _access_arguments(gateway.access, site)
    names = resolver_args(platform, site, gateway.class_)
    if names is not None:
        arguments["names"] = names
    if translator is not None:
        arguments["translator"] = translator
        arguments |= exception_arguments(platform, [workload.name for workload in gateway.workloads])
    return arguments  # type: ignore[return-value]


def sign_on_arguments(platform: Platform, tokens: dict[str, Any] | None) -> dict[str, Any]:
    """Of `InferenceGatewayArgs` and `ReviewDeskArgs`: whose tokens it accepts. `tokens`: its settings of that name."""
    people = platform.people
    keys = people.sign_on.keys if people is not None and people.sign_on is not None else None
    if tokens is None or keys is None:
        return {}
    places = {"keys_config_map": keys.config_map, "keys_address": keys.address, "keys_ca": keys.ca}
    return {
        "sign_on": {"tokens": tokens, **{key: value for key, value in places.items() if value is not None}}
    }


def _access_arguments(access: GatewayAccess, site: Site) -> dict[str, Any]:
    """Of `InferenceGatewayArgs`: who outside the cluster may call it."""
    arguments = access.model_dump(exclude_defaults=True) | {"site_cidrs": list(site.cidrs)}
    if site.kind == "aws":
        arguments |= {"in_aws": True, "probe_cidrs": list(site.cidrs)}
    return arguments


def _recording_arguments(platform: Platform, gateway: Gateway, sealed: Sealed | None) -> dict[str, Any]:
    """Where callers, usage, traces, held answers and records are kept."""
    arguments: dict[str, Any] = held_args(gateway)
    if gateway.database is not None:
        arguments["database"] = gateway.database.model_dump()
    if gateway.releasers:
        arguments["releasers"] = list(gateway.releasers)
    if gateway.release_freezes:
        arguments["release_freezes"] = [freeze.model_dump(mode="json") for freeze in gateway.release_freezes]
    if gateway.traces is not None:
        arguments["traces"] = gateway.traces.model_dump(exclude_none=True)
    if teams := team_limits(platform, gateway):
        arguments["teams"] = [team.model_dump(exclude_none=True) for team in teams]
    if gateway.audit is not None:
        audit_fields = {"volume", "secret", "policy", "max_unsealed_s", "content"}
        arguments["audit"] = gateway.audit.model_dump(include=audit_fields, exclude_none=True)
        if sealed is not None and sealed.share is not None:
            arguments["audit"]["folders"] = sealed.folders("gateway")
    return arguments


def _route(
    gateway: Gateway,
    workload: Workload,
    endpoints: dict[str, Endpoint],
    places: dict[str, Any],
    cluster_ips: dict[str, Any],
) -> GatewayRoute:
    """The route of one workload. `places`: `GatewayPlace` of each endpoint that it reaches."""
    endpoint = endpoints[workload.endpoint]
    route: GatewayRoute = {
        "workload": workload.name,
        "endpoint": endpoint.id,
        "model": workload.adapter or endpoint.model,
    }
    workload_fields: Any = workload.model_dump(
        include={"team", "clients", "allowance", "people", "interfaces", "mode", "weight"},
        exclude_defaults=True,
    )
    if workload.slo is not None and (
        times := workload.slo.model_dump(exclude={"availability"}, exclude_none=True)
    ):
        workload_fields["slo"] = times
    review_fields: Any = review_route_args(gateway, workload)
    route.update(workload_fields)
    route.update(review_fields)
    if endpoint.target in CALLED_TARGETS:
        route["endpoint"] = model_name(endpoint.id, workload.name)
    elif endpoint.id not in cluster_ips:
        raise InputError(
            f"'{workload.name}' at {gateway.site} is served by '{endpoint.id}' at another site, {endpoint.site}",
            where=f"gateways.{gateway.name}.workloads.{workload.name}",
            fix="Use an endpoint of the gateway's own site, Amazon Bedrock or SageMaker",
        )
    elif gateway.class_ == "restricted":
        # Only it needs addresses; the others would wait for their models for nothing.
        route["cluster_ip"] = cluster_ips[endpoint.id]
    if gateway.router is not None and workload.canary is not None:
        # Which of the two versions answers, the router decides.
        places[endpoint.id].pop("model_digest", None)
    route["place"] = places[endpoint.id]
    if endpoint.target != "bedrock":
        addresses = gateway.class_ == "restricted"
        serving_fields: Any = route_args(workload, endpoints, cluster_ips, places, addresses=addresses)
        route.update(serving_fields)
    if endpoint.target not in CALLED_TARGETS:
        route.update(_overflow(workload, endpoints, places))
    if workload.fallback:
        route["fallback"] = [
            _fallback(gateway, workload, endpoints[name], places[name], cluster_ips)
            for name in workload.fallback
        ]
    return route


def sealer_args(platform: Platform, gateway: Gateway, sealed: Sealed | None = None) -> AuditSealerArgs | None:
    """The sealer of a gateway's records; None where it writes none. `sealed`: at an AWS site, where they go."""
    audit, store = gateway.audit, audit_store_of(platform, gateway)
    if audit is None or store is None:
        return None
    store_arguments: dict[str, Any] = {
        **_store_of(platform, gateway, store, sealed),
        "prefix": seal_prefix(gateway),
        "retention_days": store.retention_days,
    }
    if audit.content is not None:
        store_arguments["content_days"] = max(audit.content.days.values())
    common_arguments = shared_arguments(platform, None)
    common_arguments.pop("issuer", None)
    arguments: dict[str, Any] = {
        **common_arguments,
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "image": platform.images.translator,
        **({"volume": audit.sealer_volume} if audit.sealer_volume is not None else {}),
        "secret": audit.sealer_secret,
        "earlier_keys": audit.earlier_keys,
        "store": store_arguments,
        "site_cidrs": on_prem_networks(platform),
    }
    if sealed is not None:
        arguments["pod_identity"] = sealed.role
        if sealed.share is not None:
            arguments["folders"] = sealed.folders("sealer")
    return arguments  # type: ignore[return-value]


def _store_of(
    platform: Platform, gateway: Gateway, store: AuditStore, sealed: Sealed | None
) -> dict[str, Any]:
    """Where the store is: as the platform states it, or S3 at the addresses of the site's endpoint."""
    if sealed is None:
        return {"endpoint": store.endpoint, "address": store.address, "bucket": store.bucket}
    region = region_at(platform, gateway.site)
    first, *other_addresses = sealed.addresses
    return {
        "endpoint": f"https://s3.{region}.{domain(region)}",
        "region": region,
        "address": first,
        **({"more_addresses": other_addresses} if other_addresses else {}),
        "bucket": sealed.bucket,
    }


def on_prem_networks(platform: Platform) -> list[str]:
    return [cidr for site in platform.sites if site.kind == "on-prem" for cidr in site.cidrs]


def _fallback(
    gateway: Gateway,
    workload: Workload,
    endpoint: Endpoint,
    place: Any,
    cluster_ips: dict[str, Any],
) -> GatewayFallback:
    """Of `GatewayRoute`: another model for a workload's chats."""
    if endpoint.target in CALLED_TARGETS:
        return {"endpoint": model_name(endpoint.id, workload.name), "place": place}
    fallback: GatewayFallback = {"endpoint": endpoint.id, "model": endpoint.model, "place": place}
    if endpoint.id not in cluster_ips:
        raise InputError(
            f"'{workload.name}' at {gateway.site} falls back to '{endpoint.id}' at another site, {endpoint.site}",
            where=f"gateways.{gateway.name}.workloads.{workload.name}.fallback",
            fix="Use an endpoint of the gateway's own site, Amazon Bedrock or SageMaker",
        )
    if gateway.class_ == "restricted":
        fallback["cluster_ip"] = cluster_ips[endpoint.id]
    return fallback


def _overflow(workload: Workload, endpoints: dict[str, Endpoint], places: dict[str, Any]) -> Any:
    """Of `GatewayRoute`: what of AWS takes a workload's chats that its own endpoint cannot take."""
    if not workload.overflow or endpoints[workload.endpoint].task not in TEXT_TASKS:
        return {}
    first, *others = workload.overflow
    if others or endpoints[first].target not in CALLED_TARGETS:
        raise InputError(
            f"'{workload.name}' overflows to {', '.join(workload.overflow)}",
            where=f"gateways.workloads.{workload.name}.overflow",
            fix="Set overflow to exactly one endpoint on Amazon Bedrock or SageMaker",
        )
    return {
        "overflow": {
            "endpoint": model_name(first, workload.name),
            "when_waiting": workload.overflow_when_waiting,
            "place": places[first],
        }
    }


_AT_THE_GATEWAY = {"gateway_keys_volume", "decide_h", "escalated_h", "keep_days"}


def held_args(gateway: Gateway) -> dict[str, Any]:
    """Of `InferenceGatewayArgs`."""
    if gateway.reviews is None:
        return {}
    settings = gateway.reviews.model_dump(include=_AT_THE_GATEWAY, exclude_none=True)
    if domains := domain_settings(gateway.reviews):
        settings["domains"] = domains
    if gateway.reviews.cases is not None:
        settings["cases"] = gateway.reviews.cases.model_dump(mode="json")
    return {"reviews": settings}


def review_route_args(gateway: Gateway, workload: Workload) -> dict[str, Any]:
    """Of `GatewayRoute`: what is held of its answers, and by which calibrations they get a score. Raises `InputError`
    for a calibration that nobody has read."""
    fields: dict[str, Any] = {}
    if gateway.reviews is not None:
        fields["impact"] = workload.impact
        if workload.review is not None:
            fields["review"] = workload.review.model_dump(exclude_none=True)
        if (webhook := webhook_of(gateway, workload.name)) is not None:
            fields["webhook"] = webhook
    calibrations: list[dict[str, Any]] = []
    for calibration in workload.calibrations:
        if calibration.text is None:
            raise InputError(
                f"the calibration file {calibration.file} has not been read",
                where=f"gateways.{gateway.name}.workloads.{workload.name}.calibrations.{calibration.name}",
                fix="Set its `text`: without a stack its file is not read",
            )
        calibrations.append(calibration.model_dump(include={"name", "digest", "text"}))
    if calibrations and workload.review is not None:
        fields["confidence"] = {"domain": workload.review.domain, "calibrations": calibrations}
    return fields
