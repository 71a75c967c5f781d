"""An API server in memory, with the bank's cluster as recorded in a state, for tests of `isthmus drift`."""

from __future__ import annotations

import copy
import functools
import gzip
import json
from pathlib import Path
from typing import Any

from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.drift import data_paths as drift_data_paths
from isthmus.engine.drift import kubernetes_objects
from isthmus.engine.kubernetes.discovery import Live
from isthmus.engine.preview.masking import Masker
from isthmus.graph.resources import state as graph_state

SNAPSHOTS = Path(__file__).parents[1] / "upgrades" / "snapshots"
BANK = "1398d34"
RESTRICTED = "isthmus-restricted"
MORE = {"v1": ("Pod", "Event"), "apps/v1": ("ReplicaSet",), "rbac.authorization.k8s.io/v1": ("RoleBinding",)}
"""Kinds that the server has and the state has none of."""


@functools.cache
def _written(snapshot: str) -> str:
    read = gzip.decompress((SNAPSHOTS / snapshot / "state.json.gz").read_bytes())
    return json.dumps(json.loads(read)["deployment"])


def state(snapshot: str = BANK) -> dict[str, Any]:
    """A stack's state as an engine once wrote it, the bank's; a copy."""
    return json.loads(_written(snapshot))


def plural(kind: str) -> str:
    """Of these kinds' names, which the server may spell as it likes."""
    return f"{kind.lower()}s"


class Api(KubeClient):
    """An API server with the objects of a state, as its providers read them."""

    def __init__(self, resources: list[dict[str, Any]]) -> None:
        super().__init__("fra1", "https://fra1", None)
        self.objects: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        self.namespaced: dict[tuple[str, str], bool] = {}
        self.refused: dict[str, int] = {}
        """A plural → the status by which to list it is refused."""
        self.page = 500
        self.asked: list[tuple[str, str]] = []
        """Path and what was accepted."""
        for resource in resources:
            if resource["type"].startswith("kubernetes:") and "kind" in (resource.get("outputs") or {}):
                self.add(graph_state.plain(resource["outputs"]))
        for version, kinds in MORE.items():
            for kind in kinds:
                self.namespaced.setdefault((version, kind), True)

    def add(self, resource: dict[str, Any], **claimed: Any) -> dict[str, Any]:
        """An object; `claimed`: the FieldsV1 of managers."""
        meta = resource["metadata"]
        meta.setdefault("uid", f"uid-{resource['kind']}-{meta['name']}")
        meta.setdefault("managedFields", [])
        meta["managedFields"] += [claim(name.replace("_", "-"), fields) for name, fields in claimed.items()]
        namespace = meta.get("namespace", "")
        self.namespaced.setdefault((resource["apiVersion"], resource["kind"]), bool(namespace))
        self.objects[resource["apiVersion"], resource["kind"], namespace, meta["name"]] = resource
        return resource

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (object,) = [candidate for key, candidate in self.objects.items() if (key[1], key[3]) == (kind, name)]
        return object

    def remove(self, kind: str, name: str) -> None:
        (key,) = [key for key in self.objects if (key[1], key[3]) == (kind, name)]
        del self.objects[key]

    def call(
        self, method: str, path: str, body: Any = None, *, params: Any = None, accept: str = "", **more: Any
    ) -> Any:
        assert method == "GET", "looking changes nothing"
        self.asked.append((path, accept))
        versions = {version for version, _ in self.namespaced}
        if path == "/apis":
            groups: dict[str, list[str]] = {}
            for candidate in sorted(versions - {"v1"}):
                group, served_as = candidate.split("/")
                groups.setdefault(group, []).append(served_as)
            return {
                "groups": [
                    {
                        "name": name,
                        "versions": [{"version": version} for version in served],
                        "preferredVersion": {"version": served[0]},
                    }
                    for name, served in groups.items()
                ]
            }
        version, _, rest_of_path = path.removeprefix("/apis/").removeprefix("/api/").partition("/")
        if path.startswith("/apis/"):
            part, _, rest_of_path = rest_of_path.partition("/")
            version = f"{version}/{part}"
        if not rest_of_path:
            if version in self.refused:
                raise ApiRefusal(
                    self.refused[version], "the server is currently unable to handle the request"
                )
            kinds = sorted(
                (kind, spaced)
                for (resource_version, kind), spaced in self.namespaced.items()
                if resource_version == version
            )
            resources: list[dict[str, Any]] = [
                {"name": plural(kind), "kind": kind, "namespaced": spaced, "verbs": ["get", "list"]}
                for kind, spaced in kinds
            ]
            return {
                "resources": [*resources, {"name": "deployments/scale", "kind": "Scale", "namespaced": True}]
            }
        return self._served(version, rest_of_path.split("/"), params or {}, accept)

    def _served(self, version: str, pieces: list[str], params: dict[str, str], accept: str) -> Any:
        namespace = pieces[1] if pieces[0] == "namespaces" and len(pieces) > 2 else ""
        plural_kind, *name = pieces[2:] if namespace else pieces
        if plural_kind in self.refused:
            raise ApiRefusal(self.refused[plural_kind], f"{plural_kind} is forbidden")
        kind = next(
            kind
            for served_version, kind in self.namespaced
            if served_version == version and plural(kind) == plural_kind
        )
        bare = "PartialObjectMetadata" in accept
        if name:
            resource = self.objects.get((version, kind, namespace, name[0]))
            if resource is None:
                raise ApiRefusal(404, "not found")
            return _shown(resource, bare)
        listed = [resource for key, resource in self.objects.items() if key[:3] == (version, kind, namespace)]
        first = int(params.get("continue", "0"))
        last = first + min(self.page, int(params["limit"]))
        more = {"continue": str(last)} if last < len(listed) else {}
        return {"metadata": more, "items": [_shown(resource, bare) for resource in listed[first:last]]}


def _shown(resource: dict[str, Any], bare: bool) -> dict[str, Any]:
    assert bare or resource["kind"] != "Secret", "a Secret's data was asked for"
    return copy.deepcopy({"metadata": resource["metadata"]} if bare else resource)


def claim(manager: str, fields: Any, **more: Any) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "time": "2026-11-26T15:00:00Z",
        "fieldsV1": fields,
        **more,
    }


def take_over(resource: dict[str, Any], *path: str, manager: str = "kubectl-edit") -> None:
    """Another manager has the last word on a path of an object, and nobody else has."""
    claimed_fields: dict[str, Any] = {}
    at = claimed_fields
    for key in path:
        at = at.setdefault(key, {})
    for managed_field in resource["metadata"]["managedFields"]:
        at = managed_field["fieldsV1"]
        for key in path[:-1]:
            at = at.get(key, {})
        at.pop(path[-1], None)
    resource["metadata"]["managedFields"].append(claim(manager, claimed_fields))


def find_object_drift(
    api: Api, resource_state: dict[str, Any] | None = None, *secrets: str
) -> kubernetes_objects.LiveObjects:
    """What the bank's cluster says of it."""
    deployment = resource_state or state()
    as_it_is = [
        as_it_i for as_it_i in graph_state.from_state_with_ids({"deployment": deployment}) if as_it_i.custom
    ]
    return kubernetes_objects.Cluster(
        Live(api), as_it_is, as_it_is, drift_data_paths.field_managers([deployment]), Masker(secrets)
    ).look()
