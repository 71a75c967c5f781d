"""Audit rules for reviews: answers that need a person are held, and the review service is isolated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.model.platform import Gateway, Workload
from isthmus.contracts.reference.admission import reviews_sign_on_namespace
from isthmus.graph.network.reachability import CLASS, POLICY
from isthmus.graph.resources.resources import Resource
from policies.audit import review_desk, review_notifier
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.documents import gateway_configurations
from policies.inputs.isolation import (
    IN_NAMESPACE,
    intruders,
    is_single_allowed_address,
    isolated_resources,
    network_policies_of,
    peers,
)
from policies.inputs.pods import POD_KINDS
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG = "kubernetes:core/v1:ConfigMap"
_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_NAME = "kubernetes.io/metadata.name"
_IMPACTS = ("low", "material", "high")


def _rank(impact: Any) -> int:
    return _IMPACTS.index(impact) if impact in _IMPACTS else 0


def _gateways_with_review(subject: Subject) -> Iterator[tuple[Resource, Any, list[Workload]]]:
    """Gateways with a workload whose answers need review: resource, configuration, workloads of the platform.

    The configuration is None if it cannot be read.
    """
    for resource, _, config in gateway_configurations(subject.graph):
        labels = at(resource.inputs, "metadata.labels")
        if config is None:
            label_map = labels if isinstance(labels, Mapping) else {}
            gateways = [
                gateway for gateway in _gateways(subject) if label_map.get(CLASS) in (None, gateway.class_)
            ]
            workloads = [workload for gateway in gateways for workload in _workloads_with_review(gateway)]
            if workloads and label_map.get("isthmus.dev/role") == "gateway":
                yield resource, None, workloads
            continue
        if at(config, "mode") != "gateway":
            continue
        location = (at(config, "class"), at(config, "site"))
        workloads = [
            workload
            for gateway in _gateways(subject)
            if (gateway.class_, gateway.site) == location
            for workload in _workloads_with_review(gateway)
        ]
        if workloads or any(_needs_review(workload) for workload in list_or_empty(at(config, "workloads"))):
            yield resource, config, workloads


def _gateways(subject: Subject) -> list[Gateway]:
    return subject.platform.gateways if subject.platform else []


def _workloads_with_review(gateway: Gateway) -> list[Workload]:
    """Workloads whose answers the gateway must hold. Another reviewer suffices, except for high impact."""
    return [
        workload
        for workload in gateway.workloads
        if workload.asks_for_people and (workload.reviewed_by is None or workload.impact == "high")
    ]


def _needs_review(settings: Any) -> bool:
    return bool(at(settings, "review")) or _rank(at(settings, "impact")) > 0


def _check_answers_held(subject: Subject) -> Iterator[Violation]:
    for resource, config, workloads in _gateways_with_review(subject):
        if config is None:
            yield Violation(
                f"whether {resource.name} holds answers for review is not known yet", resource, "undecided"
            )
            continue
        settings_by_name = {
            str(at(workload, "name")): workload for workload in list_or_empty(at(config, "workloads"))
        }
        names = sorted(
            {workload.name for workload in workloads}
            | {name for name, settings in settings_by_name.items() if _needs_review(settings)}
        )
        for key in ("keys", "wrapping_key"):
            value = at(config, f"reviews.{key}")
            if is_unknown(value):
                yield Violation(f"reviews.{key} of {resource.name} is not known yet", resource, "undecided")
            elif not value:
                yield Violation(
                    f"{resource.name} sends answers of {', '.join(names)} without review: there is no "
                    f"reviews.{key}",
                    resource,
                )
        if is_unknown(at(config, "workloads")):
            yield Violation(f"which answers {resource.name} holds is not known yet", resource, "undecided")
            continue
        for workload in workloads:
            yield from _check_stated_review(resource, workload, settings_by_name.get(workload.name))


def _check_stated_review(resource: Resource, workload: Workload, settings: Any) -> Iterator[Violation]:
    """Reports a workload whose configured impact or review is weaker than the platform states."""
    impact = at(settings, "impact")
    if is_unknown(impact):
        yield Violation(f"the impact of {workload.name} is not known yet", resource, "undecided")
    elif _rank(impact) < _rank(workload.impact):
        configured_impact = impact or "low"
        yield Violation(
            f"{resource.name} sets impact {configured_impact} for {workload.name}, not {workload.impact} as stated",
            resource,
        )
    review = workload.review.model_dump() if workload.review is not None else {}
    if review.get("on_low_score") == "hold":
        value = at(settings, "review.on_low_score")
        if is_unknown(value):
            yield Violation(f"review.on_low_score of {workload.name} is not known yet", resource, "undecided")
        elif value != "hold":
            yield Violation(
                f"{resource.name} delivers answers of {workload.name} with a low score: review.on_low_score is "
                f"{value}, stated hold",
                resource,
            )
    for key in ("below_confidence", "sample_rate"):
        minimum, value = review.get(key), at(settings, f"review.{key}")
        if not minimum:
            continue
        if is_unknown(value):
            yield Violation(f"review.{key} of {workload.name} is not known yet", resource, "undecided")
        elif not isinstance(value, int | float) or value < minimum:
            yield Violation(
                f"{resource.name} holds too few answers of {workload.name}: review.{key} is {value}, stated {minimum}",
                resource,
            )


def _check_reviews_apart(subject: Subject) -> Iterator[Violation]:
    yield from intruders(subject, "reviews", "the review service", "its")
    for policy, namespace in network_policies_of(subject, "reviews"):
        sensitivity = namespace_sensitivities(subject.graph).get(namespace, "")
        gateways = _review_gateways(subject, sensitivity)
        yield from _check_egress(subject, policy, gateways)
        yield from _check_ingress(subject, policy, gateways)
        if review_desk.desks_of(gateways or []):
            yield from review_desk.check_desk_port(policy, sensitivity)
    yield from review_desk.check_sign_on(subject)
    yield from review_notifier.check_notifiers(subject)


def _review_gateways(subject: Subject, sensitivity: str) -> list[Gateway] | None:
    """Gateways of a class that hold answers; None without a platform."""
    if subject.platform is None or not sensitivity:
        return None
    return [
        gateway
        for gateway in subject.platform.gateways
        if gateway.class_ == sensitivity and gateway.reviews is not None
    ]


def _check_egress(subject: Subject, policy: Resource, gateways: list[Gateway] | None) -> Iterator[Violation]:
    addresses = (
        None
        if gateways is None
        else {gateway.database.address for gateway in gateways if gateway.database is not None}
    )
    people = subject.platform.people if subject.platform is not None else None
    keys = people.sign_on.keys if people is not None and people.sign_on is not None else None
    if addresses is not None and review_desk.desks_of(gateways or []) and keys is not None and keys.address:
        addresses.add(keys.address)
    for peer in peers(policy, "egress", "to"):
        block = at(peer, "ipBlock.cidr")
        if is_unknown(peer) or is_unknown(block):
            yield Violation(
                f"the addresses that {policy.name} lets the review service call are not known yet",
                policy,
                "undecided",
            )
        elif not is_single_allowed_address(block, addresses):
            where = block or "pods of the cluster"
            yield Violation(
                f"{policy.name} lets the review service reach {where}, which the platform does not state",
                policy,
            )


def _check_ingress(subject: Subject, policy: Resource, gateways: list[Gateway] | None) -> Iterator[Violation]:
    if gateways is None or subject.platform is None:
        return
    review_settings = [gateway.reviews for gateway in gateways if gateway.reviews is not None]
    cidrs = {cidr for review in review_settings for cidr in review.from_cidrs}
    namespaces = {namespace for review in review_settings for namespace in review.from_namespaces}
    namespaces |= {subject.platform.monitoring.namespace or ""}
    namespaces |= {reviews_sign_on_namespace(gateway.class_) for gateway, _ in review_desk.desks_of(gateways)}
    for peer in peers(policy, "ingress", "from"):
        block, labels = at(peer, "ipBlock.cidr"), at(peer, "namespaceSelector.matchLabels")
        namespace = labels.get(_NAME) if isinstance(labels, Mapping) else None
        if is_unknown(peer) or is_unknown(block) or is_unknown(labels) or is_unknown(namespace):
            yield Violation(
                f"who may call the review service by {policy.name} is not known yet", policy, "undecided"
            )
        elif block not in cidrs and namespace not in namespaces:
            source = block or (f"namespace {namespace}" if namespace else "everybody")
            yield Violation(
                f"{policy.name} lets {source} call the review service, but the platform does not state that",
                policy,
            )


def _reviews_apart_scope(subject: Subject) -> Iterator[Resource]:
    return isolated_resources(subject, "reviews", review_desk.ROLE, review_notifier.ROLE)


RULES = (
    Rule(
        "audit/answers-held",
        "Answers that need review are held until a person has reviewed them",
        "critical",
        (*fw.ai_act("14(1)"), *fw.nist("AC-5"), *fw.iso_27001("A.5.3")),
        "People act on a high-impact answer as if somebody had reviewed it",
        "Set `reviews` of the gateway, and `impact` and `review` of its workloads as in the requirements",
        _check_answers_held,
        (_CONFIG, _TASK),
        applies_to=first_of_rows(_gateways_with_review),
    ),
    Rule(
        "audit/reviews-apart",
        "The review service is isolated, and reachable only as the platform states",
        "high",
        (*fw.nist("AC-5", "SC-7"), *fw.iso_27001("A.5.3")),
        "Whoever reaches that service or its keys can approve answers in other people's names",
        "Run it, the sign-on of its desk and its notifier alone in their namespaces without RBAC roles; allow "
        "egress and ingress only as the platform states",
        _check_reviews_apart,
        (*POD_KINDS, *IN_NAMESPACE, POLICY),
        applies_to=_reviews_apart_scope,
    ),
)
