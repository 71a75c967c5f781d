"""The arguments of a GPU pool."""

from typing import NotRequired, TypedDict

from components.pools.mig import CutMachine


class TeamShare(TypedDict):
    """The share of a team in the GPUs of its class."""

    name: str
    """Name of the team, which is part of its queue's name."""
    gpus: int
    """Number of GPUs that are guaranteed to it."""
    borrow: NotRequired[int]
    """GPUs that it may borrow beyond those. Absent: as many as are idle and lent."""
    lend: NotRequired[int]
    """Idle GPUs that others may borrow. Absent: all of them."""
    weight: NotRequired[int]
    """Its weight in fair sharing of borrowed GPUs (default 1)."""


class ClassShare(TypedDict):
    """The share of a class in the whole GPUs of a pool."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    gpus: int
    """Number of GPUs that are guaranteed to it."""
    borrow: NotRequired[int]
    """GPUs that it may borrow beyond those. Absent: as many as are idle and lent; none for restricted."""
    lend: NotRequired[int]
    """Idle GPUs that other classes may borrow. Absent: all of them; none for restricted."""
    weight: NotRequired[int]
    """Its weight in fair sharing of borrowed GPUs (default 1)."""
    teams: NotRequired[list[TeamShare]]
    """Absent: one queue for the class. Its teams may borrow GPUs of the class that no team has."""
    devices: NotRequired[dict[str, int]]
    """Its other devices by resource, such as MIG slices or shares of GPUs. They are never lent."""


class QueuePreemption(TypedDict):
    """The pods that Kueue evicts for a waiting workload. Kueue deletes pods, so disruption budgets do not protect
    them.
    """

    within_queue: NotRequired[str]
    """Eviction in the same queue for a workload of higher priority: never (default) or lower-priority."""
    reclaim: NotRequired[str]
    """Eviction of borrowers in other queues for a workload within its quota: never, lower-priority, any (default)."""
    borrowing: NotRequired[str]
    """Eviction of lower priorities in other queues for a workload that borrows: never (default) or lower-priority."""


class QueuePriority(TypedDict):
    """An additional priority for workloads that wait on a pool."""

    name: str
    """Name of the priority. Its WorkloadPriorityClass is `POOL-NAME`."""
    value: int
    """Higher values come first. The classes' own priorities are 1000 (public) to 4000 (restricted)."""


class PoolSharing(TypedDict):
    """Division of a pool's GPUs between classes. Each class has a queue, in one cohort that lends idle GPUs."""

    classes: list[ClassShare]
    """The classes. Each may borrow GPUs that no class has."""
    preemption: NotRequired[QueuePreemption]
    """Absent: only borrowers are evicted, when the owner needs its GPUs."""
    priorities: NotRequired[list[QueuePriority]]
    """Priorities in addition to the classes' own."""


class PoolTopology(TypedDict):
    """Labels by which Kueue places the pods of a group near each other."""

    levels: list[str]
    """Node labels from the widest to the narrowest level. `kubernetes.io/hostname` may only be the last."""
    required: NotRequired[str]
    """Level within which all pods of a group must be."""
    preferred: NotRequired[str]
    """Level within which all pods of a group should be, if possible."""


class PoolTimeSlicing(TypedDict):
    """Nodes whose GPUs are time-sliced between pods of one class. Memory is not divided: there is no boundary or
    limit.
    """

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    replicas: int
    """Number of pods that share a GPU."""
    nodes: list[str]
    """Names of the nodes, from the pool's `node_names`."""


class DriverDrain(TypedDict):
    """How pods are removed from a node before its driver is upgraded."""

    enable: NotRequired[bool]
    """Whether all pods are evicted. Default: only pods that use a GPU are deleted."""
    force: NotRequired[bool]
    """Whether pods without a controller are evicted too."""
    delete_empty_dir: NotRequired[bool]
    """Whether pods with an emptyDir are evicted too. Every model server has one."""
    timeout_seconds: NotRequired[int]
    """Timeout in seconds (default 300)."""


class DriverUpgrade(TypedDict):
    """How the GPU Operator upgrades drivers."""

    auto: NotRequired[bool]
    """Whether drivers are upgraded when the version changes (default true)."""
    max_parallel: NotRequired[int]
    """Number of nodes to upgrade at the same time (default 1)."""
    max_unavailable: NotRequired[str]
    """Maximum number of nodes without a working driver: a count or a percentage (default 25%)."""
    drain: NotRequired[DriverDrain]
    """Absent: nodes are not drained. Pods that use a GPU are deleted."""


class PoolDriver(TypedDict):
    """The driver of a pool's nodes, as its own NVIDIADriver object."""

    version: str
    """Version in NVIDIA's form, e.g. 595.91.07; for precompiled drivers a branch, e.g. 595."""
    precompiled: NotRequired[bool]
    """Whether the driver is precompiled for the nodes' kernel, so that no package repository is needed. Immutable."""
    kernel_module: NotRequired[str]
    """auto (default), open or proprietary."""
    repository: NotRequired[str]
    """Registry of the driver's image. Absent: NVIDIA's own."""
    upgrade: NotRequired[DriverUpgrade]
    """Absent: one node at a time, without a drain."""


class RdmaNetwork(TypedDict):
    """The secondary network of one class, on which its groups communicate instead of the pod network."""

    sensitivity: str
    """The class."""
    network: str
    """NetworkAttachmentDefinition, `NAMESPACE/NAME` or one of the class's namespace."""


class PoolRdma(TypedDict):
    """Network cards with which the pods of a multi-node group access each other's memory."""

    resource: str
    """Resource name of the device plugin, e.g. `rdma/hca_shared_devices`."""
    count: NotRequired[int]
    """Devices for each pod of a group (default 1)."""
    networks: list[RdmaNetwork]
    """One network for each class. Network policies do not apply to them."""


class PoolFabric(TypedDict):
    """Interconnects between the nodes of a pool, in addition to the pod network."""

    rdma: NotRequired[PoolRdma]
    """Absent: groups communicate over the pod network."""
    compute_domain: NotRequired[bool]
    """Whether pods share GPU memory over NVLink. Needs NVIDIA's DRA driver with ComputeDomains."""


class PoolSign(TypedDict):
    """A condition in the cluster's API that a healthy pool fulfils."""

    api_version: str
    """API group and version of the object."""
    kind: str
    """Its kind."""
    namespace: NotRequired[str]
    """Its namespace, if it has one."""
    name: NotRequired[str]
    """Its name. Absent: all objects with `labels`."""
    labels: NotRequired[dict[str, str]]
    """Labels of the objects, of which there must be `count`."""
    without: NotRequired[list[str]]
    """Label keys that the objects must not have."""
    count: NotRequired[int]
    """Expected number of objects."""
    path: list[str]
    """Keys of the path to the value. Below `conditions`: type of a condition, whose status counts. Empty: existence."""
    value: str
    """Expected value. Empty: any value."""


class GpuPoolArgs(TypedDict):
    """The GPUs of one kind at a site."""

    name: str
    """Name of the pool: value of its node label, and name of its flavor and queues."""
    product: str
    """The label `nvidia.com/gpu.product` as GPU Feature Discovery sets it, e.g. NVIDIA-H100-80GB-HBM3."""
    nodes: int
    """Number of nodes."""
    gpus_per_node: int
    """GPUs in each node."""
    reserved_gpus: NotRequired[int]
    """GPUs that the queue does not assign: spares, and room for rollouts with surge."""
    node_names: NotRequired[list[str]]
    """Names of the nodes. Absent: Node Feature Discovery finds all nodes with such a GPU."""
    pci_devices: NotRequired[list[str]]
    """PCI device ids of the GPUs (vendor 10de), e.g. 2330. Absent: those of the product, if Isthmus knows it."""
    marked: NotRequired[bool]
    """Whether nodes are already labelled and tainted (default false), as by node groups in AWS."""
    mig: NotRequired[list[CutMachine]]
    """GPUs of named nodes that are cut into MIG slices. The others stay whole."""
    classes: NotRequired[list[str]]
    """Classes whose namespace gets a LocalQueue and a priority class."""
    gpu_operator: NotRequired[str]
    """`existing` (default): its ClusterPolicy `cluster-policy` must exist. `manage`: it is installed. `off`: none."""
    kueue: NotRequired[str]
    """`existing` (default): flavor, queues and priority classes are created. `off`: none of them."""
    cpu_per_gpu: NotRequired[int]
    """CPUs that the queue assigns with each GPU (default 32). High enough that only GPUs limit the queue."""
    memory_gib_per_gpu: NotRequired[int]
    """GiB of memory that the queue assigns with each GPU (default 256)."""
    sharing: NotRequired[PoolSharing]
    """Absent: one queue for all of the pool's classes."""
    topology: NotRequired[PoolTopology]
    """Absent: the scheduler places the pods of a group."""
    time_slicing: NotRequired[PoolTimeSlicing]
    """Absent: GPUs are used whole or as MIG slices."""
    driver: NotRequired[PoolDriver]
    """Absent: the driver of the cluster's ClusterPolicy."""
    allocation: NotRequired[str]
    """How pods request GPUs: device-plugin (default), by count, or dra, by claims for a DRA driver."""
    fabric: NotRequired[PoolFabric]
    """Absent: the pod network only."""
