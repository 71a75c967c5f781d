"""The gateways of one site's cluster, each with the sealer of its records and where people
decide upon its answers. No resource of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.identity.mapping import CloudSide, translator_args
from components.gateway.mapping import gateway_args, on_prem_networks, sealer_args
from components.reviews.mapping import reviews_args
from components.sites.record_sealing import Sealed
from isthmus.contracts.platform.lookups.aws import provider_key
from isthmus.contracts.platform.model.platform import Platform, Site

if TYPE_CHECKING:
    from components.serving.model_network import ModelDoor
    from components.serving.model_server import ModelServer


def make_gateways(
    name: str,
    platform: Platform,
    site: Site,
    at: Callable[..., pulumi.ResourceOptions],
    before: Sequence[pulumi.Resource],
    spaces: Mapping[str, pulumi.Resource],
    servers: "Mapping[str, ModelServer | ModelDoor]",
    sides: Mapping[str, CloudSide],
    sealing: Mapping[str, Sealed],
    *,
    digests: bool,
) -> list[dict[str, Any]]:
    """Class, site, address and service of each. `name`: the platform's; `sides`: by identity, what it has in AWS;
    `sealing`: by gateway at an AWS site, where its records go; `digests`: whether the
    models' releases are this stack's to know."""
    from components.gateway.audit_sealer import AuditSealer
    from components.gateway.inference_gateway import InferenceGateway
    from components.reviews.service import Reviews

    addresses = {id_: server.cluster_ip for id_, server in servers.items()}
    key = provider_key(site)
    found: list[dict[str, Any]] = []
    for gateway in platform.gateways:
        if gateway.site != site.name or gateway.runs_on != "kubernetes":
            continue
        side = sides.get(gateway.identity) if gateway.identity else None
        behind = translator_args(platform, gateway, side) if side is not None else None
        called = f"{name}-{site.name}-{gateway.class_}"
        # Before the gateway: its copies serve nothing until somebody seals.
        there = sealing.get(gateway.name)
        share = there.before if there is not None else []
        sealer = sealer_args(platform, gateway, there)
        sealed = (
            [AuditSealer(f"{called}-sealer", sealer, at(key, [*before, *share]))]
            if sealer is not None
            else []
        )
        reviews = reviews_args(platform, gateway, on_prem_networks(platform), there)
        if reviews is not None:
            Reviews(f"{called}-reviews", reviews, at(key, [*before, *share]), after=sealed)
        awaited = {each for workload in gateway.workloads for each in workload.awaited}
        awaited |= set(gateway.screening.judges if gateway.screening else [])
        made = InferenceGateway(
            f"{called}-gateway",
            gateway_args(platform, site, gateway, addresses, behind, there, digests=digests),
            at(key, [*before, spaces[gateway.class_]]),
            after=[*sealed, *(servers[each] for each in sorted(awaited) if each in servers)],
        )
        found.append(
            {"class": gateway.class_, "site": site.name, "address": made.address, "service": made.service}
        )
    return found
