"""GPU pools: nodes, sharing between classes and teams, topology, drivers, and GPU allocation. Data model only.

The rules are in `isthmus.contracts.platform.rules.pools`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.aws.eks import NodeGroup
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part, Sensitivity, Sha256

if TYPE_CHECKING:
    pass

Evicts = Literal["never", "lower-priority"]
Reclaims = Literal["never", "lower-priority", "any"]
LabelKey = Annotated[
    str,
    Field(max_length=316),
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
    ),
]
"""A node label's key, e.g. `topology.kubernetes.io/zone`."""
DriverVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]{3}(\.[0-9]+){0,2}$")]
"""As NVIDIA writes it: `595.91.07`, or a branch for precompiled ones: `595`."""
Share = Annotated[str, StringConstraints(pattern=r"^([0-9]|[1-9][0-9]|100)%$|^[1-9][0-9]*$")]
"""A count, or a percentage of the whole."""


class Preemption(Part):
    """Which workloads Kueue evicts for a waiting one. Kueue deletes pods and ignores disruption budgets."""

    within_queue: Evicts = "never"
    """Those of the same queue, for one of higher priority."""
    reclaim: Reclaims = "any"
    """Those of other queues that borrow, for one within its own queue's quota."""
    borrowing: Evicts = "never"
    """Those of other queues, of lower priority, for one that has to borrow itself."""


class Priority(Part):
    """A priority for workloads that wait for GPUs of a pool."""

    name: DnsLabel
    """Name of the priority."""
    value: int = Field(ge=1, le=1_000_000)
    """Higher goes first; the classes' own are 1000 (public) to 4000 (restricted)."""


class TeamShare(Part):
    """A team's part of its class's GPUs."""

    name: DnsLabel
    """Name of the team."""
    gpus: int = Field(ge=0)
    """GPUs that the team always gets."""
    borrow: int | None = Field(default=None, ge=0, json_schema_extra={"unit": "GPUs"})
    """GPUs that it may take beyond them; absent: as many as are idle and lent."""
    lend: int | None = Field(default=None, ge=0, json_schema_extra={"unit": "GPUs"})
    """Idle GPUs that others may take; absent: all of them."""
    weight: int = Field(default=1, ge=0, json_schema_extra={"unit": "relative weight"})
    """Its share of what is borrowed, where several want it and Kueue shares fairly."""


class ClassShare(Part):
    """A class's part of a pool's whole GPUs."""

    class_: Sensitivity = Field(alias="class")
    """Class whose share it is."""
    gpus: int = Field(ge=0)
    """GPUs that the class always gets."""
    borrow: int | None = Field(default=None, ge=0, json_schema_extra={"unit": "GPUs"})
    """GPUs that it may take beyond them. Absent: as many as are idle and lent; none for restricted."""
    lend: int | None = Field(default=None, ge=0, json_schema_extra={"unit": "GPUs"})
    """Idle GPUs that other classes may take. Absent: all of them; none for restricted."""
    weight: int = Field(default=1, ge=0, json_schema_extra={"unit": "relative weight"})
    """Its share of what is borrowed, where several want it and Kueue shares fairly."""
    teams: list[TeamShare] = []
    """Absent: one queue for the class. What they do not have in all is any of theirs to borrow."""


class Sharing(Part):
    """A pool's GPUs divided between classes, each with a queue, in one cohort that lends what is idle.

    A GPU serves one class at a time: what is lent is the right to ask for a GPU that nobody holds.
    """

    classes: list[ClassShare] = Field(min_length=1)
    """What they do not have in all is any of theirs to borrow."""
    preemption: Preemption = Preemption()
    """Which workloads are evicted for a waiting one."""
    priorities: list[Priority] = []
    """Further priorities, beside those of the classes."""


class PoolTopology(Part):
    """Labels by which Kueue places the pods of a group near each other."""

    levels: list[LabelKey] = Field(min_length=1, max_length=16)
    """From the widest to the narrowest; `kubernetes.io/hostname` only last."""
    required: LabelKey | None = None
    """Level of which a group must stay within one."""
    preferred: LabelKey | None = None
    """Level of which a group stays within one where it can be."""


class TimeSlicing(Part):
    """Nodes whose GPUs are time-shared by pods of one class. GPU memory is neither divided nor limited."""

    class_: Sensitivity = Field(alias="class")
    """Class whose pods share the GPUs."""
    replicas: int = Field(ge=2, le=48)
    """Pods that share a GPU."""
    nodes: list[KubeName] = Field(min_length=1)
    """The machines, among the pool's `node_names`."""


class Drain(Part):
    """How a node is drained before its driver is upgraded."""

    enable: bool = False
    """Evict all of them; else only those that hold a GPU are deleted."""
    force: bool = False
    """Also those that no controller would make anew."""
    delete_empty_dir: bool = False
    """Also those with an emptyDir: every model server has one."""
    timeout_seconds: int = Field(default=300, ge=0)
    """How long pods may take to end. 0: no limit."""


class DriverUpgrade(Part):
    """How the GPU Operator upgrades drivers."""

    auto: bool = True
    """Whether the operator upgrades drivers by itself when the version changes."""
    max_parallel: int = Field(default=1, ge=1, json_schema_extra={"unit": "machines"})
    """Machines at a time."""
    max_unavailable: Share = "25%"
    """Machines that may be without a driver, of those that have one."""
    drain: Drain = Drain()
    """How a node is drained before."""


class Driver(Part):
    """The driver of a pool's nodes, as an own NVIDIADriver object."""

    version: DriverVersion
    """Version of the driver."""
    precompiled: bool = False
    """A driver built for the machines' kernel: nothing is compiled, no package repository is asked. Cannot change."""
    kernel_module: Literal["auto", "open", "proprietary"] = "auto"
    """Kernel module: NVIDIA's open one, the proprietary one, or as the operator decides."""
    repository: str | None = None
    """Absent: `nvidia` in the organisation's registry, or NVIDIA's own where there is none."""
    upgrade: DriverUpgrade = DriverUpgrade()
    """How the driver is upgraded."""


class RdmaNetwork(Part):
    """The secondary network of one class, for traffic between the nodes of a replica."""

    class_: Sensitivity = Field(alias="class")
    """Class that uses the network."""
    network: Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]+/)?[a-z0-9][a-z0-9.-]*$")]
    """NetworkAttachmentDefinition, `NAMESPACE/NAME` or one of the class's namespace."""


class Rdma(Part):
    """RDMA network cards for replicas that span several nodes."""

    resource: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$")]
    """As their device plugin gives them out, e.g. `rdma/hca_shared_devices`."""
    count: int = Field(default=1, ge=1, json_schema_extra={"unit": "network cards"})
    """Of them for each pod of a group."""
    networks: list[RdmaNetwork] = Field(min_length=1)
    """No network policy holds on them: each class has its own."""


class Fabric(Part):
    """Connections between the nodes of a pool besides the pod network."""

    rdma: Rdma | None = None
    """RDMA network cards. Absent: replicas over several nodes use the pod network."""
    compute_domain: bool = False
    """Memory of other machines' GPUs by NVLink (GB200 and later): a ComputeDomain for each endpoint over several
    machines, by NVIDIA's DRA driver."""


PciDevice = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}$")]
"""A device id as Node Feature Discovery writes it, e.g. `2330`."""
MigProfile = Annotated[str, StringConstraints(pattern=r"^[1-9]g\.[1-9][0-9]{0,2}gb$")]
"""As NVIDIA names a slice: compute slices and memory, e.g. `3g.40gb`."""


class CutGpus(Part):
    """MIG GPUs of a pool with one profile, for one class. A MIG GPU never serves two classes."""

    class_: Sensitivity = Field(alias="class")
    """Class that the slices serve."""
    profile: MigProfile
    """MIG profile of the slices."""
    gpus: int = Field(ge=1)
    """GPUs that are cut."""


class Pool(Part):
    """The GPUs of one kind at a site."""

    name: DnsLabel
    """Name of the pool: `SITE-GPU`."""
    site: DnsLabel
    """Site of the pool."""
    gpu: str
    """GPU id, e.g. `h100-sxm-80gb`."""
    product: str
    """The label `nvidia.com/gpu.product` as GPU Feature Discovery sets it."""
    nodes: int = Field(ge=1)
    """Number of nodes."""
    gpus_per_node: int = Field(ge=1)
    """GPUs in each node."""
    failure_domains: int = Field(default=1, ge=1)
    """Parts of the pool that do not fail together."""
    reserved_gpus: int = Field(default=0, ge=0)
    """GPUs that the platform does not use."""
    cpus_per_node: int | None = Field(default=None, ge=1)
    """CPUs of each machine; absent: nothing holds its pods to them."""
    memory_gib_per_node: int | None = Field(default=None, ge=1)
    """Memory of each machine, GiB; absent: nothing holds its pods to it."""
    mig: list[CutGpus] = []
    """GPUs that are cut into slices; the others stay whole. Which machine's they are follows from what
    must be outlived (`mig.lay_out`), so the machines must be named."""
    node_names: list[str] = []
    """The machines by name: each is labelled by server-side apply, and tainted as `taint` says. Empty: a
    NodeFeatureRule does it for every node that has such a GPU, by Node Feature Discovery. Where GPUs
    are cut, machine i is in failure domain i mod `failure_domains`."""
    pci_devices: list[PciDevice] = []
    """PCI device ids of the GPUs (vendor 10de), by which such a rule finds them before a driver is loaded; absent:
    those of `gpu`."""
    taint: Literal["manage", "existing"] = "manage"
    """`nvidia.com/gpu=present:NoSchedule` on machines with names. `manage`: `isthmus up` adds it and keeps every other
    taint. `existing`: you set it, and `isthmus up` refuses where it is missing."""
    node_group: NodeGroup | None = None
    """AWS, in a cluster that is managed: the machines to make, labelled and tainted from the start."""
    sharing: Sharing | None = None
    """Absent: one queue for all of the pool's classes."""
    topology: PoolTopology | None = None
    """Absent: the scheduler places a group's pods."""
    time_slicing: TimeSlicing | None = None
    """Nodes whose GPUs are shared in time. Absent: none are."""
    driver: Driver | None = None
    """Absent: the driver that the cluster's ClusterPolicy names."""
    allocation: Literal["device-plugin", "dra"] = "device-plugin"
    """How pods ask for GPUs: by count, or by claims that a DRA driver meets."""
    fabric: Fabric | None = None
    """Connections between the nodes besides the pod network. Absent: none."""


class GpuOperatorRelease(Part):
    """The GPU Operator that `operators.gpu_operator: manage` installs. Absent values come from images.lock.yaml."""

    chart: str | None = None
    """`oci://REGISTRY/PATH`, or the path of a packed chart below the project."""
    version: str | None = None
    """Version of the chart."""
    digest: Sha256 | None = None
    """Of the chart in its registry; of the file, where it is one."""
    driver: Literal["managed", "host"] = "managed"
    """`host`: the machines bring their driver."""
    driver_version: DriverVersion | None = None
    """Of machines in pools without a `driver`; absent: the chart's."""
    values: dict[str, Any] = {}
    """Further values of the chart, merged over those made here."""
    timeout_seconds: int = Field(default=600, ge=60)
    """How long an installation may take."""


ZONE_LABEL, HOST_LABEL = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def default_borrow_and_lend(class_: str) -> int | None:
    """Default of `borrow` and `lend` for a class: None (no limit), or 0 for restricted."""
    return 0 if class_ == "restricted" else None
