"""Budgets of teams in the month: spent, and forecast to its end."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from isthmus.contracts.reports.usage import UsageBudget, UsageDay
from isthmus.usage.budgets import team_budgets

TODAY = date(2026, 11, 16)


def used(day: date, usd: float, team: str = "hr", **more: Any) -> UsageDay:
    fields: dict[str, Any] = {
        **{"sensitivity": "internal", "site": "fra1", "workload": "w", "model": "w", "endpoint": "e"},
        **{"requests": 1, "failed": 0, "unfinished": 0, "prompt_tokens": 1, "cached_tokens": 0},
        **{"completion_tokens": 1, "gpu_seconds": 0, "unpriced": 0},
    }
    return UsageDay.model_validate(
        {**fields, **more, "day": day, "team": team, "cost_usd": Decimal(str(usd))}
    )


def budget(days: list[UsageDay], end: date = TODAY) -> UsageBudget:
    (found,) = team_budgets("bank-dev", {"hr": 1000.0}, days, end, TODAY)
    return found


def test_a_team_that_spends_the_same_each_day_ends_the_month_at_thirty_times_that() -> None:
    days = [used(date(2026, 10, 1) + timedelta(days=number), 10) for number in range(46)]
    found = budget([*days, used(TODAY, 4), used(TODAY, 500, team="sales")])
    assert (found.month, found.spent_usd, found.share) == ("2026-11", Decimal(154), 0.154)
    assert (found.expected_usd, found.low_usd, found.high_usd) == (Decimal(300), Decimal(300), Decimal(300))


def test_an_uneven_team_has_an_interval_around_the_forecast() -> None:
    days = [used(date(2026, 10, 1) + timedelta(days=number), 10 + number % 5) for number in range(46)]
    found = budget(days)
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert found.expected_usd is not None
    assert found.spent_usd < found.low_usd < found.expected_usd < found.high_usd


def test_without_seven_days_the_end_of_the_month_is_not_known() -> None:
    found = budget([used(date(2026, 11, 14), 10, unpriced=1), used(date(2026, 11, 15), 10)])
    assert (found.spent_usd, found.unpriced, found.expected_usd) == (Decimal(20), 1, None)
    assert found.method == "not known: 2 days are observed, 7 are needed"


def test_a_team_without_usage_has_spent_nothing() -> None:
    found = budget([used(date(2026, 11, 14), 10, team="sales")])
    assert (found.spent_usd, found.expected_usd) == (Decimal(0), None)


def test_a_month_that_is_over_ends_at_what_was_spent() -> None:
    days = [used(date(2026, 10, 1) + timedelta(days=number), 10) for number in range(46)]
    found = budget(days, end=date(2026, 10, 31))
    assert (found.month, found.spent_usd, found.expected_usd) == ("2026-10", Decimal(310), Decimal(310))
