"""`isthmus models` and `isthmus gpus`: what can be planned."""

from __future__ import annotations

import json

import pytest

from isthmus.planning.catalogues import models
from tests.cli.conftest import ROOT, Isthmus

REQUIREMENTS = ROOT / "stacks" / "bank-dev.requirements.yaml"


def test_models_are_listed_as_text_and_as_json(isthmus: Isthmus):
    text = isthmus("models", "--task", "rerank", "--class", "restricted")
    assert text.code == 0, text.err
    assert "BAAI/bge-reranker-v2-m3" in text.out
    answer = isthmus("models", "--task", "rerank", "--class", "restricted", "--format", "json")
    listed = json.loads(answer.out)
    assert {model["task"] for model in listed} == {"rerank"}
    assert all(model["source"] and model["weights_gib"] for model in listed)


def test_gpus_are_listed_with_prices_of_a_region(isthmus: Isthmus):
    text = isthmus("gpus", "--region", "eu-central-1")
    assert text.code == 0, text.err
    assert "l40s-48gb" in text.out
    listed = json.loads(isthmus("gpus", "--region", "eu-central-1", "--format", "json").out)
    assert all(gpu["usd_per_gpu_hour"] for gpu in listed)


def test_an_unknown_name_and_an_empty_list_are_said(isthmus: Isthmus):
    wrong = isthmus("gpus", "--region", "eu-centrl-1")
    assert (wrong.code, "Did you mean `eu-central-1`?" in wrong.err) == (2, True)
    nothing = isthmus("models", "--memory", "0.01")
    assert (nothing.code, nothing.out) == (0, "")
    assert "Leave an option out" in nothing.err


def test_models_to_evaluate_are_listed_for_one_workload(isthmus: Isthmus):
    for wrong, words in (
        (("--for", REQUIREMENTS, "--workload", "no-such"), "Choose one of"),
        (("--for", REQUIREMENTS, "--task", "chat"), "Leave the other filters out"),
        (("--workload", "kyc-extraction"), "Add --for REQUIREMENTS"),
    ):
        answer = isthmus("models", *wrong)
        assert (answer.code, answer.out, words in answer.err) == (2, "", True)


def test_models_to_evaluate_are_listed_with_their_cost_and_that_of_today(
    isthmus: Isthmus, monkeypatch: pytest.MonkeyPatch
):
    few = models.ids()[::30]
    monkeypatch.setattr(models, "ids", lambda: few)
    text = isthmus("models", "--for", REQUIREMENTS, "--workload", "kyc-extraction")
    assert text.code == 0, text.err
    assert "kyc-extraction, USD a month by itself (its cheapest candidate:" in text.out
    answer = isthmus("models", "--for", REQUIREMENTS, "--workload", "kyc-extraction", "--format", "json")
    listed = json.loads(answer.out)
    assert {one["workload"] for one in listed} == {"kyc-extraction"}
    assert any(one["model"] in text.out for one in listed)
