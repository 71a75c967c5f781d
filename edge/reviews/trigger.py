"""Decides whether a person must review an answer before it leaves. No I/O: the result depends only on the arguments."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.review import Impact, ReviewRule


class Score(Protocol):
    """The score of a calibrated model for its answer (`edge.confidence`)."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        ...


@dataclass(frozen=True)
class Demand:
    """When answers of a workload must be reviewed."""

    impact: Impact
    low_confidence: bool
    """Whether a low or missing score is a reason."""
    below: float | None
    """Scores below this one are low. None: every score is low."""
    sample_rate: float

    @property
    def any(self) -> bool:
        """Whether an answer of the workload may be held at all."""
        return self.impact == "high" or self.low_confidence or self.sample_rate > 0


def demand_of(data_class: DataClass, impact: Impact, rule: ReviewRule | None) -> Demand:
    """Combine the class's demand (column `human review`) with the workload's. A workload can only add to it."""
    rule = rule or ReviewRule()
    return Demand(
        impact,
        CLASS_DEMANDS[data_class].review_low_confidence
        or impact == "material"
        or rule.below_confidence is not None,
        rule.below_confidence,
        max(CLASS_DEMANDS[data_class].sample_rate_min, rule.sample_rate),
    )


def find_hold_reasons(demand: Demand, score: Score | None, guards: Sequence[str], drawn: float) -> list[str]:
    """Return the reasons to hold an answer; empty if it may leave.

    `guards` are the names of guards whose verdict demands a review. `drawn` is `draw` of the request.
    """
    hold_reasons = ["impact"] if demand.impact == "high" else []
    if demand.low_confidence:
        if score is None:
            hold_reasons.append("no-score")
        # `not >=`, so that NaN counts as low.
        elif demand.below is None or not score.value >= demand.below:
            hold_reasons.append("low-score")
    hold_reasons += [f"guard:{name}" for name in guards]
    if drawn < demand.sample_rate:
        hold_reasons.append("sampled")
    return hold_reasons


def draw(site_key: bytes, request_id: str) -> float:
    """Return a pseudo-random number from 0 up to 1 for a request, to sample answers for review.

    Only someone with the site's key can compute it, and can later prove it. The id is the gateway's own, so that a
    caller cannot influence the number.
    """
    digest = hmac.digest(site_key, f"isthmus review sample 1\n{request_id}".encode(), hashlib.sha256)
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
