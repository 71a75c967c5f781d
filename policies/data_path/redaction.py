"""Rules for redaction: prompts that leave the gateway's site, and secrets in answers.

The site of a destination is taken from what runs there, not from the gateway's configuration. The gateway redacts by
its configuration, so a wrong site there is as bad as no redaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.gateways import required_redactions
from isthmus.contracts.platform.model.platform import Gateway
from isthmus.contracts.platform.model.screening import PROMPTS_LEAVING_SITE, SECRETS_IN_OUTPUTS
from isthmus.contracts.reference import handling
from isthmus.contracts.reference.gateway_routes import other_places
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.resources.resources import Resource
from policies.inputs.declared import tag
from policies.inputs.documents import containers, gateway_configurations
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG, _TASK = "kubernetes:core/v1:ConfigMap", "aws:ecs/taskDefinition:TaskDefinition"
_ROLE, _CLASS = "isthmus.dev/role", "isthmus.dev/class"


def _redacting_gateways(subject: Subject, redaction: str) -> Iterator[tuple[Resource, Any]]:
    """Gateways whose class requires a redaction, with their configuration (None: it cannot be read)."""
    for resource, _, config in gateway_configurations(subject.graph):
        if config is None:
            sensitivity = _gateway_sensitivity(resource)
            if sensitivity is not None and redaction in _required_redactions(sensitivity, None):
                yield resource, None
        elif at(config, "mode") == "gateway":
            sensitivity = str(at(config, "class"))
            if redaction in _required_redactions(
                sensitivity, _find_gateway(subject, sensitivity, at(config, "site"))
            ):
                yield resource, config


def _gateway_sensitivity(resource: Resource) -> str | None:
    """The class of a gateway whose configuration cannot be read; None if it is no gateway.

    A task with the secret EDGE_CALLERS is a gateway.
    """
    if resource.type != _TASK:
        labels = at(resource.inputs, "metadata.labels") or {}
        return str(labels.get(_CLASS)) if labels.get(_ROLE) == "gateway" else None
    secret_names = [
        at(secret, "name")
        for container in containers(resource) or []
        for secret in list_or_empty(at(container, "secrets"))
    ]
    return tag(resource, _CLASS) if "EDGE_CALLERS" in secret_names else None


def _find_gateway(subject: Subject, sensitivity: str, site: Any) -> Gateway | None:
    gateways = subject.platform.gateways if subject.platform else []
    return next(
        (gateway for gateway in gateways if (gateway.class_, gateway.site) == (sensitivity, site)), None
    )


def _required_redactions(sensitivity: str, gateway: Gateway | None) -> frozenset[str]:
    """The redactions that a class requires; for an unknown class, those of all classes."""
    if gateway is not None:
        return required_redactions(gateway)
    sensitivities = [sensitivity] if sensitivity in SENSITIVITIES else SENSITIVITIES
    return frozenset(
        redaction for sensitivity in sensitivities for redaction in handling.handling_of(sensitivity).redacted
    )


def _detector_for(config: Any, redaction: str) -> Any:
    """The detector that a gateway uses for a redaction; None if it has none.

    A redaction that the class does not require must be listed in `screening.redacted`.
    """
    detector, more = at(config, "screening.detector"), at(config, "screening.redacted")
    if (
        not detector
        or redaction in _required_redactions(str(at(config, "class")), None)
        or redaction in list_or_empty(more)
    ):
        return detector
    return more if is_unknown(more) else None


def _check_prompts_redacted(subject: Subject) -> Iterator[Violation]:
    for resource, config in _redacting_gateways(subject, PROMPTS_LEAVING_SITE):
        if config is None or is_unknown(at(config, "routes")):
            yield Violation(f"the redaction of {resource.name} is not known yet", resource, "undecided")
            continue
        detector = _detector_for(config, PROMPTS_LEAVING_SITE)
        for name, stated_outside, is_outside in _located_destinations(subject, resource, config):
            if is_outside and stated_outside is False:
                yield Violation(
                    f"{resource.name} does not redact prompts to {name}, because it treats it as on its own site",
                    resource,
                )
            elif is_outside and is_unknown(detector):
                yield Violation(f"the detector of {resource.name} is not known yet", resource, "undecided")
            elif is_outside and not detector:
                yield Violation(
                    f"{resource.name} sends prompts to {name}, outside its site, without redaction", resource
                )
            elif is_outside is None:
                where = f"whether {name} is on the site of {resource.name} is not known"
                yield Violation(where, resource, "undecided")


def _check_answers_redacted(subject: Subject) -> Iterator[Violation]:
    for resource, config in _redacting_gateways(subject, SECRETS_IN_OUTPUTS):
        detector = _detector_for(config, SECRETS_IN_OUTPUTS)
        if config is None or is_unknown(detector):
            yield Violation(
                f"the detector for answers of {resource.name} is not known yet", resource, "undecided"
            )
        elif not detector and resource.type == _TASK:
            yield from _check_guardrails_redact(subject, resource, config)
        elif not detector:
            yield Violation(f"{resource.name} does not scan answers for secrets", resource)


def _check_guardrails_redact(subject: Subject, resource: Resource, config: Any) -> Iterator[Violation]:
    """Reports tasks without a Bedrock guardrail: Fargate has no detector, so a guardrail must scan answers.

    `guardrail/personal-data` checks what the guardrail blocks.
    """
    if is_unknown(at(config, "routes")):
        yield Violation(f"the routes of {resource.name} are not known yet", resource, "undecided")
    for workload, place in _destinations(config):
        models = [
            model
            for model in _translator_models(subject, config, place)
            if at(model, "name") == at(place, "model")
        ]
        if not models or any(is_unknown(at(model, "provider")) for model in models):
            problem = f"the guardrail for answers of {workload} at {resource.name} is not known"
            yield Violation(problem, resource, "undecided")
        elif not all(at(model, "guardrail") and at(model, "provider") != "sagemaker" for model in models):
            problem = f"{resource.name} does not scan answers of {workload} for secrets: it uses no guardrail"
            yield Violation(problem, resource)


def _translator_models(subject: Subject, config: Any, place: Any) -> Iterator[Any]:
    """Models of the translator that a gateway task calls: same class, and same domain in both certificates."""
    domain = str(at(place, "server_name")).partition(".")[2]
    for resource, _, translator in gateway_configurations(subject.graph):
        asks = [str(client).partition(".")[2] for client in list_or_empty(at(translator, "allowed_clients"))]
        same = resource.type == _TASK and at(translator, "class") == at(config, "class")
        if same and at(translator, "mode") == "translator" and domain in asks:
            yield from list_or_empty(at(translator, "models"))


def _located_destinations(
    subject: Subject, resource: Resource, config: Any
) -> Iterator[tuple[str, bool | None, bool | None]]:
    """Destinations of a gateway: name, whether its configuration puts it outside the site, whether it is outside.

    None: not known.
    """
    sensitivity, site = str(at(config, "class")), at(config, "site")
    for workload, place in _destinations(config):
        stated_outside = _stated_outside(place, site)
        is_outside = _is_outside(subject, resource, place, workload, sensitivity, site, stated_outside)
        yield str(at(place, "server_name") or at(place, "url")), stated_outside, is_outside


def _destinations(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each workload with each destination that its requests may go to."""
    for route in list_or_empty(at(config, "routes")):
        for place in (route, *(place for _, place in other_places(partial(at, route)))):
            if isinstance(place, dict):
                yield str(at(route, "workload")), place


def _stated_outside(place: dict[str, Any], site: Any) -> bool | None:
    """Whether the gateway treats a destination as outside its site (as `edge.screening.Screeners` does)."""
    where, target = at(place, "site"), at(place, "target")
    if is_unknown(where) or is_unknown(site) or (where is None and is_unknown(target)):
        return None
    return where != site if where is not None else target != "onprem-vllm"


def _is_outside(
    subject: Subject,
    resource: Resource,
    place: dict[str, Any],
    workload: str,
    sensitivity: str,
    site: Any,
    stated_outside: bool | None,
) -> bool | None:
    """Whether a destination is outside the gateway's site; None if it is not known.

    A model server of the cluster is on its site. For destinations behind a translator the platform knows the site.
    """
    url = str(at(place, "url"))
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = url
    on_fargate = resource.type == _TASK
    if not on_fargate and not host.startswith(f"{sensitivity}-translator."):
        return False if host.endswith(".svc") else stated_outside
    if subject.platform is None:
        # A task calls the translator of its own network. Without a platform, the models of a pod have no known site.
        return False if on_fargate else (stated_outside or None)
    endpoint_id = str(at(place, "model")).removesuffix(f"--{workload}")
    endpoints = [endpoint for endpoint in subject.platform.endpoints if endpoint.id == endpoint_id]
    return endpoints[0].site != site if endpoints else (stated_outside or None)


RULES = (
    Rule(
        "data-path/redacts-what-leaves",
        "Prompts that leave a gateway's site are redacted where the class's handling requires it",
        "critical",
        (*fw.gdpr("Art. 25"), *fw.owasp("LLM02"), *fw.nist("AC-4"), *fw.iso_27001("A.8.11")),
        "Names, accounts and secrets in a prompt cannot be taken back once it has left the site",
        "Set `screening` of the gateway, with a model for names, and the true site of each destination",
        _check_prompts_redacted,
        (_CONFIG, _TASK),
        applies_to=first_of_rows(partial(_redacting_gateways, redaction=PROMPTS_LEAVING_SITE)),
    ),
    Rule(
        "data-path/redacts-secrets-in-answers",
        "Answers are scanned for secrets where the class's handling requires it",
        "high",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 25"), *fw.nist("AC-4"), *fw.iso_27001("A.8.11", "A.8.12")),
        "A model can repeat a key that it was given or trained on to anyone who asks",
        "Set `screening: {}` of the gateway; on Fargate, serve the workload through Bedrock with a guardrail",
        _check_answers_redacted,
        (_CONFIG, _TASK),
        applies_to=first_of_rows(partial(_redacting_gateways, redaction=SECRETS_IN_OUTPUTS)),
    ),
)
