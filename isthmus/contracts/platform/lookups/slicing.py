"""GPUs that are shared in time: what is left whole beside them, and that one class alone shares them.

Rules of `platform_checks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import capacities
from isthmus.contracts.platform.model.pools import Pool

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

MEMORY = 0.95
"""Of a GPU's memory for all who share it: the rest is what each process takes outside its engine's own account."""


def free(pool: Pool) -> list[int]:
    """Whole usable GPUs of each node of a pool: none of one whose GPUs are shared, reserved ones from the last."""
    sliced = set(_nodes(pool))
    left = iter(capacities(pool.nodes - len(sliced), pool.gpus_per_node, pool.reserved_gpus))
    return [0 if node in sliced else next(left) for node in range(pool.nodes)]


def whole_gpus(platform: Platform, pool: Pool) -> int:
    """GPUs of a pool that are given out whole."""
    return sum(free(pool)) - sum(cut.gpus for cut in pool.mig)


def shares(pool: Pool) -> int:
    """Shares of GPUs that a pool gives out."""
    slicing = pool.time_slicing
    return len(slicing.nodes) * pool.gpus_per_node * slicing.replicas if slicing else 0


def domains(pool: Pool) -> int:
    """Failure domains that have machines whose GPUs are shared."""
    return len({node % pool.failure_domains for node in _nodes(pool)})


def _nodes(pool: Pool) -> list[int]:
    slicing = pool.time_slicing
    return [at for at, name in enumerate(pool.node_names) if slicing is not None and name in slicing.nodes]
