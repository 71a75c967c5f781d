"""Which endpoint of the plan answers when a workload's own cannot."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Placement, Plan
from isthmus.core.errors import InputError, IsthmusError, Refused
from tests.planning.test_planner import bank, make, read, workload

HAIKU, NOVA = "anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-lite-v1:0"


def two_assistants(**first: Any) -> dict[str, Any]:
    """The bank with two internal workloads: one takes the cheaper model, the other needs the better one."""
    data = bank()
    assistant = workload(data, "policy-assistant")
    better: dict[str, Any] = {**copy.deepcopy(assistant), "name": "manual-search"}
    better["model"]["candidates"] = [{"id": HAIKU, "scores": {"api": 0.93}}]
    assistant["model"]["candidates"].append({"id": NOVA, "scores": {"api": 0.82}})
    assistant |= {"allow_fallback": True, **first}
    data["workloads"].append(better)
    return data


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(two_assistants()).plan


def fallbacks(plan: Plan) -> list[Placement]:
    return [placement for placement in plan.placements if placement.role == "fallback"]


def test_another_good_enough_endpoint_of_the_class_is_the_fallback(plan: Plan) -> None:
    (fallback,) = fallbacks(plan)
    assert (fallback.workload, fallback.endpoint, fallback.share) == (
        "policy-assistant",
        "internal-claude-haiku-4-5",
        0,
    )
    assert fallback.why.startswith(
        "Answers when internal-nova-lite cannot, with score 0.93. 1,000 requests cost"
    )
    plan_rules.check(plan, read(two_assistants()))


def test_a_fallback_changes_neither_endpoints_nor_cost(plan: Plan) -> None:
    data = two_assistants(allow_fallback=False)
    without = make(data).plan
    assert fallbacks(without) == []
    assert (without.endpoints, without.monthly_cost_usd) == (plan.endpoints, plan.monthly_cost_usd)


def test_the_price_of_a_thousand_requests_is_that_of_their_tokens_and_guardrails(plan: Plan) -> None:
    (fallback,) = fallbacks(plan)
    tokens = (3500 * 1.1 + 350 * 5.5) / 1e6
    guardrails = 0.25 * (14 + 2) / 1000
    stated = float(fallback.why.split("cost about ")[1].split(" USD")[0])
    assert stated == pytest.approx(1000 * (tokens + guardrails), rel=0.2)


def test_a_workload_whose_class_has_no_other_fitting_endpoint_gets_a_warning() -> None:
    data = bank()
    workload(data, "kyc-extraction")["allow_fallback"] = True
    plan = make(data).plan
    assert fallbacks(plan) == []
    (warning,) = [warning for warning in plan.warnings if "fallback" in warning]
    assert warning.startswith("kyc-extraction: no other endpoint of the plan may be its fallback. Fix: add")


def test_a_model_that_scores_too_low_is_no_fallback() -> None:
    data = two_assistants()
    workload(data, "manual-search")["allow_fallback"] = True
    assert [placement.workload for placement in fallbacks(make(data).plan)] == ["policy-assistant"], (
        "the cheaper model is no candidate of the other workload"
    )


def test_a_model_server_of_the_same_site_is_a_fallback_and_says_what_it_has_room_for() -> None:
    data = bank()
    extraction = workload(data, "kyc-extraction")
    letters: dict[str, Any] = {**copy.deepcopy(extraction), "name": "letters", "survive": "none"}
    letters["model"]["candidates"] = [{"id": "Qwen/Qwen3-32B", "scores": {"fp8": 0.9}}]
    letters["traffic"] |= {"peak_rps": 0.2, "mean_rps": 0.1}
    letters["slo"].pop("availability", None)
    data["workloads"].append(letters)
    data["sites"][0]["pools"][0]["nodes"] = 4
    extraction["allow_fallback"] = True
    plan = make(data).plan
    (fallback,) = fallbacks(plan)
    assert (fallback.workload, fallback.endpoint) == ("kyc-extraction", "confidential-qwen3-32b")
    assert "room for about" in fallback.why


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan, "does not allow a fallback"),
        (
            lambda plan: plan.model_copy(
                update={
                    "placements": [
                        placement.model_copy(update={"endpoint": "internal-nova-lite"})
                        if placement.role == "fallback"
                        else placement
                        for placement in plan.placements
                    ]
                }
            ),
            "is its fallback too",
        ),
    ],
)
def test_a_plan_with_a_wrong_fallback_is_refused(plan: Plan, change: Any, message: str) -> None:
    requirements = read(two_assistants(allow_fallback=message != "does not allow a fallback"))
    changed = change(plan).model_copy(update={"requirements_sha256": requirements.digest})
    with pytest.raises(IsthmusError, match=message):
        plan_rules.check(changed, requirements)


def test_vectors_have_no_fallback() -> None:
    data = bank()
    assistant = workload(data, "policy-assistant")
    assistant |= {"task": "embedding", "allow_fallback": True}
    assistant.pop("review")
    with pytest.raises((InputError, Refused), match="cannot fall back to another model"):
        read(data)
