"""Calibrations of models whose errors are known; run as a module it prints what docs/confidence.md says of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from random import Random

from edge.confidence.measure import MEASURE
from isthmus.calibration import calibration
from isthmus.calibration.judged_answers import Answer, Judged, Of
from scripts.judged_answers import SHAPES, measure

FOLLOWED = ("honest", "sure of itself", "too modest")
"""Shapes of error that the curve can follow; `never below` it follows nearly, `two kinds` not at all."""
RATE = {"honest": 0.1, "sure of itself": 0.2, "too modest": 0.1, "never below": 0.15, "two kinds": 0.1}
"""Of wrong answers, such that some thresholds keep it and some do not."""
AS_OF = date(2026, 11, 26)


@dataclass(frozen=True)
class Outcome:
    """One calibration beside what is true."""

    true_error: float
    told: tuple[float, float, float]
    refused: bool
    """For its calibration error."""
    wrong: float | None
    """The true share of wrong answers above the threshold; None where none was found."""


def judged(seed: int, count: int, shape: str, rate: float | None = None) -> Judged:
    """Answers with measures alone; `rate` in place of the shape: all are right in so many cases."""
    random, truth = Random(f"{seed} {count} {shape}"), SHAPES[shape]
    answers = []
    for _ in range(count):
        s = measure(random)
        answers.append(Answer((math.log(s),), (random.random() < (truth(s) if rate is None else rate),)))
    return Judged(Of("m", None, "d", "text", MEASURE), answers, f"{random.getrandbits(256):064x}")


@cache
def people(count: int = 2000) -> tuple[float, ...]:
    """Measures of all answers that will ever come: the truth is told over them."""
    random = Random(1)
    return tuple(measure(random) for _ in range(count))


def outcomes(shape: str, count: int, seeds: int) -> Iterator[Outcome]:
    truth, rate = SHAPES[shape], RATE[shape]
    for seed in range(seeds):
        fitted, reliability = calibration.calibrate(judged(seed, count, shape), "drawn", rate, AS_OF)
        scores = [(fitted.curve.score(math.log(s)), truth(s)) for s in people()]
        passed = [
            right for score, right in scores if reliability.chosen and score >= reliability.chosen.below
        ]
        yield Outcome(
            sum(abs(score - right) for score, right in scores) / len(scores),
            reliability.error,
            reliability.error[0] > calibration.MOST_CALIBRATION_ERROR,
            1 - sum(passed) / len(passed) if passed else None,
        )


def main(seeds: int = 60) -> None:
    """By count of judgements: what is true, what was refused, which thresholds broke their rate."""
    for count in (1500, 3000):
        broken = thresholds = 0
        for shape in SHAPES:
            all_outcomes = list(outcomes(shape, count, seeds))
            errors = [outcome.true_error for outcome in all_outcomes]
            wrongs = [outcome.wrong for outcome in all_outcomes if outcome.wrong is not None]
            thresholds += len(wrongs)
            broken += sum(wrong_rate > RATE[shape] for wrong_rate in wrongs)
            passed = max((outcome.true_error for outcome in all_outcomes if not outcome.refused), default=0)
            covered = sum(
                outcome.told[1] <= outcome.true_error <= outcome.told[2] for outcome in all_outcomes
            )
            print(
                f"{count:5} {shape:15} true error {sum(errors) / seeds:.3f}, worst {max(errors):.3f}, "
                f"of those not refused {passed:.3f}; interval holds "
                f"{covered}/{seeds}; "
                f"refused {sum(outcome.refused for outcome in all_outcomes)}; thresholds {len(wrongs)}"
            )
        print(f"{count:5} thresholds that broke their rate: {broken} of {thresholds}", flush=True)


if __name__ == "__main__":
    main()
