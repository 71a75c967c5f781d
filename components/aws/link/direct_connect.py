"""Connects a transit gateway with Direct Connect: gateway, transit interface and association.

People order the connection itself. Encryption of the line (MACsec) is part of the order, and possible on dedicated
connections only. Without it the line is private but unencrypted, and TLS above it protects the data. Every data
path of the platform has TLS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.aws.link.options import LinkOptions

LAST_PRIVATE_ASN, FIRST_PRIVATE_ASN = 65534, 64512
LARGEST_PLAIN_ASN = 2147483646
"""A virtual interface takes larger numbers in another argument (pulumi-aws 7.51.1)."""


@dataclass(frozen=True)
class DirectConnect:
    """The Direct Connect gateway of a link, and the transit interface on the ordered connection."""

    existing: pulumi.Input[str] | None
    """Id of an existing gateway. None: one is created."""
    asn: int
    """BGP number of the created gateway."""
    connection: str | None
    """The ordered connection. None: the existing gateway has its interface already."""
    vlan: int
    site_asn: int


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
    link: LinkOptions,
    transit_gateway: pulumi.Input[str],
    direct_connect: DirectConnect,
    prefixes: Sequence[str],
) -> pulumi.Output[str]:
    """Create the association. Returns the id of the transit gateway's attachment to the Direct Connect gateway.

    `prefixes`: the only networks that are announced to the site.
    """
    from pulumi_aws.directconnect import GatewayAssociation

    gateway = _gateway(link, direct_connect)
    interfaces = _create_interfaces(link, direct_connect, gateway)
    association = GatewayAssociation(
        f"{link.name}-dx-association",
        dx_gateway_id=gateway,
        associated_gateway_id=transit_gateway,
        allowed_prefixes=list(prefixes),
        opts=pulumi.ResourceOptions(parent=link.parent, depends_on=interfaces),
    )
    return association.transit_gateway_attachment_id


def _gateway(link: LinkOptions, direct_connect: DirectConnect) -> pulumi.Input[str]:
    """Id of the Direct Connect gateway: the existing one, or a new one."""
    if direct_connect.existing is not None:
        return direct_connect.existing
    from pulumi_aws.directconnect import Gateway

    return Gateway(
        f"{link.name}-dx-gateway",
        name=link.name,
        amazon_side_asn=str(direct_connect.asn),
        tags=link.tags,
        opts=link.child,
    ).id


def _create_interfaces(
    link: LinkOptions, direct_connect: DirectConnect, gateway: pulumi.Input[str]
) -> list[pulumi.Resource]:
    """The transit interface on the connection. Empty without a connection."""
    if not direct_connect.connection:
        return []
    from pulumi_aws.directconnect import TransitVirtualInterface

    site_asn = direct_connect.site_asn
    asn_argument: dict[str, Any] = (
        {"bgp_asn": site_asn} if site_asn <= LARGEST_PLAIN_ASN else {"bgp_asn_long": str(site_asn)}
    )
    interface = TransitVirtualInterface(
        f"{link.name}-dx-interface",
        name=link.name,
        connection_id=direct_connect.connection,
        dx_gateway_id=gateway,
        vlan=direct_connect.vlan,
        address_family="ipv4",
        tags=link.tags,
        # AWS creates the key of the BGP session. It is returned as an output, so it is a secret.
        opts=pulumi.ResourceOptions(parent=link.parent, additional_secret_outputs=["bgpAuthKey"]),
        **asn_argument,
    )
    return [interface]
