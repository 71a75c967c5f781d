"""The data paths of a stack: every route that data of a class can take, from its workloads to where it is processed.

They are found on the resources alone, whoever wrote them, and judged by handling and residency. A path that the graph
cannot show is undecided, never allowed. docs/data-paths.md lists what is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.gateway_routes import other_places
from isthmus.contracts.reports.preview import DataPath, Hop
from isthmus.contracts.vocabulary import SENSITIVITIES, Sensitivity
from isthmus.graph.data_path.egress import CLOUD_DOMAINS, Outside
from isthmus.graph.data_path.model_services import INFERENCE_PROFILE, Served, called_model
from isthmus.graph.data_path.verdicts import ALLOWED, Judge, Verdict, refused, undecided
from isthmus.graph.resources.resources import Graph, Resource
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads.servers import Server, Servers

_SERVICE = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?")
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
Ways = Iterator[tuple[tuple[Hop, ...], Verdict]]


def data_paths(
    graph: Graph,
    platform: Platform | None = None,
    today: str | None = None,
    stricter_classes: Mapping[str, Sensitivity] | None = None,
    resolving: Collection[str] = (),
) -> list[DataPath]:
    """Return every path of every class, sorted by id. The order of the graph does not matter.

    `platform` states sites, residencies and workloads; without it, paths that depend on them are undecided for every
    class above public. `today` (ISO date) is the day on which exceptions must be valid. `held`: workloads that are
    judged by a stricter class than the one that serves them. `resolving`: further namespaces whose pods may ask the
    cluster's resolvers.
    """
    return Finder(graph, platform, today, stricter_classes, resolving).paths()


@dataclass(frozen=True)
class Found:
    """A path, with the resource that causes it."""

    origin: Literal["gateway", "network", "identity", "host"]
    path: DataPath
    why: tuple[str, ...]
    resource: Resource | None = None
    """The resource of a finding about the path."""


class Finder:
    """Finds the paths of one graph."""

    def __init__(
        self,
        graph: Graph,
        platform: Platform | None = None,
        today: str | None = None,
        stricter_classes: Mapping[str, Sensitivity] | None = None,
        resolving: Collection[str] = (),
    ) -> None:
        """`resolving`: further namespaces whose pods may ask the cluster's resolvers."""
        self._graph = graph
        self._judge = Judge(platform, today, stricter_classes)
        self._places = Places(graph, platform)
        self._servers = Servers(graph, self._places)
        self._outside = Outside(graph, self._places, self._servers, self._judge, frozenset(resolving))

    def paths(self) -> list[DataPath]:
        """The paths, sorted by id. A path that was found twice has the worse verdict."""
        paths: dict[str, DataPath] = {}
        for found in self.found():
            before = paths.get(found.path.id)
            paths[found.path.id] = found.path if before is None else _worse_path(before, found.path)
        return [paths[key] for key in sorted(paths)]

    def spaces(self, class_: Sensitivity) -> list[str]:
        """The namespaces of a class."""
        return self._outside.spaces(class_)

    def found(self) -> Iterator[Found]:
        """All paths with their resources, class by class."""
        for class_ in SENSITIVITIES:
            routed: set[tuple[str, str]] = set()
            servers = self._servers.of(class_)
            for gateway in (server for server in servers if server.role == "gateway"):
                yield from self._by_gateway(class_, gateway, routed)
            for translator in (server for server in servers if server.role == "translator"):
                start = (self._space(translator), self._as(translator, "translator"))
                for hops, verdict in self._translated(class_, translator, "", None, routed):
                    yield _gateway_path(class_, "", (*start, *hops), verdict, translator.resource)
            for outward in self._outside.of(class_):
                path = _path(class_, "", (outward.start, *outward.hops), outward.verdict)
                yield Found(outward.origin, path, outward.verdict.why, outward.resource)

    def _by_gateway(
        self, class_: Sensitivity, gateway: Server, routed: set[tuple[str, str]]
    ) -> Iterator[Found]:
        hop = self._as(gateway, "gateway")
        wrong_classes = [
            refused(f"{gateway.name} is told that it is of class {class_name}") for class_name in gateway.told
        ]
        for why in gateway.unread or ([] if gateway.configs else ["no configuration says where it leads"]):
            unsure = self._judge.unsure(class_, why)
            yield _gateway_path(class_, "", (self._space(gateway), hop), unsure, gateway.resource)
        for route in (entry for config in gateway.configs for entry in config.get("routes") or []):
            if not isinstance(route, dict):
                verdict = self._judge.unsure(class_, "a route that cannot be read")
                yield _gateway_path(class_, "", (self._space(gateway), hop), verdict, gateway.resource)
                continue
            workload = str(route.get("workload") or "")
            start = (Hop(kind="workload", name=workload or "-", where=gateway.where.name), hop)
            base_verdict = self._judge.known(class_, workload).and_(*wrong_classes)
            alternatives = [place for _, place in other_places(route.get)]
            for target in (
                route,
                *(alternative for alternative in alternatives if isinstance(alternative, dict)),
            ):
                for hops, verdict in self._routed(class_, gateway, workload, target, routed):
                    total = verdict.and_(base_verdict)
                    yield _gateway_path(class_, workload, (*start, *hops), total, gateway.resource)

    def _routed(
        self,
        class_: Sensitivity,
        gateway: Server,
        workload: str,
        target: dict[str, Any],
        routed: set[tuple[str, str]],
    ) -> Ways:
        """Continue from a gateway along a route: to model servers, a translator's models or a router's backends."""
        url, model = str(target.get("url") or ""), str(target.get("model") or "")
        host, port = _address(url)
        service = _SERVICE.fullmatch(host)
        if not host:
            why = f"where {url or 'a route without an address'} leads is not known"
            yield (Hop(kind="endpoint", name=url or "-"),), self._judge.unsure(class_, why)
        elif service is not None:
            name, namespace = service[1], service[2]
            external_host = self._servers.elsewhere(name, namespace, gateway)
            servers_behind = self._servers.called(name, namespace, gateway)
            backends = (
                []
                if external_host or servers_behind is not None
                else self._servers.routed(namespace, workload, gateway)
            )
            if external_host:
                yield self._out(self._judge.held(class_, workload), external_host)
            for backend, servers in backends or [(name, servers_behind)]:
                if not external_host:
                    yield from self._at(class_, backend, servers, workload, model, routed)
        else:
            balancers = self._graph.referred(url, ":LoadBalancer")
            for balancer in balancers:
                servers_behind = self._servers.behind(balancer, port)
                yield from self._at(class_, balancer.name, servers_behind or None, workload, model, routed)
            if not balancers:
                yield self._out(self._judge.held(class_, workload), host)

    def _at(
        self,
        class_: Sensitivity,
        name: str,
        servers: Sequence[Server] | None,
        workload: str,
        model: str,
        routed: set[tuple[str, str]],
    ) -> Ways:
        """Continue from the server that answers under a host name."""
        if not servers:
            why = (
                f"nobody is known to answer as {name}" if servers is None else f"no pods stand behind {name}"
            )
            yield (Hop(kind="endpoint", name=name),), self._judge.unsure(class_, why)
        for server in servers or []:
            if server.class_ != class_:
                described = f"of class {server.class_}" if server.class_ else "of no class that is known"
                why = f"{server.name} is {described}, and classes share nothing"
                verdict = refused(why) if server.class_ else self._judge.unsure(class_, why)
                yield (Hop(kind="endpoint", name=server.name, where=server.where.name),), verdict
            elif server.role == "translator":
                hop = self._as(server, "translator")
                for hops, verdict in self._translated(class_, server, workload, model, routed):
                    yield (hop, *hops), verdict
            else:
                yield self._served_here(class_, server, workload)

    def _served_here(
        self, class_: Sensitivity, server: Server, workload: str
    ) -> tuple[tuple[Hop, ...], Verdict]:
        """A path that ends at a model server in the graph."""
        is_model_server = server.role in ("model", "sidecar")
        name = server.labels.get("isthmus.dev/endpoint") or server.name
        verdict = self._judge.server(class_, server.where, workload).and_(
            *(
                refused(f"{server.name} is told that it is of class {class_name}")
                for class_name in server.told
            ),
            *_handed_on(server),
            *self._let_in(class_, server),
            *(
                []
                if is_model_server
                else [self._judge.unsure(class_, f"{server.name} is no model server that is known")]
            ),
        )
        site = server.where.name
        hops = [Hop(kind="endpoint", name=name, where=site), *([Hop(kind="site", name=site)] if site else [])]
        return tuple(hops), verdict

    def _translated(
        self,
        class_: Sensitivity,
        translator: Server,
        workload: str,
        model: str | None,
        routed: set[tuple[str, str]],
    ) -> Ways:
        """The calls of a translator under a route's name. None: the models in its configuration that no route uses."""
        role = self._outside.role_of(translator)
        identity_hops = (self._outside.who(role),) if role else ()
        verdicts = [
            refused(f"{translator.name} is told that it is of class {class_name}")
            for class_name in translator.told
        ]
        strict = self._judge.held(class_, workload)
        verdicts += [*_by_proxy(strict, translator), *self._let_in(class_, translator)]
        key = translator.resource.urn
        entries = [entry for config in translator.configs for entry in config.get("models") or []]
        if translator.unread and (model is not None or not routed & {(key, "")}):
            routed.add((key, ""))
            yield from self._by_dependencies(class_, translator, identity_hops)
        is_found = False
        for entry in entries:
            name = str(entry.get("name")) if isinstance(entry, dict) else ""
            if not isinstance(entry, dict):
                if model is None:
                    yield identity_hops, self._judge.unsure(class_, "a model that cannot be read")
                continue
            if model is None and (key, name) in routed:
                continue
            if model is None or name == model:
                is_found = True
                routed.add((key, name))
                hops, verdict = self._called(class_, called_model(self._graph, entry), workload)
                yield (*identity_hops, *hops), verdict.and_(*verdicts)
        if model is not None and not is_found and not translator.unread:
            why = f"{translator.name} knows no model {model or 'without a name'}"
            yield identity_hops, self._judge.unsure(class_, why)

    def _called(self, class_: Sensitivity, model: Served, workload: str) -> tuple[tuple[Hop, ...], Verdict]:
        """A path to a model of AWS, with the network of the call and the regions that may serve it."""
        verdict = self._judge.model(class_, model, workload)
        hops: list[Hop] = []
        if model.endpoint is not None:
            where = self._places.of(model.endpoint).name
            hops.append(Hop(kind="network", name=model.endpoint.name, where=where))
            if self._judge.held(class_, workload) != "public":
                verdict = verdict.and_(*self._open(model.endpoint))
        else:
            hops.append(Hop(kind="network", name=_address(model.url)[0] or "the public names of AWS"))
        hops.append(Hop(kind="endpoint", name=model.name, where=_products(model)))
        if model.regions:
            hops.append(Hop(kind="region", name=", ".join(model.regions)))
        return tuple(hops), verdict

    def _open(self, endpoint: Resource) -> Iterator[Verdict]:
        """Paths to the internet from the network of a private endpoint."""
        vpcs = self._graph.referred(endpoint.inputs.get("vpcId"), ":Vpc")
        for gateway in self._graph.of("aws:ec2/internetGateway:InternetGateway"):
            if any(vpc in self._graph.referred(gateway.inputs.get("vpcId"), ":Vpc") for vpc in vpcs):
                yield refused(
                    f"{endpoint.name} stands in a network with a way to the internet, {gateway.name}"
                )

    def _by_dependencies(
        self, class_: Sensitivity, translator: Server, identity_hops: tuple[Hop, ...]
    ) -> Ways:
        """Paths over the parts of a configuration that is still unknown. They are decided only for public work."""
        for why in translator.unread:
            profiles = self._graph.referred(_config_sources(translator), INFERENCE_PROFILE)
            for profile in profiles:
                model = called_model(self._graph, {"model_id": f"${{{profile.name}.arn}}", **profile.inputs})
                hops, verdict = self._called(class_, model, "")
                profile_hop = Hop(kind="endpoint", name=profile.name, where=_products(model))
                shown_hops = tuple(
                    profile_hop if hop.kind == "endpoint" else hop for hop in hops if hop.kind != "network"
                )
                worst = refused(model.anywhere) if verdict.word == "refused" and model.anywhere else ALLOWED
                yield (*identity_hops, *shown_hops), self._judge.unsure(class_, why).and_(worst)
            if not profiles:
                yield identity_hops, self._judge.unsure(class_, why)

    def _let_in(self, class_: Sensitivity, server: Server) -> Iterator[Verdict]:
        """Clients of other classes whose certificates a server in a cluster accepts."""
        for config in server.configs if server.namespace else ():
            for client in config.get("allowed_clients") or []:
                match = _SERVICE.fullmatch(str(client))
                client_class = self._servers.spaces.get(match[2]) if match else None
                if client_class != class_:
                    why = (
                        f"{server.name} takes requests of {client}, which is of "
                        f"{client_class or 'no class that is known'}"
                    )
                    yield refused(why) if client_class else self._judge.unsure(class_, why)

    def _out(self, class_: Sensitivity, host: str) -> tuple[tuple[Hop, ...], Verdict]:
        """A gateway's route to a host or address outside the cluster."""
        hop = Hop(kind="network", name=host)
        # A name with a final dot, or in capitals, is the same name in DNS.
        name = host.removesuffix(".").lower()
        if any(name == domain or name.endswith(f".{domain}") for domain in CLOUD_DOMAINS):
            if class_ == "restricted":
                return (hop,), refused(f"{host} is a cloud's, where no restricted work may go")
            return (hop,), refused(f"a gateway leads to {host} by itself, past its translator")
        if class_ == "public":
            return (hop,), ALLOWED
        return (hop,), undecided(f"who answers as {host} is not known")

    def _space(self, server: Server) -> Hop:
        name = server.namespace or server.name
        return Hop(kind="workload", name=name, where=server.where.name)

    def _as(self, server: Server, kind: Any) -> Hop:
        return Hop(kind=kind, name=server.name, where=server.where.name)


def _by_proxy(class_: Sensitivity, translator: Server) -> Iterator[Verdict]:
    """Proxies through which a translator calls. Only public work may use them."""
    for config in translator.configs:
        outbound = config.get("outbound")
        proxy = outbound.get("proxy") if isinstance(outbound, dict) else None
        if proxy and class_ != "public":
            yield refused(f"{translator.name} calls by way of the proxy {proxy}")


def _handed_on(server: Server) -> Iterator[Verdict]:
    """The address to which a model server's sidecar forwards requests, if it is not in its own pod."""
    for config in server.configs:
        upstream = str(config.get("upstream") or "")
        if config.get("mode") == "sidecar" and _address(upstream)[0] not in _LOOPBACK:
            yield refused(f"{server.name} hands requests on to {upstream or 'nobody that is named'}")


def _config_sources(server: Server) -> list[Any]:
    """The resources of a server's configuration, by the resources that contain it."""
    return [
        *(config_map.inputs.get("data") for config_map in server.maps),
        server.resource.inputs.get("containerDefinitions"),
    ]


def _address(url: str) -> tuple[str, str]:
    """Host and port of an address. Both may be placeholders for values that only the cloud knows."""
    remainder = url.partition("://")[2] or url
    authority = remainder.partition("/")[0]
    host, _, port = authority.rpartition(":") if re.search(r":\d+$", authority) else (authority, "", "")
    try:
        return (urlsplit(url).hostname or host if "$" not in authority else host), port
    except ValueError:
        return host, port


def _products(model: Served) -> str:
    return {"bedrock": "Amazon Bedrock", "sagemaker": "Amazon SageMaker"}[model.service]


def _gateway_path(
    class_: Sensitivity, workload: str, hops: tuple[Hop, ...], verdict: Verdict, resource: Resource
) -> Found:
    return Found("gateway", _path(class_, workload, hops, verdict), verdict.why, resource)


def _path(class_: Sensitivity, workload: str, hops: tuple[Hop, ...], verdict: Verdict) -> DataPath:
    return DataPath.model_validate(
        {
            "id": " > ".join([class_, *(hop.name for hop in hops)]),
            "workload": workload,
            "class": class_,
            "hops": list(hops),
            "verdict": verdict.word,
            "why": "; ".join(verdict.why),
        }
    )


def _worse_path(first: DataPath, second: DataPath) -> DataPath:
    """Merge two results for one path: the worse verdict, with both reasons if the verdicts are equal."""
    verdicts = [Verdict(path.verdict, tuple(filter(None, path.why.split("; ")))) for path in (first, second)]
    verdict = verdicts[0].and_(verdicts[1])
    return first.model_copy(update={"verdict": verdict.word, "why": "; ".join(sorted(set(verdict.why)))})
