"""Kubernetes clusters in AWS (Amazon EKS) and their nodes. Data model only.

Namespaces, queues, model servers and gateways are the same as in an on-prem cluster. The rules are in
`isthmus.contracts.platform.rules.aws.eks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from isthmus.contracts.platform.model.aws.account import Days, RoleArn, Zone
from isthmus.contracts.vocabulary import AccountId, Cidr, DnsLabel, KeyArn, Part

if TYPE_CHECKING:
    pass

ReservationId = Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-f]+$")]
InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")]
KubernetesVersion = Annotated[str, StringConstraints(pattern=r"^1\.[1-9][0-9]$")]
EksName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$")]

POD_IDENTITY_AGENT_CIDR = "169.254.170.23/32"
"""Where a node's pod-identity agent hands out credentials, on port 80 (EKS user guide, "Set up the Amazon EKS Pod
Identity Agent")."""
Purchase = Literal["on-demand", "spot", "capacity-reservation", "capacity-block"]
RESERVED_PURCHASES: tuple[Purchase, ...] = ("capacity-reservation", "capacity-block")
"""Purchases that launch into a reservation, which has an id and lies in one zone."""
GpuAmi = Literal["AL2023_x86_64_NVIDIA", "AL2023_ARM_64_NVIDIA", "BOTTLEROCKET_x86_64_NVIDIA"]
"""AWS's images for GPU nodes, driver and container toolkit in them; names of the EKS API."""
AddonName = Literal[
    "vpc-cni",
    "coredns",
    "kube-proxy",
    "eks-pod-identity-agent",
    "aws-ebs-csi-driver",
    "aws-efs-csi-driver",
]


class NodeGroup(Part):
    """The machines of a pool in AWS: a managed node group for each zone, all alike."""

    instance_type: InstanceType
    """EC2 instance type of the machines."""
    purchase: Purchase = "on-demand"
    """How the machines are bought."""
    reservation: ReservationId | None = None
    """The capacity reservation or block to launch into; only with those purchases."""
    ami_type: GpuAmi = "AL2023_x86_64_NVIDIA"
    """AWS's image for the machines."""
    release_version: str | None = None
    """Of the image; absent: the newest for the cluster's version when the group is made."""
    zones: list[Zone] = Field(min_length=1)
    """A node group in each: one group over several may come up in one of them."""
    min_nodes: int | None = Field(default=None, ge=0)
    """Absent: the pool's `nodes`. Nothing here scales; below `max_nodes`, an autoscaler of the organisation's."""
    max_nodes: int | None = Field(default=None, ge=1)
    """The most machines that an autoscaler of yours may start. Absent: the pool's `nodes`."""
    volume_gib: int = Field(default=200, ge=20, le=16384)
    """Root volume of each machine, encrypted: images and whatever pods write."""


class Admin(Part):
    """An IAM role that administers a cluster, by an access entry."""

    name: DnsLabel
    """Name of the access entry."""
    principal: RoleArn
    """ARN of the role."""


class HybridNodes(Part):
    """Machines of a site of the organisation's that join a cluster in AWS (EKS Hybrid Nodes)."""

    node_networks: list[Cidr] = Field(min_length=1)
    """Networks of those machines."""
    pod_networks: list[Cidr] = []
    """Networks of the pods on those machines."""
    role: RoleArn
    """What such a machine becomes, by Systems Manager or Roles Anywhere: the organisation's own."""


class SystemNodes(Part):
    """Machines without GPUs: for gateways, and for what runs the cluster."""

    instance_type: InstanceType | None = None
    """Absent: the smallest general-purpose one that holds what the platform runs (`system_nodes`)."""
    nodes: int | None = Field(default=None, ge=2)
    """Two at least, in two zones; absent: as many as hold it."""
    volume_gib: int = Field(default=100, ge=20, le=16384)
    """Root volume of each machine, encrypted."""


class Cluster(Part):
    """A private Kubernetes cluster at an AWS site (Amazon EKS)."""

    name: DnsLabel
    """Name of the cluster."""
    site: DnsLabel
    """The AWS site that it is for."""
    mode: Literal["manage", "existing"] = "manage"
    """`existing`: the organisation's, by its site's `kube_context`; machines and addons are its own too."""
    stage: Literal["cluster", "platform"] = "platform"
    """`cluster`: machines, and nothing in them yet. The operators that a platform needs are installed
    between the two."""
    network: DnsLabel | None = None
    """One of `networks`; absent: the site's only one."""
    eks_name: EksName | None = None
    """`existing`: its name in EKS, for pod identities."""
    version: KubernetesVersion | None = None
    """`manage`: of Kubernetes. EKS raises it one minor version at a time, in place."""
    kms_key: KeyArn | None = None
    """Seals Secrets and volumes; absent, one is made."""
    log_retention_days: Days = 365
    """Of the control plane's logs, all five kinds."""
    admins: list[Admin] = []
    """Nobody else is let in: who makes a cluster does not become its administrator by it."""
    access: list[Cidr] = []
    """Networks that reach the private API server besides the nodes: where `isthmus up` runs, for one."""
    service_cidr: Cidr = "172.20.0.0/16"
    """Network of the cluster's Services, which overlaps no other network."""
    hybrid_nodes: HybridNodes | None = None
    """Machines of yours that join the cluster. Absent: none may."""
    system_nodes: SystemNodes = SystemNodes()
    """Machines without GPUs. The defaults hold what the platform runs."""
    ebs_csi_role: RoleArn | None = None
    """Given, AWS's driver for volumes of one zone is an addon that bears this role. That for shared file systems comes
    with a share of records, and mounts as its machines; other shares are the organisation's own."""
    addon_account: AccountId = "602401143452"
    """AWS's account whose registry holds the addons' images: this one in most regions, another in the opt-in ones
    (EKS user guide, "View Amazon container image registries")."""
    addons: dict[AddonName, str] = {}
    """Versions; absent, AWS's default for the cluster's version."""
    endpoints: bool = True
    """Private endpoints of what nodes call; false where the network has them already."""
