"""The bank's cluster as its state once had it, served from memory: what `isthmus drift` asks an API server for."""

from __future__ import annotations

import copy
import functools
import gzip
import json
from pathlib import Path
from typing import Any

from isthmus.engine.drift import data_paths as drift_data_paths
from isthmus.engine.drift import kubernetes_objects
from isthmus.engine.kubernetes.client import ApiRefusal, Cluster
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


class Api(Cluster):
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
        for each in resources:
            if each["type"].startswith("kubernetes:") and "kind" in (each.get("outputs") or {}):
                self.add(graph_state.plain(each["outputs"]))
        for version, kinds in MORE.items():
            for kind in kinds:
                self.namespaced.setdefault((version, kind), True)

    def add(self, one: dict[str, Any], **claimed: Any) -> dict[str, Any]:
        """An object; `claimed`: the FieldsV1 of managers."""
        meta = one["metadata"]
        meta.setdefault("uid", f"uid-{one['kind']}-{meta['name']}")
        meta.setdefault("managedFields", [])
        meta["managedFields"] += [claim(name.replace("_", "-"), said) for name, said in claimed.items()]
        space = meta.get("namespace", "")
        self.namespaced.setdefault((one["apiVersion"], one["kind"]), bool(space))
        self.objects[one["apiVersion"], one["kind"], space, meta["name"]] = one
        return one

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [each for key, each in self.objects.items() if (key[1], key[3]) == (kind, name)]
        return found

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
            for each in sorted(versions - {"v1"}):
                group, served_as = each.split("/")
                groups.setdefault(group, []).append(served_as)
            return {
                "groups": [
                    {
                        "name": name,
                        "versions": [{"version": one} for one in served],
                        "preferredVersion": {"version": served[0]},
                    }
                    for name, served in groups.items()
                ]
            }
        version, _, rest = path.removeprefix("/apis/").removeprefix("/api/").partition("/")
        if path.startswith("/apis/"):
            part, _, rest = rest.partition("/")
            version = f"{version}/{part}"
        if not rest:
            if version in self.refused:
                raise ApiRefusal(
                    self.refused[version], "the server is currently unable to handle the request"
                )
            kinds = sorted(
                (kind, spaced) for (one, kind), spaced in self.namespaced.items() if one == version
            )
            found: list[dict[str, Any]] = [
                {"name": plural(kind), "kind": kind, "namespaced": spaced, "verbs": ["get", "list"]}
                for kind, spaced in kinds
            ]
            return {"resources": [*found, {"name": "deployments/scale", "kind": "Scale", "namespaced": True}]}
        return self._served(version, rest.split("/"), params or {}, accept)

    def _served(self, version: str, words: list[str], params: dict[str, str], accept: str) -> Any:
        space = words[1] if words[0] == "namespaces" and len(words) > 2 else ""
        what, *name = words[2:] if space else words
        if what in self.refused:
            raise ApiRefusal(self.refused[what], f"{what} is forbidden")
        kind = next(kind for one, kind in self.namespaced if one == version and plural(kind) == what)
        bare = "PartialObjectMetadata" in accept
        if name:
            found = self.objects.get((version, kind, space, name[0]))
            if found is None:
                raise ApiRefusal(404, "not found")
            return _shown(found, bare)
        listed = [each for key, each in self.objects.items() if key[:3] == (version, kind, space)]
        first = int(params.get("continue", "0"))
        last = first + min(self.page, int(params["limit"]))
        more = {"continue": str(last)} if last < len(listed) else {}
        return {"metadata": more, "items": [_shown(each, bare) for each in listed[first:last]]}


def _shown(one: dict[str, Any], bare: bool) -> dict[str, Any]:
    assert bare or one["kind"] != "Secret", "a Secret's data was asked for"
    return copy.deepcopy({"metadata": one["metadata"]} if bare else one)


def claim(manager: str, said: Any, **more: Any) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "time": "2026-11-26T15:00:00Z",
        "fieldsV1": said,
        **more,
    }


def taken(one: dict[str, Any], *path: str, manager: str = "kubectl-edit") -> None:
    """Another manager has the last word on a path of an object, and nobody else has."""
    said: dict[str, Any] = {}
    at = said
    for key in path:
        at = at.setdefault(key, {})
    for each in one["metadata"]["managedFields"]:
        at = each["fieldsV1"]
        for key in path[:-1]:
            at = at.get(key, {})
        at.pop(path[-1], None)
    one["metadata"]["managedFields"].append(claim(manager, said))


def looked(api: Api, of: dict[str, Any] | None = None, *secrets: str) -> kubernetes_objects.LiveObjects:
    """What the bank's cluster says of it."""
    one = of or state()
    own = [each for each in graph_state.as_it_is({"deployment": one}) if each.custom]
    return kubernetes_objects.Cluster(
        Live(api), own, own, drift_data_paths.field_managers([one]), Masker(secrets)
    ).look()
