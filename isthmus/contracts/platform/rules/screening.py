"""What must hold of a gateway's redaction and guards. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.gateways import demanded, leaves
from isthmus.contracts.platform.model.screening import ENGLISH, LEAVING, SECRETS, as_yaml
from isthmus.contracts.platform.rules.serving import WRITES
from isthmus.contracts.vocabulary import VLLM_TARGETS
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique
from isthmus.core.validation_errors import did_you_mean

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform
    from isthmus.contracts.platform.model.screening import Screening, ScreeningGuard

OWN_GUARD: str = SECRETS
"""The name of the guard that the classes have of themselves (`edge.config.screening`)."""


def what_leaves_is_redacted(platform: Platform) -> None:
    """A gateway whose class's prompts leave the site has a detector, with a model for names; Fargate has none."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "screening")
        if gateway.runs_on != "kubernetes" and gateway.screening is not None:
            what = f"gateway {gateway.name} runs on Fargate, where no detector is built beside it"
            raise FieldError(
                what, *path, fix="Leave it out: docs/redaction.md says what Fargate does not have"
            )
        gone = sorted(
            {
                name
                for workload in gateway.workloads
                for name in workload.reaches
                if leaves(gateway, endpoints[name])
            }
        )
        if not gone or LEAVING not in demanded(gateway):
            continue
        away = endpoints[gone[0]]
        where = f"prompts of gateway {gateway.name} leave {gateway.site} for {away.id} at {away.site}"
        if gateway.runs_on != "kubernetes":
            raise FieldError(
                f"{where}, and nothing redacts them on Fargate",
                *("gateways", index, "workloads"),
                fix="Serve it at the gateway's own site, or run the gateway in a cluster",
                refused=True,
            )
        if gateway.screening is None or not gateway.screening.models:
            lacking = "no detector is" if gateway.screening is None else "no model that finds names is"
            raise FieldError(
                f"{where}, class {gateway.class_} demands that they are redacted, and {lacking} named",
                *path,
                *([] if gateway.screening is None else ["models"]),
                fix=f"State `screening: {{models: [{as_yaml(ENGLISH)}]}}`: the detector's image has it, for English. "
                "Other languages need models of their own (docs/redaction.md)",
                refused=True,
            )


def answers_are_looked_through(platform: Platform) -> None:
    """Where a class's answers are redacted, a gateway in a cluster has a detector, one on Fargate guardrails alone."""
    for index, gateway in enumerate(platform.gateways):
        if SECRETS not in demanded(gateway):
            continue
        where = f"class {gateway.class_} demands that secrets in answers are redacted"
        if gateway.runs_on != "kubernetes":
            _guarded(platform, gateway, index, where)
        elif gateway.screening is None:
            raise FieldError(
                f"{where}, and gateway {gateway.name} has no detector",
                *("gateways", index, "screening"),
                fix="State `screening: {}`: patterns alone will do (docs/redaction.md)",
                refused=True,
            )


def _guarded(platform: Platform, gateway: Gateway, index: int, where: str) -> None:
    """Nothing is beside a task, so each of its models is Bedrock's, behind the guardrail of its identity."""
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    names = [each.guardrail for each in platform.identities if each.name == gateway.identity]
    guards = any(each.name in names and each.mode != "off" for each in platform.guardrails)
    for number, workload in enumerate(gateway.workloads):
        for name in workload.reaches:
            if targets[name] == "bedrock" and guards:
                continue
            lacks = "has no guardrail" if targets[name] == "bedrock" else "is none of Bedrock's"
            raise FieldError(
                f"{where}, gateway {gateway.name} runs on Fargate without a detector, and {name} {lacks}",
                *("gateways", index, "workloads", number),
                fix="Serve it by Bedrock behind the identity's `guardrail`, or run the gateway in a cluster",
                refused=True,
            )


def screenings_are_whole(platform: Platform) -> None:
    """A detector has an image; each language one model; each guard one thing to look for, that is there."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        screening = gateway.screening
        if screening is None:
            continue
        path = ("gateways", index, "screening")
        if platform.images.detector is None:
            what = f"no image of the detector is named, and gateway {gateway.name} has one beside it"
            raise FieldError(what, "images", "detector", fix="Name it by digest")
        unique(screening.models, "language", *path, "models")
        unique(screening.topics, "name", *path, "topics")
        unique(screening.guards, "name", *path, "guards")
        for number, guard in enumerate(screening.guards):
            at = (*path, "guards", number)
            _of_one_kind(guard, at)
            _there(guard, gateway, screening, at)
            if guard.endpoint is not None:
                _judges(guard.endpoint, gateway, endpoints, (*at, "endpoint"))


def _of_one_kind(guard: ScreeningGuard, at: tuple[str | int, ...]) -> None:
    if guard.name == OWN_GUARD:
        raise FieldError(f"`{OWN_GUARD}` is the class's own guard", *at, "name", fix="Give it another name")
    if sum(kind is not None for kind in (guard.entities, guard.max_characters, guard.endpoint)) != 1:
        what = f"guard {guard.name} looks for one of entities, max_characters and endpoint"
        raise FieldError(what, *at, fix="State one of the three; make another guard for another")
    if guard.then == "redact" and (guard.entities is None or guard.on != "outputs"):
        what = f"guard {guard.name} would redact, and only entities in outputs are redacted by a guard"
        raise FieldError(what, *at, "then", fix="Say `on: outputs` and `entities`, or refuse")
    if guard.max_characters is not None and guard.on != "outputs":
        raise FieldError(f"guard {guard.name} measures outputs", *at, "on", fix="Say `on: outputs`")


def _there(guard: ScreeningGuard, gateway: Gateway, screening: Screening, at: tuple[str | int, ...]) -> None:
    own = [workload.name for workload in gateway.workloads]
    for place, name in enumerate(guard.workloads or []):
        if name not in own:
            what = f"gateway {gateway.name} serves no workload {name}"
            raise FieldError(what, *at, "workloads", place, fix=did_you_mean(name, own))
    topics = [f"TOPIC_{topic.name}" for topic in screening.topics]
    for place, name in enumerate(guard.entities or []):
        if name.startswith("TOPIC_") and name not in topics:
            what = f"guard {guard.name} looks for {name}, and no topic of that name is stated"
            raise FieldError(
                what, *at, "entities", place, fix=did_you_mean(name, topics) or "Add it to `topics`"
            )
    # Held answers are a part of their own; without it nobody would ever let one go.
    if guard.then == "review" and gateway.reviews is None:
        what = f"guard {guard.name} has answers held for people, and gateway {gateway.name} keeps none"
        raise FieldError(what, *at, "then", fix="Say `refuse` or `record`")


def _judges(id_: str, gateway: Gateway, endpoints: dict[str, Endpoint], at: tuple[Any, ...]) -> None:
    """A guard's model reads whole prompts: it is the class's own, where the gateway is."""
    endpoint = endpoints.get(id_)
    if endpoint is None:
        raise FieldError(f"`{id_}` is no endpoint", *at, fix=did_you_mean(id_, list(endpoints)))
    if endpoint.class_ != gateway.class_:
        what = f"guard model {id_} is of class {endpoint.class_}, and classes share no endpoint"
        raise FieldError(what, *at, fix=f"Name one of class {gateway.class_}", refused=True)
    if endpoint.site != gateway.site or endpoint.target not in VLLM_TARGETS:
        what = f"guard model {id_} does not stand in the cluster of gateway {gateway.name}"
        raise FieldError(what, *at, fix=f"Name a model server at {gateway.site}", refused=True)
    if endpoint.task not in WRITES:
        raise FieldError(
            f"{id_} serves {endpoint.task}, and a guard answers in words", *at, fix="Name another"
        )


CHECKS = (what_leaves_is_redacted, answers_are_looked_through, screenings_are_whole)
