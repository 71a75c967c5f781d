"""Arguments of endpoints that autoscaling, prices and weights decide."""

from __future__ import annotations

from typing import Any

from components.serving.scaling_mapping import place_args
from isthmus.contracts.platform.model.costs_and_traces import EndpointCost
from isthmus.contracts.platform.model.platform import Endpoint, Platform
from isthmus.contracts.platform.model.pools import TimeSlicing
from isthmus.contracts.platform.model.serving import Scaling
from tests.components.platforms import bank


def gpus(endpoint: int = 0, pool: dict[str, Any] | None = None, **changes: Any) -> float | None:
    """The GPUs that the gateway charges an endpoint of the bank for."""
    platform = Platform.model_validate(bank())
    pools = [entry.model_copy(update=pool or {}) for entry in platform.pools]
    priced: Endpoint = platform.endpoints[endpoint].model_copy(
        update={"cost": EndpointCost(usd_per_gpu_hour=1.5), **changes}
    )
    return place_args(platform.model_copy(update={"pools": pools}), priced, digests=False).get("gpus")


def at_once(copies: int = 1, endpoint: int = 0, digests: bool = True, **changes: Any) -> int | None:
    """The requests at once that a gateway of so many copies sends to an endpoint of the bank."""
    platform = Platform.model_validate(bank())
    changed: Endpoint = platform.endpoints[endpoint].model_copy(update=changes)
    return place_args(platform, changed, digests, copies).get("concurrency")


def test_a_gateway_sends_as_many_requests_at_once_as_replicas_serve_within_their_goals() -> None:
    assert at_once(max_num_seqs=44, replicas=2) == 80, "a plan leaves a tenth of room in a batch"
    assert at_once(concurrency=10, max_num_seqs=44, replicas=2) == 20
    assert at_once(copies=3, concurrency=10, replicas=2) == 7
    assert at_once(copies=30, concurrency=10, replicas=2) == 1
    assert at_once(max_num_seqs=None) is None
    assert at_once(endpoint=2, max_num_seqs=44) is None, "AWS has limits of its own"


def test_where_another_stack_has_the_release_only_a_stated_number_counts() -> None:
    assert at_once(max_num_seqs=44, replicas=2, digests=False) is None, "a release would restart the gateway"
    assert at_once(concurrency=10, max_num_seqs=44, replicas=2, digests=False) == 20


def test_where_replicas_are_listed_the_number_for_one_of_them_is_told_and_no_other_number_rolls_the_gateway() -> (
    None
):
    platform = Platform.model_validate(bank())
    listed = {"class_": "internal", "concurrency": 10}
    places = [
        place_args(platform, platform.endpoints[0].model_copy(update={**listed, "replicas": count}), False, 3)
        for count in (2, 5)
    ]
    assert places[0] == places[1]
    assert (places[0]["by_replica"], places[0]["replicas"], places[0]["concurrency"]) == (True, 1, 4)


def test_an_endpoint_that_scales_gets_what_its_most_replicas_serve() -> None:
    platform = Platform.model_validate(bank())
    endpoint: Endpoint = platform.endpoints[0].model_copy(update={"concurrency": 10, "replicas": 2})
    scaling = Scaling(endpoint=endpoint.id, min_replicas=2, max_replicas=6)
    scaled = platform.model_copy(update={"scaling": [scaling]})
    assert place_args(scaled, endpoint, digests=False)["concurrency"] == 60


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


def test_gpus_are_those_of_one_replica_where_replicas_are_listed() -> None:
    platform = Platform.model_validate(bank())
    gateways = [gateway.model_copy(update={"router": None}) for gateway in platform.gateways]
    platform = platform.model_copy(update={"gateways": gateways})
    cost = EndpointCost(usd_per_gpu_hour=1.5, source="a list", as_of="2026-11-02")
    priced: Endpoint = platform.endpoints[1].model_copy(update={"cost": cost, "replicas": 4, "gpus": 8})
    place = place_args(platform, priced, digests=False)
    assert (place["by_replica"], place["gpus"], place["replicas"]) == (True, 2, 1)
    assert not {"source", "as_of"} & place.keys(), "the gateway needs the amount alone"
    more = priced.model_copy(update={"replicas": 6, "gpus": 12})
    assert place_args(platform, more, digests=False) == place, "more replicas restart no gateway"


def probed(endpoint: int = 0, scaling: Scaling | None = None, **monitoring: Any) -> bool | None:
    """What the gateway is told about probes of a model of the bank. None: nothing."""
    platform = Platform.model_validate(bank())
    changed = {"monitoring": platform.monitoring.model_copy(update=monitoring)}
    platform = platform.model_copy(update={**changed, "scaling": [scaling] if scaling is not None else []})
    return place_args(platform, platform.endpoints[endpoint], digests=False).get("probed")


def test_a_model_that_scales_to_zero_is_never_probed() -> None:
    name = Platform.model_validate(bank()).endpoints[0].id
    assert probed(scaling=Scaling(endpoint=name, min_replicas=0, max_replicas=2)) is False
    assert probed(scaling=Scaling(endpoint=name, min_replicas=1, max_replicas=2)) is None


def test_a_model_that_is_billed_by_the_token_is_probed_where_the_platform_says_so() -> None:
    assert probed(2) is None, "by default the gateway leaves it out"
    assert probed(2, model_probes_by_token=True) is True
    assert probed(2, model_probes_by_token=True, model_probes=False) is None
    assert probed(0, model_probes_by_token=True) is None, "one on GPUs is probed in any case"
