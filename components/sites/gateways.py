"""The gateways of one site's cluster, with their sealers and review services. It is not a resource itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from components.gateway.mapping import gateway_args, on_prem_networks, sealer_args
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide, translator_args
from components.reviews.mapping import reviews_args
from isthmus.contracts.platform.model.platform import Gateway, Platform, Site

if TYPE_CHECKING:
    from components.serving.model_network import ModelDoor
    from components.serving.model_server import ModelServer


@dataclass(frozen=True)
class GatewayCluster:
    """The cluster in which a site's gateways are created, with the resources that they depend on."""

    name: str
    """Name of the platform."""
    platform: Platform
    site: Site
    options: Callable[[list[pulumi.Resource]], pulumi.ResourceOptions]
    """Options of a component in the cluster, from its dependencies."""
    dependencies: list[pulumi.Resource]
    """Resources that every gateway depends on."""
    namespaces: Mapping[str, pulumi.Resource]
    """Namespaces by class."""
    servers: "Mapping[str, ModelServer | ModelDoor]"
    """Model servers by endpoint."""


def create_gateways(
    cluster: GatewayCluster,
    cloud_sides: Mapping[str, CloudSide],
    sealing: Mapping[str, Sealed],
    *,
    digests: bool,
) -> list[dict[str, Any]]:
    """Create the gateways. Returns class, site, address and service of each.

    `cloud_sides`: AWS settings by identity. `sealing`: by gateway at an AWS site, where its records go. `digests`:
    whether this stack knows the models' releases.
    """
    return [
        _create_gateway(cluster, gateway, cloud_sides, sealing.get(gateway.name), digests=digests)
        for gateway in cluster.platform.gateways
        if gateway.site == cluster.site.name and gateway.runs_on == "kubernetes"
    ]


def _create_gateway(
    cluster: GatewayCluster,
    gateway: Gateway,
    cloud_sides: Mapping[str, CloudSide],
    sealed_records: Sealed | None,
    *,
    digests: bool,
) -> dict[str, Any]:
    from components.gateway.audit_sealer import AuditSealer
    from components.gateway.inference_gateway import InferenceGateway
    from components.reviews.service import Reviews

    platform, site, servers = cluster.platform, cluster.site, cluster.servers
    cloud_side = cloud_sides.get(gateway.identity) if gateway.identity else None
    translator = translator_args(platform, gateway, cloud_side) if cloud_side is not None else None
    prefix = f"{cluster.name}-{site.name}-{gateway.class_}"
    # Before the gateway, because its replicas serve nothing until a sealer runs.
    share = sealed_records.dependencies if sealed_records is not None else []
    sealer = sealer_args(platform, gateway, sealed_records)
    sealed: list[pulumi.Resource] = []
    if sealer is not None:
        sealed.append(
            AuditSealer(f"{prefix}-sealer", sealer, cluster.options([*cluster.dependencies, *share]))
        )
    reviews = reviews_args(platform, gateway, on_prem_networks(platform), sealed_records)
    if reviews is not None:
        options = cluster.options([*cluster.dependencies, *share])
        Reviews(f"{prefix}-reviews", reviews, options, dependencies=sealed)
    awaited = {endpoint_id for workload in gateway.workloads for endpoint_id in workload.awaited}
    awaited |= set(gateway.screening.judges if gateway.screening else [])
    addresses = {endpoint_id: server.cluster_ip for endpoint_id, server in servers.items()}
    component = InferenceGateway(
        f"{prefix}-gateway",
        gateway_args(platform, site, gateway, addresses, translator, sealed_records, digests=digests),
        cluster.options([*cluster.dependencies, cluster.namespaces[gateway.class_]]),
        dependencies=[
            *sealed,
            *(servers[endpoint_id] for endpoint_id in sorted(awaited) if endpoint_id in servers),
        ],
    )
    return {
        "class": gateway.class_,
        "site": site.name,
        "address": component.address,
        "service": component.service,
    }
