"""Settings of `mode: chat`: the proxy in the pod of a chat, which alone holds the certificate for the gateway."""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from edge.classes import DataClass
from edge.config.base import Health, Limits, Listen, Name, Strict, is_cloud_host, require_loopback
from edge.config.database import DatabaseConfig
from edge.config.gateway import UpstreamTls
from edge.config.tokens import LOOPBACK, Tokens

REQUESTS_PATH = "/isthmus/requests"
"""Path of the page *My requests* at a chat."""
START_PATH = "/isthmus/start"
"""Path of a person's start page at a chat."""


class History(Strict):
    """People's conversations."""

    days: Annotated[int, Field(ge=0, le=3660)]
    """Days for which they are kept, from the last message. 0: nothing is kept."""
    database: DatabaseConfig
    """Open WebUI's own database, as the user who owns it."""


class HelpContact(Strict):
    """Whom people ask."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """As people read it, such as `IT help desk`."""
    workloads: list[Name] = []
    """The workloads that it helps with. Empty: all."""
    mail: Annotated[str, Field(pattern=r"^[^@\s<>\"]+@[^@\s<>\"]+$", max_length=200)] | None = None
    phone: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 ()/-]{1,39}$")] | None = None
    page: Annotated[str, Field(pattern=r"^https://[^\s<>\"]+$", max_length=500)] | None = None

    @model_validator(mode="after")
    def _reachable(self) -> HelpContact:
        if not (self.mail or self.phone or self.page):
            raise ValueError("help needs mail, phone or page")
        return self


class Place(Strict):
    """Another address that a person of some groups uses."""

    kind: Literal["chat", "desk", "board"]
    data_class: DataClass = Field(alias="class")
    url: Annotated[str, Field(pattern=r"^https?://[^\s<>\"]+$")]
    groups: list[Name]
    """Groups whose people see it on their start page."""


class ChatConfig(Strict):
    """`mode: chat`."""

    mode: Literal["chat"]
    data_class: DataClass = Field(alias="class")
    site: Name
    listen: Listen
    """Where the sign-on's proxy sends people's requests."""
    inner: Health
    """Where the chat asks models: plain HTTP on loopback, with the path of OpenAI's API."""
    health: Health
    chat: str
    """The chat on loopback."""
    gateway: str
    """URL of the class's gateway."""
    gateway_tls: UpstreamTls
    tokens: Tokens
    """Access tokens that are accepted. `workloads` are those that the chat offers, with their groups."""
    model_names: dict[Name, str] = {}
    """The model behind each workload, as people read it."""
    help: list[HelpContact] = []
    """Whom people ask, on their start page."""
    places: list[Place] = []
    """Other chats, desks and boards, on the start page of who may use them."""
    max_session_s: Annotated[int, Field(ge=300, le=86400)] = 28800
    """Seconds after which a person signs on anew (claim `auth_time`)."""
    open_webui: bool = True
    """Whether the chat is Open WebUI, which gets its functions and models from here. False: another chat."""
    history: History | None = None
    """Needed with Open WebUI, whose conversations are deleted from here."""
    limits: Limits = Limits()

    @field_validator("chat")
    @classmethod
    def _loopback(cls, url: str) -> str:
        return require_loopback(url, "http://127.0.0.1:8080")

    @field_validator("gateway")
    @classmethod
    def _secure(cls, url: str) -> str:
        address = urlsplit(url)
        if (
            address.scheme != "https"
            or not address.hostname
            or address.path not in ("", "/")
            or address.query
        ):
            raise ValueError(
                "must be https:// with a host, such as https://internal-gateway.isthmus-internal.svc:8443"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _stays_in_its_class(self) -> ChatConfig:
        if self.inner.host not in LOOPBACK:
            raise ValueError(
                f"inner.host must be a loopback address, because nobody signs on there: {self.inner.host}"
            )
        if self.tokens.through:
            raise ValueError("tokens.through is for gateways. Remove it")
        if self.open_webui and self.history is None:
            raise ValueError("history is needed with Open WebUI. Set it, or open_webui: false")
        host = urlsplit(self.gateway).hostname or ""
        if self.data_class == "restricted" and is_cloud_host(host):
            raise ValueError(f"gateway: restricted data must stay on the site, but {host!r} is a cloud host")
        others = [name for name in get_args(DataClass) if name != self.data_class]
        if any(f"isthmus-{name}" in host.split(".") for name in others):
            raise ValueError(
                f"gateway: {host!r} is of another class than the chat, which is {self.data_class}"
            )
        return self
