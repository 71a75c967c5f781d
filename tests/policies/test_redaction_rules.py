"""Where redaction hangs on what is not known yet, nothing is taken for redacted."""

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
    routes,
    task,
    word,
)
from tests.policies.making import found


@pytest.mark.parametrize(("said", "platform"), [pytest.param(*rest, id=name) for name, *rest in UNDECIDED])
def test_what_is_not_known_is_undecided(said: dict[str, Any], platform: Any):
    findings = found(RULE, config(said), platform=platform)
    assert [each.verdict for each in findings] == ["undecided"], findings


def test_a_place_that_is_not_known_may_stand_anywhere_when_all_that_leaves_is_redacted():
    cloud = {**GATEWAY["routes"][0], "model": "of another version"}
    assert found(RULE, config({**GATEWAY, "routes": [cloud]}), platform=word()) == []


def test_the_finding_says_which_gateway_sends_what_where():
    said = {key: value for key, value in GATEWAY.items() if key != "screening"}
    (one,) = found(RULE, config(said), platform=word())
    assert one.message == (
        "gw-config sends prompts to internal-translator.isthmus-internal.svc, outside its site, without redaction"
    )
    assert (one.severity, one.resource) == ("critical", "gw-config")


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


@pytest.mark.parametrize("resources", [pytest.param(each, id=name) for name, each in NOT_KNOWN.items()])
def test_who_is_not_known_to_look_through_answers_looks_through_none(resources: list[Any]):
    assert [each.verdict for each in found(ANSWERS, *resources)] == ["undecided"]


def test_a_translator_whose_words_are_not_known_is_no_gateway_without_a_detector():
    assert found(ANSWERS, task("${other.config}", "translator")) == []


def test_what_is_redacted_beside_the_class_is_undecided_where_the_gateways_word_is_not_known():
    said = config(PUBLIC, screening={**LOOKS, "redacted": "${settings.redacted}"})
    (one,) = found(RULE, said, platform=word(class_="public", redacted=["prompts-leaving-site"]))
    assert one.verdict == "undecided"


def test_a_secret_in_an_answer_says_which_gateway_nobody_looks_for():
    (one,) = found(ANSWERS, config(BARE, **routes({"url": "https://m.x.svc:8443", "site": "fra1"})))
    assert (one.message, one.severity) == ("gw-config does not scan answers for secrets", "high")
    (one,) = found(ANSWERS, FRONT, behind({**MODEL, "provider": "sagemaker"}))
    assert one.message == "edge does not scan answers of chat for secrets: it uses no guardrail"
