"""Fits a calibration to judged answers, and measures how reliable it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from edge.confidence.calibration import Calibration, Curve, Error, Threshold
from isthmus import __version__
from isthmus.calibration import beta, quality
from isthmus.calibration.judged_answers import Answer, Judged
from isthmus.contracts.reports.calibration import Candidate, Reliability
from isthmus.core.errors import InputError, Refused

LEAST_ANSWERS, LEAST_JUDGEMENTS, LEAST_OF_A_SIDE = 200, 1500, 10
MOST_CALIBRATION_ERROR = 0.05

Split = Callable[[Judged], tuple[list[Answer], list[Answer]]]
"""Divides judged answers into those to fit the curve and those kept aside."""


@dataclass(frozen=True)
class _Fit:
    """The curve, and the two halves of the answers: it was fitted to one, and is tested on the other."""

    judged: Judged
    curve: Curve
    fitted: list[Answer]
    aside: list[Answer]


def calibrate(
    judged: Judged, where: str, max_error: float | None, as_of: date, split: Split | None = None
) -> tuple[Calibration, Reliability]:
    """Fit a curve to half of the judged answers, and measure on the other half how reliable it is.

    `where` is the file of the answers, for messages. `max_error` is the largest accepted share of wrong answers (0 to
    1); None: no threshold is chosen. `as_of` is the date of the calibration. `split` divides the answers into those to
    fit and those kept aside; None: at random.

    Returns the calibration for the gateway, and its reliability for the report. Whether the calibration may be used is
    decided by `refusal`. Raises `InputError` if the answers are too few, and `Refused` if the measure cannot tell right
    answers from wrong ones.
    """
    _check_count(judged, where)
    fit = _fit_curve(judged, where, split or _split_at_random)
    reliability = _measure_reliability(fit, max_error, as_of)
    return _calibration(fit, reliability, as_of), reliability


def _check_count(judged: Judged, where: str) -> None:
    judgements = sum(len(answer.rights) for answer in judged.answers)
    if len(judged.answers) < LEAST_ANSWERS or judgements < LEAST_JUDGEMENTS:
        raise InputError(
            f"{judgements:,} judgements of {len(judged.answers):,} answers are too few: a curve within "
            f"{MOST_CALIBRATION_ERROR} needs at least {LEAST_JUDGEMENTS:,} judgements of {LEAST_ANSWERS} answers",
            where=where,
            fix="Let people judge more answers, chosen at random",
        )


def check_answers(count: int, where: str) -> None:
    """Raise `InputError` if so many whole answers are too few for a threshold."""
    if count < LEAST_ANSWERS:
        raise InputError(
            f"{count:,} judged answers are too few: a threshold needs at least {LEAST_ANSWERS}",
            where=where,
            fix="Let people judge more answers, chosen at random",
        )


def _fit_curve(judged: Judged, where: str, split: Split) -> _Fit:
    fitted, aside = split(judged)
    for half, name in ((fitted, "to fit the curve"), (aside, "kept aside to try it on")):
        _check_both_labels(half, name, where)
    curve = beta.fit(
        [measure for answer in fitted for measure in answer.measures],
        [right for answer in fitted for right in answer.rights],
    )
    if curve.a == curve.b == 0:
        raise Refused(
            "the measure does not tell right answers from wrong ones: no higher one is more often right",
            where=where,
            fix="Let humans review this model's answers in this domain, or calibrate another model",
        )
    return _Fit(judged, curve, fitted, aside)


def _measure_reliability(fit: _Fit, max_error: float | None, as_of: date) -> Reliability:
    """Compare the scores of the answers that were set aside with their judgements."""
    judged, curve, aside = fit.judged, fit.curve, fit.aside
    scored = quality.scored_by(curve, aside)
    raw = quality.Scored(aside, [_raw_probabilities(answer) for answer in aside])
    candidates = quality.threshold_candidates(curve, fit.fitted, aside)
    return Reliability(
        model=judged.of.model,
        model_digest=judged.of.model_digest,
        domain=judged.of.domain,
        kind=judged.of.kind,
        answers=len(judged.answers),
        kept_aside=len(aside),
        judgements=len(scored.scores),
        error=scored.error_with_interval(judged.sha256),
        raw_error=raw.error(),
        bins=scored.bins(),
        candidates=candidates,
        max_error=max_error,
        chosen=None if max_error is None else quality.choose_threshold(candidates, max_error),
        confidence=quality.CONFIDENCE,
        as_of=as_of.isoformat(),
        answers_sha256=judged.sha256,
    )


def _calibration(fit: _Fit, reliability: Reliability, as_of: date) -> Calibration:
    """The file that the gateway reads."""
    of = fit.judged.of
    error, low, high = (round(value, 6) for value in reliability.error)
    return Calibration(
        isthmus_calibration=1,
        version=__version__,
        as_of=as_of,
        model=of.model,
        model_digest=of.model_digest,
        domain=of.domain,
        kind=of.kind,
        measure=of.measure,
        answers_sha256=fit.judged.sha256,
        answers=len(fit.judged.answers),
        kept_aside=len(fit.aside),
        curve=fit.curve,
        expected_calibration_error=Error(value=error, low=low, high=high),
        threshold=threshold(reliability.chosen, reliability.max_error),
    )


def threshold(chosen: Candidate | None, max_error: float | None) -> Threshold | None:
    """The chosen threshold as the file has it. None: none was chosen."""
    if chosen is None or max_error is None:
        return None
    return Threshold(
        below=chosen.below,
        max_error=max_error,
        confidence=quality.CONFIDENCE,
        error_at_most=round(chosen.error_at_most, 6),
        accepted=chosen.accepted,
        wrong=chosen.wrong,
    )


def refusal(reliability: Reliability, where: str) -> Refused | None:
    """Return why the calibration must not be used; None if it may."""
    error, low, high = reliability.error
    if error > MOST_CALIBRATION_ERROR:
        return Refused(
            f"the calibration error is {error:.3f} ({low:.3f} to {high:.3f}), and at most {MOST_CALIBRATION_ERROR} is "
            "allowed: the curve does not fit these answers",
            where=where,
            fix="Calibrate each kind of question separately, as its own domain",
        )
    if reliability.max_error is not None and reliability.chosen is None:
        return no_threshold(reliability.candidates, reliability.max_error, reliability.kept_aside, where)
    return None


def no_threshold(candidates: Sequence[Candidate], max_error: float, kept_aside: int, where: str) -> Refused:
    """The refusal where no threshold keeps the rate. `kept_aside`: answers that they were tested on."""
    best = min(candidates, key=lambda candidate: candidate.error_at_most)
    return Refused(
        f"no threshold keeps wrong answers under {max_error:g} with {quality.CONFIDENCE:.0%} "
        f"confidence. The best, {best.below:g}, passes {best.accepted} of {kept_aside} answers, and "
        f"{best.wrong} of these are wrong: an error of up to {best.error_at_most:.3f}",
        where=where,
        fix="Judge more answers, allow more errors, or let humans review all of them",
    )


def _split_at_random(judged: Judged) -> tuple[list[Answer], list[Answer]]:
    """Split the answers at random, seeded by the file's digest, so that the same file gives the same halves."""
    numbers = sorted(
        range(len(judged.answers)),
        key=lambda index: hashlib.sha256(f"{judged.sha256} {index}".encode()).digest(),
    )
    middle = len(numbers) // 2
    fitted, aside = sorted(numbers[:middle]), sorted(numbers[middle:])
    return [judged.answers[index] for index in fitted], [judged.answers[index] for index in aside]


def _raw_probabilities(answer: Answer) -> list[float]:
    return [math.exp(measure) for measure in answer.measures]


def _check_both_labels(half: Sequence[Answer], name: str, where: str) -> None:
    rights = [right for answer in half for right in answer.rights]
    right = sum(rights)
    for count, label in ((right, "right"), (len(rights) - right, "wrong")):
        if count < LEAST_OF_A_SIDE:
            raise InputError(
                f"of {len(rights)} judgements {name} only {count} say {label}: {LEAST_OF_A_SIDE} of each are the least",
                where=where,
                fix=f"Judge more answers until there are enough {label} ones; never leave out the others",
            )
