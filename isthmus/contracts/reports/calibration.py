"""Reliability figures of a calibration, measured on judged answers that the calibration was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bin:
    """A group of judgements with similar scores. All bins hold about the same number of judgements."""

    score: float
    """Mean calibrated score of the bin, 0 to 1."""
    right: float
    """Share of the judgements that are right, 0 to 1."""
    low: float
    high: float
    """`low` and `high`: 95 % confidence interval of `right` (Wilson)."""
    count: int


@dataclass(frozen=True)
class Candidate:
    """A possible threshold of human review, and its effect on the judged answers that were kept aside."""

    below: float
    accepted: int
    wrong: int
    error_at_most: float
    """Upper bound of the share of wrong answers among the accepted ones. The bounds of all candidates hold together
    with the probability `confidence` of the report."""


@dataclass(frozen=True)
class Reliability:
    """Reliability of the scores of one model, domain and kind of answer."""

    model: str
    model_digest: str | None
    domain: str
    kind: str
    answers: int
    kept_aside: int
    judgements: int
    """Judgements in the answers that were kept aside. An answer with several fields has one judgement for each
    field."""
    error: tuple[float, float, float]
    """Expected calibration error, and the lower and upper end of its 95 % interval."""
    raw_error: float
    """Expected calibration error of the raw measure, if it were used as a probability."""
    bins: list[Bin]
    candidates: list[Candidate]
    max_error: float | None
    chosen: Candidate | None
    confidence: float
    as_of: str
    answers_sha256: str
