"""Ways out of an infeasible plan: nodes are bought where they are cheapest, of every pool, alone and in pairs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bench.replay import OFFERS, TODAY, read
from isthmus.planning import planner
from isthmus.planning.options.option import Rules
from isthmus.planning.solver import infeasibility
from tests.planning.test_planner import bank

pytestmark = pytest.mark.whole

H100, L40S = ("fra1", "h100-sxm-80gb"), ("fra1", "l40s-48gb")


@pytest.fixture(scope="module")
def short() -> dict[str, Any]:
    """The bank's requirements with one node of H100, two of L40S, and work that must survive a node."""
    data = bank(budget=None)
    for workload in data["workloads"]:
        workload["survive"] = "node"
    for pool in data["sites"][0]["pools"]:
        pool.update(failure_domains=1, nodes=1 if pool["gpu"] == H100[1] else 2)
    return data


def test_a_pool_outside_the_conflict_is_bought_if_that_is_cheaper(short: dict[str, Any]):
    plan = planner.make_plan(read(short), OFFERS, TODAY).plan
    assert plan.conflicts == ["kyc-extraction: survive node", "fra1: 8 x l40s-48gb"]
    first, *others = plan.ways_out
    assert first.what == "8 more h100-sxm-80gb at fra1 (1 node)"
    assert all(first.monthly_cost_usd < other.monthly_cost_usd for other in others)


def test_no_smallest_purchase_of_up_to_two_nodes_of_each_pool_is_cheaper(short: dict[str, Any]):
    """Smallest: with one node less it is none. A larger one may cost less, since idle GPUs are not counted."""
    requirements, rules = read(short), Rules(TODAY)
    conflicts = infeasibility.find_conflicts(requirements, rules)
    offered = infeasibility.find_ways_out(requirements, conflicts, rules)[0].monthly_cost_usd
    costs = {
        nodes: infeasibility._least_cost(
            infeasibility._with_nodes(requirements, dict(zip((H100, L40S), nodes, strict=True))), rules
        )
        for nodes in itertools.product(range(3), repeat=2)
    }
    smallest = [
        cost
        for (first, second), cost in costs.items()
        if cost is not None
        and (first == 0 or costs[first - 1, second] is None)
        and (second == 0 or costs[first, second - 1] is None)
    ]
    assert smallest
    assert offered <= min(smallest) + 0.01


def test_nothing_is_bought_where_the_conflict_is_about_something_else():
    data = bank(budget={"monthly_usd": 20000})
    requirements, rules = read(data), Rules(TODAY)
    conflicts = infeasibility.find_conflicts(requirements, rules)
    ways = infeasibility.find_ways_out(requirements, conflicts, rules)
    assert [way.what.partition(" to ")[0] for way in ways] == ["budget 20,000"]


def test_a_missing_fact_is_named_before_what_a_class_may_not_use():
    data = bank(budget=None)
    data.pop("cost", None)
    for site in data["sites"]:
        site.pop("cost", None)
        for pool in site.get("pools", []):
            pool.pop("cost", None)
    data["workloads"] = [w for w in data["workloads"] if w["sensitivity"] == "restricted"]
    plan = planner.make_plan(read(data), OFFERS, TODAY).plan
    assert not plan.feasible
    assert all("cannot be priced" in conflict for conflict in plan.conflicts), plan.conflicts


def only(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The requirements with one workload."""
    data["workloads"] = [candidate for candidate in data["workloads"] if candidate["name"] == name]
    return data


def test_a_context_that_no_model_has_is_the_conflict_and_a_shorter_one_the_way_out():
    data = only(bank(budget=None), "transaction-narratives")
    data["workloads"][0]["model"]["context_tokens"] = 200_000
    plan = planner.make_plan(read(data), OFFERS, TODAY).plan
    assert [conflict.partition(":")[0] for conflict in plan.conflicts] == ["transaction-narratives"]
    assert "context_tokens 200,000" in plan.conflicts[0]
    assert "context_tokens 200,000 to" in plan.ways_out[0].what


def test_the_smallest_union_around_a_residency_is_offered_before_any_place():
    data = only(bank(budget=None), "policy-assistant")
    data["workloads"][0]["residency"] = ["de"]
    data["workloads"][0]["model"]["candidates"] = [
        candidate for candidate in data["workloads"][0]["model"]["candidates"] if "api" in candidate["scores"]
    ]
    plan = planner.make_plan(read(data), OFFERS, TODAY).plan
    assert [way.what for way in plan.ways_out if "residency" in way.what] == [
        "policy-assistant: residency de to eu"
    ]
