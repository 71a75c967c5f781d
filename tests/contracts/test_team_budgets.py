"""Budgets of teams: where one amount acts, and which statements contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.lookups.budgets import aws_budgets, team_limits
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from tests.contracts.bank import platform_data, refused
from tests.contracts.test_platform_records import Change

DATABASE = {"host": "db.bank.example", "address": "10.40.7.7"}
TOKENS = {"usd_per_million_tokens": {"prompt": 1, "completion": 5}, "source": "a list", "as_of": "2026-11-02"}
INTERNAL, OTHER = "internal-fra1", "confidential-fra1"


def with_team(data: dict[str, Any], gateways: tuple[str, ...] = (INTERNAL,), **budget: Any) -> None:
    """A team `hr` with a budget, and the workloads of these gateways."""
    for gateway in data["gateways"]:
        gateway["workloads"][0].pop("team", None)
        if gateway["name"] in gateways:
            gateway["database"] = DATABASE
            gateway["workloads"][0]["team"] = "hr"
    for endpoint in data["endpoints"]:
        endpoint["cost"] = TOKENS if endpoint["target"] == "bedrock" else {"usd_per_gpu_hour": 1.5}
    data["teams"] = [{"name": "hr", "budget": {"usd_per_month": 4000, **budget}}]


def gateway_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(gateway for gateway in data["gateways"] if gateway["name"] == name)


def read(
    change: Change = lambda data: None, gateways: tuple[str, ...] = (INTERNAL,), **budget: Any
) -> Platform:
    data = platform_data()
    with_team(data, gateways, **budget)
    change(data)
    return overrides.validate(data)


def limits(platform: Platform, name: str) -> dict[str, float | None]:
    gateway = next(gateway for gateway in platform.gateways if gateway.name == name)
    return {team.name: team.allowance.usd_per_month for team in team_limits(platform, gateway)}


def test_one_amount_limits_the_team_at_its_gateway_and_is_a_budget_in_aws() -> None:
    platform = read(notify=["hr@bank.example"])
    assert limits(platform, INTERNAL) == {"hr": 4000}
    assert limits(platform, OTHER) == {}, "the team has no workload there"
    (budget,) = [budget for budget in aws_budgets(platform) if budget.scope == "team"]
    assert budget.filter_values == ["user:isthmus.dev/workload$policy-assistant"]
    assert (budget.site, budget.of, budget.monthly_usd) == ("frankfurt", "hr", 4000)
    assert (budget.alert_pct, budget.action, budget.notify) == ([80, 100], "none", ("hr@bank.example",))


def test_other_limits_of_the_team_stay_beside_its_budget() -> None:
    def limited(data: dict[str, Any]) -> None:
        teams = [{"name": "hr", "allowance": {"requests_per_minute": 60}}]
        gateway_of(data, INTERNAL)["teams"] = teams

    platform = read(limited)
    gateway = next(gateway for gateway in platform.gateways if gateway.name == INTERNAL)
    (team,) = team_limits(platform, gateway)
    assert (team.allowance.requests_per_minute, team.allowance.usd_per_month) == (60, 4000)


def test_a_budget_at_two_gateways_is_divided_and_aws_counts_what_is_there_against_all_of_it() -> None:
    parts = [{"name": INTERNAL, "percent": 75}, {"name": OTHER, "percent": 25}]
    platform = read(
        lambda data: data["teams"][0]["budget"].update(gateways=parts), gateways=(INTERNAL, OTHER)
    )
    assert (limits(platform, INTERNAL), limits(platform, OTHER)) == ({"hr": 3000}, {"hr": 1000})
    (budget,) = [budget for budget in aws_budgets(platform) if budget.scope == "team"]
    assert (budget.filter_values, budget.monthly_usd) == (
        ["user:isthmus.dev/workload$policy-assistant"],
        4000,
    )


def test_a_budget_that_gateways_do_not_count_acts_in_aws_alone() -> None:
    platform = read(lambda data: gateway_of(data, INTERNAL).pop("database"), at_gateways="off")
    assert limits(platform, INTERNAL) == {}
    assert [budget.of for budget in aws_budgets(platform) if budget.scope == "team"] == ["hr"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["teams"][0].update(name="sales"), "no workload has the team sales"),
        (
            lambda d: gateway_of(d, INTERNAL).pop("database"),
            f"gateway {INTERNAL} has no database that counts the budget of team hr",
        ),
        (
            lambda d: gateway_of(d, INTERNAL).update(
                teams=[{"name": "hr", "allowance": {"usd_per_month": 100}}]
            ),
            f"team hr has a budget, and another amount at gateway {INTERNAL}",
        ),
        (
            lambda d: gateway_of(d, INTERNAL)["workloads"][0].update(allowance={"usd_per_month": 4001}),
            "may spend 4001 USD a month (allowance), but its team hr only 4000",
        ),
        (
            lambda d: gateway_of(d, INTERNAL)["workloads"][0].update(people={"usd_per_month": 4001}),
            "may spend 4001 USD a month (people), but its team hr only 4000",
        ),
        (
            lambda d: d["budgets"].append(
                {
                    **{"name": "w", "site": "frankfurt", "scope": "workload", "monthly_usd": 5000},
                    "of": gateway_of(d, INTERNAL)["workloads"][0]["name"],
                }
            ),
            "may spend 5000 USD a month (budget w), but its team hr only 4000",
        ),
        (
            lambda d: with_team(d, (INTERNAL, OTHER)),
            f"team hr has workloads behind {OTHER} and {INTERNAL}, but its budget is not divided",
        ),
        (
            lambda d: d["teams"][0]["budget"].update(gateways=[{"name": INTERNAL, "percent": 60}]),
            f"the parts of team hr are not 100 % for {INTERNAL} together",
        ),
        (
            lambda d: d["teams"][0]["budget"].update(
                at_gateways="off", gateways=[{"name": INTERNAL, "percent": 60}]
            ),
            "divided among gateways, but `at_gateways` is off",
        ),
        (
            lambda d: with_team(d, (OTHER,), at_gateways="off"),
            "the budget of team hr acts nowhere",
        ),
        (
            lambda d: d["endpoints"][2].pop("cost"),
            "has a budget in USD, but its endpoint internal-haiku has no price",
        ),
        (lambda d: d["teams"].append(d["teams"][0]), "hr"),
    ],
)
def test_a_contradiction_is_refused_with_what_to_do(change: Change, message: str) -> None:
    def changed(data: dict[str, Any]) -> None:
        with_team(data)
        change(data)

    assert message in refused(InputError, changed)
