"""Ways out that a class has beside its gateway: by its network policies and groups, an AWS identity, a host that its
pods are told.

Over-stated on purpose, as `isthmus.graph.network.reachability` is: what a policy lets out is a way, whether anything
takes it or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.aws.eks import AGENT
from isthmus.contracts.platform.model.dns import ClusterDns
from isthmus.contracts.reference import handling
from isthmus.contracts.reports.preview import Hop
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.graph.data_path.model_services import HOSTS
from isthmus.graph.data_path.verdicts import ALLOWED, Judge, Verdict, refused, undecided
from isthmus.graph.iam.permissions import mounts_only
from isthmus.graph.network.private_endpoints import own
from isthmus.graph.network.reachability import CLASS, NAMESPACE, Network, Pods, overlaps, public, within
from isthmus.graph.resources.resources import Graph, Resource, boxes, place
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads.fargate_tasks import SERVICE, rules
from isthmus.graph.workloads.servers import Server, Servers, known, mislabelled
from isthmus.graph.workloads.translators import ASSOCIATION, ROLE_ARN, Translator, identity

CLOUDS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "azure.com",
    "googleapis.com",
    "openai.com",
    "anthropic.com",
)
"""Names under which clouds serve models: those that the edge refuses in a restricted gateway's file, too."""
_AWS = CLOUDS[:3]
"""In what the names of AWS's services end, by partition."""
_HOST = re.compile(
    rf"[\w.${{}}-]+\.(?:{'|'.join(re.escape(each) for each in CLOUDS)})(?![\w-]|\.\w)", re.IGNORECASE
)
_PROXIES = "gateway.networking.k8s.io/gateway-name"
_RESOLVER = "resolver"
"""Role of a class's own resolver, which alone of its pods asks the cluster's DNS where the site filters names."""


Origin = Literal["network", "identity", "host"]
BEARERS = ("translator", "sealer")
"""Who may have an AWS identity, by what it is told: a translator calls models, a sealer puts seals."""
ASKERS = ("gateway", "reviews")
"""Who asks a class's database: its gateway, and those who decide upon its held answers."""


@dataclass(frozen=True)
class Outward:
    """One way out, from whom on."""

    origin: Origin
    start: Hop
    hops: tuple[Hop, ...]
    verdict: Verdict
    resource: Resource | None = None
    """What a finding is about: the namespace, or who has the identity or is told the host."""


class Outside:
    """Finds the ways out of the classes of one graph."""

    def __init__(self, graph: Graph, places: Places, servers: Servers, judge: Judge) -> None:
        self._graph, self._places, self._servers, self._judge = graph, places, servers, judge
        self._network = Network(graph)
        self._policed = {place(each)[1] for each in self._network.unread}

    def spaces(self, class_: Sensitivity) -> list[str]:
        """Namespaces of a class: by their own label or name, or because pods of the class are in them."""
        ours = {name for name, of in self._servers.spaces.items() if of == class_}
        return sorted({*self._network.spaces(class_), *ours})

    def of(self, class_: Sensitivity) -> Iterator[Outward]:
        """All of a class's."""
        for space in self.spaces(class_):
            yield from self._by_network(class_, space)
            yield from self._by_account(class_, space)
        for server in self._servers.of(class_):
            yield from self._by_identity(class_, server)
            yield from self._by_host(class_, server)
            if not server.namespace:
                yield from self._by_group(class_, server)

    def _by_network(self, class_: Sensitivity, space: str) -> Iterator[Outward]:
        about = self._namespace(space)
        anyone = self._pods(space, "any pod")
        wrong = mislabelled(about) if about is not None else ""
        if wrong:
            hop = Hop(kind="network", name=CLASS, where=anyone.where)
            yield Outward("network", anyone, (hop,), refused(wrong), about)
        for each in self._network.unread:
            if place(each)[1] == space or not (each.inputs.get("metadata") or {}).get("namespace"):
                why = f"{each.name} is a network policy of a kind that is not read here"
                hop = Hop(kind="network", name=each.name, where=anyone.where)
                yield Outward("network", anyone, (hop,), self._judge.unsure(class_, why), each)
        reached = self._network.reached(space)
        for pods in sorted(reached.pods, key=lambda each: (each.namespace, each.name, each.labels)):
            start = self._pods(pods.namespace, pods.name)
            other = self._servers.spaces.get(pods.namespace) or known(pods.class_)
            if pods.namespace != space and other != class_:
                verdict = _foreign(class_, other, pods, space)
                yield Outward("network", anyone, (self._as_hop(pods),), verdict, about)
            if pods.namespace == space and known(pods.class_) not in ("", class_):
                said = refused(f"{pods.name} is of class {pods.class_}, in a namespace of {class_} work")
                yield Outward("network", anyone, (self._as_hop(pods),), said, about)
            for peer, port in self._network.ways_out(pods):
                if "ipBlock" not in peer:
                    yield from self._by_selector(class_, pods, start, peer, space)
                    continue
                cidr = str(peer["ipBlock"]["cidr"])
                if self._explained(class_, pods, cidr, port):
                    continue
                site = self._places.holding(within, cidr)
                hops = [
                    Hop(kind="network", name=cidr if port == "any" else f"{cidr} port {port}", where=site)
                ]
                hops += [Hop(kind="site", name=site)] if site else []
                if self._resolves(class_, pods, cidr, port):
                    continue
                asks = self._asks_what_is_stated(class_, pods, cidr, port)
                verdict = ALLOWED if asks else self._address(class_, cidr, port, space)
                yield Outward("network", start, tuple(hops), verdict, about)

    def _by_selector(
        self, class_: Sensitivity, pods: Pods, start: Hop, peer: dict[str, Any], space: str
    ) -> Iterator[Outward]:
        """Pods that a policy lets in whom the graph does not hold: what they reach is not known."""
        said = self._network.beyond(peer, pods.namespace)
        if not said or said in self._named(class_, space) or self._resolves(class_, pods, said):
            return
        why = f"{space} reaches {said}, whose own ways are not known"
        hop = Hop(kind="network", name=said, where=start.where)
        yield Outward("network", start, (hop,), self._judge.unsure(class_, why), self._namespace(space))

    def _resolves(self, class_: str, pods: Pods, to: str, port: str = "") -> bool:
        """Whether pods ask one of the resolvers that the platform states for their site's cluster, as they may.

        Where the site filters names, only the class's own resolver and the proxies of a router do. `to`: an address
        range with its `port`, or the selectors of pods. Restricted pods never do.
        """
        if class_ == "restricted":
            return False
        platform = self._judge.platform
        sites = (
            [ClusterDns(filter=False)] if platform is None else [site.cluster_dns for site in platform.sites]
        )
        proxies = any(key == _PROXIES for key, _ in pods.labels)
        for dns in sites:
            if dns.filter and pods.role != _RESOLVER and not proxies:
                continue
            for peer in dns.resolvers:
                if peer.cidr is not None and (peer.cidr, str(peer.port)) == (to, port):
                    return True
                labels = [
                    f"{NAMESPACE}={peer.namespace}",
                    *(f"{key}={value}" for key, value in sorted(peer.labels.items())),
                ]
                if peer.cidr is None and to == ", ".join(labels):
                    return True
        return False

    def _named(self, class_: str, space: str) -> set[str]:
        """What lies around a router: its proxies, made for a Gateway that is made here, and by the platform's word
        its control plane and the pickers that it asks."""
        platform = self._judge.platform
        routers = list(self._graph.of("gateway.networking.k8s.io/v1:Gateway"))
        names = {f"{_PROXIES}={place(each)[0]}" for each in routers if place(each)[1] == space}
        for each in platform.gateways if platform else []:
            if each.class_ == class_ and each.router:
                names.add(f"{NAMESPACE}={each.router.control_namespace}")
        for each in platform.endpoints if platform else []:
            if each.class_ == class_ and each.picker:
                labels = sorted(each.picker.labels.items())
                names.add(", ".join(f"{key}={value}" for key, value in labels))
        return names

    def _explained(self, class_: str, pods: Pods, cidr: str, port: str) -> bool:
        """Whether a way of a translator's or a sealer's is the one to private endpoints of ours, or to what hands out
        its identity."""
        for server in self._servers.all:
            mine = (server.name, server.namespace, server.class_) == (pods.name, pods.namespace, class_)
            if not mine or server.role not in BEARERS or class_ == "restricted":
                continue
            if (cidr, port) == (AGENT, "80") and identity(self._graph, server.namespace, server.template):
                return True
            if port == "443" and within(cidr, self._carrying(server.class_)):
                return True
        return False

    def _asks_what_is_stated(self, class_: str, pods: Pods, cidr: str, port: str) -> bool:
        """Whether a way leads to the database or the collector that the platform states for the class's gateway, in a
        network in AWS that carries the class, and is theirs who ask it: of traces the gateway alone."""
        if pods.role not in ASKERS or not within(cidr, self._carrying(class_)):
            return False
        platform, stated = self._judge.platform, set[tuple[str, str]]()
        for gateway in platform.gateways if platform else []:
            if gateway.class_ == class_ and (database := gateway.database) is not None:
                stated.add((f"{database.address}/32", str(database.port)))
            if gateway.class_ == class_ and (traces := gateway.traces) is not None and pods.role == "gateway":
                stated.add((f"{traces.address}/32", str(urlsplit(traces.endpoint).port or 443)))
        return (cidr, port) in stated

    def _carrying(self, class_: str) -> list[str]:
        """Networks in AWS that may carry a class: the platform's, else those in which private endpoints stand."""
        if self._judge.platform is not None:
            every = self._judge.platform.networks
            return [
                each.cidr for each in every if each.cidr and each.mode != "off" and class_ in each.classes
            ]
        held = [
            vpc
            for endpoint in self._graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
            for vpc in self._graph.referred(endpoint.inputs.get("vpcId"), ":Vpc")
        ]
        return [str(each.inputs.get("cidrBlock")) for each in held]

    def _address(self, class_: Sensitivity, cidr: str, port: str, who: str) -> Verdict:
        """Whether a class may reach addresses by its pods' or tasks' own network."""
        if class_ == "public":
            return ALLOWED
        to = f"{who} reaches {cidr} port {port}"
        if "$" in cidr:
            return undecided(f"{to}, and which addresses these are is not known")
        if within(cidr, self._places.ranges("on-prem")):
            return ALLOWED
        if class_ != "restricted" and within(cidr, self._carrying(class_)):
            return ALLOWED if port == "443" else refused(f"{to}, beyond the private endpoints")
        if class_ == "restricted" and overlaps(cidr, self._clouds()):
            return refused(f"{to}, which holds addresses of AWS")
        if self._judge.platform is None and not public(cidr) and not overlaps(cidr, self._clouds()):
            return undecided(f"{to}, and nothing says where that is")
        where = (
            "the on-prem sites" if class_ == "restricted" else f"the sites and the networks of {class_} work"
        )
        return refused(f"{to}, outside {where}")

    def _clouds(self) -> list[str]:
        """Addresses in AWS: the sites' there, the networks', and those of every VPC that is made."""
        made = [each.inputs.get("cidrBlock") for each in self._graph.of("aws:ec2/vpc:Vpc")]
        stated = self._judge.platform.networks if self._judge.platform else []
        return [
            *self._places.ranges("aws"),
            *(each.cidr for each in stated if each.cidr),
            *(str(each) for each in made if each),
        ]

    def _by_account(self, class_: Sensitivity, space: str) -> Iterator[Outward]:
        """Service accounts of a namespace that become a role in AWS, whether pods bear them yet or not."""
        for each in self._graph.of(ASSOCIATION, "kubernetes:core/v1:ServiceAccount"):
            if each.type == ASSOCIATION:
                account, where = str(each.inputs.get("serviceAccount")), str(each.inputs.get("namespace"))
                role = str(each.inputs.get("roleArn") or "unknown")
            else:
                account, where = place(each)
                role = str(((each.inputs.get("metadata") or {}).get("annotations") or {}).get(ROLE_ARN) or "")
            if where != space or not role or self._bears(space, account):
                continue
            start = self._pods(space, f"any pod of account {account}")
            verdict = _identity(class_, self._judge, f"{each.name} gives pods of {space} an AWS identity")
            yield Outward("identity", start, (self.who(role),), verdict, each)

    def _bears(self, space: str, account: str) -> bool:
        return any(
            each.namespace == space
            and (each.template.get("spec") or {}).get("serviceAccountName", "default") == account
            for each in self._servers.all
        )

    def _by_identity(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Whoever has an AWS identity and no configuration that says what it calls."""
        role = self.role_of(server)
        if server.role == "translator" and server.unread:
            return  # its ways are found by what its configuration is made of
        modes = {str(each.get("mode")) for each in server.configs}
        if "translator" in modes:
            return
        if class_ != "restricted" and not server.unread and role:
            if modes == {"sealer"}:
                return  # what its role may is `isthmus.graph.workloads.sealers`' to judge
            if modes == {"gateway"} and not server.namespace and mounts_only(self._graph, role):
                return  # its tasks mount their share of records by it
        if role:
            verdict = _identity(class_, self._judge, f"{server.name} has an AWS identity")
            yield Outward("identity", self._as_server(server), (self.who(role),), verdict, server.resource)

    def role_of(self, server: Server) -> str:
        """The AWS role that pods or tasks have; empty where they have none."""
        if not server.namespace:
            return str(server.resource.inputs.get("taskRoleArn") or "")
        return identity(self._graph, server.namespace, server.template)

    def who(self, role: str) -> Hop:
        """A role as a step: by the identity's name where it bears one."""
        made = self._graph.referred(role, ":Role")
        if not made:
            return Hop(kind="identity", name=role)
        named = (made[0].inputs.get("tags") or {}).get("isthmus.dev/identity")
        return Hop(kind="identity", name=str(named or made[0].name), where=self._places.of(made[0]).name)

    def _by_host(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Names of a cloud's that pods are told, other than what their configuration and credential helper call."""
        told = {str(model.get("endpoint_url") or "") for each in server.configs for model in _models(each)}
        told |= {str(route.get("url") or "") for each in server.configs for route in each.get("routes") or []}
        if class_ != "restricted" and server.role == "sealer" and self.role_of(server):
            told |= {str((each.get("store") or {}).get("endpoint") or "") for each in server.configs}
        if class_ != "restricted" and server.role == _RESOLVER:
            told |= self._called_beside(server)
        for host in sorted(set(self._hosts(server))):
            if any(host in each for each in told):
                continue
            verdict = self._host(class_, host)
            if verdict is not None:
                hop = Hop(kind="network", name=host)
                yield Outward("host", self._as_server(server), (hop,), verdict, server.resource)

    def _called_beside(self, resolver: Server) -> set[str]:
        """Hosts that the other pods of a resolver's namespace call, each judged there: it may answer for these."""
        hosts: set[str] = set()
        for server in self._servers.all:
            if server.namespace != resolver.namespace or server is resolver:
                continue
            hosts |= set(self._hosts(server))
            for model in (model for config in server.configs for model in _models(config)):
                # Without an endpoint's URL, the SDK calls the service's own name.
                service = HOSTS["sagemaker" if model.get("provider") == "sagemaker" else "bedrock"]
                hosts |= {f"{service}.{model.get('region')}.{domain}" for domain in _AWS}
            helper = (
                Translator(server.name, server.namespace, server.class_, server.template)
                if server.template
                else None
            )
            if helper is not None and "--region" in helper.options:
                hosts |= {f"rolesanywhere.{helper.options['--region']}.{domain}" for domain in _AWS}
        return hosts

    def _host(self, class_: Sensitivity, host: str) -> Verdict | None:
        """What a host is to a class; None for the private endpoint of sessions, which takes no prompts."""
        url = f"https://{host}"
        if class_ != "restricted" and own(self._graph, url, "rolesanywhere"):
            return None
        if not handling.may_use_aws(class_):
            return refused(f"{host} is a cloud's, where no {class_} work may go")
        ours = [each for each in HOSTS.values() if own(self._graph, url, each)]
        if ours:
            return self._judge.unsure(
                class_, f"which models are called at {host} is not said by a configuration"
            )
        stores = [
            each.weights.store.host
            for each in (self._judge.platform.endpoints if self._judge.platform else [])
            if each.class_ == class_ and each.weights and each.weights.store
        ]
        if host in stores:
            return ALLOWED
        if class_ == "public":
            region = re.search(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.", host)
            return self._judge.region(class_, region[1]) if region else ALLOWED
        return refused(f"{host} is a cloud's public name, and {class_} work goes by private endpoints")

    def _hosts(self, server: Server) -> Iterator[str]:
        for box in boxes(server.template):
            said = {key: value for key, value in box.items() if key != "image"}
            yield from _HOST.findall(json.dumps(said))
        for each in server.maps:
            yield from _HOST.findall(json.dumps(each.inputs.get("data") or {}))

    def _by_group(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Addresses to which the security groups of a service on Fargate open its tasks."""
        for service in self._graph.of(SERVICE):
            if server.resource not in self._graph.referred(service.inputs.get("taskDefinition")):
                continue
            network = service.inputs.get("networkConfiguration") or {}
            groups = self._graph.referred(network.get("securityGroups") or [], ":SecurityGroup")
            for rule in rules(self._graph, "Egress", groups):
                for key in ("cidrIpv4", "cidrIpv6"):
                    if rule.inputs.get(key):
                        cidr = str(rule.inputs[key])
                        hop = Hop(kind="network", name=cidr, where=server.where.name)
                        verdict = self._address(class_, cidr, _ports(rule), service.name)
                        yield Outward("network", self._as_server(server), (hop,), verdict, service)

    def _namespace(self, space: str) -> Resource | None:
        found = self._graph.of("kubernetes:core/v1:Namespace")
        return next((each for each in found if place(each)[0] == space), None)

    def _site(self, space: str) -> str:
        return next((each.where.name for each in self._servers.all if each.namespace == space), "")

    def _pods(self, space: str, name: str) -> Hop:
        return Hop(kind="workload", name=f"{space}/{name}", where=self._site(space))

    def _as_server(self, server: Server) -> Hop:
        name = f"{server.namespace}/{server.name}" if server.namespace else server.name
        return Hop(kind="workload", name=name, where=server.where.name)

    def _as_hop(self, pods: Pods) -> Hop:
        kind = {"gateway": "gateway", "translator": "translator"}.get(pods.role, "endpoint")
        return Hop(kind=kind, name=f"{pods.namespace}/{pods.name}", where=self._site(pods.namespace))  # type: ignore[arg-type]


def _models(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in config.get("models") or [] if isinstance(each, dict)]


def _ports(rule: Resource) -> str:
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    if first is None:
        return "any"
    return str(first) if first == last else f"{first}-{last}"


def _foreign(class_: Sensitivity, other: str, pods: Pods, space: str) -> Verdict:
    to = f"{space} reaches {pods.name}"
    if other:
        return refused(f"{to} of class {other}, and classes share nothing")
    if class_ == "public":
        return ALLOWED
    return undecided(f"{to} of {pods.namespace}, and nothing says of which class that is")


def _identity(class_: Sensitivity, judge: Judge, what: str) -> Verdict:
    if not handling.may_use_aws(class_):
        return refused(f"{what}, which no {class_} work may have")
    return judge.unsure(class_, f"{what}, and no configuration that can be read says what it calls")


__all__ = ["CLOUDS", "Origin", "Outside", "Outward"]
