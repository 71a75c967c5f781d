"""Which answers are held: by impact, score, guards, and a draw that nobody can influence."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import DataClass, ReviewRule
from edge.config.review import Impact
from edge.reviews.trigger import demand_of, draw, find_reasons

NEVER = 1.0
"""A draw that no sample rate includes."""
CLASSES: tuple[DataClass, ...] = get_args(DataClass)
IMPACTS: tuple[Impact, ...] = get_args(Impact)


class Score:
    def __init__(self, value: float) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("data_class", "impact", "rule", "score", "hold", "look"),
    [
        ("public", "low", None, None, [], []),
        ("public", "high", None, 1.0, ["impact"], []),
        ("public", "material", ReviewRule(below_confidence=0.8), 0.8, [], []),
        ("public", "material", ReviewRule(below_confidence=0.8), 0.79, ["low-score"], []),
        ("internal", "material", ReviewRule(below_confidence=0.8), None, ["no-score"], []),
        ("internal", "low", ReviewRule(below_confidence=0.8), None, [], []),
        ("internal", "low", ReviewRule(below_confidence=0.8), 0.1, [], []),
        ("internal", "low", ReviewRule(below_confidence=0.8, on_low_score="hold"), 0.1, ["low-score"], []),
        ("internal", "low", ReviewRule(below_confidence=0.8, on_low_score="hold"), None, ["no-score"], []),
        ("confidential", "low", ReviewRule(below_confidence=0.5), None, [], []),
        ("confidential", "low", ReviewRule(below_confidence=0.5), 0.4, [], ["low-score"]),
        ("confidential", "low", ReviewRule(below_confidence=0.5), 0.6, [], []),
        ("restricted", "low", ReviewRule(below_confidence=0.5), math.nan, [], ["low-score"]),
        ("restricted", "material", ReviewRule(below_confidence=0.5), math.nan, ["low-score"], []),
        ("restricted", "high", ReviewRule(below_confidence=0.5), None, ["impact", "no-score"], []),
    ],
)
def test_impact_and_score_decide_whether_an_answer_is_held_or_looked_at_afterwards(
    data_class: DataClass,
    impact: Impact,
    rule: ReviewRule | None,
    score: float | None,
    hold: list[str],
    look: list[str],
):
    given_score = None if score is None else Score(score)
    reasons = find_reasons(demand_of(data_class, impact, rule), given_score, [], NEVER)
    assert (reasons.hold, reasons.look) == (hold, look)


def test_a_guards_verdict_holds_an_answer_that_no_other_rule_holds():
    demand = demand_of("public", "low", None)
    assert find_reasons(demand, None, ["secrets"], NEVER).hold == ["guard:secrets"]


def rules() -> Any:
    part = st.floats(0, 1)
    return st.none() | st.builds(
        ReviewRule,
        below_confidence=st.none() | part,
        sample_rate=part,
        on_low_score=st.sampled_from(["hold", None]),
    )


@given(
    st.sampled_from(CLASSES),
    st.sampled_from(IMPACTS),
    rules(),
    st.none() | st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_a_stream_is_never_delivered_before_what_might_hold_it(
    data_class: DataClass, impact: Impact, rule: ReviewRule | None, score: float | None, drawn: float
):
    demand = demand_of(data_class, impact, rule)
    reasons = find_reasons(demand, None if score is None else Score(score), [], drawn)
    assert demand.may_hold or not reasons.hold
    assert not (demand.holds_low and demand.looks_low)
    bare = find_reasons(demand_of(data_class, impact, None), Score(1.0), [], drawn)
    assert set(bare.why) - {"low-score"} <= set(reasons.why), "a workload's rule takes nothing away"
    if demand.holds_low:
        without = find_reasons(demand, None, [], drawn)
        assert without.hold or not reasons.hold, "a missing score is never better than one"


def test_impact_high_or_material_holds_whatever_the_rule_says():
    rule = ReviewRule(below_confidence=0.5)
    assert find_reasons(demand_of("public", "material", rule), Score(0.1), [], NEVER).hold == ["low-score"]
    assert find_reasons(demand_of("public", "high", rule), Score(1.0), [], NEVER).hold == ["impact"]


def test_a_sampled_answer_is_looked_at_after_its_delivery():
    demand = demand_of("internal", "low", None)
    assert find_reasons(demand, None, [], 0.0099).look == ["sampled"]
    assert find_reasons(demand, None, [], 0.0101).why == []


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
    everything = demand_of("public", "low", ReviewRule(sample_rate=1.0))
    assert find_reasons(everything, None, [], 1 - 2**-53).look == ["sampled"]
