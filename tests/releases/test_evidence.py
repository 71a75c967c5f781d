"""The loss of a candidate: compared within days, with the variance of people, and with what they had before."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus.releases import Day, Evidence


def day(in_use: list[tuple[float, float]], candidate: list[tuple[float, float]]) -> Day:
    """Count and sum of each person."""
    columns = [
        np.array(column, dtype=float) for pairs in (in_use, candidate) for column in zip(*pairs, strict=True)
    ]
    return Day(*columns)


def test_the_difference_is_that_of_the_means_of_one_day():
    evidence = Evidence("share", 4)
    evidence.add(day([(10, 9), (10, 8), (0, 0), (0, 0)], [(0, 0), (0, 0), (10, 7), (10, 6)]))
    assert evidence.difference == pytest.approx(0.65 - 0.85)
    assert (evidence.people, evidence.answers) == (2, 20)


def test_a_bad_day_for_both_versions_is_no_loss_of_the_candidate():
    evidence = Evidence("share", 2)
    evidence.add(day([(1000, 900), (0, 0)], [(0, 0), (10, 9)]))
    evidence.add(day([(1000, 500), (0, 0)], [(0, 0), (1000, 500)]))
    assert evidence.difference == pytest.approx(0.0)


def test_answers_of_both_versions_to_the_same_person_are_paired():
    people = 40
    paired, apart = Evidence("share", people), Evidence("share", 2 * people)
    rights = [float(10 * (number % 2)) for number in range(people)]
    one = [(10.0, right) for right in rights]
    nothing = [(0.0, 0.0)] * people
    paired.add(day(one, one))
    apart.add(day(one + nothing, nothing + one))
    assert paired.variance < apart.variance / 10


def test_more_answers_of_the_same_people_do_not_prove_much_more():
    few, many = Evidence("share", 40), Evidence("share", 40)
    for evidence, count in ((few, 10), (many, 1000)):
        person = [(float(count), float(count * (number % 2))) for number in range(20)]
        nothing = [(0.0, 0.0)] * 20
        evidence.add(day(person + nothing, nothing + person))
    assert many.variance == pytest.approx(few.variance, rel=0.01)


def test_what_people_had_before_the_release_is_taken_off():
    known, unknown = Evidence("share", 40), Evidence("share", 40)
    person = [(200.0, 200.0 * (number % 2)) for number in range(20)]
    nothing = [(0.0, 0.0)] * 20
    known.add(day(person + person, nothing + nothing))
    for evidence in (known, unknown):
        evidence.add(day(person + nothing, nothing + person))
    assert known.variance < unknown.variance / 15
    assert known.difference == pytest.approx(0.0)


def test_days_after_the_candidates_first_answer_are_not_before_the_release():
    once, again = Evidence("share", 2), Evidence("share", 2)
    mixed = day([(10, 9), (0, 0)], [(0, 0), (10, 9)])
    for evidence in (once, again):
        evidence.add(mixed)
    again.add(day([(100, 0), (100, 0)], [(0, 0), (0, 0)]))
    once.add(mixed)
    again.add(mixed)
    assert again.difference == once.difference


def test_a_ratio_is_the_logarithm_of_the_means():
    evidence = Evidence("ratio", 4)
    evidence.add(day([(1, 100), (1, 300), (0, 0), (0, 0)], [(0, 0), (0, 0), (1, 300), (1, 500)]))
    assert evidence.difference == pytest.approx(math.log(2))


def test_no_failure_at_all_is_no_proof_with_few_answers():
    evidence = Evidence("share", 4)
    evidence.add(day([(10, 0), (10, 0), (0, 0), (0, 0)], [(0, 0), (0, 0), (10, 0), (10, 0)]))
    assert evidence.difference == 0
    assert evidence.variance > 0.001


def test_without_answers_of_both_nothing_is_known():
    evidence = Evidence("share", 2)
    evidence.add(day([(10, 9), (10, 9)], [(0, 0), (0, 0)]))
    assert (evidence.answers, evidence.variance, evidence.difference) == (0, math.inf, 0.0)
