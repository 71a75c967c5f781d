"""Volumes for gateways' records and for the keys of held answers.

For each sensitivity, the gateways, the sealer and the reviewers claim the same share. A claim takes a whole
volume, so each share is offered as several volumes.
"""

from __future__ import annotations

from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from sandbox.cluster.weight_volumes import LABEL

SHARE_CLAIMS = (
    *(("records", whose) for whose in ("", "-sealer", "-reviews")),
    *(("held-keys", whose) for whose in ("", "-reviews")),
)
"""Each share with the suffix of a claim on it."""


def build_volumes() -> list[dict[str, Any]]:
    """Return the volumes' manifests. The names are those in `blueprints/parts/gateways.yaml.j2`."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{share}-{sensitivity}{suffix}", "labels": {LABEL: "records"}},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": f"/{share}/{sensitivity}"},
            },
        }
        for sensitivity in SENSITIVITIES
        for share, suffix in SHARE_CLAIMS
    ]
