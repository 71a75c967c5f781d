"""Which answers are held: by impact, score, guards, and a draw that nobody can influence."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import DataClass, ReviewRule
from edge.config.review import Impact
from edge.reviews.trigger import Demand, demand_of, draw, find_hold_reasons

NEVER = 1.0
"""A draw that no sample rate includes."""
CLASSES: tuple[DataClass, ...] = get_args(DataClass)
IMPACTS: tuple[Impact, ...] = get_args(Impact)


class Score:
    def __init__(self, value: float) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("data_class", "impact", "rule", "score", "expected"),
    [
        ("public", "low", None, None, []),
        ("public", "high", None, 1.0, ["impact"]),
        ("public", "material", ReviewRule(below_confidence=0.8), 0.8, []),
        ("public", "material", ReviewRule(below_confidence=0.8), 0.79, ["low-score"]),
        ("internal", "material", ReviewRule(below_confidence=0.8), None, ["no-score"]),
        ("internal", "low", ReviewRule(below_confidence=0.8), None, ["no-score"]),
        ("confidential", "low", ReviewRule(below_confidence=0.5), None, ["no-score"]),
        ("confidential", "low", ReviewRule(below_confidence=0.5), 0.4, ["low-score"]),
        ("confidential", "low", ReviewRule(below_confidence=0.5), 0.6, []),
        ("confidential", "low", None, 0.99, ["low-score"]),
        ("restricted", "low", ReviewRule(below_confidence=0.5), math.nan, ["low-score"]),
        ("restricted", "high", ReviewRule(below_confidence=0.5), None, ["impact", "no-score"]),
    ],
)
def test_impact_and_score_decide_whether_an_answer_is_held(
    data_class: DataClass, impact: Impact, rule: ReviewRule | None, score: float | None, expected: list[str]
):
    given_score = None if score is None else Score(score)
    assert find_hold_reasons(demand_of(data_class, impact, rule), given_score, [], NEVER) == expected


def test_a_guards_verdict_holds_an_answer_that_no_other_rule_holds():
    demand = demand_of("public", "low", None)
    assert find_hold_reasons(demand, None, ["secrets"], NEVER) == ["guard:secrets"]


def rules() -> Any:
    part = st.floats(0, 1)
    return st.none() | st.builds(ReviewRule, below_confidence=st.none() | part, sample_rate=part)


@given(
    st.sampled_from(CLASSES),
    st.sampled_from(IMPACTS),
    rules(),
    st.none() | st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_a_workload_whose_answers_are_never_held_gets_no_hold_reason(
    data_class: DataClass, impact: Impact, rule: ReviewRule | None, score: float | None, drawn: float
):
    demand = demand_of(data_class, impact, rule)
    reasons = find_hold_reasons(demand, None if score is None else Score(score), [], drawn)
    assert demand.any or not reasons, "a stream would have been let through that should be held"
    assert find_hold_reasons(demand, None, [], drawn) or not reasons, (
        "a missing score is never better than one"
    )
    bare = find_hold_reasons(demand_of(data_class, impact, None), Score(1.0), [], drawn)
    assert {"impact", "sampled"} & set(bare) <= set(reasons), "a workload's rule takes nothing away"


def test_the_draw_is_uniform_and_depends_only_on_the_key():
    key, ids = b"k" * 32, [f"{number:032x}" for number in range(20_000)]
    drawn = [draw(key, answer_id) for answer_id in ids]
    assert drawn == [draw(key, answer_id) for answer_id in ids]
    assert all(0 <= share < 1 for share in drawn)
    assert sum(share < 0.01 for share in drawn) / len(drawn) == pytest.approx(0.01, abs=0.003)
    other_shares = [draw(b"l" * 32, answer_id) for answer_id in ids]
    both_low = sum(a < 0.1 and b < 0.1 for a, b in zip(drawn, other_shares, strict=True))
    assert both_low / len(ids) == pytest.approx(0.01, abs=0.003), "two keys must draw differently"


def test_one_percent_of_internal_answers_are_drawn_whatever_the_workload_states():
    assert demand_of("internal", "low", ReviewRule(sample_rate=0)).sample_rate == 0.01
    assert demand_of("internal", "low", ReviewRule(sample_rate=0.2)).sample_rate == 0.2
    assert find_hold_reasons(Demand("low", False, None, 0.01), None, [], 0.0099) == ["sampled"]
    assert find_hold_reasons(Demand("low", False, None, 1.0), None, [], 1 - 2**-53) == ["sampled"]
