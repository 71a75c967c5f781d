"""Endpoints get the plan's price, unless the stack states one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.blueprints import assembly, prices
from isthmus.contracts.platform.lookups.prices import usage_price
from isthmus.contracts.platform.model.costs_and_traces import EndpointCost
from isthmus.contracts.platform.model.platform import Endpoint
from isthmus.core.errors import InputError
from tests.blueprints import bank

HAIKU = "internal-claude-haiku-4-5"
_, PLAN = bank.requirements_and_plan()


def endpoints(*parts: dict[str, Any]) -> dict[str, Endpoint]:
    """The bank's endpoints, with these parts of overrides in addition. Their prices are the same without rendering."""
    overrides = bank.without_teams(copy.deepcopy(bank.overrides()))
    by_id = {part["id"]: part for part in overrides["endpoints"]}
    for part in parts:
        by_id[part["id"]] = {**by_id.get(part["id"], {}), **part}
    overrides["endpoints"] = list(by_id.values())
    platform = assembly.platform(bank.STACKS, bank.STACK, overrides, sandbox=True, lock=bank.LOCK)
    shown = prices.without_rendering(PLAN, overrides).prices
    assert shown == [usage_price(endpoint.id, endpoint.cost) for endpoint in platform.endpoints]
    return {endpoint.id: endpoint for endpoint in platform.endpoints}


def cost_of(endpoint: str, *parts: dict[str, Any]) -> EndpointCost:
    cost = endpoints(*parts)[endpoint].cost
    assert cost is not None
    return cost


def test_each_endpoint_of_the_bank_has_the_price_of_its_plan() -> None:
    costs = {name: endpoint.cost for name, endpoint in endpoints().items()}
    assert all(cost is not None and cost.source and cost.as_of for cost in costs.values())
    tokens = cost_of(HAIKU).usd_per_million_tokens
    assert tokens is not None
    assert (tokens.prompt, tokens.completion) == (1.1, 5.5)
    assert cost_of("restricted-qwen3-32b").usd_per_gpu_hour == 1.369448


def test_a_stated_price_replaces_that_of_the_plan_as_a_whole() -> None:
    stated = {"usd_per_million_tokens": {"prompt": 1, "completion": 2}, "source": "contract", "as_of": "2026"}
    cost = cost_of(HAIKU, {"id": HAIKU, "cost": stated})
    assert cost == EndpointCost.model_validate(stated)
    gpu = cost_of("restricted-qwen3-32b", {"id": "restricted-qwen3-32b", "cost": {"usd_per_gpu_hour": 2}})
    assert (gpu.usd_per_gpu_hour, gpu.source) == (2, None), "nothing of the plan's evidence stays"


def test_null_says_that_an_endpoint_has_no_price() -> None:
    assert endpoints({"id": HAIKU, "cost": None})[HAIKU].cost is None


def test_a_price_of_aws_needs_its_source_and_its_day() -> None:
    stated = {"usd_per_million_tokens": {"prompt": 1, "completion": 2}, "source": "contract"}
    with pytest.raises(InputError, match=f"the price of endpoint {HAIKU} has no `as_of`"):
        endpoints({"id": HAIKU, "cost": stated})


def test_budgets_of_teams_are_known_without_rendering() -> None:
    overrides = bank.overrides()
    platform = assembly.platform(bank.STACKS, bank.STACK, overrides, sandbox=True, lock=bank.LOCK)
    budgets = prices.without_rendering(PLAN, overrides).budgets
    assert budgets == {team.name: team.budget.usd_per_month for team in platform.teams} != {}
    for wrong in (
        {"teams": [{"name": "hr", "budget": 3}]},
        {"endpoints": [{"id": HAIKU, "cost": {}}]},
        {"teams": 3},
    ):
        with pytest.raises(InputError, match="overrides of endpoints or teams are wrong"):
            prices.without_rendering(PLAN, wrong)


def test_an_endpoint_with_another_model_has_no_price_of_the_plan() -> None:
    other = {"model": "amazon.nova-lite-v1:0", "inference_profile": "eu.amazon.nova-lite-v1:0"}
    regions = ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"]
    changed = endpoints({"id": HAIKU, **other, "destination_regions": regions})[HAIKU]
    assert changed.cost is None
