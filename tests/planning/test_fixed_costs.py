"""Fixed costs of AWS sites: prices with their evidence, and the choices that they change."""

from __future__ import annotations

import pytest

from bench.replay import TODAY
from isthmus.core.errors import InputError
from isthmus.planning import planner
from isthmus.planning.catalogues import fixed_prices
from isthmus.planning.planner import BlueprintOffer
from tests.planning.test_hardware import cloud, read

FARGATE = BlueprintOffer("fargate", ("public", "internal", "confidential"), 0, None, frozenset({"bedrock"}))
EKS = BlueprintOffer(
    "eks", ("public", "internal", "confidential"), 0, None, frozenset({"bedrock", "eks-vllm"})
)


def api_only():
    """The bank's work on APIs, in AWS alone."""
    data = cloud(allow=["bedrock"])
    data["workloads"] = [work for work in data["workloads"] if work["sensitivity"] in ("public", "internal")]
    return data


def test_a_region_with_a_listed_price_uses_it() -> None:
    price = fixed_prices.unit_price("interface-endpoint", "eu-central-1", {})
    assert (price.usd, price.kind) == (0.012, "list-price")


def test_a_region_without_a_price_is_an_estimate_with_a_fix() -> None:
    price = fixed_prices.unit_price("interface-endpoint", "eu-west-3", {})
    assert (price.usd, price.kind) == (0.0125, "estimated")
    assert "sites[].prices.interface-endpoint" in price.source


@pytest.mark.parametrize("item", fixed_prices.item_names())
def test_every_fixed_cost_has_a_price_in_every_region(item: str) -> None:
    assert fixed_prices.unit_price(item, "ap-southeast-4", {}).usd > 0


def test_a_price_stated_by_a_site_overrides_the_catalogue() -> None:
    own_prices = {"kms-key": {"usd_per_month": 0.5, "as_of": "2026-11-01", "source": "contract"}}
    price = fixed_prices.unit_price("kms-key", "eu-central-1", own_prices)
    assert (price.usd, price.kind, price.source) == (0.5, "given", "contract")


def test_a_price_under_the_wrong_unit_is_refused_with_the_right_one() -> None:
    with pytest.raises(InputError, match="has no `usd_per_month`"):
        fixed_prices.unit_price(
            "kms-key", "eu-central-1", {"kms-key": {"usd_per_hour": 1, "as_of": "2026-11"}}
        )


def test_the_plan_prefers_fargate_to_a_cluster_if_only_apis_are_called() -> None:
    requirements = read(api_only())
    planned = planner.make_plan(requirements, (EKS, FARGATE), TODAY).plan
    assert planned.blueprint == "fargate"
    [alternative] = planned.alternatives or []
    assert "more" in alternative.rejected_because[0], "the cluster and its nodes cost more than tasks"


def test_a_budget_below_the_fixed_cost_is_infeasible() -> None:
    data = api_only()
    free = planner.make_plan(read(data), (FARGATE,), TODAY).plan
    tokens = sum(item.monthly_usd for item in free.cost_items or [] if item.unit == "million tokens")
    data["budget"] = {"monthly_usd": round(tokens + 50)}
    assert not planner.make_plan(read(data), (FARGATE,), TODAY).plan.feasible


def test_an_unused_aws_site_costs_nothing() -> None:
    data = api_only()
    data["sites"].append(
        {
            **data["sites"][0],
            "name": "paris",
            "region": "eu-west-3",
            "jurisdiction": "fr",
            "vpc_cidr": "10.99.0.0/16",
        }
    )
    planned = planner.make_plan(read(data), (FARGATE,), TODAY).plan
    assert not [item.what for item in planned.cost_items or [] if item.what.startswith("paris")]
