"""Cost of capacity: what is asked for fits what there is, and every class's part of it has an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from isthmus.graph.resources import Resource, place
from policies import frameworks as fw
from policies.pods import KINDS, Pod, pods
from policies.rule import Broken, Rule, Subject
from policies.stated import spaces
from policies.values import at, unknown

_NAMESPACE = "kubernetes:core/v1:Namespace"
_QUEUES = (":ClusterQueue",)
_SCALERS = (":HorizontalPodAutoscaler", ":ScaledObject")
_GPU = "nvidia.com/gpu"


def _quotas(subject: Subject) -> dict[str, Mapping[str, Any]]:
    """What each namespace's quotas bound, by namespace; the smallest where several bound one thing."""
    found: dict[str, dict[str, Any]] = {}
    for each in subject.graph.of(":ResourceQuota"):
        hard = at(each.inputs, "spec.hard")
        mine = found.setdefault(place(each)[1], {})
        for key, value in hard.items() if isinstance(hard, Mapping) else ():
            one, other = number(mine.get(key)), number(value)
            if key not in mine or (one is not None and other is not None and other < one):
                mine[key] = value
    return dict(found)


def number(value: Any) -> Fraction | None:
    """A count, written as a number or as text; None where it is none."""
    try:
        return None if isinstance(value, bool) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None


def _gpus_bounded(subject: Subject) -> Iterator[Broken]:
    """Whole GPUs are bounded in every class's namespace of a cluster that has some, whoever asks for them today."""
    gpus = [
        queue for queue in subject.graph.of(*_QUEUES) if _GPU in str(at(queue.inputs, "spec.resourceGroups"))
    ]
    if not gpus and not any(asked(pod) for pod in pods(subject.graph)):
        return
    quotas = _quotas(subject)
    for space in subject.graph.of(_NAMESPACE):
        name = place(space)[0]
        if not spaces(subject.graph).get(name):
            continue
        hard = quotas.get(name, {})
        kinds = {kind for pod in pods(subject.graph) if pod.namespace == name for kind in asked(pod)}
        for kind in sorted(kinds | {_GPU}):
            if f"requests.{kind}" not in hard:
                yield Broken(f"no quota bounds how many {kind} the pods of {name} take", space)


def asked(pod: Pod) -> dict[str, Fraction]:
    """GPUs of a pod, whole ones and slices, by what they are asked for by."""
    found: dict[str, Fraction] = {}
    for box in pod.boxes:
        limits = at(box, "resources.limits")
        for key, value in limits.items() if isinstance(limits, Mapping) else ():
            if str(key).startswith(("nvidia.com/", "amd.com/gpu")):
                found[key] = found.get(key, Fraction(0)) + (number(value) or 0)
    return found


def _fits(subject: Subject) -> Iterator[Broken]:
    quotas = _quotas(subject)
    most = _most(subject)
    wanted: dict[tuple[str, str], Fraction] = {}
    who: dict[tuple[str, str], list[tuple[Fraction, Resource]]] = {}
    for pod in pods(subject.graph):
        count = _copies(pod, most)
        if count is None:
            yield Broken(
                f"how many of {pod.resource.name} there are is not known yet", pod.resource, "undecided"
            )
            continue
        for kind, each in {**asked(pod), "pods": Fraction(1)}.items():
            key = (pod.namespace, kind if kind == "pods" else f"requests.{kind}")
            wanted[key] = wanted.get(key, Fraction(0)) + count * each
            who.setdefault(key, []).append((count * each, pod.resource))
    for (space, key), total in sorted(wanted.items()):
        bound = number(quotas.get(space, {}).get(key))
        if bound is not None and total > bound:
            largest = max(who[space, key], key=lambda each: (each[0], each[1].urn))[1]
            what = key.removeprefix("requests.")
            said = (
                f"workloads of {space} take up to {float(total):g} {what}, and its quota is {float(bound):g}"
            )
            yield Broken(f"{said}; most of it is {largest.name}'s", largest)


def _most(subject: Subject) -> dict[tuple[str, str], Any]:
    """To how many replicas each workload may be scaled, by namespace and name."""
    found: dict[tuple[str, str], Any] = {}
    for each in subject.graph.of(*_SCALERS):
        target = at(each.inputs, "spec.scaleTargetRef.name")
        key = "spec.maxReplicas" if each.type.endswith(_SCALERS[0]) else "spec.maxReplicaCount"
        found[place(each)[1], str(target)] = at(each.inputs, key)
    return found


def _copies(pod: Pod, most: Mapping[tuple[str, str], Any]) -> Fraction | None:
    """How many of a pod there are at most; None where that is not known."""
    inputs, (name, space) = pod.resource.inputs, place(pod.resource)
    if pod.resource.type.endswith((":Deployment", ":StatefulSet", ":ReplicaSet", ":LeaderWorkerSet")):
        stated = at(inputs, "spec.replicas")
        scaled = most.get((space, name))
        if unknown(stated) or unknown(scaled):
            return None
        count = max(number(1 if stated is None else stated) or Fraction(0), number(scaled) or Fraction(0))
        return count * _of_group(pod)
    parallel = at(inputs, "spec.parallelism") or at(inputs, "spec.jobTemplate.spec.parallelism")
    return None if unknown(parallel) else number(parallel or 1)


def _of_group(pod: Pod) -> Fraction:
    """Pods of a template in a group: one leads, all others follow."""
    group = at(pod.resource.inputs, "spec.leaderWorkerTemplate")
    if not isinstance(group, Mapping):
        return Fraction(1)
    size = number(group.get("size")) or Fraction(1)
    if at(group, "workerTemplate.spec") is pod.spec:
        return size - 1 if group.get("leaderTemplate") else size
    return Fraction(1)


def _queues_fit(subject: Subject) -> Iterator[Broken]:
    """Of what the queues of a pool admit at most together, cohorts and what they keep for all among it."""
    platform = subject.platform
    if platform is None:
        return
    held = {pool.name: pool.nodes * pool.gpus_per_node for pool in platform.pools}
    given: dict[str, list[tuple[Fraction, Resource]]] = {}
    for queue in subject.graph.of(*_QUEUES, ":Cohort"):
        for group in at(queue.inputs, "spec.resourceGroups") or []:
            for flavor in at(group, "flavors") or []:
                for one in at(flavor, "resources") or []:
                    if at(one, "name") != _GPU:
                        continue
                    count = number(at(one, "nominalQuota"))
                    if count is None:
                        yield Broken(
                            f"how many GPUs {queue.name} admits is not known yet", queue, "undecided"
                        )
                        continue
                    given.setdefault(str(at(flavor, "name")), []).append((count, queue))
    for pool, parts in sorted(given.items()):
        total, largest = (
            sum(count for count, _ in parts),
            max(parts, key=lambda each: (each[0], each[1].urn))[1],
        )
        if pool in held and total > held[pool]:
            said = f"queues admit work for {float(total):g} GPUs of pool {pool}, which has {held[pool]}"
            yield Broken(said, largest)


_use = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/gpu-quota",
        "Every class's namespace has a quota of GPUs",
        "medium",
        (*_use, *fw.nist("SC-6")),
        "A queue holds what asks it; a pod that asks none takes what the quota leaves it",
        "Add requests.nvidia.com/gpu to the namespace's quota, 0 where it has none",
        _gpus_bounded,
        (_NAMESPACE, ":ResourceQuota"),
    ),
    Rule(
        "cost/fits-quota",
        "What a namespace's workloads grow to fits its quota",
        "medium",
        (*_use, *fw.nist("SC-5(2)", "CP-2(2)")),
        "What does not fit is never started, and a scaler that asks for it hides what is missing",
        "Lower the replicas, or the scaler's most; what the platform means to have, state it there",
        _fits,
        (*KINDS, *_SCALERS),
    ),
    Rule(
        "cost/queues-fit-pools",
        "Queues admit no more work than their pool has GPUs for",
        "medium",
        (*_use, *fw.nist("SC-6", "CP-2(2)")),
        "What is admitted and finds no GPU waits past the queue, in no order and with no priority",
        "Lower nominalQuota to the GPUs of the pool",
        _queues_fit,
        _QUEUES,
    ),
)
