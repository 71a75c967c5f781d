"""Figures of value: by hand, with ranges, and what each assumption does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.intervals import wilson
from isthmus.value import measures
from isthmus.value.assumptions import Accepted, Assumption, Triangle
from isthmus.value.measures import Facts

FACTS = Facts(monthly_cost_usd=2000, active_people=60)


def assumed(**figures: Any) -> dict[str, Assumption]:
    """The example of docs/value.md; a figure is a number, or low, likely and high."""
    stated = {
        "answers_per_month": 10_000,
        "acceptance": Accepted(160, 200),
        "units_per_answer": 0.5,
        "baseline_minutes": 12,
        "assisted_minutes": 4,
        "usd_per_hour": 60,
        "one_time_usd": 90_000,
        "people": 150,
        **figures,
    }
    return {
        name: Assumption(name, False, _distribution(figure), "source", "2026-11-01")
        for name, figure in stated.items()
        if figure is not None
    }


def _distribution(figure: Any) -> Any:
    if isinstance(figure, (int, float)):
        return Triangle(figure, figure, figure)
    return Triangle(*figure) if isinstance(figure, tuple) else figure


def test_the_example_of_the_docs_comes_out_as_by_hand():
    found = measures.ranges(assumed(), FACTS)
    points = {name: one.point for name, one in found.items()}
    assert points == {
        "acceptance": 0.8,
        "adoption": 0.4,
        "cost_per_accepted_answer_usd": 0.25,
        "hours_saved_per_month": pytest.approx(466.667),
        "net_benefit_usd_per_month": pytest.approx(26_000),
        "first_year_return_pct": pytest.approx(194.737),
        "payback_months": pytest.approx(3.46154),
    }


def test_a_figure_from_figures_without_ranges_has_none():
    found = measures.ranges(assumed(acceptance=0.8), FACTS)
    assert all(one.low == one.point == one.high for one in found.values())


def test_the_range_of_the_accepted_share_is_wilson_s_interval():
    accepted = Accepted(160, 200)
    ends = accepted.quantiles(np.array([0.025, 0.5, 0.975]))
    assert (ends[0], ends[2]) == pytest.approx(wilson(160, 200), abs=1e-4)
    assert ends[1] == pytest.approx(0.8, abs=1e-6)


def test_quantiles_of_a_triangle_are_those_of_its_corners():
    # Half of the area of the triangle (0, 1, 4) lies below 4 - sqrt(6).
    found = Triangle(0, 1, 4).quantiles(np.array([0.0, 0.25, 0.5, 1.0]))
    assert found == pytest.approx([0, 1, 4 - 6**0.5, 4])


def test_savings_that_are_below_the_cost_never_pay_back():
    found = measures.ranges(assumed(baseline_minutes=5), FACTS)["payback_months"]
    assert found.point is None
    assert found.high is None


def test_without_a_name_of_people_or_a_project_s_cost_these_figures_are_not_known():
    found = measures.ranges(assumed(one_time_usd=None), Facts(2000, None))
    assert "adoption" not in found
    assert "payback_months" not in found
    assert "first_year_return_pct" in found


def test_without_judgements_nothing_that_needs_them_is_known():
    assert set(measures.ranges(assumed(acceptance=None), FACTS)) == {"adoption"}
    assert measures.tornado(assumed(acceptance=None), FACTS) == []


def test_the_tornado_begins_with_the_assumption_that_matters_most():
    bars = measures.tornado(
        assumed(baseline_minutes=(8, 12, 20), assisted_minutes=(3.9, 4, 4.1), usd_per_hour=(55, 60, 65)),
        FACTS,
    )
    assert bars[0].assumption == "baseline_minutes"
    widths = [abs(bar.net_at_high - bar.net_at_low) for bar in bars]
    assert widths == sorted(widths, reverse=True)
    (hour,) = [bar for bar in bars if bar.assumption == "usd_per_hour"]
    # The 10th percentile of (55, 60, 65) is 55 + sqrt(0.1 x 10 x 5); 466.667 hours less 2,000 USD.
    assert hour.net_at_low == pytest.approx(466.6667 * (55 + 5**0.5) - 2000, abs=0.1)


def test_the_worst_net_benefit_has_every_assumption_at_its_bad_end_at_once():
    worst = measures.net_at_worst(
        assumed(
            acceptance=0.8,
            baseline_minutes=(8, 12, 20),
            assisted_minutes=(3, 4, 5),
            usd_per_hour=(55, 60, 65),
        ),
        FACTS,
    )
    # 10,000 answers x 0.5 x (0.8 x 8 - 5) minutes are 116.667 hours, at 55 USD; less 2,000 USD.
    assert worst == pytest.approx(116.6667 * 55 - 2000, abs=0.1)
    # Where an answer costs more time than it saves, the dearest hour is the worst.
    lost = assumed(acceptance=0.8, baseline_minutes=(4, 12, 20), usd_per_hour=(55, 60, 65))
    assert measures.net_at_worst(lost, FACTS) == pytest.approx(
        10_000 * 0.5 * (3.2 - 4) / 60 * 65 - 2000, abs=0.1
    )
    assert measures.net_at_worst(assumed(acceptance=None), FACTS) is None


SPREAD = st.tuples(st.floats(0, 5), st.floats(5, 10), st.floats(10, 30))
MINUTES = st.tuples(st.floats(5, 15), st.floats(15, 30), st.floats(30, 60))


def end(value: float | None) -> float:
    return float("inf") if value is None else value


@given(MINUTES, SPREAD, st.integers(1, 300), st.floats(0, 20))
def test_more_minutes_saved_never_lower_the_return_and_never_lengthen_the_payback(
    minutes, spread, right, more
):
    accepted = Accepted(right, 300)
    before = measures.ranges(
        assumed(baseline_minutes=minutes, assisted_minutes=spread, acceptance=accepted), FACTS
    )
    longer = tuple(end_ + more for end_ in minutes)
    after = measures.ranges(
        assumed(baseline_minutes=longer, assisted_minutes=spread, acceptance=accepted), FACTS
    )
    for name in ("first_year_return_pct", "net_benefit_usd_per_month", "hours_saved_per_month"):
        for bound in ("low", "point", "high"):
            assert end(getattr(after[name], bound)) >= end(getattr(before[name], bound))
    for bound in ("low", "point", "high"):
        assert end(getattr(after["payback_months"], bound)) <= end(getattr(before["payback_months"], bound))


@given(MINUTES, SPREAD, st.tuples(st.integers(0, 300), st.just(300)), st.integers(0, 400))
def test_a_range_contains_its_figure(minutes, spread, counts, active):
    found = measures.ranges(
        assumed(baseline_minutes=minutes, assisted_minutes=spread, acceptance=Accepted(*counts)),
        Facts(2000, active),
    )
    for one in found.values():
        assert end(one.low) <= end(one.point) <= end(one.high)
    assert 0 <= end(found["adoption"].low) <= end(found["adoption"].high) <= 1
