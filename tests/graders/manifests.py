"""Rendered manifests as data, and the pods that they lead to."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

Body = dict[str, Any]
CHARTS = "helm.sh/v3"
LWS = "leaderworkerset.sigs.k8s.io"


class Template(NamedTuple):
    """A pod as something will make it."""

    of: str
    """`KIND/NAME`, and for a group's leader or worker which of the two."""
    namespace: str
    labels: dict[str, str]
    spec: dict[str, Any]


@functools.cache
def _read(file: Path) -> Body:
    return YAML(typ="safe").load(file)


def read(files: list[Path]) -> list[Body]:
    """The caller's own copies."""
    return [copy.deepcopy(_read(file)) for file in files]


def of_kind(bodies: list[Body], kind: str, name: str | None = None) -> list[Body]:
    return [body for body in bodies if body["kind"] == kind and name in (None, body["metadata"]["name"])]


def templates(body: Body) -> Iterator[Template]:
    """Every pod template in a manifest, wherever its kind keeps it."""
    name, namespace = f"{body['kind']}/{body['metadata']['name']}", body["metadata"].get("namespace", "")
    if body["kind"] == "Pod":
        yield Template(name, namespace, body["metadata"].get("labels") or {}, body["spec"])
        return
    for path, template in _templates(body.get("spec") or {}):
        labels = (template.get("metadata") or {}).get("labels") or {}
        yield Template(f"{name}{path}", namespace, labels, template["spec"])


def _templates(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for element in value:
            yield from _templates(element, path)
    if not isinstance(value, dict):
        return
    inner = value.get("spec")
    if isinstance(inner, dict) and "containers" in inner:
        yield path, value
        return
    for key, element in value.items():
        yield from _templates(
            element, path if key in ("template", "spec", "jobTemplate") else f"{path}/{key}"
        )


def as_deployments(body: Body) -> list[Body]:
    """What Checkov knows in place of a LeaderWorkerSet: a Deployment for each of its templates."""
    if body["kind"] != "LeaderWorkerSet":
        return [body]
    deployments = []
    for template in templates(body):
        meta = {
            **body["metadata"],
            "name": f"{body['metadata']['name']}-{template.of.rpartition('/')[2].lower()}",
        }
        spec = {
            "replicas": body["spec"]["replicas"],
            "selector": {"matchLabels": template.labels},
            "template": {"metadata": {"labels": template.labels}, "spec": template.spec},
        }
        deployments.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    return deployments


def as_pods(body: Body) -> list[Body]:
    """The pods of a LeaderWorkerSet as its controller names and labels them."""
    spec, meta = body["spec"], body["metadata"]
    leader_worker_template = spec["leaderWorkerTemplate"]
    pods = []
    for group in range(spec["replicas"]):
        for member in range(leader_worker_template["size"]):
            leads = member == 0 and "leaderTemplate" in leader_worker_template
            template = leader_worker_template["leaderTemplate" if leads else "workerTemplate"]
            name = f"{meta['name']}-{group}" + (f"-{member}" if member else "")
            labels = {
                **template["metadata"]["labels"],
                f"{LWS}/name": meta["name"],
                f"{LWS}/group-index": str(group),
                f"{LWS}/worker-index": str(member),
            }
            pods.append(pod(name, meta["namespace"], labels, template["spec"]))
    return pods


def pod(name: str, namespace: str, labels: dict[str, str], spec: dict[str, Any] | None = None) -> Body:
    container = {"name": "app", "image": "registry.example/app"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec or {"containers": [container]},
    }
