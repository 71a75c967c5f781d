"""Answers questions about GPU pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.pools import HOST_LABEL, ZONE_LABEL

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def failure_domain_label(platform: Platform, site_name: str) -> str:
    """Key of the node label over whose values gateways, and endpoints that outlive a domain, are spread at a site.

    Cloud providers set the zone's label; on bare metal nobody does, and a required spread over it places no pod. So it
    is taken on-prem only where the platform says that there are several domains.
    """
    site = platform.site(site_name)
    if site.failure_domain_label is not None:
        return site.failure_domain_label
    several = any(pool.site == site_name and pool.failure_domains > 1 for pool in platform.pools)
    return ZONE_LABEL if site.kind == "aws" or several else HOST_LABEL
