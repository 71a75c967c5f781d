"""Where the budgets of a platform act: at gateways, and in the accounts of AWS sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.contracts.platform.model.aws.account import TAG_KEYS
from isthmus.contracts.platform.model.callers import Allowance, GatewayTeam
from isthmus.contracts.platform.model.platform import Gateway, Platform, Workload
from isthmus.contracts.platform.model.teams import Team
from isthmus.contracts.vocabulary import CALLED_TARGETS


@dataclass(frozen=True)
class AwsBudget:
    """A budget in the account of an AWS site."""

    name: str
    site: str
    scope: str
    """`platform`, `class`, `workload` or `team`."""
    of: str
    counted: tuple[str, ...]
    """Values of the scope's cost-allocation tag that it counts."""
    monthly_usd: float
    alert_pct: list[int]
    action: str = "none"
    notify: tuple[str, ...] = ()
    """Whom it tells. Empty: `contacts.cost`."""

    @property
    def filter_values(self) -> list[str]:
        """The values of its cost filter `TagKeyValue`."""
        return [f"user:{TAG_KEYS[self.scope]}${value}" for value in self.counted]


def gateways_of(platform: Platform, team: str) -> list[Gateway]:
    """The gateways with a workload of the team."""
    return [
        gateway
        for gateway in platform.gateways
        if any(workload.team == team for workload in gateway.workloads)
    ]


def team_limits(platform: Platform, gateway: Gateway) -> list[GatewayTeam]:
    """The limits of teams at a gateway: those that it states, with each team's part of its budget."""
    limits = {team.name: team for team in gateway.teams}
    for team in platform.teams:
        if team.budget.at_gateways == "off" or gateway not in gateways_of(platform, team.name):
            continue
        stated = limits[team.name].allowance if team.name in limits else Allowance()
        part = {"usd_per_month": _portion(team, gateway)}
        limits[team.name] = GatewayTeam(name=team.name, allowance=stated.model_copy(update=part))
    return list(limits.values())


def aws_budgets(platform: Platform) -> list[AwsBudget]:
    """The stated budgets, and each team's budget at each AWS site where its workloads call models."""
    stated = [
        AwsBudget(
            budget.name,
            budget.site,
            budget.scope,
            budget.of,
            (budget.of,),
            budget.monthly_usd,
            budget.alert_pct,
            budget.action,
        )
        for budget in platform.budgets
    ]
    return [*stated, *(budget for team in platform.teams for budget in _budgets_of_team(platform, team))]


def _budgets_of_team(platform: Platform, team: Team) -> Iterator[AwsBudget]:
    workloads = [
        workload
        for gateway in platform.gateways
        for workload in gateway.workloads
        if workload.team == team.name
    ]
    for site in platform.sites:
        called = tuple(
            dict.fromkeys(
                workload.name for workload in workloads if _calls_models_at(platform, workload, site.name)
            )
        )
        if called:
            yield AwsBudget(
                f"team-{team.name}",
                site.name,
                "team",
                team.name,
                called,
                team.budget.usd_per_month,
                team.budget.alert_pct,
                notify=tuple(team.budget.notify),
            )


def _calls_models_at(platform: Platform, workload: Workload, site: str) -> bool:
    return any(
        endpoint.id in workload.reaches and endpoint.target in CALLED_TARGETS
        for endpoint in platform.endpoints
        if endpoint.site == site
    )


def _portion(team: Team, gateway: Gateway) -> float:
    """USD a month that the team may spend at the gateway."""
    percent = next((part.percent for part in team.budget.gateways if part.name == gateway.name), 100.0)
    return round(team.budget.usd_per_month * percent / 100, 2)
