"""Guardrail rules: which entities, filters and thresholds count, and which calls need a guardrail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.engine.render.recorder import Resource
from tests.policies.cases_models import BASE, BEHIND, GUARD, VERSION, config
from tests.policies.making import applicable, findings_of, resource_of

UNKNOWN = "${other.value}"


def guardrail(**inputs: Any) -> Resource:
    return resource_of(GUARD.type, "guard", inputs)


def verdicts(rule: str, *resources: Resource) -> list[str]:
    return [finding.verdict for finding in findings_of(rule, *resources)]


def redacting(*entities: Any) -> Resource:
    return guardrail(sensitiveInformationPolicyConfig={"piiEntitiesConfigs": list(entities)})


def entity(kind: str, action: str = "BLOCK", **more: Any) -> dict[str, Any]:
    return {"type": kind, "action": action, **more}


SECRETS = (entity("AWS_SECRET_KEY"), entity("PASSWORD", "ANONYMIZE"))


@pytest.mark.parametrize(
    ("entities", "count"),
    [
        (SECRETS, 0),
        ((entity("NAME"), *SECRETS), 0),
        ((entity("NAME", "ANONYMIZE"), *SECRETS), 0),
        ((entity("NAME", "NONE"), *SECRETS), 0),
        ((entity("NAME"),), 1),
        ((entity("NAME"), SECRETS[0]), 1),
        ((entity("AWS_SECRET_KEY", "NONE"), SECRETS[1]), 1),
        ((entity("NAME", "NONE"), entity("PASSWORD", "NONE")), 1),
        ((), 1),
        ((*SECRETS, entity("NAME", inputEnabled=False)), 1),
        ((*SECRETS, entity("NAME", outputEnabled=False)), 1),
        ((*SECRETS, entity("NAME", inputEnabled=False, outputEnabled=True)), 1),
        ((*SECRETS, entity("NAME", inputEnabled=True, outputEnabled=True)), 0),
    ],
)
def test_a_guardrail_redacts_secrets_in_both_directions(entities: tuple[Any, ...], count: int):
    assert verdicts("guardrail/personal-data", redacting(*entities)) == ["violated"] * count


def test_what_a_guardrail_redacts_may_be_unknown_in_whole_or_in_part():
    for config_ in (UNKNOWN, {"piiEntitiesConfigs": UNKNOWN}):
        unknown = guardrail(sensitiveInformationPolicyConfig=config_)
        assert verdicts("guardrail/personal-data", unknown) == ["undecided"]


def filtering(*filters: Any) -> Resource:
    return guardrail(contentPolicyConfig={"filtersConfigs": list(filters)})


def attack_filter(strength: str, **more: Any) -> dict[str, Any]:
    return {"type": "PROMPT_ATTACK", "inputStrength": strength, **more}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((attack_filter("HIGH"),), []),
        ((attack_filter("MEDIUM"),), []),
        ((attack_filter("LOW"),), ["violated"]),
        ((attack_filter("NONE"),), ["violated"]),
        ((attack_filter("HIGH", inputAction="NONE"),), ["violated"]),
        ((attack_filter("HIGH", inputAction="BLOCK"),), []),
        ((attack_filter(UNKNOWN),), ["undecided"]),
        (({"type": "HATE", "inputStrength": "HIGH"},), ["violated"]),
        (({"type": "HATE", "inputStrength": "LOW"}, attack_filter("HIGH")), []),
        ((attack_filter("HIGH"), attack_filter("LOW")), ["violated"]),
    ],
)
def test_a_guardrail_filters_prompt_attacks_at_medium_strength_or_more(
    filters: tuple[Any, ...], expected: list[str]
):
    assert verdicts("guardrail/prompt-attacks", filtering(*filters)) == expected


def test_the_filters_of_a_guardrail_may_be_unknown_in_whole_or_in_part():
    for config_ in (UNKNOWN, {"filtersConfigs": UNKNOWN}):
        assert verdicts("guardrail/prompt-attacks", guardrail(contentPolicyConfig=config_)) == ["undecided"]


def grounding(*filters: Any) -> Resource:
    return guardrail(contextualGroundingPolicyConfig={"filtersConfigs": list(filters)})


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.49, ["violated"]), (0, ["violated"]), (0.5, []), (1, []), (None, [])],
)
def test_a_grounding_threshold_is_at_least_one_half(threshold: Any, expected: list[str]):
    guard = grounding({"type": "GROUNDING", "threshold": threshold})
    assert verdicts("guardrail/grounding", guard) == expected


def test_grounding_is_checked_only_where_answers_come_from_documents():
    assert verdicts("guardrail/grounding", grounding()) == []
    assert verdicts("guardrail/grounding", grounding(), BASE) == ["violated"]
    assert verdicts("guardrail/grounding", guardrail(), BASE) == ["violated"]
    assert verdicts("guardrail/grounding", grounding({"threshold": 0.9}), BASE) == []
    assert verdicts(
        "guardrail/grounding", guardrail(contextualGroundingPolicyConfig={"filtersConfigs": UNKNOWN})
    ) == ["undecided"]


def test_the_grounding_rule_applies_to_guardrails_that_check_it_or_stand_beside_a_knowledge_base():
    assert applicable("guardrail/grounding", grounding({"threshold": 0.9})) == ["guard"]
    assert applicable("guardrail/grounding", guardrail()) == []
    assert applicable("guardrail/grounding", guardrail(), BASE) == ["guard"]


def test_a_guardrail_needs_a_version_of_its_own():
    other = resource_of(GUARD.type, "other", {})
    findings = findings_of("guardrail/published", GUARD, other, VERSION)
    assert [finding.resource for finding in findings] == ["other"]


@pytest.mark.parametrize(
    ("models", "count"),
    [
        ([{"name": "a", "guardrail": {"id": "g"}}], 0),
        ([{"name": "a"}], 1),
        ([{"name": "a", "provider": "bedrock"}], 1),
        ([{"name": "a", "provider": "sagemaker"}], 0),
        ([{"name": "a", "guardrail": {"id": "g"}}, {"name": "b"}], 1),
        ([], 0),
    ],
)
def test_every_call_of_bedrock_uses_a_guardrail_if_the_stack_has_one(models: list[Any], count: int):
    translator = config({**BEHIND, "models": models})
    assert len(verdicts("guardrail/asked", translator, GUARD)) == count
    assert verdicts("guardrail/asked", translator) == []


def test_the_rule_about_calls_applies_to_configurations_with_models_of_bedrock_beside_a_guardrail():
    own = [{"name": "own", "provider": "sagemaker"}]
    mixed = [*own, {"name": "haiku"}]
    for models, expected in ((own, []), (mixed, ["cfg"]), ([], [])):
        translator = config({**BEHIND, "models": models})
        assert applicable("guardrail/asked", translator, GUARD) == expected
        assert applicable("guardrail/asked", translator) == []


# LiteLLM's proxy.


def proxy(*guards: Any, models: Any = (), name: str = "config.yaml", **more: Any) -> Resource:
    settings = {"model_list": list(models), "guardrails": list(guards), **more}
    inputs = {"metadata": {"name": "proxy", "namespace": "space"}, "data": {name: json.dumps(settings)}}
    return resource_of("kubernetes:core/v1:ConfigMap", "proxy", inputs)


def guard(**params: Any) -> dict[str, Any]:
    return {"guardrail_name": "pii", "litellm_params": {"default_on": True, **params}}


def model(name: str, *tags: str) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": name, "tags": list(tags)}}


ALWAYS_ON = "guardrail/proxy-always-on"


@pytest.mark.parametrize(
    ("resource", "count"),
    [
        (proxy(), 0),
        (proxy(guard()), 0),
        (proxy(guard(default_on=False)), 1),
        (proxy(guard(default_on="yes")), 1),
        (proxy(guard(guardrail="presidio")), 1),
        (proxy(guard(guardrail="presidio", pii_entities_config={"PERSON": "MASK"})), 0),
        (proxy(guard(guardrail="other")), 0),
        (proxy(guard(allow_fail_open=True)), 1),
        (proxy(guard(allow_fail_open=False)), 0),
        (proxy(guard(), guard(allow_fail_open=True)), 1),
        (proxy("x"), 0),
        (proxy(models=[model("bedrock/x", "default")]), 1),
        (proxy(models=[model("openai/x", "default", "internal")]), 1),
        (proxy(models=[model("bedrock/x", "internal")]), 0),
        (proxy(models=[model("bedrock/x")]), 0),
        (proxy(models=[model("hosted_vllm/x", "default")]), 0),
        (proxy(models=[{"model_name": "m", "litellm_params": {"model": "bedrock/x"}}]), 0),
        (proxy(models=["x", model("bedrock/x", "default")]), 1),
        (proxy(litellm_settings={"drop_params": True}), 1),
        (proxy(litellm_settings={"drop_params": False}), 0),
        (proxy(guard(default_on=False), name="config.yml"), 1),
        (proxy(guard(default_on=False), name="readme.txt"), 0),
    ],
)
def test_a_proxys_guardrails_are_always_on_and_never_fail_open(resource: Resource, count: int):
    assert verdicts(ALWAYS_ON, resource) == ["violated"] * count


def test_a_file_that_is_no_proxy_configuration_is_not_judged():
    data = {"config.yaml": "guardrails:\n- litellm_params: {default_on: false}\n"}
    inputs = {"metadata": {"name": "other", "namespace": "space"}, "data": data}
    assert verdicts(ALWAYS_ON, resource_of("kubernetes:core/v1:ConfigMap", "other", inputs)) == []
    unknown = resource_of("kubernetes:core/v1:ConfigMap", "other", {**inputs, "data": UNKNOWN})
    assert verdicts(ALWAYS_ON, unknown) == []


def test_a_proxy_configuration_that_cannot_be_read_is_undecided():
    inputs = {"metadata": {"name": "p", "namespace": "space"}, "data": {"config.yaml": "model_list: ["}}
    assert verdicts(ALWAYS_ON, resource_of("kubernetes:core/v1:ConfigMap", "p", inputs)) == ["undecided"]
