"""The arguments of a GPU pool."""

from typing import NotRequired, TypedDict

from components.pools.mig import CutMachine


class TeamShare(TypedDict):
    """A team's part of its class's GPUs."""

    name: str
    """Name of the team, part of its queue's."""
    gpus: int
    """GPUs that it always has."""
    borrow: NotRequired[int]
    """GPUs that it may take beyond them; absent: as many as are idle and lent."""
    lend: NotRequired[int]
    """Idle GPUs that others may take; absent: all of them."""
    weight: NotRequired[int]
    """Its share of what is borrowed, where several want it and Kueue shares fairly (default 1)."""


class ClassShare(TypedDict):
    """A class's part of a pool's whole GPUs."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    gpus: int
    """GPUs that it always has."""
    borrow: NotRequired[int]
    """GPUs that it may take beyond them. Absent: as many as are idle and lent; none for restricted."""
    lend: NotRequired[int]
    """Idle GPUs that other classes may take. Absent: all of them; none for restricted."""
    weight: NotRequired[int]
    """Its share of what is borrowed, where several want it and Kueue shares fairly (default 1)."""
    teams: NotRequired[list[TeamShare]]
    """Absent: one queue for the class. What they do not have in all is any of theirs to borrow."""
    devices: NotRequired[dict[str, int]]
    """What else is the class's by resource, its slices or its shares of GPUs; never lent."""


class QueuePreemption(TypedDict):
    """Whom Kueue evicts for a workload that waits. It deletes pods: no disruption budget holds it."""

    within_queue: NotRequired[str]
    """Those of the same queue, for one of higher priority: never (default) or lower-priority."""
    reclaim: NotRequired[str]
    """Those of other queues that borrow, for one within its own quota: never, lower-priority or any (default)."""
    borrowing: NotRequired[str]
    """Those of other queues, of lower priority, for one that borrows itself: never (default) or lower-priority."""


class QueuePriority(TypedDict):
    """An order of its own among those that wait on a pool."""

    name: str
    """Its WorkloadPriorityClass is `POOL-NAME`."""
    value: int
    """Higher goes first; the classes' own are 1000 (public) to 4000 (restricted)."""


class PoolSharing(TypedDict):
    """A pool's GPUs divided between classes, each with a queue, in one cohort that lends what is idle."""

    classes: list[ClassShare]
    """What they do not have in all is any of theirs to borrow."""
    preemption: NotRequired[QueuePreemption]
    """Absent: who borrows is evicted for who takes back, and nobody else."""
    priorities: NotRequired[list[QueuePriority]]
    """Beside the classes' own."""


class PoolTopology(TypedDict):
    """Labels by which Kueue places the pods of a group near each other."""

    levels: list[str]
    """From the widest to the narrowest; `kubernetes.io/hostname` only last."""
    required: NotRequired[str]
    """Level of which a group must stay within one."""
    preferred: NotRequired[str]
    """Level of which a group stays within one where it can be."""


class PoolTimeSlicing(TypedDict):
    """Machines whose GPUs are shared in time by pods of one class. Memory is not divided: no boundary, no limit."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    replicas: int
    """Pods that share a GPU."""
    nodes: list[str]
    """The machines, among the pool's `node_names`."""


class DriverDrain(TypedDict):
    """What becomes of a machine's pods before its driver is exchanged."""

    enable: NotRequired[bool]
    """Evict all of them; else only those that hold a GPU are deleted (default)."""
    force: NotRequired[bool]
    """Also those that no controller would make anew."""
    delete_empty_dir: NotRequired[bool]
    """Also those with an emptyDir: every model server has one."""
    timeout_seconds: NotRequired[int]
    """How long (default 300)."""


class DriverUpgrade(TypedDict):
    """How the GPU Operator exchanges drivers."""

    auto: NotRequired[bool]
    """Whether it does when the version changes (default true)."""
    max_parallel: NotRequired[int]
    """Machines at a time (default 1)."""
    max_unavailable: NotRequired[str]
    """Machines that may be without a driver, of those that have one: a count or a percentage (default 25%)."""
    drain: NotRequired[DriverDrain]
    """Absent: nothing is drained; pods that hold a GPU are deleted."""


class PoolDriver(TypedDict):
    """The driver of a pool's machines, as an NVIDIADriver of its own."""

    version: str
    """As NVIDIA writes it, 595.91.07; a branch for precompiled ones, 595."""
    precompiled: NotRequired[bool]
    """A driver built for the machines' kernel: nothing is compiled, no package repository is asked. Cannot change."""
    kernel_module: NotRequired[str]
    """auto (default), open or proprietary."""
    repository: NotRequired[str]
    """Where its image is; absent: NVIDIA's own registry."""
    upgrade: NotRequired[DriverUpgrade]
    """Absent: a machine at a time, without a drain."""


class RdmaNetwork(TypedDict):
    """The secondary network by which one class's groups talk past the pod network."""

    sensitivity: str
    """The class."""
    network: str
    """NetworkAttachmentDefinition, `NAMESPACE/NAME` or one of the class's namespace."""


class PoolRdma(TypedDict):
    """Network cards that groups over several machines reach each other's memory by."""

    resource: str
    """As their device plugin gives them out, e.g. `rdma/hca_shared_devices`."""
    count: NotRequired[int]
    """Of them for each pod of a group (default 1)."""
    networks: list[RdmaNetwork]
    """No network policy holds on them: each class has its own."""


class PoolFabric(TypedDict):
    """What joins the machines of a pool beside the pod network."""

    rdma: NotRequired[PoolRdma]
    """Absent: groups talk over the pod network."""
    compute_domain: NotRequired[bool]
    """Memory of other machines' GPUs by NVLink: NVIDIA's DRA driver must run, with ComputeDomains."""


class PoolSign(TypedDict):
    """Something that a healthy pool shows in the cluster's API."""

    api_version: str
    """API group and version of the object."""
    kind: str
    """Its kind."""
    namespace: NotRequired[str]
    """Its namespace, where it has one."""
    name: NotRequired[str]
    """Its name; absent: every object that `labels` choose."""
    labels: NotRequired[dict[str, str]]
    """Labels of the objects that are meant, `count` of them."""
    without: NotRequired[list[str]]
    """Keys of labels that they do not have."""
    count: NotRequired[int]
    """How many they are."""
    path: list[str]
    """Keys that lead to the value; below `conditions` the type of one, and its status is meant; empty: it is there."""
    value: str
    """What stands there; empty: something does."""


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
    """The machines by name. Absent: every node that has such a GPU, by Node Feature Discovery."""
    pci_devices: NotRequired[list[str]]
    """PCI device ids of the GPUs (vendor 10de), e.g. 2330; absent: those of the product, where Isthmus knows it."""
    marked: NotRequired[bool]
    """Whether machines come labelled and tainted (default false), as node groups in AWS make them."""
    mig: NotRequired[list[CutMachine]]
    """GPUs of named machines that are cut into slices; the others stay whole."""
    classes: NotRequired[list[str]]
    """Classes whose namespace gets a local queue and a priority class."""
    gpu_operator: NotRequired[str]
    """`existing` (default): its ClusterPolicy `cluster-policy` must be there. `manage`: it comes along. `off`: none."""
    kueue: NotRequired[str]
    """`existing` (default): flavor, queues and priority classes are made. `off`: none of them."""
    cpu_per_gpu: NotRequired[int]
    """CPUs that the queue gives out with a GPU (default 32): GPUs are what is short, not these."""
    memory_gib_per_gpu: NotRequired[int]
    """GiB of memory that the queue gives out with a GPU (default 256)."""
    sharing: NotRequired[PoolSharing]
    """Absent: one queue for all of the pool's classes."""
    topology: NotRequired[PoolTopology]
    """Absent: the scheduler places a group's pods."""
    time_slicing: NotRequired[PoolTimeSlicing]
    """Absent: every GPU is given out whole, or cut."""
    driver: NotRequired[PoolDriver]
    """Absent: the driver that the cluster's ClusterPolicy names."""
    allocation: NotRequired[str]
    """How pods ask for GPUs: device-plugin (default), by count, or dra, by claims that a DRA driver meets."""
    fabric: NotRequired[PoolFabric]
    """Absent: the pod network alone."""
