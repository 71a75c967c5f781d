"""Lists the resources that a rule applies to, for rules that compare a stack with the platform's statements.

`policies.evaluation.scope` does the same for the other rules. A rule that compares with a statement applies to nothing
where there is no statement. A rule about a sum applies to the largest part, and to nothing while a part is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, place
from policies.audit import alarms as heard
from policies.audit import aws_sealing, gateway_records
from policies.audit import reviews as review_rules
from policies.cost import aws_machines
from policies.cost import budgets as cost
from policies.cost import capacity as capacity_rules
from policies.data_path import paths
from policies.data_path import redaction as redaction_rules
from policies.encryption import in_transit as encryption_in_transit
from policies.identity import aws_trust
from policies.inputs.declared import governs, spaces
from policies.inputs.documents import configurations, containers, principals
from policies.inputs.pods import pods, told
from policies.inputs.values import at, unknown
from policies.network import cluster as cluster_network
from policies.network import exposure as network_exposure
from policies.release import declared as release
from policies.reliability import serving as running
from policies.rules.rule import Subject
from policies.workload import hardening as workload_hardening

Asked = Iterable[Resource | None]
"""None: the stack as a whole."""


def _first(
    found: Callable[[Subject], Iterable[tuple[Resource, *tuple[Any, ...]]]],
) -> Callable[[Subject], Asked]:
    """Resources of what a rule goes through, of which each stands first."""
    return lambda subject: (each[0] for each in found(subject))


def _summed(
    found: Callable[[Subject], tuple[list[Resource], Iterable[capacity_rules.Sum]]],
) -> Callable[..., Asked]:
    def chosen(subject: Subject) -> Iterator[Resource]:
        hidden, sums = found(subject)
        yield from hidden
        yield from (each.largest for each in sums if each.judged)

    return chosen


def _wanted(subject: Subject) -> tuple[list[Resource], Iterable[capacity_rules.Sum]]:
    hidden, sums = capacity_rules.wanted(subject)
    return hidden, sums.values()


def _budgets(subject: Subject) -> Iterator[Resource | None]:
    """Those that count what a stated one does; the stack, where one that is stated is not made."""
    platform = governs(subject)
    for one in platform.budgets if platform else []:
        yield from cost.counting(subject.graph, one) or [None]


def _stopping(subject: Subject) -> Iterator[Resource]:
    platform = governs(subject)
    yield from subject.graph.of(cost.ACTION)
    for one in platform.budgets if platform else []:
        yield from cost.counting(subject.graph, one) if one.action == "deny" else []


def _leaps(subject: Subject) -> Asked:
    monitors = cost.watches(subject)
    return [] if monitors is None else monitors or [None]


def _tags(subject: Subject) -> Iterator[Resource | None]:
    yield from subject.graph.of(cost.TAG)
    yield from [None] if cost.unactivated(subject) else []


def _let_in(subject: Subject) -> Iterator[Resource]:
    """What lets somebody in; of a document without a word that can be read other rules tell."""
    for each, _, document in aws_trust.let_in(subject):
        if any(said.get("Effect") == "Allow" and principals(said) for said in document):
            yield each


def _callers(subject: Subject) -> Iterator[Resource]:
    for role, loose in aws_trust.callers(subject):
        if loose or not role.hidden:
            yield role.resource


def _letting_in(subject: Subject) -> Iterator[Resource]:
    """Policies of a class that say who comes in, nobody and everybody among it."""
    of = spaces(subject.graph)
    for each in subject.graph.of(POLICY):
        kinds, rules = (at(each.inputs, f"spec.{part}") for part in ("policyTypes", "ingress"))
        # Without kinds a policy is of what comes in, whatever else it is of.
        if of.get(place(each)[1]) and (rules or not kinds or "Ingress" in kinds):
            yield each


def _beside_work(subject: Subject) -> Iterator[Resource]:
    of = spaces(subject.graph)
    for pod in pods(subject.graph) if subject.platform else []:
        if of.get(pod.namespace):
            yield pod.resource


def _callees(subject: Subject) -> Iterator[Resource]:
    """Whose addresses are written or not known; those that another resource has, it is judged by."""
    for each, _, blocks in cluster_network.outgoing(subject):
        if any(one is not None and not (unknown(one) and subject.graph.referred(one)) for one in blocks):
            yield each


def _asked_by_gateways(subject: Subject) -> Iterator[Resource]:
    """Who says whom it answers, and whose gateway can be known: by the platform, or by its own namespace."""
    for each, _, config in configurations(subject.graph):
        known = subject.platform is not None or each.type.startswith("kubernetes:")
        if known and at(config, "mode") in ("sidecar", "translator") and at(config, "allowed_clients"):
            yield each


def _zoned(subject: Subject) -> Iterator[Resource]:
    yield from (groups[0] for _, _, groups in aws_machines.in_zones(subject))
    yield from (group for group, *_ in aws_machines.system(subject))


def _taken_back(subject: Subject) -> Iterator[Resource]:
    for each in subject.graph.of(aws_machines.ENDPOINT):
        if at(each.inputs, "deploymentConfig.autoRollbackConfiguration.alarms"):
            yield each


def _places(subject: Subject) -> Iterator[Resource]:
    yield from (each for each, _, _ in release.bound(subject))
    yield from (each for each, _, _ in release.mounted(subject))
    yield from (each for each, _, _ in release.hosted(subject))


def _adapted(subject: Subject) -> Iterator[Resource]:
    """Servers whose words can be read, or name an adapter."""
    for pod, _ in release.served(subject):
        words = [told(box) for box in pod.boxes]
        if any(any(release.modules(each)) for each in words) or not any(
            unknown(word) for each in words for word in each
        ):
            yield pod.resource


def _counted(subject: Subject) -> Iterator[Resource]:
    """What somebody states a number of: the platform, or its role. Of others it is only asked whether it is known."""
    for pod in running.served(subject):
        if subject.platform or pod.role or unknown(at(pod.resource.inputs, "spec.replicas")):
            yield pod.resource


def _logged(subject: Subject) -> Iterator[Resource]:
    return (each for each in subject.graph.of(workload_hardening.TASK) if containers(each))


ASKED: dict[str, Callable[[Subject], Asked]] = {
    "audit/alarms-fed": lambda subject: filter(heard.counted_by_us, subject.graph.of(heard.ALARM)),
    "audit/alarms-read": lambda subject: heard.spoken(subject.graph).values(),
    "audit/tasks-logged": _logged,
    "network/endpoints-answer-by-name": lambda subject: (
        each
        for each in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
        if network_exposure.named_by_its_service(subject, each)
    ),
    "audit/gateways-keep-records": lambda subject: (each for each, _ in gateway_records.recorded(subject)),
    "audit/sealer-apart": gateway_records.judged_apart,
    "audit/sealed-at-home": gateway_records.judged_at_home,
    "audit/sealers-seal-alone": aws_sealing.asked_alone,
    "audit/share-apart": aws_sealing.judged_apart,
    "audit/answers-held": _first(review_rules.held),
    "audit/reviews-apart": review_rules.judged_apart,
    "cost/gpu-quota": capacity_rules.with_gpus,
    "cost/fits-quota": _summed(_wanted),
    "cost/queues-fit-pools": _summed(capacity_rules.admitted),
    "cost/budgets-stated": _budgets,
    "cost/budgets-act": _stopping,
    "cost/leaps-seen": _leaps,
    "cost/tags-count": _tags,
    "cost/attributed": _first(cost.borne),
    "cost/throughput-stated": lambda subject: subject.graph.of(cost.BOUGHT) if subject.platform else [],
    "cost/machines-stated": _first(aws_machines.of_a_kind),
    "cost/machines-bounded": _summed(aws_machines.growing),
    "identity/our-accounts": _let_in,
    "identity/from-our-networks": _callers,
    "identity/boundaries-deny": aws_trust.boundaries,
    "identity/admins-stated": _first(aws_trust.admins),
    "data-path/lets-in-own-class": _letting_in,
    "data-path/stated-workloads": _beside_work,
    "data-path/redacts-what-leaves": lambda subject: (
        each for each, _ in redaction_rules.held(subject, redaction_rules.LEAVING)
    ),
    "data-path/redacts-secrets-in-answers": lambda subject: (
        each for each, _ in redaction_rules.held(subject, redaction_rules.SECRETS)
    ),
    "data-path/own-resolvers": lambda subject: (
        pod.resource for pod, _ in cluster_network.cloudless(subject)
    ),
    "data-path/groups-name-whom-they-call": _callees,
    "data-path/gateways-alone-ask": _asked_by_gateways,
    "data-path/guardrails-stay": _first(paths.carried),
    "reliability/machines-stay": _first(aws_machines.bought),
    "reliability/machines-in-zones": _zoned,
    "reliability/rollback-alarm-stands": _taken_back,
    "release/weights-sealed": release.holding_weights,
    "release/weights-from-their-place": _places,
    "release/adapters-stated": _adapted,
    "release/precision-stated": lambda subject: (pod.resource for pod, *_ in release.engines(subject)),
    "release/routes-stated": _first(release.routed),
    "reliability/as-many-as-stated": _counted,
    "reliability/spread-by-force": lambda subject: (pod.resource for pod, _ in running.apart(subject)),
    "reliability/hung-restarted": lambda subject: (
        pod.resource for pod in running.served(subject) if running.answering(pod)
    ),
    "reliability/ends-in-order": lambda subject: (pod.resource for pod in running.served(subject)),
    "reliability/rollouts-wait": lambda subject: (
        pod.resource for pod, deadline, needs in running.starting(subject) if needs or unknown(deadline)
    ),
    "reliability/measured": lambda subject: (pod.resource for pod in running.to_measure(subject)),
    "encryption/engines-behind-tls": lambda subject: (
        pod.resource for pod, _, _ in encryption_in_transit.engines(subject)
    ),
    "workload/helpers-read-only": lambda subject: (
        pod.resource for pod in pods(subject.graph) if any(map(workload_hardening.helps, pod.boxes))
    ),
    "workload/default-limits": capacity_rules.class_spaces,
}
"""By id of the rule, as `policies.evaluation.scope` has those of the others."""
