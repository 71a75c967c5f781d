"""Teams and their monthly budgets, on which gateways, AWS Budgets and reports act. Data model only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from isthmus.contracts.platform.model.aws.account import Email
from isthmus.contracts.vocabulary import DnsLabel, Part


class GatewayPortion(Part):
    """The part of a team's budget that one gateway may spend."""

    name: DnsLabel
    """Name of the gateway."""
    percent: float = Field(gt=0, lt=100, json_schema_extra={"unit": "percent"}, examples=[70])
    """Its part of the budget."""


class TeamBudget(Part):
    """What a team may spend in a calendar month (UTC)."""

    usd_per_month: float = Field(gt=0, le=10**9)
    """The budget, for all models of the team's workloads together."""
    at_gateways: Literal["refuse", "off"] = "refuse"
    """`refuse`: gateways count by the prices of their endpoints, and refuse requests once it is used up. `off`: only
    AWS Budgets and reports act on it."""
    gateways: list[GatewayPortion] = []
    """Needed if the team has workloads behind several gateways. Their databases are apart, so each counts its part."""
    alert_pct: list[Annotated[int, Field(ge=1, le=1000)]] = [80, 100]
    """AWS Budgets: alerts of actual spend. One of forecast spend at 100 % comes with them."""
    notify: list[Email] = []
    """Whom AWS Budgets tells: the owner. Absent: `contacts.cost`."""


class Team(Part):
    """A team. Its workloads name it in `gateways[].workloads[].team`."""

    name: DnsLabel
    """Name of the team."""
    budget: TeamBudget
    """Its budget."""
