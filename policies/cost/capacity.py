"""Cost of capacity: what is asked for fits what there is, and every class's part of it has an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from isthmus.graph.resources.resources import Resource, place
from policies.inputs.declared import spaces
from policies.inputs.pods import KINDS, Pod, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_NAMESPACE = "kubernetes:core/v1:Namespace"
_QUEUES = (":ClusterQueue",)
_QUOTA = ":ResourceQuota"
_SCALERS = (":HorizontalPodAutoscaler", ":ScaledObject")
_GPU = "nvidia.com/gpu"


def _quotas(subject: Subject) -> dict[str, Mapping[str, Any]]:
    """What each namespace's quotas bound, by namespace; the smallest where several bound one thing."""
    found: dict[str, dict[str, Any]] = {}
    for each in subject.graph.of(_QUOTA):
        hard = at(each.inputs, "spec.hard")
        mine = found.setdefault(place(each)[1], {})
        for key, value in hard.items() if isinstance(hard, Mapping) else ():
            one, other = number(mine.get(key)), number(value)
            if key not in mine or (other is not None and (one is None or other < one)):
                mine[key] = value
    return dict(found)


def number(value: Any) -> Fraction | None:
    """A count, written as a number or as text; None where it is none."""
    try:
        return None if isinstance(value, bool) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None


def class_spaces(subject: Subject) -> list[Resource]:
    """Namespaces of classes."""
    of = spaces(subject.graph)
    return [each for each in subject.graph.of(_NAMESPACE) if of.get(place(each)[0])]


def with_gpus(subject: Subject) -> list[Resource]:
    """Namespaces of classes, of a cluster that has GPUs."""
    gpus = [
        queue for queue in subject.graph.of(*_QUEUES) if _GPU in str(at(queue.inputs, "spec.resourceGroups"))
    ]
    found = gpus or any(asked(pod) for pod in pods(subject.graph))
    return class_spaces(subject) if found else []


def _gpus_bounded(subject: Subject) -> Iterator[Broken]:
    """Whole GPUs are bounded in every class's namespace of a cluster that has some, whoever asks for them today."""
    quotas = _quotas(subject)
    for space in with_gpus(subject):
        name = place(space)[0]
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


def _told(pod: Pod) -> bool:
    """Whether it is known how many GPUs a pod takes."""
    limits = [at(box, "resources.limits") for box in pod.boxes]
    said = [value for each in limits if isinstance(each, Mapping) for value in each.values()]
    return not any(map(unknown, (*limits, *said)))


@dataclass(frozen=True)
class Sum:
    """What is taken together of what has an end, and who answers for it: whoever takes most."""

    of: str
    total: Fraction
    most: Fraction
    largest: Resource
    whole: bool
    """Whether all that takes some of it is known."""

    @property
    def judged(self) -> bool:
        return self.whole or self.total > self.most


def wanted(subject: Subject) -> tuple[list[Resource], dict[tuple[str, str], Sum]]:
    """Workloads of which it is not known what they take, quotas that bound nobody knows what, and what the others of
    each namespace take of what its quotas bound."""
    quotas, hidden, blurred = _quotas(subject), list[Resource](), set[str]()
    most = _most(subject)
    who: dict[tuple[str, str], list[tuple[Fraction, Resource]]] = {}
    for pod in pods(subject.graph):
        count = _copies(pod, most)
        if count is None or not _told(pod):
            hidden.append(pod.resource)
            blurred.add(pod.namespace)
            continue
        for kind, each in {**asked(pod), "pods": Fraction(1)}.items():
            key = (pod.namespace, kind if kind == "pods" else f"requests.{kind}")
            who.setdefault(key, []).append((count * each, pod.resource))
    found: dict[tuple[str, str], Sum] = {}
    for (space, key), parts in sorted(who.items()):
        bound = number(quotas.get(space, {}).get(key))
        if bound is not None:
            found[space, key] = summed(key, parts, bound, whole=space not in blurred)
    return [*hidden, *_unread(subject, who)], found


def _unread(subject: Subject, taken: Iterable[tuple[str, str]]) -> Iterator[Resource]:
    """Quotas of which it is not known, or is no number, how much they give of what workloads take."""
    for each in subject.graph.of(_QUOTA):
        hard, space = at(each.inputs, "spec.hard"), place(each)[1]
        mine = [key for of, key in taken if of == space]
        if (mine and unknown(hard)) or any(key in hard and number(hard[key]) is None for key in mine):
            yield each


def summed(of: str, parts: list[tuple[Fraction, Resource]], most: Fraction, *, whole: bool) -> Sum:
    largest = max(parts, key=lambda each: (each[0], each[1].urn))[1]
    return Sum(of, sum((count for count, _ in parts), Fraction(0)), most, largest, whole)


def _fits(subject: Subject) -> Iterator[Broken]:
    hidden, sums = wanted(subject)
    for each in hidden:
        what = "gives" if each.type.endswith(_QUOTA) else "takes at most"
        yield Broken(f"how much {each.name} {what} is not known, or no plain number", each, "undecided")
    for (space, key), one in sums.items():
        if one.total > one.most:
            what = key.removeprefix("requests.")
            said = f"workloads of {space} take up to {float(one.total):g} {what}, and its quota is {float(one.most):g}"
            yield Broken(f"{said}; most of it is {one.largest.name}'s", one.largest)


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


def admitted(subject: Subject) -> tuple[list[Resource], list[Sum]]:
    """Queues of which it is not known what they admit, and what those of a pool admit at most together.

    Cohorts and what they keep for all are among it."""
    platform = subject.platform
    if platform is None:
        return [], []
    held = {pool.name: pool.nodes * pool.gpus_per_node for pool in platform.pools}
    hidden, blurred = list[Resource](), set[str]()
    given: dict[str, list[tuple[Fraction, Resource]]] = {}
    for queue in subject.graph.of(*_QUEUES, ":Cohort"):
        for group in at(queue.inputs, "spec.resourceGroups") or []:
            for flavor in at(group, "flavors") or []:
                for one in at(flavor, "resources") or []:
                    if at(one, "name") != _GPU:
                        continue
                    count = number(at(one, "nominalQuota"))
                    if count is None:
                        hidden.append(queue)
                        blurred.add(str(at(flavor, "name")))
                        continue
                    given.setdefault(str(at(flavor, "name")), []).append((count, queue))
    return hidden, [
        summed(pool, parts, Fraction(held[pool]), whole=pool not in blurred)
        for pool, parts in sorted(given.items())
        if pool in held
    ]


def _queues_fit(subject: Subject) -> Iterator[Broken]:
    hidden, sums = admitted(subject)
    for queue in hidden:
        yield Broken(f"how many GPUs {queue.name} admits is not known yet", queue, "undecided")
    for one in sums:
        if one.total > one.most:
            said = f"queues admit work for {float(one.total):g} GPUs of pool {one.of}, which has {one.most}"
            yield Broken(said, one.largest)


_use = fw.owasp("LLM06")
RULES = (
    Rule(
        "cost/gpu-quota",
        "Every class's namespace has a quota of GPUs",
        "medium",
        (*_use, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "A queue holds what asks it; a pod that asks none takes what the quota leaves it",
        "Add requests.nvidia.com/gpu to the namespace's quota, 0 where it has none",
        _gpus_bounded,
        (_NAMESPACE, _QUOTA),
    ),
    Rule(
        "cost/fits-quota",
        "What a namespace's workloads grow to fits its quota",
        "medium",
        (*_use, *fw.nist("SC-5(2)"), *fw.iso_27001("A.8.6"), *fw.dora("Art. 7(c)")),
        "What does not fit is never started, and a scaler that asks for it hides what is missing",
        "Lower the replicas, or the scaler's most; what the platform means to have, state it there",
        _fits,
        (*KINDS, *_SCALERS),
    ),
    Rule(
        "cost/queues-fit-pools",
        "Queues admit no more work than their pool has GPUs for",
        "medium",
        (*_use, *fw.nist("SC-6"), *fw.iso_27001("A.8.6")),
        "What is admitted and finds no GPU waits past the queue, in no order and with no priority",
        "Lower nominalQuota to the GPUs of the pool",
        _queues_fit,
        _QUEUES,
    ),
)
