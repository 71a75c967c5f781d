"""Draws diagrams of a stack as Mermaid text: its network and its identities.

They show only resources of the rendered graph. The same graph gives the same text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from isthmus.contracts.platform.lookups.aws import kubernetes_sites
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.iam.permissions import roles
from isthmus.graph.network.reachability import Network, Pods, overlaps
from isthmus.graph.resources.resources import Graph, Resource, as_list, name_and_namespace, statements
from isthmus.reports.stack import fargate_diagram


class Drawing:
    """The lines of a Mermaid flow chart. A node is drawn once."""

    def __init__(self) -> None:
        self.lines = ["flowchart LR"]
        self._known: set[str] = set()

    def node(self, key: str, *labels: str, indent: int = 2) -> str:
        """Draw a node if it is new, and return its id. `key` identifies the node."""
        ident = re.sub(r"\W+", "_", key)
        if ident not in self._known:
            self._known.add(ident)
            text = "<br/>".join(label.replace('"', "'") for label in labels if label)
            self.lines.append(f'{" " * indent}{ident}["{text}"]')
        return ident

    def edge(self, start: str, end: str, label: str = "", line: str = "-->") -> None:
        text = f'  {start} {line}|"{label}"| {end}' if label else f"  {start} {line} {end}"
        if text not in self.lines:
            self.lines.append(text)

    def begin(self, key: str, label: str) -> None:
        self.lines.append(f'  subgraph {re.sub(r"[^A-Za-z0-9]+", "_", key)}["{label}"]')

    def end(self) -> None:
        self.lines.append("  end")

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def draw_network(graph: Graph, platform: Platform) -> str:
    """Draw pods with the destinations that their policies allow, the link, the VPCs and the private endpoints."""
    drawing, pods = Drawing(), Network(graph)
    for site in kubernetes_sites(platform):
        drawing.begin(f"site {site.name}", f"{site.name} · {', '.join(site.cidrs)}")
        for pod in sorted(pods.pods, key=lambda pod: (pod.namespace, pod.name)):
            drawing.node(_pod_key(pod), pod.name, pod.namespace, indent=4)
        drawing.end()
    for vpc in sorted(graph.of("aws:ec2/vpc:Vpc"), key=lambda vpc: vpc.name):
        drawing.begin(vpc.name, f"VPC {vpc.inputs.get('cidrBlock')} · {_internet(graph, vpc)}")
        for subnet in _inside(graph, vpc, "aws:ec2/subnet:Subnet"):
            labels = (f"subnet {subnet.inputs.get('cidrBlock')}", str(subnet.inputs.get("availabilityZone")))
            drawing.node(subnet.name, *labels, indent=4)
        for endpoint in _inside(graph, vpc, "aws:ec2/vpcEndpoint:VpcEndpoint"):
            drawing.node(endpoint.name, _service(endpoint), "private endpoint", indent=4)
        for resolver in _resolvers(graph, vpc):
            labels = f"{str(resolver.inputs.get('direction')).lower()} resolver"
            drawing.node(resolver.name, labels, indent=4)
        fargate_diagram.draw_nodes(graph, drawing, vpc)
        drawing.end()
    for vpc in sorted(graph.of("aws:ec2/vpc:Vpc"), key=lambda vpc: vpc.name):
        fargate_diagram.draw_edges(graph, drawing, vpc)
    ends = _draw_links(graph, drawing)
    for pod in sorted(pods.pods, key=lambda pod: (pod.namespace, pod.name)):
        _draw_pod_egress(drawing, pods, pod, ends)
    _draw_load_balancers(graph, drawing, pods)
    return drawing.text()


def _draw_links(graph: Graph, drawing: Drawing) -> dict[str, list[str]]:
    """Draw the transit gateways with their links. Returns the ids of the on-prem ends by the CIDR of the VPC."""
    ends: dict[str, list[str]] = {}
    for gateway in graph.of("aws:ec2transitgateway/transitGateway:TransitGateway"):
        middle = drawing.node(gateway.name, "transit gateway", f"ASN {gateway.inputs.get('amazonSideAsn')}")
        mine = _draw_link_ends(graph, drawing, gateway, middle)
        for attachment in graph.of("aws:ec2transitgateway/vpcAttachment:VpcAttachment"):
            if gateway in graph.referred(attachment.inputs.get("transitGatewayId")):
                for vpc in graph.referred(attachment.inputs.get("vpcId"), ":Vpc"):
                    ends.setdefault(str(vpc.inputs.get("cidrBlock")), []).extend(mine)
                    _draw_gateway_rules(graph, drawing, gateway, vpc)
    return ends


def _draw_link_ends(graph: Graph, drawing: Drawing, gateway: Resource, middle: str) -> list[str]:
    """Draw the VPNs and Direct Connect gateways of a transit gateway. Returns the ids of their on-prem ends."""
    ends: list[str] = []
    for vpn in graph.of("aws:ec2/vpnConnection:VpnConnection"):
        if gateway in graph.referred(vpn.inputs.get("transitGatewayId")):
            for peer in graph.referred(vpn.inputs.get("customerGatewayId")):
                labels = (f"site's device {peer.inputs.get('ipAddress')}", f"ASN {peer.inputs.get('bgpAsn')}")
                ends.append(drawing.node(peer.name, *labels))
                drawing.edge(ends[-1], middle, "VPN, two tunnels", "==>")
    for joined in graph.of("aws:directconnect/gatewayAssociation:GatewayAssociation"):
        if gateway in graph.referred(joined.inputs.get("associatedGatewayId")):
            for direct_connect in graph.referred(joined.inputs.get("dxGatewayId"), ":Gateway"):
                ends.append(drawing.node(direct_connect.name, "Direct Connect gateway"))
                drawing.edge(ends[-1], middle, "Direct Connect", "==>")
    return ends


def _draw_gateway_rules(graph: Graph, drawing: Drawing, gateway: Resource, vpc: Resource) -> None:
    """Draw the flows between a transit gateway and a VPC that the VPC's security groups allow.

    A rule is drawn if a route to the gateway covers its addresses.
    """
    tables = {table.name for table in _inside(graph, vpc, "aws:ec2/routeTable:RouteTable")}
    behind = [
        str(route.inputs.get("destinationCidrBlock"))
        for route in graph.of("aws:ec2/route:Route")
        if gateway in graph.referred(route.inputs.get("transitGatewayId"))
        and tables & {table.name for table in graph.referred(route.inputs.get("routeTableId"))}
    ]
    middle = drawing.node(gateway.name)
    for resource in (*_inside(graph, vpc, "aws:ec2/vpcEndpoint:VpcEndpoint"), *_resolvers(graph, vpc)):
        node = drawing.node(resource.name)
        for cidr, port in _allowed_ports(graph, resource, "Ingress"):
            if overlaps(cidr, behind):
                drawing.edge(middle, node, f"{port} from {cidr}", "==>")
        for cidr, port in _allowed_ports(graph, resource, "Egress"):
            if overlaps(cidr, behind):
                drawing.edge(node, middle, f"{port} to {cidr}")
                drawing.edge(middle, drawing.node(cidr, cidr), port)


def _allowed_ports(graph: Graph, resource: Resource, direction: str) -> list[tuple[str, str]]:
    """Return the CIDRs and ports that the security groups of a resource allow in a direction."""
    groups = graph.referred(resource.inputs.get("securityGroupIds"), ":SecurityGroup")
    allowed: set[tuple[str, str]] = set()
    for rule in graph.of(f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"):
        if any(group in graph.referred(rule.inputs.get("securityGroupId")) for group in groups):
            first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
            if rule.inputs.get("cidrIpv4"):
                port = f"{first}" if first == last else f"{first}-{last}"
                allowed.add((str(rule.inputs["cidrIpv4"]), port))
    return sorted(allowed)


def _resolvers(graph: Graph, vpc: Resource) -> list[Resource]:
    """Return the resolver endpoints of a VPC. Their inputs do not name it, so their security groups decide."""
    return [
        resolver
        for resolver in graph.of("aws:route53/resolverEndpoint:ResolverEndpoint")
        if any(
            vpc in graph.referred(group.inputs.get("vpcId"))
            for group in graph.referred(resolver.inputs.get("securityGroupIds"), ":SecurityGroup")
        )
    ]


def _draw_load_balancers(graph: Graph, drawing: Drawing, network: Network) -> None:
    """Draw the load balancers of the clusters: from where they are called, and the pods that they lead to."""
    services = graph.of("kubernetes:core/v1:Service")
    for service in sorted(services, key=lambda service: service.name):
        spec = service.inputs.get("spec") or {}
        if spec.get("type") != "LoadBalancer":
            continue
        name, namespace = name_and_namespace(service)
        middle = drawing.node(f"{namespace} {name}", name, "load balancer, passes TLS through")
        for cidr in spec.get("loadBalancerSourceRanges") or ["0.0.0.0/0"]:
            for port in spec.get("ports") or []:
                drawing.edge(
                    drawing.node(f"outside {cidr}", f"callers at {cidr}"),
                    middle,
                    str(port.get("port")),
                    "==>",
                )
        for port in spec.get("ports") or []:
            for pods in network.matched(
                {"podSelector": {"matchLabels": spec.get("selector") or {}}}, namespace
            ):
                drawing.edge(middle, _pod_id(pods), str(port.get("targetPort")), "==>")


def _draw_pod_egress(drawing: Drawing, network: Network, pods: Pods, link_ends: dict[str, list[str]]) -> None:
    """Draw the destinations of a pod: other pods, addresses, and VPCs through the ends of their links."""
    for peer, port in network.ways_out(pods):
        if "ipBlock" in peer:
            cidr = peer["ipBlock"]["cidr"]
            targets = link_ends.get(cidr) or [drawing.node(cidr, cidr)]
            for target in targets:
                drawing.edge(_pod_id(pods), target, f"{cidr}:{port}")
        else:
            for target_pods in network.matched(peer, pods.namespace):
                drawing.edge(_pod_id(pods), _pod_id(target_pods), port)


def draw_identities(graph: Graph) -> str:
    """Draw the AWS roles: who may assume them and how, their boundaries, and their permissions."""
    drawing = Drawing()
    for role in roles(graph):
        middle = drawing.node(role.name, "role", role.name)
        for trusted in statements(role.resource.inputs.get("assumeRolePolicy")):
            for principal, labels in _trusted_principals(graph, trusted):
                drawing.edge(drawing.node(principal, *labels), middle, "becomes")
        if role.boundary is not None:
            for policy in graph.referred(role.resource.inputs.get("permissionsBoundary"), ":Policy"):
                bound = drawing.node(policy.name, "boundary", f"at most {_services_allowed(role.boundary)}")
                drawing.edge(bound, middle, "bounds", "-.->")
        elif role.given:
            drawing.edge(drawing.node(role.given, "boundary of the organisation"), middle, "bounds", "-.->")
        for statement in role.policies:
            if statement.get("Effect") == "Allow":
                _draw_permissions(graph, drawing, middle, statement)
    for profile in graph.of("aws:rolesanywhere/profile:Profile"):
        for role_resource in graph.referred(profile.inputs.get("roleArns"), ":Role"):
            labels = f"{profile.inputs.get('durationSeconds', 3600)} s, session policy"
            drawing.edge(
                drawing.node(profile.name, "profile", labels),
                drawing.node(role_resource.name),
                "narrows",
                "-.->",
            )
    return drawing.text()


def _services_allowed(boundary: list[dict[str, Any]]) -> str:
    """Return the services with at least one action that the boundary allows."""
    allowed = {
        action.split(":")[0]
        for statement in boundary
        if statement.get("Effect") == "Allow"
        for action in as_list(statement.get("Action"))
    }
    return ", ".join(sorted(allowed)) or "nothing"


def _trusted_principals(graph: Graph, statement: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Return who may assume a role: a certificate under a trust anchor, pods, or an AWS service."""
    condition = statement.get("Condition") or {}
    names = [
        value for test in condition.values() for value in as_list(test.get("aws:PrincipalTag/x509Subject/CN"))
    ]
    if names:
        anchors = graph.referred(condition, "aws:rolesanywhere/trustAnchor:TrustAnchor")
        anchor = f"vouched for by {', '.join(resource.name for resource in anchors) or 'the named anchor'}"
        return [(name, ("certificate", name, anchor)) for name in names]
    services = as_list((statement.get("Principal") or {}).get("Service"))
    equal = condition.get("StringEquals") or {}
    account = equal.get("aws:RequestTag/kubernetes-service-account")
    if services == ["pods.eks.amazonaws.com"] and account:
        name = f"{equal.get('aws:RequestTag/kubernetes-namespace')}/{account}"
        clusters = graph.referred(condition, "aws:eks/cluster:Cluster")
        where = f"in {', '.join(resource.name for resource in clusters) or 'the named cluster'}"
        return [(name, ("pods of service account", name, where))]
    return [(service, ("service of AWS", service)) for service in services]


def _draw_permissions(graph: Graph, drawing: Drawing, role: str, statement: dict[str, Any]) -> None:
    actions = sorted({action.split(":")[0] for action in as_list(statement.get("Action"))})
    actions_text = ", ".join(f"{service}: {_action_names(statement, service)}" for service in actions)
    condition = statement.get("Condition") or {}
    profiles = [profile.name for profile in graph.referred(condition, ":InferenceProfile")]
    if profiles:
        return  # the profile is drawn; its models are reachable only through it
    targets = graph.referred(json.dumps(statement.get("Resource"))) or []
    for target in targets:
        kind = target.type.rsplit(":", 1)[-1]
        drawing.edge(role, drawing.node(target.name, kind, target.name), actions_text)


def _action_names(statement: dict[str, Any], service: str) -> str:
    actions = [
        action.split(":", 1)[1]
        for action in as_list(statement.get("Action"))
        if action.startswith(f"{service}:")
    ]
    return " ".join(sorted(actions))


def _inside(graph: Graph, vpc: Resource, kind: str) -> list[Resource]:
    return sorted(
        (resource for resource in graph.of(kind) if vpc in graph.referred(resource.inputs.get("vpcId"))),
        key=lambda resource: resource.name,
    )


def _internet(graph: Graph, vpc: Resource) -> str:
    gateways = _inside(graph, vpc, "aws:ec2/internetGateway:InternetGateway")
    return "internet gateway" if gateways else "no internet gateway"


def _service(endpoint: Resource) -> str:
    return str(endpoint.inputs.get("serviceName", "")).split(".", 3)[-1]


def _pod_key(pods: Pods) -> str:
    return f"{pods.namespace} {pods.name}"


def _pod_id(pods: Pods) -> str:
    return re.sub(r"\W+", "_", _pod_key(pods))
