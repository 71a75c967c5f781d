"""Reads the live Kubernetes objects of a stack: one list request for each kind of a cluster.

Objects that the list does not have, and kinds that may not be listed, are read by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.graph.resources.state import Stated

_PAGE = "500"
_PARALLEL_CALLS = 8
_PART_OF = "app.kubernetes.io/part-of"


@dataclass(frozen=True)
class ServedKind:
    """A built-in kind of Kubernetes."""

    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        root = f"/api/{self.api_version}" if self.api_version == "v1" else f"/apis/{self.api_version}"
        part = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{part}/{self.plural}" + (f"/{name}" if name else "")

    def object_path(self, resource: Stated) -> str:
        namespace, _, name = resource.id.rpartition("/")
        return self.path(namespace, name)


def read_objects(
    cluster: KubeClient, resources: Sequence[Stated], kinds: Mapping[str, ServedKind]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """URN → live object, of the resources of these kinds; and what could not be read.

    `kinds`: kind → how the API server serves it. Raises `EnvironmentFault` if the API server does not answer.
    """
    by_kind: dict[str, list[Stated]] = {}
    for resource in resources:
        by_kind.setdefault(str(resource.inputs["kind"]), []).append(resource)
    objects: dict[str, dict[str, Any]] = {}
    unread: list[str] = []
    with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
        listings = pool.map(lambda kind: _list(cluster, kinds[kind], by_kind[kind]), sorted(by_kind))
        missing: list[Stated] = []
        for kind, live in zip(sorted(by_kind), listings, strict=True):
            for resource in by_kind[kind]:
                found = live.get(resource.id)
                if found is None:
                    missing.append(resource)
                else:
                    objects[resource.urn] = {
                        "apiVersion": kinds[kind].api_version,
                        "kind": kind,
                        **found,
                    }
        answers = pool.map(lambda resource: _read(cluster, kinds, resource), missing)
        for resource, answer in zip(missing, answers, strict=True):
            if isinstance(answer, ApiRefusal):
                kind = resource.inputs["kind"]
                unread.append(f"{kind} {resource.id} in {cluster.context} cannot be read ({answer.reason})")
            elif answer is not None:
                objects[resource.urn] = answer
    return objects, unread


def _list(cluster: KubeClient, kind: ServedKind, resources: Iterable[Stated]) -> dict[str, dict[str, Any]]:
    """`NAMESPACE/NAME` → object; empty if the kind may not be listed."""
    parts = {((each.inputs.get("metadata") or {}).get("labels") or {}).get(_PART_OF) for each in resources}
    selector = {"labelSelector": f"{_PART_OF}={part}"} if len(parts) == 1 and (part := parts.pop()) else {}
    objects: dict[str, dict[str, Any]] = {}
    token = ""
    while True:
        params = {"limit": _PAGE, **selector, **({"continue": token} if token else {})}
        try:
            answer = cluster.get(kind.path(), params=params)
        except ApiRefusal:
            # What was not listed is read by name.
            return objects
        for item in answer.get("items") or []:
            metadata = item["metadata"]
            namespace = metadata.get("namespace")
            objects[f"{namespace}/{metadata['name']}" if namespace else metadata["name"]] = item
        token = (answer.get("metadata") or {}).get("continue") or ""
        if not token:
            return objects


def _read(
    cluster: KubeClient, kinds: Mapping[str, ServedKind], resource: Stated
) -> dict[str, Any] | ApiRefusal | None:
    try:
        return cluster.find(kinds[str(resource.inputs["kind"])].object_path(resource))
    except ApiRefusal as refused:
        return refused
