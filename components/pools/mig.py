"""Cut GPUs: which layout each machine has, by name, and what that name means to MIG manager."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import labels, metadata, resource_of
from isthmus.core.errors import InputError

CONFIG_LABEL = "nvidia.com/mig.config"
"""By which MIG manager is told a machine's layout; the name of an entry of its ConfigMap."""
CONFIG_MAP = "isthmus-mig"
_SLICES = "slices.isthmus.dev"


class CutMachine(TypedDict):
    """GPUs of one machine that are cut alike for one purpose."""

    node: str
    """The machine."""
    profile: str
    """MIG profile of the slices, e.g. 3g.40gb."""
    gpus: int
    """GPUs that are cut."""
    slices: int
    """Slices that they give in all."""
    owner: NotRequired[str]
    """Whose they are: the machine gets the label `slices.isthmus.dev/OWNER`."""


class MigLayoutsArgs(TypedDict):
    """Layouts of machines whose GPUs are cut in part, for MIG manager."""

    namespace: NotRequired[str]
    """Where the GPU Operator runs (default gpu-operator)."""
    gpus: dict[str, int]
    """GPUs of each machine, by its name."""
    cuts: list[CutMachine]
    """The GPUs of these machines that are cut."""


class MigLayouts(pulumi.ComponentResource):
    """The ConfigMap in which MIG manager finds the layouts that a cluster's machines bear by name."""

    config_map: pulumi.Output[str]
    """Its name, for `migManager.config.name` of the GPU Operator."""

    def __init__(self, name: str, args: MigLayoutsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:MigLayouts", name, dict(args), opts)
        from pulumi_kubernetes.core.v1 import ConfigMap
        from ruamel.yaml import YAML
        from ruamel.yaml.compat import StringIO

        found = {layout_name(0, []): layout(0, [])}
        for node, gpus in sorted(args["gpus"].items()):
            mine = on_machine(args["cuts"], node)
            found[layout_name(gpus, mine)] = layout(gpus, mine)
        text = StringIO()
        YAML().dump({"version": "v1", "mig-configs": found}, text)
        made = ConfigMap(
            f"{name}-layouts",
            metadata=metadata(
                CONFIG_MAP, labels(CONFIG_MAP), namespace=args.get("namespace", "gpu-operator")
            ),
            data={"config.yaml": text.getvalue()},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.config_map = made.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"config_map": self.config_map})


def on_machine(cuts: list[CutMachine], node: str) -> list[CutMachine]:
    """What is cut on one machine, in a fixed order."""
    return sorted((cut for cut in cuts if cut["node"] == node), key=lambda cut: cut["profile"])


def slices(cuts: list[CutMachine]) -> dict[str, int]:
    """How many slices kubelet gives out, by resource."""
    found: dict[str, int] = {}
    for cut in cuts:
        resource = resource_of(cut["profile"])
        found[resource] = found.get(resource, 0) + cut["slices"]
    return found


def layout_name(gpus: int, cuts: list[CutMachine]) -> str:
    """The layout's name: MIG manager's own where all GPUs are whole or cut alike, else one of ours."""
    counts = _counts(gpus, cuts)
    if not counts:
        return "all-disabled"
    if len(counts) == 1 and sum(count for count, _ in counts.values()) == gpus:
        return f"all-{next(iter(counts))}"
    return "-".join(
        ["isthmus", *(f"{count}x{profile}" for profile, (count, _) in counts.items()), f"of-{gpus}"]
    )


def layout(gpus: int, cuts: list[CutMachine]) -> list[dict[str, Any]]:
    """The layout as nvidia-mig-parted reads it: the first GPUs are cut, the others stay whole."""
    made: list[dict[str, Any]] = []
    first = 0
    for profile, (count, slices) in _counts(gpus, cuts).items():
        devices = list(range(first, first + count))
        made.append({"devices": devices, "mig-enabled": True, "mig-devices": {profile: slices // count}})
        first += count
    if not made:
        return [{"devices": "all", "mig-enabled": False}]
    if first < gpus:
        made.append({"devices": list(range(first, gpus)), "mig-enabled": False})
    return made


def machine_labels(gpus: int, cuts: list[CutMachine]) -> dict[str, str]:
    """What a machine of a pool that cuts GPUs is labelled with."""
    owners = {owner_label(cut["owner"]): "true" for cut in cuts if "owner" in cut}
    return {CONFIG_LABEL: layout_name(gpus, cuts), **owners}


def owner_label(owner: str) -> str:
    """The label of machines that hold this one's slices."""
    return f"{_SLICES}/{owner}"


def is_partial(gpus: int, cuts: list[CutMachine]) -> bool:
    """Whether MIG manager must be told what the layout's name means."""
    return layout_name(gpus, cuts).startswith("isthmus-")


def _counts(gpus: int, cuts: list[CutMachine]) -> dict[str, tuple[int, int]]:
    """GPUs and slices by profile. Raises `InputError` for more than the machine has."""
    found: dict[str, tuple[int, int]] = {}
    for cut in cuts:
        count, slices = found.get(cut["profile"], (0, 0))
        found[cut["profile"]] = (count + cut["gpus"], slices + cut["slices"])
    wanted = sum(count for count, _ in found.values())
    if wanted > gpus:
        raise InputError(
            f"{wanted} GPUs of '{cuts[0]['node']}' are to be cut, and it has {gpus}", where="mig"
        )
    return dict(sorted(found.items()))
