"""A stand-in for the GPU Operator's MIG manager and its device plugin, strategy `mixed`.

A machine's label `nvidia.com/mig.config` names a layout; the machine then advertises its slices and the
GPUs that are left whole. A layout is looked up in the ConfigMap that the ClusterPolicy names
(`spec.migManager.config.name`), else it is one of the operator's own: `all-disabled`, `all-PROFILE`. As
the real one it says in `nvidia.com/mig.config.state` how that went. No pod that runs is moved or ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isthmus.contracts import yamlfile
from isthmus.contracts.gpus import GPUS
from sandbox.cluster.client import KubeClient

NODES = "/api/v1/nodes"
POLICY = "/apis/nvidia.com/v1/clusterpolicies/cluster-policy"
NAMESPACE = "gpu-operator"
CONFIG_MAP = "isthmus-mig"
"""What the sandbox's ClusterPolicy names."""
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_CONFIG, _STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
_GPU, _SLICE = "nvidia.com/gpu", "nvidia.com/mig-"


@dataclass
class Manager:
    """One cluster's."""

    client: KubeClient

    def reconcile(self) -> None:
        """Bring every machine whose layout is not what it advertises to it."""
        layouts: dict[str, Any] | None = None
        for node in self.client.get(f"{NODES}?labelSelector=nvidia.com/mig.capable=true")["items"]:
            meta = node["metadata"]
            name = meta["labels"].get(_CONFIG, "all-disabled")
            if layouts is None:
                layouts = self._layouts()
            wanted = _devices(name, meta["labels"], layouts)
            state = "success" if wanted is not None else "failed"
            if wanted is not None:
                self._advertise(node, wanted)
            if meta["labels"].get(_STATE) != state:
                self._patch(f"{NODES}/{meta['name']}", {"metadata": {"labels": {_STATE: state}}})

    def _layouts(self) -> dict[str, Any]:
        policy = self.client.find(POLICY) or {}
        name = policy.get("spec", {}).get("migManager", {}).get("config", {}).get("name")
        made = self.client.find(f"{CONFIG_MAPS}/{name}") if name else None
        if made is None:
            return {}
        return yamlfile.loads(made["data"]["config.yaml"], f"ConfigMap {name}").data["mig-configs"]

    def _advertise(self, node: dict[str, Any], wanted: dict[str, str]) -> None:
        there = node["status"].get("allocatable", {})
        known = {key: str(value) for key, value in there.items() if key == _GPU or key.startswith(_SLICE)}
        if known == wanted:
            return
        devices = {**dict.fromkeys(known), **wanted}
        status = {"status": {"capacity": devices, "allocatable": devices}}
        self._patch(f"{NODES}/{node['metadata']['name']}/status", status)

    def _patch(self, path: str, body: dict[str, Any]) -> None:
        self.client.call("PATCH", path, body=body, media="application/merge-patch+json")


def _devices(name: str, labels: dict[str, str], layouts: dict[str, Any]) -> dict[str, str] | None:
    """What a machine advertises under a layout; None for one that is not known, or not of its GPU."""
    gpus = int(labels["nvidia.com/gpu.count"])
    kind = next((gpu for gpu in GPUS.values() if gpu.product == labels["nvidia.com/gpu.product"]), None)
    known = dict(kind.mig) if kind else {}
    entries = layouts.get(name)
    if entries is None:
        profile = name.removeprefix("all-")
        if name == "all-disabled":
            entries = [{"devices": "all", "mig-enabled": False}]
        elif profile in known:
            entries = [{"devices": "all", "mig-enabled": True, "mig-devices": {profile: known[profile]}}]
        else:
            return None
    found = {_GPU: 0}
    for entry in entries:
        devices = gpus if entry["devices"] == "all" else len(entry["devices"])
        if not entry["mig-enabled"]:
            found[_GPU] += devices
            continue
        for profile, count in entry["mig-devices"].items():
            if count > known.get(profile, 0):
                return None
            key = f"{_SLICE}{profile}"
            found[key] = found.get(key, 0) + devices * count
    return {key: str(count) for key, count in found.items()}
