"""Answers questions about GPU pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.pools import HOST_LABEL, ZONE_LABEL

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def failure_domain_label(platform: Platform, site_name: str) -> str:
    """Key of the node label over which a site's gateways and domain-surviving endpoints are spread.

    Cloud providers set the zone label. On bare metal it is usually missing, and a required spread over it would place
    no pod, so it is used on-prem only if a pool has several failure domains.
    """
    site = platform.site(site_name)
    if site.failure_domain_label is not None:
        return site.failure_domain_label
    has_domains = any(pool.site == site_name and pool.failure_domains > 1 for pool in platform.pools)
    return ZONE_LABEL if site.kind == "aws" or has_domains else HOST_LABEL
