"""Batches in a plan: the capacity that other work leaves over a day, and what they add to the cost."""

from __future__ import annotations

from typing import Any

import pytest

from bench.replay import read
from isthmus.contracts.plan.document import CostItem, Plan
from isthmus.core.errors import InputError
from isthmus.planning.output import batches, endpoints
from isthmus.planning.output.cost_items import kind_of
from isthmus.planning.planner import PlanningResult
from isthmus.planning.sizing import demand
from tests.planning.test_planner import bank, make, workload

LOCAL, API = "kyc-extraction", "policy-assistant"


def with_batches(name: str, requests_per_day: float) -> dict[str, Any]:
    data = bank()
    changed = workload(data, name)
    changed["interfaces"] = ["batches"]
    changed["batches"] = {"requests_per_day": requests_per_day}
    return data


def batch_warnings(result: PlanningResult) -> list[str]:
    return [warning for warning in result.plan.warnings if "batches" in warning]


def added_items(before: Plan, after: Plan) -> dict[str, CostItem]:
    """Cost items of a plan that another one has not, by title."""
    old = {item.what for item in before.cost_items or []}
    return {item.what: item for item in after.cost_items or [] if item.what not in old}


def test_a_plan_says_by_how_much_the_capacity_suffices():
    result = make(with_batches(LOCAL, 1000))
    assert batch_warnings(result) == []
    (note,) = [note for note in result.notes if note.startswith("Batches of kyc-extraction at ")]
    assert "replica-hours that other work leaves on its busiest day" in note


def test_a_plan_warns_of_batches_that_do_not_fit_into_a_day_and_says_what_to_do():
    result = make(with_batches(LOCAL, 50_000_000))
    (warning,) = batch_warnings(result)
    assert "need" in warning
    assert "are missing. Fix: Lower batches.requests_per_day to" in warning
    assert "`mode: batch`" in warning
    assert [note for note in result.notes if note.startswith("Batches of")] == []


def test_a_day_of_batches_at_the_peak_rate_takes_what_the_peak_takes_for_a_day():
    rate = workload(bank(), LOCAL)["traffic"]["peak_rps"]
    result = make(with_batches(LOCAL, rate * 86400))
    requirements, judged = result.requirements, result.judged
    assert requirements is not None
    assert judged is not None
    assert judged.options is not None
    assert judged.solution is not None
    sized = endpoints.build_endpoints(requirements, judged.options, judged.solution, judged.nodes)
    (capacity,) = batches.batch_capacities(requirements, sized, judged.solution)
    (endpoint,) = [endpoint for endpoint in sized if endpoint.endpoint.id == capacity.endpoint]
    assert list(endpoint.primary) == [LOCAL]
    assert capacity.needed == pytest.approx(24 * endpoint.load)
    hourly = demand.hourly_weights(requirements.workload(LOCAL))  # type: ignore[arg-type]
    replicas = judged.solution.replicas[endpoint.column]  # type: ignore[index]
    busy = sum(endpoint.load * weight / max(hourly) for weight in hourly)
    assert capacity.left == pytest.approx(24 * replicas - busy)
    assert capacity.total == 24 * replicas


def test_batches_of_an_api_cost_their_tokens_and_guardrails_and_the_storage_of_their_files():
    before, after = make(bank()).plan, make(with_batches(API, 20_000)).plan
    added = added_items(before, after)
    load = demand.of_workload(read(with_batches(API, 20_000)).workload(API))  # type: ignore[arg-type]
    share = load.batch_requests / load.requests
    for what, item in added.items():
        if "files of batches" in what:
            assert item.evidence is not None
            assert (kind_of(item), item.evidence.kind, item.unit) == ("other", "estimated", "GB month")
            continue
        assert kind_of(item) == "tokens"
        single = next(old for old in before.cost_items or [] if old.what == what.replace(", batches", ""))
        assert item.quantity == pytest.approx(share * single.quantity, rel=1e-3)
    titles = " ".join(added)
    for part in (", batches, input", ", batches, output", "guardrail, batches, content filters"):
        assert part in titles
    extra = sum(item.monthly_usd for item in added.values())
    assert after.monthly_cost_usd == pytest.approx((before.monthly_cost_usd or 0) + extra, abs=1)


def test_batches_on_own_gpus_cost_their_storage_alone():
    before, after = make(bank()).plan, make(with_batches(LOCAL, 20_000)).plan
    assert list(added_items(before, after)) == [f"{LOCAL}: files of batches in the database"]


def test_a_plan_warns_of_batches_of_unknown_volume():
    data = bank()
    workload(data, LOCAL)["interfaces"] = ["batches"]
    (warning,) = batch_warnings(make(data))
    assert warning.startswith(f"{LOCAL} takes batches of unknown volume")


def test_a_volume_needs_the_interface():
    data = with_batches(LOCAL, 10)
    workload(data, LOCAL)["interfaces"] = []
    with pytest.raises(InputError, match="Add `batches` to `interfaces`"):
        read(data)
