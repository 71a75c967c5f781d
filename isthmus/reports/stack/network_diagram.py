"""Pictures of a stack, drawn from its rendered graph: the network, and the identities. As Mermaid text.

Nothing stands in a picture that is not a resource of the graph, and the same graph gives the same text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from isthmus.contracts.platform.lookups.aws import kubernetes_sites
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.iam.permissions import roles
from isthmus.graph.network.reachability import Network, Pods, overlaps
from isthmus.graph.resources.resources import Graph, Resource, listed, statements
from isthmus.reports.stack import fargate_diagram


class Drawing:
    """Lines of a Mermaid flow chart; each node once."""

    def __init__(self) -> None:
        self.lines = ["flowchart LR"]
        self._known: set[str] = set()

    def node(self, key: str, *words: str, indent: int = 2) -> str:
        """A node by a key of one's own; its id."""
        ident = re.sub(r"\W+", "_", key)
        if ident not in self._known:
            self._known.add(ident)
            text = "<br/>".join(word.replace('"', "'") for word in words if word)
            self.lines.append(f'{" " * indent}{ident}["{text}"]')
        return ident

    def edge(self, start: str, end: str, words: str = "", line: str = "-->") -> None:
        text = f'  {start} {line}|"{words}"| {end}' if words else f"  {start} {line} {end}"
        if text not in self.lines:
            self.lines.append(text)

    def begin(self, key: str, words: str) -> None:
        self.lines.append(f'  subgraph {re.sub(r"[^A-Za-z0-9]+", "_", key)}["{words}"]')

    def end(self) -> None:
        self.lines.append("  end")

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def network(graph: Graph, platform: Platform) -> str:
    """Pods and what their policies let them reach, the link, the networks in AWS and the private endpoints."""
    drawing, pods = Drawing(), Network(graph)
    for site in kubernetes_sites(platform):
        drawing.begin(f"site {site.name}", f"{site.name} · {', '.join(site.cidrs)}")
        for one in sorted(pods.pods, key=lambda each: (each.namespace, each.name)):
            drawing.node(_key(one), one.name, one.namespace, indent=4)
        drawing.end()
    for vpc in sorted(graph.of("aws:ec2/vpc:Vpc"), key=lambda each: each.name):
        drawing.begin(vpc.name, f"VPC {vpc.inputs.get('cidrBlock')} · {_internet(graph, vpc)}")
        for subnet in _inside(graph, vpc, "aws:ec2/subnet:Subnet"):
            words = (f"subnet {subnet.inputs.get('cidrBlock')}", str(subnet.inputs.get("availabilityZone")))
            drawing.node(subnet.name, *words, indent=4)
        for endpoint in _inside(graph, vpc, "aws:ec2/vpcEndpoint:VpcEndpoint"):
            drawing.node(endpoint.name, _service(endpoint), "private endpoint", indent=4)
        for resolver in _resolvers(graph, vpc):
            words = f"{str(resolver.inputs.get('direction')).lower()} resolver"
            drawing.node(resolver.name, words, indent=4)
        fargate_diagram.nodes(graph, drawing, vpc)
        drawing.end()
    for vpc in sorted(graph.of("aws:ec2/vpc:Vpc"), key=lambda each: each.name):
        fargate_diagram.edges(graph, drawing, vpc)
    ends = _links(graph, drawing)
    for one in sorted(pods.pods, key=lambda each: (each.namespace, each.name)):
        _ways(drawing, pods, one, ends)
    return drawing.text()


def _links(graph: Graph, drawing: Drawing) -> dict[str, list[str]]:
    """Transit gateways, what joins them, and what they join; by a VPC's network, ids of its on-prem ends."""
    ends: dict[str, list[str]] = {}
    for gateway in graph.of("aws:ec2transitgateway/transitGateway:TransitGateway"):
        middle = drawing.node(gateway.name, "transit gateway", f"ASN {gateway.inputs.get('amazonSideAsn')}")
        mine = _ends(graph, drawing, gateway, middle)
        for attachment in graph.of("aws:ec2transitgateway/vpcAttachment:VpcAttachment"):
            if gateway in graph.referred(attachment.inputs.get("transitGatewayId")):
                for vpc in graph.referred(attachment.inputs.get("vpcId"), ":Vpc"):
                    ends.setdefault(str(vpc.inputs.get("cidrBlock")), []).extend(mine)
                    _through(graph, drawing, gateway, vpc)
    return ends


def _ends(graph: Graph, drawing: Drawing, gateway: Resource, middle: str) -> list[str]:
    """A transit gateway's VPNs and Direct Connect gateways."""
    ends: list[str] = []
    for vpn in graph.of("aws:ec2/vpnConnection:VpnConnection"):
        if gateway in graph.referred(vpn.inputs.get("transitGatewayId")):
            for peer in graph.referred(vpn.inputs.get("customerGatewayId")):
                words = (f"site's device {peer.inputs.get('ipAddress')}", f"ASN {peer.inputs.get('bgpAsn')}")
                ends.append(drawing.node(peer.name, *words))
                drawing.edge(ends[-1], middle, "VPN, two tunnels", "==>")
    for joined in graph.of("aws:directconnect/gatewayAssociation:GatewayAssociation"):
        if gateway in graph.referred(joined.inputs.get("associatedGatewayId")):
            for way in graph.referred(joined.inputs.get("dxGatewayId"), ":Gateway"):
                ends.append(drawing.node(way.name, "Direct Connect gateway"))
                drawing.edge(ends[-1], middle, "Direct Connect", "==>")
    return ends


def _through(graph: Graph, drawing: Drawing, gateway: Resource, vpc: Resource) -> None:
    """What the rules of a VPC's security groups let in from a gateway's site, and out to it.

    A rule counts where a route to the gateway covers addresses of it.
    """
    tables = {each.name for each in _inside(graph, vpc, "aws:ec2/routeTable:RouteTable")}
    behind = [
        str(route.inputs.get("destinationCidrBlock"))
        for route in graph.of("aws:ec2/route:Route")
        if gateway in graph.referred(route.inputs.get("transitGatewayId"))
        and tables & {each.name for each in graph.referred(route.inputs.get("routeTableId"))}
    ]
    middle = drawing.node(gateway.name)
    for one in (*_inside(graph, vpc, "aws:ec2/vpcEndpoint:VpcEndpoint"), *_resolvers(graph, vpc)):
        node = drawing.node(one.name)
        for cidr, port in _rules(graph, one, "Ingress"):
            if overlaps(cidr, behind):
                drawing.edge(middle, node, f"{port} from {cidr}", "==>")
        for cidr, port in _rules(graph, one, "Egress"):
            if overlaps(cidr, behind):
                drawing.edge(node, middle, f"{port} to {cidr}")
                drawing.edge(middle, drawing.node(cidr, cidr), port)


def _rules(graph: Graph, one: Resource, direction: str) -> list[tuple[str, str]]:
    """Addresses and ports that the rules of a resource's security groups let pass one way."""
    groups = graph.referred(one.inputs.get("securityGroupIds"), ":SecurityGroup")
    found: set[tuple[str, str]] = set()
    for rule in graph.of(f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"):
        if any(group in graph.referred(rule.inputs.get("securityGroupId")) for group in groups):
            first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
            if rule.inputs.get("cidrIpv4"):
                port = f"{first}" if first == last else f"{first}-{last}"
                found.add((str(rule.inputs["cidrIpv4"]), port))
    return sorted(found)


def _resolvers(graph: Graph, vpc: Resource) -> list[Resource]:
    """The resolver endpoints in a VPC: they say it by their security groups."""
    return [
        each
        for each in graph.of("aws:route53/resolverEndpoint:ResolverEndpoint")
        if any(
            vpc in graph.referred(group.inputs.get("vpcId"))
            for group in graph.referred(each.inputs.get("securityGroupIds"), ":SecurityGroup")
        )
    ]


def _ways(drawing: Drawing, network: Network, pods: Pods, ends: dict[str, list[str]]) -> None:
    """A pod's ways out: to other pods, and to addresses, those of a VPC by the ends of its links."""
    for peer, port in network.ways_out(pods):
        if "ipBlock" in peer:
            cidr = peer["ipBlock"]["cidr"]
            targets = ends.get(cidr) or [drawing.node(cidr, cidr)]
            for target in targets:
                drawing.edge(_id(pods), target, f"{cidr}:{port}")
        else:
            for other in network.matched(peer, pods.namespace):
                drawing.edge(_id(pods), _id(other), port)


def identities(graph: Graph) -> str:
    """Who becomes which AWS role by what proof, what bounds it, and what it may do to what."""
    drawing = Drawing()
    for role in roles(graph):
        middle = drawing.node(role.name, "role", role.name)
        for trusted in statements(role.resource.inputs.get("assumeRolePolicy")):
            for who, words in _trusted(graph, trusted):
                drawing.edge(drawing.node(who, *words), middle, "becomes")
        if role.boundary is not None:
            for policy in graph.referred(role.resource.inputs.get("permissionsBoundary"), ":Policy"):
                bound = drawing.node(policy.name, "boundary", f"at most {_most(role.boundary)}")
                drawing.edge(bound, middle, "bounds", "-.->")
        elif role.given:
            drawing.edge(drawing.node(role.given, "boundary of the organisation"), middle, "bounds", "-.->")
        for statement in role.policies:
            if statement.get("Effect") == "Allow":
                _may(graph, drawing, middle, statement)
    for profile in graph.of("aws:rolesanywhere/profile:Profile"):
        for made in graph.referred(profile.inputs.get("roleArns"), ":Role"):
            words = f"{profile.inputs.get('durationSeconds', 3600)} s, session policy"
            drawing.edge(
                drawing.node(profile.name, "profile", words), drawing.node(made.name), "narrows", "-.->"
            )
    return drawing.text()


def _most(boundary: list[dict[str, Any]]) -> str:
    """The services of which a boundary allows anything."""
    allowed = {
        action.split(":")[0]
        for statement in boundary
        if statement.get("Effect") == "Allow"
        for action in listed(statement.get("Action"))
    }
    return ", ".join(sorted(allowed)) or "nothing"


def _trusted(graph: Graph, statement: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Who may take a role: a certificate's name under an anchor, or a service of AWS."""
    condition = statement.get("Condition") or {}
    names = [
        value for test in condition.values() for value in listed(test.get("aws:PrincipalTag/x509Subject/CN"))
    ]
    if names:
        anchors = graph.referred(condition, "aws:rolesanywhere/trustAnchor:TrustAnchor")
        vouched = f"vouched for by {', '.join(each.name for each in anchors) or 'the named anchor'}"
        return [(name, ("certificate", name, vouched)) for name in names]
    services = listed((statement.get("Principal") or {}).get("Service"))
    equal = condition.get("StringEquals") or {}
    account = equal.get("aws:RequestTag/kubernetes-service-account")
    if services == ["pods.eks.amazonaws.com"] and account:
        name = f"{equal.get('aws:RequestTag/kubernetes-namespace')}/{account}"
        clusters = graph.referred(condition, "aws:eks/cluster:Cluster")
        where = f"in {', '.join(each.name for each in clusters) or 'the named cluster'}"
        return [(name, ("pods of service account", name, where))]
    return [(service, ("service of AWS", service)) for service in services]


def _may(graph: Graph, drawing: Drawing, role: str, statement: dict[str, Any]) -> None:
    actions = sorted({action.split(":")[0] for action in listed(statement.get("Action"))})
    words = ", ".join(f"{service}: {_short(statement, service)}" for service in actions)
    condition = statement.get("Condition") or {}
    through = [each.name for each in graph.referred(condition, ":InferenceProfile")]
    if through:
        return  # the models behind a profile are reached through it alone, and the profile is drawn
    targets = graph.referred(json.dumps(statement.get("Resource"))) or []
    for target in targets:
        kind = target.type.rsplit(":", 1)[-1]
        drawing.edge(role, drawing.node(target.name, kind, target.name), words)


def _short(statement: dict[str, Any], service: str) -> str:
    mine = [
        each.split(":", 1)[1] for each in listed(statement.get("Action")) if each.startswith(f"{service}:")
    ]
    return " ".join(sorted(mine))


def _inside(graph: Graph, vpc: Resource, kind: str) -> list[Resource]:
    return sorted(
        (each for each in graph.of(kind) if vpc in graph.referred(each.inputs.get("vpcId"))),
        key=lambda each: each.name,
    )


def _internet(graph: Graph, vpc: Resource) -> str:
    gateways = _inside(graph, vpc, "aws:ec2/internetGateway:InternetGateway")
    return "internet gateway" if gateways else "no internet gateway"


def _service(endpoint: Resource) -> str:
    return str(endpoint.inputs.get("serviceName", "")).split(".", 3)[-1]


def _key(pods: Pods) -> str:
    return f"{pods.namespace} {pods.name}"


def _id(pods: Pods) -> str:
    return re.sub(r"\W+", "_", _key(pods))
