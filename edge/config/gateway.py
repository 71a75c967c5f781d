"""Settings of `mode: gateway`: callers, their allowances, and the routes of one class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, field_validator, model_validator

from edge.classes import CLASS_DEMANDS, DataClass
from edge.config.audit import AuditSettings
from edge.config.base import Access, File, Files, Health, Limits, Listen, Name, Strict, is_cloud_host
from edge.config.confidence import Confidence
from edge.config.database import DatabaseConfig
from edge.config.file_store import Batches, FileStore
from edge.config.model_probes import ModelProbes
from edge.config.review import Impact, ReviewRule, Reviews
from edge.config.routes import Route
from edge.config.screening import Screening
from edge.config.tokens import Tokens
from edge.interface_names import STORING
from edge.review_domains import Label
from edge.ssh_signatures import PUBLIC_KEY

STOPS_FILE = "stops.yaml"
"""Name of the file of stops in the Secret with the file of callers, on Kubernetes."""
Count = Annotated[int, Field(ge=1, le=10**15)]


class UpstreamTls(Strict):
    """The gateway's client certificate for model servers and translators, and the CA that it trusts."""

    certificate: File
    key: File
    ca: File
    ca_bundles: Files = ()
    """Files of further CAs that are trusted, for the time in which a CA is replaced."""


class Allowance(Strict):
    """Limits for each minute and each calendar month (UTC), for all copies of the gateway together."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    tokens_per_month: Count | None = None
    usd_per_month: Annotated[float, Field(gt=0, le=10**9)] | None = None
    parallel_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests at once. Without a database each copy counts its own."""

    @property
    def is_counted(self) -> bool:
        """Whether a limit needs a database that counts."""
        return self.model_copy(update={"parallel_requests": None}) != Allowance()


class Team(Strict):
    """A team, and the limits that its workloads share."""

    name: Name
    allowance: Allowance = Allowance()


Milliseconds = Annotated[float, Field(gt=0, le=86_400_000)]


class Slo(Strict):
    """Times that 95 % of a workload's requests keep, in milliseconds. They are boundaries of its histograms.

    The time to the first token bounds how long a request waits in the gateway.
    """

    ttft_p95_ms: Milliseconds | None = None
    tpot_p95_ms: Milliseconds | None = None
    answer_p95_ms: Milliseconds | None = None


class Workload(Strict):
    """A workload: its team, its client certificates and its limits."""

    name: Name
    team: Name | None = None
    clients: list[Name] = []
    """DNS names or SPIFFE ids of its client certificates. If set, its keys are accepted from these clients only."""
    allowance: Allowance = Allowance()
    people: Allowance = Allowance()
    """Limits of each person who calls it with an access token."""
    slo: Slo | None = None
    """Absent: its goals are unknown."""
    confidence: Confidence | None = None
    """Absent: answers have no score."""
    mode: Literal["interactive", "batch"] = "interactive"
    """`batch`: its requests wait for those of interactive workloads."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Its share of an endpoint at its limit, compared with the other workloads there."""
    impact: Impact | None = None
    """Effect of its answers on people or money. It decides which answers people review. Required with `reviews`."""
    review: ReviewRule | None = None
    webhook: Label | None = None
    """Name of the notifier's webhook that is told when an answer is decided or a case answered. Needs `reviews`."""

    @field_validator("clients")
    @classmethod
    def _whole_names(cls, clients: list[str]) -> list[str]:
        for name in clients:
            if "*" in name or ("://" in name and not name.startswith("spiffe://")):
                raise ValueError(f"{name!r} is neither a DNS name without wildcards nor a spiffe:// id")
        return [name if "://" in name else name.lower() for name in clients]


class Traces(Strict):
    """An OTLP/HTTP collector. It receives times and names of requests, never their content."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/@?#]+/[^@?#]*$")]
    """For example `https://collector.observability.svc:4318/v1/traces`."""
    ca: File | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of requests to trace if the caller's `traceparent` does not decide it."""

    @property
    def host(self) -> str:
        """Host name of the collector, without the port."""
        return (urlsplit(self.endpoint).hostname or "").rstrip(".")


class ReleaseFreeze(Strict):
    """A time in which no release moves on."""

    begin: AwareDatetime
    end: AwareDatetime
    """Not in it any more."""

    @model_validator(mode="after")
    def _in_order(self) -> ReleaseFreeze:
        if self.end <= self.begin:
            raise ValueError("end must be after begin")
        return self


class GatewayConfig(Strict):
    """`mode: gateway`."""

    mode: Literal["gateway"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: Listen
    health: Health
    access: Access | None = None
    """Absent: only `listen` accepts callers."""
    callers: File | None = None
    database: DatabaseConfig | None = None
    stops: Path | None = None
    """File of stopped workloads, which may be missing. A gateway with `database` reads them there."""
    salt_key: File | None = None
    """64 hexadecimal digits for this site and class: the key of the salts of prefix caches."""
    upstream_tls: UpstreamTls
    limits: Limits = Limits()
    teams: list[Team] = []
    workloads: list[Workload] = []
    routes: Annotated[list[Route], Field(min_length=1)]
    releasers: list[Annotated[str, Field(pattern=PUBLIC_KEY)]] = []
    """Public keys, `ssh-ed25519 BASE64 NAME`, of people who may move releases. Needed for `canary.steps`."""
    release_freezes: list[ReleaseFreeze] = []
    """Times in which no release moves on. An abort is always possible."""
    model_probes: ModelProbes | None = None
    """Absent: models are asked nothing beside callers' requests."""
    traces: Traces | None = None
    audit: AuditSettings | None = None
    """Absent: no audit records are written."""
    screening: Screening | None = None
    """Absent: nothing is redacted, and no guard runs."""
    reviews: Reviews | None = None
    """Absent: no answer is held for people."""
    file_store: FileStore | None = None
    """Absent: no route has the interface `batches` or `idempotency`."""
    batches: Batches = Batches()
    tokens: Tokens | None = None
    """Absent: only keys and certificates are accepted."""

    @model_validator(mode="after")
    def _reviewed(self) -> GatewayConfig:
        reviewed_names = [
            workload.name
            for workload in self.workloads
            if workload.review or workload.impact in ("material", "high")
        ]
        reviewed_names += (
            [guard.name for guard in self.screening.guards if guard.then == "review"]
            if self.screening
            else []
        )
        if self.reviews is None:
            if reviewed_names:
                raise ValueError(
                    f"reviews is needed: {reviewed_names[0]!r} asks for human review. Add `reviews`"
                )
            if told := [workload.name for workload in self.workloads if workload.webhook is not None]:
                raise ValueError(f"workloads: {told[0]!r} has a webhook, and nothing is held. Add `reviews`")
            return self
        if problem := self.reviews.problem(self.data_class):
            raise ValueError(problem)
        if self.database is None or self.audit is None:
            raise ValueError(
                "reviews needs `database`, for held answers, and `audit`, for decisions. Add both"
            )
        content = self.audit.content
        if content is not None and (content.keys, content.wrapping_key) != (
            self.reviews.keys,
            self.reviews.wrapping_key,
        ):
            raise ValueError(
                "reviews.keys and wrapping_key must equal those of audit.content, so that one erasure covers both"
            )
        if unknown := {route.workload for route in self.routes} - {
            workload.name for workload in self.workloads
        }:
            raise ValueError(
                f"reviews: workload {min(unknown)!r} of a route is not in `workloads`. Add it with its impact"
            )
        for workload in self.workloads:
            if workload.impact is None:
                raise ValueError(
                    f"workloads: {workload.name!r} has no impact. With `reviews`, set impact to low, material or high"
                )
            by_score = (
                CLASS_DEMANDS[self.data_class].review_low_confidence
                or workload.impact == "material"
                or (workload.review is not None and workload.review.on_low_score == "hold")
            )
            if by_score and (workload.review is None or workload.review.below_confidence is None):
                raise ValueError(
                    f"workloads: {workload.name!r} needs review.below_confidence. Set it to the lowest score to accept"
                )
        return self

    @model_validator(mode="after")
    def _moved_by_people(self) -> GatewayConfig:
        moved = [route.workload for route in self.routes if route.canary is not None and route.canary.steps]
        for key, setting in (("database", self.database), ("releasers", self.releasers)):
            if moved and not setting:
                raise ValueError(f"{key} is needed for the steps of the canary of {moved[0]!r}. Add `{key}`")
        return self

    @model_validator(mode="after")
    def _shadowed(self) -> GatewayConfig:
        for route in self.routes:
            if route.canary is not None and route.canary.shadow_percent and self.database is None:
                raise ValueError(
                    f"routes: the canary of {route.workload!r} has a shadow_percent, which needs `database`, where"
                    " outcomes are counted. Add it, or remove shadow_percent"
                )
        return self

    @model_validator(mode="after")
    def _judged(self) -> GatewayConfig:
        """A judge is another chat model of this gateway, on its site."""
        for route in self.routes:
            rule = route.canary.judge if route.canary is not None else None
            if rule is None:
                continue
            judge = next((own for own in self.routes if own.called == own.workload == rule.workload), None)
            where = f"routes: the judge {rule.workload!r} of {route.workload!r}"
            if self.database is None:
                raise ValueError(
                    f"{where} needs `database`, where scores are counted. Add it, or remove the judge"
                )
            if judge is None or "chat" not in (route.task, judge.task) or route.task != judge.task:
                raise ValueError(f"{where} must be a chat workload of this gateway, because it judges chats")
            judged = {(place.server_name, place.model) for place in (*route.own, route.canary) if place}
            if any((place.server_name, place.model) in judged for place in judge.own):
                raise ValueError(f"{where} is one of the models that it judges. Name another workload")
        return self

    @model_validator(mode="after")
    def _signed_on(self) -> GatewayConfig:
        if self.tokens is not None and (problem := self.tokens.problem(self)):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _stored(self) -> GatewayConfig:
        for route in self.routes:
            if self.file_store is None and (storing := sorted(STORING.intersection(route.interfaces))):
                raise ValueError(
                    f"file_store is needed for the interface {storing[0]} of {route.workload!r}. Add `file_store`"
                )
        if self.file_store is not None and self.database is None:
            raise ValueError("file_store needs `database`, where files and answers are stored. Add it")
        return self

    @model_validator(mode="after")
    def _audited(self) -> GatewayConfig:
        if self.audit is not None and (problem := self.audit.problem(self.data_class)):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _callers_are_known(self) -> GatewayConfig:
        if self.listen.client_ca is None and self.data_class != "public":
            raise ValueError(
                f"listen.client_ca is needed, because class {self.data_class} requires mutual TLS"
            )
        if (self.callers is None) == (self.database is None):
            raise ValueError("set either callers or database, as the store of keys")
        if self.stops is not None and self.database is not None:
            raise ValueError("stops is for gateways without database, which has them. Remove it")
        workload_names = require_distinct("workloads", [workload.name for workload in self.workloads])
        teams = require_distinct("teams", [team.name for team in self.teams])
        by_client: dict[str, str] = {}
        for workload in self.workloads:
            if workload.team is not None and workload.team not in teams:
                raise ValueError(f"workloads: team {workload.team!r} of {workload.name!r} is not in `teams`")
            if workload.clients and self.listen.client_ca is None:
                raise ValueError(f"workloads: {workload.name!r} has clients, so listen.client_ca is needed")
            for name in workload.clients:
                if by_client.setdefault(name, workload.name) != workload.name:
                    raise ValueError(f"workloads: client {name!r} belongs to two workloads. Keep it at one")
        limited_names = [
            *(limited.name for limited in (*self.teams, *self.workloads) if limited.allowance.is_counted),
            *(workload.name for workload in self.workloads if workload.people.is_counted),
        ]
        if limited_names and self.database is None:
            raise ValueError(f"database is needed to count the allowance of {limited_names[0]!r}")
        for workload in self.workloads:
            self._priced(workload)
        if workload_names and (unknown := {route.workload for route in self.routes} - workload_names):
            raise ValueError(f"routes: workload {min(unknown)!r} is not in `workloads`")
        return self

    def _priced(self, workload: Workload) -> None:
        """Raise ValueError if the workload has a budget in USD and one of its places has no price."""
        team = next((team for team in self.teams if team.name == workload.team), None)
        allowances = [workload.allowance, workload.people, *([team.allowance] if team else [])]
        if not any(allowance.usd_per_month for allowance in allowances):
            return
        for route in self.routes:
            for place in route.places if route.workload == workload.name else []:
                if not place.has_price:
                    raise ValueError(
                        f"routes: {workload.name!r} has a budget in USD, so {place.server_name!r} needs a price"
                    )

    @model_validator(mode="after")
    def _traced_under_tls(self) -> GatewayConfig:
        if (
            self.traces is not None
            and self.traces.endpoint.startswith("http:")
            and self.data_class != "public"
        ):
            raise ValueError(f"traces.endpoint: class {self.data_class} requires https://")
        return self

    @model_validator(mode="after")
    def _boundaries(self) -> GatewayConfig:
        route_keys: set[tuple[str, str]] = set()
        for route in self.routes:
            if (route.workload, route.called) in route_keys:
                raise ValueError(f"routes names {route.called!r} of workload {route.workload!r} twice")
            route_keys.add((route.workload, route.called))
        if self.data_class != "restricted":
            return self
        for route in self.routes:
            if route.overflow is not None:
                raise ValueError(
                    f"routes: restricted workload {route.workload!r} must have no overflow. Remove it"
                )
            for place in route.places:
                if is_cloud_host(place.host) or is_cloud_host(place.server_name):
                    raise ValueError(
                        f"routes: restricted workload {route.workload!r} must stay on the site, but goes to"
                        f" {place.host!r}"
                    )
        guards = self.screening.guards if self.screening else []
        models = [(f"guard {guard.name}", guard.model) for guard in guards]
        for key, settings in (("database", self.database), ("traces", self.traces), *models):
            if settings is not None and is_cloud_host(settings.host):
                raise ValueError(
                    f"{key}: restricted data must stay on the site, but {settings.host!r} is a cloud host"
                )
        return self


def require_distinct(key: str, names: list[str]) -> set[str]:
    distinct: set[str] = set()
    for name in names:
        if name in distinct:
            raise ValueError(f"{key} names {name!r} twice")
        distinct.add(name)
    return distinct
