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
def test_an_unknown_redaction_setting_is_undecided(settings: dict[str, Any], platform: Any):
    findings = findings_of(RULE, config(settings), platform=platform)
    assert [finding.verdict for finding in findings] == ["undecided"], findings


def test_an_endpoint_at_an_unknown_site_is_no_violation_if_prompts_are_redacted():
    cloud = {**GATEWAY["routes"][0], "model": "of another version"}
    assert findings_of(RULE, config({**GATEWAY, "routes": [cloud]}), platform=gateway_platform()) == []


def test_the_finding_names_the_gateway_and_the_destination_of_unredacted_prompts():
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
def test_an_unknown_scan_of_answers_for_secrets_is_undecided(resources: list[Any]):
    assert [finding.verdict for finding in findings_of(ANSWERS, *resources)] == ["undecided"]


def test_a_translator_with_an_unknown_configuration_is_not_judged_as_a_gateway():
    assert findings_of(ANSWERS, task("${other.config}", "translator")) == []


def test_additional_redaction_is_undecided_if_the_gateways_setting_is_unknown():
    gateway = config(PUBLIC, screening={**LOOKS, "redacted": "${settings.redacted}"})
    (finding,) = findings_of(
        RULE, gateway, platform=gateway_platform(class_="public", redacted=["prompts-leaving-site"])
    )
    assert finding.verdict == "undecided"


def test_the_finding_names_the_gateway_that_does_not_scan_answers_for_secrets():
    (finding,) = findings_of(ANSWERS, config(BARE, **routes({"url": "https://m.x.svc:8443", "site": "fra1"})))
    assert (finding.message, finding.severity) == ("gw-config does not scan answers for secrets", "high")
    (finding,) = findings_of(ANSWERS, FRONT, behind({**MODEL, "provider": "sagemaker"}))
    assert finding.message == "edge does not scan answers of chat for secrets: it uses no guardrail"
