"""Connects a transit gateway by Direct Connect: gateway, transit interface and association.

The connection itself is ordered by people. Whether its line is encrypted (MACsec) is agreed with the order,
on dedicated connections only; without it the line is private but in the clear, and TLS above it is what
protects: every path of this platform has it.
"""

from collections.abc import Sequence
from typing import Any

import pulumi

LAST_PRIVATE_ASN, FIRST_PRIVATE_ASN = 65534, 64512
LARGEST_PLAIN_ASN = 2147483646
"""Above it a virtual interface takes the number in another argument (pulumi-aws 7.51.1)."""


def next_asn(amazon_asn: int, site_asn: int) -> int:
    """A private BGP number for the Direct Connect gateway that is neither of the two.

    AWS refuses to associate a transit gateway with a Direct Connect gateway of the same number (Direct
    Connect user guide, "Create a transit virtual interface", read 2026-11-25).
    """
    asn = amazon_asn
    while asn in (amazon_asn, site_asn):
        asn = FIRST_PRIVATE_ASN if asn >= LAST_PRIVATE_ASN else asn + 1
    return asn


def create(
    name: str,
    *,
    parent: pulumi.Resource,
    transit_gateway: pulumi.Input[str],
    existing: pulumi.Input[str] | None,
    asn: int,
    connection: str | None,
    vlan: int,
    site_asn: int,
    prefixes: Sequence[str],
    tags: dict[str, str],
) -> pulumi.Output[str]:
    """Id of the transit gateway's attachment to the Direct Connect gateway.

    The site hears of `prefixes` and nothing else. Without a `connection` the existing gateway has its
    interface already.
    """
    from pulumi_aws import directconnect

    child = pulumi.ResourceOptions(parent=parent)
    gateway: pulumi.Input[str]
    if existing is not None:
        gateway = existing
    else:
        gateway = directconnect.Gateway(
            f"{name}-dx-gateway", name=name, amazon_side_asn=str(asn), tags=tags, opts=child
        ).id
    interfaces: list[pulumi.Resource] = []
    if connection:
        asn_argument: dict[str, Any] = (
            {"bgp_asn": site_asn} if site_asn <= LARGEST_PLAIN_ASN else {"bgp_asn_long": str(site_asn)}
        )
        interfaces.append(
            directconnect.TransitVirtualInterface(
                f"{name}-dx-interface",
                name=name,
                connection_id=connection,
                dx_gateway_id=gateway,
                vlan=vlan,
                address_family="ipv4",
                tags=tags,
                # AWS makes the key of the BGP session; it comes back as an output, so it is a secret.
                opts=pulumi.ResourceOptions(parent=parent, additional_secret_outputs=["bgpAuthKey"]),
                **asn_argument,
            )
        )
    association = directconnect.GatewayAssociation(
        f"{name}-dx-association",
        dx_gateway_id=gateway,
        associated_gateway_id=transit_gateway,
        allowed_prefixes=list(prefixes),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=interfaces),
    )
    return association.transit_gateway_attachment_id
