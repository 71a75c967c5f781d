"""Which networks have an internet gateway, and whether only public work can enter them."""

from __future__ import annotations

from collections.abc import Collection

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.network.private_endpoints import callers, policies
from isthmus.graph.network.reachability import ANYWHERE, Network, is_public, overlaps
from isthmus.graph.network.routes import leaving_gateways, routes_beyond
from isthmus.graph.resources.resources import Fault, Graph, Resource
from isthmus.graph.workloads.fargate_tasks import tasks
from isthmus.graph.workloads.translators import translators


def only_public_work_is_beside_the_internet(
    graph: Graph, platform: Platform | None, apart: Collection[str] = ()
) -> list[Fault]:
    """Find internet gateways that the platform does not declare, and other work than public work beside one.

    Without a platform, the organisation's addresses are unknown: a route to other addresses is undecided, unless it
    leads to the whole internet. `apart`: URNs of networks that are apart from the platform, with all that is in them.
    """
    broken: list[Fault] = []
    public_vpcs: dict[str, list[Resource]] = {}
    for gateway in graph.of("aws:ec2/internetGateway:InternetGateway"):
        if gateway.urn in apart:
            continue
        vpcs = graph.referred(gateway.inputs.get("vpcId"), ":Vpc")
        reasons = [why for vpc in vpcs for why in _not_public_alone(graph, platform, vpc)]
        if not vpcs:
            reasons.append("its network is not known")
        start = f"{gateway.name} leads from a network to the internet"
        broken += [Fault(f"{start}, and {why}", gateway) for why in reasons]
        if not reasons:
            public_vpcs[gateway.name] = vpcs
    leaving = leaving_gateways(graph)
    broken += [fault for fault in leaving if fault.resource is None or fault.resource.urn not in apart]
    for route, route_inputs, cidr in routes_beyond(graph, platform):
        if route.urn in apart:
            continue
        gateways = graph.referred(route_inputs.get("gatewayId"), ":InternetGateway")
        tables = graph.referred(route_inputs.get("routeTableId"), ":RouteTable")
        vpcs_of_route = [vpc for table in tables for vpc in graph.referred(table.inputs.get("vpcId"), ":Vpc")]
        if (
            cidr != ANYWHERE
            or not (gateways and vpcs_of_route)
            or any(public_vpcs.get(gateway_.name) != vpcs_of_route for gateway_ in gateways)
        ):
            is_certain = (platform or is_public(cidr)) and "$" not in cidr
            verdict = "violated" if is_certain else "undecided"
            place = (
                "outside the sites and networks"
                if verdict == "violated"
                else "and nothing says where that is"
            )
            destination = "anywhere" if cidr == ANYWHERE else f"to {cidr}, {place}"
            broken.append(Fault(f"route {route.name} leads {destination}", route, verdict))
    return broken


def _not_public_alone(graph: Graph, platform: Platform | None, vpc: Resource) -> list[str]:
    """Why a VPC must not have an internet gateway: other work than public work enters, or could enter, it."""
    cidr = str(vpc.inputs.get("cidrBlock"))
    networks = platform.networks if platform else []
    declared = [
        network_
        for network_ in networks
        if network_.internet and network_.mode == "manage" and network_.cidr == cidr
    ]
    reasons = [] if declared else ["the platform states none for it" if platform else "no platform states it"]
    reasons += [
        f"it carries {class_} work"
        for network in declared
        for class_ in network.classes
        if class_ != "public"
    ]
    network = Network(graph)
    for namespace in sorted({pods.namespace for pods in network.pods if pods.class_ != "public"}):
        if any(overlaps(block, [cidr]) for block, _ in network.reached(namespace).blocks):
            reasons.append(f"{namespace} reaches it")
    public = {
        principal
        for translator in translators(graph)
        if translator.class_ == "public"
        for principal in (translator.role, translator.subject)
    }
    for task in tasks(graph):
        if task.class_ == "public":
            public |= {task.role, str(task.resource.inputs.get("executionRoleArn"))}
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if vpc in graph.referred(endpoint.inputs.get("vpcId")):
            statements = [statement for document in policies(graph, endpoint) for statement in document]
            principals = {principal for statement in statements for principal in callers(statement)}
            reasons += [f"{endpoint.name} lets {principal} in" for principal in sorted(principals - public)]
    return reasons
