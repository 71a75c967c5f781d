"""Demand of a workload: its rate over the day, its month, and the share that overflows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replay import read
from isthmus.planning.sizing import demand
from isthmus.planning.sizing.rounding import Goals
from tests.planning.test_planner import bank, workload

FLAT = (1.0,) * 24


def demand_of(name: str, **traffic: object) -> demand.Demand:
    data = bank()
    workload(data, name)["traffic"].update(traffic)
    workload_found = read(data).workload(name)
    assert workload_found is not None
    return demand.of_workload(workload_found)


def test_monthly_requests_are_730_hours_at_the_mean_rate() -> None:
    demand_found = demand_of("policy-assistant")
    assert demand_found.requests == pytest.approx(0.4 * 3600 * 730)
    assert demand_found.prompt_tokens == pytest.approx(demand_found.requests * 3500)
    assert (demand_found.rate, demand_found.lengths.hit) == (6.0, 0.3)
    assert (demand_found.goals.ttft_ms, demand_found.goals.tpot_ms, demand_found.goals.answer_ms) == (
        3000,
        80,
        None,
    )


def test_batch_work_finishes_within_its_window_and_has_no_latency_targets() -> None:
    data = bank()
    workload_data = workload(data, "campaign-copy")
    workload_data.update(mode="batch", slo={"complete_within_hours": 8})
    workload_data["traffic"]["profile"] = [24, *[0] * 23]
    workload_found = read(data).workload("campaign-copy")
    assert workload_found is not None
    expected = demand.of_workload(workload_found)
    assert expected.goals == Goals()
    # All of a day comes in one hour and is done in eight.
    assert expected.rate == pytest.approx(0.1 * 24 / 8)


def test_a_longer_batch_window_needs_less_capacity_down_to_the_mean_rate() -> None:
    peaky = tuple(6.0 if hour < 4 else 0.0 for hour in range(24))
    rates = [demand.batch_rate(peaky, 2.0, hours) for hours in (1, 4, 12, 24)]
    assert rates == sorted(rates, reverse=True)
    assert demand.batch_rate(FLAT, 2.0, 24) == pytest.approx(2.0)


def test_overflow_is_the_load_above_a_share_of_the_peak() -> None:
    data = bank()
    workload(data, "policy-assistant")["traffic"]["profile"] = [2, *[1] * 23]
    workload_found = read(data).workload("policy-assistant")
    assert workload_found is not None
    assert demand.overflow_share(workload_found, 1.0) == 0
    # One hour of 25 parts is twice as busy as the others: half of it is above.
    assert demand.overflow_share(workload_found, 0.5) == pytest.approx(1 / 25)


BANK = read(bank())


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_lower_base_capacity_overflows_more(first: float, second: float) -> None:
    workload_found = BANK.workload("policy-assistant")
    assert workload_found is not None
    low, high = sorted((first, second))
    assert 0 <= demand.overflow_share(workload_found, high) <= demand.overflow_share(workload_found, low) < 1
