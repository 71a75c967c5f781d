"""Languages of prompts: stated in the requirements, and never guessed."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest

from isthmus import blueprints
from isthmus.blueprints import missing_values, template_filters, trial
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.planning import planner
from sandbox import sample_settings

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def planned(*languages: str) -> tuple[Requirements, Plan]:
    """The bank with these languages for staff's questions, which leave the site for Bedrock; none: not stated."""
    data: dict[str, Any] = copy.deepcopy(yaml_files.load(ROOT / "stacks" / "bank-dev.requirements.yaml").data)
    if languages:
        data["workloads"][2]["languages"] = list(languages)
    requirements = requirements_of.parse(yaml_files.loads(yaml_files.dumps(data), "r.yaml"))
    return requirements, planner.make_plan(requirements, offers(), "2026-11-25").plan


def screening(*languages: str) -> dict[str, Any]:
    requirements, plan = planned(*languages)
    platform = blueprints.render(plan.blueprint, requirements, plan)
    return next(gateway["screening"] for gateway in platform["gateways"] if gateway["class"] == "internal")


def models_to_give(*languages: str) -> list[str]:
    requirements, plan = planned(*languages)
    missing = missing_values.list_missing_values(blueprints.render(plan.blueprint, requirements, plan))
    return [example for path, example in missing if path == "gateways[internal-fra1].screening.models"]


def test_english_prompts_have_the_model_of_the_detectors_image():
    assert screening("en") == {"languages": ["en"], "models": [ENGLISH_MODEL]}
    assert models_to_give("en") == []


def test_another_language_gets_no_model_by_default_and_the_organisation_is_asked_for_one():
    assert screening("de") == {"languages": ["de"], "models": []}
    (example,) = models_to_give("de")
    assert "language: de" in example
    assert "language: en" not in example


def test_beside_english_the_other_language_is_asked_for_too():
    assert screening("en", "fr") == {"languages": ["en", "fr"], "models": [ENGLISH_MODEL]}
    (example,) = models_to_give("en", "fr")
    assert "language: en" in example
    assert "language: fr" in example


def test_models_that_the_organisation_has_given_are_not_asked_for_again():
    own = [{"file": "de_core_news_md-3.8.0-py3-none-any.whl", "sha256": "a" * 64, "language": "de"}]
    for screening_settings in ({"languages": ["de", "en"], "models": own}, {"models": own}):
        gateway = {
            "name": "g",
            "class": "internal",
            "site": "home",
            "screening": screening_settings,
            "workloads": [{"name": "w", "endpoint": "far"}],
        }
        platform = {"gateways": [gateway], "endpoints": [{"id": "far", "site": "away", "target": "bedrock"}]}
        paths = [path for path, _ in missing_values.list_missing_values(platform)]
        assert "gateways[g].screening.models" not in paths


def test_languages_that_nobody_stated_count_as_english_and_are_told():
    assert screening() == {"models": [ENGLISH_MODEL]}
    requirements, plan = planned()
    assert template_filters.unstated_languages(plan, requirements) == [("policy-assistant", "fra1")]
    assert template_filters.unstated_languages(*reversed(planned("en"))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("languages", [("en",), ("de",), ("fr", "en")])
def test_a_platform_of_each_language_can_be_rendered_in_the_sandbox(languages: tuple[str, ...]):
    requirements, plan = planned(*languages)
    assert trial.render_faults(requirements, plan, sample_settings.sample_value_source) == []


def test_a_guardrail_filters_the_stated_languages():
    requirements, plan = planned("de", "en")
    platform = blueprints.render(plan.blueprint, requirements, plan)
    by_class = {guardrail["class"]: guardrail.get("languages") for guardrail in platform["guardrails"]}
    assert by_class == {"internal": ["de", "en"], "public": None}
