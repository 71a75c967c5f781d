"""Human review: which answers are held, who reviews them and where they wait. Data model only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from edge.classes import CLASS_DEMANDS
from edge.config.cases import CaseSettings
from edge.review_domains import ReviewDomain
from isthmus.contracts.platform.model.callers import Caller
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.notifier import ReviewNotifier
from isthmus.contracts.platform.model.stack_files import FilePath, check_stack_file
from isthmus.contracts.requirements.workloads import Review
from isthmus.contracts.vocabulary import Cidr, DnsLabel, Impact, KubeName, Part, Sensitivity, Sha256

SCORED_CLASSES: tuple[Sensitivity, ...] = tuple(
    class_ for class_, demands in CLASS_DEMANDS.items() if demands.review_low_confidence
)
"""Classes in which people see an answer with a low score whatever its impact: each of their workloads says which score
is low."""
Hours = Annotated[float, Field(gt=0, le=24 * 30)]


class Calibration(Part):
    """A file made by `isthmus calibrate`: how often answers of one model in one domain were right, by score."""

    name: DnsLabel
    """Name of the calibration."""
    file: FilePath
    """Where it is, from the folder of the stack's files on."""
    digest: Sha256
    """Of the file; records name it with each score."""
    text: str | None = None
    """What is in it: read from `file`, never written by hand."""

    @model_validator(mode="after")
    def _is_that_file(self) -> Calibration:
        check_stack_file(self.file, self.digest, self.text)
        return self


class Reviewed(Caller):
    """Which answers of a workload people review. Only the requirements set this."""

    impact: Impact = "low"
    """What a wrong answer can do to people or money."""
    review: Review | None = None
    """Which answers people look at. Absent: by impact alone."""
    calibrations: list[Calibration] = []
    """By which its answers get a score, in the domain of `review`. Without one of its model's weights no answer has a
    score, and where a score is asked for each is held."""
    reviewed_by: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,119}$")] | None
    ) = None
    """Behind a gateway in AWS that holds nothing: who sees to it that people look at its answers. Never for high
    impact."""

    @property
    def asks_for_people(self) -> bool:
        """Whether its gateway must be able to hold answers for review."""
        return self.review is not None or self.impact in ("material", "high")

    @property
    def holds_low_scores(self) -> bool:
        """Whether a low score holds an answer."""
        return self.impact == "material" or (self.review is not None and self.review.on_low_score == "hold")


class Reviewer(Part):
    """A reviewer who signs in with a client certificate."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@+-]{0,119}$")]
    """One name for one person, in lower case: whoever has two keys is still one approver."""
    client: str
    """A DNS name or SPIFFE id of the certificate."""
    workloads: Annotated[list[DnsLabel], Field(min_length=1)] | None = None
    """Absent: all of the gateway's."""
    senior: bool = False
    """Whether this person decides what was escalated."""


class GatewayReviews(Part):
    """The review service of a gateway, in a namespace of its own, and who may reach it."""

    secret: KubeName
    """Secret in its namespace with `password` and `ca.crt` of the database, `sealer.pem`, `site.key` and `wrapping.key`
    as the gateway has them. The gateway's own (`audit.secret`) has `wrapping.key` too."""
    reviewers_ca: KubeName
    """ConfigMap in its namespace with `ca.crt`: who signs reviewers' certificates; better not who signs others'."""
    records_volume: KubeName | None = None
    """A PersistentVolume that is the share of `audit.volume` once more: one binds to one namespace only. Absent where
    that share is made."""
    keys_volume: KubeName
    """A PersistentVolume with the keys of held answers, for its namespace; no snapshots, no backups."""
    gateway_keys_volume: KubeName | None = None
    """The same share for the gateway; absent: that of `audit.content`, whose keys are the same."""
    from_cidrs: list[Cidr] = []
    """Networks from which reviewers reach it."""
    from_namespaces: list[KubeName] = []
    """Namespaces from which they do, such as that of a queue for people."""
    reviewers: list[Reviewer] = []
    """Known by their certificates, beside those whose keys are in the database."""
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "reviews"
    """As whom it asks the gateway's database: one that may decide, as the gateway's may not."""
    replicas: int = Field(default=2, ge=1)
    """Copies of the service."""
    decide_h: Hours = 24
    """Hours until an answer that nobody has decided is escalated."""
    escalated_h: Hours = 24
    """Further hours, after which it is expired and never given out."""
    keep_days: int = Field(default=7, ge=1, le=3660)
    """Days after which an answer is deleted and its key destroyed, decided or not; its class says how many at most."""
    claim_s: int = Field(default=900, ge=1, le=86400)
    """For how many seconds an answer is one reviewer's to decide, once taken."""
    certificate_secret: KubeName | None = None
    """A TLS Secret in its namespace in place of a cert-manager Certificate."""
    domains: Annotated[list[ReviewDomain], Field(max_length=50)] = []
    """Domains whose deadlines count in working time. In others, `decide_h` and `escalated_h` apply."""
    cases: CaseSettings | None = None
    """Legal basis of people's cases, what people read before they send one, and appeals. Absent: no basis is stated."""
    desk: ReviewDesk | None = None
    """The pages for reviewers who sign on. Absent: there is the API alone."""
    notifier: ReviewNotifier | None = None
    """Whom it tells of reminders, escalations and expiries. Absent: nobody is told."""
