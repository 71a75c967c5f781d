"""How many answers and days a step needs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from isthmus.releases import Traffic, need
from tests.releases.simulated import LARGE, ends

MANY = Traffic(requests=16_000, people=8000, judged=0.2, before=5)


def test_a_simulated_release_needs_about_as_many_answers_as_were_said():
    said = need(MANY, 5)
    assert said.answers is not None
    took = sorted(end.judged for end in ends(LARGE, 40, with_detector=False) if end.outcome == "done")
    nine_in_ten = took[int(0.9 * len(took))]
    assert said.answers / 2 < nine_in_ten < 2 * said.answers


def test_a_larger_share_needs_fewer_days():
    days = [need(MANY, percent).days or math.inf for percent in (5, 10, 25)]
    assert math.inf not in days
    assert days == sorted(days, reverse=True)
    assert days[0] != days[-1]


def test_few_people_show_a_larger_loss_only():
    small = need(Traffic(requests=300, people=80, judged=0.5), 5)
    assert (small.days, small.answers) == (None, None)
    assert 0.1 < small.loss_shown < 1


def test_the_same_people_asked_longer_do_not_show_any_loss():
    busy = need(replace(MANY, requests=1e9, people=500), 5)
    assert busy.days is None


def test_answers_before_the_release_help():
    few = Traffic(requests=6000, people=4000, judged=0.5)
    without, with_them = need(few, 5), need(replace(few, before=60), 5)
    assert with_them.loss_shown < 0.8 * without.loss_shown


@pytest.mark.parametrize("percent", [0, 100])
def test_without_answers_of_both_versions_nothing_can_be_shown(percent: float):
    assert need(MANY, percent).loss_shown == math.inf
    assert need(MANY, percent).days is None


def test_without_judged_answers_nothing_can_be_shown():
    assert need(replace(MANY, judged=0.0), 5).loss_shown == math.inf
