"""When a canary is stopped: soon if it fails, and almost never if it does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.canary.judge import IN_A_ROW, Judge


def stopped_after(
    canary: float, in_use: float, requests: int, share: float, seed: int, known: int = 100
) -> int | None:
    """Requests of the canary until it is stopped, or None. `canary`, `in_use`: shares that fail. `known`: requests of
    the version in use before the first of the canary."""
    draw, judge = random.Random(seed), Judge()
    for _ in range(known):
        judge.note_in_use(failed=draw.random() < in_use)
    for _ in range(requests):
        if draw.random() >= share:
            judge.note_in_use(failed=draw.random() < in_use)
        elif judge.note_canary(failed=draw.random() < canary):
            return judge.answered
    return None


@pytest.mark.parametrize("known", [0, 5, 100])
@pytest.mark.parametrize("in_use", [0.0, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_canary_that_fails_every_request_is_stopped_within_five(known: int, in_use: float, share: float):
    for seed in range(20):
        after = stopped_after(1.0, in_use, 2000, share, seed, known)
        assert after is not None
        assert after <= 5


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.01, 0.05])
def test_an_equal_canary_is_not_stopped(rate: float):
    stopped = [seed for seed in range(400) if stopped_after(rate, rate, 1500, 0.25, seed) is not None]
    assert len(stopped) <= 2


@pytest.mark.parametrize(("canary", "in_use", "most"), [(0.5, 0.01, 20), (0.2, 0.01, 60), (0.1, 0.0, 120)])
def test_the_more_often_it_fails_the_sooner_it_is_stopped(canary: float, in_use: float, most: int):
    after = sorted(stopped_after(canary, in_use, 20_000, 0.25, seed) or 10_000 for seed in range(60))
    assert after[len(after) // 2] <= most
    assert after[-1] < 1000


@pytest.mark.parametrize("well", [100, 3000])
def test_long_success_does_not_hide_a_sudden_failure(well: int):
    judge = Judge()
    for _ in range(well):
        judge.note_in_use(failed=False)
        assert not judge.note_canary(failed=False)
    assert [judge.note_canary(failed=True) for _ in range(5)].index(True) <= 4


def test_when_everything_fails_the_canary_is_not_to_blame():
    judge = Judge()
    for _ in range(30):
        judge.note_in_use(failed=True)
    assert not any(judge.note_canary(failed=True) for _ in range(3 * IN_A_ROW))


@given(st.lists(st.booleans(), max_size=200))
def test_a_canary_without_failures_is_never_stopped(in_use: list[bool]):
    judge = Judge()
    for failed in in_use:
        judge.note_in_use(failed=failed)
        assert not judge.note_canary(failed=False)
