"""What a link refuses before it makes anything."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.aws.common.ip_addresses import ipv4_network, ipv4_networks, public_address
from components.aws.common.log_group import retention
from components.base.argument_checks import sensitivity
from isthmus.contracts.reference import handling
from isthmus.core.errors import InputError, Refused

LOG_DAYS = 365
"""How long a link's log is kept where nothing is said."""
DNS_SERVERS = 6
"""Addresses that a resolver rule forwards to at most (AWS's quota `Target IP addresses per rule`, as of knowledge)."""
AWS_ZONES = (
    *("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "aws", "aws.dev", "amazon.com", "amazonaws.cn"),
    *("amazonwebservices.com", "awsapps.com", "awsstatic.com", "cloudfront.net"),
    *("compute.internal", "ec2.internal"),
)
"""DNS zones in which AWS names its services and machines (as of knowledge, not checked; `aws` holds api.aws
and on.aws)."""
PRIVATE_ASNS = ((64512, 65534), (4200000000, 4294967294))
"""BGP numbers that AWS's end may have (TransitGateway.amazonSideAsn, pulumi-aws 7.51.1)."""


def check_link(args: Mapping[str, Any], where: str, *, whole: bool) -> None:
    """Refuse what cannot be linked, and what must not; `whole`: the link itself is made here too."""
    _classes(args["classes"], f"{where}.classes")
    vpc = ipv4_network(args["vpc_cidr"], f"{where}.vpc_cidr")
    sources = ipv4_networks(args["sources"], f"{where}.sources")
    if not sources:
        raise InputError(
            "no network of the site may cross", where=f"{where}.sources", fix="Name those that may"
        )
    for at, source in enumerate(sources):
        if source.overlaps(vpc):
            raise InputError(
                f"{source} of the site overlaps the VPC's {vpc}: no route could tell them apart",
                where=f"{where}.sources.{at}",
                fix="Give the VPC a network that the site does not use",
            )
    _two_subnets(args["subnet_ids"], where)
    if not whole:
        return
    _numbers(args, where)
    if args["kind"] == "vpn":
        public_address(args.get("peer_ip", ""), f"{where}.peer_ip")
        retention(args.get("log_days", LOG_DAYS), f"{where}.log_days")
    else:
        _direct_connect(args, where)
    route_tables(args, where)


def check_resolvers(args: Mapping[str, Any], where: str) -> None:
    """Refuse resolvers that nobody answers, that no route leads to, or that would answer for AWS."""
    if not args["site_dns"]:
        raise InputError(
            "resolvers need the site's DNS servers, and none is named",
            where=f"{where}.site_dns",
            fix="Name their addresses (`dns` of the site), or set resolvers to 'off'",
        )
    if len(args["site_dns"]) > DNS_SERVERS:
        raise InputError(
            f"{len(args['site_dns'])} DNS servers, and a resolver rule of AWS's takes {DNS_SERVERS}",
            where=f"{where}.site_dns",
            fix=f"Name {DNS_SERVERS} of them (`dns` of the site)",
        )
    sources = ipv4_networks(args["sources"], f"{where}.sources")
    for at, text in enumerate(args["site_dns"]):
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            raise InputError(
                f"'{text}' is not an IPv4 address",
                where=f"{where}.site_dns.{at}",
                fix="Name the address of a DNS server",
            ) from None
        if not any(address in source for source in sources):
            raise InputError(
                f"the DNS server {address} lies in none of the networks that may cross",
                where=f"{where}.site_dns.{at}",
                fix=f"Add {address}/32 to `sources`",
            )
    for at, zone in enumerate(args["zones"]):
        _zone(zone, f"{where}.zones.{at}")


def route_tables(args: Mapping[str, Any], where: str) -> list[pulumi.Input[str]]:
    """The VPC's route tables, whose number must be known: a route is made in each."""
    tables = args["route_table_ids"]
    if not isinstance(tables, list) or not tables:
        what = "no route table is named" if isinstance(tables, list) else "how many route tables is not known"
        raise InputError(
            f"{what}, and each gets a route to the site",
            where=f"{where}.route_table_ids",
            fix="Give a list of ids, e.g. `Network.route_tables`; its items may be outputs, the list may not",
        )
    return tables


def _classes(classes: Sequence[str], where: str) -> None:
    if not classes:
        raise InputError("the link carries no class", where=where, fix="Name the classes that may cross")
    for at, one in enumerate(classes):
        known = handling.of(sensitivity(one, f"{where}.{at}"))
        if "bedrock" not in (*known.targets, *known.by_exception):
            raise Refused(
                f"the link would carry {one} work, which stays on-prem",
                where=f"{where}.{at}",
                fix=f"Take {one} out of its classes",
            )


def _two_subnets(subnets: Any, where: str) -> None:
    if isinstance(subnets, list) and len(subnets) < 2:
        raise InputError(
            f"{len(subnets)} subnets are named",
            where=f"{where}.subnet_ids",
            fix="Name private subnets in two zones at least",
        )


def _numbers(args: Mapping[str, Any], where: str) -> None:
    """BGP numbers: the site's is there, AWS's are private, all differ."""
    made: dict[str, int] = {"amazon_asn": args["amazon_asn"]}
    if args["kind"] == "direct-connect" and args.get("direct_connect_asn"):
        made["direct_connect_asn"] = args["direct_connect_asn"]
    for key, number in made.items():
        if not any(low <= number <= high for low, high in PRIVATE_ASNS):
            raise InputError(
                f"{number} is not a private BGP number, and AWS's end takes no other",
                where=f"{where}.{key}",
                fix="Take one of 64512 to 65534, or of 4200000000 to 4294967294",
            )
    site = args.get("site_asn")
    needed = args["kind"] == "vpn" or args.get("connection")
    if needed and not site:
        raise InputError(
            "the link names no site_asn", where=f"{where}.site_asn", fix="Name the BGP number of the site"
        )
    ends = [*made.items(), *([("site_asn", site)] if site else [])]
    for at, (key, number) in enumerate(ends):
        for other, taken in ends[:at]:
            if number == taken:
                raise InputError(
                    f"{key} and {other} are both {number}: BGP between them would not come up",
                    where=f"{where}.{key}",
                    fix="Give each end a number of its own",
                )


def _direct_connect(args: Mapping[str, Any], where: str) -> None:
    if not args.get("connection") and not args.get("direct_connect_gateway"):
        raise InputError(
            "the link names no Direct Connect connection",
            where=f"{where}.connection",
            fix="Order one first, then name it (dxcon-…), or a direct_connect_gateway that exists",
        )
    if args.get("connection") and not 1 <= args.get("vlan", 0) <= 4094:
        raise InputError(
            "the transit interface needs a VLAN",
            where=f"{where}.vlan",
            fix="Name the one that the connection's provider gave, 1 to 4094",
        )


def _zone(zone: str, where: str) -> None:
    name = zone.lower().rstrip(".")
    if "." not in name or "*" in name:
        raise InputError(
            f"'{zone}' is not a DNS zone of a site", where=where, fix="Name it like fra1.bank.example"
        )
    for known in AWS_ZONES:
        if name == known or name.endswith(f".{known}"):
            raise Refused(
                f"the site would answer for {zone}, which is AWS's",
                where=where,
                fix="Forward zones of the site only",
            )
