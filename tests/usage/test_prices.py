"""Prices of endpoints in a plan: each with its source and day, or none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from isthmus.blueprints.offers import offers
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reports.usage import UsagePrice
from isthmus.contracts.requirements import document
from isthmus.planning import planner
from isthmus.usage.prices import EndpointPrice, endpoint_prices, explain_unknown, gpu_hour_prices
from tests.blueprints import bank

HAIKU = "internal-claude-haiku-4-5"


def prices_of(data: dict[str, Any]) -> dict[str, EndpointPrice]:
    return endpoint_prices(Plan.model_validate(data))


def item(data: dict[str, Any], title_end: str) -> dict[str, Any]:
    return next(entry for entry in data["cost_items"] if entry["what"].endswith(title_end))


def endpoint_of(data: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in data["endpoints"] if entry["id"] == HAIKU)


def test_a_model_of_bedrock_costs_what_the_plan_found_with_source_and_day() -> None:
    data = bank.plan_data()
    price = prices_of(data)[HAIKU]
    assert price.tokens is not None
    assert (price.tokens.prompt, price.tokens.completion) == (Decimal("1.1"), Decimal("5.5"))
    assert price.gpu_hour is None
    assert price.source == item(data, "haiku-4-5-20251001-v1:0, input")["evidence"]["source"]
    assert price.as_of == "2026-11"


def test_cached_tokens_have_the_price_of_the_catalogue():
    price = prices_of(bank.plan_data())[HAIKU]
    assert price.tokens is not None
    assert price.tokens.cached == Decimal("0.11")
    assert price.tokens.cost(Decimal(10), Decimal(4), Decimal(1)) == Decimal("12.54"), (
        "6 × 1.1 + 4 × 0.11 + 5.5"
    )

    data = bank.plan_data()
    del endpoint_of(data)["usd_per_million_tokens"]["cached"]
    unknown = prices_of(data)[HAIKU].tokens
    assert unknown is not None
    assert unknown.cost(Decimal(10), Decimal(4), Decimal(1)) == Decimal("16.5"), "as much as others"


def test_a_model_that_is_only_a_fallback_has_the_price_of_its_endpoint():
    data = bank.plan_data()
    items = [entry for entry in data["cost_items"] if "haiku-4-5" not in entry["what"]]
    price = prices_of({**data, "cost_items": items})[HAIKU]
    assert price.tokens is not None
    assert (price.tokens.prompt, price.tokens.planned_prompt) == (Decimal("1.1"), 0)
    assert price.as_of == "2026-11"


def test_a_gpu_hour_on_prem_costs_its_part_of_the_pool_at_the_cost_basis() -> None:
    price = prices_of(bank.plan_data())["restricted-qwen3-32b"]
    assert price.tokens is None
    assert price.gpu_hour is not None
    assert round(price.gpu_hour, 6) == Decimal("1.369448"), "(625.00 + 229.50 + 145.197) / 730"
    assert price.source == "the requirements"


def test_a_gpu_hour_on_eks_costs_its_part_of_the_rented_machine() -> None:
    data = bank.plan_data()
    endpoint = next(entry for entry in data["endpoints"] if entry["id"] == "restricted-qwen3-32b")
    endpoint |= {"class": "confidential", "site": "frankfurt", "target": "eks-vllm", "purchase": "on-demand"}
    endpoint |= {"instance_type": "p5.48xlarge"}
    rented = item(data, "fra1: people")
    rented |= {"what": "frankfurt, 2 x p5.48xlarge (on-demand), confidential", "unit": "hours"}
    rented |= {"quantity": 1460.0, "unit_price_usd": 80.0}
    rented["evidence"] = {"kind": "list-price", "source": "a list", "as_of": "2026-11-02"}
    price = prices_of(data)["restricted-qwen3-32b"]
    assert price == EndpointPrice(None, Decimal(10), "a list", "2026-11-02"), "eight GPUs a machine"
    assert "restricted-qwen3-32b" not in gpu_hour_prices(Plan.model_validate(data)), "it is not on-prem"


def why_unknown(data: dict[str, Any], endpoint: str = HAIKU) -> UsagePrice:
    [price] = explain_unknown([UsagePrice(endpoint=endpoint)], Plan.model_validate(data))
    assert not price.is_known
    return price


def test_an_unknown_price_says_why():
    data = bank.plan_data()
    assert why_unknown(data, "another").unknown_because == "the plan has no such endpoint"
    assert "overrides remove its price" in (why_unknown(data).unknown_because or "")
    [known] = explain_unknown([UsagePrice(endpoint=HAIKU, usd_per_gpu_hour=0)], Plan.model_validate(data))
    assert known.unknown_because is None

    del endpoint_of(data)["usd_per_million_tokens"]
    title = item(data, "haiku-4-5-20251001-v1:0, input")["what"].removesuffix(", input")
    by_request = {**item(data, "haiku-4-5-20251001-v1:0, input"), "what": f"{title}, requests"}
    assert why_unknown({**data, "cost_items": [*data["cost_items"], by_request]}).unknown_because == (
        "it also costs by the request"
    )
    assert why_unknown({**data, "cost_items": []}).unknown_because == (
        "this plan has no price of its tokens: plan again"
    )
    on_prem = why_unknown({**data, "cost_items": []}, "restricted-qwen3-32b").unknown_because
    assert on_prem == "the plan has no price of its GPUs or instances"


def test_a_model_on_sagemaker_costs_the_hours_of_its_instances_and_nothing_by_token():
    requirements = document.load(bank.ROOT / "examples" / "hosted.requirements.yaml")
    plan = planner.make_plan(requirements, offers(), "2026-11-26").plan
    [price] = explain_unknown([UsagePrice(endpoint="confidential-qwen3-8b")], plan)
    assert not price.is_known
    assert price.usd_per_hour == pytest.approx(3 * 3.4), "three ml.g6e.2xlarge"
    assert (price.as_of, price.unknown_because) == ("2026-11-01", "AWS charges instances")


def test_an_endpoint_that_a_plan_of_an_earlier_release_does_not_price_wholly_has_no_price() -> None:
    data = bank.plan_data()
    del endpoint_of(data)["usd_per_million_tokens"]
    assert prices_of(data)[HAIKU].tokens is not None, "its cost items have the price"
    title = item(data, "haiku-4-5-20251001-v1:0, input")["what"].removesuffix(", input")
    unpriced = [entry for entry in data["cost_items"] if not entry["what"].startswith(title)]
    assert HAIKU not in prices_of({**data, "cost_items": unpriced}), (
        "its cost items have no tokens of a fallback"
    )

    by_request = {**item(data, "haiku-4-5-20251001-v1:0, input"), "what": f"{title}, requests"}
    assert HAIKU not in prices_of({**data, "cost_items": [*data["cost_items"], by_request]})

    other = {**data["placements"][2], "workload": "campaign-copy"}
    dearer = item(data, "haiku-4-5-20251001-v1:0, input") | {"unit_price_usd": 2.0}
    dearer = {**dearer, "what": title.replace("policy-assistant", "campaign-copy") + ", input"}
    items = [*data["cost_items"], dearer]
    two = {**data, "placements": [*data["placements"], other], "cost_items": items}
    assert HAIKU not in prices_of(two), "two workloads with two prices"
