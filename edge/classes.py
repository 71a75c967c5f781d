"""What each class of data demands. The edge, the contracts and the policies read this table and no other.

An organisation may demand more; nobody may demand less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DataClass = Literal["public", "internal", "confidential", "restricted"]
Redacted = Literal["secrets-in-outputs", "prompts-leaving-site", "leaving-class", "logs"]


@dataclass(frozen=True)
class ClassDemands:
    """The demands of one class. None as a maximum: the regimes of the workload decide."""

    redacted: tuple[Redacted, ...]
    """`logs` needs nothing at the edge, because its logs hold no content."""
    content_days_max: int | None
    """Days for which prompts and answers are kept at most."""
    held_days_max: int | None
    """Days for which a held answer is stored at most, decided or not. A class that keeps no content stores it for the
    review only, and it is deleted a day after that."""
    collect_s_max: int | None
    """Seconds for which a decided answer can be collected."""
    unsealed_s_max: int | None
    """Seconds that the oldest record may wait for its seal before requests are refused. None: any time. The other
    classes serve nothing when a crash or a deletion could lose more than a few minutes of records."""
    approvers: int
    """How many people must approve what human review decides."""
    review_low_confidence: bool
    """Whether an answer with a low score or none goes to a human."""
    sample_rate_min: float
    """Share of the answers that a human looks at, whatever the impact."""


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
