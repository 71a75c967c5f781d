"""Volumes that gateways write their records on, and those with the keys of held answers: for each class the share as
its gateways have it, as its sealer does and as those do who decide. A claim has its volume for itself, so what is one
share is several volumes."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.vocabulary import SENSITIVITIES
from sandbox.cluster.weight_volumes import LABEL

SHARES = (
    *(("records", whose) for whose in ("", "-sealer", "-reviews")),
    *(("held-keys", whose) for whose in ("", "-reviews")),
)
"""Each share, and whose claim on it a volume is for."""


def volumes() -> list[dict[str, Any]]:
    """Named as the blueprints name them (`blueprints/parts/gateways.yaml.j2`)."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{share}-{held}{whose}", "labels": {LABEL: "records"}},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": f"/{share}/{held}"},
            },
        }
        for held in SENSITIVITIES
        for share, whose in SHARES
    ]
