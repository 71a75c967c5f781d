"""Weights on the nodes' own disks: one claim that refers to a local folder on each node of a pool.

A `local` volume is bound to nodes by its node affinity only, which may match several nodes. Here it matches all
nodes that may run the endpoint, and each kubelet mounts the folder with that path on its own disk. So Pod Security
`restricted` holds (no `hostPath`), and a pod reads weights that were fetched before it started. KServe's
LocalModelNodeGroup does the same.

Both specs are immutable, and a claim in use cannot be deleted. So the names contain a digest of the content, and
new objects exist beside the old ones until all pods are replaced.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi

from components.cluster.objects import class_namespace, metadata
from components.serving.arguments import ModelServerArgs
from components.serving.node_selection import node_selector
from components.serving.weights.paths import node_path
from isthmus.contracts.platform.model.serving import CACHE_FIX, FOLDER_FIX, NOT_A_FOLDER, is_folder
from isthmus.core.errors import InputError

COMPILED = ".compiled"
"""Folder of compiled code below the class's folder. No endpoint's own folder begins with a dot."""
KEPT = 2
"""Versions that each node keeps: the served one and the one before, for pods during a rollout."""


def check(args: ModelServerArgs) -> None:
    """Raise `InputError` if the cache's place is missing, ambiguous or impossible."""
    cache, where = args["weights"].get("cache"), f"{args['id']}.weights.cache"
    if cache is None:
        return
    stated_keys = [key for key in ("storage_class", "node_path") if cache.get(key)]
    if len(stated_keys) != 1:
        raise InputError(
            f"the cache names {' and '.join(stated_keys) or 'neither storage_class nor node_path'}",
            where=where,
            fix=CACHE_FIX,
        )
    folder = cache.get("node_path")
    if folder is None:
        return
    if not is_folder(folder):
        raise InputError(f"`{folder}` {NOT_A_FOLDER}", where=f"{where}.node_path", fix=FOLDER_FIX)
    if args.get("engine", "gpu") == "cpu" or not args.get("pool"):
        raise InputError(
            "node_path needs GPU machines of a pool whose disks hold the weights",
            where=f"{where}.node_path",
            fix="Set a pool and an engine on GPUs, or use storage_class instead",
        )


def claim_name(args: ModelServerArgs) -> str:
    """Name of the weights' claim. It changes with the content of claim or volume."""
    return _disk_name(args, "weights", _class_folder(args), _size(args))


def volume_name(args: ModelServerArgs) -> str:
    """Name of the weights' volume, unique among the classes and endpoints of the cluster."""
    return f"{class_namespace(args['sensitivity'])}-{claim_name(args)}"


def volume_and_claim(
    name: str, args: ModelServerArgs, labels: dict[str, str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """The weights' volume and its claim."""
    path, storage = _class_folder(args), _size(args)
    return _create_volume_and_claim(
        (f"{name}-disks", f"{name}-cache"), claim_name(args), args, path, storage, labels, parent
    )


def compiled_claim_name(args: ModelServerArgs, storage: str) -> str:
    """Name of the claim on the folder of the endpoint's compiled code."""
    return _disk_name(args, "compiled", _compiled_folder(args), storage)


def compiled_volume_and_claim(
    name: str, args: ModelServerArgs, storage: str, labels: dict[str, str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """A volume and a claim for that folder only, so that a writer cannot reach weights or other endpoints."""
    compiled_name, path = compiled_claim_name(args, storage), _compiled_folder(args)
    names = f"{name}-compiled-disks", f"{name}-compiled"
    return _create_volume_and_claim(names, compiled_name, args, path, storage, labels, parent)


def _create_volume_and_claim(
    resources: tuple[str, str],
    claim_name: str,
    args: ModelServerArgs,
    path: str,
    storage: str,
    labels: dict[str, str],
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Create a local volume and its claim. `resources`: their names in the stack."""
    from pulumi_kubernetes.core.v1 import PersistentVolume, PersistentVolumeClaim

    namespace = class_namespace(args["sensitivity"])
    cluster_name = f"{namespace}-{claim_name}"
    volume_spec: Any = {
        **_volume(args, path, storage),
        # The volume and the claim refer to each other, so neither can bind to another.
        "claimRef": {
            **{"apiVersion": "v1", "kind": "PersistentVolumeClaim"},
            **{"namespace": namespace, "name": claim_name},
        },
    }
    volume = PersistentVolume(
        resources[0],
        metadata=metadata(cluster_name, labels),
        spec=volume_spec,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    spec: Any = {**_claim(storage), "volumeName": cluster_name}
    claim = PersistentVolumeClaim(
        resources[1],
        metadata=metadata(claim_name, labels, namespace=namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[volume]),
    )
    return [volume, claim]


def _disk_name(args: ModelServerArgs, kind: str, path: str, storage: str) -> str:
    fingerprint = json.dumps([_volume(args, path, storage), _claim(storage)], sort_keys=True)
    return f"{args['id']}-{kind}-{hashlib.sha256(fingerprint.encode()).hexdigest()[:10]}"


def _class_folder(args: ModelServerArgs) -> str:
    return f"{node_path(args)}/{args['sensitivity']}"


def _compiled_folder(args: ModelServerArgs) -> str:
    return f"{_class_folder(args)}/{COMPILED}/{args['id']}"


def fetcher_spec(
    labels: dict[str, str], selector: dict[str, str], body: dict[str, Any], annotations: dict[str, str]
) -> dict[str, Any]:
    """Spec of the DaemonSet with these pods: one on each node, all replaced at once.

    The pods do not serve. While one is missing, its node keeps its files.
    """
    return {
        "selector": {"matchLabels": selector},
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0},
        },
        "revisionHistoryLimit": 3,
        "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": body},
    }


def _volume(args: ModelServerArgs, path: str, storage: str) -> dict[str, Any]:
    expressions = [
        {"key": key, "operator": "In", "values": [value]}
        for key, value in sorted(node_selector(args).items())
    ]
    return {
        "local": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}},
        "persistentVolumeReclaimPolicy": "Retain",
        **_COMMON_SPEC,
        "capacity": {"storage": storage},
    }


def _claim(storage: str) -> dict[str, Any]:
    return {**_COMMON_SPEC, "resources": {"requests": {"storage": storage}}}


_COMMON_SPEC: dict[str, Any] = {
    # Kubelet's plugin for local volumes supports this access mode. It limits how many nodes may attach a volume,
    # not how many pods mount it.
    "accessModes": ["ReadWriteOnce"],
    # An empty class, so that the claim binds to the named volume only and no new one is provisioned.
    "storageClassName": "",
}


def _size(args: ModelServerArgs) -> str:
    return f"{args['weights'].get('size_gib', 200)}Gi"
