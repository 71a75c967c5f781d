"""The pods and containers of a graph, whichever resource describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from isthmus.graph.resources.resources import Graph, Resource, boxes, place
from policies.inputs.values import unknown
from policies.rules.rule import Broken

KINDS = (
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
"""Kinds that must hold a pod."""


@dataclass(frozen=True)
class Pod:
    """A pod as a resource describes it."""

    resource: Resource
    spec: Mapping[str, Any]
    labels: Mapping[str, Any]
    notes: Mapping[str, Any]
    """Its annotations."""

    @property
    def namespace(self) -> str:
        return place(self.resource)[1]

    @property
    def role(self) -> str:
        """`gateway`, `translator`, `model`, … in a platform; empty elsewhere."""
        return str(self.labels.get("isthmus.dev/role", ""))

    @property
    def boxes(self) -> list[Mapping[str, Any]]:
        return [each for each in boxes({"spec": self.spec}) if isinstance(each, Mapping)]


_PODS: WeakKeyDictionary[Graph, list[Pod]] = WeakKeyDictionary()


def pods(graph: Graph) -> list[Pod]:
    """Every pod; many rules ask, and looking takes longer than judging."""
    found = _PODS.get(graph)
    if found is None:
        found = _PODS[graph] = list(_pods(graph))
    return found


def _pods(graph: Graph) -> Iterator[Pod]:
    for resource, template in graph.pods():
        yield Pod(resource, template["spec"], _said(template, "labels"), _said(template, "annotations"))


def _said(template: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    meta = template.get("metadata")
    found = meta.get(key) if isinstance(meta, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def security(pod: Pod, box: Mapping[str, Any], key: str) -> Any:
    """A setting of a container, which the pod's own stands in for."""
    for context in (box.get("securityContext"), pod.spec.get("securityContext")):
        if unknown(context):
            return context
        if isinstance(context, Mapping) and context.get(key) is not None:
            return context[key]
    return None


_ENGINE = re.compile(r"vllm\.entrypoints\.|(^|/)vllm$")


def told(box: Mapping[str, Any]) -> list[str]:
    """The words that a container is started with."""
    return [str(each) for key in ("command", "args") for each in box.get(key) or []]


def is_engine(box: Mapping[str, Any]) -> bool:
    """Whether a container runs vLLM, by its command or else its image."""
    of_image = not box.get("command") and "/vllm-openai" in str(box.get("image"))
    return of_image or any(map(_ENGINE.search, told(box)[:4]))


def takes_devices(box: Mapping[str, Any]) -> bool:
    """Whether a container asks for devices, by a plugin's count or by claims."""
    resources = box.get("resources")
    if not isinstance(resources, Mapping):
        return False
    counted = [key for part in ("limits", "requests") for key in resources.get(part) or {} if "/" in str(key)]
    return bool(resources.get("claims") or counted)


def of_box(pod: Pod, box: Mapping[str, Any], what: str, patch: str = "") -> Broken:
    return Broken(f"container {box.get('name')} of {pod.resource.name} {what}", pod.resource, patch=patch)


def not_known(pod: Pod, box: Mapping[str, Any], what: str) -> Broken:
    message = (
        f"container {box.get('name')} of {pod.resource.name}: {what} is not known before the change is made"
    )
    return Broken(message, pod.resource, "undecided")
