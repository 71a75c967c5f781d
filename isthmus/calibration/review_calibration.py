"""Renews a calibration from decisions of reviewers, and says whether the one in use still holds.

Every figure comes from judged answers of the random sample. Answers that people see for their score, a guard or the
workload's impact are a selection, and would make a model look worse than it is. The sample is split by time: a curve is
fitted to the older half, and tested on the newer one. The calibration in use is tested on the newer half too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date

from edge.audit.records import canonical
from edge.confidence.calibration import Calibration
from edge.intervals import wilson
from isthmus.calibration import calibration, quality
from isthmus.calibration.judged_answers import Answer, Judged, Of
from isthmus.calibration.reviewed_answers import Answered, Period, ReviewedAnswers, Verdict
from isthmus.calibration.threshold_effect import Gate, ReviewerCost, effect_of, share_wrong
from isthmus.contracts.reports.calibration import Candidate, Reliability
from isthmus.contracts.reports.review_calibration import (
    LEAST_JUDGED,
    CalibrationInUse,
    Drift,
    Estimate,
    Judgements,
    ReviewCalibration,
    ThresholdEffect,
)
from isthmus.core.errors import IsthmusError, Refused

FALSE_ALARMS = 0.05
"""Share of runs that report drift although nothing has changed, at most. Each of the two tests has a half of it."""
_ONLY_THRESHOLD = "a decision on a whole answer does not judge each field, so the curve stays as it is"


@dataclass(frozen=True)
class InUse:
    """The calibration that gateways use, the digest of its file, and the threshold on its scores."""

    calibration: Calibration
    digest: str
    below: float | None


@dataclass(frozen=True)
class Wanted:
    """What the user asks for: a threshold that keeps a rate of errors, or the effect of one that is named."""

    as_of: date
    max_error: float | None = None
    below: float | None = None
    cost: ReviewerCost = field(default_factory=ReviewerCost)


@dataclass(frozen=True)
class Renewal:
    """The report, the new calibration if there is one, and the reason if there is none."""

    report: ReviewCalibration
    calibration: Calibration | None
    refusal: IsthmusError | None


@dataclass(frozen=True)
class _Fitted:
    """A new calibration with its test, or the reason why there is none."""

    calibration: Calibration | None = None
    threshold: Candidate | None = None
    reliability: Reliability | None = None
    refusal: IsthmusError | None = None


def renew(reviewed: ReviewedAnswers, in_use: InUse, wanted: Wanted, period: Period) -> Renewal:
    """Test the calibration in use on judged answers, renew it, and say what the new threshold changes.

    `reviewed` has the answers of the period. Raises nothing: `Renewal.refusal` says why there is no new calibration.
    """
    sample = [pair for pair in reviewed.sample if pair[0].log_measure is not None]
    older, newer = sample[: len(sample) // 2], sample[len(sample) // 2 :]
    fitted = _fit(older, newer, in_use, wanted, period)
    old = in_use.calibration
    report = ReviewCalibration(
        workload=period.workload,
        model=old.model,
        model_digest=old.model_digest,
        domain=old.domain,
        kind=old.kind,
        begin=period.begin.isoformat(),
        end=period.end.isoformat(),
        judgements=_judgements(reviewed),
        acceptance=_acceptance(reviewed),
        in_use=CalibrationInUse(in_use.digest, old.as_of.isoformat(), in_use.below),
        drift=_drift(newer, in_use, wanted.max_error),
        threshold=fitted.threshold,
        reliability=fitted.reliability,
        not_renewed=str(fitted.refusal) if fitted.refusal else None,
        effect=_effect(reviewed, newer, in_use, wanted, fitted, period.days),
    )
    return Renewal(report, fitted.calibration, fitted.refusal)


def _judgements(reviewed: ReviewedAnswers) -> Judgements:
    drawn = [answer for answer in reviewed.answers if answer.is_sampled]
    sample = reviewed.sample
    others: dict[str, int] = {}
    for answer in reviewed.answers:
        if answer.id in reviewed.verdicts and answer.why and not answer.is_sampled:
            reasons = ", ".join(sorted(answer.why))
            others[reasons] = others.get(reasons, 0) + 1
    return Judgements(
        drawn=len(drawn),
        judged=len(sample),
        others=dict(sorted(others.items())),
        thumbs_up=reviewed.thumbs.get("up", 0),
        thumbs_down=reviewed.thumbs.get("down", 0),
        without_measure=sum(answer.log_measure is None for answer, _ in sample),
    )


def _acceptance(reviewed: ReviewedAnswers) -> Estimate | None:
    sample = reviewed.sample
    if len(sample) < LEAST_JUDGED:
        return None
    right = sum(verdict.is_right for _, verdict in sample)
    return Estimate(right / len(sample), *wilson(right, len(sample)), len(sample))


def _drift(newer: list[tuple[Answered, Verdict]], in_use: InUse, max_error: float | None) -> Drift:
    """Two tests, each with half of the false alarms: of the errors that pass, and of the scores themselves."""
    old = in_use.calibration
    promised = _promised(in_use, max_error)
    if len(newer) < LEAST_JUDGED:
        return Drift(None, None, len(newer), None, promised, None, None, FALSE_ALARMS)
    error = calibration_error = at_most = None
    significant = False
    if in_use.below is not None:
        gate = Gate(old.curve.score, in_use.below)
        error = share_wrong([pair for pair in newer if not gate.holds(pair[0])])
        significant = error is not None and promised is not None and error.low > promised
    if old.kind == "text":
        scored = quality.scored_by(old.curve, [_answer(*pair) for pair in newer])
        calibration_error = Estimate(
            *scored.error_with_interval(_digest(newer), 1 - FALSE_ALARMS / 2), len(newer)
        )
        at_most = old.expected_calibration_error.high
        significant = significant or calibration_error.low > at_most
    since = newer[0][0].time.isoformat()
    return Drift(significant, since, len(newer), error, promised, calibration_error, at_most, FALSE_ALARMS)


def _promised(in_use: InUse, max_error: float | None) -> float | None:
    """The rate that the threshold in use should keep. One below the calibration's own was promised nothing."""
    tested = in_use.calibration.threshold
    if tested is None or in_use.below is None or in_use.below < tested.below:
        return max_error
    return tested.max_error


def _answer(answer: Answered, verdict: Verdict) -> Answer:
    assert answer.log_measure is not None
    return Answer((answer.log_measure,), (verdict.is_right,))


def _digest(sample: list[tuple[Answered, Verdict]]) -> str:
    """The digest of judged answers: of a line for each, the oldest first."""
    lines = [
        canonical([answer.id, answer.log_measure, verdict.is_right]) + b"\n" for answer, verdict in sample
    ]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _fit(
    older: list[tuple[Answered, Verdict]],
    newer: list[tuple[Answered, Verdict]],
    in_use: InUse,
    wanted: Wanted,
    period: Period,
) -> _Fitted:
    old, where = in_use.calibration, f"workload {period.workload}"
    if wanted.below is not None:
        named = "the effect of a named threshold was asked for"
        return _Fitted(refusal=Refused(named, where=where, fix="Use --max-error"))
    halves = [_answer(*pair) for pair in older], [_answer(*pair) for pair in newer]
    try:
        if old.kind == "fields":
            return _fit_threshold(*halves, in_use, wanted, where)
        of = Of(old.model, old.model_digest, old.domain, old.kind, old.measure)
        judged = Judged(of, [*halves[0], *halves[1]], _digest([*older, *newer]))
        renewed, reliability = calibration.calibrate(
            judged, where, wanted.max_error, wanted.as_of, split=lambda _: halves
        )
    except IsthmusError as refusal:
        return _Fitted(refusal=refusal)
    refusal = calibration.refusal(reliability, where)
    return _Fitted(None if refusal else renewed, reliability.chosen, reliability, refusal)


def _fit_threshold(
    older: list[Answer], newer: list[Answer], in_use: InUse, wanted: Wanted, where: str
) -> _Fitted:
    """A new threshold on the scores in use. Raises IsthmusError."""
    if wanted.max_error is None:
        raise Refused(_ONLY_THRESHOLD, where=where, fix="Use --max-error to renew the threshold")
    calibration.check_answers(len(older) + len(newer), where)
    candidates = quality.threshold_candidates(in_use.calibration.curve, older, newer)
    chosen = quality.choose_threshold(candidates, wanted.max_error)
    if chosen is None:
        raise calibration.no_threshold(candidates, wanted.max_error, len(newer), where)
    renewed = in_use.calibration.model_copy(
        update={
            "as_of": wanted.as_of,
            "threshold": calibration.threshold(chosen, wanted.max_error),
        }
    )
    return _Fitted(renewed, chosen)


def _effect(
    reviewed: ReviewedAnswers,
    newer: list[tuple[Answered, Verdict]],
    in_use: InUse,
    wanted: Wanted,
    fitted: _Fitted,
    days: float,
) -> ThresholdEffect | None:
    """None if the thresholds to compare are not both known. `days`: length of the period."""
    if in_use.below is None:
        return None
    if wanted.below is not None:
        new = Gate(in_use.calibration.curve.score, wanted.below)
    elif fitted.calibration is not None and fitted.threshold is not None:
        new = Gate(fitted.calibration.curve.score, fitted.threshold.below)
    else:
        return None
    before = Gate(in_use.calibration.curve.score, in_use.below)
    return effect_of(reviewed, newer, before, new, days=days, cost=wanted.cost)
