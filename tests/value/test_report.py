"""The report on the bank's pilots: what is measured, what is not known, and that costs add up."""

from __future__ import annotations

import copy
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.contracts.reports.usage_file import UsageFile
from isthmus.contracts.reports.value import PilotExit, Range, ValueFigure, ValueReport
from isthmus.contracts.requirements.document import Requirements
from isthmus.contracts.requirements.value import Measure
from isthmus.core.errors import InputError
from isthmus.planning.from_usage import series
from isthmus.value import costs, report
from tests.value import bank


def windows_of(usage: UsageFile) -> dict[str, series.Window]:
    windows = {name: series.window(one) for name, one in series.series_of(usage).items()}
    return {name: window for name, window in windows.items() if window is not None}


def span(workload: str, measure: Measure, made: ValueReport | None = None) -> Range:
    found = figure(workload, measure, made).range
    assert found is not None
    return found


def exit_of(made: ValueReport, workload: str) -> PilotExit:
    found = bank.of(made, workload).exit
    assert found is not None
    return found


def figure(workload: str, measure: Measure, made: ValueReport | None = None) -> ValueFigure:
    one = bank.of(made or bank.report(), workload)
    return next(each for each in one.figures if each.measure == measure)


def test_adoption_counts_the_people_with_an_answer_out_of_those_who_could():
    assert span(bank.ASSISTANT, "adoption").point == pytest.approx(460 / 900, abs=1e-5)
    assert bank.of(bank.report(), bank.ASSISTANT).active_people == 460


def test_people_are_counted_in_one_month_because_pseudonyms_change_with_it():
    rows = [row for row in bank.rows() if row["day"] <= "2026-11-12"]
    usage = UsageFile.model_validate({"days": rows})
    made = report.value_report(bank.STACK, bank.plan(), bank.requirements(), usage, {})
    found = bank.of(made, bank.ASSISTANT)
    assert str(found.begin) < "2026-11-01" < str(found.end)
    assert (found.active_month, found.active_people) == ("2026-10", 460)


def test_where_the_usage_names_no_people_adoption_is_not_known():
    adoption = figure(bank.NARRATIVES, "adoption")
    assert adoption.range is None
    assert (adoption.why_not_known or "").startswith("the usage names no people")


def test_below_a_hundred_judgements_nothing_that_needs_them_is_known():
    for judged in (0, 99):
        made = bank.report({bank.ASSISTANT: bank.sample(judged, judged)} if judged else {})
        measures: tuple[Measure, ...] = ("acceptance", "cost_per_accepted_answer_usd", "payback_months")
        for measure in measures:
            assert figure(bank.ASSISTANT, measure, made).range is None
    assert "has 99 judgements, 1 fewer than the 100 that are needed" in str(
        figure(bank.ASSISTANT, "acceptance", made).why_not_known
    )
    assert (
        figure(bank.ASSISTANT, "acceptance", bank.report({bank.ASSISTANT: bank.sample(100, 100)})).range
        is not None
    )


def test_the_costs_of_the_workloads_add_up_to_the_plan_s_cost():
    made = bank.report()
    total = made.adding_up
    assert total.plan_usd == Decimal(str(bank.plan().monthly_cost_usd))
    assert sum(cost.total_usd for cost in made.costs) == total.total_usd
    assert total.total_usd == total.plan_usd - total.metered_in_plan_usd + total.metered_usd
    for cost in made.costs:
        assert cost.total_usd == cost.metered_usd + cost.shared_usd


def test_the_metered_cost_is_that_of_the_ledger_for_a_month():
    (cost,) = [cost for cost in bank.report().costs if cost.workload == bank.ASSISTANT]
    window = windows_of(bank.usage())[bank.ASSISTANT]
    month = 730 / 24 / 28
    tokens = 0.0058 * window.answered * month
    guardrails = (2522.88 + 1681.92) * window.answered * month / (0.4 * 3600 * 730)
    assert float(cost.metered_usd) == pytest.approx(tokens + guardrails, abs=0.03)
    (copy,) = [cost for cost in bank.report().costs if cost.workload == "campaign-copy"]
    assert (copy.metered_is_measured, copy.metered_usd) == (False, Decimal("381.80"))


def test_workloads_on_one_endpoint_share_its_gpus_by_measured_gpu_time():
    plan = bank.plan()
    moved = [
        placement.model_copy(update={"endpoint": "restricted-qwen3-32b"})
        if placement.workload == "kyc-extraction"
        else placement
        for placement in plan.placements
    ]
    plan = plan.model_copy(update={"placements": moved})
    rows = [
        {
            **row,
            "endpoint": "restricted-qwen3-32b",
            "gpu_seconds": 3.0 if row["workload"] == bank.NARRATIVES else 9.0,
        }
        for row in bank.rows()
        if row["workload"] != bank.ASSISTANT
    ]
    usage = UsageFile.model_validate({"days": rows})
    windows = windows_of(usage)
    made, total = costs.workload_costs_of(plan, bank.requirements(), usage, windows)
    by_name = {cost.workload: cost.shared_usd for cost in made}
    assert by_name["kyc-extraction"] == pytest.approx(3 * by_name[bank.NARRATIVES], abs=Decimal("0.1"))
    assert sum(cost.total_usd for cost in made) == total.total_usd


@settings(max_examples=max(8, settings().max_examples // 8))
@given(st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0, 5))
def test_costs_add_up_whatever_the_traffic_and_the_ledger_say(assistant, narratives, usd):
    data = bank.requirements().document.data
    workloads = [dict(one) for one in data["workloads"]]
    for one in workloads:
        rate = {bank.ASSISTANT: assistant, bank.NARRATIVES: narratives}.get(one["name"])
        if rate is not None:
            one["traffic"] = {**one["traffic"], "mean_rps": rate, "peak_rps": 2 * rate}
    requirements = Requirements.model_validate({**data, "workloads": workloads})
    rows = [{**row, "cost_usd": str(usd)} for row in bank.rows(people=3)]
    usage = UsageFile.model_validate({"days": rows})
    windows = windows_of(usage)
    made, total = costs.workload_costs_of(bank.plan(), requirements, usage, windows)
    assert total.plan_usd == Decimal(str(bank.plan().monthly_cost_usd))
    assert sum(cost.total_usd for cost in made) == total.total_usd
    assert total.total_usd == total.plan_usd - total.metered_in_plan_usd + total.metered_usd


def test_the_assistant_is_scaled_and_the_narratives_wait_for_judgements():
    made = bank.report()
    assert exit_of(made, bank.ASSISTANT).answer == "scale"
    waiting = exit_of(made, bank.NARRATIVES)
    assert (waiting.answer, waiting.possible) == ("not known yet", ["scale", "fix", "stop"])
    judged = bank.report({bank.NARRATIVES: bank.sample(60, 140)})
    assert exit_of(judged, bank.NARRATIVES).answer == "stop"


def test_every_assumption_has_a_source_and_a_day():
    for one in bank.report().workloads:
        assert all(each.source and each.as_of for each in one.assumptions)
        assert {each.kind for each in one.assumptions} == {"measured", "stated"}


def test_usage_of_another_stack_is_refused():
    usage = bank.usage().model_copy(update={"stack": "other"})
    with pytest.raises(InputError, match="the usage is of stack `other`, not of `bank-dev`"):
        report.value_report(bank.STACK, bank.plan(), bank.requirements(), usage, {})


def test_requirements_without_a_value_are_refused():
    data = bank.requirements().document.data
    without = [{key: part for key, part in one.items() if key != "value"} for one in data["workloads"]]
    requirements = Requirements.model_validate({**data, "workloads": without})
    with pytest.raises(InputError, match="no workload states its `value`"):
        report.value_report(bank.STACK, bank.plan(), requirements, bank.usage(), {})


def test_criteria_that_came_after_the_first_use_are_pointed_out():
    assert not any("beforehand" in note for note in bank.of(bank.report(), bank.ASSISTANT).notes)
    data = copy.deepcopy(bank.requirements().document.data)
    for one in data["workloads"]:
        if one["name"] == bank.ASSISTANT:
            one["value"]["pilot"]["agreed_on"] = "2026-09-08"
    late = bank.report(requirements_=Requirements.model_validate(data))
    assert (
        "the criteria were agreed on 2026-09-08, after the first use on 2026-09-07, so they were not agreed beforehand"
        in bank.of(late, bank.ASSISTANT).notes
    )


def test_capacity_that_waits_is_pointed_out():
    assert any("capacity that waits" in note for note in bank.of(bank.report(), bank.NARRATIVES).notes)
    assert not any("capacity that waits" in note for note in bank.of(bank.report(), bank.ASSISTANT).notes)


def test_gpu_time_on_an_endpoint_of_an_earlier_plan_is_no_usage_of_an_api():
    rows = [
        {**row, "endpoint": "earlier"} if row["workload"] == bank.NARRATIVES else row for row in bank.rows(3)
    ]
    usage = UsageFile.model_validate({"days": rows})
    made, _ = costs.workload_costs_of(bank.plan(), bank.requirements(), usage, windows_of(usage))
    (cost,) = [cost for cost in made if cost.workload == bank.NARRATIVES]
    assert (cost.metered_usd, cost.gpu_time_usd) == (Decimal(0), Decimal("5.16"))
