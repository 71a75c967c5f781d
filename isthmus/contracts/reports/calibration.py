"""What was found of a model's scores on judged answers that were kept aside: figures of a report, nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bin:
    """Judgements of neighbouring scores, as many in each bin."""

    score: float
    """Their mean calibrated score."""
    right: float
    """The share that was right."""
    low: float
    high: float
    """95 % interval of that share (Wilson)."""
    count: int


@dataclass(frozen=True)
class Candidate:
    """A threshold that was tried: what it lets through of the answers kept aside."""

    below: float
    accepted: int
    wrong: int
    error_at_most: float
    """Upper bound of the share of wrong answers; all candidates' hold together with the confidence."""


@dataclass(frozen=True)
class Reliability:
    """Of one calibration."""

    model: str
    model_digest: str | None
    domain: str
    kind: str
    answers: int
    kept_aside: int
    judgements: int
    """Of those kept aside: an answer with fields has one for each."""
    error: tuple[float, float, float]
    """Expected calibration error, and its 95 % interval."""
    raw_error: float
    """The same, had the raw measure been taken for a probability."""
    bins: list[Bin]
    candidates: list[Candidate]
    max_error: float | None
    chosen: Candidate | None
    confidence: float
    as_of: str
    answers_sha256: str
