"""Exits of a class beside its gateway: by network policy or security group, by AWS identity, or by a configured host.

The result is an upper bound, like that of `isthmus.graph.network.reachability`: an allowed destination is an exit,
whether anything uses it or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.notifier import exits_of
from isthmus.contracts.platform.lookups.usage import loader_places
from isthmus.contracts.platform.model.aws.eks import POD_IDENTITY_AGENT_CIDR
from isthmus.contracts.platform.model.dns import ClusterDns
from isthmus.contracts.reference import handling, sign_on_proxy
from isthmus.contracts.reports.preview import Hop
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.ip_addresses import is_within
from isthmus.graph.data_path.model_services import RUNTIME_HOSTS
from isthmus.graph.data_path.verdicts import ALLOWED, Judge, Verdict, refused, undecided
from isthmus.graph.iam.permissions import mounts_only
from isthmus.graph.network.private_endpoints import endpoint_of_url
from isthmus.graph.network.reachability import CLASS, NAMESPACE, Network, Pods, is_public, overlaps
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace, pod_containers
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads.fargate_tasks import SERVICE, security_group_rules
from isthmus.graph.workloads.servers import Server, Servers, known_class, mislabelled
from isthmus.graph.workloads.translators import ASSOCIATION, ROLE_ARN, Translator, identity

CLOUD_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "azure.com",
    "googleapis.com",
    "openai.com",
    "anthropic.com",
)
"""Domains under which clouds serve models. The edge also refuses them in the configuration of a restricted gateway."""
_AWS_DOMAINS = CLOUD_DOMAINS[:3]
"""Domains of AWS services, by partition."""
_HOST = re.compile(
    rf"[\w.${{}}-]+\.(?:{'|'.join(re.escape(domain) for domain in CLOUD_DOMAINS)})(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_PROXIES = "gateway.networking.k8s.io/gateway-name"
_RESOLVER = "resolver"
"""Role of a class's own resolver. Where the site filters names, only this pod queries the cluster's DNS."""


Origin = Literal["network", "identity", "host"]
IDENTITY_ROLES = ("translator", "sealer")
"""Roles that may have an AWS identity: a translator calls models, a sealer writes seals."""
DATABASE_ROLES = ("gateway", "reviews", "notifier", "loader", "chat", *sign_on_proxy.ROLES)
"""Roles that use what the platform states by its address: a class's gateway, the service that decides held answers, the
notifier, the loader of the usage ledger, the chat, and the sign-ons."""


@dataclass(frozen=True)
class Outward:
    """An exit, with the hops to it."""

    origin: Origin
    start: Hop
    hops: tuple[Hop, ...]
    verdict: Verdict
    resource: Resource | None = None
    """The resource of a finding: the namespace, or the pods with the identity or the host."""


class Outside:
    """Finds the exits of the classes of one graph."""

    def __init__(
        self,
        graph: Graph,
        places: Places,
        servers: Servers,
        judge: Judge,
        resolving: frozenset[str] = frozenset(),
    ) -> None:
        self._graph, self._places, self._servers, self._judge = graph, places, servers, judge
        self._resolving = resolving
        self._network = Network(graph)
        self._policed = {name_and_namespace(policy)[1] for policy in self._network.unread}

    def spaces(self, class_: Sensitivity) -> list[str]:
        """Namespaces of a class: by their label or name, or because they contain pods of the class."""
        labelled = {name for name, of in self._servers.spaces.items() if of == class_}
        return sorted({*self._network.spaces(class_), *labelled})

    def of(self, class_: Sensitivity) -> Iterator[Outward]:
        """All exits of a class."""
        for namespace in self.spaces(class_):
            yield from self._by_network(class_, namespace)
            yield from self._by_account(class_, namespace)
        for server in self._servers.of(class_):
            yield from self._by_identity(class_, server)
            yield from self._by_host(class_, server)
            if not server.namespace:
                yield from self._by_group(class_, server)

    def _by_network(self, class_: Sensitivity, namespace: str) -> Iterator[Outward]:
        resource = self._namespace(namespace)
        anyone = self._pods(namespace, "any pod")
        mislabelling = mislabelled(resource) if resource is not None else ""
        if mislabelling:
            hop = Hop(kind="network", name=CLASS, where=anyone.where)
            yield Outward("network", anyone, (hop,), refused(mislabelling), resource)
        for policy in self._network.unread:
            if name_and_namespace(policy)[1] == namespace or not (policy.inputs.get("metadata") or {}).get(
                "namespace"
            ):
                why = f"{policy.name} is a network policy of a kind that is not read here"
                hop = Hop(kind="network", name=policy.name, where=anyone.where)
                yield Outward("network", anyone, (hop,), self._judge.unsure(class_, why), policy)
        reached = self._network.reached(namespace)
        for pods in sorted(reached.pods, key=lambda entry: (entry.namespace, entry.name, entry.labels)):
            start = self._pods(pods.namespace, pods.name)
            other_class = self._servers.spaces.get(pods.namespace) or known_class(pods.class_)
            if pods.namespace != namespace and other_class != class_:
                verdict = _foreign_pods_verdict(class_, other_class, pods, namespace)
                yield Outward("network", anyone, (self._as_hop(pods),), verdict, resource)
            if pods.namespace == namespace and known_class(pods.class_) not in ("", class_):
                wrong_class = refused(
                    f"{pods.name} is of class {pods.class_}, in a namespace of {class_} work"
                )
                yield Outward("network", anyone, (self._as_hop(pods),), wrong_class, resource)
            for peer, port in self._network.ways_out(pods):
                if "ipBlock" not in peer:
                    yield from self._by_selector(class_, pods, start, peer, namespace)
                    continue
                cidr = str(peer["ipBlock"]["cidr"])
                if self._explained(class_, pods, cidr, port):
                    continue
                site = self._places.holding(is_within, cidr)
                hops = [
                    Hop(kind="network", name=cidr if port == "any" else f"{cidr} port {port}", where=site)
                ]
                hops += [Hop(kind="site", name=site)] if site else []
                if self._resolves(class_, pods, cidr, port):
                    continue
                is_stated = self._asks_what_is_stated(class_, pods, cidr, port)
                verdict = ALLOWED if is_stated else self._address(class_, cidr, port, namespace)
                yield Outward("network", start, tuple(hops), verdict, resource)

    def _by_selector(
        self, class_: Sensitivity, pods: Pods, start: Hop, peer: dict[str, Any], namespace: str
    ) -> Iterator[Outward]:
        """Pods outside the graph that a policy allows as destinations. It is unknown what they reach."""
        selectors = self._network.beyond(peer, pods.namespace)
        if (
            not selectors
            or selectors in self._named(class_, pods.namespace)
            or self._resolves(class_, pods, selectors)
        ):
            return
        why = f"{namespace} reaches {selectors}, whose own ways are not known"
        hop = Hop(kind="network", name=selectors, where=start.where)
        yield Outward("network", start, (hop,), self._judge.unsure(class_, why), self._namespace(namespace))

    def _resolves(self, class_: str, pods: Pods, to: str, port: str = "") -> bool:
        """Whether the destination is a resolver of the pods' cluster that the pods may use.

        Where the site filters names, only the class's own resolver and the proxies of a router use it. Restricted pods
        never do. `to`: an address range with its `port`, or the selectors of pods.
        """
        if class_ == "restricted":
            return False
        platform = self._judge.platform
        sites = (
            [ClusterDns(filter=False)] if platform is None else [site.cluster_dns for site in platform.sites]
        )
        proxies = any(key == _PROXIES for key, _ in pods.labels)
        for dns in sites:
            may_ask = pods.role == _RESOLVER or proxies or pods.namespace in self._resolving
            if dns.filter and not may_ask:
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

    def _named(self, class_: str, namespace: str) -> set[str]:
        """The parts of a router: proxies of a Gateway in the graph, its control plane and its endpoint pickers."""
        platform = self._judge.platform
        routers = list(self._graph.of("gateway.networking.k8s.io/v1:Gateway"))
        names = {
            f"{_PROXIES}={name_and_namespace(router)[0]}"
            for router in routers
            if name_and_namespace(router)[1] == namespace
        }
        for gateway in platform.gateways if platform else []:
            if gateway.class_ == class_ and gateway.router:
                names.add(f"{NAMESPACE}={gateway.router.control_namespace}")
        for endpoint in platform.endpoints if platform else []:
            if endpoint.class_ == class_ and endpoint.picker:
                labels = sorted(endpoint.picker.labels.items())
                names.add(", ".join(f"{key}={value}" for key, value in labels))
        return names

    def _explained(self, class_: str, pods: Pods, cidr: str, port: str) -> bool:
        """Whether an exit of a translator or sealer leads to the stack's private endpoints or its identity source."""
        for server in self._servers.all:
            mine = (server.name, server.namespace, server.class_) == (pods.name, pods.namespace, class_)
            if not mine or server.role not in IDENTITY_ROLES or class_ == "restricted":
                continue
            if (cidr, port) == (POD_IDENTITY_AGENT_CIDR, "80") and identity(
                self._graph, server.namespace, server.template
            ):
                return True
            if port == "443" and is_within(cidr, self._carrying(server.class_)):
                return True
        return False

    def _asks_what_is_stated(self, class_: str, pods: Pods, cidr: str, port: str) -> bool:
        """Whether an exit leads to what the platform states for the class's gateway: database, collector, sign-on.

        Its network in AWS must carry the class, and the pods must be users of it: only the gateway sends traces, and
        reads the keys of the sign-on.
        """
        platform, addresses = self._judge.platform, set[tuple[str, str]]()
        gateways = [
            gateway for gateway in (platform.gateways if platform else []) if gateway.class_ == class_
        ]
        if pods.role == "notifier" and class_ != "restricted":
            # Notifications have no content, so they may leave the class's networks to the places that people stated.
            places = {(f"{at.address}/32", str(at.port)) for gateway in gateways for at in exits_of(gateway)}
            if (cidr, port) in places:
                return True
        if pods.role not in DATABASE_ROLES or not is_within(cidr, self._carrying(class_)):
            return False
        for gateway in gateways:
            uses_it = pods.role in ("gateway", "reviews", "notifier")
            if (database := gateway.database) is not None and uses_it:
                addresses.add((f"{database.address}/32", str(database.port)))
            if platform is not None and pods.role == "loader":
                places = loader_places(platform, gateway)
                addresses |= {(f"{address}/32", str(number)) for address, number in places}
            if (traces := gateway.traces) is not None and pods.role == "gateway":
                addresses.add((f"{traces.address}/32", str(urlsplit(traces.endpoint).port or 443)))
            if (chat := gateway.chat) is not None and pods.role == "chat":
                addresses.add((f"{chat.database.address}/32", str(chat.database.port)))
        sign_on = platform.people.sign_on if platform and platform.people else None
        if sign_on is not None and sign_on.address is not None and pods.role in sign_on_proxy.ROLES:
            addresses.add((f"{sign_on.address}/32", str(urlsplit(sign_on.issuer).port or 443)))
        keys = sign_on.keys if sign_on is not None else None
        if keys is not None and keys.address is not None and self._reads_keys(class_, pods):
            addresses.add((f"{keys.address}/32", str(urlsplit(keys.url or "").port or 443)))
        return (cidr, port) in addresses

    def _reads_keys(self, class_: str, pods: Pods) -> bool:
        """Whether pods verify people's tokens: those of a gateway, a chat, and a review service with a desk."""
        platform = self._judge.platform
        has_desk = any(
            gateway.class_ == class_ and gateway.desk is not None
            for gateway in (platform.gateways if platform else [])
        )
        return pods.role in ("gateway", "chat") or (pods.role == "reviews" and has_desk)

    def _carrying(self, class_: str) -> list[str]:
        """Networks in AWS that may carry a class: those of the platform, otherwise those with private endpoints."""
        if self._judge.platform is not None:
            networks = self._judge.platform.networks
            return [
                network.cidr
                for network in networks
                if network.cidr and network.mode != "off" and class_ in network.classes
            ]
        vpcs = [
            vpc
            for endpoint in self._graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
            for vpc in self._graph.referred(endpoint.inputs.get("vpcId"), ":Vpc")
        ]
        return [str(vpc.inputs.get("cidrBlock")) for vpc in vpcs]

    def _address(self, class_: Sensitivity, cidr: str, port: str, name: str) -> Verdict:
        """Whether a class may reach addresses from the network of its pods or tasks."""
        if class_ == "public":
            return ALLOWED
        reach = f"{name} reaches {cidr} port {port}"
        if "$" in cidr:
            return undecided(f"{reach}, and which addresses these are is not known")
        if is_within(cidr, self._places.ranges("on-prem")):
            return ALLOWED
        if class_ != "restricted" and is_within(cidr, self._carrying(class_)):
            return ALLOWED if port == "443" else refused(f"{reach}, beyond the private endpoints")
        if class_ == "restricted" and overlaps(cidr, self._clouds()):
            return refused(f"{reach}, which holds addresses of AWS")
        if self._judge.platform is None and not is_public(cidr) and not overlaps(cidr, self._clouds()):
            return undecided(f"{reach}, and nothing says where that is")
        where = (
            "the on-prem sites" if class_ == "restricted" else f"the sites and the networks of {class_} work"
        )
        return refused(f"{reach}, outside {where}")

    def _clouds(self) -> list[str]:
        """Address ranges in AWS: of the sites, of the networks, and of every VPC in the graph."""
        vpc_blocks = [vpc.inputs.get("cidrBlock") for vpc in self._graph.of("aws:ec2/vpc:Vpc")]
        networks = self._judge.platform.networks if self._judge.platform else []
        return [
            *self._places.ranges("aws"),
            *(network.cidr for network in networks if network.cidr),
            *(str(block) for block in vpc_blocks if block),
        ]

    def _by_account(self, class_: Sensitivity, namespace: str) -> Iterator[Outward]:
        """Service accounts of a namespace that have an AWS role, whether pods use them yet or not."""
        for association in self._graph.of(ASSOCIATION, "kubernetes:core/v1:ServiceAccount"):
            if association.type == ASSOCIATION:
                account, account_namespace = (
                    str(association.inputs.get("serviceAccount")),
                    str(association.inputs.get("namespace")),
                )
                role = str(association.inputs.get("roleArn") or "unknown")
            else:
                account, account_namespace = name_and_namespace(association)
                role = str(
                    ((association.inputs.get("metadata") or {}).get("annotations") or {}).get(ROLE_ARN) or ""
                )
            if account_namespace != namespace or not role or self._bears(namespace, account):
                continue
            start = self._pods(namespace, f"any pod of account {account}")
            verdict = _identity_verdict(
                class_, self._judge, f"{association.name} gives pods of {namespace} an AWS identity"
            )
            yield Outward("identity", start, (self.who(role),), verdict, association)

    def _bears(self, namespace: str, account: str) -> bool:
        return any(
            server.namespace == namespace
            and (server.template.get("spec") or {}).get("serviceAccountName", "default") == account
            for server in self._servers.all
        )

    def _by_identity(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Pods with an AWS identity and no configuration that states what they call."""
        role = self.role_of(server)
        if server.role == "translator" and server.unread:
            return  # its exits follow from the parts of its configuration
        modes = {str(config.get("mode")) for config in server.configs}
        if "translator" in modes:
            return
        if class_ != "restricted" and not server.unread and role:
            if modes == {"sealer"}:
                return  # `isthmus.graph.workloads.sealers` judges its role
            if modes == {"gateway"} and not server.namespace and mounts_only(self._graph, role):
                return  # its tasks use the role to mount their share of records
        if role:
            verdict = _identity_verdict(class_, self._judge, f"{server.name} has an AWS identity")
            yield Outward("identity", self._as_server(server), (self.who(role),), verdict, server.resource)

    def role_of(self, server: Server) -> str:
        """The AWS role of pods or tasks; empty if they have none."""
        if not server.namespace:
            return str(server.resource.inputs.get("taskRoleArn") or "")
        return identity(self._graph, server.namespace, server.template)

    def who(self, role: str) -> Hop:
        """A role as a hop, with the name of the identity if it has one."""
        roles = self._graph.referred(role, ":Role")
        if not roles:
            return Hop(kind="identity", name=role)
        identity_name = (roles[0].inputs.get("tags") or {}).get("isthmus.dev/identity")
        return Hop(
            kind="identity", name=str(identity_name or roles[0].name), where=self._places.of(roles[0]).name
        )

    def _by_host(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Cloud hosts that pods are configured with, except those of their edge configuration and credential helper."""
        known_urls = {
            str(model.get("endpoint_url") or "")
            for config in server.configs
            for model in _mappings(config.get("models"))
        }
        known_urls |= {
            str(route.get("url") or "")
            for config in server.configs
            for route in _mappings(config.get("routes"))
        }
        if class_ != "restricted" and server.role == "sealer" and self.role_of(server):
            known_urls |= {
                str((config.get("store") or {}).get("endpoint") or "") for config in server.configs
            }
        if class_ != "restricted" and server.role == _RESOLVER:
            known_urls |= self._called_beside(server)
        known_hosts = set(_HOST.findall(" ".join(known_urls)))
        for host in sorted(set(self._hosts(server))):
            if host in known_hosts:
                continue
            verdict = self._host(class_, host)
            if verdict is not None:
                hop = Hop(kind="network", name=host)
                yield Outward("host", self._as_server(server), (hop,), verdict, server.resource)

    def _called_beside(self, resolver: Server) -> set[str]:
        """Hosts that the other pods of a resolver's namespace call, and the resolver may resolve.

        Each is judged where it is called.
        """
        hosts: set[str] = set()
        for server in self._servers.all:
            if server.namespace != resolver.namespace or server is resolver:
                continue
            hosts |= set(self._hosts(server))
            for model in (model for config in server.configs for model in _mappings(config.get("models"))):
                # Without the URL of an endpoint, the SDK calls the public name of the service.
                service = RUNTIME_HOSTS["sagemaker" if model.get("provider") == "sagemaker" else "bedrock"]
                hosts |= {f"{service}.{model.get('region')}.{domain}" for domain in _AWS_DOMAINS}
            helper = (
                Translator(server.name, server.namespace, server.class_, server.template)
                if server.template
                else None
            )
            if helper is not None and "--region" in helper.options:
                hosts |= {f"rolesanywhere.{helper.options['--region']}.{domain}" for domain in _AWS_DOMAINS}
        return hosts

    def _host(self, class_: Sensitivity, host: str) -> Verdict | None:
        """The exit to a host; None for the private endpoint of the sessions, which receives no prompts."""
        url = f"https://{host}"
        if class_ != "restricted" and endpoint_of_url(self._graph, url, "rolesanywhere"):
            return None
        if not handling.may_use_aws(class_):
            return refused(f"{host} is a cloud's, where no {class_} work may go")
        services = [
            service for service in RUNTIME_HOSTS.values() if endpoint_of_url(self._graph, url, service)
        ]
        if services:
            return self._judge.unsure(
                class_, f"which models are called at {host} is not said by a configuration"
            )
        stores = [
            endpoint.weights.store.host
            for endpoint in (self._judge.platform.endpoints if self._judge.platform else [])
            if endpoint.class_ == class_ and endpoint.weights and endpoint.weights.store
        ]
        if host in stores:
            return ALLOWED
        if class_ == "public":
            region = re.search(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.", host)
            return self._judge.region(class_, region[1]) if region else ALLOWED
        return refused(f"{host} is a cloud's public name, and {class_} work goes by private endpoints")

    def _hosts(self, server: Server) -> Iterator[str]:
        for box in pod_containers(server.template):
            container = {key: value for key, value in box.items() if key != "image"}
            yield from _HOST.findall(json.dumps(container))
        for config_map in server.maps:
            yield from _HOST.findall(json.dumps(config_map.inputs.get("data") or {}))

    def _by_group(self, class_: Sensitivity, server: Server) -> Iterator[Outward]:
        """Addresses that the security groups of a service on Fargate allow its tasks to reach."""
        for service in self._graph.of(SERVICE):
            if server.resource not in self._graph.referred(service.inputs.get("taskDefinition")):
                continue
            network = service.inputs.get("networkConfiguration") or {}
            groups = self._graph.referred(network.get("securityGroups") or [], ":SecurityGroup")
            for rule in security_group_rules(self._graph, "Egress", groups):
                for key in ("cidrIpv4", "cidrIpv6"):
                    if rule.inputs.get(key):
                        cidr = str(rule.inputs[key])
                        hop = Hop(kind="network", name=cidr, where=server.where.name)
                        verdict = self._address(class_, cidr, _ports(rule), service.name)
                        yield Outward("network", self._as_server(server), (hop,), verdict, service)

    def _namespace(self, namespace: str) -> Resource | None:
        namespaces = self._graph.of("kubernetes:core/v1:Namespace")
        return next(
            (resource for resource in namespaces if name_and_namespace(resource)[0] == namespace), None
        )

    def _site(self, namespace: str) -> str:
        return next((server.where.name for server in self._servers.all if server.namespace == namespace), "")

    def _pods(self, namespace: str, name: str) -> Hop:
        return Hop(kind="workload", name=f"{namespace}/{name}", where=self._site(namespace))

    def _as_server(self, server: Server) -> Hop:
        name = f"{server.namespace}/{server.name}" if server.namespace else server.name
        return Hop(kind="workload", name=name, where=server.where.name)

    def _as_hop(self, pods: Pods) -> Hop:
        kind = {"gateway": "gateway", "translator": "translator"}.get(pods.role, "endpoint")
        return Hop(kind=kind, name=f"{pods.namespace}/{pods.name}", where=self._site(pods.namespace))  # type: ignore[arg-type]


def _mappings(entries: Any) -> list[dict[str, Any]]:
    """The entries of a configuration's list that are mappings. The paths report the others."""
    return [entry for entry in entries or [] if isinstance(entry, dict)]


def _ports(rule: Resource) -> str:
    first, last = rule.inputs.get("fromPort"), rule.inputs.get("toPort")
    if first is None:
        return "any"
    return str(first) if first == last else f"{first}-{last}"


def _foreign_pods_verdict(class_: Sensitivity, other_class: str, pods: Pods, namespace: str) -> Verdict:
    reach = f"{namespace} reaches {pods.name}"
    if other_class:
        return refused(f"{reach} of class {other_class}, and classes share nothing")
    if class_ == "public":
        return ALLOWED
    return undecided(f"{reach} of {pods.namespace}, and nothing says of which class that is")


def _identity_verdict(class_: Sensitivity, judge: Judge, description: str) -> Verdict:
    if not handling.may_use_aws(class_):
        return refused(f"{description}, which no {class_} work may have")
    return judge.unsure(class_, f"{description}, and no configuration that can be read says what it calls")


__all__ = ["CLOUD_DOMAINS", "Origin", "Outside", "Outward"]
