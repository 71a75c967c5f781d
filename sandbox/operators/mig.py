"""A stand-in for the GPU Operator's MIG manager and its device plugin, strategy `mixed`, time-slicing renamed.

A machine's label `nvidia.com/mig.config` names a layout; the machine then advertises its slices and the
GPUs that are left whole. A layout is looked up in the ConfigMap that the ClusterPolicy names
(`spec.migManager.config.name`), else it is one of the operator's own: `all-disabled`, `all-PROFILE`. As
the real one it says in `nvidia.com/mig.config.state` how that went. No pod that runs is moved or ended.

The label `nvidia.com/device-plugin.config` names a configuration in the ConfigMap that the ClusterPolicy names
(`spec.devicePlugin.config.name`): the GPUs that it shares are advertised as `nvidia.com/gpu.shared`, each as often as
it says. One that is not there changes nothing, as with the real one, whose pod waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.core import yaml_files
from sandbox.cluster.client import KubeClient

NODES = "/api/v1/nodes"
GPU_NODES = f"{NODES}?labelSelector=nvidia.com/gpu.present=true"
POLICY = "/apis/nvidia.com/v1/clusterpolicies/cluster-policy"
NAMESPACE = "gpu-operator"
CONFIG_MAP = "isthmus-mig"
"""What the sandbox's ClusterPolicy names."""
PLUGIN_CONFIG_MAP = "isthmus-device-plugin"
"""The same, for the device plugin."""
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_CONFIG, _STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
_GPU, _SLICE, _SHARED = "nvidia.com/gpu", "nvidia.com/mig-", "nvidia.com/gpu.shared"
_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"


@dataclass
class Manager:
    """One cluster's."""

    client: KubeClient

    def reconcile(self) -> None:
        """Bring every machine whose layout is not what it advertises to it."""
        nodes = self.client.get(GPU_NODES)["items"]
        if not nodes:
            return
        policy = self.client.find(POLICY) or {}
        text = self._configured(policy, "migManager").get("config.yaml")
        layouts = yaml_files.loads(text, "MIG layouts").data["mig-configs"] if text else {}
        plugin = self._configured(policy, "devicePlugin")
        for node in nodes:
            meta = node["metadata"]
            capable = meta["labels"].get("nvidia.com/mig.capable") == "true"
            name = meta["labels"].get(_CONFIG, "all-disabled") if capable else "all-disabled"
            wanted = _devices(name, meta["labels"], layouts)
            state = "success" if wanted is not None else "failed"
            if wanted is not None:
                self._advertise(node, _shared(wanted, plugin.get(meta["labels"].get(_PLUGIN_CONFIG, ""))))
            if capable and meta["labels"].get(_STATE) != state:
                self._patch(f"{NODES}/{meta['name']}", {"metadata": {"labels": {_STATE: state}}})

    def _configured(self, policy: dict[str, Any], part: str) -> dict[str, str]:
        """What the ConfigMap says that the ClusterPolicy names for a part of the operator."""
        name = policy.get("spec", {}).get(part, {}).get("config", {}).get("name")
        made = self.client.find(f"{CONFIG_MAPS}/{name}") if name else None
        return made["data"] if made is not None else {}

    def _advertise(self, node: dict[str, Any], wanted: dict[str, str]) -> None:
        there = node["status"].get("allocatable", {})
        ours = (_GPU, _SHARED)
        known = {key: str(value) for key, value in there.items() if key in ours or key.startswith(_SLICE)}
        if known == wanted:
            return
        devices = {**dict.fromkeys(known), **wanted}
        status = {"status": {"capacity": devices, "allocatable": devices}}
        self._patch(f"{NODES}/{node['metadata']['name']}/status", status)

    def _patch(self, path: str, body: dict[str, Any]) -> None:
        self.client.call("PATCH", path, body=body, media="application/merge-patch+json")


def _shared(wanted: dict[str, str], config: str | None) -> dict[str, str]:
    """What a machine advertises whose device plugin has this configuration."""
    sharing = yaml_files.loads(config, "device plugin").data.get("sharing") if config else None
    if not sharing:
        return wanted
    slicing = sharing["timeSlicing"]
    (resource,) = slicing["resources"]
    # Under their own name only as it is asked for: else shares would be called GPUs.
    name = _SHARED if slicing.get("renameByDefault") else _GPU
    return {**wanted, _GPU: "0", name: str(int(wanted[_GPU]) * resource["replicas"])}


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
