"""Creates the objects of a new cluster: CRDs, nodes, volumes, and a ClusterPolicy of the GPU Operator that is ready.

An object is applied if it is missing, or if its manifest has changed since it was last applied. Otherwise it
stays as it is, with all that other clients added to it.
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
from isthmus.core.kubernetes_client import MERGE_PATCH, ApiRefusal, KubeClient
from sandbox.cluster import nodes, record_volumes, weight_volumes
from sandbox.cluster.crds import Definition
from sandbox.cluster.sites import OnPremSite
from sandbox.operators import labels, mig

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NODES = "/api/v1/nodes"
NAMESPACES = "/api/v1/namespaces"
VOLUMES = "/api/v1/persistentvolumes"
CLUSTER_POLICIES = "/apis/nvidia.com/v1/clusterpolicies"

Applied = dict[str, str]
"""Digest of each object's manifest as last applied, by the object's path."""


@dataclass(frozen=True)
class _DesiredObject:
    collection: str
    name: str
    digest: str
    apply: Callable[[], None]

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"


def apply_initial_objects(
    client: KubeClient, site: OnPremSite, models: dict[str, int], crds: list[Definition], applied: Applied
) -> Applied:
    """Create or update the initial objects of a ready cluster, and return the digests of all of them."""
    desired_objects = [_desired_crd(client, definition) for definition in crds]
    desired_objects += [_desired_with_status(client, NODES, node) for node in nodes.build_nodes(site)]
    volumes = [*weight_volumes.build_volumes(models), *record_volumes.build_volumes()]
    desired_objects += [_desired_object(client, VOLUMES, volume) for volume in volumes]
    desired_objects += [
        _desired_object(client, collection, policy) for collection, policy in labels.build_policies()
    ]
    desired_objects.append(_desired_object(client, NAMESPACES, _namespace(mig.NAMESPACE)))
    # Only changed CRDs are awaited: the others were served when an earlier call recorded them.
    changed = _find_changed(client, desired_objects, applied)
    _apply_all(changed)
    _await_served(client, {desired.name for desired in changed if desired.collection == CRDS})
    policy = _desired_with_status(client, CLUSTER_POLICIES, _cluster_policy())
    _apply_all(_find_changed(client, [policy], applied))
    _await_ready(client, {node["metadata"]["name"] for node in nodes.build_nodes(site)})
    return {desired.path: desired.digest for desired in (*desired_objects, policy)}


def _find_changed(
    client: KubeClient, desired_objects: list[_DesiredObject], applied: Applied
) -> list[_DesiredObject]:
    present = {
        collection: client.names(collection)
        for collection in {desired.collection for desired in desired_objects}
    }
    return [
        desired
        for desired in desired_objects
        if desired.name not in present[desired.collection] or applied.get(desired.path) != desired.digest
    ]


def _apply_all(desired_objects: list[_DesiredObject]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(desired.apply) for desired in desired_objects]:
            future.result()


def _desired_object(client: KubeClient, collection: str, manifest: dict[str, Any]) -> _DesiredObject:
    name = manifest["metadata"]["name"]
    return _DesiredObject(
        collection, name, _digest(manifest), lambda: client.apply(f"{collection}/{name}", manifest)
    )


def _desired_crd(client: KubeClient, definition: Definition) -> _DesiredObject:
    def apply() -> None:
        # Creating costs the API server less than applying. Applying replaces all versions of an existing
        # definition, so that a real one replaces a stand-in.
        try:
            client.call(
                "POST",
                CRDS,
                body=definition.text,
                content_type="application/yaml",
                params={"fieldManager": client.manager},
            )
        except ApiRefusal as error:
            if error.status != 409:
                raise
            client.apply(f"{CRDS}/{definition.name}", definition.text)

    return _DesiredObject(CRDS, definition.name, definition.digest, apply)


def _desired_with_status(client: KubeClient, collection: str, manifest: dict[str, Any]) -> _DesiredObject:
    name = manifest["metadata"]["name"]
    path = f"{collection}/{name}"
    manifest_without_status = {key: value for key, value in manifest.items() if key != "status"}

    def apply() -> None:
        if collection == NODES:
            # The node is created with its capacity, so that the scheduler never sees it without.
            try:
                client.create(collection, manifest)
                return
            except ApiRefusal as error:
                if error.status != 409:
                    raise
        client.apply(path, manifest_without_status)
        client.call(
            "PATCH",
            f"{path}/status",
            body={"status": manifest["status"]},
            content_type=MERGE_PATCH,
        )

    return _DesiredObject(collection, name, _digest(manifest), apply)


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _cluster_policy() -> dict[str, Any]:
    """Return the GPU Operator's ClusterPolicy in state ready, with an annotation that it is simulated."""
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


def _await_served(client: KubeClient, crd_names: set[str], timeout_s: float = 60.0) -> None:
    """Wait until the API server's discovery lists the resources of these CRDs: from then on clients can use them.

    Requests for the resources themselves would make the API server compile all their schemas, which takes seconds.
    """
    deadline = time.monotonic() + timeout_s
    while missing := crd_names - client.resources():
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"after {timeout_s:.0f} s the API server does not serve {', '.join(sorted(missing))}",
                where=client.server,
                fix="Check that these CustomResourceDefinitions are valid",
            )
        time.sleep(0.1)


def _await_ready(client: KubeClient, names: set[str], timeout_s: float = 30.0) -> None:
    """Wait until KWOK has marked all these nodes Ready."""
    deadline = time.monotonic() + timeout_s
    while True:
        ready = {
            node["metadata"]["name"]
            for node in client.get(NODES)["items"]
            for condition in node["status"].get("conditions") or []
            if condition["type"] == "Ready" and condition["status"] == "True"
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
