"""DNS over a link: the site resolves AWS's zones in the VPC, the VPC resolves the site's zones."""

from collections.abc import Sequence
from typing import Any, Literal

import pulumi

from components.aws.common.security_group import AllowedTraffic, one_way_group
from components.aws.link.options import LinkOptions

DNS_PORT = 53
ZONES = 2
"""Zones in which a resolver endpoint has an address. AWS requires at least two."""


def create(
    link: LinkOptions,
    *,
    vpc_id: pulumi.Input[str],
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    site_dns: Sequence[str],
    zones: Sequence[str],
) -> pulumi.Output[list[str]]:
    """Create the inbound endpoint, which answers only the site's DNS servers. Returns its addresses.

    With `zones`, also create an outbound endpoint, which can reach only those servers, and a rule for each zone.
    """

    def create_endpoint(direction: Literal["inbound", "outbound"]) -> Any:
        group = _group(link, direction, vpc_id, site_dns)
        return _create_endpoint(link, direction, subnet_ids, group)

    inbound = create_endpoint("inbound")
    if zones:
        outbound = create_endpoint("outbound")
        for zone in dict.fromkeys(zone.lower().rstrip(".") for zone in zones):
            _create_forward_rule(link, zone, outbound.id, vpc_id, site_dns)
    return inbound.ip_addresses.apply(lambda entries: [_address(entry) for entry in entries])


def _create_endpoint(
    link: LinkOptions,
    direction: Literal["inbound", "outbound"],
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    group: pulumi.Output[str],
) -> Any:
    """A resolver endpoint for one direction, with an address in each of the first zones."""
    from pulumi_aws import route53

    addresses: Any = pulumi.Output.from_input(subnet_ids).apply(
        lambda ids: [{"subnet_id": subnet} for subnet in ids[:ZONES]]
    )
    return route53.ResolverEndpoint(
        f"{link.name}-{direction}",
        name=f"{link.name}-{direction}",
        direction=direction.upper(),
        ip_addresses=addresses,
        protocols=["Do53"],
        resolver_endpoint_type="IPV4",
        security_group_ids=[group],
        tags=link.tags,
        opts=link.child,
    )


def _create_forward_rule(
    link: LinkOptions,
    zone: str,
    endpoint: pulumi.Output[str],
    vpc_id: pulumi.Input[str],
    site_dns: Sequence[str],
) -> None:
    """Forward queries for a zone from the VPC to the site's servers."""
    from pulumi_aws import route53

    # Dots and hyphens are distinguished: a.b.example and a-b.example are two zones.
    label = zone.replace("-", "--").replace(".", "-")
    rule = route53.ResolverRule(
        f"{link.name}-{label}",
        name=f"{link.name}-{label}"[:64],
        domain_name=zone,
        rule_type="FORWARD",
        resolver_endpoint_id=endpoint,
        target_ips=[{"ip": server, "port": DNS_PORT, "protocol": "Do53"} for server in site_dns],
        tags=link.tags,
        opts=link.child,
    )
    route53.ResolverRuleAssociation(
        f"{link.name}-{label}",
        name=f"{link.name}-{label}"[:64],
        resolver_rule_id=rule.id,
        vpc_id=vpc_id,
        opts=link.child,
    )


def _group(
    link: LinkOptions,
    direction: Literal["inbound", "outbound"],
    vpc_id: pulumi.Input[str],
    site_dns: Sequence[str],
) -> pulumi.Output[str]:
    """A security group for one direction: DNS with the site's servers, and nothing in the other direction."""
    servers = [f"{address}/32" for address in site_dns]
    return one_way_group(
        f"{link.name}-{direction}",
        AllowedTraffic(
            "ingress" if direction == "inbound" else "egress", DNS_PORT, servers, protocols=("tcp", "udp")
        ),
        description=f"DNS {'from' if direction == 'inbound' else 'to'} the servers of the site",
        vpc_id=vpc_id,
        tags=link.tags,
        opts=link.child,
    )


def _address(entry: Any) -> str:
    address = entry.get("ip") if isinstance(entry, dict) else entry.ip
    return address or ""
