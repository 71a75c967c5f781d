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
    judgements = sum(len(each.rights) for each in judged.answers)
    if len(judged.answers) < LEAST_ANSWERS or judgements < LEAST_JUDGEMENTS:
        raise InputError(
            f"{judgements:,} judgements of {len(judged.answers):,} answers are too few: {LEAST_JUDGEMENTS:,} of "
            f"{LEAST_ANSWERS} are the least by which a curve can be held to {MOST_CALIBRATION_ERROR}",
            where=where,
            fix="Judge more answers, drawn as they come",
        )
    fitted, aside = _halves(judged)
    for half, name in ((fitted, "to fit the curve"), (aside, "kept aside to try it on")):
        _both_sides(half, name, where)
    curve = beta.fit(
        [each for answer in fitted for each in answer.measures],
        [each for answer in fitted for each in answer.rights],
    )
    if curve.a == curve.b == 0:
        raise Refused(
            "the measure does not tell right answers from wrong ones: no higher one is more often right",
            where=where,
            fix="Let humans review this model's answers in this domain, or calibrate another model",
        )
    scored = quality.Scored(aside, [[curve.score(each) for each in answer.measures] for answer in aside])
    raw = quality.Scored(aside, [_plain(answer) for answer in aside])
    tried = quality.candidates(curve, fitted, aside)
    picked = None if max_error is None else quality.chosen(tried, max_error)
    low, high = scored.interval(int(judged.sha256[:8], 16))
    found = Reliability(
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
        candidates=tried,
        max_error=max_error,
        chosen=picked,
        confidence=quality.CONFIDENCE,
        as_of=as_of.isoformat(),
        answers_sha256=judged.sha256,
    )
    threshold = None
    if picked is not None and max_error is not None:
        threshold = Threshold(
            below=picked.below,
            max_error=max_error,
            confidence=quality.CONFIDENCE,
            error_at_most=round(picked.error_at_most, 6),
            accepted=picked.accepted,
            wrong=picked.wrong,
        )
    error, low, high = (round(each, 6) for each in found.error)
    made = Calibration(
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
    return made, found


def refusal(found: Reliability, where: str) -> Refused | None:
    """Why the calibration must not be used; None: it may."""
    error, low, high = found.error
    if error > MOST_CALIBRATION_ERROR:
        return Refused(
            f"the scores miss what is right by {error:.3f} ({low:.3f} to {high:.3f}), and {MOST_CALIBRATION_ERROR} is "
            "the most: the curve does not follow these answers",
            where=where,
            fix="Calibrate kinds of questions apart, as domains of their own",
        )
    if found.max_error is not None and found.chosen is None:
        best = min(found.candidates, key=lambda each: each.error_at_most)
        return Refused(
            f"no threshold keeps wrong answers under {found.max_error:g} with {found.confidence:.0%} confidence: the "
            f"best, {best.below:g}, lets {best.accepted} of {found.kept_aside} answers through, {best.wrong} of them "
            f"wrong, which shows {best.error_at_most:.3f} at most",
            where=where,
            fix="Judge more answers, allow more errors, or let humans review all of them",
        )
    return None


def _halves(judged: Judged) -> tuple[list[Answer], list[Answer]]:
    """By a draw that the file's content decides: the same file gives the same halves."""
    numbers = sorted(
        range(len(judged.answers)),
        key=lambda each: hashlib.sha256(f"{judged.sha256} {each}".encode()).digest(),
    )
    middle = len(numbers) // 2
    fitted, aside = sorted(numbers[:middle]), sorted(numbers[middle:])
    return [judged.answers[each] for each in fitted], [judged.answers[each] for each in aside]


def _plain(answer: Answer) -> list[float]:
    return [math.exp(each) for each in answer.measures]


def _both_sides(half: Sequence[Answer], name: str, where: str) -> None:
    rights = [each for answer in half for each in answer.rights]
    right = sum(rights)
    for count, word in ((right, "right"), (len(rights) - right, "wrong")):
        if count < LEAST_OF_A_SIDE:
            raise InputError(
                f"of {len(rights)} judgements {name} only {count} say {word}: {LEAST_OF_A_SIDE} of each are the least",
                where=where,
                fix=f"Judge more answers until there are enough {word} ones; never leave out the others",
            )
