"""Cost: what a fault, a loop or a caller can use up has an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Resource, place
from policies.inputs.documents import configurations
from policies.inputs.pods import KINDS, Pod, not_known, of_box, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_BUDGET = "aws:budgets/budget:Budget"
SPENDS = (
    "aws:bedrock/inferenceProfile:InferenceProfile",
    "aws:sagemaker/endpoint:Endpoint",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
)
"""What costs by use, or by the hour, without an end of its own."""
_GPU = ("nvidia.com/", "amd.com/gpu")


def _limited(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            for key in ("memory", "cpu"):
                value = at(box, f"resources.limits.{key}")
                if unknown(value):
                    yield not_known(pod, box, f"its limit of {key}")
                elif not value:
                    yield of_box(pod, box, f"has no limit of {key}")


def _quota(subject: Subject) -> Iterator[Broken]:
    quotas = {place(each)[1]: at(each.inputs, "spec.hard") for each in subject.graph.of(":ResourceQuota")}
    for space in used_spaces(subject):
        name = place(space)[0]
        hard = quotas.get(name)
        if unknown(hard):
            yield Broken(f"the quota of {space.name} is not known yet", space, "undecided")
            continue
        hard = hard if isinstance(hard, Mapping) else {}
        for part, keys in (
            ("memory", ("limits.memory", "requests.memory")),
            ("pods", ("pods", "count/pods")),
        ):
            if not any(key in hard for key in keys):
                yield Broken(f"namespace {name} may use any amount of {part}", space)


def used_spaces(subject: Subject) -> Iterator[Resource]:
    """Namespaces in which something of ours runs, or will."""
    used = {pod.namespace for pod in pods(subject.graph)}
    for space in subject.graph.of("kubernetes:core/v1:Namespace"):
        labels = at(space.inputs, "metadata.labels")
        if place(space)[0] in used or not isinstance(labels, Mapping) or CLASS in labels:
            yield space


def _gpu_quota(subject: Subject) -> Iterator[Broken]:
    bounded: dict[str, set[str]] = {}
    for each in subject.graph.of(":ResourceQuota"):
        hard = at(each.inputs, "spec.hard")
        if isinstance(hard, Mapping):
            bounded.setdefault(place(each)[1], set()).update(map(str, hard))
    queues = {(place(each)[1], place(each)[0]) for each in subject.graph.of(":LocalQueue")}
    told: set[tuple[str, str]] = set()
    for pod in pods(subject.graph):
        queue = _queue(pod)
        for kind in sorted(gpus(pod)):
            held = f"requests.{kind}" in bounded.get(pod.namespace, set())
            if not held and (pod.namespace, queue) not in queues and (pod.resource.urn, kind) not in told:
                told.add((pod.resource.urn, kind))
                yield Broken(
                    f"no quota and no queue bounds how many {kind} {pod.resource.name} takes", pod.resource
                )


def _queue(pod: Pod) -> str:
    own = at(pod.resource.inputs, "metadata.labels")
    key = "kueue.x-k8s.io/queue-name"
    return str(pod.labels.get(key) or (own.get(key) if isinstance(own, Mapping) else "") or "")


def gpus(pod: Pod) -> set[str]:
    found = set()
    for box in pod.boxes:
        limits = at(box, "resources.limits")
        found |= (
            {str(each) for each in limits or {} if str(each).startswith(_GPU)}
            if isinstance(limits, Mapping)
            else set()
        )
    return found


def _queued(subject: Subject) -> Iterator[Broken]:
    queues = {(place(each)[1], place(each)[0]) for each in subject.graph.of(":LocalQueue")}
    if not queues:
        return
    told: set[str] = set()
    for pod in pods(subject.graph):
        if gpus(pod) and (pod.namespace, _queue(pod)) not in queues and pod.resource.urn not in told:
            told.add(pod.resource.urn)
            yield Broken(f"{pod.resource.name} takes GPUs past the queues that share them out", pod.resource)


def _budgeted(subject: Subject) -> Iterator[Broken]:
    spends = list(subject.graph.of(*SPENDS))
    if spends and not list(subject.graph.of(_BUDGET)):
        yield Broken(f"{spends[0].name} and what else costs by use has no budget", spends[0])


def _budgets_heard(subject: Subject) -> Iterator[Broken]:
    for budget in subject.graph.of(_BUDGET):
        told = budget.inputs.get("notifications")
        if unknown(told):
            yield Broken(f"whom {budget.name} tells is not known yet", budget, "undecided")
            continue
        heard = [one for one in told or [] if _hearers(one)]
        if not heard:
            yield Broken(f"{budget.name} tells nobody", budget)
        elif not any(_by_then(one) for one in heard):
            yield Broken(f"{budget.name} tells somebody only after it is used up", budget)


def _hearers(one: Any) -> bool:
    return bool(at(one, "subscriberEmailAddresses") or at(one, "subscriberSnsTopicArns"))


def _by_then(one: Any) -> bool:
    """Before or as the money is gone: by what was spent, or by what will be."""
    threshold = at(one, "threshold")
    percent = at(one, "thresholdType") == "PERCENTAGE"
    return not percent or (isinstance(threshold, int | float) and threshold <= 100)


def _scaling_ends(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(":ScaledObject"):
        if not each.type.startswith("kubernetes:keda.sh/"):
            continue
        most = at(each.inputs, "spec.maxReplicaCount")
        if unknown(most):
            yield Broken(f"how far {each.name} scales is not known yet", each, "undecided")
        elif not most:
            yield Broken(f"{each.name} scales to KEDA's hundred replicas", each)
    for each in subject.graph.of("kubernetes:autoscaling/v2:HorizontalPodAutoscaler"):
        if not at(each.inputs, "spec.maxReplicas"):
            yield Broken(f"{each.name} scales without an end", each)


def _gateways_limited(subject: Subject) -> Iterator[Broken]:
    for resource, _, config in configurations(subject.graph):
        if config is None or at(config, "mode") in (None, "sealer", "detector"):
            continue  # a sealer takes no requests, a detector those that its gateway has let in
        limits = at(config, "limits")
        for key in ("max_body_bytes", "request_timeout_s"):
            value = at(limits, key)
            if not isinstance(value, int | float) or value <= 0:
                yield Broken(f"{resource.name} takes requests without {key}", resource)
        known = at(config, "callers") or at(config, "database")
        if at(config, "mode") == "gateway" and not known:
            yield Broken(f"{resource.name} knows no callers, so no caller's budget holds", resource)


_use = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/limits",
        "Every container has limits",
        "medium",
        (*_use, *fw.nist("SC-5"), *fw.iso_27001("A.8.6")),
        "A container without a limit takes its node from the others",
        "Set resources.limits of cpu and memory",
        _limited,
        KINDS,
    ),
    Rule(
        "cost/namespace-quota",
        "Every namespace has a quota of memory and pods",
        "medium",
        (*_use, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "One class's fault would take the cluster from the others",
        "Add a ResourceQuota with limits.memory and pods",
        _quota,
        ("kubernetes:core/v1:Namespace",),
    ),
    Rule(
        "cost/gpus-bounded",
        "How many GPUs a workload takes has an end",
        "high",
        (*_use, *fw.iso_27001("A.8.6")),
        "GPUs are what costs, and what the other classes wait for",
        "Add requests.nvidia.com/gpu to the namespace's quota, or a queue",
        _gpu_quota,
        KINDS,
    ),
    Rule(
        "cost/gpus-queued",
        "Where queues share GPUs out, nobody passes them",
        "medium",
        (*_use, *fw.iso_27001("A.8.6")),
        "What passes the queue takes GPUs that are promised to somebody",
        "Label the workload kueue.x-k8s.io/queue-name",
        _queued,
        KINDS,
    ),
    Rule(
        "cost/budgeted",
        "What costs by use has a budget",
        "medium",
        _use,
        "A loop in an agent is found by the invoice",
        "Add a Budget over the platform's tag",
        _budgeted,
        SPENDS,
    ),
    Rule(
        "cost/budgets-heard",
        "Budgets tell somebody in time",
        "medium",
        (*_use, *fw.nist("AU-5")),
        "A budget that nobody hears of stops nothing",
        "Add notifications with a subscriber, at 100 % or before",
        _budgets_heard,
        (_BUDGET,),
    ),
    Rule(
        "cost/scaling-ends",
        "Scaling has an end",
        "high",
        _use,
        "Load, or an attack, sets the bill",
        "Set maxReplicaCount",
        _scaling_ends,
        ("kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"),
    ),
    Rule(
        "cost/gateways-limited",
        "Gateways bound requests, and know whose they are",
        "high",
        (*_use, *fw.atlas("AML.M0004")),
        "Without a bound one caller uses up everybody's tokens",
        "State limits.max_body_bytes, limits.request_timeout_s and callers in the configuration",
        _gateways_limited,
    ),
)
