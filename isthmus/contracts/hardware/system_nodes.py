"""Sizes the EKS nodes without GPUs from the pods that stand on them: which instance type, and how many.

Gateways, translators and reviews are spread over zones by force, so each zone must fit its share by itself. While a
Deployment rolls, one pod more of it stands somewhere. Everything else may stand in any zone.

Sources, read 2026-11-29: what kubelet keeps for itself is `nodeadm/internal/kubelet/config.go` of
awslabs/amazon-eks-ami (CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest;
memory: 11 MiB a pod that a node may have, and 255 MiB), plus 100 MiB before eviction (its default). Pods a node:
network interfaces times (addresses less one), plus two (`eni-max-pods.txt` there). An instance shows less memory than
its type says: 7.5 % are taken off, as Karpenter does by default (`vmMemoryOverheadPercent`). What add-ons and operators
ask for is from their charts' defaults, as of knowledge; what asks for nothing counts 10m and 32 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

pass

TYPES = ("m7i.xlarge", "m7i.2xlarge", "m7i.4xlarge", "m7i.8xlarge")
"""What is chosen from, the smallest first."""
MAX_NODES = 48
_SIZES = {
    "large": 2,
    "xlarge": 4,
    **{f"{number}xlarge": 4 * number for number in (2, 4, 8, 12, 16, 24, 32, 48)},
}
"""vCPUs by the size of an instance type."""
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
"""By the letter of the family (compute, general purpose, memory)."""
_INTERFACES = {2: (3, 10), 4: (4, 15), 8: (4, 15), 16: (8, 30), 32: (8, 30)}
"""Network interfaces and addresses of each, by vCPUs; larger ones have 15 and 50."""
_MEMORY_SHOWN = 0.925
_EVICTION_MIB = 100


@dataclass(frozen=True)
class Room:
    """What pods can have of a node, or ask for."""

    millicores: int
    mib: int
    pods: int = 1

    def __add__(self, other: Room) -> Room:
        return Room(self.millicores + other.millicores, self.mib + other.mib, self.pods + other.pods)

    def __sub__(self, other: Room) -> Room:
        return Room(self.millicores - other.millicores, self.mib - other.mib, self.pods - other.pods)

    def holds(self, other: Room) -> bool:
        return self.millicores >= other.millicores and self.mib >= other.mib and self.pods >= other.pods


@dataclass(frozen=True)
class Replicas:
    """Copies of one pod."""

    name: str
    count: int
    each: Room
    over_zones: bool = True
    """Whether they are spread over zones by force."""


@dataclass(frozen=True)
class Size:
    """Nodes of one instance type."""

    instance_type: str
    nodes: int

    @property
    def vcpus(self) -> int:
        return self.nodes * (vcpus(self.instance_type) or 0)


GATEWAY = Room(1000, 1024)
TRANSLATOR = Room(1000, 2048)
REVIEWS = Room(500, 512)
RESOLVER = Room(250, 128)
SEALER = Room(500, 1024)
"""What each asks for; a test compares them with what the components render."""
DAEMONS = Room(50 + 100 + 10 + 30 + 30, 32 + 32 + 32 + 120 + 120, 5)
"""On each node: the VPC network plugin with its policy agent, kube-proxy, the pod-identity agent, and both drivers of
volumes."""
ADDONS = (
    Replicas("coredns", 2, Room(100, 70), over_zones=False),
    Replicas("ebs-csi-controller", 2, Room(60, 240), over_zones=False),
    Replicas("efs-csi-controller", 2, Room(30, 120), over_zones=False),
)
OPERATORS = (
    Replicas("kueue", 1, Room(500, 512), over_zones=False),
    Replicas("gpu-operator", 1, Room(200, 100), over_zones=False),
    Replicas("node-feature-discovery", 2, Room(100, 128), over_zones=False),
    Replicas("cert-manager", 3, Room(10, 32), over_zones=False),
    Replicas("keda", 3, Room(100, 100), over_zones=False),
)
"""What the organisation installs between the two stages of a cluster."""


def vcpus(instance_type: str) -> int | None:
    """None for a type whose shape does not follow from its name."""
    family, _, size = instance_type.partition(".")
    return _SIZES.get(size) if family[:1] in _GIB_PER_VCPU and family[1:2].isdigit() else None


def allocatable(instance_type: str) -> Room | None:
    """What pods beside the daemons can have of a node; None for a type that is not known."""
    cores = vcpus(instance_type)
    if cores is None:
        return None
    interfaces, addresses = _INTERFACES.get(cores, (15, 50))
    pods = interfaces * (addresses - 1) + 2
    reserved_millicores = 60 + 10 + (10 if cores > 2 else 0) + max(0, cores - 4) * 2.5
    mib = cores * _GIB_PER_VCPU[instance_type[0]] * 1024 * _MEMORY_SHOWN
    reserved_mib = 11 * pods + 255 + _EVICTION_MIB
    return (
        Room(math.floor(cores * 1000 - reserved_millicores), math.floor(mib - reserved_mib), pods) - DAEMONS
    )


def fits(pods: Iterable[Replicas], size: Size, zones: Sequence[str]) -> bool:
    """Whether nodes of a size, spread evenly over zones, hold all pods, and one more of the largest in each zone.

    Pods are placed as the scheduler's default scoring does, each where most is free, and in the least lucky order:
    what may stand anywhere first, then the smallest of those that must be in each zone, and the largest last. In
    another order more would fit, but nobody orders pods.
    """
    node = allocatable(size.instance_type)
    if node is None:
        return True
    by_zone = {zone: count for zone, count in nodes_by_zone(size.nodes, list(zones)).items() if count}
    replicas = list(pods)
    free = _free_after_placing(
        [entry.each for entry in replicas if not entry.over_zones for _ in range(entry.count)],
        [node] * sum(by_zone.values()),
    )
    if free is None:
        return False
    spread = [entry for entry in replicas if entry.over_zones]
    # Which zone has one more of an odd number is the scheduler's choice: each must have room for it.
    share = [entry.each for entry in spread for _ in range(math.ceil(entry.count / len(by_zone)))]
    largest_pod = sorted((entry.each for entry in spread), key=_weight)[-1:]
    # What stands anywhere fills the nodes evenly: each zone gets nodes of what is left, the least free first.
    nodes = sorted(free, key=_weight)
    for index, count in enumerate(by_zone.values()):
        zone = nodes[index :: len(by_zone)][:count]
        zone = zone if len(zone) == count else nodes[:count]
        if _free_after_placing([*share, *largest_pod], zone) is None:
            return False
    return True


def _free_after_placing(pods: Iterable[Room], nodes: Sequence[Room]) -> list[Room] | None:
    """What stays free on each node, each pod placed where most is free; None where one finds no place."""
    free = list(nodes)
    for pod in sorted(pods, key=_weight):
        index = max(range(len(free)), key=lambda index: (free[index].holds(pod), _weight(free[index])))
        if not free[index].holds(pod):
            return None
        free[index] -= pod
    return free


def _weight(room: Room) -> tuple[int, int]:
    return (room.millicores, room.mib)


def smallest(
    pods: Iterable[Replicas], zones: Sequence[str], *, types: Sequence[str] = TYPES, nodes: int | None = None
) -> Size | None:
    """The fewest vCPUs that hold the pods, two nodes in two zones at least; None where none of `types` does.

    `nodes`: so many, where their number is stated.
    """
    replicas = list(pods)
    sizes = [Size(kind, count) for kind in types for count in ([nodes] if nodes else range(2, MAX_NODES + 1))]
    candidates = sorted(sizes, key=lambda size: (size.vcpus, size.nodes))
    return next((size for size in candidates if fits(replicas, size, zones)), None)


def gateway_pods(
    name: str,
    replicas: int,
    *,
    detector: Room | None = None,
    translated: bool = False,
    resolved: bool = True,
    reviews: int = 0,
    sealed: bool = True,
) -> list[Replicas]:
    """Pods of a class's gateway in a cluster and of what stands behind it, as the components ask for them.

    `detector`: CPU and memory of the detector beside each copy. `reviews`: copies of where people decide.
    """
    edge = (
        GATEWAY
        if detector is None
        else Room(GATEWAY.millicores + detector.millicores, GATEWAY.mib + detector.mib)
    )
    pods = [Replicas(f"{name}-gateway", replicas, edge)]
    if translated:
        pods.append(Replicas(f"{name}-translator", replicas, TRANSLATOR))
    if resolved:
        pods.append(Replicas(f"{name}-resolver", 2, RESOLVER))
    if reviews:
        pods.append(Replicas(f"{name}-reviews", reviews, REVIEWS))
    if sealed:
        pods.append(Replicas(f"{name}-sealer", 1, SEALER, over_zones=False))
    return pods


def nodes_by_zone(nodes: int, zones: list[str]) -> dict[str, int]:
    """Nodes of a pool in each zone, spread evenly; the first zones get one more if needed."""
    return {zone: nodes // len(zones) + (at < nodes % len(zones)) for at, zone in enumerate(zones)}
