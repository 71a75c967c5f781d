"""Reasons of a plan: runner-ups, what decided, turning points, idle hardware, and both cost bases."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from bench.replay import OFFERS, TODAY, read
from isthmus.contracts.reports.explanation import Explanation, TurningPoint, WorkloadReason
from isthmus.planning import planner
from isthmus.planning.explanation import cost_bases, ruled_out
from isthmus.planning.explanation.explain import explain
from isthmus.planning.explanation.idle_hardware import idle_pools
from isthmus.planning.planner import PlanningResult
from tests.blueprints.bank import ROOT
from tests.planning.test_planner import bank, without_guardrail_prices, workload

H100 = "h100-sxm-80gb"


def explained(data: dict[str, Any]) -> tuple[PlanningResult, Explanation]:
    requirements = read(data)
    planned = planner.make_plan(requirements, OFFERS, TODAY)
    explanation = explain(requirements, planned)
    assert explanation is not None
    return planned, explanation


def reason_of(explanation: Explanation, name: str) -> WorkloadReason:
    return next(reason for reason in explanation.workloads if reason.workload == name)


@pytest.fixture(scope="module")
def bank_explained() -> tuple[PlanningResult, Explanation]:
    return explained(bank())


def without_place(data: dict[str, Any], reason: WorkloadReason) -> dict[str, Any]:
    """The requirements in which the workload has no candidate with the chosen model."""
    candidates = workload(data, reason.workload)["model"]["candidates"]
    candidates[:] = [candidate for candidate in candidates if candidate["id"] != reason.chosen.model]
    return data


def test_the_runner_up_is_the_cheapest_plan_without_the_chosen_place(
    bank_explained: tuple[PlanningResult, Explanation],
):
    """In the bank each model of these workloads has one site, so removing the model removes the place."""
    planned, explanation = bank_explained
    for name in ("transaction-narratives", "campaign-copy"):
        reason = reason_of(explanation, name)
        assert reason.runner_up is not None
        data = without_place(bank(), reason)
        data["objective"]["near_tie_pct"] = 0
        other = planner.make_plan(read(data), OFFERS, TODAY).plan
        assert reason.runner_up.monthly_cost_usd == other.monthly_cost_usd
        assert planned.plan.monthly_cost_usd is not None
        extra = reason.runner_up.monthly_cost_usd - planned.plan.monthly_cost_usd
        assert reason.runner_up.extra_usd == round(extra, 2)
        assert reason.runner_up.place.model != reason.chosen.model


def test_a_dearer_runner_up_was_decided_by_price(bank_explained: tuple[PlanningResult, Explanation]):
    reason = reason_of(bank_explained[1], "transaction-narratives")
    assert reason.decided_by == "price"
    assert reason.runner_up is not None
    assert f"{reason.runner_up.extra_usd:,.2f} USD a month more" in reason.decided


def test_the_better_score_within_the_near_tie_is_said_to_have_decided():
    data = bank()
    data["objective"]["near_tie_pct"] = 15
    reason = reason_of(explained(data)[1], "transaction-narratives")
    assert (reason.decided_by, reason.chosen.model) == ("score", "meta-llama/Llama-3.3-70B-Instruct")
    assert reason.runner_up is not None
    assert reason.runner_up.extra_usd < 0
    assert "Within 15 % of the cost the better score wins" in reason.decided


def test_better_scores_elsewhere_do_not_make_a_runner_up_look_cheaper():
    """Within 7.5 % the plan buys a better score for other work. The extra cost of this runner-up stays the same."""
    data = bank()
    data["objective"]["near_tie_pct"] = 7.5
    planned, explanation = explained(data)
    reason = reason_of(explanation, "transaction-narratives")
    assert reason.runner_up is not None
    assert planned.plan.monthly_cost_usd is not None
    assert reason.runner_up.compared_with_usd < planned.plan.monthly_cost_usd
    assert (reason.decided_by, reason.runner_up.extra_usd) == ("price", 1999.39)
    assert any("pays for better scores" in note for note in explanation.notes)


def test_a_budget_that_forbids_the_runner_up_is_said_to_have_decided(
    bank_explained: tuple[PlanningResult, Explanation],
):
    planned, free = bank_explained
    plan_cost = planned.plan.monthly_cost_usd
    assert plan_cost is not None
    second = reason_of(free, "campaign-copy").runner_up
    assert second is not None
    data = bank(budget={"monthly_usd": plan_cost + second.extra_usd - 1})
    reason = reason_of(explained(data)[1], "campaign-copy")
    assert (reason.decided_by, reason.runner_up) == ("budget", None)
    assert f"{second.monthly_cost_usd:,.2f} USD a month" in reason.decided


def test_too_few_gpus_for_any_other_place_are_said_to_have_decided(
    bank_explained: tuple[PlanningResult, Explanation],
):
    reason = reason_of(bank_explained[1], "kyc-extraction")
    assert (reason.decided_by, reason.runner_up) == ("hardware", None)
    data = bank()
    for pool in data["sites"][0]["pools"]:
        pool["nodes"] += 4
    larger = reason_of(explained(data)[1], "kyc-extraction")
    assert larger.runner_up is not None, "with more nodes there is a runner-up"


def test_a_workload_with_one_possible_place_has_no_runner_up_and_no_turning_point():
    data = bank()
    candidates = workload(data, "campaign-copy")["model"]["candidates"]
    candidates[:] = [candidate for candidate in candidates if candidate["id"].startswith("amazon.")]
    reason = reason_of(explained(data)[1], "campaign-copy")
    assert (reason.decided_by, reason.runner_up, reason.turning_points) == ("constraint", None, [])


def changed_load(data: dict[str, Any], name: str, factor: float) -> dict[str, Any]:
    traffic = workload(data, name)["traffic"]
    traffic.update({key: traffic[key] * factor for key in ("peak_rps", "mean_rps")})
    return data


def model_at(data: dict[str, Any], name: str) -> str | None:
    plan = planner.make_plan(read(data), OFFERS, TODAY).plan
    if not plan.feasible:
        return None
    endpoint = plan.endpoint(next(p.endpoint for p in plan.placements if p.workload == name))
    assert endpoint is not None
    return endpoint.model


def point(reason: WorkloadReason, of: str, where: Callable[[TurningPoint], bool]) -> TurningPoint:
    return next(one for one in reason.turning_points if one.of == of and where(one))


def test_at_the_turning_point_of_the_load_a_new_plan_has_the_other_place_and_before_it_has_not(
    bank_explained: tuple[PlanningResult, Explanation],
):
    reason = reason_of(bank_explained[1], "transaction-narratives")
    down = point(reason, "load", lambda one: one.to_factor == 1)
    assert down.factor is not None
    assert down.then.startswith("meta-llama/Llama-3.3-70B-Instruct")
    at, before = (
        changed_load(bank(), reason.workload, factor) for factor in (down.factor * 0.999, down.factor * 1.03)
    )
    assert model_at(at, reason.workload) == "meta-llama/Llama-3.3-70B-Instruct"
    assert model_at(before, reason.workload) == reason.chosen.model


def test_a_load_that_no_plan_carries_ends_the_search(bank_explained: tuple[PlanningResult, Explanation]):
    reason = reason_of(bank_explained[1], "transaction-narratives")
    up = point(reason, "load", lambda one: one.from_factor == 1)
    assert up.factor is not None
    assert (up.then, "no plan is feasible" in up.sentence) == ("", True)
    assert model_at(changed_load(bank(), reason.workload, up.factor * 1.001), reason.workload) is None


def test_the_price_at_which_the_runner_up_wins_is_found_and_holds():
    """With cheaper L40S the public work moves from the API to them, once the API is dear enough."""
    data = without_guardrail_prices(bank())
    data["sites"][0]["cost"]["capex_usd_per_node"]["l40s-48gb"] = 7000
    data["sites"][0]["cost"]["colocation_usd_per_kw_month"] = 10
    data["objective"]["near_tie_pct"] = 0
    reason = reason_of(explained(data)[1], "campaign-copy")
    assert reason.chosen.target == "bedrock"
    price = point(reason, "price", lambda one: True)
    assert price.factor is not None, price.sentence
    assert price.then.startswith("meta-llama/Llama-3.1-8B-Instruct")
    for factor, target in ((price.factor * 1.001, "meta-llama"), (price.factor * 0.97, "amazon")):
        row = {"input_usd_per_mtok": 0.078 * factor, "output_usd_per_mtok": 0.312 * factor, "as_of": TODAY}
        changed = {**data, "sites": [data["sites"][0], {**data["sites"][1]}]}
        stated = {"eu.amazon.nova-lite-v1:0": row, "amazon.nova-lite-v1:0": row}
        changed["sites"][1]["prices"] = data["sites"][1]["prices"] | stated
        model = model_at(changed, "campaign-copy")
        assert model is not None
        assert model.startswith(target)


def test_nothing_in_range_is_said_with_the_range(bank_explained: tuple[PlanningResult, Explanation]):
    reason = reason_of(bank_explained[1], "campaign-copy")
    up = point(reason, "load", lambda one: one.from_factor == 1)
    assert (up.factor, up.to_factor) == (None, 4)
    assert "up to 4 times the traffic of campaign-copy" in up.sentence


def test_idle_hardware_has_its_numbers_its_cost_and_reasons(
    bank_explained: tuple[PlanningResult, Explanation],
):
    planned, explanation = bank_explained
    idle = {(one.site, one.gpu): one for one in explanation.idle}
    h100, l40s = idle["fra1", H100], idle["fra1", "l40s-48gb"]
    assert (h100.owned, h100.used, h100.idle, l40s.idle) == (16, 10, 6, 8)
    items = {item.what: item.monthly_usd for item in planned.plan.cost_items or []}
    assert h100.monthly_usd == items[f"idle: fra1, {H100}"]
    assert any("less than a node" in sentence for sentence in h100.why)
    assert any("campaign-copy could run there" in sentence for sentence in l40s.why)
    assert any("No workload uses l40s-48gb at fra1" in sentence for sentence in l40s.why)


def test_nodes_that_the_plan_can_do_without_are_counted():
    data = without_guardrail_prices(bank())
    data["sites"][0]["pools"][0].update(nodes=5)
    idle = next(one for one in explained(data)[1].idle if one.gpu == H100)
    assert any(sentence.startswith("3 nodes fewer of ") for sentence in idle.why), idle.why


def test_reserved_and_spare_gpus_are_not_called_idle_without_reason():
    data = bank()
    data["sites"][0]["pools"][0].update(nodes=3, reserved_gpus=4)
    data["sites"][0]["maintenance"] = {"spare_nodes_per_pool": 1}
    idle = next(one for one in explained(data)[1].idle if one.gpu == H100)
    assert idle.owned == idle.reserved + idle.used + idle.idle
    assert "8 GPUs are kept for maintenance (1 spare nodes)." in idle.why


def test_idle_pools_need_no_solver(bank_explained: tuple[PlanningResult, Explanation]):
    planned, explanation = bank_explained
    numbers = [one.model_copy(update={"why": []}) for one in explanation.idle]
    assert idle_pools(planned.plan, read(bank())) == numbers


def test_both_cost_bases_are_those_that_a_plan_on_that_basis_states():
    """The same placements on each basis: the bank's cost with `allocated` and with `cash`, to the cent."""
    requirements = read(bank())
    planned = planner.make_plan(requirements, OFFERS, TODAY)
    costs = cost_bases.compare_bases(planned.plan, requirements)
    assert costs.allocated_usd == planned.plan.monthly_cost_usd
    uncounted = sum(item.monthly_usd for item in planned.plan.cost_items or [] if not item.counted)
    assert costs.allocated_usd is not None
    assert costs.idle_usd == round(uncounted, 2)
    assert costs.owned_usd == round(costs.allocated_usd + uncounted, 2)
    cash = read(bank(objective={"cost_basis": "cash", "near_tie_pct": 0}))
    cash_plan = planner.make_plan(cash, OFFERS, TODAY)
    of_cash = cost_bases.compare_bases(cash_plan.plan, cash)
    assert of_cash.cash_usd == cash_plan.plan.monthly_cost_usd
    assert of_cash.allocated_usd is not None
    assert of_cash.allocated_usd > of_cash.cash_usd
    back = cost_bases.compare_bases(cash_plan.plan, read(bank(objective={"cost_basis": "allocated"})))
    assert back == of_cash.model_copy(update={"basis": "allocated"})


def test_a_missing_price_leaves_the_allocated_cost_unknown_and_says_which():
    data = bank(objective={"cost_basis": "cash"})
    del data["sites"][0]["cost"]["capex_usd_per_node"][H100]
    requirements = read(data)
    planned = planner.make_plan(requirements, OFFERS, TODAY)
    costs = cost_bases.compare_bases(planned.plan, requirements)
    assert (costs.allocated_usd, costs.owned_usd) == (None, None)
    assert costs.missing == [f"`cost` of site fra1 has no capex_usd_per_node.{H100}"]
    assert costs.cash_usd == planned.plan.monthly_cost_usd


def test_a_candidate_that_no_place_may_serve_is_one_line_with_the_furthest_reason():
    data = bank()
    model = workload(data, "kyc-extraction")["model"]
    model["candidates"].append(
        {"id": "meta-llama/Llama-3.1-405B-Instruct", "scores": {"bf16": 0.95, "fp8": 0.5}}
    )
    requirements = read(data)
    planned = planner.make_plan(requirements, OFFERS, TODAY)
    assert planned.judged is not None
    assert planned.judged.options is not None
    options = planned.judged.options
    lines = ruled_out.ruled_out_candidates(requirements, options.rejected, options.by_workload)
    low, large = sorted(lines["kyc-extraction"], key=lambda one: one.places)
    assert (low.candidate, low.places) == ("meta-llama/Llama-3.1-405B-Instruct at fp8", 1)
    assert low.reason == "scores 0.5, below the minimum of 0.85"
    assert large.candidate == "meta-llama/Llama-3.1-405B-Instruct at bf16"
    assert large.places > 1
    assert "GiB" in large.reason


def test_every_reason_of_the_examples_is_of_a_known_kind():
    """A new sentence in the planner needs its kind here, or the counts of reasons would hide it."""
    unknown = set()
    for file in (ROOT / "examples").glob("*.requirements.yaml"):
        from isthmus.contracts.requirements import document as requirements_of

        planned = planner.make_plan(requirements_of.load(file), OFFERS, TODAY)
        reasons = itertools.chain.from_iterable(planned.rejected.values())
        unknown |= {reason for reason in reasons if ruled_out.kind_of(reason) == "other"}
    assert not unknown


def test_an_infeasible_plan_has_no_reasons():
    requirements = read(bank(budget={"monthly_usd": 100}))
    assert explain(requirements, planner.make_plan(requirements, OFFERS, TODAY)) is None
