"""The claim about prefix-aware routing, on a sample: `python -m bench.prefix_routing` runs it whole."""

from __future__ import annotations

import pytest

from bench.prefix_routing import TRAFFICS, WAYS, Traffic, compare, planned_engine

pytestmark = pytest.mark.whole

ENGINE = ("meta-llama/Llama-3.3-70B-Instruct", "h100-sxm-80gb", "fp8", 2)
SHARED = [traffic for traffic in TRAFFICS if traffic.shared]


def check(traffic: Traffic, seconds: float, seed: int) -> None:
    results = compare(traffic, planned_engine(*ENGINE), replicas=4, seconds=seconds, seed=seed, ways=WAYS[:4])
    ours, oracle, least = results["prefix"], results["oracle"], results["least load"]
    assert ours.hit >= 0.9 * oracle.hit
    assert ours.ttft_p50 <= oracle.ttft_p50 / 0.9
    assert ours.ttft_p95 <= oracle.ttft_p95 / 0.9
    assert ours.hit > least.hit


@pytest.mark.parametrize("traffic", SHARED, ids=[traffic.name for traffic in SHARED])
def test_prefix_routing_reaches_nine_tenths_of_an_oracle(traffic: Traffic):
    check(traffic, 150, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("traffic", SHARED, ids=[traffic.name for traffic in SHARED])
def test_prefix_routing_reaches_nine_tenths_of_an_oracle_in_long_runs(traffic: Traffic, seed: int):
    check(traffic, 1200, seed)


@pytest.mark.parametrize("gateways", [1, 2])
def test_where_nothing_is_shared_first_tokens_are_no_later_than_with_least_load(gateways: int):
    (traffic,) = [traffic for traffic in TRAFFICS if not traffic.shared]
    results = compare(
        traffic, planned_engine(*ENGINE), replicas=4, seconds=150, gateways=gateways, ways=WAYS[1:3]
    )
    assert results["prefix"].ttft_p95 <= results["least load"].ttft_p95
    assert results["prefix"].hit == 0
