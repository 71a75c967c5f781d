"""Draws gateways on Fargate into the network diagram: load balancers, services and the flows between them."""

from __future__ import annotations

from typing import Any, Protocol

from isthmus.graph.resources.resources import Graph, Resource
from isthmus.graph.workloads.fargate_tasks import BALANCER, SERVICE, security_group_rules

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"


class Drawing(Protocol):
    """The methods of `network_diagram.Drawing` that this module uses."""

    def node(self, key: str, *labels: str, indent: int = 2) -> str: ...
    def edge(self, start: str, end: str, label: str = "", line: str = "-->") -> None: ...


def _security_groups(graph: Graph, resource: Resource) -> list[Resource]:
    references: Any = resource.inputs.get("securityGroups") or resource.inputs.get("securityGroupIds")
    references = references or (resource.inputs.get("networkConfiguration") or {}).get("securityGroups") or []
    return graph.referred(references, ":SecurityGroup")


def _inside(graph: Graph, vpc: Resource, kind: str) -> list[Resource]:
    """Return the resources of a VPC. Their inputs do not name it, so their security groups decide."""
    inside = (
        resource
        for resource in graph.of(kind)
        if any(
            vpc in graph.referred(group.inputs.get("vpcId")) for group in _security_groups(graph, resource)
        )
    )
    return sorted(inside, key=lambda resource: resource.name)


def draw_nodes(graph: Graph, drawing: Drawing, vpc: Resource) -> None:
    """Draw the load balancers and services of a VPC."""
    for balancer in _inside(graph, vpc, BALANCER):
        kind = "internal load balancer" if balancer.inputs.get("internal") else "public load balancer"
        drawing.node(balancer.name, kind, balancer.name, indent=4)
    for service in _inside(graph, vpc, SERVICE):
        boxes = [
            balancer_target["containerName"] for balancer_target in service.inputs.get("loadBalancers") or []
        ]
        copies = f"{', '.join(boxes)}: {service.inputs.get('desiredCount')} tasks on Fargate"
        drawing.node(service.name, copies, service.name, indent=4)


def draw_edges(graph: Graph, drawing: Drawing, vpc: Resource) -> None:
    """Draw the flows that the rules allow: from addresses, to each other, and to the private endpoints."""
    resources = [*_inside(graph, vpc, BALANCER), *_inside(graph, vpc, SERVICE)]
    reached = [*resources, *_inside(graph, vpc, ENDPOINT)]
    for resource in resources:
        groups = _security_groups(graph, resource)
        node = drawing.node(resource.name)
        for rule in security_group_rules(graph, "Ingress", groups):
            if cidr := rule.inputs.get("cidrIpv4"):
                drawing.edge(drawing.node(str(cidr), str(cidr)), node, str(rule.inputs.get("fromPort")))
        for rule in security_group_rules(graph, "Egress", groups):
            port = str(rule.inputs.get("fromPort"))
            for endpoint in graph.referred(rule.inputs.get("prefixListId"), ":VpcEndpoint"):
                drawing.edge(node, drawing.node(endpoint.name), port)
            peers = graph.referred(rule.inputs.get("referencedSecurityGroupId"), ":SecurityGroup")
            for peer in reached:
                if peers and any(group in peers for group in _security_groups(graph, peer)):
                    drawing.edge(node, drawing.node(peer.name), port)
            if cidr := rule.inputs.get("cidrIpv4"):
                drawing.edge(node, drawing.node(str(cidr), str(cidr)), port)
