"""Arguments of endpoints that autoscaling, prices and weights decide."""

from __future__ import annotations

from typing import Any

from components.serving.scaling_mapping import place_args
from isthmus.contracts.platform.model.costs_and_traces import EndpointCost
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.platform.model.pools import TimeSlicing
from tests.components.platforms import bank


def gpus(endpoint: int = 0, pool: dict[str, Any] | None = None, **changes: Any) -> float | None:
    """The GPUs that the gateway charges an endpoint of the bank for."""
    platform = Platform.model_validate(bank())
    pools = [entry.model_copy(update=pool or {}) for entry in platform.pools]
    priced: Endpoint = platform.endpoints[endpoint].model_copy(
        update={"cost": EndpointCost(usd_per_gpu_hour=1.5), **changes}
    )
    return place_args(platform.model_copy(update={"pools": pools}), priced, digests=False).get("gpus")


def test_an_endpoint_is_charged_for_its_gpus_and_for_parts_of_them() -> None:
    assert gpus() == 8
    assert gpus(mig_profile="3g.40gb") == 4
    slicing = TimeSlicing.model_construct(replicas=4, nodes=[])
    assert gpus(time_sliced=True, pool={"time_slicing": slicing}) == 2


def test_a_model_of_bedrock_or_of_no_pool_has_no_gpus() -> None:
    assert gpus(2, gpus=8) == 0
    assert gpus(2, gpus=8, pool={"name": None}) == 0
    assert gpus(pool={"name": "other"}) == 0


def test_gpus_of_an_endpoint_without_a_price_per_hour_are_not_told() -> None:
    assert gpus(cost=None) is None
