"""What a calibration promises, held against answers whose rate of error is known, over many seeds."""

from __future__ import annotations

from functools import cache

import pytest

from isthmus.calibration import calibration
from isthmus.core.errors import Refused
from tests.calibration.simulating import AS_OF, FOLLOWED, RATE, Outcome, judged, outcomes

SEEDS, COUNT = 12, 1500


@cache
def outcomes_of(shape: str) -> tuple[Outcome, ...]:
    return tuple(outcomes(shape, COUNT, SEEDS))


@pytest.mark.parametrize("shape", FOLLOWED)
def test_scores_lie_within_five_hundredths_of_the_truth(shape: str):
    errors = [outcome.true_error for outcome in outcomes_of(shape)]
    assert max(errors) <= calibration.MOST_CALIBRATION_ERROR
    assert sum(errors) / SEEDS <= 0.025


def test_thresholds_keep_the_rate_that_was_asked_for():
    kept_rates = [
        (outcome.wrong, RATE[shape])
        for shape in RATE
        for outcome in outcomes_of(shape)
        if outcome.wrong is not None
    ]
    assert len(kept_rates) >= 2 * SEEDS, "nothing was looked at"
    broken = [pair for pair in kept_rates if pair[0] > pair[1]]
    # 95 % confidence allows 1 in 20; Clopper and Pearson's bounds, all of them together, err on the safe side.
    assert len(broken) <= len(kept_rates) / 20, broken


def test_the_interval_holds_the_true_error():
    all_outcomes = [outcome for shape in RATE for outcome in outcomes_of(shape)]
    covered = sum(outcome.told[1] <= outcome.true_error <= outcome.told[2] for outcome in all_outcomes)
    assert covered >= 0.95 * len(all_outcomes)
    assert sum(outcome.told[2] < 0.12 for outcome in all_outcomes) > len(all_outcomes) / 2, (
        "an interval that holds everything says nothing"
    )


def test_data_that_fit_no_curve_are_mostly_refused():
    assert sum(outcome.refused for outcome in outcomes_of("two kinds")) >= SEEDS * 2 / 3
    assert sum(outcome.refused for shape in FOLLOWED for outcome in outcomes_of(shape)) <= SEEDS / 4


@pytest.mark.parametrize("seed", range(3))
def test_an_uninformative_measure_gives_no_useful_score(seed: int):
    drawn = judged(seed, COUNT, "honest", rate=0.8)
    try:
        _, reliability = calibration.calibrate(drawn, "drawn", 0.1, AS_OF)
    except Refused:
        return
    assert reliability.chosen is None, "a threshold was promised on nothing"
    assert max(bin.score for bin in reliability.bins) - min(bin.score for bin in reliability.bins) < 0.15
