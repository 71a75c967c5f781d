"""The effect of another threshold: equal to what a count of every answer gives."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.calibration.intervals import lower, upper
from isthmus.calibration.threshold_effect import ReviewerCost
from isthmus.contracts.reports.review_calibration import ThresholdEffect
from tests.calibration.review_records import BEGIN, answers, decided, in_use, outcome, renewed

THRESHOLDS = st.floats(0, 1).map(lambda value: round(value, 3))


def effect_of(records: list[dict[str, Any]], before: float, then: float, **more: Any) -> ThresholdEffect:
    effect = renewed(records, in_use(before), below=then, **more).report.effect
    assert effect is not None
    return effect


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), before=THRESHOLDS, then=THRESHOLDS)
def test_held_answers_and_errors_equal_a_count_of_every_answer(seed: int, before: float, then: float):
    records = list(answers(seed, 300, sampled=1))
    effect = effect_of(records, before, then)
    scores = {
        record["id"]: record["confidence"]["score"] for record in records if record["kind"] == "outcome"
    }
    wrong = {record["id"] for record in records if record.get("reason") == "wrong"}
    newer = list(scores)[len(scores) // 2 :]
    held = {threshold: {name for name in scores if scores[name] < threshold} for threshold in (before, then)}
    assert (effect.in_use.held, effect.new.held) == (len(held[before]), len(held[then]))
    assert effect.more_held == len(held[then]) - len(held[before])
    assert effect.more_held_per_1000 == pytest.approx(effect.more_held / 0.3)
    assert effect.more_held_per_month == pytest.approx(effect.more_held)
    for estimate, group in (
        (effect.errors_caught, held[then] - held[before]),
        (effect.errors_let_through, held[before] - held[then]),
        (effect.new.errors_passing, scores.keys() - held[then]),
    ):
        judged = [name for name in newer if name in group]
        bad = len(wrong.intersection(judged))
        if not group:
            assert estimate is not None
            assert (estimate.value, estimate.judged) == (0, 0)
        elif not judged:
            assert estimate is None
        else:
            assert estimate is not None
            assert estimate.value == pytest.approx(len(group) * bad / len(judged))
            assert estimate.low == pytest.approx(len(group) * lower(bad, len(judged), 0.025))
            assert estimate.high == pytest.approx(len(group) * upper(bad, len(judged), 0.025))


def test_a_higher_threshold_never_holds_fewer_answers():
    records = list(answers(5, 400))
    counts = [effect_of(records, 0.5, then).new.held for then in (0, 0.2, 0.5, 0.8, 1)]
    assert all(first <= second for first, second in pairwise(counts))


def test_an_answer_that_a_guard_or_the_impact_holds_is_no_threshold_s_matter():
    whys = [("impact",), ("guard:pii", "sampled"), ("low-score",), (), ("sampled",)]
    records = [outcome(f"{n:032x}", BEGIN, math.log(0.55), why) for n, why in enumerate(whys)]
    records.append(outcome("f" * 32, BEGIN, None, ("no-score",)))
    effect = effect_of(records, 0.5, 0.6)
    assert (effect.answers, effect.more_held, effect.held_for_other_reasons) == (3, 3, 2)
    assert effect.without_score == 1


def test_errors_are_not_known_from_fewer_than_100_judgements():
    effect = effect_of(list(answers(1, 198, sampled=1)), 0.3, 0.8)
    assert effect.more_held > 0
    assert effect.errors_caught is None
    assert effect.new.errors_passing is None
    known = effect_of(list(answers(1, 200, sampled=1)), 0.3, 0.8)
    assert known.errors_caught is not None


def test_reviewers_time_is_the_median_on_record_or_the_users_estimate():
    records = list(answers(1, 400))
    for number in range(20):
        name = f"{number:032x}"
        records += [outcome(name, BEGIN, -0.1, ("sampled",)), *decided(name, BEGIN, True, minutes=4)]
    some = [record for record in records if record["id"].startswith("0" * 20)]
    effect = effect_of(some, 0.5, 0.95, cost=ReviewerCost(None, 60))
    assert effect.reviewer is not None
    assert (effect.reviewer.minutes_per_answer, effect.reviewer.measured_on) == (4, 20)
    assert effect.reviewer.hours_per_month == pytest.approx(20 * 4 / 60)
    assert effect.reviewer.usd_per_month == pytest.approx(80)
    stated = effect_of(some, 0.5, 0.95, cost=ReviewerCost(6)).reviewer
    assert stated is not None
    assert (stated.minutes_per_answer, stated.measured_on, stated.usd_per_month) == (6, None, None)


def test_too_few_timed_decisions_give_no_time():
    name = "0" * 32
    records = [
        outcome(name, BEGIN, -0.1, ("sampled",)),
        *decided(name, BEGIN + timedelta(hours=1), True),
    ]
    assert effect_of(records, 0.5, 0.95).reviewer is None
