"""Guardrails, on top of the boundaries and never in their place: what each must filter, and that nothing passes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.graph.resources.resources import Resource
from isthmus.graph.resources.texts import loaded
from policies.inputs.documents import configurations
from policies.inputs.links import referred
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
_SECRETS = ("AWS_SECRET_KEY", "PASSWORD")
_ANSWERS_FROM = ("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase",)
_LEAST = 0.5
"""Of grounding: below it AWS's own examples let made-up answers through."""


def _pii(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(_GUARDRAIL):
        said = at(each.inputs, "sensitiveInformationPolicyConfig")
        entities = at(said, "piiEntitiesConfigs")
        if unknown(said) or unknown(entities):
            yield Broken(f"what {each.name} redacts is not known yet", each, "undecided")
            continue
        acts = {str(at(one, "type")): at(one, "action") for one in entities or []}
        if not any(action in ("ANONYMIZE", "BLOCK") for action in acts.values()):
            yield Broken(f"{each.name} redacts nothing", each)
        else:
            missing = [kind for kind in _SECRETS if acts.get(kind) not in ("ANONYMIZE", "BLOCK")]
            if missing:
                yield Broken(f"{each.name} lets {', '.join(missing)} through", each)
        for one in entities or []:
            for way in ("inputEnabled", "outputEnabled"):
                if at(one, way) is False:
                    yield Broken(f"{each.name} looks for {at(one, 'type')} one way only", each)


def _attacks(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(_GUARDRAIL):
        said = at(each.inputs, "contentPolicyConfig")
        filters = at(said, "filtersConfigs")
        if unknown(said) or unknown(filters):
            yield Broken(f"what {each.name} filters is not known yet", each, "undecided")
            continue
        mine = [one for one in filters or [] if at(one, "type") == "PROMPT_ATTACK"]
        if not mine:
            yield Broken(f"{each.name} has no filter against attacks in prompts", each)
        for one in mine:
            strength = at(one, "inputStrength")
            if unknown(strength):
                yield Broken(f"how strongly {each.name} filters is not known yet", each, "undecided")
            elif strength not in ("HIGH", "MEDIUM") or at(one, "inputAction") == "NONE":
                yield Broken(f"{each.name} filters attacks in prompts weakly ({strength})", each)


def _grounding(subject: Subject) -> Iterator[Broken]:
    answers = [each.name for each in subject.graph.of(*_ANSWERS_FROM)]
    for each in subject.graph.of(_GUARDRAIL):
        filters = at(each.inputs, "contextualGroundingPolicyConfig.filtersConfigs")
        if unknown(filters):
            yield Broken(f"how {each.name} checks grounding is not known yet", each, "undecided")
            continue
        if not filters and answers:
            yield Broken(f"answers from {answers[0]} pass {each.name}, which checks no grounding", each)
        for one in filters or []:
            threshold = at(one, "threshold")
            if isinstance(threshold, int | float) and threshold < _LEAST:
                yield Broken(f"{each.name} lets answers through with a grounding of {threshold:g}", each)


def _published(subject: Subject) -> Iterator[Broken]:
    published = {
        guard.urn
        for each in subject.graph.of(":GuardrailVersion")
        for guard in referred(subject.graph, each, "guardrailArn", ":Guardrail")
    }
    for each in subject.graph.of(_GUARDRAIL):
        if each.urn not in published:
            yield Broken(f"{each.name} has no version: calls could name its draft only", each)


def _asked(subject: Subject) -> Iterator[Broken]:
    """A model that a translator may call without a guardrail, where the stack has guardrails."""
    guarded = list(subject.graph.of(_GUARDRAIL))
    for resource, _, config in configurations(subject.graph):
        for model in at(config, "models") or []:
            if guarded and not at(model, "guardrail") and at(model, "provider") != "sagemaker":
                yield Broken(f"{resource.name} asks {at(model, 'name')} past every guardrail", resource)


def _proxies(subject: Subject) -> Iterator[Broken]:
    """Configurations of LiteLLM's proxy, in whoever's ConfigMap."""
    for resource in subject.graph.of("kubernetes:core/v1:ConfigMap"):
        data = resource.inputs.get("data")
        for key, text in sorted(data.items()) if isinstance(data, Mapping) else ():
            if "model_list" in str(text) and str(key).endswith((".yaml", ".yml")):
                yield from _proxy(resource, str(text))


def _proxy(resource: Resource, text: str) -> Iterator[Broken]:
    try:
        config = loaded(text)
    except InputError:
        yield Broken(f"the proxy's configuration in {resource.name} cannot be read", resource, "undecided")
        return
    for guard in _maps(config.get("guardrails")):
        said, name = at(guard, "litellm_params"), at(guard, "guardrail_name")
        if at(said, "default_on") is not True:
            yield Broken(
                f"{resource.name}: whoever does not name {name} passes it", resource, patch="default_on: true"
            )
        if at(said, "guardrail") == "presidio" and not at(said, "pii_entities_config"):
            yield Broken(f"{resource.name}: when {name} fails, the raw text goes on", resource)
        if at(said, "allow_fail_open"):
            yield Broken(f"{resource.name}: when {name} fails, everything goes on", resource)
    for model in _maps(config.get("model_list")):
        said = at(model, "litellm_params")
        cloud = str(at(said, "model")).startswith(
            ("bedrock/", "sagemaker/", "azure/", "openai/", "vertex_ai/")
        )
        if cloud and "default" in (at(said, "tags") or []):
            name = at(model, "model_name")
            yield Broken(f"{resource.name}: a request without a tag goes to {name} in a cloud", resource)
    if at(config, "litellm_settings.drop_params"):
        yield Broken(f"{resource.name}: what a provider does not know is dropped silently", resource)


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


RULES = (
    Rule(
        "guardrail/personal-data",
        "Guardrails redact personal data and secrets, both ways",
        "high",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 25"), *fw.atlas("AML.M0020"), *fw.iso_27001("A.8.11")),
        "What leaves the site carries names, accounts and keys",
        "List piiEntitiesConfigs with ANONYMIZE or BLOCK, secrets among them",
        _pii,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/prompt-attacks",
        "Guardrails filter attacks in prompts",
        "high",
        (*fw.owasp("LLM01"), *fw.atlas("AML.M0020")),
        "A document could give the model its orders",
        "Add a filter PROMPT_ATTACK with inputStrength HIGH",
        _attacks,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/grounding",
        "Where answers come from documents, guardrails check grounding",
        "medium",
        (*fw.owasp("LLM07"), *fw.atlas("AML.M0020")),
        "What no document says is told as if one did",
        "Add contextualGroundingPolicyConfig with thresholds of at least 0.5",
        _grounding,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/published",
        "Every guardrail has a version that calls can name",
        "medium",
        (*fw.nist("CM-3"), *fw.owasp("LLM01")),
        "A draft changes under the calls that it guards",
        "Add a GuardrailVersion",
        _published,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/asked",
        "No model is called past the guardrails",
        "high",
        (*fw.owasp("LLM01", "LLM02"), *fw.atlas("AML.M0020")),
        "A guardrail that calls may leave out guards nobody",
        "State guardrail: {id, version} of the model in the translator's configuration",
        _asked,
    ),
    Rule(
        "guardrail/proxy-always-on",
        "A LiteLLM proxy's guardrails are always on and fail closed",
        "high",
        (*fw.owasp("LLM01", "LLM02"), *fw.atlas("AML.M0020")),
        "Tags and guardrails that callers may leave out, or that fail open, are none",
        "Set default_on: true and pii_entities_config; take allow_fail_open and cloud models' default tag away",
        _proxies,
        ("kubernetes:core/v1:ConfigMap",),
    ),
)
