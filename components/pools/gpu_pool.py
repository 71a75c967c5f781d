"""The GPUs of one kind at a site: labelled, tainted, queued."""

from collections.abc import Collection
from typing import Any

import pulumi

from components.base.argument_checks import MODES, one_of, sensitivity
from components.cluster.objects import (
    GPU_TAINT,
    POOL_LABEL,
    PRODUCT_LABEL,
    custom,
    existing,
    labels,
    metadata,
)
from components.pools.arguments import GpuPoolArgs, PoolSign, PoolTopology
from components.pools.device_plugin import config_name
from components.pools.drivers import nvidia_driver
from components.pools.health import own_labels, signs
from components.pools.queues import Queues
from components.pools.resource_claims import ALLOCATIONS, device_class, device_class_name
from isthmus.contracts.hardware.gpus import pci_devices_of
from isthmus.core.errors import InputError

__all__ = ["GpuPool", "GpuPoolArgs"]

_NVIDIA = "10de"
"""NVIDIA's PCI vendor id."""


class GpuPool(pulumi.ComponentResource):
    """Labelled, tainted and queued GPU nodes with a working driver stack."""

    pool: pulumi.Output[str]
    """Name of the pool, and of its ClusterQueue and LocalQueues."""
    queue: pulumi.Output[str]
    """Name of the queue that pods name; empty where there is no Kueue."""
    capacity: pulumi.Output[int]
    """Whole GPUs that the queue gives out."""
    verify: pulumi.Output[list[PoolSign]]
    """What the pool shows in the cluster's API when it is healthy."""

    def __init__(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:GpuPool", name, dict(args), opts)
        pool = args["name"]
        gpu_operator = _mode(args.get("gpu_operator", "existing"), "gpu_operator", pool)
        kueue = _mode(args.get("kueue", "existing"), "kueue", pool)
        for at, asked in enumerate(args.get("classes", [])):
            sensitivity(asked, f"{pool}.classes[{at}]")
        capacity = args["nodes"] * args["gpus_per_node"] - args.get("reserved_gpus", 0)
        if capacity < 1:
            raise InputError(
                f"pool '{pool}' has no GPU to give out: {args['nodes']} × {args['gpus_per_node']}"
                f" less {args.get('reserved_gpus', 0)} reserved",
                where=pool,
                fix="Lower reserved_gpus",
            )
        cut = _cut(args, capacity, gpu_operator)
        whole = capacity - cut - _sliced(args, capacity - cut, gpu_operator)
        if "topology" in args:
            _levels(args["topology"], kueue, pool)
        by_claim = one_of(args.get("allocation", "device-plugin"), ALLOCATIONS, f"{pool}.allocation") == "dra"
        if by_claim and (args.get("mig") or args.get("time_slicing")):
            raise InputError(
                f"claims ask for whole GPUs, and pool '{pool}' cuts or shares some",
                where=f"{pool}.allocation",
                fix="Say device-plugin, or leave the GPUs whole",
            )
        if "sharing" in args and kueue == "off":
            raise InputError(
                f"without Kueue nobody holds the shares of pool '{pool}'",
                where=f"{pool}.sharing",
                fix="Say `kueue: existing`, or take them out",
            )
        after: list[pulumi.Resource] = []
        child = pulumi.ResourceOptions(parent=self)
        if gpu_operator == "existing":
            operator = existing(
                f"{name}-gpu-operator", "nvidia.com/v1", "ClusterPolicy", "cluster-policy", child
            )
            after.append(operator)
        if "driver" in args and gpu_operator == "off":
            raise InputError(
                f"pool '{pool}' names a driver, and there is no GPU Operator that would install it",
                where=f"{pool}.driver",
                fix="Say `gpu_operator: existing` or `manage`, or take it out",
            )
        if not args.get("marked", False):
            after += self._mark(name, args, pulumi.ResourceOptions(parent=self, depends_on=list(after)))
        if "driver" in args:
            # After the label by which the driver chooses its machines.
            chosen = pulumi.ResourceOptions(parent=self, depends_on=list(after))
            after.append(nvidia_driver(name, pool, args["driver"], chosen))
        if by_claim:
            after.append(device_class(name, pool, args["product"], child))
        queues = Queues(name, args, capacity, whole, self, after)
        if kueue == "existing":
            queues.make()
        self._ways = queues.ways
        self.last: list[pulumi.Resource] = queues.last or [self]
        self.pool = pulumi.Output.from_input(pool)
        self.queue = pulumi.Output.from_input(pool if kueue == "existing" else "")
        self.capacity = pulumi.Output.from_input(whole)
        shown = signs(args, queues.made, queues.local, device_class_name(pool) if by_claim else None)
        self.verify = pulumi.Output.from_input(shown)
        self.register_outputs(
            {"pool": self.pool, "queue": self.queue, "capacity": self.capacity, "verify": self.verify}
        )

    def waited_for(self, of_class: str, names: Collection[str]) -> list[pulumi.Resource]:
        """What a class's pods wait for that name these queues and priorities: those; the queues come after all else
        of the pool. A state lists it for each endpoint; with each machine it would grow as endpoints times machines."""
        chosen = [
            made
            for (held, name), made in self._ways.items()
            if name in names and (held is None or held == of_class)
        ]
        return chosen or self.last

    def _mark(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Label and taint the machines, by name or by what they show."""
        pool = args["name"]
        names = args.get("node_names", [])
        if names:
            from pulumi_kubernetes.core.v1 import NodePatch

            if len(names) != args["nodes"]:
                raise InputError(
                    f"pool '{pool}' has {args['nodes']} nodes and names {len(names)}",
                    where=f"{pool}.node_names",
                    fix="Name each machine of the pool, or none",
                )
            # Only what is ours: the node's other labels belong to kubelet and its operators. No taint: taints are one
            # atomic list, and who applies one removes what others set (`isthmus.engine.kubernetes.nodes` adds ours).
            return [
                NodePatch(
                    f"{name}-node-{node}",
                    metadata=metadata(node, own_labels(args, node)),
                    opts=opts,
                )
                for node in names
            ]
        rule = {
            "name": f"isthmus-{pool}",
            "labels": {POOL_LABEL: pool},
            "taints": [GPU_TAINT],
            "matchFeatures": [_feature(args)],
        }
        meta = metadata(f"isthmus-{pool}", labels(pool))
        made = custom(
            f"{name}-nodes",
            "nfd.k8s-sigs.io/v1alpha1",
            "NodeFeatureRule",
            meta,
            {"spec": {"rules": [rule]}},
            opts,
        )
        return [made]


def _feature(args: GpuPoolArgs) -> dict[str, Any]:
    """What Node Feature Discovery matches the pool's machines by: PCI devices, or the product where none are known.

    NFD's worker reads PCI devices from /sys/bus/pci/devices, with or without a driver (`source/pci/utils.go`). The
    product comes from GPU Feature Discovery, which needs a loaded driver: a driver that waits for it never comes.
    """
    devices = args.get("pci_devices") or list(pci_devices_of(args["product"]))
    if devices:
        expressions = {"vendor": {"op": "In", "value": [_NVIDIA]}, "device": {"op": "In", "value": devices}}
        return {"feature": "pci.device", "matchExpressions": expressions}
    if "driver" in args:
        raise InputError(
            f"the driver of pool '{args['name']}' is installed where the pool's label is, and the label would wait for "
            f"the driver: no PCI device id of `{args['product']}` is known",
            where=f"{args['name']}.pci_devices",
            fix="Name the ids (`lspci -nn -d 10de:` shows them in brackets, e.g. [10de:2330]), or the machines in "
            "node_names",
        )
    # What GPU Feature Discovery writes reaches NFD as local labels.
    return {
        "feature": "local.label",
        "matchExpressions": {PRODUCT_LABEL: {"op": "In", "value": [args["product"]]}},
    }


def _cut(args: GpuPoolArgs, capacity: int, gpu_operator: str) -> int:
    """GPUs that are cut. Raises `InputError` for machines that are not named, or more GPUs than there are."""
    cuts, pool = args.get("mig", []), args["name"]
    if not cuts:
        return 0
    for cut in cuts:
        one_of(cut["node"], tuple(args.get("node_names", [])), f"{pool}.mig")
    if gpu_operator == "off":
        raise InputError(
            f"pool '{pool}' cuts GPUs, and there is no GPU Operator whose MIG manager would",
            where=f"{pool}.gpu_operator",
            fix="Say 'existing', or leave the GPUs whole",
        )
    wanted = sum(cut["gpus"] for cut in cuts)
    if wanted > capacity:
        raise InputError(
            f"{wanted} GPUs of pool '{pool}' are to be cut, and {capacity} are not reserved",
            where=f"{pool}.mig",
            fix="Cut fewer",
        )
    return wanted


def _sliced(args: GpuPoolArgs, left: int, gpu_operator: str) -> int:
    """GPUs that are shared in time. Raises `InputError` for machines that are not named, or whose GPUs are cut."""
    slicing, pool = args.get("time_slicing"), args["name"]
    if slicing is None:
        return 0
    where = f"{pool}.time_slicing"
    sensitivity(slicing["sensitivity"], where)
    config_name(slicing["replicas"])
    for node in slicing["nodes"]:
        one_of(node, tuple(args.get("node_names", [])), f"{where}.nodes")
    if args.get("mig"):
        what = f"pool '{pool}' cuts GPUs, and the device plugin shares a machine's GPUs in one way"
        raise InputError(what, where=where, fix="Cut them or share them; use two pools for both")
    if gpu_operator == "off":
        what = f"pool '{pool}' shares GPUs, and there is no GPU Operator whose device plugin would"
        raise InputError(what, where=f"{pool}.gpu_operator", fix="Say 'existing', or leave the GPUs whole")
    wanted = len(set(slicing["nodes"])) * args["gpus_per_node"]
    if wanted > left:
        what = f"{wanted} GPUs of pool '{pool}' are to be shared, and {left} are not reserved"
        raise InputError(what, where=where, fix="Share fewer machines")
    return wanted


def _levels(topology: PoolTopology, kueue: str, pool: str) -> None:
    """Raises `InputError` for levels that Kueue would refuse, and a group's level that is none of them."""
    where, levels = f"{pool}.topology", topology["levels"]
    if kueue == "off":
        raise InputError("without Kueue nobody places by topology", where=where, fix="Say `kueue: existing`")
    if not levels or len(set(levels)) < len(levels) or "kubernetes.io/hostname" in levels[:-1]:
        raise InputError(
            "the levels are node labels, each once, from the widest to the narrowest",
            where=f"{where}.levels",
            fix="`kubernetes.io/hostname` comes last",
        )
    if "required" in topology and "preferred" in topology:
        raise InputError("a level is required or preferred", where=where, fix="Name one of them")
    for key in ("required", "preferred"):
        if key in topology:
            one_of(str(topology.get(key)), tuple(levels), f"{where}.{key}")


def _mode(value: str, key: str, pool: str) -> str:
    one_of(value, MODES, f"{pool}.{key}")
    if value == "manage" and key != "gpu_operator":
        raise InputError(
            f"'{key}: manage' is not in this version",
            where=f"{pool}.{key}",
            fix="Install it as the organisation does and say 'existing', or say 'off'",
        )
    return value
