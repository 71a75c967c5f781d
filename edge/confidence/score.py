"""The score of an answer. `edge.reviews.trigger` decides whether it leads to a review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.confidence.measure import Kind


@dataclass(frozen=True)
class Score:
    """A calibrated score: the share of answers with this score that are right."""

    value: float
    """0 to 1. With several fields or choices, the lowest."""
    calibration: str
    """Digest of the calibration's file."""
    log_measure: float
    """Natural logarithm of the raw measure behind `value`. Only the record has it, so that a later calibration can be
    fitted to answers that people judged."""
    kind: Kind
    fields: Mapping[str, float] | None = None
    """Scores by JSON pointer for structured answers. Pointers may hold content, so only the caller gets them."""
