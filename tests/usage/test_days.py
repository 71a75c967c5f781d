"""The ledger's sums as days of the contract, with closed months."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from edge.usage.ledger import Closed, Day, Place
from edge.usage.rows import DayKey, Sums
from isthmus.usage.days import closed_months, evaluation_days, judge_days, month_of, shadow_days, usage_days

PLACE = Place("internal", "fra1")


def day(at: date, requests: int, *, person: str = "", endpoint: str = "e") -> Day:
    key = DayKey(at, "motor", "claims", person, "m", endpoint)
    return Day(PLACE, key, Sums(requests=requests, usd=Decimal(requests), gpu_seconds=Decimal("1.5")))


def closed(*figures: Day) -> Closed:
    return Closed(PLACE, date(2026, 11, 1), 7, "0" * 64, figures, datetime(2026, 12, 2, tzinfo=UTC))


def test_a_name_that_a_request_does_not_have_is_null():
    (found,) = usage_days([day(date(2026, 11, 1), 3, endpoint="")], [])
    assert (found.person, found.endpoint, found.requests, found.cost_usd) == (None, None, 3, 3)


def test_a_closed_month_shows_its_frozen_figures_and_the_difference_apart():
    november, december = date(2026, 11, 5), date(2026, 12, 1)
    now = [day(november, 12), day(november, 1, person="p"), day(december, 5)]
    frozen = closed(day(november, 10))
    assert [(each.day, each.requests) for each in usage_days(now, [frozen])] == [
        (november, 10),
        (december, 5),
    ]
    (month,) = closed_months(now, [frozen])
    assert (month.totals.requests, month.adjustment.requests) == (10, 3)
    assert month.adjustment.cost_usd == 3


def test_evaluations_shadows_and_judges_are_in_no_usage_and_have_days_of_their_own():
    november = date(2026, 11, 5)
    usage = day(november, 10)
    evaluation = usage._replace(key=usage.key._replace(team="", purpose="evaluation"))
    shadow = usage._replace(key=usage.key._replace(team="", endpoint="next", purpose="shadow"))
    judge = usage._replace(key=usage.key._replace(team="", endpoint="judge", purpose="judge"))
    apart = evaluation, shadow, judge
    for days, months in (([usage, *apart], []), ([], [closed(usage, *apart)])):
        assert [each.team for each in usage_days(days, months)] == ["motor"]
        assert [each.team for each in evaluation_days(days, months)] == [""]
        assert [each.endpoint for each in shadow_days(days, months)] == ["next"]
        assert [each.endpoint for each in judge_days(days, months)] == ["judge"]
    (month,) = closed_months([usage, evaluation], [closed(usage, evaluation)])
    assert (month.totals.requests, month.adjustment.requests) == (10, 0)


def test_an_adjustment_may_be_negative():
    (month,) = closed_months([], [closed(day(date(2026, 11, 5), 10))])
    assert month.adjustment.requests == -10


@pytest.mark.parametrize(
    ("text", "month"),
    [("2026-11", date(2026, 11, 1)), ("2026-13", None), ("2026-11-02", None), ("november", None)],
)
def test_a_month_is_a_year_and_a_number(text: str, month: date | None):
    assert month_of(text) == month
