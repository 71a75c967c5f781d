"""What decisions of reviewers say of a calibration in use, and what another threshold would change."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.contracts.reports.calibration import Candidate, Reliability

LEAST_JUDGED = 100
"""Judgements of the random sample below which a share is not known."""


@dataclass(frozen=True)
class Estimate:
    """A figure from judged answers of the random sample, with its interval."""

    value: float
    low: float
    high: float
    """`low` and `high`: 95 % confidence interval."""
    judged: int
    """Judgements that it comes from."""


@dataclass(frozen=True)
class Judgements:
    """How many answers of the period people judged, by the way in which the answers reached them."""

    drawn: int
    """Answers of the random sample."""
    judged: int
    """Judged answers of the random sample. Only these count in any figure."""
    others: dict[str, int]
    """Judged answers that were not drawn, by the reasons for which people saw them. They are a selection."""
    thumbs_up: int
    thumbs_down: int
    """Feedback of the people who asked. Who gives it chooses to, so it counts in no figure."""
    without_measure: int
    """Judged answers of the random sample that have no score, or records of a release without the raw measure."""


@dataclass(frozen=True)
class CalibrationInUse:
    """The calibration and the threshold that gateways use now."""

    calibration: str
    """Digest of the file."""
    as_of: str
    below: float | None


@dataclass(frozen=True)
class Drift:
    """Whether the calibration in use still holds for the newer half of the random sample."""

    significant: bool | None
    """None: fewer than 100 judgements, so it is not known."""
    since: str | None
    """Time of the first answer of the newer half."""
    judged: int
    error: Estimate | None
    """Share of wrong answers among those that pass the threshold in use."""
    max_error: float | None
    """The share that the calibration promised at most."""
    calibration_error: Estimate | None
    """Expected calibration error of the scores in use. None for structured answers."""
    calibration_error_at_most: float | None
    """Upper end of the interval that the calibration was made with."""
    false_alarms: float
    """If nothing has changed, at most this share of runs reports drift."""


@dataclass(frozen=True)
class ThresholdCount:
    """What a threshold does to the answers of the period."""

    below: float
    held: int
    passing: int
    errors_passing: Estimate | None
    """Wrong answers among those that pass. None: not known."""


@dataclass(frozen=True)
class ReviewerTime:
    """What people need for the answers that are held in addition. Negative: what they save."""

    minutes_per_answer: float
    measured_on: int | None
    """Answers of which the time between claim and decision is on record. None: the minutes are an estimate."""
    hours_per_month: float
    usd_per_month: float | None


@dataclass(frozen=True)
class ThresholdEffect:
    """The effect of another threshold on the answers of the period."""

    days: float
    answers: int
    """Answers with a raw measure that nothing else holds. The figures are of these."""
    without_score: int
    held_for_other_reasons: int
    in_use: ThresholdCount
    new: ThresholdCount
    more_held: int
    """Negative: fewer."""
    more_held_per_1000: float
    more_held_per_month: float
    errors_caught: Estimate | None
    """Wrong answers among those that pass now and are held then. None: not known."""
    errors_let_through: Estimate | None
    """Wrong answers among those that are held now and pass then. None: not known."""
    reviewer: ReviewerTime | None
    """None: no time is on record, and none was given."""


@dataclass(frozen=True)
class ReviewCalibration:
    """The report of `isthmus calibrate --from-reviews`."""

    workload: str
    model: str
    model_digest: str | None
    domain: str
    kind: str
    begin: str
    end: str
    judgements: Judgements
    acceptance: Estimate | None
    """Share of right answers in the random sample. None: fewer than 100 judgements, so it is not known."""
    in_use: CalibrationInUse
    drift: Drift
    threshold: Candidate | None
    """The new threshold with its test, where `--max-error` asked for one."""
    reliability: Reliability | None
    """Of the new curve. None: no curve was fitted."""
    not_renewed: str | None
    """Why there is no new calibration. None: there is one."""
    effect: ThresholdEffect | None
    """None: no other threshold was named or found."""
