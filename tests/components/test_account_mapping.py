"""Arguments of the budgets in an AWS site's account."""

from __future__ import annotations

from typing import Any

from components.aws.account.mapping import budgets_args
from isthmus.contracts.platform.model.platform import Platform
from tests.components.platforms import bank


def denied(data: dict[str, Any], workload: str) -> list[str]:
    """The roles that the used-up budget of a workload denies."""
    budget = {"name": "own", "site": "frankfurt", "scope": "workload", "of": workload, "monthly_usd": 100}
    data["budgets"] = [{**budget, "action": "deny"}]
    platform = Platform.model_validate(data)
    roles = {identity.name: f"{identity.name}-role" for identity in platform.identities}
    arguments: Any = budgets_args(platform, platform.site("frankfurt"), roles)
    (settings,) = arguments["budgets"]
    return settings["role_names"]


def test_a_budget_of_a_workload_denies_the_identity_that_serves_it_alone() -> None:
    assert denied(bank(), "policy-assistant") == ["internal-bedrock-role"]
    assert denied(bank(), "campaign-copy") == ["public-bedrock-role"]


def test_a_budget_of_a_workload_does_not_deny_an_identity_that_others_use_too() -> None:
    data = bank()
    data["gateways"][2]["workloads"].append({"name": "second", "endpoint": "internal-haiku"})
    assert denied(data, "policy-assistant") == []


def test_a_teams_budget_counts_its_workloads_and_tells_its_owner() -> None:
    data = bank()
    data["budgets"] = []
    for gateway in data["gateways"]:
        for workload in gateway["workloads"]:
            if workload["name"] in ("policy-assistant", "campaign-copy"):
                workload["team"] = "hr"
    data["teams"] = [{"name": "hr", "budget": {"usd_per_month": 900, "notify": ["hr@bank.example"]}}]
    platform = Platform.model_validate(data)
    arguments: Any = budgets_args(platform, platform.site("frankfurt"), {})
    (settings,) = arguments["budgets"]
    assert (settings["name"], settings["scope"], settings["of"]) == ("team-hr", "team", "hr")
    assert settings["workloads"] == ["policy-assistant", "campaign-copy"]
    assert (settings["monthly_usd"], settings["notify"]) == (900, ["hr@bank.example"])
