"""Functions that break a rendered graph, and an assertion about the findings."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph

Change = Callable[[dict[str, Any]], Any]
KINDS = [
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:DaemonSet",
    "kubernetes:batch/v1:Job",
    "kubernetes:batch/v1:CronJob",
    "kubernetes:core/v1:Pod",
]


def finds(broken: list[str], says: str) -> None:
    assert any(says in message for message in broken), broken


def altered(resources: Iterable[Resource], kind: str, name: str, how: Change) -> Graph:
    """A graph with changed inputs of the resources of a type whose name has an ending. Fails if there is none."""
    resources_changed, count = [], 0
    for resource in resources:
        if resource.type.endswith(kind) and resource.name.endswith(name) and resource.made:
            inputs = copy.deepcopy(resource.inputs)
            how(inputs)
            resource, count = replace(resource, inputs=inputs), count + 1
        resources_changed.append(resource)
    assert count, f"no {kind} {name}"
    return Graph(resources_changed)


def document(how: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Changes the statements of a resource's policy."""

    def change(inputs: dict[str, Any]) -> None:
        statements = json.loads(inputs["policy"])
        how(statements["Statement"])
        inputs["policy"] = json.dumps(statements)

    return change


def replace_text(old: str, new: str) -> Change:
    """Changes the text of an edge configuration."""

    def change(inputs: dict[str, Any]) -> None:
        text = inputs["data"]["config.yaml"]
        assert old in text, text
        inputs["data"]["config.yaml"] = text.replace(old, new)

    return change


def plus(**fields: Any) -> Change:
    """Adds a statement."""
    return document(lambda statements: statements.append({"Principal": "*", **fields}))


def template(**labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "box"}]}}


def workload(kind: str, namespace: str, pod: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a workload `more` of a kind, with the pod where the kind keeps it."""
    meta = {"name": "more", "namespace": namespace}
    if kind.endswith(":Pod"):
        return {"metadata": {**meta, **pod["metadata"]}, "spec": pod["spec"]}
    if kind.endswith("CronJob"):
        return {"metadata": meta, "spec": {"jobTemplate": {"spec": {"template": pod}}}}
    return {"metadata": meta, "spec": {"template": pod}}
