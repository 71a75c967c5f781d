"""Weights on the machines' own disks: one claim that means, on each machine of a pool, a folder of that machine.

A `local` volume is bound to machines by its node affinity alone, and nothing asks that they be one: bound here to
all that may run the endpoint, each kubelet mounts the folder of that path on its own disk. So Pod Security
`restricted` holds (no `hostPath`), and a pod reads what was fetched to its machine before it came. KServe's
LocalModelNodeGroup goes the same way.

Neither spec can change, and a claim in use cannot go: names bear a digest of what they are made of, so that the new
ones stand beside the old until every pod has been rolled.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi

from components.kube import class_namespace, metadata
from components.onprem.machines import machines
from components.onprem.model_args import ModelServerArgs
from isthmus.contracts.errors import InputError
from isthmus.contracts.platform_serving import CACHE_TODO, FOLDER_TODO, NO_FOLDER, is_folder

KEPT = 2
"""Versions that each machine keeps: the one that is served, and the one before it, while pods are rolled."""


def node_path(args: ModelServerArgs) -> str | None:
    """The folder on each machine that holds the classes' folders; None where weights are kept otherwise."""
    return args["weights"].get("cache", {}).get("node_path")


def check(args: ModelServerArgs) -> None:
    """Raises `InputError` where it is not said, or cannot be, on which disks weights are kept."""
    cache, where = args["weights"].get("cache"), f"{args['id']}.weights.cache"
    if cache is None:
        return
    given = [key for key in ("storage_class", "node_path") if cache.get(key)]
    if len(given) != 1:
        raise InputError(
            f"the cache names {' and '.join(given) or 'neither storage_class nor node_path'}",
            where=where,
            todo=CACHE_TODO,
        )
    folder = cache.get("node_path")
    if folder is None:
        return
    if not is_folder(folder):
        raise InputError(f"`{folder}` {NO_FOLDER}", where=f"{where}.node_path", todo=FOLDER_TODO)
    if args.get("engine", "gpu") == "cpu" or not args.get("pool"):
        raise InputError(
            "no machines are known whose disks could hold the weights",
            where=f"{where}.node_path",
            todo="Name a pool and an engine on GPUs, or a storage_class in its place",
        )


def claim_name(args: ModelServerArgs) -> str:
    """Name of the claim, new with whatever it or its volume is made of."""
    made_of = json.dumps([_volume(args), _claim(args)], sort_keys=True)
    return f"{args['id']}-weights-{hashlib.sha256(made_of.encode()).hexdigest()[:10]}"


def volume_name(args: ModelServerArgs) -> str:
    """Name of the volume, which no other class or endpoint of the cluster has."""
    return f"{class_namespace(args['sensitivity'])}-{claim_name(args)}"


def volume_and_claim(
    name: str, args: ModelServerArgs, own: dict[str, str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    from pulumi_kubernetes.core.v1 import PersistentVolume, PersistentVolumeClaim

    space, claimed = class_namespace(args["sensitivity"]), claim_name(args)
    of: Any = {
        **_volume(args),
        # No other claim can have it, and its own no other volume.
        "claimRef": {
            **{"apiVersion": "v1", "kind": "PersistentVolumeClaim"},
            **{"namespace": space, "name": claimed},
        },
    }
    volume = PersistentVolume(
        f"{name}-disks",
        metadata=metadata(volume_name(args), own),
        spec=of,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    spec: Any = {**_claim(args), "volumeName": volume_name(args)}
    claim = PersistentVolumeClaim(
        f"{name}-cache",
        metadata=metadata(claimed, own, namespace=space),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[volume]),
    )
    return [volume, claim]


def fetcher_spec(
    own: dict[str, str], chosen: dict[str, str], body: dict[str, Any], notes: dict[str, str]
) -> dict[str, Any]:
    """Spec of the DaemonSet whose pods are these: one on each machine, all exchanged at once.

    None of them serves: while one is away its machine keeps what it has.
    """
    return {
        "selector": {"matchLabels": chosen},
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0},
        },
        "revisionHistoryLimit": 3,
        "template": {"metadata": {"labels": own, "annotations": notes}, "spec": body},
    }


def _volume(args: ModelServerArgs) -> dict[str, Any]:
    chosen = [
        {"key": key, "operator": "In", "values": [value]} for key, value in sorted(machines(args).items())
    ]
    return {
        "local": {"path": f"{node_path(args)}/{args['sensitivity']}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": chosen}]}},
        "persistentVolumeReclaimPolicy": "Retain",
        **_alike(args),
        "capacity": {"storage": _size(args)},
    }


def _claim(args: ModelServerArgs) -> dict[str, Any]:
    return {**_alike(args), "resources": {"requests": {"storage": _size(args)}}}


def _alike(args: ModelServerArgs) -> dict[str, Any]:
    return {
        # What kubelet's plugin for local volumes offers. It tells how many machines may attach a volume, and what
        # is there already is attached by nobody: how many pods mount it, it does not say.
        "accessModes": ["ReadWriteOnce"],
        # No class: only the named volume will do, and none is provisioned in its place.
        "storageClassName": "",
    }


def _size(args: ModelServerArgs) -> str:
    return f"{args['weights'].get('size_gib', 200)}Gi"
