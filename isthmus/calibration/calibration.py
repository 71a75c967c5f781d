"""From judged answers to a calibration and what it is worth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import date

from edge.confidence.calibration import Calibration, Error, Threshold
from isthmus import __version__
from isthmus.calibration import beta, quality
from isthmus.calibration.judged_answers import Answer, Judged
from isthmus.contracts.reports.calibration import Reliability
from isthmus.core.errors import InputError, Refused

LEAST_ANSWERS, LEAST_JUDGEMENTS, LEAST_OF_A_SIDE = 200, 1500, 10
MOST_CALIBRATION_ERROR = 0.05


def calibrate(
    judged: Judged, where: str, max_error: float | None, as_of: date
) -> tuple[Calibration, Reliability]:
    """The curve of one half, and what was found of it on the other. Raises InputError, and Refused where the
    measure tells nothing. Whether rate and error are kept is for `refusal` to say."""
    judgements = sum(len(answer.rights) for answer in judged.answers)
    if len(judged.answers) < LEAST_ANSWERS or judgements < LEAST_JUDGEMENTS:
        raise InputError(
            f"{judgements:,} judgements of {len(judged.answers):,} answers are too few: {LEAST_JUDGEMENTS:,} of "
            f"{LEAST_ANSWERS} are the least by which a curve can be held to {MOST_CALIBRATION_ERROR}",
            where=where,
            fix="Judge more answers, drawn as they come",
        )
    fitted, aside = _split_answers(judged)
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
    scored = quality.Scored(
        aside, [[curve.score(measure) for measure in answer.measures] for answer in aside]
    )
    raw = quality.Scored(aside, [_raw_probabilities(answer) for answer in aside])
    candidates = quality.threshold_candidates(curve, fitted, aside)
    threshold_candidate = None if max_error is None else quality.choose_threshold(candidates, max_error)
    low, high = scored.interval(int(judged.sha256[:8], 16))
    reliability = Reliability(
        model=judged.of.model,
        model_digest=judged.of.model_digest,
        domain=judged.of.domain,
        kind=judged.of.kind,
        answers=len(judged.answers),
        kept_aside=len(aside),
        judgements=len(scored.scores),
        error=(max(low, scored.error()), low, high),
        raw_error=raw.error(),
        bins=scored.bins(),
        candidates=candidates,
        max_error=max_error,
        chosen=threshold_candidate,
        confidence=quality.CONFIDENCE,
        as_of=as_of.isoformat(),
        answers_sha256=judged.sha256,
    )
    threshold = None
    if threshold_candidate is not None and max_error is not None:
        threshold = Threshold(
            below=threshold_candidate.below,
            max_error=max_error,
            confidence=quality.CONFIDENCE,
            error_at_most=round(threshold_candidate.error_at_most, 6),
            accepted=threshold_candidate.accepted,
            wrong=threshold_candidate.wrong,
        )
    error, low, high = (round(value, 6) for value in reliability.error)
    calibration = Calibration(
        isthmus_calibration=1,
        version=__version__,
        as_of=as_of,
        model=judged.of.model,
        model_digest=judged.of.model_digest,
        domain=judged.of.domain,
        kind=judged.of.kind,
        measure=judged.of.measure,
        answers_sha256=judged.sha256,
        answers=len(judged.answers),
        kept_aside=len(aside),
        curve=curve,
        expected_calibration_error=Error(value=error, low=low, high=high),
        threshold=threshold,
    )
    return calibration, reliability


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
        best = min(reliability.candidates, key=lambda candidate: candidate.error_at_most)
        return Refused(
            f"no threshold keeps wrong answers under {reliability.max_error:g} with {reliability.confidence:.0%} "
            f"confidence. The best, {best.below:g}, passes {best.accepted} of {reliability.kept_aside} answers, and "
            f"{best.wrong} of these are wrong: an error of up to {best.error_at_most:.3f}",
            where=where,
            fix="Judge more answers, allow more errors, or let humans review all of them",
        )
    return None


def _split_answers(judged: Judged) -> tuple[list[Answer], list[Answer]]:
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
