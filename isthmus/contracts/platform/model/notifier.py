"""The notifier of a gateway's reviews: whom it tells that answers wait, and how it reaches them. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from edge.config.notifier import GatherSeconds, GiveUpHours, Mail, NotificationRoute, Service
from edge.review_domains import Label
from isthmus.contracts.platform.model.records import Address
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part
from isthmus.core.errors import FieldError

HostName = Annotated[str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class NotifierMail(Part):
    """Mailboxes, through a mail relay."""

    relay: HostName = Field(examples=["smtp.site.example"])
    """Host name in the relay's certificate."""
    address: Address
    """IP address of the relay, the only one that is used. For class restricted it is on-prem."""
    port: Port = 587
    """Port of the relay."""
    tls: Literal["starttls", "tls"] = "starttls"
    """How the connection is encrypted: after a greeting, or from the start (port 465)."""
    sender: Mail = Field(examples=["isthmus@site.example"])
    """Who the mails are from."""
    to: Annotated[list[Mail], Field(min_length=1, max_length=50)] = Field(
        examples=[["payments-desk@site.example"]]
    )
    """Who gets them."""
    user: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    """Who signs in at the relay. Absent: nobody does."""
    secret: KubeName | None = None
    """Secret in the notifier's namespace with the `password` of `user`."""

    @model_validator(mode="after")
    def _signs_in_whole(self) -> NotifierMail:
        if (self.user is None) != (self.secret is None):
            missing = "secret" if self.secret is None else "user"
            message = "`user` and `secret` of a mail relay go together"
            raise FieldError(message, missing, fix=f"Set `{missing}`, or remove the other one")
        return self


class NotifierService(Part):
    """A service that takes messages over HTTPS. Not for class restricted."""

    kind: Service
    """Which one."""
    host: HostName = Field(examples=["hooks.slack.com"])
    """Host name in its URL."""
    address: Address
    """IP address at which it is reached: a network policy cannot hold a name."""
    port: Port = 443
    """Port of the service."""
    secret: KubeName
    """Secret in the notifier's namespace with `url`: the service's Apprise URL, which holds its token."""


class OnCallCalendar(Part):
    """Who is on call, in YAML (docs/deadlines.md). It names other targets."""

    config_map: KubeName | None = None
    """ConfigMap in the notifier's namespace with `on-call.yaml`. A change of it needs no deployment."""
    text: Annotated[str, Field(max_length=256 * 1024)] | None = Field(
        default=None, examples=["time_zone: Europe/Berlin\nrotation: {…}"]
    )
    """The calendar itself, in place of `config_map`."""

    @model_validator(mode="after")
    def _has_one_source(self) -> OnCallCalendar:
        if (self.config_map is None) == (self.text is None):
            message = "a calendar has either `config_map` or `text`"
            raise FieldError(message, "text", fix="Set one of the two")
        return self


class NotifierTarget(Part):
    """Where notifications go: exactly one of `mail`, `service` and `on_call`."""

    name: DnsLabel
    """By which routes and calendars name it, and by which overrides merge."""
    mail: NotifierMail | None = None
    """Mailboxes."""
    service: NotifierService | None = None
    """Slack, Teams, PagerDuty or a webhook."""
    on_call: OnCallCalendar | None = None
    """Another target for each moment: who is on call."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> NotifierTarget:
        if sum(kind is not None for kind in (self.mail, self.service, self.on_call)) != 1:
            message = f"target {self.name} must have exactly one of mail, service and on_call"
            raise FieldError(message, fix="Keep one, and write another target for each further one")
        return self


class NotifierWebhook(Part):
    """An application that is told when an answer is decided: an id and a status, never content."""

    name: DnsLabel
    """By which overrides merge. Another name than those of targets."""
    workloads: list[DnsLabel] = Field(min_length=1)
    """Workloads of the gateway whose answers it is told of. A workload has one webhook at most."""
    url: Annotated[str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$")] = Field(
        examples=["https://payments.site.example/isthmus"]
    )
    """Where the application listens."""
    address: Address
    """IP address at which it is reached, in a network where the class may be. For class restricted it is on-prem."""
    secret: KubeName
    """Secret in the notifier's namespace with `secret`: `whsec_` and base64."""
    ca: KubeName | None = None
    """ConfigMap in the notifier's namespace with `ca.crt`: who signed its certificate. Absent: a public authority."""


class ReviewNotifier(Part):
    """Tells people that answers wait for them. It runs in a namespace of its own and reads no answer."""

    secret: KubeName
    """Secret in its namespace with `password` and `ca.crt` of the database."""
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "notifier"
    """As whom it asks the gateway's database: one that reads the outbox only."""
    link: str | None = Field(default=None, examples=["https://reviews-restricted.bank.example"])
    """Where people decide, in each notification. Absent: the desk's `url`."""
    targets: list[NotifierTarget] = Field(min_length=1, max_length=200)
    """Where notifications can go."""
    routes: Annotated[list[NotificationRoute], Field(max_length=1000)] = []
    """Targets of a domain, or of one addressee there."""
    default: Annotated[list[Label], Field(min_length=1, max_length=10)]
    """Targets of notifications without a route."""
    webhooks: Annotated[list[NotifierWebhook], Field(max_length=200)] = []
    """Applications that are told when an answer is decided."""
    relay_ca: KubeName | None = None
    """ConfigMap in its namespace with `ca.crt`: who signed the relays' certificates. Absent: a public authority."""
    language: Literal["en", "de"] = "en"
    """Language of the notifications."""
    gather_s: GatherSeconds = 60
    """Time in which notifications of one kind, domain and addressee become one."""
    give_up_h: GiveUpHours = 24
    """Hours after which a notification that a target does not take is dead."""
