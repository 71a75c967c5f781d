"""How many decisions on planted answers detected what was wrong. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.intervals import wilson

LEAST_PLANTED = 20
"""Decided planted answers below which detection is not known."""


@dataclass(frozen=True)
class Detection:
    """Decisions on the planted answers of a domain."""

    domain: str
    """Empty: several domains together."""
    answers: int
    decisions: int
    detected: int

    @property
    def is_known(self) -> bool:
        return self.answers >= LEAST_PLANTED

    @property
    def rate(self) -> float | None:
        """The share of decisions that detected."""
        return self.detected / self.decisions if self.is_known else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The 95 % interval of the rate (Wilson)."""
        return wilson(self.detected, self.decisions) if self.is_known else None


def together(detection: Sequence[Detection]) -> Detection:
    """Several domains together."""
    return Detection(
        "",
        sum(figure.answers for figure in detection),
        sum(figure.decisions for figure in detection),
        sum(figure.detected for figure in detection),
    )
