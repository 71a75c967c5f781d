"""What serves in a stack, in a cluster or on Fargate: gateways, translators, model servers, and who is beside them.

Known by what they are told in the edge's configuration, and by their labels; of which class, by their namespace.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import IsthmusError
from isthmus.graph.network.reachability import BY_CONTROLLERS, CLASS
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource, boxes, place
from isthmus.graph.resources.sites import Place, Places, provider_of
from isthmus.graph.resources.texts import loaded
from isthmus.graph.workloads.fargate_tasks import DEFINITION, SERVICE, containers

ENDPOINT = "isthmus.dev/endpoint"
ROLE = "isthmus.dev/role"
_NAMESPACE = "kubernetes:core/v1:Namespace"
_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_OWN = "isthmus-"


@dataclass(frozen=True, eq=False)
class Server:
    """Pods of one workload, or the tasks of one definition."""

    resource: Resource
    name: str
    namespace: str
    """Empty on Fargate."""
    where: Place
    class_: str
    """As its namespace says, which its pods cannot choose; empty where nothing says it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)
    configs: tuple[dict[str, Any], ...] = ()
    """The edge's configurations that it is given."""
    unread: tuple[str, ...] = ()
    """Configurations whose words are not known, each said in a few."""
    maps: tuple[Resource, ...] = ()
    """ConfigMaps that its pods are given."""

    @property
    def role(self) -> str:
        """`gateway`, `translator`, `sidecar` by what it is told, else what it is labelled as."""
        return next((str(each.get("mode")) for each in self.configs), self.labels.get(ROLE, ""))

    @property
    def told(self) -> list[str]:
        """Other classes than its own that its configuration says it is of."""
        said = {str(each.get("class")) for each in self.configs if each.get("class")}
        return sorted(said - {self.class_})


class Servers:
    """All of a graph's, and how they are found by the names under which they are called."""

    def __init__(self, graph: Graph, places: Places) -> None:
        self._graph, self._places = graph, places
        self.spaces = classes(graph)
        self._maps: dict[tuple[str, str], list[Resource]] = {}
        for each in graph.of(_CONFIG_MAP):
            self._maps.setdefault(place(each), []).append(each)
        self.all = sorted([*self._pods(), *self._tasks()], key=lambda each: (each.name, each.resource.urn))

    def of(self, class_: str) -> list[Server]:
        return [each for each in self.all if each.class_ == class_]

    def called(self, name: str, namespace: str, by: Server) -> list[Server] | None:
        """The pods behind a Service as another server reaches it; None where there is no such Service, or none that
        says which pods are behind it."""
        found: list[Server] = []
        services = [
            each for each in self._near("kubernetes:core/v1:Service", by) if place(each) == (name, namespace)
        ]
        for service in services:
            chosen = (service.inputs.get("spec") or {}).get("selector")
            if not chosen or undecided(json.dumps(chosen)):
                return None
            found += self.selected(chosen, namespace, by)
        return found if services else None

    def elsewhere(self, name: str, namespace: str, by: Server) -> str:
        """The host that a Service stands for outside the cluster; empty where it stands for none."""
        for service in self._near("kubernetes:core/v1:Service", by):
            outside = (service.inputs.get("spec") or {}).get("externalName")
            if place(service) == (name, namespace) and outside:
                return str(outside)
        return ""

    def selected(self, labels: Mapping[str, str], namespace: str, by: Server) -> list[Server]:
        """Pods of a namespace of the same cluster that bear all of these labels."""
        return [
            each
            for each in self.all
            if each.namespace == namespace
            and _same_cluster(each.resource, by.resource)
            and all(
                each.labels.get(key) == value or (key not in each.labels and key.startswith(BY_CONTROLLERS))
                for key, value in labels.items()
            )
        ]

    def routed(self, namespace: str, workload: str, by: Server) -> list[tuple[str, list[Server] | None]]:
        """Whom a Gateway API router in a namespace sends a workload's requests to, by name; [] where there is none."""
        found: list[tuple[str, list[Server] | None]] = []
        for route in self._near("gateway.networking.k8s.io/v1:HTTPRoute", by):
            if place(route)[1] != namespace:
                continue
            for rule in (route.inputs.get("spec") or {}).get("rules") or []:
                if not _matches(rule, workload):
                    continue
                for backend in rule.get("backendRefs") or []:
                    name, space = str(backend.get("name")), str(backend.get("namespace") or namespace)
                    pool = backend.get("kind") == "InferencePool"
                    behind = self._pooled(name, space, by) if pool else self.called(name, space, by)
                    found.append((name, behind))
        return found

    def behind(self, balancer: Resource, port: str) -> list[Server]:
        """The tasks to which a load balancer forwards what comes in at a port."""
        groups: set[str] = set()
        for listener in self._graph.of("aws:lb/listener:Listener"):
            mine = balancer in self._graph.referred(listener.inputs.get("loadBalancerArn"))
            if mine and str(listener.inputs.get("port")) in (port, "None"):
                actions = listener.inputs.get("defaultActions") or []
                groups |= {each.name for each in self._graph.referred(actions, ":TargetGroup")}
        definitions: list[Resource] = []
        for service in self._graph.of(SERVICE):
            balanced = service.inputs.get("loadBalancers") or []
            if groups & {each.name for each in self._graph.referred(balanced, ":TargetGroup")}:
                definitions += self._graph.referred(service.inputs.get("taskDefinition"), DEFINITION)
        return [each for each in self.all if each.resource in definitions]

    def _near(self, kind: str, by: Server) -> Iterator[Resource]:
        return (each for each in self._graph.of(kind) if _same_cluster(each, by.resource))

    def _pooled(self, name: str, namespace: str, by: Server) -> list[Server] | None:
        for pool in self._near(":InferencePool", by):
            spec = pool.inputs.get("spec") or {}
            chosen = (spec.get("selector") or {}).get("matchLabels") or {}
            if place(pool) == (name, namespace) and chosen:
                return self.selected(chosen, namespace, by)
        return None

    def _pods(self) -> Iterator[Server]:
        for each, template in self._graph.pods():
            labels = (template.get("metadata") or {}).get("labels") or {}
            name, namespace = place(each)
            maps, lost = self._given(each, template, namespace)
            configs, unread = _told(maps)
            unread += lost
            said = [labels.get(CLASS), *(one.get("class") for one in configs)]
            class_ = self.spaces.get(namespace) or next((known(one) for one in said if one), "")
            yield Server(
                each,
                name,
                namespace,
                self._places.of(each),
                class_,
                labels,
                template,
                configs,
                unread,
                maps,
            )

    def _given(
        self, resource: Resource, template: Mapping[str, Any], namespace: str
    ) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
        """ConfigMaps that pods are given, and what is said of those that are not known."""
        found: list[Resource] = []
        lost: list[str] = []
        for name in mounted(template):
            maps = self._maps.get((name, namespace), [])
            if undecided(name):
                maps = self._graph.referred(name, _CONFIG_MAP)
                if not maps:
                    lost.append(f"which configuration {resource.name} is given is not known")
            found += [each for each in maps if _same_cluster(each, resource)] or maps
        return tuple({each.urn: each for each in found}.values()), tuple(lost)

    def _tasks(self) -> Iterator[Server]:
        for each in self._graph.of(DEFINITION):
            configs: list[dict[str, Any]] = []
            unread: list[str] = []
            held = containers(each)
            if held is None:
                unread.append(f"the words of {each.name} are not known before it is made")
            for variable in (one for box in held or [] for one in box.get("environment") or []):
                if variable.get("name") == "EDGE_CONFIG":
                    _read(str(variable.get("value")), each.name, configs, unread)
            tags = each.inputs.get("tags") or {}
            class_ = known(tags.get(CLASS) or next((one.get("class") for one in configs), ""))
            template = {"metadata": {}, "spec": {"containers": held or []}}
            where = self._places.of(each)
            yield Server(each, each.name, "", where, class_, {}, template, tuple(configs), tuple(unread))


def classes(graph: Graph) -> dict[str, str]:
    """Namespaces of the graph by name, and their class: the stricter of their label's and of that whose name ours
    have; empty where neither says one."""
    found: dict[str, str] = {}
    for each in graph.resources:
        if not each.type.startswith("kubernetes:"):
            continue
        name, namespace = place(each)
        if each.type == _NAMESPACE:
            label = (each.inputs["metadata"].get("labels") or {}).get(CLASS)
            found[name] = _stricter(found.get(name, ""), known(label))
        else:
            found.setdefault(namespace, "")
    return {name: _stricter(class_, _by_name(name)) for name, class_ in found.items()}


def mislabelled(namespace: Resource) -> str:
    """How a namespace of ours contradicts its own name; empty where it does not."""
    name = place(namespace)[0]
    label = (namespace.inputs["metadata"].get("labels") or {}).get(CLASS)
    if not _by_name(name) or label == _by_name(name):
        return ""
    return f"{name} is labelled as of {label} work" if label else f"{name} bears no label of its class"


def known(label: Any) -> str:
    """A class as a label or a file says it; a word that is none is held to the strictest one's."""
    if not label:
        return ""
    return label if label in SENSITIVITIES else SENSITIVITIES[-1]


def _stricter(one: str, other: str) -> str:
    return max(one, other, key=lambda each: SENSITIVITIES.index(each) if each else -1)


def mounted(template: Mapping[str, Any]) -> list[str]:
    """ConfigMaps that a pod is given, as files or as variables."""
    spec = template.get("spec") or {}
    names: list[Any] = []
    for volume in spec.get("volumes") or []:
        names.append((volume.get("configMap") or {}).get("name"))
        for source in (volume.get("projected") or {}).get("sources") or []:
            names.append((source.get("configMap") or {}).get("name"))
    for box in boxes(template):
        for source in box.get("envFrom") or []:
            names.append((source.get("configMapRef") or {}).get("name"))
        for variable in box.get("env") or []:
            names.append(((variable.get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name"))
    return list(dict.fromkeys(str(each) for each in names if each))


def _told(maps: Iterable[Resource]) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The edge's configurations in ConfigMaps, and what is said of those whose words are not known."""
    configs: list[dict[str, Any]] = []
    unread: list[str] = []
    for each in maps:
        data = each.inputs.get("data") or {}
        if isinstance(data, str):  # unknown as a whole
            unread.append(f"the words of {each.name} are not known before it is made")
        elif "config.yaml" in data:
            _read(str(data["config.yaml"]), each.name, configs, unread)
    return tuple(configs), tuple(unread)


def _by_name(namespace: str) -> str:
    rest = namespace.removeprefix(_OWN)
    return rest if namespace.startswith(_OWN) and rest in SENSITIVITIES else ""


def _read(text: str, whose: str, configs: list[dict[str, Any]], unread: list[str]) -> None:
    if undecided(text):
        unread.append(f"the words of {whose} are not known before it is made")
        return
    try:
        configs.append(loaded(text, whose))
    except IsthmusError:
        unread.append(f"the words of {whose} cannot be read")


def _matches(rule: Mapping[str, Any], workload: str) -> bool:
    """Whether a route's rule could take a workload's requests: it names it in a header, or no workload at all."""
    for match in rule.get("matches") or [{}]:
        named = [
            str(each.get("value"))
            for each in match.get("headers") or []
            if str(each.get("name")).lower() == "x-isthmus-workload" and each.get("type", "Exact") == "Exact"
        ]
        if not named or workload in named:
            return True
    return False


def _same_cluster(one: Resource, other: Resource) -> bool:
    first, second = provider_of(one), provider_of(other)
    return first == second or not first or not second
