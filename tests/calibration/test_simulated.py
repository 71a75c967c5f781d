"""What a calibration promises, held against answers whose rate of error is known, over many seeds."""

from __future__ import annotations

from functools import cache

import pytest

from isthmus.calibration import calibration
from isthmus.core.errors import Refused
from tests.calibration.simulating import AS_OF, FOLLOWED, RATE, Outcome, judged, outcomes

SEEDS, COUNT = 12, 1500


@cache
def found(shape: str) -> tuple[Outcome, ...]:
    return tuple(outcomes(shape, COUNT, SEEDS))


@pytest.mark.parametrize("shape", FOLLOWED)
def test_scores_lie_within_five_hundredths_of_the_truth(shape: str):
    errors = [each.true_error for each in found(shape)]
    assert max(errors) <= calibration.MOST_CALIBRATION_ERROR
    assert sum(errors) / SEEDS <= 0.025


def test_thresholds_keep_the_rate_that_was_asked_for():
    kept = [(each.wrong, RATE[shape]) for shape in RATE for each in found(shape) if each.wrong is not None]
    assert len(kept) >= 2 * SEEDS, "nothing was looked at"
    broken = [pair for pair in kept if pair[0] > pair[1]]
    # 95 % confidence allows 1 in 20; Clopper and Pearson's bounds, all of them together, err on the safe side.
    assert len(broken) <= len(kept) / 20, broken


def test_the_interval_holds_the_true_error():
    told = [each for shape in RATE for each in found(shape)]
    held = sum(each.told[1] <= each.true_error <= each.told[2] for each in told)
    assert held >= 0.95 * len(told)
    assert sum(each.told[2] < 0.12 for each in told) > len(told) / 2, (
        "an interval that holds everything says nothing"
    )


def test_what_no_curve_follows_is_mostly_refused_and_what_one_follows_is_not():
    assert sum(each.refused for each in found("two kinds")) >= SEEDS * 2 / 3
    assert sum(each.refused for shape in FOLLOWED for each in found(shape)) <= SEEDS / 4


@pytest.mark.parametrize("seed", range(3))
def test_a_measure_that_tells_nothing_gives_no_useful_score(seed: int):
    drawn = judged(seed, COUNT, "honest", rate=0.8)
    try:
        _, said = calibration.calibrate(drawn, "drawn", 0.1, AS_OF)
    except Refused:
        return
    assert said.chosen is None, "a threshold was promised on nothing"
    assert max(each.score for each in said.bins) - min(each.score for each in said.bins) < 0.15
