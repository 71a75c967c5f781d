"""Checks the arguments of a site link before anything is created."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.aws.common.ip_addresses import ipv4_network, ipv4_networks, public_address
from components.aws.common.log_group import retention_period
from components.base.argument_checks import check_sensitivity
from isthmus.contracts.platform.lookups.dns_servers import wrong_dns_servers
from isthmus.contracts.reference import handling
from isthmus.core.errors import InputError, Refused

LOG_DAYS = 365
"""Default retention of a link's log in days."""
AWS_ZONES = (
    *("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "aws", "aws.dev", "amazon.com", "amazonaws.cn"),
    *("amazonwebservices.com", "awsapps.com", "awsstatic.com", "cloudfront.net"),
    *("compute.internal", "ec2.internal"),
)
"""DNS zones of AWS's services and instances (as of knowledge, not checked; `aws` contains api.aws and on.aws)."""
PRIVATE_ASNS = ((64512, 65534), (4200000000, 4294967294))
"""BGP numbers that AWS allows for its end (TransitGateway.amazonSideAsn, pulumi-aws 7.51.1)."""


def check_link(args: Mapping[str, Any], where: str, *, is_managed: bool) -> None:
    """Raise an error for a link that is impossible or forbidden. `is_managed`: the link itself is created here too."""
    _check_classes(args["classes"], f"{where}.classes")
    vpc = ipv4_network(args["vpc_cidr"], f"{where}.vpc_cidr")
    sources = ipv4_networks(args["sources"], f"{where}.sources")
    if not sources:
        raise InputError(
            "no network of the site may use the link",
            where=f"{where}.sources",
            fix="Add the networks that may",
        )
    for index, source in enumerate(sources):
        if source.overlaps(vpc):
            raise InputError(
                f"{source} of the site overlaps the VPC's {vpc}: no route could tell them apart",
                where=f"{where}.sources.{index}",
                fix="Give the VPC a network that the site does not use",
            )
    _check_subnets(args["subnet_ids"], where)
    if not is_managed:
        return
    _check_asns(args, where)
    if args["kind"] == "vpn":
        public_address(args.get("peer_ip", ""), f"{where}.peer_ip")
        retention_period(args.get("log_days", LOG_DAYS), f"{where}.log_days")
    else:
        _check_direct_connect(args, where)
    route_tables(args, where)


def check_resolvers(args: Mapping[str, Any], where: str) -> None:
    """Raise an error for resolvers without servers, without a route, or for AWS's zones."""
    sources = ipv4_networks(args["sources"], f"{where}.sources")
    for error in wrong_dns_servers(args["site_dns"], sources):
        place = ".".join([f"{where}.site_dns", *map(str, error.path)])
        raise InputError(error.what, where=place, fix=error.fix)
    for index, zone in enumerate(args["zones"]):
        _check_zone(zone, f"{where}.zones.{index}")


def route_tables(args: Mapping[str, Any], where: str) -> list[pulumi.Input[str]]:
    """The VPC's route tables. Their number must be known, because each gets a route."""
    tables = args["route_table_ids"]
    if not isinstance(tables, list) or not tables:
        problem = (
            "no route table is listed"
            if isinstance(tables, list)
            else "the number of route tables is not known"
        )
        raise InputError(
            f"{problem}, but each needs a route to the site",
            where=f"{where}.route_table_ids",
            fix="Give a list of ids, e.g. `Network.route_tables`. An id may be an output, the list may not",
        )
    return tables


def _check_classes(classes: Sequence[str], where: str) -> None:
    if not classes:
        raise InputError("the link carries no class", where=where, fix="Add the classes that may use it")
    for index, sensitivity in enumerate(classes):
        class_handling = handling.handling_of(check_sensitivity(sensitivity, f"{where}.{index}"))
        if "bedrock" not in (*class_handling.targets, *class_handling.by_exception):
            raise Refused(
                f"the link would carry {sensitivity} work, which must stay on-prem",
                where=f"{where}.{index}",
                fix=f"Remove {sensitivity} from its classes",
            )


def _check_subnets(subnets: Any, where: str) -> None:
    if isinstance(subnets, list) and len(subnets) < 2:
        raise InputError(
            f"{len(subnets)} subnets are listed; at least 2 are needed",
            where=f"{where}.subnet_ids",
            fix="List private subnets in at least two zones",
        )


def _check_asns(args: Mapping[str, Any], where: str) -> None:
    """BGP numbers: the site's is set, AWS's are private, and all differ."""
    asns: dict[str, int] = {"amazon_asn": args["amazon_asn"]}
    if args["kind"] == "direct-connect" and args.get("direct_connect_asn"):
        asns["direct_connect_asn"] = args["direct_connect_asn"]
    for key, asn in asns.items():
        if not any(low <= asn <= high for low, high in PRIVATE_ASNS):
            raise InputError(
                f"{asn} is not a private BGP number, and the AWS end accepts no other",
                where=f"{where}.{key}",
                fix="Use a number from 64512 to 65534, or from 4200000000 to 4294967294",
            )
    site = args.get("site_asn")
    needs_site_asn = args["kind"] == "vpn" or args.get("connection")
    if needs_site_asn and not site:
        raise InputError(
            "the link has no site_asn",
            where=f"{where}.site_asn",
            fix="Set site_asn to the BGP number of the site",
        )
    ends = [*asns.items(), *([("site_asn", site)] if site else [])]
    for index, (key, asn) in enumerate(ends):
        for other_key, other_asn in ends[:index]:
            if asn == other_asn:
                raise InputError(
                    f"{key} and {other_key} are both {asn}: BGP between them would not start",
                    where=f"{where}.{key}",
                    fix="Give each end its own number",
                )


def _check_direct_connect(args: Mapping[str, Any], where: str) -> None:
    if not args.get("connection") and not args.get("direct_connect_gateway"):
        raise InputError(
            "the link has no Direct Connect connection",
            where=f"{where}.connection",
            fix="Order one and set its id (dxcon-…), or set an existing direct_connect_gateway",
        )
    if args.get("connection") and not 1 <= args.get("vlan", 0) <= 4094:
        raise InputError(
            "the transit interface needs a VLAN",
            where=f"{where}.vlan",
            fix="Set vlan to the number from the connection's provider, 1 to 4094",
        )


def _check_zone(zone: str, where: str) -> None:
    name = zone.lower().rstrip(".")
    if "." not in name or "*" in name:
        raise InputError(
            f"'{zone}' is not a DNS zone of a site", where=where, fix="Write it like fra1.bank.example"
        )
    for aws_zone in AWS_ZONES:
        if name == aws_zone or name.endswith(f".{aws_zone}"):
            raise Refused(
                f"the site would answer for {zone}, which belongs to AWS",
                where=where,
                fix="Forward only zones of the site",
            )
