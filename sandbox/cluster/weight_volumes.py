"""Volumes that weights are claimed from.

One for each candidate model that GPUs could serve, and one more for each further class of data that
names the model, since a claim has its volume for itself: `weights-SLUG`, `weights-SLUG-2`, … They are
`Retain`, as a volume with weights would be; the stage `weights-reclaim` of stages.yaml clears the claim of
a released one, so that the next claim binds without a person.
"""

from __future__ import annotations

from typing import Any

from sandbox.cluster.sites import slug

LABEL = "isthmus.dev/sandbox"
CAPACITY = "4Ti"
"""More than any model's weights; hostPath reserves nothing."""


def volumes(models: dict[str, int]) -> list[dict[str, Any]]:
    """Volumes for models by id, as many of each as classes name it."""
    made: dict[str, dict[str, Any]] = {}
    # First volumes first: `m` of two classes must not take the name of another model's `m-2`.
    for number in range(1, max(models.values(), default=0) + 1):
        for model in sorted(name for name, count in models.items() if count >= number):
            made.setdefault(volume_name(model, number), _volume(model, number))
    return list(made.values())


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
