"""Warnings of a plan that every answer would be held for review, because a target returns no confidence score."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.replay import OFFERS
from isthmus.blueprints.offers import offers
from isthmus.core import yaml_files
from tests.planning.test_hardware import copy, make
from tests.planning.test_planner import ROOT, workload

pytestmark = pytest.mark.whole

ASSISTANT = "policy-assistant"


def holding() -> dict[str, Any]:
    """The bank, where a low score holds each answer of the assistant."""
    data = copy()
    workload(data, ASSISTANT)["review"]["on_low_score"] = "hold"
    return data


def review_warnings(data: dict[str, Any]) -> list[str]:
    return [warning for warning in make(data, OFFERS).warnings if "held for review" in warning]


def test_review_by_confidence_on_bedrock_gives_a_warning_with_a_fix() -> None:
    (warning,) = review_warnings(holding())
    assert warning == (
        "policy-assistant: every answer is held for review, because anthropic.claude-haiku-4-5-20251001-v1:0 on "
        "Bedrock returns no log-probabilities to score it and `review.below_confidence` is set. Fix: Remove "
        "`review.on_low_score`, or give it a candidate for GPUs: a pool of a site, or `eks` in `allow` of an AWS site"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda workload: workload["review"].pop("below_confidence"),
        lambda workload: workload["review"].pop("on_low_score"),
        lambda workload: workload.pop("review"),
        # Everything is held of it, whatever its score.
        lambda workload: workload.update(impact="high"),
        # A model server of ours tells what it is asked.
        lambda workload: workload["model"]["candidates"].pop(0),
    ],
    ids=["by sample alone", "delivered", "no review", "high impact", "a model server"],
)
def test_no_warning_is_given_if_no_confidence_score_is_missing(change: Any) -> None:
    data = holding()
    change(workload(data, ASSISTANT))
    assert review_warnings(data) == []


def test_a_required_confidence_score_excludes_targets_without_scores() -> None:
    data = copy()
    workload(data, ASSISTANT)["impact"] = "material"
    (warning,) = review_warnings(data)
    assert warning.endswith(
        "is set. Fix: Give it a candidate for GPUs: a pool of a site, or `eks` in `allow` of an AWS site"
    )


def test_the_warning_names_the_share_that_overflows_to_bedrock() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "bank-overflow.requirements.yaml").data))
    (over,) = [placement for placement in make(data, OFFERS).placements if placement.role == "overflow"]
    workload(data, over.workload)["review"] = {
        "domain": "hr",
        "below_confidence": 0.5,
        "on_low_score": "hold",
    }
    (warning,) = [line for line in review_warnings(data) if line.startswith(over.workload)]
    assert "every answer of the overflow is held for review" in warning


def test_the_warning_is_also_given_for_gateways_in_eks() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "cloud-private.requirements.yaml").data))
    (internal,) = [candidate for candidate in data["workloads"] if candidate["sensitivity"] == "internal"]
    internal["review"] = {"domain": "hr", "below_confidence": 0.5, "on_low_score": "hold"}
    plan = make(data, tuple(offers()))
    assert plan.blueprint == "cloud-private"
    (warning,) = [warning for warning in plan.warnings if "held for review" in warning]
    assert warning.startswith(f"{internal['name']}: every answer is held for review")


def test_a_gateway_on_fargate_gives_no_warning_because_it_holds_no_answers() -> None:
    data = json.loads(json.dumps(yaml_files.load(ROOT / "examples" / "cloud-managed.requirements.yaml").data))
    for row in data["workloads"]:
        row["review"] = {"domain": "claims", "below_confidence": 0.5, "on_low_score": "hold"}
    plan = make(data, OFFERS)
    assert plan.feasible
    assert {endpoint.target for endpoint in plan.endpoints} == {"bedrock"}
    assert review_warnings(data) == []
