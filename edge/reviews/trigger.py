"""Decides whether people review an answer: before it is delivered, afterwards, or not. No I/O."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.review import Impact, ReviewRule

BY_SCORE = ("low-score", "no-score")
"""Reasons that tell of the model's score."""
SAMPLED = "sampled"
"""Reason of an answer that was drawn at random."""


class Score(Protocol):
    """The score of a calibrated model for its answer (`edge.confidence`)."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        ...


@dataclass(frozen=True)
class Demand:
    """Which answers of a workload people look at: before they are delivered, or afterwards."""

    impact: Impact
    holds_low: bool
    """Whether a low or missing score holds an answer."""
    looks_low: bool
    """Whether people look at a delivered answer with a low score. Never with `holds_low`."""
    below: float | None
    """Scores below this one are low. None: every score is low where it holds."""
    sample_rate: float
    """Share of the answers that people look at."""

    @property
    def may_hold(self) -> bool:
        """Whether an answer of the workload may be held."""
        return self.impact == "high" or self.holds_low

    def is_low(self, score: Score) -> bool:
        """Whether a score is low. NaN is."""
        return self.below is None or not score.value >= self.below


@dataclass(frozen=True)
class Reasons:
    """Why people see an answer. If nothing holds it, it is delivered at once."""

    hold: list[str]
    look: list[str]
    """Reasons to look at it; afterwards if nothing holds it."""

    @property
    def why(self) -> list[str]:
        return [*self.hold, *self.look]


def demand_of(data_class: DataClass, impact: Impact, rule: ReviewRule | None) -> Demand:
    """Combine the class's demand (column `human review`) with the workload's. A workload can only add to it."""
    rule = rule or ReviewRule()
    holds_low = (
        impact == "material"
        or rule.on_low_score == "hold"
        or (impact == "high" and rule.below_confidence is not None)
    )
    looks_low = CLASS_DEMANDS[data_class].review_low_confidence and rule.below_confidence is not None
    return Demand(
        impact,
        holds_low,
        looks_low and not holds_low,
        rule.below_confidence,
        max(CLASS_DEMANDS[data_class].sample_rate_min, rule.sample_rate),
    )


def find_reasons(demand: Demand, score: Score | None, guards: Sequence[str], drawn: float) -> Reasons:
    """Return why people see an answer.

    `guards` are the names of guards whose verdict demands a review. `drawn` is `draw` of the request.
    """
    hold, look = ["impact"] if demand.impact == "high" else [], list[str]()
    if demand.holds_low and score is None:
        hold.append("no-score")
    elif score is not None and demand.is_low(score):
        hold += ["low-score"] if demand.holds_low else []
        look += ["low-score"] if demand.looks_low else []
    hold += [f"guard:{name}" for name in guards]
    if drawn < demand.sample_rate:
        look.append(SAMPLED)
    return Reasons(hold, look)


def draw(site_key: bytes, request_id: str) -> float:
    """Return a pseudo-random number from 0 up to 1 for a request, to sample answers for review.

    Only someone with the site's key can compute it, and can later prove it. The id is the gateway's own, so that a
    caller cannot influence the number.
    """
    digest = hmac.digest(site_key, f"isthmus review sample 1\n{request_id}".encode(), hashlib.sha256)
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
