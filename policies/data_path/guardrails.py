"""Rules for guardrails: what each must filter, and that every model call uses one.

Guardrails add to the data-path boundaries and never replace them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.graph.resources.resources import Resource
from isthmus.graph.resources.texts import load_config
from policies.inputs.documents import gateway_configurations
from policies.inputs.links import referenced_resources
from policies.inputs.selectors import configurations_where, resources_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
_SECRETS = ("AWS_SECRET_KEY", "PASSWORD")
_KNOWLEDGE_BASES = ("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase",)
_MINIMUM_GROUNDING = 0.5
"""Minimum grounding threshold. Below it, AWS's own examples let invented answers pass."""


def _check_personal_data(subject: Subject) -> Iterator[Violation]:
    for guardrail in subject.graph.of(_GUARDRAIL):
        config = at(guardrail.inputs, "sensitiveInformationPolicyConfig")
        entities = at(config, "piiEntitiesConfigs")
        if is_unknown(config) or is_unknown(entities):
            yield Violation(
                f"the data that {guardrail.name} redacts is not known yet", guardrail, "undecided"
            )
            continue
        acts = {str(at(entity, "type")): at(entity, "action") for entity in entities or []}
        if not any(action in ("ANONYMIZE", "BLOCK") for action in acts.values()):
            yield Violation(f"{guardrail.name} redacts no personal data", guardrail)
        else:
            missing = [kind for kind in _SECRETS if acts.get(kind) not in ("ANONYMIZE", "BLOCK")]
            if missing:
                yield Violation(f"{guardrail.name} does not redact {', '.join(missing)}", guardrail)
        for entity in entities or []:
            for direction in ("inputEnabled", "outputEnabled"):
                if at(entity, direction) is False:
                    yield Violation(
                        f"{guardrail.name} looks for {at(entity, 'type')} in one direction only", guardrail
                    )


def _check_prompt_attacks(subject: Subject) -> Iterator[Violation]:
    for guardrail in subject.graph.of(_GUARDRAIL):
        config = at(guardrail.inputs, "contentPolicyConfig")
        filters = at(config, "filtersConfigs")
        if is_unknown(config) or is_unknown(filters):
            yield Violation(f"the filters of {guardrail.name} are not known yet", guardrail, "undecided")
            continue
        attack_filters = [
            content_filter
            for content_filter in filters or []
            if at(content_filter, "type") == "PROMPT_ATTACK"
        ]
        if not attack_filters:
            yield Violation(f"{guardrail.name} has no filter for prompt attacks", guardrail)
        for content_filter in attack_filters:
            strength = at(content_filter, "inputStrength")
            if is_unknown(strength):
                yield Violation(
                    f"the filter strength of {guardrail.name} is not known yet", guardrail, "undecided"
                )
            elif strength not in ("HIGH", "MEDIUM") or at(content_filter, "inputAction") == "NONE":
                yield Violation(f"{guardrail.name} filters prompt attacks too weakly ({strength})", guardrail)


def _check_grounding(subject: Subject) -> Iterator[Violation]:
    answers = [knowledge_base.name for knowledge_base in subject.graph.of(*_KNOWLEDGE_BASES)]
    for guardrail in subject.graph.of(_GUARDRAIL):
        filters = at(guardrail.inputs, "contextualGroundingPolicyConfig.filtersConfigs")
        if is_unknown(filters):
            yield Violation(
                f"the grounding check of {guardrail.name} is not known yet", guardrail, "undecided"
            )
            continue
        if not filters and answers:
            yield Violation(
                f"{guardrail.name} does not check grounding, but answers come from documents ({answers[0]})",
                guardrail,
            )
        for grounding_filter in filters or []:
            threshold = at(grounding_filter, "threshold")
            if isinstance(threshold, int | float) and threshold < _MINIMUM_GROUNDING:
                yield Violation(
                    f"{guardrail.name} accepts answers with a grounding score of only {threshold:g}",
                    guardrail,
                )


def _grounding_guardrails(subject: Subject) -> list[Resource]:
    """Every guardrail if the stack has a knowledge base; otherwise those that check grounding."""
    has_knowledge_base = any(True for _ in subject.graph.of(*_KNOWLEDGE_BASES))
    key = "contextualGroundingPolicyConfig.filtersConfigs"
    return [
        guardrail
        for guardrail in subject.graph.of(_GUARDRAIL)
        if has_knowledge_base or at(guardrail.inputs, key)
    ]


def _check_published(subject: Subject) -> Iterator[Violation]:
    published = {
        guard.urn
        for version in subject.graph.of(":GuardrailVersion")
        for guard in referenced_resources(subject.graph, version, "guardrailArn", ":Guardrail")
    }
    for guardrail in subject.graph.of(_GUARDRAIL):
        if guardrail.urn not in published:
            yield Violation(f"{guardrail.name} has no version, so calls can only use its draft", guardrail)


def _check_guardrails_used(subject: Subject) -> Iterator[Violation]:
    """Reports models that a translator calls without a guardrail, if the stack has guardrails."""
    guarded = list(subject.graph.of(_GUARDRAIL))
    for resource, _, config in gateway_configurations(subject.graph):
        for model in at(config, "models") or []:
            if guarded and not at(model, "guardrail") and at(model, "provider") != "sagemaker":
                yield Violation(f"{resource.name} calls {at(model, 'name')} without a guardrail", resource)


def _calls_bedrock(config: Any) -> bool:
    return any(at(model, "provider") != "sagemaker" for model in at(config, "models") or [])


def _configurations_beside_guardrails(subject: Subject) -> Applicable:
    """Configurations with models of Bedrock, if the stack has guardrails."""
    has_guardrails = any(True for _ in subject.graph.of(_GUARDRAIL))
    return configurations_where(_calls_bedrock)(subject) if has_guardrails else []


def _check_proxies(subject: Subject) -> Iterator[Violation]:
    """Checks configurations of LiteLLM's proxy in any ConfigMap."""
    for resource in subject.graph.of("kubernetes:core/v1:ConfigMap"):
        for text in _proxy_configurations(resource):
            yield from _check_proxy(resource, text)


def _proxy_configurations(config_map: Resource) -> list[str]:
    """The files of a ConfigMap that configure LiteLLM's proxy."""
    data = config_map.inputs.get("data")
    files = sorted(data.items()) if isinstance(data, Mapping) else []
    return [
        str(text) for key, text in files if "model_list" in str(text) and str(key).endswith((".yaml", ".yml"))
    ]


def _check_proxy(resource: Resource, text: str) -> Iterator[Violation]:
    try:
        config = load_config(text)
    except InputError:
        yield Violation(f"the proxy's configuration in {resource.name} cannot be read", resource, "undecided")
        return
    for guard in _mappings(config.get("guardrails")):
        params, name = at(guard, "litellm_params"), at(guard, "guardrail_name")
        if at(params, "default_on") is not True:
            yield Violation(
                f"{resource.name}: calls that do not name guardrail {name} bypass it",
                resource,
                patch="default_on: true",
            )
        if at(params, "guardrail") == "presidio" and not at(params, "pii_entities_config"):
            yield Violation(
                f"{resource.name}: when guardrail {name} fails, the raw text is sent on", resource
            )
        if at(params, "allow_fail_open"):
            yield Violation(
                f"{resource.name}: when guardrail {name} fails, every request is sent on", resource
            )
    for model in _mappings(config.get("model_list")):
        params = at(model, "litellm_params")
        cloud = str(at(params, "model")).startswith(
            ("bedrock/", "sagemaker/", "azure/", "openai/", "vertex_ai/")
        )
        if cloud and "default" in (at(params, "tags") or []):
            name = at(model, "model_name")
            yield Violation(
                f"{resource.name}: a request without a tag goes to {name}, which is in a cloud", resource
            )
    if at(config, "litellm_settings.drop_params"):
        yield Violation(
            f"{resource.name}: parameters that a provider does not know are dropped silently", resource
        )


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


RULES = (
    Rule(
        "guardrail/personal-data",
        "Guardrails redact personal data and secrets in prompts and answers",
        "high",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 25"), *fw.atlas("AML.M0020"), *fw.iso_27001("A.8.11")),
        "Prompts that leave the site contain names, accounts and keys",
        "Set piiEntitiesConfigs to ANONYMIZE or BLOCK, including secrets",
        _check_personal_data,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/prompt-attacks",
        "Guardrails filter prompt attacks",
        "high",
        (*fw.owasp("LLM01"), *fw.atlas("AML.M0020")),
        "A document could give the model instructions",
        "Add a PROMPT_ATTACK filter with inputStrength HIGH",
        _check_prompt_attacks,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/grounding",
        "Guardrails check grounding where answers come from documents",
        "medium",
        (*fw.owasp("LLM07"), *fw.atlas("AML.M0020")),
        "The model presents invented statements as if a document contained them",
        "Add contextualGroundingPolicyConfig with thresholds of at least 0.5",
        _check_grounding,
        (_GUARDRAIL,),
        applies_to=_grounding_guardrails,
    ),
    Rule(
        "guardrail/published",
        "Every guardrail has a version that calls can name",
        "medium",
        (*fw.nist("CM-3"), *fw.owasp("LLM01")),
        "A draft can change while calls use it",
        "Add a GuardrailVersion",
        _check_published,
        (_GUARDRAIL,),
    ),
    Rule(
        "guardrail/asked",
        "Every model call uses a guardrail",
        "high",
        (*fw.owasp("LLM01", "LLM02"), *fw.atlas("AML.M0020")),
        "A guardrail that calls may omit protects nothing",
        "Set guardrail: {id, version} of the model in the translator's configuration",
        _check_guardrails_used,
        applies_to=_configurations_beside_guardrails,
    ),
    Rule(
        "guardrail/proxy-always-on",
        "A LiteLLM proxy's guardrails are always on and fail closed",
        "high",
        (*fw.owasp("LLM01", "LLM02"), *fw.atlas("AML.M0020")),
        "Guardrails and tags that callers may omit, or that fail open, protect nothing",
        "Set default_on: true and pii_entities_config; remove allow_fail_open and the default tag of cloud models",
        _check_proxies,
        ("kubernetes:core/v1:ConfigMap",),
        applies_to=resources_where(_proxy_configurations, "kubernetes:core/v1:ConfigMap"),
    ),
)
