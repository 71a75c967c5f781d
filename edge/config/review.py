"""Review by people: which answers are held, how long they wait, and `mode: reviews`, where people decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.audit import AuditSettings
from edge.config.base import DataClass, File, Health, Limits, MutualListen, Name, Strict, is_cloud_host
from edge.config.database import DatabaseConfig

Impact = Literal["low", "material", "high"]
Part = Annotated[float, Field(ge=0, le=1)]
Reviewer = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@+-]{0,119}$")]
"""One name for one person, in lower case: whoever has two keys is still one approver."""

APPROVERS: dict[DataClass, int] = {"public": 1, "internal": 1, "confidential": 1, "restricted": 2}
LOW_CONFIDENCE: dict[DataClass, bool] = {
    "public": False,
    "internal": False,
    "confidential": True,
    "restricted": True,
}
SAMPLE_RATE: dict[DataClass, float] = {"public": 0, "internal": 0.01, "confidential": 0, "restricted": 0}
"""The column `human review` of `isthmus.contracts.reference.handling`, to which a test holds all three."""
KEEP_DAYS: dict[DataClass, int | None] = {"public": 7, "internal": 7, "confidential": 30, "restricted": None}
"""How long a held answer may be there at all, decided or not. Public and internal keep no content: theirs is there for
its review only, and goes a day after the decision. None: as the regimes say."""
COLLECT_S: dict[DataClass, int | None] = {
    "public": 86400,
    "internal": 86400,
    "confidential": None,
    "restricted": None,
}


class ReviewRule(Strict):
    """A workload's `review`: which of its answers a person looks at, beside those that its class or impact demands."""

    domain: Name | None = None
    """Who reviews: a team or a field of knowledge. Reviewers see it; it decides nothing."""
    below_confidence: Part | None = None
    """Answers with a lower score, or with none, are held."""
    sample_rate: Part = 0.0
    """Of all the others so many; never less than the class demands."""


class HeldKeys(Strict):
    """Under which held answers are encrypted; the same in the gateways and in `mode: reviews` of a class and site."""

    keys: Path
    """Folder of the keys, as of `audit.content.keys`: destroying one erases what it encrypts."""
    wrapping_key: File
    """64 hexadecimal digits, under which the keys lie wrapped, and votes are sealed."""


class Reviews(HeldKeys):
    """`reviews` of a gateway. Absent: nothing is held, and no workload may ask for it."""

    decide_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24
    """Hours until an answer that nobody has decided is escalated."""
    escalated_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24
    """Further hours, after which it is expired and never given out."""
    keep_days: Annotated[int, Field(ge=1, le=3660)] = 7
    """After so many days the answer is deleted, and its key destroyed."""

    def problem(self, data_class: DataClass) -> str | None:
        """What the class forbids of this."""
        max_days = KEEP_DAYS[data_class]
        if max_days is not None and self.keep_days > max_days:
            return f"reviews.keep_days: class {data_class} takes {max_days} or less"
        if self.decide_h + self.escalated_h > self.keep_days * 24:
            return "reviews.keep_days: answers would be deleted before decide_h and escalated_h are over"
        return None


class ReviewerByCertificate(Strict):
    """A person who shows a certificate in place of a key."""

    name: Reviewer
    client: Name
    """A DNS name or SPIFFE id of the certificate."""
    workloads: Annotated[list[Name], Field(min_length=1)] | None = None
    """Absent: all of the class."""
    senior: bool = False
    """Whether this person decides what was escalated."""


class ReviewsConfig(Strict):
    """`mode: reviews`: where people look at held answers and decide."""

    mode: Literal["reviews"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: MutualListen
    health: Health
    database: DatabaseConfig
    """With a user of its own: a gateway's may not decide."""
    audit: AuditSettings
    """Of its own chain, on the volume that the sealer reads."""
    held: HeldKeys
    reviewers: list[ReviewerByCertificate] = []
    """Beside those whose keys are in the database."""
    claim_s: Annotated[int, Field(ge=1, le=86400)] = 900
    """For how long an answer is one reviewer's to decide, once taken."""
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _one_person_each(self) -> ReviewsConfig:
        clients = [reviewer.client for reviewer in self.reviewers]
        if len(set(clients)) < len(clients):
            raise ValueError("reviewers: one certificate would speak for two people")
        for reviewer in self.reviewers:
            if "*" in reviewer.client:
                raise ValueError(f"reviewers: {reviewer.client!r} is no whole name")
        if self.audit.content is not None:
            raise ValueError("audit.content: the gateways keep content, this mode keeps none")
        if self.data_class == "restricted" and is_cloud_host(self.database.host):
            raise ValueError(
                f"database: nothing of restricted requests goes out of the site, to {self.database.host!r}"
            )
        return self
