"""Bounds, curves, and when there is no calibration."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.intervals import wilson
from isthmus.calibration import beta, calibration
from isthmus.calibration.intervals import tail, upper
from isthmus.calibration.judged_answers import Answer
from isthmus.core.errors import InputError, Refused
from tests.calibration.simulating import AS_OF, judged


@pytest.mark.parametrize(
    ("wrong", "total", "doubt", "bound"),
    [
        (0, 59, 0.05, 0.04951),
        (0, 10, 0.05, 0.25887),
        (1, 10, 0.05, 0.39416),
        (5, 100, 0.05, 0.10225),
        (3, 3, 0.05, 1),
    ],
)
def test_upper_bounds_are_clopper_and_pearsons(wrong: int, total: int, doubt: float, bound: float):
    assert upper(wrong, total, doubt) == pytest.approx(bound, abs=1e-4)


@given(st.integers(1, 60), st.data())
def test_the_binomial_tail_is_the_sum_of_its_terms(count: int, data: st.DataObject):
    wrong, rate = data.draw(st.integers(0, count)), data.draw(st.floats(0.001, 0.999))
    terms = [math.comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in range(wrong + 1)]
    assert tail(wrong, count, rate) == pytest.approx(math.fsum(terms), abs=1e-9)


def test_intervals_of_shares_are_wilsons():
    low, high = wilson(5, 10)
    assert (low, high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == pytest.approx(1)


@given(st.lists(st.tuples(st.floats(-20, 0), st.booleans()), min_size=30, max_size=60))
def test_a_higher_measure_never_has_a_lower_score(pairs: list[tuple[float, bool]]):
    curve = beta.fit(*zip(*pairs, strict=True))
    scores = [curve.score(pair) for pair in sorted(measure for measure, _ in pairs)]
    assert scores == sorted(scores)
    assert all(0 <= score <= 1 for score in scores)


def test_judgements_that_a_threshold_parts_without_a_mistake_give_a_curve_all_the_same():
    measures = [math.log(index / 101) for index in range(1, 101)]
    curve = beta.fit(measures, [measure > math.log(0.5) for measure in measures])
    assert curve.score(math.log(0.9)) > 0.9 > 0.1 > curve.score(math.log(0.1))


def test_the_same_answers_give_the_same_calibration_and_another_digest_other_halves():
    drawn = judged(1, 1500, "honest")
    first, again = (calibration.calibrate(drawn, "x", 0.2, AS_OF) for _ in range(2))
    assert first == again
    other_digest, _ = calibration.calibrate(replace(drawn, sha256="0" * 64), "x", 0.2, AS_OF)
    assert other_digest.curve != first[0].curve


def test_scores_and_thresholds_are_of_answers_that_the_curve_has_not_seen():
    fitted, reliability = calibration.calibrate(judged(1, 1501, "honest"), "x", 0.25, AS_OF)
    assert (fitted.answers, fitted.kept_aside) == (1501, 751)
    assert sum(bin.count for bin in reliability.bins) == reliability.judgements == 751
    assert reliability.chosen is not None
    assert reliability.candidates[0].accepted == 751, "the lowest candidate lets everything through"
    assert fitted.threshold is not None
    assert fitted.threshold.error_at_most <= 0.25 < reliability.candidates[0].error_at_most


def test_a_structured_answer_passes_by_its_lowest_field_and_is_wrong_if_any_is():
    random, answers = Random(1), []
    for _ in range(800):
        doubtful = random.random()
        answers.append(
            Answer((math.log(0.999), math.log(max(doubtful, 1e-3))), (True, random.random() < doubtful))
        )
    drawn = replace(judged(1, 1500, "honest"), answers=answers)
    _, reliability = calibration.calibrate(drawn, "x", None, AS_OF)
    assert reliability.judgements == 2 * reliability.kept_aside == 800
    assert reliability.candidates[0].accepted == 400, "answers are let through, not fields"
    wrong = reliability.candidates[0].wrong / 400
    assert 0.4 < wrong < 0.6, "half of the answers have a wrong field"


@pytest.mark.parametrize(("count", "fields"), [(1499, 1), (199, 8)])
def test_too_few_judgements_are_wrong_input(count: int, fields: int):
    drawn = judged(1, count, "honest")
    drawn = replace(
        drawn, answers=[Answer(answer.measures * fields, answer.rights * fields) for answer in drawn.answers]
    )
    with pytest.raises(InputError, match=r"are too few: .* at least 1,500 judgements of 200 answers"):
        calibration.calibrate(drawn, "answers.jsonl", 0.1, AS_OF)


@pytest.mark.parametrize(("rate", "judgement"), [(1, "wrong"), (0, "right"), (0.995, "wrong")])
def test_judgements_of_one_side_are_wrong_input(rate: float, judgement: str):
    with pytest.raises(InputError, match=f"only \\d+ say {judgement}: 10 of each are the least"):
        calibration.calibrate(judged(1, 1500, "honest", rate=rate), "answers.jsonl", 0.1, AS_OF)


def test_a_measure_by_which_surer_answers_are_more_often_wrong_is_no():
    drawn = judged(1, 2000, "honest")
    turned = [Answer(answer.measures, (not answer.right,)) for answer in drawn.answers]
    with pytest.raises(Refused, match="does not tell right answers from wrong ones"):
        calibration.calibrate(replace(drawn, answers=turned), "x", 0.1, AS_OF)


def test_without_a_threshold_the_calibration_is_refused_with_the_best_try():
    drawn = judged(1, 1500, "honest")
    _, reliability = calibration.calibrate(drawn, "answers.jsonl", 0.001, AS_OF)
    refusal = calibration.refusal(reliability, "answers.jsonl")
    assert isinstance(refusal, Refused)
    assert "no threshold keeps wrong answers under 0.001 with 95% confidence. The best" in str(refusal)
    _, reliability = calibration.calibrate(drawn, "answers.jsonl", None, AS_OF)
    assert calibration.refusal(reliability, "answers.jsonl") is None
    low = replace(reliability, error=(0.06, 0.02, 0.1))
    assert "and at most 0.05 is allowed" in str(calibration.refusal(low, "answers.jsonl"))
