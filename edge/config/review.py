"""Settings of human review: which answers are held and for how long, and `mode: reviews`, where people decide."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.audit import AuditSettings
from edge.config.base import File, Health, Limits, MutualListen, Name, Strict, is_cloud_host
from edge.config.cases import CaseSettings
from edge.config.database import DatabaseConfig
from edge.config.desk import Desk
from edge.config.tokens import AcceptedTokens
from edge.review_domains import ReviewDomain, domain_problem

Impact = Literal["low", "material", "high"]
Part = Annotated[float, Field(ge=0, le=1)]
REVIEWER = r"^[a-z0-9][a-z0-9._@+-]{0,119}$"
Reviewer = Annotated[str, Field(pattern=REVIEWER)]
"""Lower case, so that one person has one name: a person with two keys is still one approver."""


class ReviewRule(Strict):
    """Settings `review` of a workload: answers that people review besides those that class and impact require."""

    domain: Name | None = None
    """A team or field of knowledge, shown to reviewers. It has no effect on who may decide. `reviews.domains` has
    its deadlines."""
    below_confidence: Part | None = None
    """Answers with a lower score are marked. At impact material they are held, and so are answers without a score."""
    on_low_score: Literal["hold"] | None = None
    """`hold`: at any impact they are held."""
    sample_rate: Part = 0.0
    """Share of the answers that people look at after delivery. The class's rate is the minimum."""


class HeldKeys(Strict):
    """Keys that encrypt held answers. The gateways and `mode: reviews` of a class and site have the same."""

    keys: Path
    """Folder of the keys, as `audit.content.keys`. To destroy a key is to erase what it encrypts."""
    wrapping_key: File
    """64 hexadecimal digits: the key that encrypts the keys in the folder and seals votes."""


class Reviews(HeldKeys):
    """Settings `reviews` of a gateway. Absent: no answer is held, and no workload may ask for review."""

    decide_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24
    """Hours after which an undecided answer is escalated, nights and holidays included."""
    escalated_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24
    """Further hours after which it expires. An expired answer is never returned."""
    keep_days: Annotated[int, Field(ge=1, le=3660)] = 7
    """Days after which the answer is deleted and its key destroyed."""
    domains: Annotated[list[ReviewDomain], Field(max_length=50)] = []
    """Domains whose deadlines count in working time. In others, `decide_h` and `escalated_h` apply."""

    cases: CaseSettings = CaseSettings()
    """People's questions about answers, and their appeals."""

    def problem(self, data_class: DataClass) -> str | None:
        """The first setting that the class forbids, as a message, or None."""
        max_days = CLASS_DEMANDS[data_class].held_days_max
        if max_days is not None and self.keep_days > max_days:
            return f"reviews.keep_days: class {data_class} allows {max_days} or less"
        if self.decide_h + self.escalated_h > self.keep_days * 24:
            return "reviews.keep_days must be at least decide_h and escalated_h together"
        problem = domain_problem(self.domains, timedelta(days=self.keep_days))
        return f"reviews.{problem}" if problem else None


class ReviewerByCertificate(Strict):
    """A reviewer who authenticates with a certificate instead of a key."""

    name: Reviewer
    client: Name
    """DNS name or SPIFFE id in the certificate."""
    workloads: Annotated[list[Name], Field(min_length=1)] | None = None
    """Absent: all workloads of the class."""
    senior: bool = False
    """Whether this person may decide escalated answers."""


class ReviewsConfig(Strict):
    """Settings of `mode: reviews`, where people read held answers and decide."""

    mode: Literal["reviews"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: MutualListen
    health: Health
    database: DatabaseConfig
    """Use a database user for this mode: a gateway's user may not decide."""
    audit: AuditSettings
    """A chain of its own, on the volume that the sealer reads."""
    held: HeldKeys
    reviewers: list[ReviewerByCertificate] = []
    """Reviewers with certificates. Reviewers with keys are in the database."""
    tokens: AcceptedTokens | None = None
    """Access tokens by which people open the desk's pages. Needed with `desk`."""
    desk: Desk | None = None
    """The pages for reviewers. Absent: there is the API alone."""
    claim_s: Annotated[int, Field(ge=1, le=86400)] = 900
    """Seconds for which a claimed answer is reserved for one reviewer."""
    domains: Annotated[list[ReviewDomain], Field(max_length=50)] = []
    """The same as `reviews.domains` of the gateways."""
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _one_person_each(self) -> ReviewsConfig:
        clients = [reviewer.client for reviewer in self.reviewers]
        if len(set(clients)) < len(clients):
            raise ValueError("reviewers: two people have the same client. Give each a certificate")
        for reviewer in self.reviewers:
            if "*" in reviewer.client:
                raise ValueError(f"reviewers: client {reviewer.client!r} must not have a wildcard")
        names = [domain.name for domain in self.domains]
        if len(set(names)) < len(names):
            raise ValueError("domains: two have the same name")
        if self.audit.content is not None:
            raise ValueError("audit.content is for gateways only. Remove it")
        if self.data_class == "restricted" and is_cloud_host(self.database.host):
            raise ValueError(
                f"database: restricted data must stay on the site, but {self.database.host!r} is a cloud host"
            )
        return self

    @model_validator(mode="after")
    def _desk_has_tokens(self) -> ReviewsConfig:
        if (self.tokens is None) != (self.desk is None):
            raise ValueError("tokens and desk need each other. Set both, or remove both")
        if self.desk is not None and self.desk.listen.port == self.listen.port:
            raise ValueError("desk.listen.port must differ from listen.port")
        host = self.tokens.reads_keys_of_a_cloud() if self.tokens is not None else None
        if self.data_class == "restricted" and host is not None:
            raise ValueError(
                f"tokens.jwks_url: restricted must read its issuer's keys on the site, but {host!r} is a cloud host"
            )
        return self
