"""Forecasts of a month: the method, its interval, and when nothing is known."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

from isthmus.contracts.reports.usage import UsageDay
from isthmus.usage.forecast import forecast

NOVEMBER = date(2026, 11, 1)


def used(day: date, usd: float, team: str = "marketing") -> UsageDay:
    return UsageDay(
        day=day, sensitivity="public", site="frankfurt", team=team, workload="campaign-copy", model="m",
        endpoint="public-nova-lite", requests=1, failed=0, unfinished=0, prompt_tokens=1, cached_tokens=0,
        completion_tokens=1, gpu_seconds=0.0, cost_usd=Decimal(str(round(usd, 6))), unpriced=0,
    )  # fmt: skip


def week_pattern(day: date) -> float:
    return 10.0 if day.weekday() >= 5 else 100.0


def days(until: int, begin: date = NOVEMBER) -> list[UsageDay]:
    count = (date(2026, 11, until) - begin).days + 1
    return [used(begin + timedelta(days=n), week_pattern(begin + timedelta(days=n))) for n in range(count)]


def test_a_regular_month_is_forecast_exactly_by_weekday():
    # November 2026 has 21 workdays and 9 weekend days.
    [row] = forecast("bank-dev", days(10), NOVEMBER, date(2026, 11, 10)).rows
    assert (row.expected, row.low, row.high) == (Decimal("2190.00"),) * 3
    assert row.method == "means of workdays and weekend days"


def test_each_weekday_has_its_own_mean_once_it_was_seen_twice():
    october = days(5, date(2026, 10, 20))
    report = forecast("bank-dev", october, NOVEMBER, date(2026, 11, 5))
    assert report.rows[0].method == "means of each weekday"
    assert report.rows[0].so_far == sum((day.cost_usd for day in october if day.day.month == 11), Decimal(0))
    assert report.rows[0].expected == Decimal("2190.00")


def test_below_seven_days_nothing_is_known():
    [row] = forecast("bank-dev", days(6), NOVEMBER, date(2026, 11, 6)).rows
    assert (row.expected, row.low, row.high) == (None, None, None)
    assert row.method == "not known: 6 days are observed, 7 are needed"


def test_a_month_that_is_over_costs_what_it_cost():
    [row] = forecast("bank-dev", days(30), NOVEMBER, date(2026, 11, 30)).rows
    assert (row.expected, row.low, row.high) == (row.so_far,) * 3


def test_a_day_without_usage_counts_as_zero_and_days_after_through_do_not_count():
    some = [day for day in days(20) if day.day.day != 3]
    report = forecast("bank-dev", some, NOVEMBER, date(2026, 11, 10))
    assert report.days_observed == 10
    assert report.rows[0].so_far == Decimal("630.00"), "6 workdays and 3 weekend days"
    assert report.rows[0].expected is not None
    assert report.rows[0].expected < Decimal("2190.00")


def test_teams_have_rows_of_their_own():
    both = [*days(10), *(used(day.day, 5.0, "legal") for day in days(10))]
    report = forecast("bank-dev", both, NOVEMBER, date(2026, 11, 10), "team")
    assert [row.name for row in report.rows] == ["all", "legal", "marketing"]
    assert report.rows[1].expected == Decimal("150.00")


def test_four_of_five_months_end_within_the_interval():
    """400 simulated months with a week's pattern and independent days: 80 % ± three standard errors (6 points)."""
    rng = random.Random(28)
    inside = 0
    for _ in range(400):
        month = [
            used(date(2026, 11, number), week_pattern(date(2026, 11, number)) + rng.gauss(0, 8) + 25)
            for number in range(1, 31)
        ]
        [row] = forecast("bank-dev", month, NOVEMBER, date(2026, 11, 12)).rows
        actual = sum((day.cost_usd for day in month), Decimal(0))
        assert row.low is not None
        assert row.high is not None
        inside += row.low <= actual <= row.high
    assert 0.74 <= inside / 400 <= 0.86
