"""Intervals hold the truth as often as they say, and the tests of two versions are the published ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.evaluation.statistics import cases_to_show, compare, mcnemar, mean_score, wilson

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_wilsons_interval_is_the_published_one():
    # Newcombe 1998 (Statistics in Medicine 17, 857), table I: 81 of 263 and 15 of 148.
    assert [round(bound, 4) for bound in (wilson(81, 263).low, wilson(81, 263).high)] == [0.2553, 0.3662]
    assert [round(bound, 4) for bound in (wilson(15, 148).low, wilson(15, 148).high)] == [0.0624, 0.1605]
    assert wilson(0, 20).low == 0
    assert wilson(20, 20).high == 1


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (6, 16, 0.0525), (10, 10, 1.0)]
)
def test_mcnemars_test_is_the_exact_binomial(better: int, worse: int, p: float):
    assert mcnemar(better, worse) == pytest.approx(p, abs=5e-4)
    assert mcnemar(worse, better) == mcnemar(better, worse)


@given(SCORES)
def test_an_interval_holds_its_mean_and_stays_within_0_and_1(scores: list[float]):
    found = mean_score(scores, names(len(scores)))
    assert found.value == pytest.approx(float(np.mean(scores)))
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.low < found.high, "a few cases never prove a score"


@given(SCORES, st.randoms())
def test_the_same_scores_in_another_order_compare_alike(scores: list[float], draw: object):
    del draw
    other = scores[::-1]
    found = compare(scores, other, names(len(scores)))
    assert found.difference.value == pytest.approx(0, abs=1e-9)
    assert found.difference.low <= 0 <= found.difference.high
    assert found.better == found.worse


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("cases", [40, 200])
def test_the_interval_of_a_score_holds_the_truth_in_93_percent_or_more(truth: float, cases: int):
    draw = np.random.default_rng(1)
    held = 0
    for right in draw.binomial(cases, truth, size=2000):
        found = wilson(int(right), cases)
        held += found.low <= truth <= found.high
    assert held / 2000 >= 0.93


def test_the_interval_of_a_difference_holds_the_truth_in_93_percent_or_more():
    draw, held = np.random.default_rng(2), 0
    for _ in range(600):
        old = draw.random(200) < 0.87
        new = np.where(draw.random(200) < 0.1, draw.random(200) < 0.9, old)
        truth = 0.1 * (0.9 - 0.87)
        found = compare(list(old.astype(float)), list(new.astype(float)), names(200))
        held += found.difference.low <= truth <= found.difference.high
    assert held / 600 >= 0.93


def test_cases_of_one_document_count_as_one_observation():
    scores = [1.0, 0.0] * 20
    apart = mean_score(scores, names(40))
    together = mean_score([1.0] * 20 + [0.0] * 20, [str(number // 10) for number in range(40)])
    assert together.value == apart.value
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_a_difference_that_every_case_shares_is_not_certain():
    found = compare([0.5] * 6, [0.75] * 6, names(6))
    assert found.difference.low < 0 < 0.25 < found.difference.high
    assert found.p is None


@pytest.mark.parametrize("cases", [6, 8, 12, 30, 100])
def test_the_intervals_of_shares_hold_the_truth_and_few_cases_pass_no_worse_candidate(cases: int):
    draw, passed, held, scores_held = np.random.default_rng(3), 0, 0, 0
    for _ in range(400):
        luck = draw.random(cases)
        changes = np.where(luck < 0.12, -1.0, np.where(luck < 0.32, 0.25, 0.0))  # 0.07 worse on average
        old = np.where(changes < 0, 1.0, 0.5)
        difference = compare(list(old), list(old + changes), names(cases)).difference
        passed += difference.low >= -0.03
        held += difference.low <= -0.07 <= difference.high
        score = mean_score(list(draw.beta(8, 1, cases)), names(cases))
        scores_held += score.low <= 8 / 9 <= score.high
    assert passed / 400 <= 0.025
    assert min(held, scores_held) / 400 >= 0.93


def test_cases_in_groups_have_no_exact_test():
    found = compare([1.0] * 6, [0.0] * 6, ["one document"] * 6)
    assert found.p is None
    assert found.difference.high > 0


def test_more_cases_are_needed_for_a_smaller_loss():
    assert cases_to_show(0.03, 0.12) == 1047
    assert cases_to_show(0.03, 0.12, power=0.9) == 1401
    assert cases_to_show(0.01, 0.12) > 8 * cases_to_show(0.03, 0.12)
    assert cases_to_show(0.03, 0) == 125, "equal answers prove little, too"
    assert compare([1.0] * 125, [1.0] * 125, names(125)).difference.low >= -0.03
