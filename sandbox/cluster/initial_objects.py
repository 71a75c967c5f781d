"""What a cluster holds before any platform: CRDs, nodes, volumes, and a GPU Operator's word that all is well.

Idempotent: an object is applied when it is not there, or when what we want has changed since it was
applied; else it is left alone, whatever others have added to it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from isthmus.core.errors import EnvironmentFault
from sandbox.cluster import nodes, record_volumes, weight_volumes
from sandbox.cluster.client import MANAGER, ApiError, KubeClient
from sandbox.cluster.crds import Definition
from sandbox.cluster.sites import OnPremSite
from sandbox.operators import labels, mig

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NODES = "/api/v1/nodes"
NAMESPACES = "/api/v1/namespaces"
VOLUMES = "/api/v1/persistentvolumes"
POLICIES = "/apis/nvidia.com/v1/clusterpolicies"

Applied = dict[str, str]
"""Digest of every object as last applied, by its path."""


@dataclass(frozen=True)
class _Wish:
    collection: str
    name: str
    digest: str
    apply: Callable[[], None]

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"


def fill(
    client: KubeClient, site: OnPremSite, models: dict[str, int], crds: list[Definition], applied: Applied
) -> Applied:
    """Bring a ready cluster to what the requirements ask for; what has been applied by then."""
    wishes = [_definition(client, entry) for entry in crds]
    wishes += [_with_status(client, NODES, node) for node in nodes.nodes(site)]
    stored = [*weight_volumes.volumes(models), *record_volumes.volumes()]
    wishes += [_object(client, VOLUMES, volume) for volume in stored]
    wishes += [_object(client, collection, policy) for collection, policy in labels.policies()]
    wishes.append(_object(client, NAMESPACES, _namespace(mig.NAMESPACE)))
    # What was applied before was served before it was noted down.
    due = _due(client, wishes, applied)
    _grant(due)
    _await_served(client, {wish.name for wish in due if wish.collection == CRDS})
    policy = _with_status(client, POLICIES, _cluster_policy())
    _grant(_due(client, [policy], applied))
    _await_ready(client, {node["metadata"]["name"] for node in nodes.nodes(site)})
    return {wish.path: wish.digest for wish in (*wishes, policy)}


def _due(client: KubeClient, wishes: list[_Wish], applied: Applied) -> list[_Wish]:
    present = {collection: client.names(collection) for collection in {wish.collection for wish in wishes}}
    return [
        wish
        for wish in wishes
        if wish.name not in present[wish.collection] or applied.get(wish.path) != wish.digest
    ]


def _grant(wishes: list[_Wish]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(wish.apply) for wish in wishes]:
            future.result()


def _object(client: KubeClient, collection: str, manifest: dict[str, Any]) -> _Wish:
    name = manifest["metadata"]["name"]
    return _Wish(collection, name, _digest(manifest), lambda: client.apply(f"{collection}/{name}", manifest))


def _definition(client: KubeClient, entry: Definition) -> _Wish:
    def apply() -> None:
        # Creating costs the API server less than applying; applying is for one that is there, and replaces
        # its versions whole, so a stand-in gives way to the real one.
        try:
            client.call(
                "POST", CRDS, content=entry.text, media="application/yaml", params={"fieldManager": MANAGER}
            )
        except ApiError as error:
            if error.status != 409:
                raise
            client.apply(f"{CRDS}/{entry.name}", content=entry.text)

    return _Wish(CRDS, entry.name, entry.digest, apply)


def _with_status(client: KubeClient, collection: str, manifest: dict[str, Any]) -> _Wish:
    name = manifest["metadata"]["name"]
    path = f"{collection}/{name}"
    head = {key: value for key, value in manifest.items() if key != "status"}

    def apply() -> None:
        if collection == NODES:
            # A node comes with its capacity, so that the scheduler never sees one without.
            try:
                client.create(collection, manifest)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        client.apply(path, head)
        client.call(
            "PATCH",
            f"{path}/status",
            body={"status": manifest["status"]},
            media="application/merge-patch+json",
        )

    return _Wish(collection, name, _digest(manifest), apply)


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _cluster_policy() -> dict[str, Any]:
    """The GPU Operator's singleton, as ready as it can be without an operator; it says so."""
    required = (
        "daemonsets",
        "dcgm",
        "dcgmExporter",
        "devicePlugin",
        "driver",
        "gfd",
        "nodeStatusExporter",
        "operator",
        "toolkit",
    )
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {
            "name": "cluster-policy",
            "annotations": {"isthmus.dev/sandbox": "simulated: no GPU Operator runs in this cluster"},
        },
        "spec": {
            **{part: {} for part in required},
            "mig": {"strategy": "mixed"},
            "migManager": {"config": {"name": mig.CONFIG_MAP}},
            "devicePlugin": {"config": {"name": mig.PLUGIN_CONFIG_MAP, "default": "whole"}},
        },
        "status": {"state": "ready", "namespace": "gpu-operator"},
    }


def _await_served(client: KubeClient, waiting: set[str], timeout_s: float = 60.0) -> None:
    """Wait until discovery names the resources of these CRDs, which is when clients can use them.

    Discovery is one small answer; asking each resource itself would make the API server compile the
    schemas of all of them, used or not, which takes seconds.
    """
    deadline = time.monotonic() + timeout_s
    while left := waiting - client.resources():
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"the API server does not serve {', '.join(sorted(left))} after {timeout_s:.0f} s",
                where=client.server,
                fix="Check that these definitions are valid",
            )
        time.sleep(0.1)


def _await_ready(client: KubeClient, names: set[str], timeout_s: float = 30.0) -> None:
    """Wait until KWOK has marked every node Ready."""
    deadline = time.monotonic() + timeout_s
    while True:
        ready = {
            node["metadata"]["name"]
            for node in client.get(NODES)["items"]
            for entry in node["status"].get("conditions") or []
            if entry["type"] == "Ready" and entry["status"] == "True"
        }
        if names <= ready:
            return
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"nodes {', '.join(sorted(names - ready))} did not become ready in {timeout_s:.0f} s",
                where=client.server,
                fix="Run `isthmus sandbox down`, then `isthmus sandbox up` again",
            )
        time.sleep(0.1)


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
