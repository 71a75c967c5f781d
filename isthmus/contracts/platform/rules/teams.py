"""Rules for teams and their budgets: each team is there, each budget acts somewhere, and no two amounts contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.budgets import aws_budgets, gateways_of
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform, Workload
    from isthmus.contracts.platform.model.teams import Team


def team_budgets_act(platform: Platform) -> None:
    """Each team has workloads, and its budget acts at gateways that count, or in AWS, and tells somebody."""
    unique(platform.teams, "name", "teams")
    for index, team in enumerate(platform.teams):
        path = ("teams", index)
        gateways = gateways_of(platform, team.name)
        if not gateways:
            known = sorted({w.team for gateway in platform.gateways for w in gateway.workloads if w.team})
            raise FieldError(
                f"no workload has the team {team.name}",
                *(*path, "name"),
                fix=f"Set `team` of a workload of a gateway (there are: {', '.join(known) or 'none'})",
            )
        in_aws = [
            budget for budget in aws_budgets(platform) if (budget.scope, budget.of) == ("team", team.name)
        ]
        if in_aws and not (team.budget.notify or platform.contacts.cost):
            raise FieldError(
                f"the budget of team {team.name} has nobody to tell in AWS",
                *(*path, "budget", "notify"),
                fix="Add the email address of a group, or set contacts.cost",
            )
        if team.budget.at_gateways == "refuse":
            uncounted = [gateway.name for gateway in gateways if gateway.database is None]
            if uncounted:
                raise FieldError(
                    f"gateway {uncounted[0]} has no database that counts the budget of team {team.name}",
                    *(*path, "budget", "at_gateways"),
                    fix=f"Set `database` of {uncounted[0]}, or `at_gateways: off`: then only AWS and reports act on it",
                )
        elif not in_aws:
            raise FieldError(
                f"the budget of team {team.name} acts nowhere: its workloads call no model in AWS",
                *(*path, "budget", "at_gateways"),
                fix="Set `at_gateways: refuse`, or remove the team",
            )


def team_budgets_are_divided(platform: Platform) -> None:
    """A budget at several gateways is divided among them, and adds up."""
    for index, team in enumerate(platform.teams):
        path = ("teams", index, "budget", "gateways")
        portions = {portion.name: portion.percent for portion in team.budget.gateways}
        unique(team.budget.gateways, "name", *path)
        if team.budget.at_gateways == "off":
            if portions:
                raise FieldError(
                    f"the budget of team {team.name} is divided among gateways, but `at_gateways` is off",
                    *path,
                    fix="Remove `gateways`, or set `at_gateways: refuse`",
                )
            continue
        names = [gateway.name for gateway in gateways_of(platform, team.name)]
        if not names:
            continue  # the rule before has refused it
        if len(names) == 1 and not portions:
            continue
        if set(portions) != set(names) or abs(sum(portions.values()) - 100) > 1e-6:
            listed = " and ".join(names)
            message = (
                f"team {team.name} has workloads behind {listed}, but its budget is not divided among them"
                if not portions
                else f"the parts of team {team.name} are not 100 % for {listed} together"
            )
            raise FieldError(message, *path, fix=_division(names))


def amounts_agree(platform: Platform) -> None:
    """No amount of a team's workloads is stated twice, or is above the team's budget."""
    for index, team in enumerate(platform.teams):
        for gateway in platform.gateways:
            if any(t.name == team.name and t.allowance.usd_per_month is not None for t in gateway.teams):
                raise FieldError(
                    f"team {team.name} has a budget, and another amount at gateway {gateway.name}",
                    *("teams", index, "budget", "usd_per_month"),
                    fix=f"Remove `usd_per_month` of the team at {gateway.name}: the budget acts there",
                )
            for workload in gateway.workloads:
                if workload.team == team.name:
                    _check_workload(platform, team, workload, ("teams", index, "budget", "usd_per_month"))


def _check_workload(platform: Platform, team: Team, workload: Workload, path: tuple[str | int, ...]) -> None:
    amounts = [
        ("allowance", workload.allowance.usd_per_month),
        ("people", workload.people.usd_per_month),
        *(
            (f"budget {budget.name}", budget.monthly_usd)
            for budget in platform.budgets
            if (budget.scope, budget.of) == ("workload", workload.name)
        ),
    ]
    for where, usd in amounts:
        if usd is not None and usd > team.budget.usd_per_month:
            raise FieldError(
                f"workload {workload.name} may spend {usd:g} USD a month ({where}), but its team {team.name} only "
                f"{team.budget.usd_per_month:g}",
                *path,
                fix="Raise the budget of the team, or lower that of the workload",
            )


def _division(names: list[str]) -> str:
    if len(names) == 1:
        return "Remove `gateways`: the team has one gateway"
    share = round(100 / len(names), 2)
    parts = [share] * (len(names) - 1)
    parts.append(round(100 - sum(parts), 2))
    listed = ", ".join(
        f"{{name: {name}, percent: {part:g}}}" for name, part in zip(names, parts, strict=True)
    )
    return f"Write for example `gateways: [{listed}]`"


CHECKS = (team_budgets_act, team_budgets_are_divided, amounts_agree)
