"""The component SiteLink: VPN or Direct Connect from an on-prem site to a VPC, with DNS."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.link import direct_connect, resolvers, transit_gateway, vpn
from components.aws.link.arguments import LOG_DAYS, check_link, check_resolvers, route_tables
from components.aws.link.options import LinkOptions, VpcEnd
from components.base.argument_checks import MODES, check_choice

KINDS = ("vpn", "direct-connect")


class SiteLinkArgs(TypedDict):
    """The private link between an on-prem site and an AWS site."""

    name: str
    """Name of the link."""
    kind: str
    """`vpn` or `direct-connect`."""
    mode: str
    """`manage`: created here. `existing`: the organisation's; only resolvers are created. `off`."""
    region: str
    """AWS region of the network."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC at the AWS end."""
    vpc_cidr: str
    """CIDR of the VPC, the only network that the site may reach."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of at least two private subnets, one in each zone. Resolvers are in the first two."""
    route_table_ids: list[pulumi.Input[str]]
    """Ids of the subnets' route tables. A list whose length is known: each gets a route for each source."""
    sources: list[str]
    """Networks of the site that may use the link. The VPC may reach no others."""
    peer_ip: NotRequired[str]
    """`vpn`: the public address of the site's end."""
    site_asn: NotRequired[int]
    """BGP number of the site's end."""
    amazon_asn: int
    """Private BGP number of the transit gateway. Ignored for an existing gateway."""
    transit_gateway: NotRequired[pulumi.Input[str]]
    """Id of an existing transit gateway. Absent: one is created."""
    direct_connect_gateway: NotRequired[pulumi.Input[str]]
    """`direct-connect`: id of an existing gateway. Absent: one is created."""
    direct_connect_asn: NotRequired[int]
    """`direct-connect`: BGP number of the created gateway. Absent: a private one that neither end has."""
    connection: NotRequired[str]
    """`direct-connect`: the ordered connection. May be absent for an existing gateway."""
    vlan: NotRequired[int]
    """`direct-connect`: VLAN of the transit interface."""
    resolvers: str
    """`manage`: site and VPC resolve each other's zones. `existing` and `off`: no resolvers are created."""
    site_dns: list[str]
    """Addresses of the site's DNS servers, within `sources`."""
    zones: list[str]
    """DNS zones of the site that the VPC may resolve."""
    classes: list[str]
    """Classes whose traffic uses the link. Never restricted."""
    log_days: NotRequired[int]
    """`vpn`: retention of the tunnels' log in days (default 365)."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class SiteLink(pulumi.ComponentResource):
    """A link between a site and a VPC. The site reaches only the VPC, and the VPC only the site's `sources`.

    AWS creates and stores the keys. No key is an input or output.
    """

    transit_gateway_id: pulumi.Output[str]
    """Id of the transit gateway. Empty without one."""
    vpn_connection_id: pulumi.Output[str]
    """Id of the VPN connection. Empty for Direct Connect."""
    preshared_key_arn: pulumi.Output[str]
    """ARN of the tunnels' keys in AWS Secrets Manager. Empty for Direct Connect."""
    inbound_resolver_ips: pulumi.Output[list[str]]
    """Addresses to which the site's DNS servers forward queries for AWS's zones."""

    def __init__(self, name: str, args: SiteLinkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:SiteLink", name, dict(args), opts)
        where = f"links.{args['name']}"
        mode = check_choice(args["mode"], MODES, f"{where}.mode")
        check_choice(args["kind"], KINDS, f"{where}.kind")
        makes_resolvers = (
            check_choice(args["resolvers"], MODES, f"{where}.resolvers") == "manage" and mode != "off"
        )
        if mode != "off":
            check_link(args, where, is_managed=mode == "manage")
        if makes_resolvers:
            check_resolvers(args, where)

        self.vpn_connection_id = pulumi.Output.from_input("")
        self.preshared_key_arn = pulumi.Output.from_input("")
        self.inbound_resolver_ips = pulumi.Output.from_input([])
        link = LinkOptions(name, self, _tags(args))
        gateway: Any = args.get("transit_gateway", "") if mode == "existing" else ""
        if mode == "manage":
            gateway = self._connect(link, args, where)
        if makes_resolvers:
            self.inbound_resolver_ips = resolvers.create(
                link,
                vpc_id=args["vpc_id"],
                subnet_ids=args["subnet_ids"],
                site_dns=args["site_dns"],
                zones=args["zones"],
            )
        self.transit_gateway_id = pulumi.Output.from_input(gateway)
        self.register_outputs(
            {
                "transit_gateway_id": self.transit_gateway_id,
                "vpn_connection_id": self.vpn_connection_id,
                "preshared_key_arn": self.preshared_key_arn,
                "inbound_resolver_ips": self.inbound_resolver_ips,
            }
        )

    def _connect(self, link: LinkOptions, args: SiteLinkArgs, where: str) -> pulumi.Input[str]:
        """Connect site and VPC, and create the routes. Returns the id of the transit gateway."""
        existing = args.get("transit_gateway")
        gateway = transit_gateway.gateway(link, existing, args["amazon_asn"])
        if args["kind"] == "vpn":
            site_attachment = self._connect_vpn(link, gateway, args, where)
        else:
            site_attachment = direct_connect.create(
                link, gateway, _direct_connect(args), prefixes=[args["vpc_cidr"]]
            )
        transit_gateway.routes(
            link,
            gateway,
            is_existing=existing is not None,
            site_attachment=site_attachment,
            vpc=VpcEnd(args["vpc_id"], args["vpc_cidr"], args["subnet_ids"], route_tables(args, where)),
            sources=args["sources"],
        )
        return gateway

    def _connect_vpn(
        self, link: LinkOptions, gateway: pulumi.Input[str], args: SiteLinkArgs, where: str
    ) -> pulumi.Output[str]:
        """Create the VPN. Returns the id of the transit gateway's attachment to it."""
        connection = vpn.create(
            link,
            gateway,
            vpn.SiteEnd(args.get("peer_ip", ""), args.get("site_asn", 0)),
            vpn.TunnelLog(args["region"], args.get("log_days", LOG_DAYS), f"{where}.log_days"),
        )
        self.vpn_connection_id = connection.connection_id
        self.preshared_key_arn = connection.preshared_key_arn
        return connection.attachment_id


def _tags(args: SiteLinkArgs) -> dict[str, str]:
    """The given tags, and the class if the link is for a single one."""
    tags = dict(args.get("tags", {}))
    if len(args["classes"]) == 1:
        tags["isthmus.dev/class"] = args["classes"][0]
    return tags


def _direct_connect(args: SiteLinkArgs) -> direct_connect.DirectConnect:
    site_asn = args.get("site_asn", 0)
    return direct_connect.DirectConnect(
        existing=args.get("direct_connect_gateway"),
        asn=args.get("direct_connect_asn") or direct_connect.next_asn(args["amazon_asn"], site_asn),
        connection=args.get("connection"),
        vlan=args.get("vlan", 0),
        site_asn=site_asn,
    )
