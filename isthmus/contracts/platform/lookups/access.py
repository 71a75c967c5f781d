"""The access of gateways from outside their clusters, as the platform states it."""

from __future__ import annotations

from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.gateway_access import Access


def access_of(platform: Platform, gateway: Gateway) -> Access | None:
    """How callers outside the cluster reach a gateway; None if none may."""
    stated = gateway.access
    if stated is None:
        return None
    in_aws = any(site.name == gateway.site and site.kind == "aws" for site in platform.sites)
    return Access(
        sensitivity=gateway.class_,
        host=stated.host,
        source_ranges=stated.source_ranges,
        port=stated.port,
        load_balancer_class=stated.load_balancer_class,
        annotations=stated.annotations,
        address=stated.address,
        in_aws=in_aws,
        internet_facing=stated.internet_facing,
    )


def accesses_at(platform: Platform, site: str) -> list[Access]:
    """The accesses of a site's gateways. An empty site stands for all sites."""
    accesses = (access_of(platform, gateway) for gateway in platform.gateways if site in ("", gateway.site))
    return [access for access in accesses if access is not None]
