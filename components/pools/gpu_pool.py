"""The component GpuPool: labels, taints and queues the GPUs of one kind at a site."""

from collections.abc import Collection
from typing import Any

import pulumi

from components.base.argument_checks import MODES, check_choice, check_sensitivity
from components.cluster.objects import (
    GPU_TAINT,
    POOL_LABEL,
    PRODUCT_LABEL,
    common_labels,
    custom_resource,
    metadata,
    read_existing,
)
from components.pools.arguments import GpuPoolArgs, PoolSign, PoolTopology
from components.pools.device_plugin import config_name
from components.pools.drivers import nvidia_driver
from components.pools.health import health_signs, node_labels
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
    """Name of the pool, of its ClusterQueue and of its LocalQueues."""
    queue: pulumi.Output[str]
    """Name of the queue for pods. Empty without Kueue."""
    capacity: pulumi.Output[int]
    """Number of whole GPUs that the queue assigns."""
    verify: pulumi.Output[list[PoolSign]]
    """Conditions in the cluster's API that hold when the pool is healthy."""

    def __init__(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:GpuPool", name, dict(args), opts)
        pool = args["name"]
        gpu_operator = _check_mode(args.get("gpu_operator", "existing"), "gpu_operator", pool)
        kueue = _check_mode(args.get("kueue", "existing"), "kueue", pool)
        for index, sensitivity in enumerate(args.get("classes", [])):
            check_sensitivity(sensitivity, f"{pool}.classes[{index}]")
        capacity = _count_unreserved_gpus(args)
        cut_gpus = _count_cut_gpus(args, capacity, gpu_operator)
        whole_gpus = capacity - cut_gpus - _count_shared_gpus(args, capacity - cut_gpus, gpu_operator)
        if "topology" in args:
            _check_topology(args["topology"], kueue, pool)
        uses_claims = _check_allocation(args)
        _check_sharing(args, kueue)
        _check_driver(args, gpu_operator)
        dependencies = self._prepare_machines(name, args, gpu_operator)
        if uses_claims:
            child = pulumi.ResourceOptions(parent=self)
            dependencies.append(device_class(name, pool, args["product"], child))
        queues = Queues(name, args, capacity, whole_gpus, self, dependencies)
        if kueue == "existing":
            queues.make()
        self._entry_points = queues.entry_points
        self.last: list[pulumi.Resource] = queues.last or [self]
        self.pool = pulumi.Output.from_input(pool)
        self.queue = pulumi.Output.from_input(pool if kueue == "existing" else "")
        self.capacity = pulumi.Output.from_input(whole_gpus)
        health = health_signs(
            args, queues.objects, queues.local_queues, device_class_name(pool) if uses_claims else None
        )
        self.verify = pulumi.Output.from_input(health)
        self.register_outputs(
            {"pool": self.pool, "queue": self.queue, "capacity": self.capacity, "verify": self.verify}
        )

    def _prepare_machines(self, name: str, args: GpuPoolArgs, gpu_operator: str) -> list[pulumi.Resource]:
        """Label the nodes and install their driver. Returns the resources on which pods of the pool depend."""
        dependencies: list[pulumi.Resource] = []
        if gpu_operator == "existing":
            child = pulumi.ResourceOptions(parent=self)
            operator = read_existing(
                f"{name}-gpu-operator", "nvidia.com/v1", "ClusterPolicy", "cluster-policy", child
            )
            dependencies.append(operator)
        if not args.get("marked", False):
            mark_opts = pulumi.ResourceOptions(parent=self, depends_on=list(dependencies))
            dependencies += self._mark(name, args, mark_opts)
        if "driver" in args:
            # The driver selects its nodes by this label.
            driver_opts = pulumi.ResourceOptions(parent=self, depends_on=list(dependencies))
            dependencies.append(nvidia_driver(name, args["name"], args["driver"], driver_opts))
        return dependencies

    def waited_for(self, sensitivity: str, names: Collection[str]) -> list[pulumi.Resource]:
        """The resources on which a class's pods depend: the queues and priorities `names`, which are created after
        everything else of the pool. Depending on each node would make the state grow as endpoints times nodes.
        """
        resources = [
            resource
            for (queue_class, name), resource in self._entry_points.items()
            if name in names and (queue_class is None or queue_class == sensitivity)
        ]
        return resources or self.last

    def _mark(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Label and taint the nodes, by name or by their PCI devices."""
        pool = args["name"]
        names = args.get("node_names", [])
        if names:
            from pulumi_kubernetes.core.v1 import NodePatch

            if len(names) != args["nodes"]:
                raise InputError(
                    f"pool '{pool}' has {args['nodes']} nodes, but node_names lists {len(names)}",
                    where=f"{pool}.node_names",
                    fix="List every machine of the pool in node_names, or remove node_names",
                )
            # Only the label of Isthmus, because others belong to kubelet and operators. No taint: taints are one
            # atomic list, so applying one removes the others (`isthmus.engine.kubernetes.nodes` adds it).
            return [
                NodePatch(
                    f"{name}-node-{node}",
                    metadata=metadata(node, node_labels(args, node)),
                    opts=opts,
                )
                for node in names
            ]
        rule = {
            "name": f"isthmus-{pool}",
            "labels": {POOL_LABEL: pool},
            "taints": [GPU_TAINT],
            "matchFeatures": [_match_feature(args)],
        }
        meta = metadata(f"isthmus-{pool}", common_labels(pool))
        rule_object = custom_resource(
            f"{name}-nodes",
            "nfd.k8s-sigs.io/v1alpha1",
            "NodeFeatureRule",
            meta,
            {"spec": {"rules": [rule]}},
            opts,
        )
        return [rule_object]


def _match_feature(args: GpuPoolArgs) -> dict[str, Any]:
    """How Node Feature Discovery finds the pool's nodes: by PCI devices, or by the product if no devices are known.

    NFD's worker reads PCI devices from /sys/bus/pci/devices, with or without a driver (`source/pci/utils.go`). The
    product comes from GPU Feature Discovery, which needs a loaded driver. A driver that waits for the product would
    never be installed.
    """
    devices = args.get("pci_devices") or list(pci_devices_of(args["product"]))
    if devices:
        expressions = {"vendor": {"op": "In", "value": [_NVIDIA]}, "device": {"op": "In", "value": devices}}
        return {"feature": "pci.device", "matchExpressions": expressions}
    if "driver" in args:
        raise InputError(
            f"the machines of pool '{args['name']}' cannot be labelled before their driver is installed: "
            f"no PCI device id of `{args['product']}` is known",
            where=f"{args['name']}.pci_devices",
            fix="Set pci_devices (`lspci -nn -d 10de:` shows the ids in brackets, e.g. [10de:2330]), "
            "or list the machines in node_names",
        )
    # NFD receives the labels of GPU Feature Discovery as local labels.
    return {
        "feature": "local.label",
        "matchExpressions": {PRODUCT_LABEL: {"op": "In", "value": [args["product"]]}},
    }


def _count_unreserved_gpus(args: GpuPoolArgs) -> int:
    """The number of GPUs that the queue assigns. Raises `InputError` if all are reserved."""
    pool, reserved = args["name"], args.get("reserved_gpus", 0)
    capacity = args["nodes"] * args["gpus_per_node"] - reserved
    if capacity < 1:
        raise InputError(
            f"pool '{pool}' has no GPU left for its queue: {args['nodes']} × {args['gpus_per_node']} GPUs"
            f" minus {reserved} reserved",
            where=pool,
            fix="Lower reserved_gpus",
        )
    return capacity


def _count_cut_gpus(args: GpuPoolArgs, capacity: int, gpu_operator: str) -> int:
    """The number of GPUs with MIG slices. Raises `InputError` for unlisted machines or too many GPUs."""
    cuts, pool = args.get("mig", []), args["name"]
    if not cuts:
        return 0
    for cut in cuts:
        check_choice(cut["node"], tuple(args.get("node_names", [])), f"{pool}.mig")
    if gpu_operator == "off":
        raise InputError(
            f"pool '{pool}' has MIG slices, but the GPU Operator with its MIG manager is off",
            where=f"{pool}.gpu_operator",
            fix="Set gpu_operator to 'existing', or remove mig",
        )
    cut_gpus = sum(cut["gpus"] for cut in cuts)
    if cut_gpus > capacity:
        raise InputError(
            f"{cut_gpus} GPUs of pool '{pool}' are to be cut into slices, but only {capacity} are not reserved",
            where=f"{pool}.mig",
            fix="Cut fewer GPUs, or lower reserved_gpus",
        )
    return cut_gpus


def _count_shared_gpus(args: GpuPoolArgs, available: int, gpu_operator: str) -> int:
    """The number of time-sliced GPUs. Raises `InputError` for unlisted machines or a pool with MIG slices."""
    slicing, pool = args.get("time_slicing"), args["name"]
    if slicing is None:
        return 0
    where = f"{pool}.time_slicing"
    check_sensitivity(slicing["sensitivity"], where)
    config_name(slicing["replicas"])
    for node in slicing["nodes"]:
        check_choice(node, tuple(args.get("node_names", [])), f"{where}.nodes")
    if args.get("mig"):
        message = f"pool '{pool}' has both MIG slices and time-sliced GPUs, which cannot be combined"
        raise InputError(message, where=where, fix="Remove mig or time_slicing, or use two pools")
    if gpu_operator == "off":
        message = f"pool '{pool}' has time-sliced GPUs, but the GPU Operator with its device plugin is off"
        raise InputError(
            message,
            where=f"{pool}.gpu_operator",
            fix="Set gpu_operator to 'existing', or remove time_slicing",
        )
    shared_gpus = len(set(slicing["nodes"])) * args["gpus_per_node"]
    if shared_gpus > available:
        message = f"{shared_gpus} GPUs of pool '{pool}' are to be time-sliced, but only {available} are not reserved"
        raise InputError(
            message, where=where, fix="List fewer machines in time_slicing.nodes, or lower reserved_gpus"
        )
    return shared_gpus


def _check_topology(topology: PoolTopology, kueue: str, pool: str) -> None:
    """Raise `InputError` for levels that Kueue would refuse, or a group level that is not among them."""
    where, levels = f"{pool}.topology", topology["levels"]
    if kueue == "off":
        raise InputError(
            "`topology` is set, but Kueue is off and nothing would apply it",
            where=where,
            fix="Set `kueue: existing`, or remove `topology`",
        )
    if not levels or len(set(levels)) < len(levels) or "kubernetes.io/hostname" in levels[:-1]:
        raise InputError(
            "the levels must be distinct node labels, from the widest to the narrowest",
            where=f"{where}.levels",
            fix="List each label once, with `kubernetes.io/hostname` only at the end",
        )
    if "required" in topology and "preferred" in topology:
        raise InputError("`required` and `preferred` are both set", where=where, fix="Keep one of them")
    for key in ("required", "preferred"):
        if key in topology:
            check_choice(str(topology.get(key)), tuple(levels), f"{where}.{key}")


def _check_allocation(args: GpuPoolArgs) -> bool:
    """Whether pods claim GPUs with DRA. Raises `InputError` if the pool also has parts of GPUs."""
    pool = args["name"]
    allocation = check_choice(args.get("allocation", "device-plugin"), ALLOCATIONS, f"{pool}.allocation")
    uses_claims = allocation == "dra"
    if uses_claims and (args.get("mig") or args.get("time_slicing")):
        raise InputError(
            f"allocation dra claims whole GPUs, but pool '{pool}' has MIG slices or time-sliced GPUs",
            where=f"{pool}.allocation",
            fix="Set allocation to device-plugin, or remove mig and time_slicing",
        )
    return uses_claims


def _check_sharing(args: GpuPoolArgs, kueue: str) -> None:
    """Raise `InputError` for shares of a pool without queues."""
    pool = args["name"]
    if "sharing" in args and kueue == "off":
        raise InputError(
            f"without Kueue nothing enforces the shares of pool '{pool}'",
            where=f"{pool}.sharing",
            fix="Set `kueue: existing`, or remove `sharing`",
        )


def _check_driver(args: GpuPoolArgs, gpu_operator: str) -> None:
    """Raise `InputError` for a driver that nothing installs."""
    pool = args["name"]
    if "driver" in args and gpu_operator == "off":
        raise InputError(
            f"pool '{pool}' has a driver, but no GPU Operator would install it",
            where=f"{pool}.driver",
            fix="Set gpu_operator to `existing` or `manage`, or remove the driver",
        )


def _check_mode(value: str, key: str, pool: str) -> str:
    check_choice(value, MODES, f"{pool}.{key}")
    if value == "manage" and key != "gpu_operator":
        raise InputError(
            f"'{key}: manage' is not supported in this version",
            where=f"{pool}.{key}",
            fix="Install it yourself and set 'existing', or set 'off'",
        )
    return value
