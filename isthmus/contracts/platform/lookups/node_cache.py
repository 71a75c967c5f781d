"""Counts the nodes that keep an endpoint's weights on their own disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups import mig as platform_mig

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def fetchers(platform: Platform, endpoint: Endpoint) -> int:
    """Pods that fetch an endpoint's weights, one on each node that may run it; 0 without a node cache.

    `platform`: at its most (`platform_serving.at_most`), for which slices are laid out.
    """
    cache = endpoint.weights.cache if endpoint.weights is not None else None
    pool = next((candidate for candidate in platform.pools if candidate.name == endpoint.pool), None)
    if cache is None or cache.node_path is None or pool is None:
        return 0
    if endpoint.mig_profile:
        owner = mig.owner_of(platform_mig.sliced(endpoint))
        return sum(owner in mine for mine in platform_mig.layout(platform, pool) or [])
    max_nodes = pool.node_group.max_nodes if pool.node_group is not None else None
    return max(pool.nodes, max_nodes or 0)
