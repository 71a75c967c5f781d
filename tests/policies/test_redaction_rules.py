"""Redaction rules: unknown values never count as redacted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.cases_screening import (
    ANSWERS,
    BARE,
    CLOUD,
    DOMAIN,
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


# Which gateways must redact.


def unreadable(role: str, class_: str) -> Any:
    map_ = config("[")
    map_.inputs["metadata"]["labels"] = {"isthmus.dev/role": role, "isthmus.dev/class": class_}
    return map_


@pytest.mark.parametrize(
    ("rule", "role", "class_", "verdicts"),
    [
        (RULE, "gateway", "internal", ["undecided"]),
        (RULE, "gateway", "public", []),
        (RULE, "gateway", "a class that is none", ["undecided"]),
        (RULE, "translator", "internal", []),
        (ANSWERS, "gateway", "public", ["undecided"]),
        (ANSWERS, "gateway", "confidential", []),
    ],
)
def test_a_gateway_that_cannot_be_read_is_undecided_if_its_class_requires_the_redaction(
    rule: str, role: str, class_: str, verdicts: list[str]
):
    assert [finding.verdict for finding in findings_of(rule, unreadable(role, class_))] == verdicts


def test_a_task_that_cannot_be_read_is_judged_by_the_class_in_its_tags():
    for class_, verdicts in (("internal", ["undecided"]), ("public", [])):
        front = task("${other.config}")
        front.inputs["tags"] = {"isthmus.dev/class": class_}
        assert [finding.verdict for finding in findings_of(RULE, front)] == verdicts


def test_a_configuration_of_another_mode_redacts_nothing():
    for rule in (RULE, ANSWERS):
        assert findings_of(rule, config({**BARE, "mode": "sidecar"}), platform=gateway_platform()) == []


def test_a_platforms_further_redactions_apply_to_its_own_gateway_alone():
    redacted = ["prompts-leaving-site"]
    for class_, site, count in (("public", "fra1", 1), ("public", "other", 0), ("internal", "fra1", 0)):
        base = gateway_platform(site, class_, redacted=redacted)
        assert len(findings_of(RULE, config(PUBLIC), platform=base)) == count


# Which detector redacts.


@pytest.mark.parametrize(
    ("screening", "verdicts"),
    [
        (LOOKS, ["violated"]),
        ({**LOOKS, "redacted": ["secrets-in-outputs"]}, ["violated"]),
        ({**LOOKS, "redacted": ["prompts-leaving-site"]}, []),
        ({**LOOKS, "redacted": "prompts-leaving-site"}, ["violated"]),
        ({"redacted": ["prompts-leaving-site"]}, ["violated"]),
        ({**LOOKS, "redacted": "${settings.redacted}"}, ["undecided"]),
        ({"redacted": "${settings.redacted}"}, ["violated"]),
    ],
)
def test_a_redaction_beyond_the_class_must_be_listed_beside_a_detector(
    screening: dict[str, Any], verdicts: list[str]
):
    base = gateway_platform(class_="public", redacted=["prompts-leaving-site"])
    findings = findings_of(RULE, config(PUBLIC, screening=screening), platform=base)
    assert [finding.verdict for finding in findings] == verdicts


# Which destinations are outside the site.


OUTSIDE = "https://models.bank.example:8443"
NEAR = "https://llama.isthmus-internal.svc:8443"
FAR = CLOUD["url"]


@pytest.mark.parametrize(
    ("place", "verdicts"),
    [
        ({"url": NEAR, "site": "elsewhere"}, []),
        ({"url": NEAR, "target": "bedrock"}, []),
        ({"url": OUTSIDE, "site": "fra1"}, []),
        ({"url": OUTSIDE, "site": "elsewhere"}, ["violated"]),
        ({"url": OUTSIDE, "site": "fra1", "target": "bedrock"}, []),
        ({"url": OUTSIDE, "target": "onprem-vllm"}, []),
        ({"url": OUTSIDE, "target": "bedrock"}, ["violated"]),
        ({"url": OUTSIDE}, ["violated"]),
        ({"url": OUTSIDE, "target": "${place.target}"}, ["undecided"]),
        ({"url": OUTSIDE, "site": "${place.site}"}, ["undecided"]),
        ({"url": OUTSIDE, "site": "fra1", "target": "${place.target}"}, []),
        ({"url": "https://[", "target": "bedrock"}, ["violated"]),
        ({"url": "https://[", "target": "onprem-vllm"}, []),
        ({"url": FAR, "site": "frankfurt"}, ["violated"]),
        ({"url": FAR, "site": "fra1"}, ["undecided"]),
        ({"url": FAR}, ["violated"]),
        ({"url": FAR, "target": "onprem-vllm"}, ["undecided"]),
    ],
)
def test_without_a_platform_a_destination_is_outside_if_its_host_or_the_gateway_says_so(
    place: dict[str, Any], verdicts: list[str]
):
    findings = findings_of(RULE, config(BARE, **routes(place)))
    assert [finding.verdict for finding in findings] == verdicts


@pytest.mark.parametrize(
    ("place", "verdicts"),
    [
        ({"model": "haiku", "site": "frankfurt"}, ["violated"]),
        ({"model": "haiku--chat", "site": "frankfurt"}, ["violated"]),
        ({"model": "haiku", "site": "fra1"}, ["violated"]),
        ({"model": "llama", "site": "fra1"}, []),
        ({"model": "llama", "site": "frankfurt"}, []),
        ({"model": "llama--chat"}, []),
        ({"model": "llama--other", "site": "fra1"}, ["undecided"]),
        ({"model": "unknown", "site": "frankfurt"}, ["violated"]),
        ({"model": "unknown", "site": "fra1"}, ["undecided"]),
    ],
)
def test_behind_a_translator_the_platform_says_which_endpoint_is_outside_the_site(
    place: dict[str, Any], verdicts: list[str]
):
    findings = findings_of(RULE, config(BARE, **routes({"url": FAR, **place})), platform=gateway_platform())
    assert [finding.verdict for finding in findings] == verdicts


def test_with_a_detector_only_a_destination_that_the_gateway_takes_for_its_own_site_is_found():
    for site, model, verdicts in (
        ("fra1", "haiku", ["violated"]),
        ("frankfurt", "haiku", []),
        ("frankfurt", "unknown", []),
        ("fra1", "unknown", ["undecided"]),
    ):
        place = {"url": FAR, "model": model, "site": site}
        findings = findings_of(RULE, config(GATEWAY, **routes(place)), platform=gateway_platform())
        assert [finding.verdict for finding in findings] == verdicts


def test_a_gateway_at_an_unknown_site_is_undecided():
    place = {"url": OUTSIDE, "site": "frankfurt"}
    for screening in ({}, LOOKS):
        gateway = config({**BARE, "site": "${site.name}", "screening": screening}, **routes(place))
        assert [finding.verdict for finding in findings_of(RULE, gateway)] == ["undecided"]


def test_an_unknown_detector_is_undecided_only_for_prompts_that_leave_the_site():
    screening = {**LOOKS, "detector": "${pod.address}"}
    for site, verdicts in (("elsewhere", ["undecided"]), ("fra1", [])):
        gateway = config(GATEWAY, screening=screening, **routes({"url": OUTSIDE, "site": site}))
        assert [finding.verdict for finding in findings_of(RULE, gateway)] == verdicts


def test_a_task_without_a_platform_calls_the_translator_of_its_own_network():
    assert findings_of(RULE, task({**BARE, **routes({"url": OUTSIDE, "site": "elsewhere"})})) == []


def test_routes_and_alternatives_that_are_no_destinations_are_skipped():
    place = {"url": NEAR, "also": "x", "canary": "y", "overflow": ["z"]}
    assert findings_of(RULE, config({**BARE, "routes": ["x"]})) == []
    assert findings_of(RULE, config(BARE, **routes(place))) == []


# Answers of tasks: a guardrail scans them.


@pytest.mark.parametrize(
    ("behind_it", "verdicts"),
    [
        ([behind(MODEL)], []),
        ([behind({"name": MODEL["name"]})], ["violated"]),
        ([behind({**MODEL, "provider": "sagemaker"})], ["violated"]),
        ([behind({**MODEL, "provider": "bedrock"})], []),
        ([behind({**MODEL, "provider": "${other.kind}"})], ["undecided"]),
        ([behind(MODEL), behind({"name": MODEL["name"], "region": "eu-west-1"})], ["violated"]),
        ([behind({**MODEL, "name": "another"})], ["undecided"]),
        ([behind(MODEL, "internal-gateway.other.internal")], ["undecided"]),
        ([config({"mode": "translator", "class": "internal", "models": [MODEL]}, "t")], ["undecided"]),
    ],
)
def test_answers_of_a_task_need_a_guardrail_of_every_translator_that_may_serve_them(
    behind_it: list[Any], verdicts: list[str]
):
    assert [finding.verdict for finding in findings_of(ANSWERS, FRONT, *behind_it)] == verdicts


@pytest.mark.parametrize("changes", [{"class": "public"}, {"mode": "gateway", "routes": []}])
def test_a_guardrail_of_another_class_or_mode_is_not_that_of_the_task(changes: dict[str, Any]):
    settings = {
        **{"mode": "translator", "class": "internal", "models": [MODEL]},
        **{"allowed_clients": [f"internal-gateway.{DOMAIN}"], **changes},
    }
    findings = [
        finding
        for finding in findings_of(ANSWERS, FRONT, task(settings, "other"))
        if finding.resource == "edge"
    ]
    assert [finding.verdict for finding in findings] == ["undecided"]


def test_a_detector_scans_the_answers_of_a_task_in_place_of_a_guardrail():
    front = task({**BARE, "screening": LOOKS, **routes({**CLOUD})})
    assert findings_of(ANSWERS, front) == []
