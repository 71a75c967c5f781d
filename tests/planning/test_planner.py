"""From requirements to a plan: the bank's plan, its variants, and properties of every plan."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from bench.replay import BANK, OFFERS, TODAY, read
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.planning import planner
from isthmus.planning.options import candidates as ways
from isthmus.planning.options.option import OnApi, OnGpus, Rules
from isthmus.planning.output import differences as plan_differences
from isthmus.planning.planner import BlueprintOffer
from isthmus.planning.solver import infeasibility

ROOT = Path(__file__).resolve().parents[2]


def bank(**changes: Any) -> dict[str, Any]:
    """The bank's requirements as data, some of its top keys changed."""
    return {**copy.deepcopy(_read_once()), **changes}


@functools.cache
def _read_once() -> dict[str, Any]:
    return yaml_files.load(BANK).data


def without_guardrail_prices(data: dict[str, Any]) -> dict[str, Any]:
    """The requirements with guardrails that cost next to nothing, for what is about other costs."""
    for site in data["sites"]:
        if site["kind"] == "aws":
            price = {"usd_per_thousand_text_units": 1e-6, "as_of": "2026-11-01"}
            kinds = ("guardrail-content", "guardrail-personal-data")
            site["prices"] = {**site.get("prices", {}), **dict.fromkeys(kinds, price)}
    return data


def workload(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(candidate for candidate in data["workloads"] if candidate["name"] == name)


def make(data: dict[str, Any], **more: Any) -> planner.PlanningResult:
    return planner.make_plan(read(data), OFFERS, TODAY, **more)


@pytest.fixture(scope="module")
def bank_plan() -> planner.PlanningResult:
    return make(bank())


def test_the_bank_has_a_feasible_plan_that_passes_every_plan_rule(
    bank_plan: planner.PlanningResult,
) -> None:
    assert bank_plan.plan.feasible
    plan_rules.check(bank_plan.plan, read(bank()))


def test_restricted_and_confidential_work_stays_on_prem(bank_plan: planner.PlanningResult) -> None:
    for placement in bank_plan.plan.placements:
        endpoint = bank_plan.plan.endpoint(placement.endpoint)
        assert endpoint is not None
        if placement.sensitivity in ("restricted", "confidential"):
            assert (endpoint.site, endpoint.target) == ("fra1", "onprem-vllm")
        else:
            assert endpoint.target == "bedrock"
        assert placement.why.endswith(".")


def recomputed(plan: Plan) -> float:
    """From the JSON alone, as a reader would."""
    data = json.loads(json.dumps(plan.model_dump(by_alias=True, mode="json")))
    total = 0.0
    for item in data["cost_items"]:
        assert round(item["quantity"] * item["unit_price_usd"], 2) == item["monthly_usd"]
        assert item["evidence"]["source"]
        assert item["evidence"]["kind"] in ("given", "list-price", "estimated")
        total += item["monthly_usd"] if item["counted"] else 0
    return round(total, 2)


def test_the_cost_of_the_banks_plan_equals_a_calculation_by_hand(bank_plan: planner.PlanningResult) -> None:
    plan = bank_plan.plan
    assert recomputed(plan) == plan.monthly_cost_usd
    gpus = sum(endpoint.gpus for endpoint in plan.endpoints)
    capital, namespace = 320000 * 0.75 / 48 / 8, 10.2 * 180 / 8
    power = 10.2 * 1.3 * 0.12 * 730 / 8
    requests = 0.4 * 3600 * 730
    haiku = requests * (3500 * 1.1 + 350 * 5.5) / 1e6
    nova = 0.1 * 3600 * 730 * (600 * 0.078 + 500 * 0.312) / 1e6
    # 1,000 characters a unit: 14 and 2 of the first workload, 3 and 2 of the second; 0.25 USD a thousand.
    guardrails = 0.25 * (requests * (14 + 2) + 0.1 * 3600 * 730 * (3 + 2)) / 1000
    # Keys 8, alarms 0.2, logs 3.12, endpoints in two zones 4, attachments 2, resolver addresses 2, one VPN.
    aws = 8 + 0.2 + 5 * 0.625 + 730 * (4 * 0.012 + 1.25 * (2 * 0.05 + 2 * 0.125 + 0.05))
    by_hand = gpus * (capital + namespace + power) + 12000 + 400 + haiku + nova + guardrails + aws
    assert plan.monthly_cost_usd == pytest.approx(by_hand, abs=2)


def test_prices_from_the_requirements_are_reported_with_source_and_date() -> None:
    data = json.loads(json.dumps(bank()))
    data["sites"][0]["cost"].update(source="offer 4711", as_of="2026-10-02")
    data["links"][0].update(source="the carrier's contract", as_of="2026-09-01")
    sources = {
        (cost_item.evidence.source, cost_item.evidence.as_of)
        for cost_item in make(data).plan.cost_items or []
        if cost_item.evidence is not None and cost_item.evidence.kind == "given"
    }
    assert sources == {("offer 4711", "2026-10-02"), ("the carrier's contract", "2026-09-01")}


def test_the_same_requirements_give_a_byte_identical_plan(bank_plan: planner.PlanningResult) -> None:
    again = make(bank())
    assert again.plan.model_dump_json() == bank_plan.plan.model_dump_json()


def test_an_existing_plan_is_kept_if_nothing_changed(bank_plan: planner.PlanningResult) -> None:
    again = make(bank(), before=bank_plan.plan)
    assert again.plan.model_dump_json() == bank_plan.plan.model_dump_json()
    assert plan_differences.describe_differences(bank_plan.plan, again.plan) == []


def test_moved_placements_are_reported(bank_plan: planner.PlanningResult) -> None:
    data = bank()
    workload(data, "campaign-copy")["traffic"]["mean_rps"] = 0.2
    data["workloads"] = [
        candidate for candidate in data["workloads"] if candidate["name"] != "policy-assistant"
    ]
    differences = plan_differences.describe_differences(
        bank_plan.plan, make(data, before=bank_plan.plan).plan
    )
    assert "the requirements have changed since the existing plan was made" in differences
    assert "policy-assistant is removed" in differences
    assert any(line.startswith("the plan costs ") for line in differences)


def test_owned_hardware_is_a_sunk_cost_on_a_cash_basis(bank_plan: planner.PlanningResult) -> None:
    planned = make(bank(objective={"cost_basis": "cash", "near_tie_pct": 5}))
    names = [item.what for item in planned.plan.cost_items or []]
    assert not any("capital" in name or "people" in name or "colocation" in name for name in names)
    assert (planned.plan.monthly_cost_usd or 0) < (bank_plan.plan.monthly_cost_usd or 0)
    assert "owned hardware is a sunk cost" in planned.notes[0]


def test_a_near_tie_allows_a_better_score_for_at_most_the_stated_extra_cost() -> None:
    tight, loose = (make(bank(objective={"cost_basis": "allocated", "near_tie_pct": pct})) for pct in (0, 30))
    assert (loose.plan.monthly_cost_usd or 0) <= (tight.plan.monthly_cost_usd or 0) * 1.3 + 0.1

    def score(planned: planner.PlanningResult) -> float:
        total = 0.0
        for placement in planned.plan.placements:
            endpoint = planned.plan.endpoint(placement.endpoint)
            workload_found = read(bank()).workload(placement.workload)
            assert endpoint is not None
            assert workload_found is not None
            scores = next(c.scores for c in workload_found.model.candidates if c.id == endpoint.model)
            total += workload_found.traffic.mean_rps * scores[endpoint.precision]
        return total

    assert score(loose) > score(tight)


def overflowing() -> planner.PlanningResult:
    return planner.make_plan(
        requirements_of.load(ROOT / "examples" / "bank-overflow.requirements.yaml"), OFFERS, TODAY
    )


def test_load_above_the_base_overflows_if_the_workload_allows_it() -> None:
    plan = overflowing().plan
    by_role = {
        placement.role: placement for placement in plan.placements if placement.workload == "policy-assistant"
    }
    assert set(by_role) == {"primary", "overflow"}
    assert by_role["primary"].share + by_role["overflow"].share == pytest.approx(1)
    assert 0 < by_role["overflow"].share < 0.5
    first, second = (plan.endpoint(by_role[role].endpoint) for role in ("primary", "overflow"))
    assert first is not None
    assert second is not None
    assert (first.target, second.target) == ("onprem-vllm", "bedrock")
    assert recomputed(plan) == plan.monthly_cost_usd


def test_a_conflict_is_minimal_and_every_remedy_has_a_price() -> None:
    requirements = requirements_of.load(ROOT / "examples" / "bank-infeasible.requirements.yaml")
    plan = planner.make_plan(requirements, OFFERS, TODAY).plan
    assert (plan.feasible, plan.endpoints, plan.monthly_cost_usd) == (False, [], None)
    conflicts = infeasibility.find_conflicts(requirements, Rules(TODAY))
    assert [conflict.description for conflict in conflicts] == plan.conflicts
    all_demands = frozenset(infeasibility.list_demands(requirements, Rules(TODAY)))
    other_demands = all_demands - frozenset(conflicts)
    assert not infeasibility.is_feasible(requirements, Rules(TODAY), other_demands)
    for conflict in conflicts:
        assert infeasibility.is_feasible(requirements, Rules(TODAY), other_demands | {conflict}), (
            conflict.description
        )
    assert 1 <= len(plan.ways_out) <= 3
    assert all(remedy.monthly_cost_usd > 0 for remedy in plan.ways_out)


def test_the_on_prem_rule_for_restricted_work_is_never_relaxed() -> None:
    data = bank()
    data["sites"] = [site for site in data["sites"] if site["kind"] == "aws"]
    data["links"] = []
    plan = make(data).plan
    assert not plan.feasible
    assert any(conflict.startswith("transaction-narratives: ") for conflict in plan.conflicts)
    assert plan.ways_out == []


def test_a_budget_below_the_minimum_cost_is_refused_with_a_sufficient_budget(
    bank_plan: planner.PlanningResult,
) -> None:
    plan = make(bank(budget={"monthly_usd": 20000})).plan
    assert plan.conflicts == ["budget 20,000 USD a month"]
    [remedy] = plan.ways_out
    assert remedy.what.startswith("budget 20,000 to ")
    assert remedy.monthly_cost_usd <= (bank_plan.plan.monthly_cost_usd or 0) + 1


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda d: workload(d, "campaign-copy")["model"]["candidates"][1].update(
                id="meta-llama/Llama-3.1-8B-Instrct"
            ),
            InputError,
            r"is not in the catalogue, so it cannot be sized\. Fix: Did you mean `meta-llama/Llama-3.1-8B-Instruct`",
        ),
        (
            lambda d: d["sites"][1].update(prices={"amazon.nova-lite-v1:0": {"input_usd_per_mtok": -1}}),
            InputError,
            "input_usd_per_mtok is -1, but must be a number of at least 0",
        ),
        (
            lambda d: d["sites"][1].update(latency={"amazon.nova-lite-v1:0": {"ttft_p95_ms": "fast"}}),
            InputError,
            "ttft_p95_ms is 'fast', not a number above 0",
        ),
    ],
)
def test_an_invalid_setting_is_refused_with_its_path(
    change: Any, kind: type[Exception], message: str
) -> None:
    data = json.loads(json.dumps(bank()))
    change(data)
    with pytest.raises(kind, match=message):
        make(data)


def test_a_site_without_a_price_is_not_free_but_excluded() -> None:
    data = json.loads(json.dumps(bank()))
    del data["sites"][0]["cost"]["capex_usd_per_node"]["h100-sxm-80gb"]
    find = ways.find_options(read(data), Rules(TODAY))
    gpus = {
        option.column.gpu
        for options in find.by_workload.values()
        for option in options
        if isinstance(option, OnGpus)
    }
    assert "h100-sxm-80gb" not in gpus
    assert any(
        "has no capex_usd_per_node.h100-sxm-80gb" in reason for reason in find.rejected["kyc-extraction"]
    )


def test_an_api_without_a_price_in_its_region_is_excluded_unless_the_user_states_one() -> None:
    data = json.loads(json.dumps(bank()))
    data["sites"][1]["prices"] = {
        "eu.amazon.nova-lite-v1:0": {
            "input_usd_per_mtok": 0.01,
            "output_usd_per_mtok": 0.02,
            "as_of": "2026-11-01",
        }
    }
    [nova] = [
        x
        for x in ways.find_options(read(data), Rules(TODAY)).by_workload["campaign-copy"]
        if isinstance(x, OnApi)
    ]
    assert (nova.call.price.input, nova.call.price.kind) == (0.01, "given")
    data = json.loads(json.dumps(bank()))
    data["sites"][1].update(region="eu-south-1", jurisdiction="it")
    find = ways.find_options(read(data), Rules(TODAY))
    assert not any(isinstance(option, OnApi) for option in find.by_workload["campaign-copy"])
    assert any("has no known price in eu-south-1" in reason for reason in find.rejected["campaign-copy"])


def test_measured_latency_verifies_an_api_or_rules_it_out() -> None:
    for ttft, slo in ((900, "kept"), (9000, None)):
        data = json.loads(json.dumps(bank()))
        measured = {"ttft_p95_ms": ttft, "tpot_p95_ms": 20, "as_of": "2026-11-01"}
        data["sites"][1]["latency"] = {"anthropic.claude-haiku-4-5-20251001-v1:0": measured}
        plan = make(data).plan
        endpoints = [endpoint for endpoint in plan.endpoints if "haiku" in endpoint.model]
        assert [endpoint.predicted.slo for endpoint in endpoints if endpoint.predicted] == (
            [slo] if slo else []
        )


def test_measured_latency_rules_an_api_out_by_the_time_of_its_whole_answer() -> None:
    """A first token after 900 ms and 899 more of 20 ms each: 18.9 s."""
    for goal, verified in ((18_880, True), (18_879, False)):
        data = bank()
        asked = workload(data, "policy-assistant")
        asked["impact"] = "material"
        asked["traffic"]["output_tokens"] = {"mean": 450, "p95": 900}
        asked["slo"] = {"answer_p95_ms": goal}
        measured = {"ttft_p95_ms": 900, "tpot_p95_ms": 20, "as_of": "2026-11-01"}
        data["sites"][1]["latency"] = {"anthropic.claude-haiku-4-5-20251001-v1:0": measured}
        plan = make(data).plan
        assert any("haiku" in endpoint.model for endpoint in plan.endpoints) == verified, goal


def test_endpoints_on_gpus_keep_the_goal_of_a_whole_answer_at_the_slow_end() -> None:
    data = bank()
    asked = workload(data, "transaction-narratives")
    tokens = asked["traffic"]["output_tokens"]["p95"]
    sizes = {}
    for goal in (30_000, 60_000):
        asked["slo"] = {"answer_p95_ms": goal}
        plan = make(data).plan
        (placed,) = (placement for placement in plan.placements if placement.workload == asked["name"])
        endpoint = plan.endpoint(placed.endpoint)
        assert endpoint is not None
        predicted = endpoint.predicted
        assert predicted is not None
        assert predicted.ttft_interval_ms is not None
        assert predicted.tpot_interval_ms is not None
        assert predicted.ttft_interval_ms[1] + (tokens - 1) * predicted.tpot_interval_ms[1] <= goal
        sizes[goal] = plan.monthly_cost_usd
    assert sizes[30_000] > sizes[60_000]


def test_a_goal_of_a_whole_answer_that_nothing_keeps_is_a_conflict_with_a_way_out() -> None:
    data = bank()
    workload(data, "transaction-narratives")["slo"] = {"answer_p95_ms": 900}
    plan = make(data).plan
    assert plan.conflicts == ["transaction-narratives: answer_p95_ms 900"]
    (way_out,) = plan.ways_out
    name, relaxed = way_out.what.split(" 900 to ")
    assert name == "transaction-narratives: answer_p95_ms"
    workload(data, "transaction-narratives")["slo"] = {"answer_p95_ms": float(relaxed)}
    assert make(data).plan.feasible


def test_a_blueprint_that_does_not_fit_is_rejected_with_the_reason() -> None:
    offers = (BlueprintOffer("pilot", ("public",), 0, 2), *OFFERS)
    plan = planner.make_plan(read(bank()), offers, TODAY)
    assert plan.plan.blueprint == "regulated-hybrid"
    [alternative] = plan.plan.alternatives or []
    assert alternative.blueprint == "pilot"
    assert "it does not support internal, confidential, restricted workloads" in alternative.rejected_because
    with pytest.raises(Refused, match="blueprint pilot does not fit: it does not support"):
        planner.make_plan(read(bank()), offers, TODAY, blueprint="pilot")
    with pytest.raises(InputError, match=r"blueprint `pilto` does not exist\. Fix: Did you mean `pilot`"):
        planner.make_plan(read(bank()), offers, TODAY, blueprint="pilto")


def test_replicas_that_survive_a_node_loss_are_spread_over_nodes() -> None:
    """Seven replicas of two GPUs leave room for two small ones on one node of four only: those numbers do not pack."""
    from isthmus.planning.options.option import Column
    from isthmus.planning.solver import node_placement

    data = bank()
    pool = {"gpu": "l40s-48gb", "nodes": 4, "gpus_per_node": 4, "failure_domains": 1, "interconnect": "pcie"}
    data["sites"][0]["pools"] = [pool]
    large = Column("public", "fra1", "l40s-48gb", "Qwen/Qwen3-8B", "bf16", 2, "node")
    small = Column("public", "fra1", "l40s-48gb", "meta-llama/Llama-3.1-8B-Instruct", "bf16", 1, "node")
    numbers = {large: 7, small: 2}
    assert node_placement.place_replicas(read(data), numbers) == numbers
    placed = node_placement.place_replicas(read(data), {large: 6, small: 2})[small]
    assert isinstance(placed, node_placement.PlacedReplicas)
    assert placed.lost("node") == 1
