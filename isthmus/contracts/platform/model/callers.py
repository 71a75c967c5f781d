"""Callers of a gateway: their certificates, their limits, and the database that counts them. Data model only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, StringConstraints

from isthmus.contracts.vocabulary import DnsLabel, Part
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    pass

Count = Annotated[int, Field(ge=1, le=10**15)]
_CLIENT = re.compile(
    r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)


def is_client_name(text: str) -> bool:
    """Whether the text is a full DNS name or a SPIFFE id."""
    return _CLIENT.fullmatch(text) is not None


def check_client_names(names: list[str]) -> list[str]:
    """Return the names. Raises `FieldError` with the place of the first that is no client name."""
    for index, name in enumerate(names):
        if not is_client_name(name):
            fix = "Write a full DNS name in lower case, or spiffe://TRUST-DOMAIN/PATH"
            raise FieldError(f"`{name}` is not a valid name of a client certificate", index, fix=fix)
    return names


ClientNames = Annotated[list[str], AfterValidator(check_client_names)]
"""DNS names or SPIFFE ids of client certificates."""


class Allowance(Part):
    """Limits per minute and per calendar month (UTC), for all copies of a gateway together."""

    requests_per_minute: Count | None = None
    """The most requests a minute. Absent: no limit."""
    tokens_per_minute: Count | None = None
    """The most tokens a minute, of prompts and answers together. Absent: no limit."""
    tokens_per_month: Count | None = None
    """The most tokens a calendar month, of prompts and answers together. Absent: no limit."""
    usd_per_month: float | None = Field(default=None, gt=0, le=10**9)
    """By the prices of its endpoints (`cost`), each of which must have one."""
    parallel_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The most requests at once. Without a database each copy of the gateway counts its own. Absent: no limit."""

    @property
    def is_counted(self) -> bool:
        """Whether one of the limits needs a database that counts."""
        return self.model_copy(update={"parallel_requests": None}) != Allowance()


class GatewayTeam(Part):
    """Limits for all workloads of one team behind a gateway."""

    name: DnsLabel
    """Name of the team, as `team` of its workloads."""
    allowance: Allowance
    """What the team's workloads may use together."""


class GatewayDatabase(Part):
    """PostgreSQL with the digests of callers' keys and their use, for one class at one site."""

    host: Annotated[str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    """The name that its certificate bears; the gateway knows it by `address`."""
    address: Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]
    """A network policy cannot hold a name to anything, and a restricted gateway asks no cluster DNS."""
    port: int = Field(default=5432, ge=1, le=65535)
    """Port of the database."""
    name: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "isthmus"
    """Name of the database."""
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "gateway"
    """User as whom the gateway signs in."""


class Caller(Part):
    """Callers of a workload: the certificates that identify them, and their limits."""

    clients: ClientNames = []
    """DNS names or SPIFFE ids of client certificates that speak for it. With any, its keys are taken from them only."""
    allowance: Allowance = Allowance()
    """What it may use. Absent: no limit."""
    people: Allowance = Allowance()
    """What each person may use who calls it with an access token. Absent: no limit."""
