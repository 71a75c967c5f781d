"""DNS over a link: the site resolves AWS's zones in the VPC, the VPC resolves the site's zones."""

from collections.abc import Sequence
from typing import Any, Literal

import pulumi

from components.aws.common.security_group import one_way_group

DNS_PORT = 53
ZONES = 2
"""Zones in which a resolver endpoint has an address; AWS asks for two at least."""


def create(
    name: str,
    *,
    parent: pulumi.Resource,
    vpc_id: pulumi.Input[str],
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    site_dns: Sequence[str],
    zones: Sequence[str],
    tags: dict[str, str],
) -> pulumi.Output[list[str]]:
    """The inbound endpoint's addresses; it answers the site's DNS servers and nobody else.

    With `zones` there is an outbound endpoint too, which can reach those servers and nothing else, and a
    rule for each zone.
    """
    from pulumi_aws import route53

    child = pulumi.ResourceOptions(parent=parent)
    addresses: Any = pulumi.Output.from_input(subnet_ids).apply(
        lambda ids: [{"subnet_id": subnet} for subnet in ids[:ZONES]]
    )
    common: dict[str, Any] = {
        "ip_addresses": addresses,
        "protocols": ["Do53"],
        "resolver_endpoint_type": "IPV4",
        "opts": child,
    }
    servers = [f"{address}/32" for address in site_dns]
    inbound = route53.ResolverEndpoint(
        f"{name}-inbound",
        name=f"{name}-inbound",
        direction="INBOUND",
        security_group_ids=[_group(name, "inbound", vpc_id, servers, child, tags)],
        tags=tags,
        **common,
    )
    if zones:
        outbound = route53.ResolverEndpoint(
            f"{name}-outbound",
            name=f"{name}-outbound",
            direction="OUTBOUND",
            security_group_ids=[_group(name, "outbound", vpc_id, servers, child, tags)],
            tags=tags,
            **common,
        )
        for zone in dict.fromkeys(zone.lower().rstrip(".") for zone in zones):
            _create_forward_rule(name, zone, outbound.id, vpc_id, site_dns, child, tags)
    return inbound.ip_addresses.apply(lambda entries: [_address(entry) for entry in entries])


def _create_forward_rule(
    name: str,
    zone: str,
    endpoint: pulumi.Output[str],
    vpc_id: pulumi.Input[str],
    site_dns: Sequence[str],
    child: pulumi.ResourceOptions,
    tags: dict[str, str],
) -> None:
    """Ask the site's servers for a zone, from the VPC."""
    from pulumi_aws import route53

    # Dots and hyphens stay apart: a.b.example and a-b.example are two zones.
    label = zone.replace("-", "--").replace(".", "-")
    rule = route53.ResolverRule(
        f"{name}-{label}",
        name=f"{name}-{label}"[:64],
        domain_name=zone,
        rule_type="FORWARD",
        resolver_endpoint_id=endpoint,
        target_ips=[{"ip": server, "port": DNS_PORT, "protocol": "Do53"} for server in site_dns],
        tags=tags,
        opts=child,
    )
    route53.ResolverRuleAssociation(
        f"{name}-{label}",
        name=f"{name}-{label}"[:64],
        resolver_rule_id=rule.id,
        vpc_id=vpc_id,
        opts=child,
    )


def _group(
    name: str,
    direction: Literal["inbound", "outbound"],
    vpc_id: pulumi.Input[str],
    servers: list[str],
    child: pulumi.ResourceOptions,
    tags: dict[str, str],
) -> pulumi.Output[str]:
    """A security group for one direction: DNS with the site's servers, and nothing the other way."""
    return one_way_group(
        f"{name}-{direction}",
        "ingress" if direction == "inbound" else "egress",
        description=f"DNS {'from' if direction == 'inbound' else 'to'} the servers of the site",
        vpc_id=vpc_id,
        protocols=["tcp", "udp"],
        port=DNS_PORT,
        peers=servers,
        tags=tags,
        opts=child,
    )


def _address(entry: Any) -> str:
    address = entry.get("ip") if isinstance(entry, dict) else entry.ip
    return address or ""
