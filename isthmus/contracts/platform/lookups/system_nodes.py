"""The system nodes of a platform's clusters: sized from its gateways, or checked where the platform states them."""

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
    """Every pod that stands on a cluster's nodes without GPUs."""
    pods = [*ADDONS, *OPERATORS]
    for gateway in platform.gateways:
        if gateway.site == cluster.site and gateway.runs_on == "kubernetes":
            resolved = platform.site(cluster.site).cluster_dns.filter and gateway.class_ != "restricted"
            pods += _of_gateway(gateway, resolved=resolved)
    for endpoint in platform.endpoints:
        if endpoint.site == cluster.site and endpoint.target == "eks-vllm" and endpoint.engine == "cpu":
            room = Room(_millicores(endpoint.cpu) + 1000, _mib(endpoint.memory) + 512)
            pods.append(Replicas(endpoint.id, endpoint.replicas, room, over_zones=False))
    return pods


def _of_gateway(gateway: Gateway, *, resolved: bool) -> list[Replicas]:
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


def sized(platform: Platform, cluster: Cluster) -> Size:
    """Instance type and number of a cluster's system nodes: as stated, else the smallest that hold its pods.

    Where nothing that Isthmus knows holds them, the largest; the check of the platform has refused that before.
    """
    stated = cluster.system_nodes
    if stated.instance_type is not None and stated.nodes is not None:
        return Size(stated.instance_type, stated.nodes)
    types = [stated.instance_type] if stated.instance_type is not None else list(system_nodes.TYPES)
    found = system_nodes.smallest(
        system_pods(platform, cluster), _zones(platform, cluster), types=types, nodes=stated.nodes
    )
    return found or Size(types[-1], stated.nodes or 2)


def _zones(platform: Platform, cluster: Cluster) -> Sequence[str]:
    """Zones that system nodes are made in: the network's, or as many as an existing one has subnets."""
    network = network_of(platform, cluster)
    return network.zones or [str(at) for at in range(len(network.subnets))]


def _millicores(quantity: str) -> int:
    return int(amount(quantity) * 1000)


def _mib(quantity: str) -> int:
    return -int(-amount(quantity) // 2**20)
