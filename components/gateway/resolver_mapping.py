"""Builds the arguments of the resolver of a class's names from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.gateway.name_resolver import NameResolver
from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.errors import InputError


def dns_peers(site: Site) -> list[Any]:
    """The resolvers of a site's cluster, as components take them."""
    return [peer.model_dump(exclude_none=True) for peer in site.cluster_dns.resolvers]


def resolver_args(platform: Platform, site: Site, sensitivity: Sensitivity) -> NameResolver | None:
    """Arguments of a class's DNS resolver; None if its pods use the site's or the cluster's."""
    if sensitivity == "restricted" or not site.cluster_dns.filter:
        return None
    if platform.images.resolver is None:
        raise InputError(
            "no image of the DNS resolver is set, but gateways with filtered DNS need one",
            where="images.resolver",
            fix=f"Set images.resolver to CoreDNS by digest, or set `cluster_dns: {{filter: false}}` at {site.name},"
            " which lets its pods leak data in DNS names",
        )
    settings: NameResolver = {
        "image": platform.images.resolver,
        "domain": site.cluster_dns.domain,
        "peers": dns_peers(site),
    }
    if sensitivity in site.cluster_dns.addresses:
        settings["address"] = site.cluster_dns.addresses[sensitivity]
    return settings
