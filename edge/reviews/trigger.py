"""Whether a person must look at an answer before it leaves. No I/O: what it is told decides, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.config.base import DataClass
from edge.config.review import LOW_CONFIDENCE, SAMPLE_RATE, Impact, ReviewRule


class Score(Protocol):
    """How sure a calibrated model is of its answer (`edge.confidence`)."""

    @property
    def value(self) -> float:
        """From 0 to 1."""
        ...


@dataclass(frozen=True)
class Demand:
    """What is demanded of one workload's answers."""

    impact: Impact
    low_confidence: bool
    """Whether a low score, or none, is a reason."""
    below: float | None
    """What is low. None: every score is."""
    sample_rate: float

    @property
    def any(self) -> bool:
        """Whether some answer of the workload may be held, before anything is known of it."""
        return self.impact == "high" or self.low_confidence or self.sample_rate > 0


def demand_of(data_class: DataClass, impact: Impact, rule: ReviewRule | None) -> Demand:
    """The class's column `human review`, and what the workload adds. It takes nothing away."""
    rule = rule or ReviewRule()
    return Demand(
        impact,
        LOW_CONFIDENCE[data_class] or impact == "material" or rule.below_confidence is not None,
        rule.below_confidence,
        max(SAMPLE_RATE[data_class], rule.sample_rate),
    )


def find_hold_reasons(demand: Demand, score: Score | None, guards: Sequence[str], drawn: float) -> list[str]:
    """Why the answer is held; empty: it may leave.

    `guards` are the names of those whose verdict demands a person. `drawn` is `draw` of the request.
    """
    hold_reasons = ["impact"] if demand.impact == "high" else []
    if demand.low_confidence:
        if score is None:
            hold_reasons.append("no-score")
        # Written so that what is no number counts as low.
        elif demand.below is None or not score.value >= demand.below:
            hold_reasons.append("low-score")
    hold_reasons += [f"guard:{name}" for name in guards]
    if drawn < demand.sample_rate:
        hold_reasons.append("sampled")
    return hold_reasons


def draw(site_key: bytes, request_id: str) -> float:
    """A number from 0 up to 1 for a request: nobody without the key can tell it, and who has it can show that it was.

    The id is the gateway's own; no word of the caller's enters.
    """
    digest = hmac.digest(site_key, f"isthmus review sample 1\n{request_id}".encode(), hashlib.sha256)
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
