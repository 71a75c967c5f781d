"""Plan against actual: each effect alone, and all of them together."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reports.usage import UsageDay
from isthmus.contracts.reports.variance import Effects, Variance
from isthmus.usage.variance import variance
from tests.blueprints import bank
from tests.usage.bills.simulated_month import make_month

NOVEMBER = date(2026, 11, 1)
_, PLAN = bank.requirements_and_plan()
EFFECTS = ("load", "mix", "efficiency", "price", "not_planned")
PART = Decimal(720) / 730
"""November of the plan's month of 730 hours."""


def plan_with(prompt: float, completion: float, *, share: float = 1.0) -> Plan:
    """The bank's plan with millions of tokens of `campaign-copy` at prices of 1 and 4 USD."""
    data = PLAN.model_dump(by_alias=True)
    [placement] = [entry for entry in data["placements"] if entry["workload"] == "campaign-copy"]
    placement["share"] = share
    data["placements"] = [placement]
    endpoint = next(entry for entry in data["endpoints"] if entry["id"] == placement["endpoint"])
    endpoint["usd_per_million_tokens"] = {"prompt": 1.0, "completion": 4.0, "cached": 0.25}
    title = f"campaign-copy: {endpoint['inference_profile'] or endpoint['model']}"
    data["cost_items"] = [
        {
            "what": f"{title}, {kind}",
            "quantity": millions,
            "unit": "million tokens",
            "unit_price_usd": price,
            "monthly_usd": round(millions * price, 2),
        }
        for kind, millions, price in (("input", prompt, 1.0), ("output", completion, 4.0))
    ]
    return Plan.model_validate(data)


def used(**fields: Any) -> UsageDay:
    given: dict[str, Any] = {
        "day": date(2026, 11, 30), "sensitivity": "public", "site": "frankfurt", "team": "marketing",
        "workload": "campaign-copy", "model": "copy-model", "endpoint": "public-nova-lite", "requests": 720,
        "failed": 0, "unfinished": 0, "prompt_tokens": 72_000_000, "cached_tokens": 0, "completion_tokens": 36_000_000,
        "gpu_seconds": 0.0, "cost_usd": Decimal(216), "unpriced": 0,
    }  # fmt: skip
    return UsageDay(**{**given, **fields})


def compare(plan: Plan, days: list[UsageDay], requests: float = 730.0) -> Variance:
    return variance("bank-dev", plan, {"campaign-copy": requests}, days, NOVEMBER)


def effects(plan: Plan, days: list[UsageDay]) -> dict[str, Decimal]:
    total = compare(plan, days).total
    return {name: getattr(total, name) for name in EFFECTS if getattr(total, name)}


# 730 requests a month with 73 and 36.5 million tokens: in 720 hours 720 requests, 72 and 36 million, 216 USD.
AS_PLANNED = plan_with(73.0, 36.5)


def test_usage_as_planned_has_no_effect():
    report = compare(AS_PLANNED, [used()])
    assert (report.total.plan, report.total.actual, report.total.difference) == (
        Decimal(216),
        Decimal(216),
        0,
    )
    assert effects(AS_PLANNED, [used()]) == {}
    assert (report.rows[0].planned_requests, report.rows[0].requests) == (720, 720)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {
                "requests": 1440,
                "prompt_tokens": 144_000_000,
                "completion_tokens": 72_000_000,
                "cost_usd": Decimal(432),
            },
            {"load": Decimal(216)},
        ),
        ({"completion_tokens": 72_000_000, "cost_usd": Decimal(360)}, {"efficiency": Decimal(144)}),
        ({"cost_usd": Decimal(230)}, {"price": Decimal(14)}),
        # The requests of the workload are there, at another endpoint.
        ({"endpoint": "another"}, {"mix": Decimal(-216), "not_planned": Decimal(216)}),
    ],
)
def test_one_change_has_one_effect(fields: dict[str, Any], expected: dict[str, Decimal]):
    assert effects(AS_PLANNED, [used(**fields)]) == expected


def test_cached_tokens_are_efficiency_and_no_other_price():
    cached = used(cached_tokens=40_000_000, cost_usd=Decimal(186))  # 40 million at 0.25 instead of 1 USD
    assert effects(AS_PLANNED, [cached]) == {"efficiency": Decimal(-30)}
    full_price = used(cached_tokens=40_000_000, full_price_cached_tokens=40_000_000)
    assert effects(AS_PLANNED, [full_price]) == {}, "the gateway knew no price of cached tokens"


def test_failed_and_unfinished_requests_are_no_load():
    assert effects(AS_PLANNED, [used(requests=820, failed=60, unfinished=40)]) == {}


def test_part_of_a_month_is_compared_with_that_part_of_the_plan():
    report = compare(AS_PLANNED, [used(day=date(2026, 11, 15), requests=360)])
    assert report.end == date(2026, 11, 15)
    assert report.total.plan == Decimal(108)
    assert report.rows[0].planned_requests == 360


def test_unpriced_requests_and_workloads_without_a_price_are_noted():
    report = variance("bank-dev", AS_PLANNED, {}, [used(unpriced=7)], NOVEMBER)
    assert "Requests without a price in the ledger: 7." in report.notes[0]
    assert "campaign-copy at public-nova-lite" in report.notes[1]


amounts = st.decimals(0, 10**6, places=6)


@given(
    st.floats(0.001, 1e5),
    st.floats(0.0, 1e5),
    st.floats(1.0, 1e9),
    st.floats(0.1, 1.0),
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**9), amounts), max_size=4
    ),
)
def test_the_effects_always_add_up_to_the_difference(
    prompt: float, completion: float, requests: float, share: float, days: list[tuple[int, int, int, Decimal]]
):
    usage = [
        used(requests=count, prompt_tokens=first, completion_tokens=second, cost_usd=cost, endpoint=endpoint)
        for count, first, second, cost in days
        for endpoint in ("public-nova-lite", "another")
    ]
    report = compare(plan_with(prompt, completion, share=share), usage, requests)
    for found in (*(row.effects for row in report.rows), report.total):
        adds_up(found)
    assert abs(report.total.actual - sum((day.cost_usd for day in usage), Decimal(0))) <= Decimal("0.02")


def adds_up(found: Effects) -> None:
    assert found.difference == found.actual - found.plan
    assert sum((getattr(found, name) for name in EFFECTS), Decimal(0)) == found.difference


def test_the_simulated_month_adds_up_with_gpu_time():
    requests = {"transaction-narratives": 2_000_000.0, "policy-assistant": 1e6, "campaign-copy": 250_000.0}
    report = variance("bank-dev", PLAN, requests, make_month().days, NOVEMBER)
    for row in report.rows:
        adds_up(row.effects)
    adds_up(report.total)
    [on_prem] = [row for row in report.rows if row.endpoint == "restricted-qwen3-32b"]
    assert on_prem.effects.efficiency > 0, "2.5 GPU-seconds are more than a full endpoint needs"
    assert "On-prem: GPU time of requests alone" in report.notes[-1]
