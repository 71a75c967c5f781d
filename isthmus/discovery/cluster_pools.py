"""Pools of a site, proposed from the labels and sizes of a cluster's nodes.

The labels are those of NVIDIA's GPU Feature Discovery (`nvidia.com/gpu.product`, `nvidia.com/gpu.count`,
`nvidia.com/mig.capable`) and Kubernetes' own `topology.kubernetes.io/zone`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.core.errors import InputError
from isthmus.core.quantities import amount

PRODUCT, COUNT, ZONE = "nvidia.com/gpu.product", "nvidia.com/gpu.count", "topology.kubernetes.io/zone"
_RESOURCE = "nvidia.com/gpu"
_GIB = 2**30
_SHARING = re.compile(r"-(SHARED|MIG-[0-9a-z.]+(\.me)?)$")
"""Endings that the device plugin adds to a product whose GPUs are shared or cut."""


@dataclass(frozen=True)
class ProposedPools:
    """Pools, and what a reader must know about them."""

    pools: list[dict[str, Any]] = field(default_factory=list)
    """Each as `sites[].pools` takes it."""
    notes: list[str] = field(default_factory=list)
    """What was left out or assumed, with names of nodes."""


def propose_pools(nodes: Sequence[Mapping[str, Any]]) -> ProposedPools:
    """Pools of these nodes (objects of the Kubernetes API), the largest first.

    Nodes that are not ready or take no pods are left out, as are GPUs that no catalogue has. Raises `InputError` if an
    object is no node.
    """
    result = ProposedPools()
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    skipped: dict[str, list[str]] = {}
    for node in nodes:
        name = _name(node)
        found = _gpu_of(node)
        if isinstance(found, str):
            if found:
                skipped.setdefault(found, []).append(name)
            continue
        groups.setdefault(found, []).append(node)
    for (gpu, count), members in sorted(groups.items(), key=lambda group: -len(group[1]) * group[0][1]):
        result.pools.append(_pool(gpu, count, members))
        result.notes.extend(_notes(gpu, members))
    result.notes.extend(f"left out, {why}: {_first_few(names)}" for why, names in skipped.items())
    if not result.pools and not skipped:
        result.notes.append(
            f"no node has GPUs ({_RESOURCE} or the label {PRODUCT}); is NVIDIA's GPU Operator installed?"
        )
    return result


def _name(node: Mapping[str, Any]) -> str:
    name = (node.get("metadata") or {}).get("name")
    if not isinstance(name, str) or "status" not in node:
        raise InputError(
            "this is not a list of Kubernetes nodes",
            where="nodes",
            fix="Write it with `kubectl get nodes -o json`",
        )
    return name


def _gpu_of(node: Mapping[str, Any]) -> tuple[str, int] | str:
    """Kind and number of the node's GPUs; why it is left out; or nothing for a node without GPUs."""
    labels = node["metadata"].get("labels") or {}
    capacity = (node["status"].get("capacity") or {}).get(_RESOURCE, "0")
    has_gpus = str(capacity) != "0" or any(
        name.startswith("nvidia.com/mig-") for name in node["status"].get("capacity") or {}
    )
    product = labels.get(PRODUCT)
    if product is None:
        return f"because they have GPUs but no label {PRODUCT}" if has_gpus else ""
    product = _SHARING.sub("", product)
    gpu = next((known.id for known in GPUS.values() if known.product == product), None)
    if gpu is None:
        return f"because the GPU {product} is in no catalogue (`isthmus gpus`)"
    if node.get("spec", {}).get("unschedulable"):
        return "because they take no pods (cordoned)"
    ready = [entry for entry in node["status"].get("conditions") or [] if entry.get("type") == "Ready"]
    if ready and ready[0].get("status") != "True":
        return "because they are not ready"
    count = str(labels.get(COUNT, capacity))
    if not count.isdigit() or not int(count):
        return f"because the number of their GPUs is not known (label {COUNT})"
    return gpu, int(count)


def _pool(gpu: str, count: int, members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    zones = {(node["metadata"].get("labels") or {}).get(ZONE) for node in members} - {None}
    allocatable = [node["status"].get("allocatable") or {} for node in members]
    pool: dict[str, Any] = {"gpu": gpu, "nodes": len(members), "gpus_per_node": count}
    if len(zones) > 1:
        pool["failure_domains"] = len(zones)
    if _is_cut(members):
        pool["mig"] = "allowed"
    if all("cpu" in size for size in allocatable):
        pool["cpus_per_node"] = max(1, int(min(amount(str(size["cpu"])) for size in allocatable)))
    if all("memory" in size for size in allocatable):
        pool["memory_gib_per_node"] = max(
            1, int(min(amount(str(size["memory"])) for size in allocatable) / _GIB)
        )
    return pool


def _is_cut(members: Sequence[Mapping[str, Any]]) -> bool:
    configs = [(node["metadata"].get("labels") or {}).get("nvidia.com/mig.config", "") for node in members]
    return any(config and config != "all-disabled" for config in configs)


def _notes(gpu: str, members: Sequence[Mapping[str, Any]]) -> list[str]:
    notes: list[str] = []
    labels = [node["metadata"].get("labels") or {} for node in members]
    if not any(ZONE in label for label in labels):
        notes.append(
            f"{gpu}: no node has a label {ZONE}, so one failure domain is assumed; set failure_domains if "
            "racks or rooms fail apart"
        )
    if any((node.get("spec") or {}).get("providerID", "").startswith("aws:") for node in members):
        notes.append(
            f"{gpu}: these nodes are in AWS, where the planner buys instances itself; pools are for on-prem"
        )
    if any("-SHARED" in label.get(PRODUCT, "") for label in labels):
        notes.append(f"{gpu}: its GPUs are shared by time now; the counts are of whole GPUs")
    return notes


def _first_few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
