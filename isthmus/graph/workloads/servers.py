"""The servers of a stack, in a cluster or on Fargate: gateways, translators, model servers and their sidecars.

The edge's configuration and the labels show what a server is; its namespace shows its class.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.core.errors import IsthmusError
from isthmus.graph.network.reachability import CLASS, CONTROLLER_LABELS
from isthmus.graph.resources.references import undecided
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace, pod_containers
from isthmus.graph.resources.sites import Place, Places, provider_of
from isthmus.graph.resources.texts import load_config
from isthmus.graph.workloads.fargate_tasks import DEFINITION, SERVICE, containers

ENDPOINT = "isthmus.dev/endpoint"
ROLE = "isthmus.dev/role"
_NAMESPACE = "kubernetes:core/v1:Namespace"
_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_NAMESPACE_PREFIX = "isthmus-"


@dataclass(frozen=True, eq=False)
class Server:
    """The pods of one workload, or the tasks of one definition."""

    resource: Resource
    name: str
    namespace: str
    """Empty on Fargate."""
    where: Place
    class_: str
    """The class of its namespace, which its pods cannot choose; empty if it is unknown."""
    labels: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)
    configs: tuple[dict[str, Any], ...] = ()
    """The edge's configurations that it gets."""
    unread: tuple[str, ...] = ()
    """Descriptions of its configurations whose content is unknown."""
    maps: tuple[Resource, ...] = ()
    """ConfigMaps that its pods get."""

    @property
    def role(self) -> str:
        """`gateway`, `translator` or `sidecar` by its configuration, otherwise by its labels."""
        return next((str(config.get("mode")) for config in self.configs), self.labels.get(ROLE, ""))

    @property
    def told(self) -> list[str]:
        """Classes in its configuration that differ from its own."""
        class_names = {str(config.get("class")) for config in self.configs if config.get("class")}
        return sorted(class_names - {self.class_})


class Servers:
    """All servers of a graph, and the host names by which other servers call them."""

    def __init__(self, graph: Graph, places: Places) -> None:
        self._graph, self._places = graph, places
        self.spaces = namespace_classes(graph)
        self._maps: dict[tuple[str, str], list[Resource]] = {}
        for config_map in graph.of(_CONFIG_MAP):
            self._maps.setdefault(name_and_namespace(config_map), []).append(config_map)
        self.all = sorted(
            [*self._pods(), *self._tasks()], key=lambda server: (server.name, server.resource.urn)
        )

    def of(self, class_: str) -> list[Server]:
        return [server for server in self.all if server.class_ == class_]

    def called(self, name: str, namespace: str, caller: Server) -> list[Server] | None:
        """The pods behind a Service as another server reaches it; None if it does not exist or has no selector."""
        servers: list[Server] = []
        services = [
            service_
            for service_ in self._near("kubernetes:core/v1:Service", caller)
            if name_and_namespace(service_) == (name, namespace)
        ]
        for service in services:
            selector = (service.inputs.get("spec") or {}).get("selector")
            if not selector or undecided(json.dumps(selector)):
                return None
            servers += self.selected(selector, namespace, caller)
        return servers if services else None

    def elsewhere(self, name: str, namespace: str, caller: Server) -> str:
        """The host outside the cluster for which a Service stands; empty if it has none."""
        for service in self._near("kubernetes:core/v1:Service", caller):
            external_name = (service.inputs.get("spec") or {}).get("externalName")
            if name_and_namespace(service) == (name, namespace) and external_name:
                return str(external_name)
        return ""

    def selected(self, labels: Mapping[str, str], namespace: str, caller: Server) -> list[Server]:
        """Pods of a namespace in the same cluster with all of these labels."""
        return [
            server
            for server in self.all
            if server.namespace == namespace
            and _same_cluster(server.resource, caller.resource)
            and all(
                server.labels.get(key) == value
                or (key not in server.labels and key.startswith(CONTROLLER_LABELS))
                for key, value in labels.items()
            )
        ]

    def routed(self, namespace: str, workload: str, caller: Server) -> list[tuple[str, list[Server] | None]]:
        """Backends to which a Gateway API router in a namespace sends a workload's requests, by name; empty if none."""
        backends_found: list[tuple[str, list[Server] | None]] = []
        for route in self._near("gateway.networking.k8s.io/v1:HTTPRoute", caller):
            if name_and_namespace(route)[1] != namespace:
                continue
            for rule in (route.inputs.get("spec") or {}).get("rules") or []:
                if not _matches(rule, workload):
                    continue
                for backend in rule.get("backendRefs") or []:
                    name, backend_namespace = (
                        str(backend.get("name")),
                        str(backend.get("namespace") or namespace),
                    )
                    pool = backend.get("kind") == "InferencePool"
                    servers = (
                        self._pooled(name, backend_namespace, caller)
                        if pool
                        else self.called(name, backend_namespace, caller)
                    )
                    backends_found.append((name, servers))
        return backends_found

    def behind(self, balancer: Resource, port: str) -> list[Server]:
        """Tasks to which a load balancer forwards the traffic of a port."""
        groups: set[str] = set()
        for listener in self._graph.of("aws:lb/listener:Listener"):
            is_of_balancer = balancer in self._graph.referred(listener.inputs.get("loadBalancerArn"))
            if is_of_balancer and str(listener.inputs.get("port")) in (port, "None"):
                actions = listener.inputs.get("defaultActions") or []
                groups |= {group.name for group in self._graph.referred(actions, ":TargetGroup")}
        definitions: list[Resource] = []
        for service in self._graph.of(SERVICE):
            balanced = service.inputs.get("loadBalancers") or []
            if groups & {group.name for group in self._graph.referred(balanced, ":TargetGroup")}:
                definitions += self._graph.referred(service.inputs.get("taskDefinition"), DEFINITION)
        return [server for server in self.all if server.resource in definitions]

    def _near(self, kind: str, caller: Server) -> Iterator[Resource]:
        return (resource for resource in self._graph.of(kind) if _same_cluster(resource, caller.resource))

    def _pooled(self, name: str, namespace: str, caller: Server) -> list[Server] | None:
        for pool in self._near(":InferencePool", caller):
            spec = pool.inputs.get("spec") or {}
            labels = (spec.get("selector") or {}).get("matchLabels") or {}
            if name_and_namespace(pool) == (name, namespace) and labels:
                return self.selected(labels, namespace, caller)
        return None

    def _pods(self) -> Iterator[Server]:
        for pod, template in self._graph.pods():
            labels = (template.get("metadata") or {}).get("labels") or {}
            name, namespace = name_and_namespace(pod)
            maps, unresolved = self._given(pod, template, namespace)
            configs, unread = _read_config_maps(maps)
            unread += unresolved
            declared = [labels.get(CLASS), *(config.get("class") for config in configs)]
            class_ = self.spaces.get(namespace) or next(
                (known_class(class_name) for class_name in declared if class_name), ""
            )
            yield Server(
                pod,
                name,
                namespace,
                self._places.of(pod),
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
        """ConfigMaps of pods, and descriptions of those that are unknown."""
        config_maps: list[Resource] = []
        unresolved: list[str] = []
        for name in mounted_config_maps(template):
            maps = self._maps.get((name, namespace), [])
            if undecided(name):
                maps = self._graph.referred(name, _CONFIG_MAP)
                if not maps:
                    unresolved.append(f"which configuration {resource.name} is given is not known")
            config_maps += [config_map for config_map in maps if _same_cluster(config_map, resource)] or maps
        return tuple({config_map.urn: config_map for config_map in config_maps}.values()), tuple(unresolved)

    def _tasks(self) -> Iterator[Server]:
        for definition in self._graph.of(DEFINITION):
            configs: list[dict[str, Any]] = []
            unread: list[str] = []
            task_containers = containers(definition)
            if task_containers is None:
                unread.append(f"the words of {definition.name} are not known before it is made")
            for variable in (
                container for box in task_containers or [] for container in box.get("environment") or []
            ):
                if variable.get("name") == "EDGE_CONFIG":
                    _read_config(str(variable.get("value")), definition.name, configs, unread)
            tags = definition.inputs.get("tags") or {}
            class_ = known_class(tags.get(CLASS) or next((config.get("class") for config in configs), ""))
            template = {"metadata": {}, "spec": {"containers": task_containers or []}}
            where = self._places.of(definition)
            yield Server(
                definition, definition.name, "", where, class_, {}, template, tuple(configs), tuple(unread)
            )


def namespace_classes(graph: Graph) -> dict[str, str]:
    """Namespace → class: the stricter of its label and its name (`isthmus-CLASS`); empty if neither states one."""
    class_by_namespace: dict[str, str] = {}
    for resource in graph.resources:
        if not resource.type.startswith("kubernetes:"):
            continue
        name, namespace = name_and_namespace(resource)
        if resource.type == _NAMESPACE:
            label = ((resource.inputs.get("metadata") or {}).get("labels") or {}).get(CLASS)
            class_by_namespace[name] = _stricter(class_by_namespace.get(name, ""), known_class(label))
        else:
            class_by_namespace.setdefault(namespace, "")
    return {name: _stricter(class_, _class_in_name(name)) for name, class_ in class_by_namespace.items()}


def mislabelled(namespace: Resource) -> str:
    """How the label of a namespace contradicts its name; empty if it does not."""
    name = name_and_namespace(namespace)[0]
    label = (namespace.inputs["metadata"].get("labels") or {}).get(CLASS)
    if not _class_in_name(name) or label == _class_in_name(name):
        return ""
    return f"{name} is labelled as of {label} work" if label else f"{name} bears no label of its class"


def known_class(label: Any) -> str:
    """The class with this name. An unknown name counts as the strictest class."""
    if not label:
        return ""
    return label if label in SENSITIVITIES else SENSITIVITIES[-1]


def _stricter(first: str, second: str) -> str:
    return max(first, second, key=lambda class_name: SENSITIVITIES.index(class_name) if class_name else -1)


def mounted_config_maps(template: Mapping[str, Any]) -> list[str]:
    """ConfigMaps that a pod gets as files or variables."""
    spec = template.get("spec") or {}
    names: list[Any] = []
    for volume in spec.get("volumes") or []:
        names.append((volume.get("configMap") or {}).get("name"))
        for source in (volume.get("projected") or {}).get("sources") or []:
            names.append((source.get("configMap") or {}).get("name"))
    for box in pod_containers(template):
        for source in box.get("envFrom") or []:
            names.append((source.get("configMapRef") or {}).get("name"))
        for variable in box.get("env") or []:
            names.append(((variable.get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name"))
    return list(dict.fromkeys(str(name) for name in names if name))


def _read_config_maps(maps: Iterable[Resource]) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The edge's configurations in ConfigMaps, and descriptions of those whose content is unknown."""
    configs: list[dict[str, Any]] = []
    unread: list[str] = []
    for config_map in maps:
        data = config_map.inputs.get("data") or {}
        if isinstance(data, str):  # unknown as a whole
            unread.append(f"the words of {config_map.name} are not known before it is made")
        elif "config.yaml" in data:
            _read_config(str(data["config.yaml"]), config_map.name, configs, unread)
    return tuple(configs), tuple(unread)


def _class_in_name(namespace: str) -> str:
    suffix = namespace.removeprefix(_NAMESPACE_PREFIX)
    return suffix if namespace.startswith(_NAMESPACE_PREFIX) and suffix in SENSITIVITIES else ""


def _read_config(text: str, name: str, configs: list[dict[str, Any]], unread: list[str]) -> None:
    if undecided(text):
        unread.append(f"the words of {name} are not known before it is made")
        return
    try:
        configs.append(load_config(text, name))
    except IsthmusError:
        unread.append(f"the words of {name} cannot be read")


def _matches(rule: Mapping[str, Any], workload: str) -> bool:
    """Whether a route's rule may match requests of a workload: it names the workload in a header, or no workload."""
    for match in rule.get("matches") or [{}]:
        workloads = [
            str(header.get("value"))
            for header in match.get("headers") or []
            if str(header.get("name")).lower() == "x-isthmus-workload"
            and header.get("type", "Exact") == "Exact"
        ]
        if not workloads or workload in workloads:
            return True
    return False


def _same_cluster(resource: Resource, other_resource: Resource) -> bool:
    first, second = provider_of(resource), provider_of(other_resource)
    return first == second or not first or not second
