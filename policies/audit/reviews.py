"""Held answers: what people must see is held until they have, and those who decide stand apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.model.platform import Gateway, Workload
from isthmus.graph.network.reachability import CLASS, POLICY
from isthmus.graph.resources.resources import Resource, place
from policies.inputs.declared import spaces
from policies.inputs.documents import configurations
from policies.inputs.isolation import IN_NAMESPACE, intruders, of_role, one_of, peers
from policies.inputs.pods import KINDS, pods
from policies.inputs.values import at, listed, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_CONFIG = "kubernetes:core/v1:ConfigMap"
_TASK = "aws:ecs/taskDefinition:TaskDefinition"
_NAME = "kubernetes.io/metadata.name"
_IMPACTS = ("low", "material", "high")


def _rank(impact: Any) -> int:
    return _IMPACTS.index(impact) if impact in _IMPACTS else 0


def held(subject: Subject) -> Iterator[tuple[Resource, Any, list[Workload]]]:
    """Gateways with a workload whose answers people must see: their configuration, and what the platform states of
    these workloads. A configuration that cannot be read is None."""
    for resource, _, config in configurations(subject.graph):
        labels = at(resource.inputs, "metadata.labels")
        if config is None:
            said = labels if isinstance(labels, Mapping) else {}
            mine = [one for one in _gateways(subject) if said.get(CLASS) in (None, one.class_)]
            asked = [each for one in mine for each in _asking(one)]
            if asked and said.get("isthmus.dev/role") == "gateway":
                yield resource, None, asked
            continue
        if at(config, "mode") != "gateway":
            continue
        here = (at(config, "class"), at(config, "site"))
        asked = [
            each for one in _gateways(subject) if (one.class_, one.site) == here for each in _asking(one)
        ]
        if asked or any(_asks(each) for each in listed(at(config, "workloads"))):
            yield resource, config, asked


def _gateways(subject: Subject) -> list[Gateway]:
    return subject.platform.gateways if subject.platform else []


def _asking(gateway: Gateway) -> list[Workload]:
    """What somebody else sees to is not this gateway's to hold; of high impact it always is."""
    return [
        each
        for each in gateway.workloads
        if each.asks_for_people and (each.reviewed_by is None or each.impact == "high")
    ]


def _asks(told: Any) -> bool:
    return bool(at(told, "review")) or _rank(at(told, "impact")) > 0


def _held(subject: Subject) -> Iterator[Broken]:
    for resource, config, asked in held(subject):
        if config is None:
            yield Broken(f"whether {resource.name} holds answers is not known yet", resource, "undecided")
            continue
        told = {str(at(each, "name")): each for each in listed(at(config, "workloads"))}
        names = sorted({each.name for each in asked} | {name for name, each in told.items() if _asks(each)})
        for key in ("keys", "wrapping_key"):
            value = at(config, f"reviews.{key}")
            if unknown(value):
                yield Broken(f"reviews.{key} of {resource.name} is not known yet", resource, "undecided")
            elif not value:
                yield Broken(
                    f"{resource.name} gives out answers of {', '.join(names)} that nobody has seen: it names no "
                    f"reviews.{key}",
                    resource,
                )
        if unknown(at(config, "workloads")):
            yield Broken(f"what {resource.name} holds is not known yet", resource, "undecided")
            continue
        for each in asked:
            yield from _as_stated(resource, each, told.get(each.name))


def _as_stated(resource: Resource, workload: Workload, told: Any) -> Iterator[Broken]:
    """No less is held of a workload than the platform states."""
    impact = at(told, "impact")
    if unknown(impact):
        yield Broken(f"the impact of {workload.name} is not known yet", resource, "undecided")
    elif _rank(impact) < _rank(workload.impact):
        said = impact or "low"
        yield Broken(
            f"{resource.name} takes {workload.name} for {said} impact, and it is {workload.impact}", resource
        )
    review = workload.review.model_dump() if workload.review is not None else {}
    for key in ("below_confidence", "sample_rate"):
        wanted, value = review.get(key), at(told, f"review.{key}")
        if not wanted:
            continue
        if unknown(value):
            yield Broken(f"review.{key} of {workload.name} is not known yet", resource, "undecided")
        elif not isinstance(value, int | float) or value < wanted:
            yield Broken(
                f"{resource.name} holds less of {workload.name}: review.{key} is {value}, stated {wanted}",
                resource,
            )


def _apart(subject: Subject) -> Iterator[Broken]:
    yield from intruders(subject, "reviews", "the reviews", "their")
    own = _spaces(subject)
    for policy in subject.graph.of(POLICY):
        if place(policy)[1] in own:
            stated = _stated(subject, spaces(subject.graph).get(place(policy)[1], ""))
            yield from _ways_out(policy, stated)
            yield from _ways_in(subject, policy, stated)


def _spaces(subject: Subject) -> set[str]:
    return {pod.namespace for pod in of_role(subject, "reviews")}


def _stated(subject: Subject, class_: str) -> list[Gateway] | None:
    """The class's gateways that hold answers; None where no platform states them."""
    if subject.platform is None or not class_:
        return None
    return [one for one in subject.platform.gateways if one.class_ == class_ and one.reviews is not None]


def _ways_out(policy: Resource, stated: list[Gateway] | None) -> Iterator[Broken]:
    known = None if stated is None else {one.database.address for one in stated if one.database is not None}
    for peer in peers(policy, "egress", "to"):
        block = at(peer, "ipBlock.cidr")
        if unknown(peer) or unknown(block):
            yield Broken(f"whom {policy.name} lets the reviews call is not known yet", policy, "undecided")
        elif not one_of(block, known):
            where = block or "pods of the cluster"
            yield Broken(f"{policy.name} lets the reviews reach {where}, which is not their database", policy)


def _ways_in(subject: Subject, policy: Resource, stated: list[Gateway] | None) -> Iterator[Broken]:
    if stated is None or subject.platform is None:
        return
    reviews = [one.reviews for one in stated if one.reviews is not None]
    cidrs = {cidr for one in reviews for cidr in one.from_cidrs}
    named = {space for one in reviews for space in one.from_namespaces}
    named |= {subject.platform.monitoring.namespace or ""}
    for peer in peers(policy, "ingress", "from"):
        block, labels = at(peer, "ipBlock.cidr"), at(peer, "namespaceSelector.matchLabels")
        space = labels.get(_NAME) if isinstance(labels, Mapping) else None
        if unknown(peer) or unknown(block) or unknown(labels) or unknown(space):
            yield Broken(f"whom {policy.name} lets in to the reviews is not known yet", policy, "undecided")
        elif block not in cidrs and space not in named:
            who = block or (f"namespace {space}" if space else "whoever it does not name")
            yield Broken(
                f"{policy.name} lets {who} in to the reviews, which the platform does not state", policy
            )


def judged_apart(subject: Subject) -> Iterator[Resource]:
    """What can bring those who decide together with others: pods beside them, rights, and ways in and out."""
    own = _spaces(subject)
    yield from (pod.resource for pod in pods(subject.graph) if pod.namespace in own)
    yield from (each for each in subject.graph.of(*IN_NAMESPACE, POLICY) if place(each)[1] in own)


RULES = (
    Rule(
        "audit/answers-held",
        "Answers that people must see are held until they have",
        "critical",
        (*fw.ai_act("14(1)"), *fw.nist("AC-5"), *fw.iso_27001("A.5.3")),
        "An answer of high impact that nobody looked at is acted upon as if somebody had",
        "State `reviews` of the gateway, and its workloads' impact and review as the requirements have them",
        _held,
        (_CONFIG, _TASK),
    ),
    Rule(
        "audit/reviews-apart",
        "Those who decide upon held answers stand apart, and are reached as the platform states",
        "high",
        (*fw.nist("AC-5", "SC-7"), *fw.iso_27001("A.5.3")),
        "Whoever comes to that process or its keys approves in the name of others",
        "Leave it alone in its namespace, with no role in it, its one way out to the database and its ways in stated",
        _apart,
        (*KINDS, *IN_NAMESPACE, POLICY),
    ),
)
