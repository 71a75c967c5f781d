"""Where the networks of a rendering lead, from its routes and gateways alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.network.reachability import within
from isthmus.graph.resources.resources import Fault, Graph, Resource

DESTINATIONS = (
    "destinationCidrBlock",
    "destinationIpv6CidrBlock",
    "destinationPrefixListId",
    "cidrBlock",
    "ipv6CidrBlock",
    "prefixListId",
)
"""What says where a route leads: its own resource, a route table's inline routes, a transit gateway's."""
LEAVING = {
    "aws:ec2/natGateway:NatGateway": "leads from a network to the internet",
    "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": "leads from a network to the internet",
    "aws:ec2/carrierGateway:CarrierGateway": "leads from a network to a carrier's",
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection": "joins a network to another",
    "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter": "joins a network to another",
    "aws:ec2transitgateway/peeringAttachment:PeeringAttachment": "joins a network to another",
    "aws:ec2transitgateway/peeringAttachmentAccepter:PeeringAttachmentAccepter": "joins a network to another",
}
"""Ways out that no platform of ours has, whatever route leads to them."""


def networks(graph: Graph, platform: Platform | None) -> list[str]:
    """The address ranges of the sites and of the networks that the graph makes."""
    known = [cidr for site in platform.sites for cidr in site.cidrs] if platform else []
    known += [network.cidr for network in platform.networks if network.cidr] if platform else []
    return known + [
        str(vpc.inputs["cidrBlock"]) for vpc in graph.of("aws:ec2/vpc:Vpc") if vpc.inputs.get("cidrBlock")
    ]


def leaving(graph: Graph) -> list[Fault]:
    """Gateways and peerings that lead out of the networks."""
    found = (way for way in graph.of(*LEAVING) if way.type in LEAVING)
    return [Fault(f"{way.name} {LEAVING[way.type]}", way) for way in found]


def beyond(graph: Graph, platform: Platform | None) -> Iterator[tuple[Resource, dict[str, Any], str]]:
    """Routes whose destination lies in no known network: the resource, the route as stated, the destination."""
    known = networks(graph, platform)
    for resource, route in _routes(graph):
        for key in DESTINATIONS:
            where = route.get(key)
            if where and not within(str(where), known):
                yield resource, route, str(where)


def _routes(graph: Graph) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for each in graph.of("aws:ec2/route:Route"):
        yield each, each.inputs
    for each in graph.of("aws:ec2transitgateway/route:Route"):
        if not each.inputs.get("blackhole"):
            yield each, each.inputs
    for each in graph.of("aws:ec2transitgateway/prefixListReference:PrefixListReference"):
        if not each.inputs.get("blackhole"):
            yield each, each.inputs
    for each in graph.of("aws:ec2/routeTable:RouteTable", "aws:ec2/defaultRouteTable:DefaultRouteTable"):
        for route in each.inputs.get("routes") or []:
            yield each, route
