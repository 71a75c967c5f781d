"""The expected availability in plans: what each path consists of, raised `survive`, and warnings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.replay import CLASSES, OFFERS, TODAY, read
from isthmus.blueprints import render
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Plan, WorkloadAvailability
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.planning import planner
from isthmus.planning.planner import BlueprintOffer
from tests.planning.test_hardware import EVERYTHING, cloud, copy, make, small
from tests.planning.test_planner import ROOT, without_guardrail_prices, workload

pytestmark = pytest.mark.whole

KYC = "kyc-extraction"


def entry_of(plan: Plan, name: str) -> WorkloadAvailability:
    assert plan.availability is not None
    return next(entry for entry in plan.availability.workloads if entry.workload == name)


def parts(plan: Plan, name: str) -> dict[str, tuple[str, float]]:
    return {loss.part: (loss.at, loss.hours_per_year) for loss in entry_of(plan, name).limited_by}


def with_goal(goal: float | None, survive: str = "none", name: str = KYC) -> dict[str, Any]:
    """The bank, where one workload states a goal and no other does."""
    data = without_guardrail_prices(copy())
    for entry in data["workloads"]:
        entry["slo"].pop("availability", None)
    changed = workload(data, name)
    changed["survive"] = survive
    if goal is not None:
        changed["slo"]["availability"] = goal
    return data


def availability_warnings(plan: Plan) -> list[str]:
    return [warning for warning in plan.warnings if "slo.availability" in warning]


# -- what is in the plan


def test_a_plan_without_a_stated_goal_has_no_availability_and_no_new_key() -> None:
    plan = make(with_goal(None), OFFERS)
    assert plan.availability is None
    assert "availability" not in plan.model_dump(mode="json", by_alias=True)


def test_only_workloads_that_state_a_goal_are_listed() -> None:
    plan = make(with_goal(0.99), OFFERS)
    assert plan.availability is not None
    assert [entry.workload for entry in plan.availability.workloads] == [KYC]


def test_a_goal_that_is_met_changes_nothing_else_in_the_plan() -> None:
    plain, asked = (make(with_goal(goal, "node"), OFFERS) for goal in (None, 0.99))
    ignored = {"availability", "requirements_sha256"}
    assert plain.model_dump(exclude=ignored) == asked.model_dump(exclude=ignored)


def test_every_assumption_of_the_plan_has_a_source_and_a_date() -> None:
    plan = make(copy(), OFFERS)
    assert plan.availability is not None
    used = {loss.part for entry in plan.availability.workloads for loss in entry.limited_by}
    listed = {mode.part: mode for mode in plan.availability.failure_modes}
    assert used <= set(listed)
    assert all(mode.source and mode.as_of for mode in listed.values())
    assert any("SLA promises a refund, not an availability" in text for text in plan.availability.assumptions)


def test_the_sla_is_not_mentioned_if_no_provider_is_used() -> None:
    plan = make(with_goal(0.99), OFFERS)
    assert plan.availability is not None
    assert not any("SLA" in text for text in plan.availability.assumptions)


def test_work_on_bedrock_depends_on_both_sites_the_link_and_the_provider() -> None:
    found = parts(make(copy(), OFFERS), "policy-assistant")
    assert {part: at for part, (at, _) in found.items()} == {
        "site-on-prem": "fra1",
        "site-aws": "frankfurt",
        "gateway": "internal-fra1",
        "database": "internal-fra1",
        "link-vpn": "fra1-frankfurt",
        "provider-bedrock": "frankfurt",
    }


def test_without_people_a_gateway_needs_no_database() -> None:
    assert "database" not in parts(make(copy(), OFFERS), "campaign-copy")


def test_without_a_private_link_the_way_leads_over_the_internet() -> None:
    data = copy(links=[])
    assert "link-internet" in parts(make(data, OFFERS), "campaign-copy")
    data = copy()
    data["links"][0]["kind"] = "direct-connect"
    assert "link-direct-connect" in parts(make(data, OFFERS), "campaign-copy")


def test_work_in_aws_alone_crosses_no_link_and_runs_on_instances_in_zones() -> None:
    plan = make(cloud(), EVERYTHING)
    servers = {
        placement.workload for placement in plan.placements if "vllm" in _target(plan, placement.endpoint)
    }
    assert KYC in servers
    found = parts(plan, KYC)
    assert {"node-aws", "domain-aws", "replica", "site-aws", "gateway"} <= set(found)
    assert not any(part.startswith(("link-", "provider-")) or part.endswith("on-prem") for part in found)


def _target(plan: Plan, endpoint: str) -> str:
    return next(entry.target for entry in plan.endpoints if entry.id == endpoint)


def test_the_hours_of_parts_in_a_row_add_up_to_the_downtime() -> None:
    entry = entry_of(make(copy(), OFFERS), "campaign-copy")
    down = (1 - entry.expected) * 8760
    assert sum(loss.hours_per_year for loss in entry.limited_by) == pytest.approx(down, rel=0.01)


def test_a_spare_node_shortens_the_failure_of_a_node_to_a_start_elsewhere() -> None:
    def hours(nodes: int) -> float:
        data = with_goal(0.9)
        data["workloads"] = [workload(data, KYC)]
        data["sites"][0]["pools"] = [{**data["sites"][0]["pools"][0], "nodes": nodes, "failure_domains": 1}]
        return parts(make(data, OFFERS), KYC)["node-on-prem"][1]

    assert hours(1) > 30
    assert hours(4) < 5


def test_figures_of_the_requirements_decide() -> None:
    data = with_goal(0.99)
    data["planning"] = {"failures": {"database": {"rate_per_year": 20, "source": "our incident records"}}}
    plan = make(data, OFFERS)
    assert parts(plan, KYC)["database"][1] == pytest.approx(20, rel=0.01)
    assert plan.availability is not None
    database = next(mode for mode in plan.availability.failure_modes if mode.part == "database")
    assert (database.kind, database.rate_per_year) == ("given", 20)
    assert database.source.startswith("our incident records")


@pytest.mark.parametrize("name", ["transaction-narratives", KYC])
@pytest.mark.parametrize("survive", ["node", "domain"])
def test_surviving_a_node_or_a_domain_raises_the_expected_availability(name: str, survive: str) -> None:
    nothing, more = (
        entry_of(make(with_goal(0.5, level, name), OFFERS), name).expected for level in ("none", survive)
    )
    assert more > nothing


def test_mig_slices_do_not_start_again_on_nodes_that_are_not_cut() -> None:
    data = small("replica")
    data["workloads"][0]["slo"]["availability"] = 0.5
    plan = make(data)
    assert plan.endpoints[0].mig_profile
    assert sum(endpoint.gpus for endpoint in plan.endpoints) < 8, "a whole node of the pool is free"
    assert parts(plan, "transaction-narratives")["node-on-prem"][1] > 30


# -- below the goal


def test_a_goal_that_no_plan_can_reach_gives_a_different_plan_with_a_warning() -> None:
    plain, asked = (make(with_goal(goal, "domain"), OFFERS) for goal in (0.999, 0.999999))
    assert plain.endpoints == asked.endpoints, "nothing is bought in vain"
    assert plain.model_dump_json() != asked.model_dump_json()
    (warning,) = availability_warnings(asked)
    assert warning.startswith(f"{KYC}: its expected availability is 0.9994")
    assert "below slo.availability 0.999999" in warning
    assert "The database of gateway confidential-fra1 limits it most" in warning
    assert "No `survive` reaches the goal" in warning
    assert warning.endswith("or lower slo.availability to 0.99943")


def test_survive_is_raised_if_that_reaches_the_goal_and_its_cost_is_told() -> None:
    low, high = (planner.make_plan(read(with_goal(goal)), OFFERS, TODAY).plan for goal in (0.99, 0.9993))
    assert high.availability is not None
    entry = entry_of(high, KYC)
    assert (entry.raised_from, entry.survive) == ("none", "node")
    assert entry.expected >= 0.9993 > entry_of(low, KYC).expected
    assert high.availability.raised_usd_per_month == pytest.approx(
        (high.monthly_cost_usd or 0) - (low.monthly_cost_usd or 0), abs=0.01
    )
    (warning,) = availability_warnings(high)
    assert warning.startswith(
        f"{KYC}: `survive` is raised from none to node, because slo.availability is 0.9993"
    )
    assert f"costs {high.availability.raised_usd_per_month:,.2f} USD a month more" in warning
    placement = next(placement for placement in high.placements if placement.workload == KYC)
    assert "still carry the peak after losing a node" in placement.why


def test_the_stated_survive_is_a_minimum() -> None:
    entry = entry_of(make(with_goal(0.5, "node"), OFFERS), KYC)
    assert (entry.survive, entry.raised_from) == ("node", None)


def test_a_raised_plan_passes_every_rule_and_is_rendered_with_what_it_survives() -> None:
    requirements = read(with_goal(0.9993))
    plan = planner.make_plan(requirements, offers(), TODAY).plan
    plan_rules.check(plan, requirements)
    placed = next(placement for placement in plan.placements if placement.workload == KYC)
    platform = render(plan.blueprint, requirements, plan)
    endpoint = next(endpoint for endpoint in platform["endpoints"] if endpoint["id"] == placed.endpoint)
    assert endpoint["survive"] == "node"
    assert endpoint["replicas"] >= 2


def test_planning_again_beside_a_raised_plan_gives_the_same_plan() -> None:
    data = with_goal(0.9993)
    first = planner.make_plan(read(data), OFFERS, TODAY).plan
    again = planner.make_plan(read(data), OFFERS, TODAY, before=first).plan
    assert again.model_dump_json() == first.model_dump_json()


def test_the_overflow_example_is_raised_within_its_pool() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "bank-overflow.requirements.yaml").data))
    entry = entry_of(make(data, OFFERS), "policy-assistant")
    assert (entry.raised_from, entry.survive) == ("replica", "node")
    assert entry.expected >= entry.goal


def test_a_level_for_which_the_hardware_is_too_small_is_named() -> None:
    data = with_goal(0.9993)
    data["workloads"] = [workload(data, KYC)]
    data["sites"][0]["pools"] = [{**data["sites"][0]["pools"][0], "nodes": 1, "failure_domains": 1}]
    (warning,) = availability_warnings(make(data, OFFERS))
    assert "`survive: node` could reach the goal, but no plan has it with this hardware and budget" in warning
    assert "Fix: State `survive: node`, and `isthmus plan` names what to buy" in warning


def test_a_goal_is_not_paid_for_beyond_the_budget() -> None:
    data = with_goal(0.9993)
    cost = make(with_goal(0.99), OFFERS).monthly_cost_usd or 0
    data["budget"] = {"monthly_usd": cost + 10}
    plan = make(data, OFFERS)
    assert plan.feasible
    assert entry_of(plan, KYC).raised_from is None
    (warning,) = availability_warnings(plan)
    assert "no plan has it with this hardware and budget" in warning


def test_a_raised_plan_that_no_longer_fits_the_blueprint_is_not_taken() -> None:
    """With `survive: node` the work would leave for Bedrock, and a blueprint for GPUs has none."""
    data = with_goal(0.999, name="policy-assistant")
    data["objective"] = {"cost_basis": "cash", "near_tie_pct": 0}
    data["workloads"] = [workload(data, "policy-assistant")]
    data["sites"][0]["pools"] = [{**data["sites"][0]["pools"][0], "nodes": 1, "failure_domains": 1}]
    offers_of_gpus = (BlueprintOffer("gpus", CLASSES, 1, None),)
    plan = make(data, offers_of_gpus)
    assert plan.endpoints[0].gpus
    (warning,) = availability_warnings(plan)
    assert "no plan has it with this hardware and budget" in warning
    raised = {**data, "workloads": [{**data["workloads"][0], "survive": "node"}]}
    with pytest.raises(Refused, match="no blueprint fits"):
        make(raised, offers_of_gpus)


def test_an_api_below_its_goal_names_the_link_and_what_would_change_it() -> None:
    (warning,) = availability_warnings(make(with_goal(0.999, name="campaign-copy"), OFFERS))
    assert "The VPN fra1-frankfurt limits it most" in warning
    assert "`survive` does nothing for an API. Fix: Add a second line" in warning


def test_the_file_may_not_name_a_workload_that_does_not_exist() -> None:
    requirements = read(with_goal(0.99))
    plan = planner.make_plan(requirements, OFFERS, TODAY).plan
    data = plan.model_dump(mode="json", by_alias=True)
    data["availability"]["workloads"][0]["workload"] = "kyc"
    with pytest.raises(InputError, match="there is no workload of the requirements `kyc`"):
        plan_rules.check(Plan.model_validate(data), requirements)


# -- impact without survival


@pytest.mark.parametrize(("impact", "survive", "warned"), [
    ("high", "none", True), ("material", "none", True), ("low", "none", False),
    ("high", "replica", False), ("material", "domain", False),
])  # fmt: skip
def test_impact_without_survival_gives_a_warning(impact: str, survive: str, warned: bool) -> None:
    data = with_goal(None, survive)
    workload(data, KYC)["impact"] = impact
    warnings = [warning for warning in make(data, OFFERS).warnings if "survives no failure" in warning]
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith(f"{KYC}: its impact is {impact}, but it survives no failure")
        assert warnings[0].endswith("Fix: Set `survive` to replica, node or domain")


def test_impact_on_bedrock_is_warned_of_in_other_words() -> None:
    data = with_goal(None, name="campaign-copy")
    workload(data, "campaign-copy")["impact"] = "material"
    (warning,) = [warning for warning in make(data, OFFERS).warnings if "survives no failure" in warning]
    assert "Bedrock needs no replicas of yours" in warning


def test_a_raised_survive_ends_the_warning_of_impact() -> None:
    warnings = make(with_goal(0.9993), OFFERS).warnings
    assert not any("survives no failure" in warning for warning in warnings)
