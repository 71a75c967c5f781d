"""The GPUs of one kind at a site: labelled, tainted, queued."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.checks import MODES, one_of, sensitivity
from components.kube import (
    CLASS_LABEL,
    GPU,
    GPU_TAINT,
    GPU_TOLERATION,
    POOL_LABEL,
    PRODUCT_LABEL,
    class_namespace,
    custom,
    existing,
    labels,
    metadata,
    resource_of,
)
from components.onprem.mig import CutMachine, machine_labels, on_machine
from isthmus.contracts.errors import InputError

PRIORITIES = {"restricted": 4000, "confidential": 3000, "internal": 2000, "public": 1000}
"""Order in the queue where GPUs are short; nobody is evicted for it."""
_KUEUE = "kueue.x-k8s.io/v1beta2"


class GpuPoolArgs(TypedDict):
    """The GPUs of one kind at a site."""

    name: str
    """Name of the pool: its node label's value, its flavor's and its queues' name."""
    product: str
    """The label `nvidia.com/gpu.product` as GPU Feature Discovery sets it, e.g. NVIDIA-H100-80GB-HBM3."""
    nodes: int
    """How many machines."""
    gpus_per_node: int
    """GPUs in each of them."""
    reserved_gpus: NotRequired[int]
    """GPUs that the queue does not give out: spares, and room to roll with surge."""
    node_names: NotRequired[list[str]]
    """The machines by name. Absent: every node that shows the product, by Node Feature Discovery."""
    marked: NotRequired[bool]
    """Whether machines come labelled and tainted (default false), as node groups in AWS make them."""
    mig: NotRequired[list[CutMachine]]
    """GPUs of named machines that are cut into slices; the others stay whole."""
    classes: NotRequired[list[str]]
    """Classes whose namespace gets a local queue and a priority class."""
    gpu_operator: NotRequired[str]
    """`existing` (default): its ClusterPolicy `cluster-policy` must be there. `off`: not looked for."""
    kueue: NotRequired[str]
    """`existing` (default): flavor, queues and priority classes are made. `off`: none of them."""
    cpu_per_gpu: NotRequired[int]
    """CPUs that the queue gives out with a GPU (default 32): GPUs are what is short, not these."""
    memory_gib_per_gpu: NotRequired[int]
    """GiB of memory that the queue gives out with a GPU (default 256)."""


class GpuPool(pulumi.ComponentResource):
    """Labelled, tainted and queued GPU nodes with a working driver stack."""

    pool: pulumi.Output[str]
    """Name of the pool, and of its ClusterQueue and LocalQueues."""
    queue: pulumi.Output[str]
    """Name of the queue that pods name; empty where there is no Kueue."""
    capacity: pulumi.Output[int]
    """Whole GPUs that the queue gives out."""

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
                todo="Lower reserved_gpus",
            )
        cut = _cut(args, capacity, gpu_operator)
        after: list[pulumi.Resource] = []
        child = pulumi.ResourceOptions(parent=self)
        if gpu_operator == "existing":
            operator = existing(
                f"{name}-gpu-operator", "nvidia.com/v1", "ClusterPolicy", "cluster-policy", child
            )
            after.append(operator)
        if not args.get("marked", False):
            self._mark(name, args, pulumi.ResourceOptions(parent=self, depends_on=after))
        if kueue == "existing":
            self._queue(name, args, capacity, capacity - cut)
        self.pool = pulumi.Output.from_input(pool)
        self.queue = pulumi.Output.from_input(pool if kueue == "existing" else "")
        self.capacity = pulumi.Output.from_input(capacity - cut)
        self.register_outputs({"pool": self.pool, "queue": self.queue, "capacity": self.capacity})

    def _mark(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions) -> None:
        """Label and taint the machines, by name or by what they show."""
        pool = args["name"]
        names = args.get("node_names", [])
        if names:
            from pulumi_kubernetes.core.v1 import NodePatch

            if len(names) != args["nodes"]:
                raise InputError(
                    f"pool '{pool}' has {args['nodes']} nodes and names {len(names)}",
                    where=f"{pool}.node_names",
                    todo="Name each machine of the pool, or none",
                )
            for node in names:
                # Only what is ours: the node's other labels belong to kubelet and its operators.
                cuts = args.get("mig", [])
                layout = machine_labels(args["gpus_per_node"], on_machine(cuts, node)) if cuts else {}
                meta = metadata(node, {POOL_LABEL: pool, **layout})
                spec: Any = {"taints": [GPU_TAINT]}
                NodePatch(f"{name}-node-{node}", metadata=meta, spec=spec, opts=opts)
            return
        rule = {
            "name": f"isthmus-{pool}",
            "labels": {POOL_LABEL: pool},
            "taints": [GPU_TAINT],
            # What GPU Feature Discovery writes reaches NFD as local labels.
            "matchFeatures": [
                {
                    "feature": "local.label",
                    "matchExpressions": {PRODUCT_LABEL: {"op": "In", "value": [args["product"]]}},
                }
            ],
        }
        meta = metadata(f"isthmus-{pool}", labels(pool))
        custom(
            f"{name}-nodes",
            "nfd.k8s-sigs.io/v1alpha1",
            "NodeFeatureRule",
            meta,
            {"spec": {"rules": [rule]}},
            opts,
        )

    def _queue(self, name: str, args: GpuPoolArgs, capacity: int, whole: int) -> None:
        """A flavor for the machines, a queue over them, a way in for each class.

        The queue covers CPU and memory too: Kueue never admits a pod that requests a resource which
        its queue does not cover.
        """
        pool = args["name"]
        classes = args.get("classes", [])
        own = labels(pool)
        child = pulumi.ResourceOptions(parent=self)
        flavor = custom(
            f"{name}-flavor",
            _KUEUE,
            "ResourceFlavor",
            metadata(pool, own),
            {
                "spec": {
                    "nodeLabels": {PRODUCT_LABEL: args["product"], POOL_LABEL: pool},
                    "nodeTaints": [GPU_TAINT],
                    "tolerations": [GPU_TOLERATION],
                }
            },
            child,
        )
        amounts: dict[str, Any] = {
            "cpu": capacity * args.get("cpu_per_gpu", 32),
            "memory": f"{capacity * args.get('memory_gib_per_gpu', 256)}Gi",
            GPU: whole,
        }
        for cut in args.get("mig", []):
            resource = resource_of(cut["profile"])
            amounts[resource] = amounts.get(resource, 0) + cut["slices"]
        queue = custom(
            f"{name}-queue",
            _KUEUE,
            "ClusterQueue",
            metadata(pool, own),
            {
                "spec": {
                    "namespaceSelector": {
                        "matchExpressions": [
                            {"key": CLASS_LABEL, "operator": "In", "values": sorted(classes)}
                        ]
                    }
                    if classes
                    else {"matchLabels": {"app.kubernetes.io/part-of": "isthmus"}},
                    "queueingStrategy": "BestEffortFIFO",
                    "resourceGroups": [
                        {
                            "coveredResources": list(amounts),
                            "flavors": [
                                {
                                    "name": pool,
                                    "resources": [
                                        {"name": resource, "nominalQuota": amount}
                                        for resource, amount in amounts.items()
                                    ],
                                }
                            ],
                        }
                    ],
                    # A model that serves is not evicted for another; priority orders those that wait.
                    "preemption": {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"},
                }
            },
            pulumi.ResourceOptions(parent=self, depends_on=[flavor]),
        )
        for asked in classes:
            custom(
                f"{name}-queue-{asked}",
                _KUEUE,
                "LocalQueue",
                metadata(pool, labels(pool, sensitivity=asked), namespace=class_namespace(asked)),
                {"spec": {"clusterQueue": pool}},
                pulumi.ResourceOptions(parent=self, depends_on=[queue]),
            )
            custom(
                f"{name}-priority-{asked}",
                _KUEUE,
                "WorkloadPriorityClass",
                metadata(priority_class(pool, asked), labels(pool, sensitivity=asked)),
                {"value": PRIORITIES[asked], "description": f"Models of class {asked} on pool {pool}"},
                child,
            )


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
            todo="Say 'existing', or leave the GPUs whole",
        )
    wanted = sum(cut["gpus"] for cut in cuts)
    if wanted > capacity:
        raise InputError(
            f"{wanted} GPUs of pool '{pool}' are to be cut, and {capacity} are not reserved",
            where=f"{pool}.mig",
            todo="Cut fewer",
        )
    return wanted


def priority_class(pool: str, of_class: str) -> str:
    """Name of the WorkloadPriorityClass of a class on a pool."""
    return f"{pool}-{of_class}"


def _mode(value: str, key: str, pool: str) -> str:
    one_of(value, MODES, f"{pool}.{key}")
    if value == "manage":
        raise InputError(
            f"'{key}: manage' is not in this version",
            where=f"{pool}.{key}",
            todo="Install it as the organisation does and say 'existing', or say 'off'",
        )
    return value
