"""Networks in AWS that own code makes apart from the platform, and that the trust file names: for build machines, say.

Such a network may lead to the internet: nothing of a class is in it, and nothing joins it to the platform's networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.core.ip_addresses import is_within
from isthmus.graph.resources.resources import Resource
from policies.inputs.aws_reach import classified_reach, is_of_component, is_reaching_literal
from policies.inputs.links import dependencies
from policies.rules.rule import Subject

_VPC = "aws:ec2/vpc:Vpc"
_JOINING = (
    *("peering", "transitgateway", "vpngateway", "vpnconnection", "customergateway", "directconnect"),
    *("dx/", "dxgateway", "vpcendpoint", "ram/", "route53/zone", "networkmanager", "vpclattice", "vpcipam"),
)
"""Parts of the types that join a network to another, or show it to one."""


def networks_apart(subject: Subject) -> frozenset[str]:
    """URNs of such VPCs and of all that is in them. An entry `objects` names the VPC exactly."""
    found: set[str] = set()
    reach = classified_reach(subject)
    for vpc in subject.graph.of(_VPC):
        if is_of_component(vpc) or not subject.trusts_exactly("objects", vpc.name):
            continue
        members = [vpc, *_within(subject, vpc)]
        if _has_own_addresses(subject, vpc) and all(_is_apart(member, reach) for member in members):
            found |= {member.urn for member in members}
    return frozenset(found)


def _is_apart(member: Resource, reach: dict[str, str]) -> bool:
    kind = member.type.lower()
    return (
        not is_of_component(member)
        and member.urn not in reach
        and not is_reaching_literal(member)
        and not any(part in kind for part in _JOINING)
    )


def _within(subject: Subject, vpc: Resource) -> Iterator[Resource]:
    """What refers to a VPC, through any number of resources."""
    aws = [resource for resource in subject.graph.resources if resource.type.startswith("aws:")]
    inside, is_changed = {vpc.urn}, True
    while is_changed:
        is_changed = False
        for resource in aws:
            if resource.urn in inside:
                continue
            others = {other.urn for other in subject.graph.referred(resource.inputs)} | dependencies(resource)
            if others & inside:
                inside.add(resource.urn)
                is_changed = True
                yield resource


def _has_own_addresses(subject: Subject, vpc: Resource) -> bool:
    """Whether the VPC's range is known, and overlaps none of the platform's sites and networks."""
    block = vpc.inputs.get("cidrBlock")
    if not isinstance(block, str) or "$" in block or subject.platform is None:
        return False
    if vpc.inputs.get("ipv4IpamPoolId") or vpc.inputs.get("ipv6IpamPoolId"):
        return False
    taken: list[Any] = [cidr for site in subject.platform.sites for cidr in site.cidrs]
    taken += [network.cidr for network in subject.platform.networks if network.cidr]
    return not any(is_within(block, [other]) or is_within(str(other), [block]) for other in taken)
