"""Checks that the system nodes of an EKS cluster hold what must run on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import system_nodes
from isthmus.contracts.platform.lookups.system_nodes import _zones, sized, system_pods
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def system_nodes_suffice(platform: Platform) -> None:
    """Stated system nodes hold what the platform runs on them: a pod without a place would end `up` after minutes."""
    for index, cluster in enumerate(platform.clusters):
        if cluster.mode != "manage":
            continue
        pods, zones, size = (
            system_pods(platform, cluster),
            _zones(platform, cluster),
            sized(platform, cluster),
        )
        if system_nodes.fits(pods, size, zones):
            continue
        cpus = sum(one.count * one.each.millicores for one in pods) / 1000
        key = "nodes" if cluster.system_nodes.nodes is not None else "instance_type"
        kind = cluster.system_nodes.instance_type
        better = kind and system_nodes.smallest(pods, zones, types=[kind])
        best = system_nodes.smallest(pods, zones)
        options = [
            *([f"`nodes: {better.nodes}`"] if better else []),
            *([f"`instance_type: {best.instance_type}` with `nodes: {best.nodes}`"] if best else []),
            "leave `system_nodes` out, and they are sized",
        ]
        raise FieldError(
            f"{size.nodes} system nodes of {size.instance_type} in cluster {cluster.name} do not hold what stands on "
            f"them: pods of {cpus:g} CPUs, of which each of {min(len(zones), size.nodes)} zones must fit its share and "
            "one pod more while it rolls",
            *("clusters", index, "system_nodes", key),
            fix="Say " + ", or ".join(options),
        )


CHECKS: tuple[Callable[[Platform], None], ...] = (system_nodes_suffice,)
