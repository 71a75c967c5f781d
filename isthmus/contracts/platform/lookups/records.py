"""Answers questions about the records of gateways: where they run, and where their records are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.aws import cluster_at

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import AuditStore, Gateway, Platform

Place = Literal["on-prem", "eks", "fargate"]


def place_of(platform: Platform, gateway: Gateway) -> Place:
    """Where a gateway's copies run, which is where its records are written."""
    if gateway.runs_on == "fargate":
        return "fargate"
    return "on-prem" if platform.site(gateway.site).kind == "on-prem" else "eks"


def sealed_at(platform: Platform, gateway: Gateway) -> AuditStore | None:
    """The store of the gateway's site."""
    return next((store for store in platform.audit if store.site == gateway.site), None)


def sealed_in_aws(platform: Platform, site: str) -> list[Gateway]:
    """Gateways of an AWS site whose records a sealer with an AWS identity seals."""
    return [
        each
        for each in platform.gateways
        if each.site == site and each.audit is not None and place_of(platform, each) != "on-prem"
    ]


def share_is_made(gateway: Gateway) -> bool:
    """Whether the share of a gateway at an AWS site is made here, and not the organisation's own."""
    return gateway.audit is not None and gateway.audit.volume is None


def prefix_of(gateway: Gateway) -> str:
    """Where its seals lie in the store."""
    return f"{gateway.site}/{gateway.class_}"


def port_of(endpoint: str) -> int:
    """Of a store's https address."""
    return urlsplit(endpoint).port or 443


def endpoint_is_made(platform: Platform, site: str) -> bool:
    """Whether sealers in the cluster of an AWS site get an endpoint of S3 of their own, at addresses that follow from
    the network's."""
    from isthmus.contracts.platform.lookups.aws import network_of

    cluster, store = (
        cluster_at(platform, site),
        next((one for one in platform.audit if one.site == site), None),
    )
    if cluster is None or cluster.mode != "manage" or store is None or store.address is not None:
        return False
    return network_of(platform, cluster).mode == "manage"
