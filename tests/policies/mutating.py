"""Ways to break a rendered graph, and to say what must be found."""

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
    assert any(says in each for each in broken), broken


def altered(resources: Iterable[Resource], kind: str, name: str, how: Change) -> Graph:
    """A graph of these, the inputs changed of those made of a type, whose name ends so; there must be one."""
    made, count = [], 0
    for each in resources:
        if each.type.endswith(kind) and each.name.endswith(name) and each.made:
            inputs = copy.deepcopy(each.inputs)
            how(inputs)
            each, count = replace(each, inputs=inputs), count + 1
        made.append(each)
    assert count, f"no {kind} {name}"
    return Graph(made)


def document(how: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Change the statements of a resource's policy."""

    def change(inputs: dict[str, Any]) -> None:
        said = json.loads(inputs["policy"])
        how(said["Statement"])
        inputs["policy"] = json.dumps(said)

    return change


def words(old: str, new: str) -> Change:
    """Change the text of an edge's configuration."""

    def change(inputs: dict[str, Any]) -> None:
        text = inputs["data"]["config.yaml"]
        assert old in text, text
        inputs["data"]["config.yaml"] = text.replace(old, new)

    return change


def plus(**parts: Any) -> Change:
    """One more statement."""
    return document(lambda said: said.append({"Principal": "*", **parts}))


def template(**labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "box"}]}}


def workload(kind: str, space: str, pod: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a workload `more` of a kind, with the pod where the kind keeps it."""
    meta = {"name": "more", "namespace": space}
    if kind.endswith(":Pod"):
        return {"metadata": {**meta, **pod["metadata"]}, "spec": pod["spec"]}
    if kind.endswith("CronJob"):
        return {"metadata": meta, "spec": {"jobTemplate": {"spec": {"template": pod}}}}
    return {"metadata": meta, "spec": {"template": pod}}
