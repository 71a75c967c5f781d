"""From the platform's contract to the arguments of a gateway in a cluster and of its sealer."""

from typing import Any

from components.aws.common.names import domain
from components.aws.identity.mapping import region_at
from components.base.platform_lookups import exception, model_name
from components.gateway.audit_sealer import AuditSealerArgs
from components.gateway.inference_gateway import InferenceGatewayArgs
from components.gateway.routes import GatewayRoute
from components.gateway.screening_mapping import screening_args
from components.gateway.translator.translator import TranslatorSettings
from components.reviews.mapping import held_args, reviewed_args
from components.serving.mapping import dns_peers, resolver_args, shared, spread_over
from components.serving.scaling_mapping import place_args, route_args
from components.serving.vllm_arguments import WRITES
from components.sites.record_sealing import Sealed
from isthmus.contracts.platform.lookups.records import prefix_of, sealed_at
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
        endpoint = endpoints[workload.endpoint]
        route: GatewayRoute = {
            "workload": workload.name,
            "endpoint": endpoint.id,
            "model": workload.adapter or endpoint.model,
        }
        said: Any = workload.model_dump(include={"team", "clients", "allowance"}, exclude_defaults=True)
        route.update(said)
        reviewed: Any = reviewed_args(gateway, workload)
        route.update(reviewed)
        if endpoint.target in CALLED_TARGETS:
            route["endpoint"] = model_name(endpoint.id, workload.name)
        elif endpoint.id not in cluster_ips:
            raise InputError(
                f"'{workload.name}' at {gateway.site} is served by '{endpoint.id}' at {endpoint.site}",
                where=f"gateways.{gateway.name}.workloads.{workload.name}",
                fix="A gateway reaches model servers of its own site, Amazon Bedrock and SageMaker",
            )
        elif gateway.class_ == "restricted":
            # Only it needs addresses; the others would wait for their models for nothing.
            route["cluster_ip"] = cluster_ips[endpoint.id]
        places: dict[str, Any] = {
            each: place_args(platform, endpoints[each], digests) for each in workload.reaches
        }
        if gateway.router is not None and workload.canary is not None:
            # Which of the two versions answers, the router decides.
            places[endpoint.id].pop("model_digest", None)
        route["place"] = places[endpoint.id]
        if endpoint.target != "bedrock":
            addresses = gateway.class_ == "restricted"
            more: Any = route_args(workload, endpoints, cluster_ips, places, addresses=addresses)
            route.update(more)
        if endpoint.target not in CALLED_TARGETS:
            route.update(_overflow(workload, endpoints, places))
        routes.append(route)
    made: dict[str, Any] = {
        **shared(platform, gateway.certificate_secret),
        **spread_over(platform, gateway.site),
        "sensitivity": gateway.class_,
        "site": site.name,
        "image": platform.images.edge,
        "routes": routes,
        "callers_secret": gateway.callers_secret,
        "replicas": gateway.replicas,
        "cpu": gateway.cpu,
        "memory": gateway.memory,
        **({"max_replicas": gateway.max_replicas} if gateway.max_replicas is not None else {}),
        "destinations": [way.model_dump() for way in gateway.destinations],
        "site_cidrs": on_prem_networks(platform),
        "resolvers": list(site.dns),
    }
    if gateway.database is not None:
        made["database"] = gateway.database.model_dump()
    if gateway.traces is not None:
        made["traces"] = gateway.traces.model_dump(exclude_none=True)
    made |= held_args(gateway)
    if gateway.teams:
        made["teams"] = [team.model_dump(exclude_none=True) for team in gateway.teams]
    if gateway.audit is not None:
        kept = {"volume", "secret", "policy", "max_unsealed_s", "content"}
        made["audit"] = gateway.audit.model_dump(include=kept, exclude_none=True)
        if sealed is not None and sealed.share is not None:
            made["audit"]["folders"] = sealed.folders("gateway")
    if gateway.screening is not None:
        made["screening"] = screening_args(platform, gateway, cluster_ips)
    if gateway.router is not None:
        made["router"] = {**gateway.router.model_dump(exclude_none=True), "dns": dns_peers(site)}
    if platform.trust_bundle:
        made["trust_bundle"] = platform.trust_bundle
    names = resolver_args(platform, site, gateway.class_)
    if names is not None:
        made["names"] = names
    if translator is not None:
        made["translator"] = translator
        made |= exception(platform, [workload.name for workload in gateway.workloads])
    return made  # type: ignore[return-value]


def sealer_args(platform: Platform, gateway: Gateway, sealed: Sealed | None = None) -> AuditSealerArgs | None:
    """The sealer of a gateway's records; None where it writes none. `sealed`: at an AWS site, where they go."""
    audit, store = gateway.audit, sealed_at(platform, gateway)
    if audit is None or store is None:
        return None
    place: dict[str, Any] = {
        **_store_of(platform, gateway, store, sealed),
        "prefix": prefix_of(gateway),
        "retention_days": store.retention_days,
    }
    if audit.content is not None:
        place["content_days"] = max(audit.content.days.values())
    known = shared(platform, None)
    known.pop("issuer", None)
    made: dict[str, Any] = {
        **known,
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "image": platform.images.translator,
        **({"volume": audit.sealer_volume} if audit.sealer_volume is not None else {}),
        "secret": audit.sealer_secret,
        "earlier_keys": audit.earlier_keys,
        "store": place,
        "site_cidrs": on_prem_networks(platform),
    }
    if sealed is not None:
        made["pod_identity"] = sealed.role
        if sealed.share is not None:
            made["folders"] = sealed.folders("sealer")
    return made  # type: ignore[return-value]


def _store_of(
    platform: Platform, gateway: Gateway, store: AuditStore, sealed: Sealed | None
) -> dict[str, Any]:
    """Where the store is: as the platform states it, or S3 at the addresses of the site's endpoint."""
    if sealed is None:
        return {"endpoint": store.endpoint, "address": store.address, "bucket": store.bucket}
    region = region_at(platform, gateway.site)
    first, *others = sealed.addresses
    return {
        "endpoint": f"https://s3.{region}.{domain(region)}",
        "region": region,
        "address": first,
        **({"more_addresses": others} if others else {}),
        "bucket": sealed.bucket,
    }


def on_prem_networks(platform: Platform) -> list[str]:
    return [cidr for each in platform.sites if each.kind == "on-prem" for cidr in each.cidrs]


def _overflow(workload: Workload, endpoints: dict[str, Endpoint], places: dict[str, Any]) -> Any:
    """Of `GatewayRoute`: what of AWS takes a workload's chats that its own endpoint cannot take."""
    if not workload.overflow or endpoints[workload.endpoint].task not in WRITES:
        return {}
    first, *others = workload.overflow
    if others or endpoints[first].target not in CALLED_TARGETS:
        raise InputError(
            f"'{workload.name}' overflows to {', '.join(workload.overflow)}",
            where=f"gateways.workloads.{workload.name}.overflow",
            fix="Name one endpoint on Amazon Bedrock or SageMaker: a gateway's translator reaches no other",
        )
    return {
        "overflow": {
            "endpoint": model_name(first, workload.name),
            "when_waiting": workload.overflow_when_waiting,
            "place": places[first],
        }
    }
