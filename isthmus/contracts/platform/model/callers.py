"""Who calls a gateway, where that is known, and what each may use. Parts of `isthmus.contracts.platform`; data only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, field_validator

from isthmus.contracts.vocabulary import DnsLabel, Part
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

Count = Annotated[int, Field(ge=1, le=10**15)]
_CLIENT = re.compile(
    r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)


def whole_name(text: str) -> bool:
    """Whether it is a whole DNS name or a SPIFFE id."""
    return _CLIENT.fullmatch(text) is not None


class Allowance(Part):
    """What may be used in a minute and in a calendar month, UTC, by all copies of a gateway together."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    tokens_per_month: Count | None = None
    usd_per_month: float | None = Field(default=None, gt=0, le=10**9)
    """By the `cost` that its endpoints state, each of which must have one."""


class GatewayTeam(Part):
    """What a team's workloads behind one gateway may use together."""

    name: DnsLabel
    allowance: Allowance


class GatewayDatabase(Part):
    """PostgreSQL with the digests of callers' keys and what they used; of one class at one site."""

    host: Annotated[str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    """The name that its certificate bears; the gateway knows it by `address`."""
    address: Annotated[str, StringConstraints(pattern=r"^(\d{1,3}\.){3}\d{1,3}$")]
    """A network policy cannot hold a name to anything, and a restricted gateway asks no cluster DNS."""
    port: int = Field(default=5432, ge=1, le=65535)
    name: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "isthmus"
    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")] = "gateway"


class Caller(Part):
    """Of a gateway's workload: by which certificates its callers are known, and what it may use."""

    clients: list[str] = []
    """DNS names or SPIFFE ids of client certificates that speak for it. With any, its keys are taken from them only."""
    allowance: Allowance = Allowance()

    @field_validator("clients")
    @classmethod
    def _whole_names(cls, clients: list[str]) -> list[str]:
        for index, name in enumerate(clients):
            if not whole_name(name):
                fix = "Write a whole DNS name in lower case, or spiffe://TRUST-DOMAIN/PATH"
                raise FieldError(f"`{name}` is no name of a client's certificate", index, fix=fix)
        return clients


def limits_have_where_to_be_counted(platform: Platform) -> None:
    """What is limited is counted in a database; a client speaks for one workload, and public ones show none."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index)
        limited = [each.name for each in gateway.workloads if each.allowance != Allowance()]
        limited += [team.name for team in gateway.teams]
        if limited and gateway.database is None:
            what = f"gateway {gateway.name} limits {limited[0]} and has no database"
            raise FieldError(
                what,
                *path,
                "database",
                fix="Name the PostgreSQL in which its copies count, or limit nothing",
            )
        if gateway.database is not None and gateway.runs_on != "kubernetes":
            what = f"gateway {gateway.name} runs on Fargate, where a database is not built for"
            raise FieldError(what, *path, "database", fix="Leave it out: keys are in callers_secret there")
        own = {workload.team for workload in gateway.workloads}
        for number, team in enumerate(gateway.teams):
            if team.name not in own:
                what = f"no workload of gateway {gateway.name} is of team {team.name}"
                raise FieldError(
                    what,
                    *path,
                    "teams",
                    number,
                    "name",
                    fix="Name it as `team` of a workload, or leave it out",
                )
        spoken: dict[str, str] = {}
        for number, workload in enumerate(gateway.workloads):
            for name in workload.clients:
                where = (*path, "workloads", number, "clients")
                if gateway.class_ == "public" or gateway.runs_on != "kubernetes":
                    what = f"callers of {gateway.name} are not asked for a certificate of their own"
                    raise FieldError(what, *where, fix="Leave clients out there: give keys")
                if spoken.setdefault(name, workload.name) != workload.name:
                    what = f"{name} would speak for {spoken[name]} and for {workload.name}"
                    raise FieldError(what, *where, fix="Let each client speak for one workload")
