"""Which networks lie beside the internet, and whether public work alone comes into them."""

from __future__ import annotations

from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.network.private_endpoints import callers, policies
from isthmus.graph.network.reachability import ANYWHERE, Network, overlaps, public
from isthmus.graph.network.routes import beyond, leaving
from isthmus.graph.resources.resources import Fault, Graph, Resource
from isthmus.graph.workloads.fargate_tasks import tasks
from isthmus.graph.workloads.translators import translators


def only_public_work_is_beside_the_internet(graph: Graph, platform: Platform | None) -> list[Fault]:
    """An internet gateway only where the platform says so, and only public work comes into its network.

    Without a platform nobody says which addresses are the organisation's: a route to others is undecided, unless it
    leads anywhere.
    """
    broken: list[Fault] = []
    open_: dict[str, list[Resource]] = {}
    for way in graph.of("aws:ec2/internetGateway:InternetGateway"):
        vpcs = graph.referred(way.inputs.get("vpcId"), ":Vpc")
        reasons = [why for vpc in vpcs for why in _not_public_alone(graph, platform, vpc)]
        if not vpcs:
            reasons.append("its network is not known")
        said = f"{way.name} leads from a network to the internet"
        broken += [Fault(f"{said}, and {why}", way) for why in reasons]
        if not reasons:
            open_[way.name] = vpcs
    broken += leaving(graph)
    for route, stated, where in beyond(graph, platform):
        ways = graph.referred(stated.get("gatewayId"), ":InternetGateway")
        tables = graph.referred(stated.get("routeTableId"), ":RouteTable")
        own = [vpc for table in tables for vpc in graph.referred(table.inputs.get("vpcId"), ":Vpc")]
        if where != ANYWHERE or not (ways and own) or any(open_.get(way.name) != own for way in ways):
            sure = (platform or public(where)) and "$" not in where
            verdict = "violated" if sure else "undecided"
            what = (
                "outside the sites and networks"
                if verdict == "violated"
                else "and nothing says where that is"
            )
            to = "anywhere" if where == ANYWHERE else f"to {where}, {what}"
            broken.append(Fault(f"route {route.name} leads {to}", route, verdict))
    return broken


def _not_public_alone(graph: Graph, platform: Platform | None, vpc: Resource) -> list[str]:
    """Why a VPC may not lie beside the internet: who but public work is let in, or could be."""
    cidr = str(vpc.inputs.get("cidrBlock"))
    every = platform.networks if platform else []
    stated = [one for one in every if one.internet and one.mode == "manage" and one.cidr == cidr]
    reasons = [] if stated else ["the platform states none for it" if platform else "no platform states it"]
    reasons += [f"it carries {one} work" for network in stated for one in network.classes if one != "public"]
    network = Network(graph)
    for space in sorted({pods.namespace for pods in network.pods if pods.class_ != "public"}):
        if any(overlaps(block, [cidr]) for block, _ in network.reached(space).blocks):
            reasons.append(f"{space} reaches it")
    public = {
        who for each in translators(graph) if each.class_ == "public" for who in (each.role, each.subject)
    }
    for task in tasks(graph):
        if task.class_ == "public":
            public |= {task.role, str(task.resource.inputs.get("executionRoleArn"))}
    for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint"):
        if vpc in graph.referred(endpoint.inputs.get("vpcId")):
            said = [one for document in policies(graph, endpoint) for one in document]
            named = {who for one in said for who in callers(one)}
            reasons += [f"{endpoint.name} lets {who} in" for who in sorted(named - public)]
    return reasons
