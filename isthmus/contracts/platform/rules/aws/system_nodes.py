"""Checks that the system nodes of an EKS cluster hold what must run on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import system_nodes
from isthmus.contracts.platform.lookups.system_nodes import _zones, system_nodes_size, system_pods
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def check_system_nodes(platform: Platform) -> None:
    """Stated system nodes must hold their pods; otherwise `up` would fail after minutes."""
    for index, cluster in enumerate(platform.clusters):
        if cluster.mode != "manage":
            continue
        pods, zones, size = (
            system_pods(platform, cluster),
            _zones(platform, cluster),
            system_nodes_size(platform, cluster),
        )
        if system_nodes.fits(pods, size, zones):
            continue
        cpus = sum(pod.count * pod.each.millicores for pod in pods) / 1000
        key = "nodes" if cluster.system_nodes.nodes is not None else "instance_type"
        kind = cluster.system_nodes.instance_type
        better = kind and system_nodes.smallest(pods, zones, types=[kind])
        best = system_nodes.smallest(pods, zones)
        options = [
            *([f"`nodes: {better.nodes}`"] if better else []),
            *([f"`instance_type: {best.instance_type}` with `nodes: {best.nodes}`"] if best else []),
            "remove `system_nodes` to let Isthmus size them",
        ]
        raise FieldError(
            f"{size.nodes} system nodes of {size.instance_type} in cluster {cluster.name} are too small for "
            "their pods of "
            f"{cpus:g} CPUs: each of {min(len(zones), size.nodes)} zones must hold its share, and one more pod during "
            "rollouts",
            *("clusters", index, "system_nodes", key),
            fix="Set " + ", or ".join(options),
        )


CHECKS: tuple[Callable[[Platform], None], ...] = (check_system_nodes,)
