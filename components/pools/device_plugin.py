"""Builds the configurations of NVIDIA's device plugin for machines whose GPUs are time-sliced."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import GPU, common_labels, metadata
from isthmus.core.errors import InputError

CONFIG_LABEL = "nvidia.com/device-plugin.config"
"""By which the device plugin is told a machine's configuration; a key of its ConfigMap."""
CONFIG_MAP = "isthmus-device-plugin"
WHOLE = "whole"
"""The configuration of machines that share nothing, the default."""
SHARED_GPU = f"{GPU}.shared"
"""What pods ask for: of another name than a whole GPU, so that who asks for one never gets a share."""


class DevicePluginConfigsArgs(TypedDict):
    """Configurations of NVIDIA's device plugin, for machines whose GPUs are shared in time."""

    namespace: NotRequired[str]
    """Where the GPU Operator runs (default gpu-operator)."""
    replicas: list[int]
    """Pods that share a GPU, on the machines of any pool: a configuration `shared-N` for each."""


class DevicePluginConfigs(pulumi.ComponentResource):
    """The ConfigMap in which the device plugin finds the configurations that a cluster's machines bear by name."""

    config_map: pulumi.Output[str]
    """Its name, for `devicePlugin.config.name` of the GPU Operator; `devicePlugin.config.default` is `whole`."""

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
        # The shares' own name; and a pod that asks for two would get no more than for one.
        "renameByDefault": True,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": GPU, "replicas": replicas}],
    }
    return {**config, "sharing": {"timeSlicing": sharing}}
