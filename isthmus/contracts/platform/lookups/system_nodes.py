"""Sizes the system nodes (without GPUs) of a platform's clusters, or checks the stated size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import system_nodes
from isthmus.contracts.hardware.system_nodes import ADDONS, OPERATORS, Replicas, Room, Size
from isthmus.contracts.platform.lookups.aws import network_of
from isthmus.core.quantities import amount

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.eks import Cluster
    from isthmus.contracts.platform.model.platform import Gateway, Platform


def system_pods(platform: Platform, cluster: Cluster) -> list[Replicas]:
    """Every pod that runs on the system nodes of a cluster."""
    pods = [*ADDONS, *OPERATORS]
    for gateway in platform.gateways:
        if gateway.site == cluster.site and gateway.runs_on == "kubernetes":
            resolved = platform.site(cluster.site).cluster_dns.filter and gateway.class_ != "restricted"
            pods += _gateway_pods(gateway, resolved=resolved)
    for endpoint in platform.endpoints:
        if endpoint.site == cluster.site and endpoint.target == "eks-vllm" and endpoint.engine == "cpu":
            room = Room(_millicores(endpoint.cpu) + 1000, _mib(endpoint.memory) + 512)
            pods.append(Replicas(endpoint.id, endpoint.replicas, room, over_zones=False))
    return pods


def _gateway_pods(gateway: Gateway, *, resolved: bool) -> list[Replicas]:
    screening = gateway.screening
    detector = None
    if screening is not None:
        cpu, memory = screening.room
        detector = Room(_millicores(cpu), _mib(memory))
    pods = system_nodes.gateway_pods(
        gateway.name,
        gateway.replicas,
        detector=detector,
        translated=gateway.identity is not None,
        resolved=resolved,
        reviews=gateway.reviews.replicas if gateway.reviews is not None else 0,
        sealed=gateway.audit is not None,
    )
    if gateway.router is not None:
        pods.append(Replicas(f"{gateway.name}-router", 4, Room(500, 512), over_zones=False))
    return pods


def system_nodes_size(platform: Platform, cluster: Cluster) -> Size:
    """Instance type and number of a cluster's system nodes: as stated, else the smallest that hold its pods.

    If no known size holds them, the largest: `check_system_nodes` rejects that platform.
    """
    settings = cluster.system_nodes
    if settings.instance_type is not None and settings.nodes is not None:
        return Size(settings.instance_type, settings.nodes)
    types = [settings.instance_type] if settings.instance_type is not None else list(system_nodes.TYPES)
    smallest = system_nodes.smallest(
        system_pods(platform, cluster), _zones(platform, cluster), types=types, nodes=settings.nodes
    )
    return smallest or Size(types[-1], settings.nodes or 2)


def _zones(platform: Platform, cluster: Cluster) -> Sequence[str]:
    """Zones of the system nodes: the network's zones, or one for each subnet of an existing network."""
    network = network_of(platform, cluster)
    return network.zones or [str(index) for index in range(len(network.subnets))]


def _millicores(quantity: str) -> int:
    return int(amount(quantity) * 1000)


def _mib(quantity: str) -> int:
    return -int(-amount(quantity) // 2**20)
