"""The cost of Bedrock's guardrails: text units by kind of filter, in the option's cost and in the plan's items."""

from __future__ import annotations

from typing import Any

import pytest

from bench.replay import read
from isthmus.contracts.requirements.document import AwsSite
from isthmus.planning.options import guardrails
from isthmus.planning.output import cost_items
from isthmus.planning.sizing import demand
from tests.planning.test_planner import bank, make


def costs(data: dict[str, Any], name: str) -> dict[str, float]:
    requirements = read(data)
    workload, site = requirements.workload(name), requirements.site("frankfurt")
    assert workload is not None
    assert isinstance(site, AwsSite)
    return {cost.what: cost.monthly_usd for cost in guardrails.filter_costs(workload, site)}


@pytest.mark.parametrize(("tokens", "units"), [(0, 0), (1, 1), (250, 1), (251, 2), (1500, 6)])
def test_a_unit_is_a_thousand_characters_begun(tokens: float, units: int):
    assert guardrails.text_units(tokens) == units


def test_prompt_and_answer_are_checked_by_each_kind_of_filter():
    data = bank()
    workload: Any = read(data).workload("policy-assistant")
    asked = demand.of_workload(workload)
    units = guardrails.text_units(asked.lengths.prompt) + guardrails.text_units(asked.lengths.output)
    assert costs(data, "policy-assistant") == {
        "content filters": pytest.approx(asked.requests * units / 1000 * 0.15),
        "filters of personal data": pytest.approx(asked.requests * units / 1000 * 0.10),
    }


def test_a_site_states_its_own_price():
    data = bank()
    dear = {"guardrail-content": {"usd_per_thousand_text_units": 0.3, "as_of": "2026-11-01"}}
    data["sites"][1]["prices"] = {**data["sites"][1].get("prices", {}), **dear}
    once, twice = costs(bank(), "campaign-copy"), costs(data, "campaign-copy")
    assert twice["content filters"] == pytest.approx(2 * once["content filters"])
    assert twice["filters of personal data"] == once["filters of personal data"]


def test_embeddings_pass_no_guardrail():
    data = bank()
    for workload in data["workloads"]:
        if workload["name"] == "campaign-copy":
            workload["task"] = "embedding"
            workload["slo"].pop("tpot_p95_ms", None)
            workload.pop("interfaces", None)
    assert costs(data, "campaign-copy") == {}


def test_a_plan_counts_guardrails_with_the_tokens_that_they_check():
    plan = make(bank()).plan
    items = [item for item in plan.cost_items or [] if ": guardrail, " in item.what]
    on_bedrock = {
        placement.workload
        for placement in plan.placements
        if (endpoint := plan.endpoint(placement.endpoint)) is not None and endpoint.target == "bedrock"
    }
    assert {item.what.partition(":")[0] for item in items} == on_bedrock
    assert all(item.counted and cost_items.kind_of(item) == "tokens" for item in items)
    assert sum(item.monthly_usd for item in items) > 0
