"""Rules for GPU capacity: namespace quotas, workloads that fit their quota, queues that fit their pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.pods import POD_KINDS, Pod, pods
from policies.inputs.selectors import Selector
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_NAMESPACE = "kubernetes:core/v1:Namespace"
_QUEUES = (":ClusterQueue",)
_QUOTA = ":ResourceQuota"
_SCALERS = (":HorizontalPodAutoscaler", ":ScaledObject")
_GPU = "nvidia.com/gpu"


def _quotas(subject: Subject) -> dict[str, Mapping[str, Any]]:
    """The quotas of each namespace: name to resource key to limit. Of several limits the smallest applies."""
    quotas: dict[str, dict[str, Any]] = {}
    for quota in subject.graph.of(_QUOTA):
        hard = at(quota.inputs, "spec.hard")
        namespace_quota = quotas.setdefault(name_and_namespace(quota)[1], {})
        for key, value in hard.items() if isinstance(hard, Mapping) else ():
            current, new = number(namespace_quota.get(key)), number(value)
            if key not in namespace_quota or (new is not None and (current is None or new < current)):
                namespace_quota[key] = value
    return dict(quotas)


def number(value: Any) -> Fraction | None:
    """A count that is written as a number or as text; None for anything else."""
    try:
        return None if isinstance(value, bool) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None


def class_namespaces(subject: Subject) -> list[Resource]:
    """Namespaces that belong to a class."""
    sensitivities = namespace_sensitivities(subject.graph)
    return [
        namespace
        for namespace in subject.graph.of(_NAMESPACE)
        if sensitivities.get(name_and_namespace(namespace)[0])
    ]


def _gpu_namespaces(subject: Subject) -> list[Resource]:
    """Namespaces that belong to a class, if the cluster has GPUs."""
    gpus = [
        queue for queue in subject.graph.of(*_QUEUES) if _GPU in str(at(queue.inputs, "spec.resourceGroups"))
    ]
    has_gpus = gpus or any(requested_gpus(pod) for pod in pods(subject.graph))
    return class_namespaces(subject) if has_gpus else []


def _check_gpu_quota(subject: Subject) -> Iterator[Violation]:
    """Reports class namespaces without a quota of whole GPUs, whether or not a pod requests them today."""
    quotas = _quotas(subject)
    for namespace in _gpu_namespaces(subject):
        name = name_and_namespace(namespace)[0]
        hard = quotas.get(name, {})
        kinds = {kind for pod in pods(subject.graph) if pod.namespace == name for kind in requested_gpus(pod)}
        for kind in sorted(kinds | {_GPU}):
            if f"requests.{kind}" not in hard:
                yield Violation(f"namespace {name} has no quota of {kind}", namespace)


def requested_gpus(pod: Pod) -> dict[str, Fraction]:
    """The GPUs that a pod requests, whole ones and slices, by resource name."""
    gpus: dict[str, Fraction] = {}
    for container in pod.containers:
        limits = at(container, "resources.limits")
        for key, value in limits.items() if isinstance(limits, Mapping) else ():
            if str(key).startswith(("nvidia.com/", "amd.com/gpu")):
                gpus[key] = gpus.get(key, Fraction(0)) + (number(value) or 0)
    return gpus


def _knows_gpus(pod: Pod) -> bool:
    """Whether the GPU limits of a pod are known."""
    limits = [at(container, "resources.limits") for container in pod.containers]
    values = [value for limit_map in limits if isinstance(limit_map, Mapping) for value in limit_map.values()]
    return not any(map(is_unknown, (*limits, *values)))


@dataclass(frozen=True)
class Usage:
    """The sum that several resources use of one limit. The largest user gets the finding."""

    name: str
    total: Fraction
    limit: Fraction
    largest: Resource
    is_complete: bool
    """Whether every user of the limit is known."""

    @property
    def is_decided(self) -> bool:
        return self.is_complete or self.total > self.limit


def _requested_resources(subject: Subject) -> tuple[list[Resource], dict[tuple[str, str], Usage]]:
    """What workloads request of their namespace's quotas.

    Returns the workloads and quotas whose amounts are not known, and the usage of each other quota by namespace and
    key.
    """
    quotas, hidden, blurred = _quotas(subject), list[Resource](), set[str]()
    most = _maximum_replicas(subject)
    requests: dict[tuple[str, str], list[tuple[Fraction, Resource]]] = {}
    for pod in pods(subject.graph):
        count = _pod_count(pod, most)
        if count is None or not _knows_gpus(pod):
            hidden.append(pod.resource)
            blurred.add(pod.namespace)
            continue
        for kind, amount in {**requested_gpus(pod), "pods": Fraction(1)}.items():
            key = (pod.namespace, kind if kind == "pods" else f"requests.{kind}")
            requests.setdefault(key, []).append((count * amount, pod.resource))
    sums: dict[tuple[str, str], Usage] = {}
    for (namespace, key), parts in sorted(requests.items()):
        bound = number(quotas.get(namespace, {}).get(key))
        if bound is not None:
            sums[namespace, key] = sum_usage(key, parts, bound, is_complete=namespace not in blurred)
    return [*hidden, *_unreadable_quotas(subject, requests)], sums


def _unreadable_quotas(subject: Subject, keys: Iterable[tuple[str, str]]) -> Iterator[Resource]:
    """Quotas that workloads use and whose limit is not known, or is no number."""
    for quota in subject.graph.of(_QUOTA):
        hard, namespace = at(quota.inputs, "spec.hard"), name_and_namespace(quota)[1]
        own_keys = [key for quota_namespace, key in keys if quota_namespace == namespace]
        if (own_keys and is_unknown(hard)) or any(
            key in hard and number(hard[key]) is None for key in own_keys
        ):
            yield quota


def sum_usage(
    name: str, amounts: list[tuple[Fraction, Resource]], limit: Fraction, *, is_complete: bool
) -> Usage:
    largest = max(amounts, key=lambda part: (part[0], part[1].urn))[1]
    return Usage(name, sum((count for count, _ in amounts), Fraction(0)), limit, largest, is_complete)


def largest_of_sums(
    sums_of: Callable[[Subject], tuple[list[Resource], Iterable[Usage]]],
) -> Selector:
    """Selects the resources with an unknown part, and the largest part of each sum that is decided."""

    def select(subject: Subject) -> Iterator[Resource]:
        hidden, sums = sums_of(subject)
        yield from hidden
        yield from (total.largest for total in sums if total.is_decided)

    return select


def _check_fits_quota(subject: Subject) -> Iterator[Violation]:
    hidden, sums = _requested_resources(subject)
    for resource in hidden:
        amount = "limit" if resource.type.endswith(_QUOTA) else "maximum usage"
        yield Violation(
            f"the {amount} of {resource.name} is not known, or is not a plain number", resource, "undecided"
        )
    for (namespace, key), usage in sums.items():
        if usage.total > usage.limit:
            kind = key.removeprefix("requests.")
            problem = f"workloads of {namespace} use up to {float(usage.total):g} {kind}"
            quota = f"but its quota is {float(usage.limit):g}"
            yield Violation(f"{problem}, {quota}; {usage.largest.name} uses the most", usage.largest)


def _requested_sums(subject: Subject) -> tuple[list[Resource], Iterable[Usage]]:
    hidden, sums = _requested_resources(subject)
    return hidden, sums.values()


def _maximum_replicas(subject: Subject) -> dict[tuple[str, str], Any]:
    """The maximum replicas of each scaled workload, by namespace and name."""
    maximums: dict[tuple[str, str], Any] = {}
    for scaler in subject.graph.of(*_SCALERS):
        target = at(scaler.inputs, "spec.scaleTargetRef.name")
        key = "spec.maxReplicas" if scaler.type.endswith(_SCALERS[0]) else "spec.maxReplicaCount"
        maximums[name_and_namespace(scaler)[1], str(target)] = at(scaler.inputs, key)
    return maximums


def _pod_count(pod: Pod, most: Mapping[tuple[str, str], Any]) -> Fraction | None:
    """The maximum number of pods of a template; None if it is not known."""
    inputs, (name, namespace) = pod.resource.inputs, name_and_namespace(pod.resource)
    if pod.resource.type.endswith((":Deployment", ":StatefulSet", ":ReplicaSet", ":LeaderWorkerSet")):
        replicas = at(inputs, "spec.replicas")
        scaled = most.get((namespace, name))
        if is_unknown(replicas) or is_unknown(scaled):
            return None
        count = max(number(1 if replicas is None else replicas) or Fraction(0), number(scaled) or Fraction(0))
        return count * _pods_per_replica(pod)
    parallel = at(inputs, "spec.parallelism") or at(inputs, "spec.jobTemplate.spec.parallelism")
    return None if is_unknown(parallel) else number(parallel or 1)


def _pods_per_replica(pod: Pod) -> Fraction:
    """Pods of a template in one LeaderWorkerSet group: one leader, all others workers."""
    group = at(pod.resource.inputs, "spec.leaderWorkerTemplate")
    if not isinstance(group, Mapping):
        return Fraction(1)
    size = number(group.get("size")) or Fraction(1)
    if at(group, "workerTemplate.spec") is pod.spec:
        return size - 1 if group.get("leaderTemplate") else size
    return Fraction(1)


def _admitted_gpus(subject: Subject) -> tuple[list[Resource], list[Usage]]:
    """Queues whose GPU quota is not known, and the sum that the queues of each pool admit.

    Cohorts and their shared quota are included.
    """
    platform = subject.platform
    if platform is None:
        return [], []
    gpus_by_pool = {pool.name: pool.nodes * pool.gpus_per_node for pool in platform.pools}
    hidden, blurred = list[Resource](), set[str]()
    quotas: dict[str, list[tuple[Fraction, Resource]]] = {}
    for queue in subject.graph.of(*_QUEUES, ":Cohort"):
        for group in at(queue.inputs, "spec.resourceGroups") or []:
            for flavor in at(group, "flavors") or []:
                for resource in at(flavor, "resources") or []:
                    if at(resource, "name") != _GPU:
                        continue
                    count = number(at(resource, "nominalQuota"))
                    if count is None:
                        hidden.append(queue)
                        blurred.add(str(at(flavor, "name")))
                        continue
                    quotas.setdefault(str(at(flavor, "name")), []).append((count, queue))
    return hidden, [
        sum_usage(pool, parts, Fraction(gpus_by_pool[pool]), is_complete=pool not in blurred)
        for pool, parts in sorted(quotas.items())
        if pool in gpus_by_pool
    ]


def _check_queues_fit(subject: Subject) -> Iterator[Violation]:
    hidden, sums = _admitted_gpus(subject)
    for queue in hidden:
        yield Violation(f"the GPU quota of queue {queue.name} is not known yet", queue, "undecided")
    for usage in sums:
        if usage.total > usage.limit:
            problem = (
                f"queues admit {float(usage.total):g} GPUs of pool {usage.name}, but it has {usage.limit}"
            )
            yield Violation(problem, usage.largest)


_RESOURCE_ABUSE = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/gpu-quota",
        "Every class namespace has a GPU quota",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "A queue limits only pods that use it; other pods take all the GPUs that the quota leaves",
        "Add requests.nvidia.com/gpu to the namespace's quota; use 0 if the class has no GPUs",
        _check_gpu_quota,
        (_NAMESPACE, _QUOTA),
        applies_to=_gpu_namespaces,
    ),
    Rule(
        "cost/fits-quota",
        "Workloads at their largest fit the quota of their namespace",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("SC-5(2)"), *fw.iso_27001("A.8.6"), *fw.dora("Art. 7(c)")),
        "Pods beyond the quota never start, and an autoscaler that asks for them hides the shortage",
        "Lower the replicas or the autoscaler's maximum, or raise the count in the platform",
        _check_fits_quota,
        (*POD_KINDS, *_SCALERS),
        applies_to=largest_of_sums(_requested_sums),
    ),
    Rule(
        "cost/queues-fit-pools",
        "Queues admit no more GPUs than their pool has",
        "medium",
        (*_RESOURCE_ABUSE, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "Admitted work that finds no GPU waits outside the queue, without order or priority",
        "Lower nominalQuota to the GPUs of the pool",
        _check_queues_fit,
        _QUEUES,
        applies_to=largest_of_sums(_admitted_gpus),
    ),
)
