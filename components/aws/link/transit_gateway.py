"""Creates the transit gateway of a link, and a route table for each end."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.ip_addresses import PRIVATE, cidr_label


def gateway(
    name: str,
    *,
    parent: pulumi.Resource,
    existing: pulumi.Input[str] | None,
    asn: int,
    tags: dict[str, str],
) -> pulumi.Input[str]:
    """Id of the transit gateway: the one that exists, or a new one on which nothing is connected by default."""
    if existing is not None:
        return existing
    from pulumi_aws.ec2transitgateway import TransitGateway

    return TransitGateway(
        f"{name}-gateway",
        description=f"Private link {name}",
        amazon_side_asn=asn,
        # Whatever is attached reaches nothing until a table says so, and nothing attaches itself.
        default_route_table_association="disable",
        default_route_table_propagation="disable",
        auto_accept_shared_attachments="disable",
        dns_support="enable",
        # Both tunnels of a VPN carry traffic.
        vpn_ecmp_support="enable",
        tags={**tags, "Name": name},
        opts=pulumi.ResourceOptions(parent=parent),
    ).id


def routes(
    name: str,
    *,
    parent: pulumi.Resource,
    gateway: pulumi.Input[str],
    existing: bool,
    site_attachment: pulumi.Input[str],
    vpc_id: pulumi.Input[str],
    vpc_cidr: str,
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]],
    vpc_route_tables: Sequence[pulumi.Input[str]],
    sources: Sequence[str],
    tags: dict[str, str],
) -> None:
    """Attach the VPC, and give each end a table of its own, with static routes only.

    A packet from the site is looked up in the table of the site's attachment, which knows the VPC's
    network; one from the VPC in the other, which knows the sources. What the site announces by BGP
    propagates into neither, so no announcement widens what the VPC reaches.
    """
    from pulumi_aws import ec2
    from pulumi_aws import ec2transitgateway as tgw

    child = pulumi.ResourceOptions(parent=parent)
    attachment = tgw.VpcAttachment(
        f"{name}-vpc",
        transit_gateway_id=gateway,
        vpc_id=vpc_id,
        subnet_ids=subnet_ids,
        dns_support="enable",
        # A gateway that exists may connect what is attached to everything else on it.
        transit_gateway_default_route_table_association=False,
        transit_gateway_default_route_table_propagation=False,
        tags={**tags, "Name": f"{name}-vpc"},
        opts=child,
    )
    ends: dict[str, pulumi.Input[str]] = {"site": site_attachment, "vpc": attachment.id}
    tables: dict[str, tgw.RouteTable] = {}
    for end, attached in ends.items():
        tables[end] = tgw.RouteTable(
            f"{name}-{end}-table",
            transit_gateway_id=gateway,
            tags={**tags, "Name": f"{name}-from-{end}"},
            opts=child,
        )
        # A gateway that exists may have put the site's attachment into its default table already.
        association_options: dict[str, Any] = (
            {"replace_existing_association": True} if existing and end == "site" else {}
        )
        tgw.RouteTableAssociation(
            f"{name}-{end}-table",
            transit_gateway_route_table_id=tables[end].id,
            transit_gateway_attachment_id=attached,
            **association_options,
            opts=child,
        )
    tgw.Route(
        f"{name}-to-vpc",
        transit_gateway_route_table_id=tables["site"].id,
        destination_cidr_block=vpc_cidr,
        transit_gateway_attachment_id=attachment.id,
        opts=child,
    )
    for source in sources:
        tgw.Route(
            f"{name}-to-{cidr_label(source)}",
            transit_gateway_route_table_id=tables["vpc"].id,
            destination_cidr_block=source,
            transit_gateway_attachment_id=site_attachment,
            opts=child,
        )
    # The rest of the site: a wide route that someone adds to this table later opens nothing. Not in the
    # site's table, whose routes the gateway announces to the site.
    for private_range in PRIVATE:
        if private_range not in sources:
            tgw.Route(
                f"{name}-drop-{cidr_label(private_range)}",
                transit_gateway_route_table_id=tables["vpc"].id,
                destination_cidr_block=private_range,
                blackhole=True,
                opts=child,
            )
    for index, table in enumerate(vpc_route_tables):
        for source in sources:
            ec2.Route(
                f"{name}-{index}-{cidr_label(source)}",
                route_table_id=table,
                destination_cidr_block=source,
                transit_gateway_id=gateway,
                # AWS refuses a route to a gateway to which the VPC is not attached.
                opts=pulumi.ResourceOptions(parent=parent, depends_on=[attachment]),
            )
