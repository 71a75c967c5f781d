"""A score. What it asks of people is `edge.reviews.trigger`'s to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """Calibrated: of answers with this score, so large a share is right."""

    value: float
    """0 to 1; of several fields or choices the lowest."""
    calibration: str
    """Digest of the calibration's file."""
    fields: Mapping[str, float] | None = None
    """By JSON pointer, where the answer is structured. Names may be content: they go to the caller only."""
