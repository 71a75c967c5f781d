"""Groups, totals, trends and unusual days of a stack's usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.reports.usage import UsageDay
from isthmus.usage.periods import NAMES, By, Period, Read, groups, report, total, unusual_days

FIRST = date(2026, 11, 2)
"""A Monday."""


def usage_day(day: date, requests: int = 10, **more: Any) -> UsageDay:
    names = {"sensitivity": "internal", "site": "fra1", "team": "motor", "workload": "claims", "model": "m"}
    counts = {
        "failed": 0,
        "unfinished": 0,
        "prompt_tokens": requests * 100,
        "cached_tokens": 0,
        "unpriced": 0,
    }
    used = {"completion_tokens": requests, "gpu_seconds": 1.5, "cost_usd": Decimal("0.01") * requests}
    return UsageDay.model_validate(
        {**names, **counts, **used, "endpoint": "e", "day": day, "requests": requests, **more}
    )


def weeks(*requests: int, **more: Any) -> list[UsageDay]:
    """One day a week, from the first Monday on."""
    return [usage_day(FIRST + timedelta(weeks=week), number, **more) for week, number in enumerate(requests)]


def mondays(days: Sequence[UsageDay]) -> Period:
    return Period(FIRST, days[-1].day)


@pytest.mark.parametrize(
    ("requests", "is_unusual"),
    [
        ((100, 100, 100, 100, 300), True),
        ((100, 100, 100, 100, 0), True),
        ((100, 100, 100, 100, 115), False),
        ((100, 110, 90, 105, 130), True),
        ((100, 150, 50, 120, 180), False),
        ((100, 100, 100, 300), False),
    ],
    ids=["far above", "nothing", "within 20 %", "beyond 3 MADs", "within 3 MADs", "too few weekdays"],
)
def test_a_day_is_unusual_if_it_is_unlike_the_same_weekdays_before(
    requests: tuple[int, ...], is_unusual: bool
):
    days = weeks(*requests)
    found = unusual_days(days, mondays(days), today=date(2027, 1, 1))
    assert [(each.day, each.measure) for each in found if each.measure == "requests"] == (
        [(days[-1].day, "requests")] if is_unusual else []
    )


def test_a_day_without_any_usage_is_found_too_and_today_is_not_judged():
    days = weeks(100, 100, 100, 100)
    fifth = FIRST + timedelta(weeks=4)
    period = Period(FIRST, fifth)
    found = unusual_days(days, period, today=fifth + timedelta(days=1))
    assert {
        (each.day, each.value, each.median, each.weekdays) for each in found if each.measure == "requests"
    } == {(fifth, 0, 100, 4)}
    assert unusual_days(days, period, today=fifth) == []


def test_workloads_are_judged_apart():
    days = weeks(100, 100, 100, 100, 100) + weeks(1, 1, 1, 1, 9, workload="other")
    assert {each.workload for each in unusual_days(days, mondays(days), date(2027, 1, 1))} == {"other"}


def test_the_period_before_has_as_many_days():
    period = Period(date(2026, 11, 11), date(2026, 11, 20))
    assert period.before == Period(date(2026, 11, 1), date(2026, 11, 10))
    assert period.first_needed == date(2026, 9, 16), "eight weeks, for the weekdays"


def test_a_trend_needs_records_of_the_whole_period_before():
    days = [usage_day(date(2026, 11, day)) for day in range(1, 21)]
    read = Read(days, [], [])
    later = report("dev", read, Period(date(2026, 11, 11), date(2026, 11, 20)), ["team"], date(2026, 12, 1))
    assert later.trend.totals is not None
    assert later.trend.totals.requests == later.totals.requests == 100
    earlier = report("dev", read, Period(date(2026, 11, 5), date(2026, 11, 20)), ["team"], date(2026, 12, 1))
    assert earlier.trend.totals is None


def test_groups_are_the_most_expensive_first_and_days_are_in_order():
    days = [*weeks(1, 5), usage_day(FIRST, 50, team="life"), usage_day(FIRST, 1, team="", endpoint=None)]
    assert [group.names["team"] for group in groups(days, ["team"])] == ["life", "motor", ""]
    by_day = [group.names["day"] for group in groups(days, ["day", "team"])]
    assert by_day == sorted(by_day)


@given(
    st.lists(
        st.builds(
            usage_day,
            st.dates(date(2026, 11, 1), date(2026, 11, 30)),
            st.integers(0, 50),
            team=st.sampled_from("ab"),
            workload=st.sampled_from("cd"),
            endpoint=st.sampled_from(["e", None]),
        )
    ),
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
)
def test_groups_add_up_to_the_total(days: list[UsageDay], by: list[By]):
    wanted, found = total(days), groups(days, by)
    assert sum(group.totals.requests for group in found) == wanted.requests
    assert sum((group.totals.cost_usd for group in found), Decimal(0)) == wanted.cost_usd
    assert len({tuple(group.names.values()) for group in found}) == len(found)
