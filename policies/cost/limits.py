"""Rules for limits: containers, namespaces, GPUs, budgets, autoscaling and gateway requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.documents import gateway_configurations
from policies.inputs.pods import POD_KINDS, Pod, container_undecided, container_violation, pods
from policies.inputs.selectors import configurations_where, has_containers, pods_where, resources_where
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_BUDGET = "aws:budgets/budget:Budget"
_SPENDS = (
    "aws:bedrock/inferenceProfile:InferenceProfile",
    "aws:sagemaker/endpoint:Endpoint",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
)
"""Types that are billed by use or by the hour, without a limit of their own."""
_GPU = ("nvidia.com/", "amd.com/gpu")


def _check_limits(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            for key in ("memory", "cpu"):
                value = at(container, f"resources.limits.{key}")
                if is_unknown(value):
                    yield container_undecided(pod, container, f"its {key} limit")
                elif not value:
                    yield container_violation(pod, container, f"has no {key} limit")


def _check_namespace_quota(subject: Subject) -> Iterator[Violation]:
    quotas = {
        name_and_namespace(quota)[1]: at(quota.inputs, "spec.hard")
        for quota in subject.graph.of(":ResourceQuota")
    }
    for namespace in _used_namespaces(subject):
        name = name_and_namespace(namespace)[0]
        hard = quotas.get(name)
        if is_unknown(hard):
            yield Violation(f"the quota of {namespace.name} is not known yet", namespace, "undecided")
            continue
        hard = hard if isinstance(hard, Mapping) else {}
        for part, keys in (
            ("memory", ("limits.memory", "requests.memory")),
            ("pods", ("pods", "count/pods")),
        ):
            if not any(key in hard for key in keys):
                yield Violation(f"namespace {name} has no quota of {part}", namespace)


def _used_namespaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces in which pods of the stack run, or that belong to a class."""
    used = {pod.namespace for pod in pods(subject.graph)}
    for namespace in subject.graph.of("kubernetes:core/v1:Namespace"):
        labels = at(namespace.inputs, "metadata.labels")
        if name_and_namespace(namespace)[0] in used or not isinstance(labels, Mapping) or CLASS in labels:
            yield namespace


def _check_gpus_bounded(subject: Subject) -> Iterator[Violation]:
    bounded: dict[str, set[str]] = {}
    for quota in subject.graph.of(":ResourceQuota"):
        hard = at(quota.inputs, "spec.hard")
        if isinstance(hard, Mapping):
            bounded.setdefault(name_and_namespace(quota)[1], set()).update(map(str, hard))
    queues = {
        (name_and_namespace(queue)[1], name_and_namespace(queue)[0])
        for queue in subject.graph.of(":LocalQueue")
    }
    reported: set[tuple[str, str]] = set()
    for pod in pods(subject.graph):
        queue = _queue_name(pod)
        for kind in sorted(_gpu_resources(pod)):
            is_bounded = f"requests.{kind}" in bounded.get(pod.namespace, set())
            if (
                not is_bounded
                and (pod.namespace, queue) not in queues
                and (pod.resource.urn, kind) not in reported
            ):
                reported.add((pod.resource.urn, kind))
                yield Violation(
                    f"no quota and no queue limits the {kind} of {pod.resource.name}", pod.resource
                )


def _queue_name(pod: Pod) -> str:
    labels = at(pod.resource.inputs, "metadata.labels")
    key = "kueue.x-k8s.io/queue-name"
    return str(pod.labels.get(key) or (labels.get(key) if isinstance(labels, Mapping) else "") or "")


def _gpu_resources(pod: Pod) -> set[str]:
    kinds = set()
    for container in pod.containers:
        limits = at(container, "resources.limits")
        kinds |= (
            {str(key) for key in limits or {} if str(key).startswith(_GPU)}
            if isinstance(limits, Mapping)
            else set()
        )
    return kinds


def _check_gpus_queued(subject: Subject) -> Iterator[Violation]:
    queues = {
        (name_and_namespace(queue)[1], name_and_namespace(queue)[0])
        for queue in subject.graph.of(":LocalQueue")
    }
    if not queues:
        return
    reported: set[str] = set()
    for pod in pods(subject.graph):
        if (
            _gpu_resources(pod)
            and (pod.namespace, _queue_name(pod)) not in queues
            and pod.resource.urn not in reported
        ):
            reported.add(pod.resource.urn)
            yield Violation(
                f"{pod.resource.name} uses GPUs without a queue, but the cluster shares GPUs by queues",
                pod.resource,
            )


def _gpu_pods_if_queues_exist(subject: Subject) -> Applicable:
    shared = any(True for _ in subject.graph.of(":LocalQueue"))
    return pods_where(_gpu_resources)(subject) if shared else []


def _check_budget_exists(subject: Subject) -> Iterator[Violation]:
    spending = list(subject.graph.of(*_SPENDS))
    if spending and not list(subject.graph.of(_BUDGET)):
        yield Violation(
            f"{spending[0].name} and other resources that are billed by use have no budget", spending[0]
        )


def _first_spending_resource(subject: Subject) -> list[Resource]:
    return list(subject.graph.of(*_SPENDS))[:1]


def _check_budgets_notify(subject: Subject) -> Iterator[Violation]:
    for budget in subject.graph.of(_BUDGET):
        notifications = budget.inputs.get("notifications")
        if is_unknown(notifications):
            yield Violation(f"the notifications of {budget.name} are not known yet", budget, "undecided")
            continue
        with_subscribers = [
            notification for notification in notifications or [] if _has_subscribers(notification)
        ]
        if not with_subscribers:
            yield Violation(f"{budget.name} notifies nobody", budget)
        elif not any(_is_in_time(notification) for notification in with_subscribers):
            yield Violation(f"{budget.name} notifies only after it is used up", budget)


def _has_subscribers(notification: Any) -> bool:
    return bool(at(notification, "subscriberEmailAddresses") or at(notification, "subscriberSnsTopicArns"))


def _is_in_time(notification: Any) -> bool:
    """Whether a notification is sent before or when the budget is used up, by actual or forecast cost."""
    threshold = at(notification, "threshold")
    percent = at(notification, "thresholdType") == "PERCENTAGE"
    return not percent or (isinstance(threshold, int | float) and threshold <= 100)


def _check_scaling_bounded(subject: Subject) -> Iterator[Violation]:
    for scaled_object in subject.graph.of(":ScaledObject"):
        if not scaled_object.type.startswith("kubernetes:keda.sh/"):
            continue
        most = at(scaled_object.inputs, "spec.maxReplicaCount")
        if is_unknown(most):
            yield Violation(
                f"maxReplicaCount of {scaled_object.name} is not known yet", scaled_object, "undecided"
            )
        elif not most:
            yield Violation(
                f"{scaled_object.name} has no maxReplicaCount, so KEDA scales it up to 100 replicas",
                scaled_object,
            )
    for autoscaler in subject.graph.of("kubernetes:autoscaling/v2:HorizontalPodAutoscaler"):
        if not at(autoscaler.inputs, "spec.maxReplicas"):
            yield Violation(f"{autoscaler.name} has no maxReplicas", autoscaler)


def _is_autoscaler(resource: Resource) -> bool:
    return resource.type.startswith(("kubernetes:keda.sh/", "kubernetes:autoscaling/v2:"))


def _check_gateway_limits(subject: Subject) -> Iterator[Violation]:
    for resource, _, config in gateway_configurations(subject.graph):
        if config is None or not _takes_requests(config):
            continue
        limits = at(config, "limits")
        for key in ("max_body_bytes", "request_timeout_s"):
            value = at(limits, key)
            if not isinstance(value, int | float) or value <= 0:
                yield Violation(f"{resource.name} sets no limits.{key}", resource)
        knows_callers = at(config, "callers") or at(config, "database")
        if at(config, "mode") == "gateway" and not knows_callers:
            yield Violation(
                f"{resource.name} has neither callers nor a database of callers, so no caller's budget applies",
                resource,
            )


def _takes_requests(config: Any) -> bool:
    """A sealer, a notifier and a loader get no requests, and a detector only those of its gateway."""
    return at(config, "mode") not in (None, "sealer", "notifier", "loader", "detector")


_RESOURCE_ABUSE = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/limits",
        "Every container has CPU and memory limits",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("SC-5"), *fw.iso_27001("A.8.6")),
        "A container without limits can use up its node and starve other pods",
        "Set resources.limits.cpu and resources.limits.memory",
        _check_limits,
        POD_KINDS,
        applies_to=pods_where(has_containers),
    ),
    Rule(
        "cost/namespace-quota",
        "Every namespace has a quota of memory and pods",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "A fault in one class could use up the cluster for the others",
        "Add a ResourceQuota with limits.memory and pods",
        _check_namespace_quota,
        ("kubernetes:core/v1:Namespace",),
        applies_to=_used_namespaces,
    ),
    Rule(
        "cost/gpus-bounded",
        "The number of GPUs that a workload takes is limited",
        "high",
        (*_RESOURCE_ABUSE, *fw.iso_27001("A.8.6")),
        "GPUs are the largest cost, and other classes wait for them",
        "Add requests.nvidia.com/gpu to the namespace's quota, or use a queue",
        _check_gpus_bounded,
        POD_KINDS,
        applies_to=pods_where(_gpu_resources),
    ),
    Rule(
        "cost/gpus-queued",
        "Where queues share GPUs, every GPU workload uses a queue",
        "medium",
        (*_RESOURCE_ABUSE, *fw.iso_27001("A.8.6")),
        "A workload outside the queue takes GPUs that the queue has promised to others",
        "Add the label kueue.x-k8s.io/queue-name to the workload",
        _check_gpus_queued,
        POD_KINDS,
        applies_to=_gpu_pods_if_queues_exist,
    ),
    Rule(
        "cost/budgeted",
        "Resources that are billed by use have a budget",
        "medium",
        _RESOURCE_ABUSE,
        "Without a budget the invoice is the first sign of an agent in a loop",
        "Add a Budget over the platform's tag",
        _check_budget_exists,
        _SPENDS,
        applies_to=_first_spending_resource,
    ),
    Rule(
        "cost/budgets-heard",
        "Budgets notify somebody in time",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("AU-5")),
        "A budget that notifies nobody stops nothing",
        "Add notifications with a subscriber and a threshold of at most 100 %",
        _check_budgets_notify,
        (_BUDGET,),
    ),
    Rule(
        "cost/scaling-ends",
        "Autoscaling has a maximum",
        "high",
        _RESOURCE_ABUSE,
        "Without a maximum, load or an attack decides the bill",
        "Set maxReplicaCount",
        _check_scaling_bounded,
        ("kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"),
        applies_to=resources_where(_is_autoscaler, ":ScaledObject", ":HorizontalPodAutoscaler"),
    ),
    Rule(
        "cost/gateways-limited",
        "Gateways limit requests, and know their callers",
        "high",
        (*_RESOURCE_ABUSE, *fw.atlas("AML.M0004")),
        "Without limits one caller can use up everybody's tokens",
        "Set limits.max_body_bytes, limits.request_timeout_s and callers in the gateway's configuration",
        _check_gateway_limits,
        applies_to=configurations_where(_takes_requests),
    ),
)
