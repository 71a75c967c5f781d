"""The plan says where every answer would be held, because no score of it can be had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.replay import OFFERS
from isthmus.cli.plan_command import offers
from isthmus.core import yaml_files
from tests.planning.test_hardware import copy, make
from tests.planning.test_planner import ROOT, workload

ASSISTANT = "policy-assistant"


def held(data: dict[str, Any]) -> list[str]:
    return [each for each in make(data, OFFERS).warnings if "held for review" in each]


def test_a_low_score_asked_of_bedrock_is_a_warning_with_what_to_do() -> None:
    (said,) = held(copy())
    assert said == (
        "policy-assistant: every answer is held for review, because anthropic.claude-haiku-4-5-20251001-v1:0 on "
        "Bedrock returns no log-probabilities to score it and `review.below_confidence` is set. "
        "Fix: Remove `review.below_confidence` and set `review.sample_rate` instead, or serve it with a model server "
        "of the platform"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda mine: mine["review"].pop("below_confidence"),
        lambda mine: mine.pop("review"),
        # Everything is held of it, whatever its score.
        lambda mine: mine.update(impact="high"),
        # A model server of ours tells what it is asked.
        lambda mine: mine["model"]["candidates"].pop(0),
    ],
    ids=["by sample alone", "no review", "high impact", "a model server"],
)
def test_nothing_is_said_where_no_score_is_missed(change: Any) -> None:
    data = copy()
    change(workload(data, ASSISTANT))
    assert held(data) == []


def test_where_a_score_must_be_had_a_model_server_is_all_that_is_left() -> None:
    data = copy()
    workload(data, ASSISTANT)["impact"] = "material"
    (said,) = held(data)
    assert said.endswith("is set. Fix: Serve it with a model server of the platform")


def test_of_what_overflows_the_part_that_does_is_named() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "bank-overflow.requirements.yaml").data))
    (over,) = [each for each in make(data, OFFERS).placements if each.role == "overflow"]
    workload(data, over.workload)["review"] = {"domain": "hr", "below_confidence": 0.5}
    (said,) = [each for each in held(data) if each.startswith(over.workload)]
    assert "every answer of the overflow is held for review" in said


def test_in_a_cluster_in_aws_they_are_held_too() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "cloud-private.requirements.yaml").data))
    (mine,) = [each for each in data["workloads"] if each["sensitivity"] == "internal"]
    mine["review"] = {"domain": "hr", "below_confidence": 0.5}
    plan = make(data, tuple(offers()))
    assert plan.blueprint == "cloud-private"
    (said,) = [each for each in plan.warnings if "held for review" in each]
    assert said.startswith(f"{mine['name']}: every answer is held for review")


def test_a_gateway_on_fargate_holds_nothing() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "cloud-managed.requirements.yaml").data))
    for each in data["workloads"]:
        each["review"] = {"domain": "claims", "below_confidence": 0.5}
    plan = make(data, OFFERS)
    assert plan.feasible
    assert {each.target for each in plan.endpoints} == {"bedrock"}
    assert held(data) == []
