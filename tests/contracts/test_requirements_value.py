"""`value` of a workload: figures with ranges and sources, and criteria that can be decided."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.requirements import document as requirements_of
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.core.yaml_documents import Document

STACK = Path(__file__).resolve().parents[2] / "stacks" / "bank-dev.requirements.yaml"
BANK = yaml_files.load(STACK).data


def parsed(change: Any) -> requirements_of.Requirements:
    data = copy.deepcopy(BANK)
    (workload,) = [one for one in data["workloads"] if one["name"] == "policy-assistant"]
    change(workload)
    return requirements_of.parse(Document(data, "bank.yaml"))


def test_a_single_figure_has_no_range():
    requirements = parsed(
        lambda workload: workload["value"].update(
            baseline_minutes={"likely": 9, "source": "survey", "as_of": "2026-07-10"}
        )
    )
    workload = requirements.workload("policy-assistant")
    assert workload is not None
    assert workload.value is not None
    figure = workload.value.baseline_minutes
    assert (figure.lowest, figure.likely, figure.highest) == (9, 9, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["value"]["baseline_minutes"].pop("source"), "baseline_minutes.source: "),
        (lambda one: one["value"]["baseline_minutes"].update(as_of="July"), "baseline_minutes.as_of: "),
        (lambda one: one["value"]["baseline_minutes"].update(low=20), "low (20) is above likely (9)"),
        (lambda one: one["value"]["baseline_minutes"].update(high=5), "high (5) is below likely (9)"),
        (lambda one: one["value"]["people"].update(low=0), "nobody could use it at the low end"),
        (
            lambda one: one["value"]["pilot"]["scale"][0].update(at_most=0.9),
            "the criterion on acceptance has two limits",
        ),
        (
            lambda one: one["value"]["pilot"]["scale"][0].pop("at_least"),
            "the criterion on acceptance has no limit",
        ),
        (lambda one: one["value"]["pilot"].update(stop=[]), "pilot.stop: "),
        (
            lambda one: one["value"].pop("one_time_usd"),
            "pilot.scale[2].measure: a criterion on payback_months needs one_time_usd",
        ),
        (
            lambda one: one["value"]["pilot"]["scale"][0].update(measure="acceptanc"),
            "Did you mean `acceptance`?",
        ),
    ],
)
def test_what_cannot_be_computed_or_decided_is_refused_with_its_path(change, message):
    with pytest.raises(InputError) as caught:
        parsed(change)
    assert message in str(caught.value)


def test_only_a_workload_that_people_ask_has_a_value():
    def embed(workload: dict[str, Any]) -> None:
        workload["task"] = "embedding"
        workload.pop("interfaces")

    with pytest.raises(
        InputError, match="`value` is for a workload of task chat, and this one has task embedding"
    ):
        parsed(embed)


def test_a_criterion_that_could_never_be_decided_is_refused():
    def restrict(workload: dict[str, Any]) -> None:
        workload["value"]["pilot"]["scale"] = [{"measure": "adoption", "at_least": 0.4}]

    data = copy.deepcopy(BANK)
    (narratives,) = [one for one in data["workloads"] if one["name"] == "transaction-narratives"]
    restrict(narratives)
    with pytest.raises(InputError) as caught:
        requirements_of.parse(Document(data, "bank.yaml"))
    assert (
        "workloads[transaction-narratives].value.pilot.scale[0].measure: adoption is never known in class restricted"
    ) in str(caught.value)
    data["workloads"][0] = BANK["workloads"][0]
    data["handling"] = {"internal": {"usage_by_person": False}}
    with pytest.raises(InputError, match="adoption is never known in class internal"):
        requirements_of.parse(Document(data, "bank.yaml"))
