"""Requirements of each data class. The edge, the contracts and the policies all read this table.

An organisation may require more, but never less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DataClass = Literal["public", "internal", "confidential", "restricted"]
Redacted = Literal["secrets-in-outputs", "prompts-leaving-site", "leaving-class", "logs"]


@dataclass(frozen=True)
class ClassDemands:
    """Requirements of one class. None as a maximum: the regimes of the workload decide."""

    redacted: tuple[Redacted, ...]
    """What is redacted. `logs` requires nothing at the edge, because its logs contain no content."""
    content_days_max: int | None
    """Maximum retention of prompts and answers, in days."""
    held_days_max: int | None
    """Maximum retention of a held answer in days, whether it is decided or not. A class that keeps no content
    stores a held answer for its review only; it is deleted one day after that."""
    collect_s_max: int | None
    """Maximum time in seconds in which the caller can fetch a decided answer."""
    unsealed_s_max: int | None
    """Maximum age of the oldest unsealed record, in seconds. Above it, requests are refused. None: no maximum.
    Classes with a maximum stop serving before a crash or a deletion could lose more than a few minutes of records."""
    approvers: int
    """Number of people who must approve a held answer."""
    review_low_confidence: bool
    """Whether people look at an answer with a low score: before its delivery where impact or workload hold it, else
    afterwards."""
    sample_rate_min: float
    """Minimum share of answers that people look at after delivery, whatever the impact."""


CLASS_DEMANDS: dict[DataClass, ClassDemands] = {
    "public": ClassDemands(
        redacted=("secrets-in-outputs",),
        content_days_max=0,
        held_days_max=7,
        collect_s_max=86400,
        unsealed_s_max=None,
        approvers=1,
        review_low_confidence=False,
        sample_rate_min=0,
    ),
    "internal": ClassDemands(
        redacted=("prompts-leaving-site", "secrets-in-outputs", "logs"),
        content_days_max=0,
        held_days_max=7,
        collect_s_max=86400,
        unsealed_s_max=3600,
        approvers=1,
        review_low_confidence=False,
        sample_rate_min=0.01,
    ),
    "confidential": ClassDemands(
        redacted=("prompts-leaving-site", "leaving-class", "logs"),
        content_days_max=30,
        held_days_max=30,
        collect_s_max=None,
        unsealed_s_max=180,
        approvers=1,
        review_low_confidence=True,
        sample_rate_min=0,
    ),
    "restricted": ClassDemands(
        redacted=("leaving-class", "logs"),
        content_days_max=None,
        held_days_max=None,
        collect_s_max=None,
        unsealed_s_max=180,
        approvers=2,
        review_low_confidence=True,
        sample_rate_min=0,
    ),
}
