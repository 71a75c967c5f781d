"""Volumes that gateways write their records on: for each class the share as its gateways have it, and as its sealer
does. A claim has its volume for itself, so what is one share is two volumes."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.words import SENSITIVITIES
from sandbox.cluster.weights import LABEL


def volumes() -> list[dict[str, Any]]:
    """Named as the blueprints name them (`blueprints/parts/gateways.yaml.j2`)."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"records-{held}{whose}", "labels": {LABEL: "records"}},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": f"/records/{held}"},
            },
        }
        for held in SENSITIVITIES
        for whose in ("", "-sealer")
    ]
