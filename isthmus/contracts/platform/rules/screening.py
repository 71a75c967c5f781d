"""Rules for redaction and guards of gateways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.gateways import leaves_site, required_redactions
from isthmus.contracts.platform.model.screening import (
    ENGLISH_MODEL,
    PROMPTS_LEAVING_SITE,
    SECRETS_IN_OUTPUTS,
    as_yaml,
)
from isthmus.contracts.platform.rules.serving import TEXT_TASKS
from isthmus.contracts.vocabulary import VLLM_TARGETS
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform
    from isthmus.contracts.platform.model.screening import Screening, ScreeningGuard

CLASS_GUARD_NAME: str = SECRETS_IN_OUTPUTS
"""Name of the guard that every class has (`edge.config.screening`)."""


def prompts_leaving_the_site_are_redacted(platform: Platform) -> None:
    """A gateway whose prompts leave the site has a detector with an entity model, if its class demands redaction."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "screening")
        if gateway.runs_on != "kubernetes" and gateway.screening is not None:
            message = f"gateway {gateway.name} runs on Fargate, which does not support `screening`"
            raise FieldError(message, *path, fix="Remove `screening` (docs/redaction.md)")
        remote_names = sorted(
            {
                name
                for workload in gateway.workloads
                for name in workload.reaches
                if leaves_site(gateway, endpoints[name])
            }
        )
        if not remote_names or PROMPTS_LEAVING_SITE not in required_redactions(gateway):
            continue
        remote = endpoints[remote_names[0]]
        where = f"prompts of gateway {gateway.name} leave site {gateway.site} for endpoint {remote.id} at {remote.site}"
        if gateway.runs_on != "kubernetes":
            raise FieldError(
                f"{where}, but a gateway on Fargate cannot redact them",
                *("gateways", index, "workloads"),
                fix="Serve the workload at the gateway's own site, or run the gateway in a cluster",
                refused=True,
            )
        if gateway.screening is None or not gateway.screening.models:
            missing = "no `screening`" if gateway.screening is None else "no entity model in `screening`"
            raise FieldError(
                f"{where}; class {gateway.class_} demands redaction, but there is {missing}",
                *path,
                *([] if gateway.screening is None else ["models"]),
                fix=f"Set `screening: {{models: [{as_yaml(ENGLISH_MODEL)}]}}` for English: the detector's image has "
                "this model. Other languages need models of their own (docs/redaction.md)",
                refused=True,
            )


def answers_are_screened(platform: Platform) -> None:
    """Classes whose answers are redacted have a detector in a cluster, or guardrails on Fargate."""
    for index, gateway in enumerate(platform.gateways):
        if SECRETS_IN_OUTPUTS not in required_redactions(gateway):
            continue
        where = f"class {gateway.class_} demands redaction of secrets in answers"
        if gateway.runs_on != "kubernetes":
            _check_guardrails(platform, gateway, index, where)
        elif gateway.screening is None:
            raise FieldError(
                f"{where}, but gateway {gateway.name} has no `screening`",
                *("gateways", index, "screening"),
                fix="Set `screening: {}`: its built-in patterns find secrets, so it needs no entity model "
                "(docs/redaction.md)",
                refused=True,
            )


def _check_guardrails(platform: Platform, gateway: Gateway, index: int, where: str) -> None:
    """A gateway on Fargate has no detector, so its models must be on Bedrock, behind the identity's guardrail."""
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    names = [identity.guardrail for identity in platform.identities if identity.name == gateway.identity]
    has_guardrail = any(
        guardrail.name in names and guardrail.mode != "off" for guardrail in platform.guardrails
    )
    for number, workload in enumerate(gateway.workloads):
        for name in workload.reaches:
            if targets[name] == "bedrock" and has_guardrail:
                continue
            reason = "has no guardrail" if targets[name] == "bedrock" else "is not on Bedrock"
            raise FieldError(
                f"{where}; gateway {gateway.name} runs on Fargate without a detector, and endpoint {name} {reason}",
                *("gateways", index, "workloads", number),
                fix="Use a Bedrock endpoint and set the identity's `guardrail`, or run the gateway in a cluster",
                refused=True,
            )


def screenings_are_complete(platform: Platform) -> None:
    """`screening` has an image, unique names, and guards with one existing kind of match each."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        screening = gateway.screening
        if screening is None:
            continue
        path = ("gateways", index, "screening")
        if platform.images.detector is None:
            message = f"`images` has no detector, which `screening` of gateway {gateway.name} needs"
            raise FieldError(
                message, "images", "detector", fix="Set `images.detector` to the image by digest"
            )
        unique(screening.models, "language", *path, "models")
        unique(screening.topics, "name", *path, "topics")
        unique(screening.guards, "name", *path, "guards")
        for number, guard in enumerate(screening.guards):
            guard_path = (*path, "guards", number)
            _check_guard_kind(guard, guard_path)
            _check_guard_names(guard, gateway, screening, guard_path)
            if guard.endpoint is not None:
                _check_guard_model(guard.endpoint, gateway, endpoints, (*guard_path, "endpoint"))


def _check_guard_kind(guard: ScreeningGuard, path: tuple[str | int, ...]) -> None:
    if guard.name == CLASS_GUARD_NAME:
        raise FieldError(
            f"the guard name `{CLASS_GUARD_NAME}` is reserved for the class's own guard",
            *path,
            "name",
            fix="Give it another name",
        )
    if sum(kind is not None for kind in (guard.entities, guard.max_characters, guard.endpoint)) != 1:
        message = f"guard {guard.name} needs exactly one of entities, max_characters and endpoint"
        raise FieldError(
            message, *path, fix="Set one of the three, and add another guard for each further one"
        )
    if guard.then == "redact" and (guard.entities is None or guard.on != "outputs"):
        message = f"guard {guard.name} has `then: redact`, which works only for entities in outputs"
        raise FieldError(
            message, *path, "then", fix="Set `on: outputs` and `entities`, or set `then: refuse`"
        )
    if guard.max_characters is not None and guard.on != "outputs":
        raise FieldError(
            f"guard {guard.name} has max_characters, which works only for outputs",
            *path,
            "on",
            fix="Set `on: outputs`",
        )


def _check_guard_names(
    guard: ScreeningGuard, gateway: Gateway, screening: Screening, path: tuple[str | int, ...]
) -> None:
    names = [workload.name for workload in gateway.workloads]
    for place, name in enumerate(guard.workloads or []):
        if name not in names:
            message = f"gateway {gateway.name} has no workload `{name}`"
            raise FieldError(message, *path, "workloads", place, fix=did_you_mean(name, names))
    topics = [f"TOPIC_{topic.name}" for topic in screening.topics]
    for place, name in enumerate(guard.entities or []):
        if name.startswith("TOPIC_") and name not in topics:
            message = f"guard {guard.name} looks for {name}, but `topics` has no such topic"
            raise FieldError(
                message, *path, "entities", place, fix=did_you_mean(name, topics) or "Add it to `topics`"
            )
    # Without `reviews`, nobody could release a held answer.
    if guard.then == "review" and gateway.reviews is None:
        message = f"guard {guard.name} has `then: review`, but gateway {gateway.name} has no `reviews`"
        raise FieldError(message, *path, "then", fix="Set `then` to refuse or record")


def _check_guard_model(
    id_: str, gateway: Gateway, endpoints: dict[str, Endpoint], path: tuple[Any, ...]
) -> None:
    """A guard's model reads whole prompts, so it has the gateway's class and site."""
    endpoint = endpoints.get(id_)
    if endpoint is None:
        raise FieldError(f"there is no endpoint `{id_}`", *path, fix=did_you_mean(id_, list(endpoints)))
    if endpoint.class_ != gateway.class_:
        message = (
            f"guard model {id_} is of class {endpoint.class_}, but the gateway is of class {gateway.class_}"
        )
        raise FieldError(message, *path, fix=f"Use an endpoint of class {gateway.class_}", refused=True)
    if endpoint.site != gateway.site or endpoint.target not in VLLM_TARGETS:
        message = f"guard model {id_} is not a model server in the cluster of gateway {gateway.name}"
        raise FieldError(message, *path, fix=f"Use a model server at {gateway.site}", refused=True)
    if endpoint.task not in TEXT_TASKS:
        raise FieldError(
            f"guard model {id_} has task {endpoint.task}, but a guard must write text",
            *path,
            fix="Use an endpoint with task chat or guard",
        )


CHECKS = (prompts_leaving_the_site_are_redacted, answers_are_screened, screenings_are_complete)
