"""The gateways of one site's cluster, each with the sealer of its records and where people
decide upon its answers. No resource of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.gateway.mapping import gateway_args, on_prem_networks, sealer_args
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide, translator_args
from components.reviews.mapping import reviews_args
from isthmus.contracts.platform.lookups.aws import provider_key
from isthmus.contracts.platform.model.platform import Platform, Site

if TYPE_CHECKING:
    from components.serving.model_network import ModelDoor
    from components.serving.model_server import ModelServer


def make_gateways(
    name: str,
    platform: Platform,
    site: Site,
    options_at: Callable[..., pulumi.ResourceOptions],
    dependencies: Sequence[pulumi.Resource],
    namespaces: Mapping[str, pulumi.Resource],
    servers: "Mapping[str, ModelServer | ModelDoor]",
    cloud_sides: Mapping[str, CloudSide],
    sealing: Mapping[str, Sealed],
    *,
    digests: bool,
) -> list[dict[str, Any]]:
    """Class, site, address and service of each. `name`: the platform's; `cloud_sides`: by identity, what it has in AWS;
    `sealing`: by gateway at an AWS site, where its records go; `digests`: whether the
    models' releases are this stack's to know."""
    from components.gateway.audit_sealer import AuditSealer
    from components.gateway.inference_gateway import InferenceGateway
    from components.reviews.service import Reviews

    addresses = {id_: server.cluster_ip for id_, server in servers.items()}
    key = provider_key(site)
    descriptions: list[dict[str, Any]] = []
    for gateway in platform.gateways:
        if gateway.site != site.name or gateway.runs_on != "kubernetes":
            continue
        cloud_side = cloud_sides.get(gateway.identity) if gateway.identity else None
        translator = translator_args(platform, gateway, cloud_side) if cloud_side is not None else None
        prefix = f"{name}-{site.name}-{gateway.class_}"
        # Before the gateway: its copies serve nothing until somebody seals.
        sealed_records = sealing.get(gateway.name)
        share = sealed_records.dependencies if sealed_records is not None else []
        sealer = sealer_args(platform, gateway, sealed_records)
        sealed = (
            [AuditSealer(f"{prefix}-sealer", sealer, options_at(key, [*dependencies, *share]))]
            if sealer is not None
            else []
        )
        reviews = reviews_args(platform, gateway, on_prem_networks(platform), sealed_records)
        if reviews is not None:
            Reviews(
                f"{prefix}-reviews", reviews, options_at(key, [*dependencies, *share]), dependencies=sealed
            )
        awaited = {endpoint_id for workload in gateway.workloads for endpoint_id in workload.awaited}
        awaited |= set(gateway.screening.judges if gateway.screening else [])
        component = InferenceGateway(
            f"{prefix}-gateway",
            gateway_args(platform, site, gateway, addresses, translator, sealed_records, digests=digests),
            options_at(key, [*dependencies, namespaces[gateway.class_]]),
            dependencies=[
                *sealed,
                *(servers[endpoint_id] for endpoint_id in sorted(awaited) if endpoint_id in servers),
            ],
        )
        descriptions.append(
            {
                "class": gateway.class_,
                "site": site.name,
                "address": component.address,
                "service": component.service,
            }
        )
    return descriptions
