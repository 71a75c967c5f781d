"""Lists the resources that a rule applies to, for rules that compare a stack with the platform's statements.

`policies.evaluation.scope` does the same for the other rules. A rule that compares with a statement applies to nothing
where there is no statement. A rule about a sum applies to the largest part, and to nothing while a part is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.audit import alarms as audit_alarms
from policies.audit import aws_sealing, gateway_records
from policies.audit import reviews as review_rules
from policies.cost import aws_machines
from policies.cost import budgets as budget_rules
from policies.cost import capacity as capacity_rules
from policies.data_path import paths
from policies.data_path import redaction as redaction_rules
from policies.encryption import in_transit as encryption_in_transit
from policies.identity import aws_trust
from policies.inputs.declared import governing_platform, namespace_sensitivities
from policies.inputs.documents import containers, gateway_configurations, principals
from policies.inputs.pods import command_line, pods
from policies.inputs.values import at, is_unknown
from policies.network import cluster as cluster_network
from policies.network import exposure as network_exposure
from policies.release import declared as declared_release
from policies.reliability import serving as serving_reliability
from policies.rules.rule import Subject
from policies.workload import hardening as workload_hardening

Applicable = Iterable[Resource | None]
"""Resources that a rule applies to. None: the stack as a whole."""


def _first_of_rows(
    rows_of: Callable[[Subject], Iterable[tuple[Resource, *tuple[Any, ...]]]],
) -> Callable[[Subject], Applicable]:
    """Selects the resources that are first in the rows of a function."""
    return lambda subject: (row[0] for row in rows_of(subject))


def _largest_of_sums(
    sums_of: Callable[[Subject], tuple[list[Resource], Iterable[capacity_rules.Usage]]],
) -> Callable[..., Applicable]:
    def select(subject: Subject) -> Iterator[Resource]:
        hidden, sums = sums_of(subject)
        yield from hidden
        yield from (total.largest for total in sums if total.is_decided)

    return select


def _wanted_gpus(subject: Subject) -> tuple[list[Resource], Iterable[capacity_rules.Usage]]:
    hidden, sums = capacity_rules.requested_resources(subject)
    return hidden, sums.values()


def _budgets(subject: Subject) -> Iterator[Resource | None]:
    """Budgets that count the costs of a stated budget; the stack as a whole if a stated budget is missing."""
    platform = governing_platform(subject)
    for budget in platform.budgets if platform else []:
        yield from budget_rules.matching_budgets(subject.graph, budget) or [None]


def _budget_actions(subject: Subject) -> Iterator[Resource]:
    platform = governing_platform(subject)
    yield from subject.graph.of(budget_rules.ACTION)
    for budget in platform.budgets if platform else []:
        yield from budget_rules.matching_budgets(subject.graph, budget) if budget.action == "deny" else []


def _anomaly_monitors(subject: Subject) -> Applicable:
    monitors = budget_rules.anomaly_monitors(subject)
    return [] if monitors is None else monitors or [None]


def _cost_tags(subject: Subject) -> Iterator[Resource | None]:
    yield from subject.graph.of(budget_rules.TAG)
    yield from [None] if budget_rules.unactivated_tags(subject) else []


def _documents_that_allow(subject: Subject) -> Iterator[Resource]:
    """Resources whose policy has an Allow statement with a principal; other rules cover unreadable policies."""
    for resource, _, document in aws_trust.trust_documents(subject):
        if any(statement.get("Effect") == "Allow" and principals(statement) for statement in document):
            yield resource


def _caller_roles(subject: Subject) -> Iterator[Resource]:
    for role, unbound_calls in aws_trust.model_callers(subject):
        if unbound_calls or not role.hidden:
            yield role.resource


def _ingress_policies(subject: Subject) -> Iterator[Resource]:
    """Network policies of class namespaces that decide about ingress."""
    sensitivities = namespace_sensitivities(subject.graph)
    for policy in subject.graph.of(POLICY):
        kinds, rules = (at(policy.inputs, f"spec.{part}") for part in ("policyTypes", "ingress"))
        # A policy without policyTypes applies to ingress.
        if sensitivities.get(name_and_namespace(policy)[1]) and (rules or not kinds or "Ingress" in kinds):
            yield policy


def _pods_in_class_namespaces(subject: Subject) -> Iterator[Resource]:
    sensitivities = namespace_sensitivities(subject.graph)
    for pod in pods(subject.graph) if subject.platform else []:
        if sensitivities.get(pod.namespace):
            yield pod.resource


def _egress_groups(subject: Subject) -> Iterator[Resource]:
    """Resources with egress to written or unknown addresses. Addresses of other resources are left out."""
    for group, _, blocks in cluster_network.egress_rules(subject):
        if any(
            block is not None and not (is_unknown(block) and subject.graph.referred(block))
            for block in blocks
        ):
            yield group


def _configurations_with_clients(subject: Subject) -> Iterator[Resource]:
    """Configurations with allowed_clients whose gateway is known from the platform or their own namespace."""
    for resource, _, config in gateway_configurations(subject.graph):
        gateway_is_known = subject.platform is not None or resource.type.startswith("kubernetes:")
        if (
            gateway_is_known
            and at(config, "mode") in ("sidecar", "translator")
            and at(config, "allowed_clients")
        ):
            yield resource


def _zoned_node_groups(subject: Subject) -> Iterator[Resource]:
    yield from (groups[0] for _, _, groups in aws_machines.pools_in_zones(subject))
    yield from (group for group, *_ in aws_machines.system_groups(subject))


def _endpoints_with_rollback(subject: Subject) -> Iterator[Resource]:
    for endpoint in subject.graph.of(aws_machines.ENDPOINT):
        if at(endpoint.inputs, "deploymentConfig.autoRollbackConfiguration.alarms"):
            yield endpoint


def _weight_sources(subject: Subject) -> Iterator[Resource]:
    yield from (resource for resource, _, _ in declared_release.bound_claims(subject))
    yield from (resource for resource, _, _ in declared_release.mounted_claims(subject))
    yield from (resource for resource, _, _ in declared_release.hosted_sources(subject))


def _servers_with_readable_adapters(subject: Subject) -> Iterator[Resource]:
    """Servers whose arguments are known, or that name an adapter."""
    for pod, _ in declared_release.stated_model_pods(subject):
        command_lines = [command_line(container) for container in pod.containers]
        if any(
            any(declared_release.adapter_names(command_line)) for command_line in command_lines
        ) or not any(is_unknown(argument) for command_line in command_lines for argument in command_line):
            yield pod.resource


def _stated_replicas(subject: Subject) -> Iterator[Resource]:
    """Workloads with a stated number of replicas (platform or role), and workloads whose number is not known."""
    for pod in serving_reliability.long_running_pods(subject):
        if subject.platform or pod.role or is_unknown(at(pod.resource.inputs, "spec.replicas")):
            yield pod.resource


def _tasks_with_containers(subject: Subject) -> Iterator[Resource]:
    return (task for task in subject.graph.of(workload_hardening.TASK) if containers(task))


APPLICABLE: dict[str, Callable[[Subject], Applicable]] = {
    "audit/alarms-fed": lambda subject: filter(
        audit_alarms.is_custom_metric, subject.graph.of(audit_alarms.ALARM)
    ),
    "audit/alarms-read": lambda subject: audit_alarms.alarm_topics(subject.graph).values(),
    "audit/tasks-logged": _tasks_with_containers,
    "network/endpoints-answer-by-name": lambda subject: (
        endpoint
        for endpoint in subject.graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
        if network_exposure.is_named_by_service(subject, endpoint)
    ),
    "audit/gateways-keep-records": lambda subject: (
        resource for resource, _ in gateway_records.recording_gateways(subject)
    ),
    "audit/sealer-apart": gateway_records.sealer_apart_scope,
    "audit/sealed-at-home": gateway_records.sealed_at_home_scope,
    "audit/sealers-seal-alone": aws_sealing.sealing_scope,
    "audit/share-apart": aws_sealing.share_scope,
    "audit/answers-held": _first_of_rows(review_rules.gateways_with_review),
    "audit/reviews-apart": review_rules.reviews_apart_scope,
    "cost/gpu-quota": capacity_rules.gpu_namespaces,
    "cost/fits-quota": _largest_of_sums(_wanted_gpus),
    "cost/queues-fit-pools": _largest_of_sums(capacity_rules.admitted_gpus),
    "cost/budgets-stated": _budgets,
    "cost/budgets-act": _budget_actions,
    "cost/leaps-seen": _anomaly_monitors,
    "cost/tags-count": _cost_tags,
    "cost/attributed": _first_of_rows(budget_rules.billed_resources),
    "cost/throughput-stated": lambda subject: (
        subject.graph.of(budget_rules.THROUGHPUT) if subject.platform else []
    ),
    "cost/machines-stated": _first_of_rows(aws_machines.machine_types),
    "cost/machines-bounded": _largest_of_sums(aws_machines.group_growth),
    "identity/our-accounts": _documents_that_allow,
    "identity/from-our-networks": _caller_roles,
    "identity/boundaries-deny": aws_trust.boundary_policies,
    "identity/admins-stated": _first_of_rows(aws_trust.cluster_admins),
    "data-path/lets-in-own-class": _ingress_policies,
    "data-path/stated-workloads": _pods_in_class_namespaces,
    "data-path/redacts-what-leaves": lambda subject: (
        resource
        for resource, _ in redaction_rules.redacting_gateways(subject, redaction_rules.PROMPTS_LEAVING_SITE)
    ),
    "data-path/redacts-secrets-in-answers": lambda subject: (
        resource
        for resource, _ in redaction_rules.redacting_gateways(subject, redaction_rules.SECRETS_IN_OUTPUTS)
    ),
    "data-path/own-resolvers": lambda subject: (
        pod.resource for pod, _ in cluster_network.pods_without_cloud(subject)
    ),
    "data-path/groups-name-whom-they-call": _egress_groups,
    "data-path/gateways-alone-ask": _configurations_with_clients,
    "data-path/guardrails-stay": _first_of_rows(paths.cross_region_guardrails),
    "reliability/machines-stay": _first_of_rows(aws_machines.purchases),
    "reliability/machines-in-zones": _zoned_node_groups,
    "reliability/rollback-alarm-stands": _endpoints_with_rollback,
    "release/weights-sealed": declared_release.weight_claims,
    "release/weights-from-their-place": _weight_sources,
    "release/adapters-stated": _servers_with_readable_adapters,
    "release/precision-stated": lambda subject: (
        pod.resource for pod, *_ in declared_release.stated_engines(subject)
    ),
    "release/routes-stated": _first_of_rows(declared_release.stated_routes),
    "reliability/as-many-as-stated": _stated_replicas,
    "reliability/spread-by-force": lambda subject: (
        pod.resource for pod, _ in serving_reliability.pods_to_spread(subject)
    ),
    "reliability/hung-restarted": lambda subject: (
        pod.resource
        for pod in serving_reliability.long_running_pods(subject)
        if serving_reliability.answering_containers(pod)
    ),
    "reliability/ends-in-order": lambda subject: (
        pod.resource for pod in serving_reliability.long_running_pods(subject)
    ),
    "reliability/rollouts-wait": lambda subject: (
        pod.resource
        for pod, deadline, needs in serving_reliability.starting_deployments(subject)
        if needs or is_unknown(deadline)
    ),
    "reliability/measured": lambda subject: (
        pod.resource for pod in serving_reliability.pods_to_measure(subject)
    ),
    "encryption/engines-behind-tls": lambda subject: (
        pod.resource for pod, _, _ in encryption_in_transit.vllm_listeners(subject)
    ),
    "workload/helpers-read-only": lambda subject: (
        pod.resource for pod in pods(subject.graph) if any(map(workload_hardening.is_helper, pod.containers))
    ),
    "workload/default-limits": capacity_rules.class_namespaces,
}
"""By rule id, as in `policies.evaluation.scope` for the other rules."""
