"""Models that Amazon ends: said with the months left, and not planned once they are over."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.planning.catalogues import bedrock
from isthmus.planning.catalogues.model_ends import describe_ends
from tests.planning.test_planner import bank, make

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OVER = "anthropic.claude-3-5-haiku-20241022-v1:0"


def on_bedrock(model: str) -> Any:
    """The bank's plan, with this model for its policy assistant."""
    document = bank()
    workload = next(one for one in document["workloads"] if one["name"] == "policy-assistant")
    workload["model"]["candidates"] = [{"id": model, "scores": {"api": 0.9}}]
    return make(document)


@pytest.mark.parametrize(
    ("today", "words", "is_warning"),
    [
        ("2026-01-15", "Amazon may end it from 2026-10-15 on, 9 months left (litellm 1.110.2)", False),
        ("2026-08-15", "Amazon may end it from 2026-10-15 on, 2 months left (litellm 1.110.2). Fix:", True),
        ("2026-12-02", "Amazon may end it from 2026-10-15 on (litellm 1.110.2). Fix:", True),
    ],
)
def test_a_plan_s_models_are_named_with_the_months_left(today: str, words: str, is_warning: bool):
    [(sentence, warns)] = describe_ends(on_bedrock(HAIKU).plan, today)
    assert sentence.startswith(f"{HAIKU} (of policy-assistant): {words}")
    assert warns is is_warning


def test_a_model_that_is_over_is_not_planned():
    planned = on_bedrock(OVER)
    assert not planned.plan.feasible
    reasons = planned.rejected["policy-assistant"]
    assert any("Amazon ended this model on 2026-06-19 (AWS's model card)" in reason for reason in reasons)


def test_open_models_of_our_own_gpus_do_not_end():
    document = bank()
    document["workloads"] = [one for one in document["workloads"] if one["sensitivity"] == "restricted"]
    assert describe_ends(make(document).plan, "2030-01-01") == []


def test_only_aws_s_own_word_is_final():
    endings = {name: ending for name in bedrock.ids() if (ending := bedrock.ending(name))}
    assert {ending.by for ending in endings.values() if ending.is_final} == {"AWS's model card"}
    assert all(ending.is_final for ending in endings.values() if ending.is_over)
