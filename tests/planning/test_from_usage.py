"""Measured traffic in place of guesses: what sums of days say, and what they do not."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.reports import usage_file
from isthmus.contracts.reports.usage import UsageDay, UsageReport, UsageTotals, UsageTrend
from isthmus.contracts.reports.usage_file import UsageFile
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core.errors import InputError
from isthmus.planning.from_usage import outlook, series, traffic
from isthmus.planning.from_usage.trend import trend_of
from isthmus.planning.output import workload_costs
from tests.usage_days import END, usage_days

ROOT = Path(__file__).resolve().parents[2]
STATED = requirements_of.load(ROOT / "stacks" / "bank-dev.requirements.yaml")
PLAN = plan_of.load(ROOT / "stacks" / "bank-dev.plan.yaml")


def usage(*rows: list[dict[str, object]], **more: object) -> UsageFile:
    return UsageFile.model_validate({"days": [row for part in rows for row in part], **more})


def measured(name: str, usage_file: UsageFile) -> traffic.MeasuredWorkload:
    (one,) = [each for each in traffic.measure(STATED, usage_file) if each.workload.name == name]
    return one


def test_what_isthmus_usage_prints_is_read(tmp_path):
    days = usage_days("kyc-extraction", 20, lambda _: 1000)
    report = UsageReport(
        stack="bank-dev",
        begin=END - datetime.timedelta(20),
        end=END,
        by=["workload"],
        loaded=[],
        totals=UsageTotals(requests=21_000),
        groups=[],
        trend=UsageTrend(begin=END, end=END, totals=None),
        unusual=[],
        closed=[],
        days=[UsageDay.model_validate(day) for day in days],
    )
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(report.model_dump(mode="json")))
    read = usage_file.load(file, "--usage")
    assert (read.stack, read.days) == ("bank-dev", report.days)


def test_the_mean_is_that_of_the_last_four_whole_weeks_and_the_last_day_is_left_out():
    of_days = [86_400] * 20 + [2 * 86_400] * 28 + [10]  # the last day is not over
    result = measured("kyc-extraction", usage(usage_days("kyc-extraction", 48, lambda day: of_days[day])))
    assert result.window is not None
    assert (result.days, result.window.end) == (48, END - datetime.timedelta(1))
    assert result.traffic["mean_rps"] == 2


def test_the_peak_keeps_the_ratio_of_the_requirements_and_says_so():
    result = measured("kyc-extraction", usage(usage_days("kyc-extraction", 28, lambda _: 86_400)))
    (peak,) = [figure for figure in result.figures if figure.key == "peak_rps"]
    assert (peak.used, peak.basis) == (4, "derived")
    assert "sums of days do not say a peak within a day" in peak.how


def test_no_peak_is_below_the_mean_rate_of_the_busiest_day():
    rows = usage_days("kyc-extraction", 28, lambda day: 10 * 86_400 if day == 20 else 8640)
    assert measured("kyc-extraction", usage(rows)).traffic["peak_rps"] == 10


def test_sums_of_hours_say_the_peak_and_the_profile():
    rows = usage_days("kyc-extraction", 28, lambda _: 86_400)
    hours = [
        {
            "hour": f"{END - datetime.timedelta(back)}T{hour:02}:00:00Z",
            "sensitivity": "confidential",
            "workload": "kyc-extraction",
            "requests": 21_600 if 10 <= hour < 14 else 0,
        }
        for back in range(1, 29)
        for hour in range(24)
    ]
    found = measured("kyc-extraction", usage(rows, hours=hours)).traffic
    assert found["peak_rps"] == 12  # twice the busiest hour, which has 6 requests a second
    assert found["profile"] == [0.0] * 10 + [6.0] * 4 + [0.0] * 10


def test_lengths_are_means_of_answered_requests_with_the_ratio_of_the_requirements():
    rows = usage_days(
        "kyc-extraction", 28, lambda _: 1000, failed=lambda _: 100, prompt=900, cached=90, completion=150
    )
    found = measured("kyc-extraction", usage(rows)).traffic
    assert found["prompt_tokens"] == {"mean": 900, "p95": 2000}  # the requirements have 4000 / 1800
    assert found["output_tokens"]["mean"] == 150
    assert found["prefix_hit_ratio"] == 0.1
    assert found["mean_rps"] == pytest.approx(900 / 86_400, rel=0.01)


def test_where_no_engine_reports_cached_tokens_the_ratio_stays_a_guess():
    result = measured("policy-assistant", usage(usage_days("policy-assistant", 28, lambda _: 1000)))
    assert "prefix_hit_ratio" not in result.traffic
    (figure,) = [figure for figure in result.figures if figure.key == "prefix_hit_ratio"]
    assert (figure.used, figure.basis) == (0.3, "guessed")


def test_percentiles_of_lengths_fit_the_context_as_only_such_requests_are_answered():
    rows = usage_days("kyc-extraction", 28, lambda _: 1000, prompt=5000, completion=2000)
    found = measured("kyc-extraction", usage(rows)).traffic
    assert found["prompt_tokens"]["p95"] + found["output_tokens"]["p95"] <= 8192
    assert found["prompt_tokens"]["p95"] >= 5000


def test_below_fourteen_days_the_guess_stays_and_the_reason_is_told():
    result = measured("kyc-extraction", usage(usage_days("kyc-extraction", 13, lambda _: 1000)))
    assert (result.traffic, result.window) == ({}, None)
    assert result.why == "its usage has 13 whole days, and 14 are needed"
    assert measured("campaign-copy", usage(usage_days("kyc-extraction", 13, lambda _: 1000))).days == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (usage_days("letters", 20, lambda _: 10), r"no workload of the usage \(letters\) is one of the req"),
        (
            usage_days("kyc-extraction", 20, lambda _: 10, sensitivity="public"),
            r"is of class public, and the requirements state confidential",
        ),
        (usage_days("kyc-extraction", 0, lambda _: 10), "usage of one day only"),
        (usage_days("kyc-extraction", 20, lambda _: 10, prompt=9000), "context_tokens are 8,192"),
    ],
)
def test_usage_of_another_stack_is_refused(rows, message):
    with pytest.raises(InputError, match=message):
        traffic.measure(STATED, usage(rows))


def test_a_steady_growth_is_found_and_noise_is_none():
    grown = trend_of([round(1000 * 1.05**week) for week in range(12)])
    assert grown is not None
    assert grown.pct_per_week == pytest.approx(5, abs=0.02)
    assert grown.is_significant
    noisy = trend_of([1000, 1100, 950, 1060, 940, 1030, 1010, 990])
    assert noisy is not None
    assert not noisy.is_significant
    assert trend_of([1000] * 5) is None
    assert trend_of([1000, 0, 1000, 1000, 1000, 1000]) is None


@given(st.lists(st.integers(1, 10**7), min_size=6, max_size=26))
def test_the_interval_of_a_trend_contains_it_and_does_not_depend_on_the_scale(weeks):
    trend, tenfold = trend_of(weeks), trend_of([10 * week for week in weeks])
    assert trend is not None
    assert trend.low <= trend.pct_per_week <= trend.high
    assert tenfold == trend


@given(st.lists(st.integers(1, 10**6), min_size=15, max_size=60))
def test_the_measured_mean_lies_between_the_quietest_and_the_busiest_day(days):
    rows = usage_days("kyc-extraction", len(days) - 1, lambda day: days[day])
    window = series.window(series.series_of(usage(rows))["kyc-extraction"])
    assert window is not None
    loads = days[-1 - len(window.days) : -1]
    assert min(loads) <= window.mean_rps * 86_400 * (1 + 1e-12)
    assert window.mean_rps * 86_400 <= max(loads) * (1 + 1e-12)
    assert math.isclose(math.fsum(window.weekdays), 7, abs_tol=0.01)


def test_a_rounded_rate_is_never_too_small():
    assert traffic.rounded_up(1.2341) == 1.24
    assert traffic.rounded_up(1.23) == 1.23


# Outlook


def judge(load: float, replicas: int, low: float, point: float, high: float):
    from isthmus.contracts.reports.measured_traffic import Trend
    from isthmus.planning.options.option import Column

    endpoint = PLAN.endpoints[1].model_copy(update={"replicas": replicas})
    column = Column(
        *("confidential", "fra1", "h100-sxm-80gb", "meta-llama/Llama-3.1-8B-Instruct", "fp8"), 2, "none"
    )
    trend = Trend(pct_per_week=point, low=low, high=high, weeks=12)
    return outlook._judge(endpoint, STATED, column, [(load, trend)])


def test_a_growing_load_outgrows_its_endpoint_between_the_ends_of_the_interval():
    found = judge(load=1.0, replicas=2, low=2, point=4, high=6)
    assert found is not None
    # 2 replicas with 30 % headroom carry 1.538: 1.06^8 = 1.59, 1.02^22 = 1.546.
    assert (found.becomes, found.weeks_from, found.weeks_to) == ("too small", 8, 22)
    assert found.needed_now == 2


def test_a_shrinking_load_makes_its_endpoint_too_large():
    found = judge(load=1.0, replicas=2, low=-6, point=-4, high=-0.1)
    assert found is not None
    # One replica carries 0.769: 0.94^5 = 0.734. At -0.1 % a week it takes more than a year.
    assert (found.becomes, found.weeks_from, found.weeks_to) == ("too large", 5, None)


def test_an_endpoint_that_fits_without_a_trend_has_no_outlook():
    assert judge(load=1.0, replicas=2, low=0, point=0, high=0) is None


# Parts of the cost


def test_the_parts_of_the_bank_s_workloads_add_up_to_its_cost():
    shares = workload_costs.endpoint_shares(PLAN, STATED)
    costs = workload_costs.workload_costs(PLAN, STATED, shares)
    assert PLAN.monthly_cost_usd is not None
    assert sum(costs.values()) == Decimal(str(PLAN.monthly_cost_usd))
    assert costs["transaction-narratives"] == Decimal(
        "13198.18"
    )  # 6 of 10 GPUs: 5,998.18 and 7,200 of people
    assert workload_costs.workload_gpus(PLAN, shares) == {
        **{"transaction-narratives": 6, "kyc-extraction": 4},
        **{"policy-assistant": 0, "campaign-copy": 0},
    }
