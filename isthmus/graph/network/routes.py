"""Destinations of the routes and gateways of a rendering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.ip_addresses import is_within
from isthmus.graph.resources.resources import Fault, Graph, Resource

DESTINATION_KEYS = (
    "destinationCidrBlock",
    "destinationIpv6CidrBlock",
    "destinationPrefixListId",
    "cidrBlock",
    "ipv6CidrBlock",
    "prefixListId",
)
"""Keys with the destination of a route: route resources, inline routes of a route table, routes of a transit gateway.
"""
LEAVING_TYPES = {
    "aws:ec2/natGateway:NatGateway": "leads from a network to the internet",
    "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": "leads from a network to the internet",
    "aws:ec2/carrierGateway:CarrierGateway": "leads from a network to a carrier's",
    "aws:ec2/vpcPeeringConnection:VpcPeeringConnection": "joins a network to another",
    "aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter": "joins a network to another",
    "aws:ec2transitgateway/peeringAttachment:PeeringAttachment": "joins a network to another",
    "aws:ec2transitgateway/peeringAttachmentAccepter:PeeringAttachmentAccepter": "joins a network to another",
}
"""Exits that a platform never has, whatever route leads to them."""


def networks(graph: Graph, platform: Platform | None) -> list[str]:
    """Address ranges of the sites and of the networks in the graph."""
    blocks = [cidr for site in platform.sites for cidr in site.cidrs] if platform else []
    blocks += [network.cidr for network in platform.networks if network.cidr] if platform else []
    return blocks + [
        str(vpc.inputs["cidrBlock"]) for vpc in graph.of("aws:ec2/vpc:Vpc") if vpc.inputs.get("cidrBlock")
    ]


def leaving_gateways(graph: Graph) -> list[Fault]:
    """Gateways and peerings that lead out of the networks."""
    gateways = (gateway for gateway in graph.of(*LEAVING_TYPES) if gateway.type in LEAVING_TYPES)
    return [Fault(f"{gateway.name} {LEAVING_TYPES[gateway.type]}", gateway) for gateway in gateways]


def routes_beyond(graph: Graph, platform: Platform | None) -> Iterator[tuple[Resource, dict[str, Any], str]]:
    """Routes to a destination outside the known networks, as (resource, route, destination)."""
    known_networks = networks(graph, platform)
    for resource, route in _routes(graph):
        for key in DESTINATION_KEYS:
            destination = route.get(key)
            if destination and not is_within(str(destination), known_networks):
                yield resource, route, str(destination)


def _routes(graph: Graph) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for resource in graph.of("aws:ec2/route:Route"):
        yield resource, resource.inputs
    for resource in graph.of("aws:ec2transitgateway/route:Route"):
        if not resource.inputs.get("blackhole"):
            yield resource, resource.inputs
    for resource in graph.of("aws:ec2transitgateway/prefixListReference:PrefixListReference"):
        if not resource.inputs.get("blackhole"):
            yield resource, resource.inputs
    for resource in graph.of("aws:ec2/routeTable:RouteTable", "aws:ec2/defaultRouteTable:DefaultRouteTable"):
        for route in resource.inputs.get("routes") or []:
            yield resource, route
