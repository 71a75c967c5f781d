"""Changes of a resource's inputs, the inputs of one resource more, and an assertion about the findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.broken_graphs.parts import POLICY, Lens

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


def through(lens: Lens, how: Callable[[Any], object]) -> Change:
    """Changes each part of a resource's inputs that a lens finds. Fails if it finds none."""

    def change(inputs: dict[str, Any]) -> None:
        places = list(lens.find(inputs))
        assert places, inputs
        for place in places:
            part = lens.open(inputs, place)
            how(part)
            lens.close(inputs, place, part)

    return change


def document(how: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Changes the statements of a resource's policy."""

    return through(POLICY, how)


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
