"""Finds the pods and containers of a graph, in whichever resource they are defined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.graph.network.reachability import select_namespaces
from isthmus.graph.resources.resources import Graph, Resource, name_and_namespace, pod_containers
from policies.inputs.values import is_unknown
from policies.rules.rule import Violation

POD_KINDS = (
    ":Deployment",
    ":StatefulSet",
    ":DaemonSet",
    ":ReplicaSet",
    ":ReplicationController",
    "batch/v1:Job",
    ":CronJob",
    "core/v1:Pod",
    ":LeaderWorkerSet",
)
"""Kinds that must contain a pod template."""


@dataclass(frozen=True)
class Pod:
    """A pod template and the resource that contains it."""

    resource: Resource
    spec: Mapping[str, Any]
    labels: Mapping[str, Any]
    annotations: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        return name_and_namespace(self.resource)[1]

    @property
    def role(self) -> str:
        """`gateway`, `translator`, `model`, …; empty for pods that are not of a platform."""
        return str(self.labels.get("isthmus.dev/role", ""))

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return [
            container for container in pod_containers({"spec": self.spec}) if isinstance(container, Mapping)
        ]


_PODS: WeakKeyDictionary[Graph, list[Pod]] = WeakKeyDictionary()


def pods(graph: Graph) -> list[Pod]:
    """Every pod of a graph. Cached, because finding them takes longer than most rules."""
    cached = _PODS.get(graph)
    if cached is None:
        cached = _PODS[graph] = list(_find_pods(graph))
    return cached


def _find_pods(graph: Graph) -> Iterator[Pod]:
    for resource, template in graph.pods():
        spec = template["spec"]
        if resource.type.endswith("Patch"):
            labels = _metadata(template, "labels")
            if not _states_rights(spec) and not any(str(key).startswith(_OWN_LABELS) for key in labels):
                continue
            spec = _completed(spec)
        yield Pod(resource, spec, _metadata(template, "labels"), _metadata(template, "annotations"))


_OWN_LABELS = "isthmus.dev/"
_RIGHTS = (
    *("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "automountServiceAccountToken"),
    *("securityContext", "serviceAccount", "serviceAccountName", "volumes"),
)
_POD_DEFAULTS: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER_DEFAULTS: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_LISTS = ("containers", "initContainers", "ephemeralContainers")


def _states_rights(spec: Mapping[str, Any]) -> bool:
    """Whether a patch of a pod says what the pod may do, or which images it runs."""
    if any(spec.get(key) is not None for key in _RIGHTS):
        return True
    lists = [spec.get(key) for key in _LISTS]
    containers = [container for entries in lists if isinstance(entries, list) for container in entries]
    return any(entries is not None and not isinstance(entries, list) for entries in lists) or any(
        not isinstance(container, Mapping)
        or container.get("securityContext") is not None
        or container.get("image") is not None
        for container in containers
    )


def _completed(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A patch with what it leaves to the object that it changes, so that only what it states is judged."""
    completed = {
        "automountServiceAccountToken": False,
        "serviceAccountName": "of-the-patched-object",
        **spec,
    }
    if not is_unknown(spec.get("securityContext")):
        completed["securityContext"] = {**_POD_DEFAULTS, **(spec.get("securityContext") or {})}
    for key in _LISTS:
        if isinstance(spec.get(key), list):
            completed[key] = [
                _completed_container(container) if isinstance(container, Mapping) else container
                for container in spec[key]
            ]
    return completed


def _completed_container(container: Mapping[str, Any]) -> Mapping[str, Any]:
    if is_unknown(container.get("securityContext")):
        return container
    context = {**_CONTAINER_DEFAULTS, **(container.get("securityContext") or {})}
    resources = container.get("resources")
    if resources is None:
        resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    return {**container, "securityContext": context, "resources": resources}


def _metadata(template: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    meta = template.get("metadata")
    entries = meta.get(key) if isinstance(meta, Mapping) else None
    return entries if isinstance(entries, Mapping) else {}


def security(pod: Pod, container: Mapping[str, Any], key: str) -> Any:
    """A security setting of a container; if it has none, the setting of its pod."""
    for context in (container.get("securityContext"), pod.spec.get("securityContext")):
        if is_unknown(context):
            return context
        if isinstance(context, Mapping) and context.get(key) is not None:
            return context[key]
    return None


_VLLM_COMMAND = re.compile(r"vllm\.entrypoints\.|(^|/)vllm$")


def command_line(container: Mapping[str, Any]) -> list[str]:
    """Command and arguments of a container."""
    return [str(argument) for key in ("command", "args") for argument in container.get(key) or []]


def is_vllm_container(container: Mapping[str, Any]) -> bool:
    """Whether a container runs vLLM, by its command or, without one, by its image."""
    of_image = not container.get("command") and "/vllm-openai" in str(container.get("image"))
    return of_image or any(map(_VLLM_COMMAND.search, command_line(container)[:4]))


def takes_devices(container: Mapping[str, Any]) -> bool:
    """Whether a container requests devices, by a count of a device plugin or by resource claims."""
    resources = container.get("resources")
    if not isinstance(resources, Mapping):
        return False
    device_keys = [
        key for part in ("limits", "requests") for key in resources.get(part) or {} if "/" in str(key)
    ]
    return bool(resources.get("claims") or device_keys)


def container_violation(pod: Pod, container: Mapping[str, Any], problem: str, patch: str = "") -> Violation:
    return Violation(
        f"container {container.get('name')} of {pod.resource.name} {problem}", pod.resource, patch=patch
    )


def container_undecided(pod: Pod, container: Mapping[str, Any], setting: str) -> Violation:
    name = f"container {container.get('name')} of {pod.resource.name}"
    return Violation(f"{name}: {setting} is not known before the change is made", pod.resource, "undecided")


def is_selected(pod: Pod, selector: Mapping[str, Any]) -> bool:
    """Whether a label selector matches a pod. A selector that cannot be read may match."""
    try:
        return bool(select_namespaces({"pod": dict(pod.labels)}, selector))
    except (KeyError, TypeError, AttributeError):
        return True
