"""On how many machines an endpoint's weights lie, where each machine keeps them on its own disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.hardware import mig
from isthmus.contracts.platform.lookups import mig as platform_mig

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform


def fetchers(platform: Platform, endpoint: Endpoint) -> int:
    """Pods that fetch an endpoint's weights, one on each machine that may run it; 0 where none does.

    `platform`: at its most (`platform_serving.at_most`), for which slices are laid out.
    """
    cache = endpoint.weights.cache if endpoint.weights is not None else None
    pool = next((each for each in platform.pools if each.name == endpoint.pool), None)
    if cache is None or cache.node_path is None or pool is None:
        return 0
    if endpoint.mig_profile:
        owner = mig.owner_of(platform_mig.sliced(endpoint))
        return sum(owner in mine for mine in platform_mig.layout(platform, pool) or [])
    most = pool.node_group.max_nodes if pool.node_group is not None else None
    return max(pool.nodes, most or 0)
