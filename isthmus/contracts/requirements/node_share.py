"""CPU and memory of a replica as its part of a machine: the part that its GPUs are of the machine's.

The planner, the rules on plans and the blueprints count with it, for machines on-prem and in AWS.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.reference.model_profiles import (
    min_cpus,
    min_memory_gib,
    sidecar_millicores,
    size_of,
)

if TYPE_CHECKING:
    from isthmus.contracts.requirements.sites import Pool

_SYSTEM_CPU, _SYSTEM_MEMORY = 1, 0.15
"""Of a machine, what kubelet, plugins and monitoring take: vCPUs, and the part of its memory; an assumption."""
_SIDECAR_CPU, _SIDECAR_GIB = math.ceil(sidecar_millicores(None) / 1000), 1
"""Of a replica's part, what its sidecar takes at most, rounded up."""


def cpus_of(machine: float, part: float) -> int:
    """CPUs that a part of a machine leaves to an engine, beside the system and the sidecar."""
    return math.floor((machine - _SYSTEM_CPU) * part + 1e-9) - _SIDECAR_CPU


def memory_of(machine: float, part: float) -> int:
    """GiB of memory that a part of a machine leaves to an engine, beside the system and the sidecar."""
    return math.floor(machine * (1 - _SYSTEM_MEMORY) * part + 1e-9) - _SIDECAR_GIB


def node_requests(pool: Pool, model: str, gpus: int, mig_profile: str | None = None) -> dict[str, str]:
    """`cpu` and `memory` of a replica on so many GPUs of an on-prem node, where the node gives less than its profile
    asks for.

    A replica takes the part of the node that its GPUs are, so replicas that fit the GPUs fit the CPU and the memory.
    Empty where the requirements do not state the node, or where the part is large enough. Raises `FieldError` for a
    slice that the GPU does not make.
    """
    size, part, requests = size_of(model), _part(pool, gpus, mig_profile), {}
    if pool.cpus_per_node is not None and (cpus := cpus_of(pool.cpus_per_node, part)) < size.cpus(gpus):
        requests["cpu"] = str(max(1, cpus))
    if pool.memory_gib_per_node is not None:
        memory = memory_of(pool.memory_gib_per_node, part)
        if memory < size.memory(gpus):
            requests["memory"] = f"{max(1, memory)}Gi"
    return requests


def node_lacks(pool: Pool, gpus: int, mig_profile: str | None = None) -> str | None:
    """Why a node cannot hold such a replica beside others of its kind on all of its GPUs; None where it can.

    Raises `FieldError` for a slice that the GPU does not make.
    """
    part = _part(pool, gpus, mig_profile)
    devices = f"{gpus} of {pool.gpus_per_node} GPUs" if mig_profile is None else f"a slice {mig_profile}"
    least, memory = min_cpus(gpus), min_memory_gib(gpus)
    if pool.cpus_per_node is not None and (cpus := cpus_of(pool.cpus_per_node, part)) < least:
        return (
            f"a node has {pool.cpus_per_node} CPUs, which leaves {max(0, cpus)} for a replica on {devices}, and vLLM "
            f"needs {least}"
        )
    if pool.memory_gib_per_node is not None and (gib := memory_of(pool.memory_gib_per_node, part)) < memory:
        return (
            f"a node has {pool.memory_gib_per_node} GiB of memory, which leaves {max(0, gib)} for a replica on "
            f"{devices}, and vLLM needs {memory}"
        )
    return None


def _part(pool: Pool, gpus: int, mig_profile: str | None) -> float:
    """Of a node, what so many of its GPUs or a slice of one are."""
    slices = mig.instances(pool.gpu, mig_profile) if mig_profile is not None else 1
    return gpus / slices / pool.gpus_per_node
