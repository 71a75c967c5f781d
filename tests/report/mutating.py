"""Ways to break a rendered graph, and to say what must be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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


def document(how: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Change the statements of a resource's policy."""

    def change(inputs: dict[str, Any]) -> None:
        said = json.loads(inputs["policy"])
        how(said["Statement"])
        inputs["policy"] = json.dumps(said)

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
