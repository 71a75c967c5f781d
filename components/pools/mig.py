"""MIG layouts: the layout of each machine, its name, and MIG manager's ConfigMap."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import common_labels, metadata, resource_of
from isthmus.core.errors import InputError

CONFIG_LABEL = "nvidia.com/mig.config"
"""Node label with MIG manager's layout: an entry of its ConfigMap."""
CONFIG_MAP = "isthmus-mig"
_SLICES = "slices.isthmus.dev"


class CutMachine(TypedDict):
    """GPUs of one node that are cut alike for one purpose."""

    node: str
    """Name of the node."""
    profile: str
    """MIG profile of the slices, e.g. 3g.40gb."""
    gpus: int
    """Number of GPUs that are cut."""
    slices: int
    """Number of slices of all these GPUs."""
    owner: NotRequired[str]
    """Owner of the slices. The node gets the label `slices.isthmus.dev/OWNER`."""


class MigLayoutsArgs(TypedDict):
    """MIG layouts of nodes with partly cut GPUs, for MIG manager."""

    namespace: NotRequired[str]
    """Namespace of the GPU Operator (default gpu-operator)."""
    gpus: dict[str, int]
    """Number of GPUs by node name."""
    cuts: list[CutMachine]
    """The cut GPUs of these nodes."""


class MigLayouts(pulumi.ComponentResource):
    """The ConfigMap with MIG manager's layouts, which node labels refer to by name."""

    config_map: pulumi.Output[str]
    """Name for `migManager.config.name` of the GPU Operator."""

    def __init__(self, name: str, args: MigLayoutsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:MigLayouts", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import ConfigMap
        from ruamel.yaml import YAML
        from ruamel.yaml.compat import StringIO

        layouts = {layout_name(0, []): layout(0, [])}
        for node, gpus in sorted(args["gpus"].items()):
            node_cuts = cuts_of_node(args["cuts"], node)
            layouts[layout_name(gpus, node_cuts)] = layout(gpus, node_cuts)
        text = StringIO()
        YAML().dump({"version": "v1", "mig-configs": layouts}, text)
        config_map = ConfigMap(
            f"{name}-layouts",
            metadata=metadata(
                CONFIG_MAP, common_labels(CONFIG_MAP), namespace=args.get("namespace", "gpu-operator")
            ),
            data={"config.yaml": text.getvalue()},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.config_map = config_map.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"config_map": self.config_map})


def cuts_of_node(cuts: list[CutMachine], node: str) -> list[CutMachine]:
    """The cuts of one machine, sorted by profile."""
    return sorted((cut for cut in cuts if cut["node"] == node), key=lambda cut: cut["profile"])


def slices_by_resource(cuts: list[CutMachine]) -> dict[str, int]:
    """The number of slices by resource name."""
    counts: dict[str, int] = {}
    for cut in cuts:
        resource = resource_of(cut["profile"])
        counts[resource] = counts.get(resource, 0) + cut["slices"]
    return counts


def layout_name(gpus: int, cuts: list[CutMachine]) -> str:
    """The layout's name: a built-in one if all GPUs are whole or cut alike, else an `isthmus-` name."""
    counts = _counts_by_profile(gpus, cuts)
    if not counts:
        return "all-disabled"
    if len(counts) == 1 and sum(count for count, _ in counts.values()) == gpus:
        return f"all-{next(iter(counts))}"
    return "-".join(
        ["isthmus", *(f"{count}x{profile}" for profile, (count, _) in counts.items()), f"of-{gpus}"]
    )


def layout(gpus: int, cuts: list[CutMachine]) -> list[dict[str, Any]]:
    """The layout as nvidia-mig-parted reads it: the first GPUs are cut, the others stay whole."""
    entries: list[dict[str, Any]] = []
    first = 0
    for profile, (count, slices) in _counts_by_profile(gpus, cuts).items():
        devices = list(range(first, first + count))
        entries.append({"devices": devices, "mig-enabled": True, "mig-devices": {profile: slices // count}})
        first += count
    if not entries:
        return [{"devices": "all", "mig-enabled": False}]
    if first < gpus:
        entries.append({"devices": list(range(first, gpus)), "mig-enabled": False})
    return entries


def machine_labels(gpus: int, cuts: list[CutMachine]) -> dict[str, str]:
    """The labels of a machine in a pool with MIG slices."""
    owners = {owner_label(cut["owner"]): "true" for cut in cuts if "owner" in cut}
    return {CONFIG_LABEL: layout_name(gpus, cuts), **owners}


def owner_label(owner: str) -> str:
    """The label of machines that hold slices of `owner`."""
    return f"{_SLICES}/{owner}"


def is_partial(gpus: int, cuts: list[CutMachine]) -> bool:
    """Whether the layout needs an entry of its own in MIG manager's ConfigMap."""
    return layout_name(gpus, cuts).startswith("isthmus-")


def _counts_by_profile(gpus: int, cuts: list[CutMachine]) -> dict[str, tuple[int, int]]:
    """GPUs and slices by profile. Raises `InputError` for more than the machine has."""
    counts: dict[str, tuple[int, int]] = {}
    for cut in cuts:
        count, slices = counts.get(cut["profile"], (0, 0))
        counts[cut["profile"]] = (count + cut["gpus"], slices + cut["slices"])
    cut_gpus = sum(count for count, _ in counts.values())
    if cut_gpus > gpus:
        raise InputError(
            f"{cut_gpus} GPUs of '{cuts[0]['node']}' are to be cut into slices, but it has only {gpus}",
            where="mig",
        )
    return dict(sorted(counts.items()))
