"""Reliability of what serves in a cluster: as many and as spread as stated, started again, measured, ended in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.lookups.serving import scaled
from isthmus.contracts.platform.model.pools import HOST_LABEL, ZONE_LABEL
from isthmus.graph.resources.resources import place
from policies.inputs.declared import class_of, endpoint, released
from policies.inputs.pods import Pod, not_known, of_box, pods
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_KINDS = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet", ":LeaderWorkerSet")
_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
_GRACE = 30
"""Kubernetes' own, where a pod says none; the deadline of a rollout below, too."""
_DEADLINE = 600
_SLEEPS = re.compile(r"\bsleep (\d+)")


def served(subject: Subject) -> Iterator[Pod]:
    """Pods that go on for as long as nobody ends them."""
    for pod in pods(subject.graph):
        if pod.resource.type.endswith(_KINDS):
            yield pod


def _boxes(pod: Pod) -> list[Mapping[str, Any]]:
    """Containers that go on beside the others; of those that come first, the ones that are started again."""
    first = [each for each in pod.spec.get("initContainers") or [] if at(each, "restartPolicy") == "Always"]
    every = [*first, *(pod.spec.get("containers") or [])]
    return [each for each in every if isinstance(each, Mapping)]


def _as_many(subject: Subject) -> Iterator[Broken]:
    told: set[str] = set()
    for pod in served(subject):
        said, least, name = at(pod.resource.inputs, "spec.replicas"), _least(subject, pod), pod.resource.name
        if pod.resource.urn in told:
            continue
        told.add(pod.resource.urn)
        if unknown(said):
            yield Broken(f"how many of {name} there are is not known yet", pod.resource, "undecided")
            continue
        count = 1 if said is None else said
        if count < least:
            of = "1 replica" if count == 1 else f"{count:g} replicas"
            yield Broken(f"{name} has {of}, and {least} are stated", pod.resource)


def _least(subject: Subject, pod: Pod) -> int:
    """The fewest replicas that a workload may have: as stated, else one; none only where its scaling says so."""
    platform, one = subject.platform, endpoint(subject, pod.labels)
    if platform is None or not pod.role:
        return 0 if platform is None and not pod.role else 1
    if one is not None:
        scaling = scaled(platform).get(one.id)
        return scaling.min_replicas if scaling is not None else one.replicas
    class_ = class_of(subject.graph, pod)
    mine = [each for each in platform.gateways if each.class_ == class_ and each.runs_on == "kubernetes"]
    if pod.role == "reviews":
        return min([each.reviews.replicas for each in mine if each.reviews is not None], default=1)
    return min([each.replicas for each in mine], default=1) if pod.role in ("gateway", "translator") else 1


def apart(subject: Subject) -> Iterator[tuple[Pod, tuple[str, ...]]]:
    """Several replicas, and the node labels over one of which what is stated of them keeps them apart."""
    for pod in served(subject):
        count = at(pod.resource.inputs, "spec.replicas")
        if not isinstance(count, int | float) or count < 2:
            continue
        if wanted := _places(subject, pod):
            yield pod, wanted


def _places(subject: Subject, pod: Pod) -> tuple[str, ...]:
    """Labels of which a pod's replicas are spread over one by force; empty where nothing asks for it."""
    platform, one = subject.platform, endpoint(subject, pod.labels)
    if pod.role in ("gateway", "translator", "resolver", "reviews"):
        if platform is None:
            return (ZONE_LABEL,)
        class_ = class_of(subject.graph, pod)
        known = {site.name for site in platform.sites}
        sites = [each.site for each in platform.gateways if each.class_ == class_ and each.site in known]
        # In different zones they are on different machines and in different racks, too.
        return tuple(dict.fromkeys([*(failure_domain_label(platform, site) for site in sites), ZONE_LABEL]))
    if one is None or one.survive not in ("node", "domain"):
        return ()
    if one.survive == "node" or platform is None:
        return (HOST_LABEL,) if one.survive == "node" else (ZONE_LABEL,)
    return (failure_domain_label(platform, one.site),)


def _spread(subject: Subject) -> Iterator[Broken]:
    for pod, wanted in apart(subject):
        if unknown(pod.spec.get("topologySpreadConstraints")):
            yield Broken(f"how {pod.resource.name} is spread is not known yet", pod.resource, "undecided")
            continue
        if not any(_forced(pod, key) or (key != HOST_LABEL and _led(pod, key)) for key in wanted):
            what = {ZONE_LABEL: "zone", HOST_LABEL: "machine"}.get(wanted[0], "failure domain")
            yield Broken(f"every replica of {pod.resource.name} may stand in one {what}", pod.resource)


def _follows(pod: Pod) -> bool:
    """Whether these are a group's workers."""
    return at(pod.resource.inputs, "spec.leaderWorkerTemplate.workerTemplate.spec") is pod.spec


def _led(pod: Pod, key: str) -> bool:
    """Whether these are workers that stand where their leader does, by force."""
    near = at(pod.spec, "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution") or []
    return _follows(pod) and any(at(one, "topologyKey") == key for one in near)


def _forced(pod: Pod, key: str) -> bool:
    """Whether replicas are kept apart by force, by a spread or by what repels them."""
    for one in pod.spec.get("topologySpreadConstraints") or []:
        # `DoNotSchedule` is what Kubernetes takes where nothing is said.
        if at(one, "topologyKey") == key and at(one, "whenUnsatisfiable") in (None, "DoNotSchedule"):
            return True
    apart = at(pod.spec, "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution") or []
    # What repels the other pods of a group of its own says nothing of other groups.
    return any(at(one, "topologyKey") == key and not at(one, "matchLabelKeys") for one in apart)


def answering(pod: Pod) -> list[Mapping[str, Any]]:
    """Containers that somebody asks something, by their ports or probes."""
    keys = ("ports", "readinessProbe", "startupProbe")
    return [box for box in _boxes(pod) if any(box.get(key) for key in keys)]


def _restarted(subject: Subject) -> Iterator[Broken]:
    for pod in served(subject):
        for box in answering(pod):
            if not box.get("livenessProbe") and not _watched(pod, box):
                yield of_box(pod, box, "stays when it hangs: it has no liveness probe")


def _watched(pod: Pod, box: Mapping[str, Any]) -> bool:
    """Whether another container of the pod answers for this one: it asks it, and is itself asked at its port."""
    ports = {at(each, "containerPort") for each in box.get("ports") or []}
    asked = [at(other, "livenessProbe.httpGet.port") for other in _boxes(pod) if other is not box]
    return any(each in ports for each in asked if each is not None)


def _in_order(subject: Subject) -> Iterator[Broken]:
    for pod in served(subject):
        grace = pod.spec.get("terminationGracePeriodSeconds")
        if unknown(grace):
            yield Broken(
                f"how long {pod.resource.name} may take to end is not known yet", pod.resource, "undecided"
            )
            continue
        given = _GRACE if grace is None else grace
        for box in _boxes(pod):
            needs = _to_end(box)
            if needs is None:
                yield not_known(pod, box, "how long it may take to end")
            elif given < needs:
                said = f"is killed after {given:g} s, and needs {needs:g} to finish what it is answering"
                yield of_box(pod, box, said, f"terminationGracePeriodSeconds: {needs:g}")
        if given < 1:
            yield Broken(f"pods of {pod.resource.name} are killed without a moment to end", pod.resource)


def _to_end(box: Mapping[str, Any]) -> float | None:
    """Seconds from when a container is told to end: what it waits first, and what its program finishes then. None
    where that is not known. Of a hook's command, what it sleeps is counted."""
    waits, command = (at(box, f"lifecycle.preStop.{each}") for each in ("sleep.seconds", "exec.command"))
    words = command if isinstance(command, list) else [command]
    args = box.get("args") or []
    if any(map(unknown, (waits, *words, args))):
        return None
    slept = _SLEEPS.search(" ".join(map(str, words)))
    needs = float(waits) if isinstance(waits, int | float) else float(slept[1]) if slept else 0.0
    for word in args:
        flag, _, value = str(word).partition("=")
        if flag == "--shutdown-timeout" and "--headless" not in args:
            if unknown(value):
                return None
            needs += int(value) if value.isdigit() else 0  # what answers nobody has nothing to finish
    return needs


def starting(subject: Subject) -> Iterator[tuple[Pod, Any, float]]:
    """Deployments' pods: when their rollout is called failed, and seconds they may take to start; 0: nobody says."""
    for pod in served(subject):
        if not pod.resource.type.endswith(_DEPLOYMENT):
            continue
        one = endpoint(subject, pod.labels)
        stated = one.load_timeout_s if one is not None and released(one) else None
        # What the platform says that loading takes; else what the probe lets it take.
        needs = stated if stated is not None else max(map(_to_start, _boxes(pod)), default=0.0)
        yield pod, at(pod.resource.inputs, "spec.progressDeadlineSeconds"), needs


def _patient(subject: Subject) -> Iterator[Broken]:
    for pod, deadline, needs in starting(subject):
        if unknown(deadline):
            yield Broken(
                f"when {pod.resource.name} is called failed is not known yet", pod.resource, "undecided"
            )
        elif (_DEADLINE if deadline is None else deadline) < needs:
            said = (
                f"{pod.resource.name} may take {needs:g} s to start, and its rollout is called failed before"
            )
            yield Broken(said, pod.resource, patch=f"progressDeadlineSeconds: {needs:g}")


def _to_start(box: Mapping[str, Any]) -> float:
    """Seconds that a container is given to start, by its own probe."""
    probe = box.get("startupProbe")
    if not isinstance(probe, Mapping):
        return 0.0
    waits = (
        probe.get("initialDelaySeconds", 0),
        probe.get("periodSeconds", 10),
        probe.get("failureThreshold", 3),
    )
    if not all(isinstance(each, int | float) for each in waits):
        return 0.0
    return float(waits[0] + waits[1] * waits[2])


def to_measure(subject: Subject) -> list[Pod]:
    """Pods whose figures the platform collects."""
    if subject.platform is None or not subject.platform.monitoring.pod_monitors:
        return []
    return [pod for pod in served(subject) if pod.role and not _follows(pod)]


def _measured(subject: Subject) -> Iterator[Broken]:
    monitors: dict[str, list[Mapping[str, Any]]] = {}
    for each in subject.graph.of(":PodMonitor", ":ServiceMonitor"):
        chosen = at(each.inputs, "spec.selector")
        monitors.setdefault(place(each)[1], []).append(chosen if isinstance(chosen, Mapping) else {})
    for pod in to_measure(subject):
        if not any(_selects(chosen, pod) for chosen in monitors.get(pod.namespace, [])):
            yield Broken(f"nobody collects the figures of {pod.resource.name}", pod.resource)


def _selects(chosen: Mapping[str, Any], pod: Pod) -> bool:
    labels = chosen.get("matchLabels") or {}
    # Labels that a controller adds stand in no template.
    return all(
        pod.labels.get(key, value) == value for key, value in labels.items() if key in pod.labels
    ) and any(key in pod.labels for key in labels)


def _ways_back(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(_DEPLOYMENT):
        kept = at(each.inputs, "spec.revisionHistoryLimit")
        if unknown(kept):
            yield Broken(f"how many revisions {each.name} keeps is not known yet", each, "undecided")
        elif kept is not None and kept < 1:
            yield Broken(
                f"{each.name} keeps no revision to go back to", each, patch="revisionHistoryLimit: 3"
            )


RULES = (
    Rule(
        "reliability/as-many-as-stated",
        "What serves has as many replicas as the platform states",
        "medium",
        (*fw.nist("SC-5", "CP-2(2)"), *fw.iso_27001("A.8.6", "A.8.14"), *fw.dora("Art. 7(c)")),
        "The load that was planned for the others falls on those that are left",
        "Set replicas to the platform's; scale by load with a `scaling` of the platform's",
        _as_many,
        _KINDS,
    ),
    Rule(
        "reliability/spread-by-force",
        "Replicas are kept apart by force where the platform is to outlive a machine or a zone",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "What is spread where it is easy stands in one place on the day that it matters",
        "Set whenUnsatisfiable: DoNotSchedule over the zone, or the machine, that must be outlived",
        _spread,
        _KINDS,
    ),
    Rule(
        "reliability/hung-restarted",
        "What hangs is started again",
        "medium",
        (*fw.nist("CP-10", "SC-5"), *fw.dora("Art. 9(2)")),
        "A server that hangs takes its share of the requests, and answers none",
        "Add a livenessProbe",
        _restarted,
        _KINDS,
    ),
    Rule(
        "reliability/ends-in-order",
        "What ends finishes what it is answering",
        "medium",
        fw.dora("Art. 9(2)"),
        "Every rollout and every drain would cut answers off",
        "Set terminationGracePeriodSeconds to what preStop and the server's own shutdown take together",
        _in_order,
        _KINDS,
    ),
    Rule(
        "reliability/rollouts-wait",
        "A rollout waits as long as what it starts may take",
        "medium",
        (*fw.nist("CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A release that only loads its weights is called failed, and the next one is tried on top of it",
        "Set progressDeadlineSeconds above the stated load_timeout_s, or the startup probe's own time",
        _patient,
        (_DEPLOYMENT,),
    ),
    Rule(
        "reliability/measured",
        "What serves is measured, where the platform collects figures",
        "medium",
        (*fw.nist("SC-5(3)"), *fw.iso_27001("A.8.6", "A.8.16"), *fw.dora("Art. 9(1)")),
        "Nobody sees that a model is slow, or that it fails, before its callers do",
        "Add a PodMonitor that selects its pods",
        _measured,
        (*_KINDS, ":PodMonitor"),
    ),
    Rule(
        "release/way-back",
        "Deployments keep a revision to go back to",
        "medium",
        (*fw.nist("CM-2(3)"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A bad release is undone by making another one, while its class is down",
        "Set revisionHistoryLimit to 1 at least",
        _ways_back,
        (_DEPLOYMENT,),
    ),
)
