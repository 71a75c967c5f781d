"""Creates the transit gateway of a link, and a route table for each end."""

from collections.abc import Sequence
from typing import Any

import pulumi

from components.aws.common.ip_addresses import PRIVATE, cidr_label
from components.aws.link.options import LinkOptions, VpcEnd


def gateway(link: LinkOptions, existing: pulumi.Input[str] | None, asn: int) -> pulumi.Input[str]:
    """Id of the transit gateway: the existing one, or a new one without default connections."""
    if existing is not None:
        return existing
    from pulumi_aws.ec2transitgateway import TransitGateway

    return TransitGateway(
        f"{link.name}-gateway",
        description=f"Private link {link.name}",
        amazon_side_asn=asn,
        # An attachment reaches nothing without a route, and attachments are never added automatically.
        default_route_table_association="disable",
        default_route_table_propagation="disable",
        auto_accept_shared_attachments="disable",
        dns_support="enable",
        # Both tunnels of a VPN carry traffic.
        vpn_ecmp_support="enable",
        tags={**link.tags, "Name": link.name},
        opts=link.child,
    ).id


def routes(
    link: LinkOptions,
    gateway: pulumi.Input[str],
    *,
    is_existing: bool,
    site_attachment: pulumi.Input[str],
    vpc: VpcEnd,
    sources: Sequence[str],
) -> None:
    """Attach the VPC, and give each end its own route table with static routes only.

    `is_existing`: whether the transit gateway existed before. Packets from the site use the table of the site's
    attachment, which has a route to the VPC. Packets from the VPC use the other table, which has routes to the
    sources. BGP announcements of the site propagate into neither table, so they cannot extend what the VPC reaches.
    """
    vpc_attachment = _attach_vpc(link, gateway, vpc)
    # An existing gateway may have associated the site's attachment with its default table.
    site_table = _create_table(link, gateway, "site", site_attachment, replaces_association=is_existing)
    vpc_table = _create_table(link, gateway, "vpc", vpc_attachment.id)
    _route_to_vpc(link, site_table, vpc, vpc_attachment)
    _route_to_sources(link, vpc_table, site_attachment, sources)
    _drop_other_private_ranges(link, vpc_table, sources)
    _route_from_subnets(link, gateway, vpc, vpc_attachment, sources)


def _attach_vpc(link: LinkOptions, gateway: pulumi.Input[str], vpc: VpcEnd) -> Any:
    from pulumi_aws.ec2transitgateway import VpcAttachment

    return VpcAttachment(
        f"{link.name}-vpc",
        transit_gateway_id=gateway,
        vpc_id=vpc.id,
        subnet_ids=vpc.subnet_ids,
        dns_support="enable",
        # An existing gateway may connect its attachments to everything else.
        transit_gateway_default_route_table_association=False,
        transit_gateway_default_route_table_propagation=False,
        tags={**link.tags, "Name": f"{link.name}-vpc"},
        opts=link.child,
    )


def _create_table(
    link: LinkOptions,
    gateway: pulumi.Input[str],
    end: str,
    attachment: pulumi.Input[str],
    *,
    replaces_association: bool = False,
) -> Any:
    """The route table for packets from one end (`site` or `vpc`)."""
    from pulumi_aws.ec2transitgateway import RouteTable, RouteTableAssociation

    table = RouteTable(
        f"{link.name}-{end}-table",
        transit_gateway_id=gateway,
        tags={**link.tags, "Name": f"{link.name}-from-{end}"},
        opts=link.child,
    )
    association_options: dict[str, Any] = (
        {"replace_existing_association": True} if replaces_association else {}
    )
    RouteTableAssociation(
        f"{link.name}-{end}-table",
        transit_gateway_route_table_id=table.id,
        transit_gateway_attachment_id=attachment,
        **association_options,
        opts=link.child,
    )
    return table


def _route_to_vpc(link: LinkOptions, site_table: Any, vpc: VpcEnd, vpc_attachment: Any) -> None:
    from pulumi_aws.ec2transitgateway import Route

    Route(
        f"{link.name}-to-vpc",
        transit_gateway_route_table_id=site_table.id,
        destination_cidr_block=vpc.cidr,
        transit_gateway_attachment_id=vpc_attachment.id,
        opts=link.child,
    )


def _route_to_sources(
    link: LinkOptions, vpc_table: Any, site_attachment: pulumi.Input[str], sources: Sequence[str]
) -> None:
    from pulumi_aws.ec2transitgateway import Route

    for source in sources:
        Route(
            f"{link.name}-to-{cidr_label(source)}",
            transit_gateway_route_table_id=vpc_table.id,
            destination_cidr_block=source,
            transit_gateway_attachment_id=site_attachment,
            opts=link.child,
        )


def _drop_other_private_ranges(link: LinkOptions, vpc_table: Any, sources: Sequence[str]) -> None:
    """Drop the rest of the private ranges, so that a wide route that someone adds to this table later has no
    effect.

    Not in the site's table, because the gateway announces its routes to the site.
    """
    from pulumi_aws.ec2transitgateway import Route

    for private_range in PRIVATE:
        if private_range not in sources:
            Route(
                f"{link.name}-drop-{cidr_label(private_range)}",
                transit_gateway_route_table_id=vpc_table.id,
                destination_cidr_block=private_range,
                blackhole=True,
                opts=link.child,
            )


def _route_from_subnets(
    link: LinkOptions, gateway: pulumi.Input[str], vpc: VpcEnd, vpc_attachment: Any, sources: Sequence[str]
) -> None:
    """Create a route to each source in each route table of the VPC."""
    from pulumi_aws import ec2

    for index, table in enumerate(vpc.route_tables):
        for source in sources:
            ec2.Route(
                f"{link.name}-{index}-{cidr_label(source)}",
                route_table_id=table,
                destination_cidr_block=source,
                transit_gateway_id=gateway,
                # AWS refuses a route to a gateway to which the VPC is not attached.
                opts=pulumi.ResourceOptions(parent=link.parent, depends_on=[vpc_attachment]),
            )
