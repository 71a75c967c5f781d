"""Builds the configurations of NVIDIA's device plugin for machines whose GPUs are time-sliced."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import GPU, common_labels, metadata
from isthmus.core.errors import InputError

CONFIG_LABEL = "nvidia.com/device-plugin.config"
"""Node label with the device plugin's configuration: a key of its ConfigMap."""
CONFIG_MAP = "isthmus-device-plugin"
WHOLE = "whole"
"""The default configuration, for nodes without shared GPUs."""
SHARED_GPU = f"{GPU}.shared"
"""Resource name of time-sliced shares. It differs from a whole GPU's, so a pod that requests a GPU never gets a
share."""


class DevicePluginConfigsArgs(TypedDict):
    """Configurations of NVIDIA's device plugin, for nodes with time-sliced GPUs."""

    namespace: NotRequired[str]
    """Namespace of the GPU Operator (default gpu-operator)."""
    replicas: list[int]
    """Pods that share a GPU, on nodes of any pool. Each number gets a configuration `shared-N`."""


class DevicePluginConfigs(pulumi.ComponentResource):
    """The ConfigMap with the device plugin's configurations, which node labels refer to by name."""

    config_map: pulumi.Output[str]
    """Name for `devicePlugin.config.name` of the GPU Operator. `devicePlugin.config.default` is `whole`."""

    def __init__(
        self, name: str, args: DevicePluginConfigsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:DevicePluginConfigs", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import ConfigMap
        from ruamel.yaml import YAML
        from ruamel.yaml.compat import StringIO

        data: dict[str, str] = {}
        for key, config in {
            WHOLE: configuration(None),
            **{config_name(count): configuration(count) for count in sorted(set(args["replicas"]))},
        }.items():
            text = StringIO()
            YAML().dump(config, text)
            data[key] = text.getvalue()
        config_map = ConfigMap(
            f"{name}-configs",
            metadata=metadata(
                CONFIG_MAP, common_labels(CONFIG_MAP), namespace=args.get("namespace", "gpu-operator")
            ),
            data=data,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.config_map = config_map.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"config_map": self.config_map})


def config_name(replicas: int) -> str:
    """The configuration's name. Raises `InputError` for fewer than 2 replicas."""
    if replicas < 2:
        raise InputError(
            f"{replicas} pod shares a GPU, but time-slicing needs at least 2",
            where="replicas",
            fix="Set replicas to 2 or more, or remove time_slicing",
        )
    return f"shared-{replicas}"


def configuration(replicas: int | None) -> dict[str, Any]:
    """A configuration of the device plugin. `replicas`: pods that share a GPU; None: GPUs are not shared."""
    config: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "mixed"}}
    if replicas is None:
        return config
    sharing = {
        # Shares have their own name. A pod that requests two gets no more time than with one, so that is refused.
        "renameByDefault": True,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": GPU, "replicas": replicas}],
    }
    return {**config, "sharing": {"timeSlicing": sharing}}
