"""Redaction rules: unknown values never count as redacted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.cases_screening import (
    ANSWERS,
    BARE,
    FRONT,
    GATEWAY,
    MODEL,
    PUBLIC,
    RULE,
    UNDECIDED,
    behind,
    config,
    gateway_platform,
    routes,
    task,
)
from tests.policies.making import findings_of


@pytest.mark.parametrize(
    ("settings", "platform"), [pytest.param(*values, id=name) for name, *values in UNDECIDED]
)
def test_what_is_not_known_is_undecided(settings: dict[str, Any], platform: Any):
    findings = findings_of(RULE, config(settings), platform=platform)
    assert [finding.verdict for finding in findings] == ["undecided"], findings


def test_a_place_that_is_not_known_may_stand_anywhere_when_all_that_leaves_is_redacted():
    cloud = {**GATEWAY["routes"][0], "model": "of another version"}
    assert findings_of(RULE, config({**GATEWAY, "routes": [cloud]}), platform=gateway_platform()) == []


def test_the_finding_says_which_gateway_sends_what_where():
    settings = {key: value for key, value in GATEWAY.items() if key != "screening"}
    (finding,) = findings_of(RULE, config(settings), platform=gateway_platform())
    assert finding.message == (
        "gw-config sends prompts to internal-translator.isthmus-internal.svc, outside its site, without redaction"
    )
    assert (finding.severity, finding.resource) == ("critical", "gw-config")


LOOKS = GATEWAY["screening"]
NOT_KNOWN: dict[str, list[Any]] = {
    "the detector's address": [config(GATEWAY, screening={**LOOKS, "detector": "${pod.address}"})],
    "all of a gateway's words": [config("${other.config}")],
    "all of a task's words": [task("${other.config}")],
    "where a task's requests go": [task({**BARE, "routes": "${other.routes}"})],
    "which translator answers": [FRONT],
    "whose model it is": [FRONT, behind({**MODEL, "provider": "${other.kind}"})],
    "which translators' models there are": [FRONT, behind({**MODEL, "name": "another"})],
}


@pytest.mark.parametrize(
    "resources", [pytest.param(resources, id=name) for name, resources in NOT_KNOWN.items()]
)
def test_who_is_not_known_to_look_through_answers_looks_through_none(resources: list[Any]):
    assert [finding.verdict for finding in findings_of(ANSWERS, *resources)] == ["undecided"]


def test_a_translator_whose_words_are_not_known_is_no_gateway_without_a_detector():
    assert findings_of(ANSWERS, task("${other.config}", "translator")) == []


def test_what_is_redacted_beside_the_class_is_undecided_where_the_gateways_word_is_not_known():
    gateway = config(PUBLIC, screening={**LOOKS, "redacted": "${settings.redacted}"})
    (finding,) = findings_of(
        RULE, gateway, platform=gateway_platform(class_="public", redacted=["prompts-leaving-site"])
    )
    assert finding.verdict == "undecided"


def test_a_secret_in_an_answer_says_which_gateway_nobody_looks_for():
    (finding,) = findings_of(ANSWERS, config(BARE, **routes({"url": "https://m.x.svc:8443", "site": "fra1"})))
    assert (finding.message, finding.severity) == ("gw-config does not scan answers for secrets", "high")
    (finding,) = findings_of(ANSWERS, FRONT, behind({**MODEL, "provider": "sagemaker"}))
    assert finding.message == "edge does not scan answers of chat for secrets: it uses no guardrail"
