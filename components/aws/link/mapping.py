"""Builds the arguments of a SiteLink from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.aws.link.site_link import SiteLinkArgs
from components.base.platform_lookups import region_at, tags
from isthmus.contracts.platform.model.aws.account import Link, Network
from isthmus.contracts.platform.model.platform import Platform


def link_args(platform: Platform, link: Link, network: Network, network_component: Any) -> SiteLinkArgs:
    """`network_component`: the Network component at the link's AWS end."""
    site = platform.site(link.from_)
    fields = link.model_dump(
        include={
            *("name", "kind", "mode", "classes", "peer_ip", "site_asn", "amazon_asn", "transit_gateway"),
            *("direct_connect_gateway", "connection", "vlan", "resolvers", "zones"),
        },
        exclude_none=True,
    )
    args: dict[str, Any] = {
        **fields,
        "region": region_at(platform, link.to),
        "vpc_id": network_component.vpc_id,
        "vpc_cidr": network.cidr,
        "subnet_ids": network_component.subnets,
        "route_table_ids": network_component.route_tables,
        "sources": sources(platform, link),
        "site_dns": list(site.dns),
        "tags": tags(platform),
    }
    return args  # type: ignore[return-value]


def sources(platform: Platform, link: Link) -> list[str]:
    """Networks of the on-prem site that may use a link."""
    return list(link.sources or platform.site(link.from_).cidrs)
