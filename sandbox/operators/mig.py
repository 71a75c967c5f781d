"""A stand-in for the GPU Operator's MIG manager (strategy `mixed`) and its device plugin with time-slicing.

The node label `nvidia.com/mig.config` names a layout. The node then advertises its slices and the GPUs that stay
whole. A layout comes from the ConfigMap that the ClusterPolicy names (`spec.migManager.config.name`), or is one of
the operator's built-in layouts: `all-disabled`, `all-PROFILE`. The label `nvidia.com/mig.config.state` reports the
result. Running pods are not moved or ended.

The node label `nvidia.com/device-plugin.config` names a configuration in the ConfigMap of the ClusterPolicy's
`spec.devicePlugin.config.name`. Each GPU that it shares is advertised as `nvidia.com/gpu.shared`, `replicas` times.
A missing configuration changes nothing: the real plugin's pod waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import MERGE_PATCH, KubeClient

NODES = "/api/v1/nodes"
GPU_NODES = f"{NODES}?labelSelector=nvidia.com/gpu.present=true"
POLICY = "/apis/nvidia.com/v1/clusterpolicies/cluster-policy"
NAMESPACE = "gpu-operator"
CONFIG_MAP = "isthmus-mig"
"""The ConfigMap of layouts that the sandbox's ClusterPolicy names."""
PLUGIN_CONFIG_MAP = "isthmus-device-plugin"
"""The ConfigMap of device plugin configurations that the sandbox's ClusterPolicy names."""
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_CONFIG, _STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
_GPU, _SLICE, _SHARED = "nvidia.com/gpu", "nvidia.com/mig-", "nvidia.com/gpu.shared"
_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"


@dataclass
class Manager:
    """The MIG manager and device plugin of one cluster."""

    client: KubeClient

    def reconcile(self) -> None:
        """Make every GPU node advertise the devices of its layout."""
        nodes = self.client.get(GPU_NODES)["items"]
        if not nodes:
            return
        policy = self.client.find(POLICY) or {}
        text = self._configured(policy, "migManager").get("config.yaml")
        layouts = yaml_files.loads(text, "MIG layouts").data["mig-configs"] if text else {}
        plugin = self._configured(policy, "devicePlugin")
        for node in nodes:
            meta = node["metadata"]
            mig_capable = meta["labels"].get("nvidia.com/mig.capable") == "true"
            name = meta["labels"].get(_CONFIG, "all-disabled") if mig_capable else "all-disabled"
            devices = _layout_devices(name, meta["labels"], layouts)
            state = "success" if devices is not None else "failed"
            if devices is not None:
                self._advertise(
                    node, _apply_time_slicing(devices, plugin.get(meta["labels"].get(_PLUGIN_CONFIG, "")))
                )
            if mig_capable and meta["labels"].get(_STATE) != state:
                self._patch(f"{NODES}/{meta['name']}", {"metadata": {"labels": {_STATE: state}}})

    def _configured(self, policy: dict[str, Any], part: str) -> dict[str, str]:
        """Return the data of the ConfigMap that the ClusterPolicy names for a part of the operator."""
        name = policy.get("spec", {}).get(part, {}).get("config", {}).get("name")
        config_map = self.client.find(f"{CONFIG_MAPS}/{name}") if name else None
        return config_map["data"] if config_map is not None else {}

    def _advertise(self, node: dict[str, Any], devices: dict[str, str]) -> None:
        allocatable = node["status"].get("allocatable", {})
        gpu_resources = (_GPU, _SHARED)
        advertised = {
            key: str(value)
            for key, value in allocatable.items()
            if key in gpu_resources or key.startswith(_SLICE)
        }
        if advertised == devices:
            return
        patched = {**dict.fromkeys(advertised), **devices}
        status = {"status": {"capacity": patched, "allocatable": patched}}
        self._patch(f"{NODES}/{node['metadata']['name']}/status", status)

    def _patch(self, path: str, body: dict[str, Any]) -> None:
        self.client.call("PATCH", path, body=body, content_type=MERGE_PATCH)


def _apply_time_slicing(devices: dict[str, str], config: str | None) -> dict[str, str]:
    """Return the devices that a node advertises with this device plugin configuration."""
    sharing = yaml_files.loads(config, "device plugin").data.get("sharing") if config else None
    if not sharing:
        return devices
    slicing = sharing["timeSlicing"]
    (resource,) = slicing["resources"]
    # Without renameByDefault the plugin advertises shares under the name of whole GPUs.
    name = _SHARED if slicing.get("renameByDefault") else _GPU
    return {**devices, _GPU: "0", name: str(int(devices[_GPU]) * resource["replicas"])}


def _layout_devices(name: str, labels: dict[str, str], layouts: dict[str, Any]) -> dict[str, str] | None:
    """Return the devices that a node advertises under a layout. None: unknown layout, or not for this GPU."""
    gpus = int(labels["nvidia.com/gpu.count"])
    gpu = next((gpu for gpu in GPUS.values() if gpu.product == labels["nvidia.com/gpu.product"]), None)
    max_slices = dict(gpu.mig) if gpu else {}
    entries = layouts.get(name)
    if entries is None:
        profile = name.removeprefix("all-")
        if name == "all-disabled":
            entries = [{"devices": "all", "mig-enabled": False}]
        elif profile in max_slices:
            entries = [{"devices": "all", "mig-enabled": True, "mig-devices": {profile: max_slices[profile]}}]
        else:
            return None
    devices_by_resource = {_GPU: 0}
    for entry in entries:
        devices = gpus if entry["devices"] == "all" else len(entry["devices"])
        if not entry["mig-enabled"]:
            devices_by_resource[_GPU] += devices
            continue
        for profile, count in entry["mig-devices"].items():
            if count > max_slices.get(profile, 0):
                return None
            key = f"{_SLICE}{profile}"
            devices_by_resource[key] = devices_by_resource.get(key, 0) + devices * count
    return {key: str(count) for key, count in devices_by_resource.items()}
