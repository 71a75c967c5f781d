"""Time-sliced GPUs: shares and whole GPUs of a pool, and the rules for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import capacities
from isthmus.contracts.platform.model.pools import Pool

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

SHARED_MEMORY_PART = 0.95
"""Part of a GPU's memory for all replicas that share it. The rest is for memory that engines do not count."""


def free_whole_gpus(pool: Pool) -> list[int]:
    """Whole usable GPUs of each node of a pool: none of one whose GPUs are shared, reserved ones from the last."""
    sliced = set(_shared_nodes(pool))
    remaining = iter(capacities(pool.nodes - len(sliced), pool.gpus_per_node, pool.reserved_gpus))
    return [0 if node in sliced else next(remaining) for node in range(pool.nodes)]


def whole_gpus(platform: Platform, pool: Pool) -> int:
    """GPUs of a pool that are given out whole."""
    return sum(free_whole_gpus(pool)) - sum(cut.gpus for cut in pool.mig)


def shares(pool: Pool) -> int:
    """Shares of GPUs that a pool gives out."""
    slicing = pool.time_slicing
    return len(slicing.nodes) * pool.gpus_per_node * slicing.replicas if slicing else 0


def sharing_domains(pool: Pool) -> int:
    """Failure domains that have machines whose GPUs are shared."""
    return len({node % pool.failure_domains for node in _shared_nodes(pool)})


def _shared_nodes(pool: Pool) -> list[int]:
    slicing = pool.time_slicing
    return [
        index for index, name in enumerate(pool.node_names) if slicing is not None and name in slicing.nodes
    ]
