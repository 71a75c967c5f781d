"""Settings of `mode: notifier`: the outbox that it reads, and where it sends each notification."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edge.classes import DataClass
from edge.config.base import File, Health, Name, Port, Strict, as_range, is_address, is_cloud_host, is_within
from edge.config.database import DatabaseConfig
from edge.config.webhooks import Webhook
from edge.review_domains import Label

Mail = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$")]
Service = Literal["slack", "teams", "pagerduty", "webhook"]
GatherSeconds = Annotated[float, Field(ge=0, le=3600)]
GiveUpHours = Annotated[float, Field(gt=0, le=24 * 14)]


class MailTarget(Strict):
    """Mailboxes, through a mail relay."""

    relay: Name
    """Host name in the relay's certificate, or its address."""
    address: Name | None = None
    """IP address of the relay. Needed for class restricted, unless `relay` is an address: no other one is used."""
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """`none` is for a relay on loopback."""
    sender: Mail
    to: Annotated[list[Mail], Field(min_length=1, max_length=50)]
    user: Name | None = None
    password: File | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> MailTarget:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together. Set both or neither")
        if self.address is not None and not is_address(self.address):
            raise ValueError(f"address: {self.address!r} is not an IP address")
        if self.tls == "none" and not _is_loopback(self.relay):
            raise ValueError("tls: none is for a relay on loopback only. Use starttls or tls")
        return self

    @property
    def only_address(self) -> str | None:
        """The only address at which the relay may be. None: any."""
        return self.address or (self.relay if is_address(self.relay) else None)


class Target(Strict):
    """Where a notification goes. Exactly one of `mail`, `service` with `url`, and `on_call` is stated."""

    name: Label
    mail: MailTarget | None = None
    service: Service | None = None
    url: File | None = None
    """File with the Apprise URL of the service, which holds its secret."""
    on_call: File | None = None
    """Calendar that names another target for each moment: who is on call."""

    @model_validator(mode="after")
    def _is_one(self) -> Target:
        if (self.service is None) != (self.url is None):
            raise ValueError("service and url go together. Set both or neither")
        if sum(kind is not None for kind in (self.mail, self.service, self.on_call)) != 1:
            raise ValueError("state exactly one of mail, service and on_call")
        return self


class NotificationRoute(Strict):
    """The targets of the notifications of a domain, or of one addressee there."""

    domain: Label = Field(examples=["payments"])
    """The domain of the answers."""
    to: Label | None = Field(default=None, examples=["seniors"])
    """`group`, `seniors` or a role of the domain's escalation. Absent: everybody without a route of their own."""
    targets: Annotated[list[Label], Field(min_length=1, max_length=10)]
    """Names of targets, all of which get it."""


class NotifierConfig(Strict):
    """`mode: notifier`. It sends the notifications of one class at one site. They have no content."""

    mode: Literal["notifier"]
    data_class: DataClass = Field(alias="class")
    site: Name
    health: Health
    database: DatabaseConfig
    """Use a database user for this mode, which sees the outbox only."""
    link: str
    """Where people decide: a URL in each notification."""
    targets: Annotated[list[Target], Field(min_length=1, max_length=200)]
    routes: Annotated[list[NotificationRoute], Field(max_length=1000)] = []
    default: Annotated[list[Label], Field(min_length=1, max_length=10)]
    """Targets of notifications without a route."""
    networks: Annotated[list[Annotated[str, AfterValidator(as_range)]], Field(max_length=64)] = []
    """The site's networks. Needed for class restricted, where mail relays must be inside them."""
    language: Literal["en", "de"] = "en"
    """Language of the notifications."""
    relay_ca: File | None = None
    """CA of the mail relays. Absent: the system's."""
    gather_s: GatherSeconds = 60
    """Seconds in which notifications of one kind, domain and addressee become one."""
    give_up_h: GiveUpHours = 24
    """Hours after which a notification that a target does not take is dead."""

    webhooks: Annotated[list[Webhook], Field(max_length=200)] = []
    """Applications that are told of decided answers. They are within `networks`, in every class."""

    @model_validator(mode="after")
    def _names_agree(self) -> NotifierConfig:
        names = [target.name for target in self.targets]
        known = [*names, *(webhook.name for webhook in self.webhooks)]
        if len(set(known)) < len(known):
            raise ValueError("targets: two have the same name, or a target and a webhook")
        for route in [*self.routes, None]:
            for name in route.targets if route else self.default:
                if name not in names:
                    raise ValueError(f"{'routes' if route else 'default'}: there is no target {name!r}")
        keys = [(route.domain, route.to) for route in self.routes]
        if len(set(keys)) < len(keys):
            raise ValueError("routes: two have the same domain and to")
        address = urlsplit(self.link)
        if address.scheme != "https" or not address.hostname or address.username:
            raise ValueError("link must be https://host without a user")
        return self

    @model_validator(mode="after")
    def _stays_on_site(self) -> NotifierConfig:
        if self.data_class != "restricted":
            return self
        if is_cloud_host(self.database.host):
            raise ValueError(
                f"database: restricted data must stay on the site, but {self.database.host!r} is a cloud host"
            )
        for target in self.targets:
            where = f"targets: {target.name!r} of class restricted"
            if target.service is not None:
                raise ValueError(
                    f"{where} must be a mail relay at the site, but it is a service ({target.service})"
                )
            address = target.mail.only_address if target.mail is not None else None
            if target.mail is not None and (address is None or not is_within(address, self.networks)):
                raise ValueError(
                    f"{where} must name the address of a mail relay within networks. "
                    f"Found {address or target.mail.relay!r}"
                )
        return self

    @model_validator(mode="after")
    def _webhooks_stay_within(self) -> NotifierConfig:
        for webhook in self.webhooks:
            if not is_within(webhook.address, self.networks):
                raise ValueError(
                    f"webhooks: the address of {webhook.name!r} is not within networks. State an address of the site"
                )
        return self


def _is_loopback(host: str) -> bool:
    return is_address(host) and ipaddress.ip_address(host).is_loopback
