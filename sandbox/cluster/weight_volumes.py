"""Volumes for model weights.

Each candidate model that GPUs can serve has one volume for each sensitivity that names it, since a claim takes a
whole volume: `weights-SLUG`, `weights-SLUG-2`, … The reclaim policy is `Retain`, as on a real site. The stage
`weights-reclaim` of stages.yaml clears the claim of a released volume, so that the next claim can bind.
"""

from __future__ import annotations

from typing import Any

from sandbox.cluster.sites import slug

LABEL = "isthmus.dev/sandbox"
CAPACITY = "4Ti"
"""More than the weights of any model. hostPath reserves no space."""


def build_volumes(models: dict[str, int]) -> list[dict[str, Any]]:
    """Return the volumes' manifests. `models` maps a model's id to its number of volumes."""
    volumes: dict[str, dict[str, Any]] = {}
    # All first volumes come first: the second volume of `m` must not take the name of a model `m-2`.
    for number in range(1, max(models.values(), default=0) + 1):
        for model in sorted(name for name, count in models.items() if count >= number):
            volumes.setdefault(volume_name(model, number), _volume(model, number))
    return list(volumes.values())


def volume_name(model: str, number: int = 1) -> str:
    name = f"weights-{slug(model)}"
    return name if number == 1 else f"{name}-{number}"


def _volume(model: str, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(model, number),
            "labels": {LABEL: "weights"},
            "annotations": {"isthmus.dev/model": model},
        },
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": f"/weights/{slug(model)}"},
        },
    }
