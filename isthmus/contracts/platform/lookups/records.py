"""Answers questions about the records of gateways: where they run, and where their records are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.aws import cluster_at

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import AuditStore, Gateway, Platform

Place = Literal["on-prem", "eks", "fargate"]


def place_of(platform: Platform, gateway: Gateway) -> Place:
    """Where a gateway's copies run and write their records."""
    if gateway.runs_on == "fargate":
        return "fargate"
    return "on-prem" if platform.site(gateway.site).kind == "on-prem" else "eks"


def audit_store_of(platform: Platform, gateway: Gateway) -> AuditStore | None:
    """The audit store of the gateway's site, or None."""
    return next((store for store in platform.audit if store.site == gateway.site), None)


def gateways_sealed_in_aws(platform: Platform, site: str) -> list[Gateway]:
    """Gateways of an AWS site whose sealer has an AWS identity."""
    return [
        gateway
        for gateway in platform.gateways
        if gateway.site == site and gateway.audit is not None and place_of(platform, gateway) != "on-prem"
    ]


def has_managed_share(gateway: Gateway) -> bool:
    """Whether Isthmus makes the file share for the records of a gateway at an AWS site."""
    return gateway.audit is not None and gateway.audit.volume is None


def seal_prefix(gateway: Gateway) -> str:
    """Prefix of a gateway's seals in the store."""
    return f"{gateway.site}/{gateway.class_}"


def endpoint_port(endpoint: str) -> int:
    """The port of a store's https address."""
    return urlsplit(endpoint).port or 443


def has_managed_s3_endpoint(platform: Platform, site: str) -> bool:
    """Whether Isthmus makes an S3 endpoint for the sealers in the cluster of an AWS site. Its addresses are computed
    from the network's."""
    from isthmus.contracts.platform.lookups.aws import network_of

    cluster, store = (
        cluster_at(platform, site),
        next((entry for entry in platform.audit if entry.site == site), None),
    )
    if cluster is None or cluster.mode != "manage" or store is None or store.address is not None:
        return False
    return network_of(platform, cluster).mode == "manage"
