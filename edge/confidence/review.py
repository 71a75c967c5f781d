"""A score, and whether a human must look at the answer. Nothing here reads or writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Why = Literal["no score", "low score"]


@dataclass(frozen=True)
class Score:
    """Calibrated: of answers with this score, so large a share is right."""

    value: float
    """0 to 1; of several fields or choices the lowest."""
    calibration: str
    """Digest of the calibration's file."""
    fields: Mapping[str, float] | None = None
    """By JSON pointer, where the answer is structured. Names may be content: they go to the caller only."""


def needs_review(score: Score | None, below: float | None, *, missing: bool = False) -> Why | None:
    """Why a human must see the answer, by its score alone; None: the score asks for nobody.

    `below` is the workload's threshold. With one, or with `missing` (what a class may ask), an answer without a score
    is seen too: what cannot be measured is not good.
    """
    if score is None:
        return "no score" if missing or below is not None else None
    return "low score" if below is not None and score.value < below else None
