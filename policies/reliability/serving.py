"""Rules for serving pods: replicas, spread, liveness, graceful end, rollout deadlines, monitoring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.lookups.pools import failure_domain_label
from isthmus.contracts.platform.lookups.serving import scaled_endpoints
from isthmus.contracts.platform.model.pools import HOST_LABEL, ZONE_LABEL
from isthmus.contracts.reference import sign_on_proxy
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.inputs.declared import find_endpoint, has_weights_digest, pod_sensitivity
from policies.inputs.pods import Pod, container_undecided, container_violation, pods
from policies.inputs.selectors import first_of_rows
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_KINDS = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet", ":LeaderWorkerSet")
_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
_GRACE = 30
"""Kubernetes' default grace period in seconds; `_DEADLINE` is its default for rollouts."""
_DEADLINE = 600
_SLEEPS = re.compile(r"\bsleep (\d+)")


def _long_running_pods(subject: Subject) -> Iterator[Pod]:
    """Pods that run until somebody ends them."""
    for pod in pods(subject.graph):
        if pod.resource.type.endswith(_KINDS):
            yield pod


def _long_running_containers(pod: Pod) -> list[Mapping[str, Any]]:
    """Containers that keep running: all main containers, and sidecars among the init containers."""
    first = [
        container
        for container in pod.spec.get("initContainers") or []
        if at(container, "restartPolicy") == "Always"
    ]
    containers = [*first, *(pod.spec.get("containers") or [])]
    return [container for container in containers if isinstance(container, Mapping)]


def _check_replicas_stated(subject: Subject) -> Iterator[Violation]:
    reported: set[str] = set()
    for pod in _long_running_pods(subject):
        replicas, least, name = (
            at(pod.resource.inputs, "spec.replicas"),
            _minimum_replicas(subject, pod),
            pod.resource.name,
        )
        if pod.resource.urn in reported:
            continue
        reported.add(pod.resource.urn)
        if is_unknown(replicas):
            yield Violation(f"the number of replicas of {name} is not known yet", pod.resource, "undecided")
            continue
        count = 1 if replicas is None else replicas
        if count < least:
            count_text = "1 replica" if count == 1 else f"{count:g} replicas"
            yield Violation(f"{name} has {count_text}, but {least} are stated", pod.resource)


def _stated_replicas(subject: Subject) -> Iterator[Resource]:
    """Workloads with a stated number of replicas (platform or role), and workloads whose number is not known."""
    for pod in _long_running_pods(subject):
        if subject.platform or pod.role or is_unknown(at(pod.resource.inputs, "spec.replicas")):
            yield pod.resource


def _minimum_replicas(subject: Subject, pod: Pod) -> int:
    """The minimum replicas of a workload: as stated, otherwise 1. It is 0 only if its scaling allows that."""
    platform, endpoint = subject.platform, find_endpoint(subject, pod.labels)
    if platform is None or not pod.role:
        return 0 if platform is None and not pod.role else 1
    if endpoint is not None:
        scaling = scaled_endpoints(platform).get(endpoint.id)
        return scaling.min_replicas if scaling is not None else endpoint.replicas
    sensitivity = pod_sensitivity(subject.graph, pod)
    gateways = [
        gateway
        for gateway in platform.gateways
        if gateway.class_ == sensitivity and gateway.runs_on == "kubernetes"
    ]
    if pod.role == "reviews":
        return min(
            [gateway.reviews.replicas for gateway in gateways if gateway.reviews is not None], default=1
        )
    if pod.role in sign_on_proxy.ROLES:
        return sign_on_proxy.REPLICAS
    return (
        min([gateway.replicas for gateway in gateways], default=1)
        if pod.role in ("gateway", "translator")
        else 1
    )


def _pods_to_spread(subject: Subject) -> Iterator[tuple[Pod, tuple[str, ...]]]:
    """Pods with several replicas that must be spread, and the node labels of which one must spread them."""
    for pod in _long_running_pods(subject):
        count = at(pod.resource.inputs, "spec.replicas")
        if not isinstance(count, int | float) or count < 2:
            continue
        if labels := _spread_labels(subject, pod):
            yield pod, labels


def _spread_labels(subject: Subject, pod: Pod) -> tuple[str, ...]:
    """Node labels of which one must spread a pod's replicas; empty if nothing requires it."""
    platform, endpoint = subject.platform, find_endpoint(subject, pod.labels)
    if pod.role in ("gateway", "translator", "resolver", "reviews", *sign_on_proxy.ROLES):
        if platform is None:
            return (ZONE_LABEL,)
        sensitivity = pod_sensitivity(subject.graph, pod)
        site_names = {site.name for site in platform.sites}
        sites = [
            gateway.site
            for gateway in platform.gateways
            if gateway.class_ == sensitivity and gateway.site in site_names
        ]
        # Different zones imply different machines and racks.
        return tuple(dict.fromkeys([*(failure_domain_label(platform, site) for site in sites), ZONE_LABEL]))
    if endpoint is None or endpoint.survive not in ("node", "domain"):
        return ()
    if endpoint.survive == "node" or platform is None:
        return (HOST_LABEL,) if endpoint.survive == "node" else (ZONE_LABEL,)
    return (failure_domain_label(platform, endpoint.site),)


def _check_spread_enforced(subject: Subject) -> Iterator[Violation]:
    for pod, labels in _pods_to_spread(subject):
        if is_unknown(pod.spec.get("topologySpreadConstraints")):
            yield Violation(f"the spread of {pod.resource.name} is not known yet", pod.resource, "undecided")
            continue
        if not any(
            _is_forced_apart(pod, key) or (key != HOST_LABEL and _follows_leader(pod, key)) for key in labels
        ):
            place_kind = {ZONE_LABEL: "zone", HOST_LABEL: "machine"}.get(labels[0], "failure domain")
            yield Violation(f"every replica of {pod.resource.name} may run in one {place_kind}", pod.resource)


def _is_group_worker(pod: Pod) -> bool:
    """Whether these pods are workers of a LeaderWorkerSet group."""
    return at(pod.resource.inputs, "spec.leaderWorkerTemplate.workerTemplate.spec") is pod.spec


def _follows_leader(pod: Pod, key: str) -> bool:
    """Whether these are workers that must run where their leader runs."""
    affinity = at(pod.spec, "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution") or []
    return _is_group_worker(pod) and any(at(term, "topologyKey") == key for term in affinity)


def _is_forced_apart(pod: Pod, key: str) -> bool:
    """Whether replicas must run apart, by a topology spread or an anti-affinity."""
    for constraint in pod.spec.get("topologySpreadConstraints") or []:
        # `DoNotSchedule` is Kubernetes' default.
        if at(constraint, "topologyKey") == key and at(constraint, "whenUnsatisfiable") in (
            None,
            "DoNotSchedule",
        ):
            return True
    anti_affinity = (
        at(pod.spec, "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution") or []
    )
    # An anti-affinity within one group does not separate different groups.
    return any(at(term, "topologyKey") == key and not at(term, "matchLabelKeys") for term in anti_affinity)


def _answering_containers(pod: Pod) -> list[Mapping[str, Any]]:
    """Containers that answer requests: they have ports or probes."""
    keys = ("ports", "readinessProbe", "startupProbe")
    return [
        container for container in _long_running_containers(pod) if any(container.get(key) for key in keys)
    ]


def _check_liveness(subject: Subject) -> Iterator[Violation]:
    for pod in _long_running_pods(subject):
        for container in _answering_containers(pod):
            if not container.get("livenessProbe") and not _is_watched(pod, container):
                yield container_violation(
                    pod, container, "has no liveness probe, so it is not restarted when it hangs"
                )


def _answering_workloads(subject: Subject) -> Iterator[Resource]:
    return (pod.resource for pod in _long_running_pods(subject) if _answering_containers(pod))


def _is_watched(pod: Pod, container: Mapping[str, Any]) -> bool:
    """Whether the liveness probe of another container of the pod checks this container's port."""
    ports = {at(port, "containerPort") for port in container.get("ports") or []}
    probed_ports = [
        at(other, "livenessProbe.httpGet.port")
        for other in _long_running_containers(pod)
        if other is not container
    ]
    return any(port in ports for port in probed_ports if port is not None)


def _check_grace_period(subject: Subject) -> Iterator[Violation]:
    for pod in _long_running_pods(subject):
        grace = pod.spec.get("terminationGracePeriodSeconds")
        if is_unknown(grace):
            yield Violation(
                f"the grace period of {pod.resource.name} is not known yet", pod.resource, "undecided"
            )
            continue
        seconds = _GRACE if grace is None else grace
        for container in _long_running_containers(pod):
            needs = _seconds_to_end(container)
            if needs is None:
                yield container_undecided(pod, container, "the time that it needs to end")
            elif seconds < needs:
                problem = f"is killed after {seconds:g} s, but needs {needs:g} s to finish its requests"
                yield container_violation(
                    pod, container, problem, f"terminationGracePeriodSeconds: {needs:g}"
                )
        if seconds < 1:
            yield Violation(f"pods of {pod.resource.name} are killed without a grace period", pod.resource)


def _long_running_workloads(subject: Subject) -> Iterator[Resource]:
    return (pod.resource for pod in _long_running_pods(subject))


def _seconds_to_end(container: Mapping[str, Any]) -> float | None:
    """Seconds that a container needs to end: its preStop hook plus its own shutdown. None if they are not known.

    Of a hook's command only `sleep N` is counted.
    """
    waits, command = (
        at(container, f"lifecycle.preStop.{hook}") for hook in ("sleep.seconds", "exec.command")
    )
    command_words = command if isinstance(command, list) else [command]
    args = container.get("args") or []
    if any(map(is_unknown, (waits, *command_words, args))):
        return None
    slept = _SLEEPS.search(" ".join(map(str, command_words)))
    needs = float(waits) if isinstance(waits, int | float) else float(slept[1]) if slept else 0.0
    for argument in args:
        flag, _, value = str(argument).partition("=")
        if flag == "--shutdown-timeout" and "--headless" not in args:
            if is_unknown(value):
                return None
            needs += int(value) if value.isdigit() else 0  # a headless server has no requests to finish
    return needs


def _starting_deployments(subject: Subject) -> Iterator[tuple[Pod, Any, float]]:
    """Pods of Deployments, their rollout deadline, and the seconds that they may take to start (0: not stated)."""
    for pod in _long_running_pods(subject):
        if not pod.resource.type.endswith(_DEPLOYMENT):
            continue
        endpoint = find_endpoint(subject, pod.labels)
        stated_seconds = (
            endpoint.load_timeout_s if endpoint is not None and has_weights_digest(endpoint) else None
        )
        # The loading time of the platform, otherwise the time that the startup probe allows.
        needs = (
            stated_seconds
            if stated_seconds is not None
            else max(map(_seconds_to_start, _long_running_containers(pod)), default=0.0)
        )
        yield pod, at(pod.resource.inputs, "spec.progressDeadlineSeconds"), needs


def _check_progress_deadline(subject: Subject) -> Iterator[Violation]:
    for pod, deadline, needs in _starting_deployments(subject):
        if is_unknown(deadline):
            yield Violation(
                f"the rollout deadline of {pod.resource.name} is not known yet", pod.resource, "undecided"
            )
        elif (_DEADLINE if deadline is None else deadline) < needs:
            problem = (
                f"{pod.resource.name} may take {needs:g} s to start, but its rollout deadline is shorter"
            )
            yield Violation(problem, pod.resource, patch=f"progressDeadlineSeconds: {needs:g}")


def _deployments_with_start_time(subject: Subject) -> Iterator[Resource]:
    """Deployments with a known time to start, or an unknown deadline."""
    for pod, deadline, needs in _starting_deployments(subject):
        if needs or is_unknown(deadline):
            yield pod.resource


def _seconds_to_start(container: Mapping[str, Any]) -> float:
    """Seconds that the startup probe of a container allows."""
    probe = container.get("startupProbe")
    if not isinstance(probe, Mapping):
        return 0.0
    waits = (
        probe.get("initialDelaySeconds", 0),
        probe.get("periodSeconds", 10),
        probe.get("failureThreshold", 3),
    )
    if not all(isinstance(number, int | float) for number in waits):
        return 0.0
    return float(waits[0] + waits[1] * waits[2])


def _pods_to_measure(subject: Subject) -> list[Pod]:
    """Pods whose metrics the platform collects."""
    if subject.platform is None or not subject.platform.monitoring.pod_monitors:
        return []
    return [pod for pod in _long_running_pods(subject) if pod.role and not _is_group_worker(pod)]


def _check_monitored(subject: Subject) -> Iterator[Violation]:
    monitors: dict[str, list[Mapping[str, Any]]] = {}
    for monitor in subject.graph.of(":PodMonitor", ":ServiceMonitor"):
        selector = at(monitor.inputs, "spec.selector")
        monitors.setdefault(name_and_namespace(monitor)[1], []).append(
            selector if isinstance(selector, Mapping) else {}
        )
    for pod in _pods_to_measure(subject):
        if not any(_selects(selector, pod) for selector in monitors.get(pod.namespace, [])):
            yield Violation(f"no PodMonitor collects the metrics of {pod.resource.name}", pod.resource)


def _measured_workloads(subject: Subject) -> Iterator[Resource]:
    return (pod.resource for pod in _pods_to_measure(subject))


def _selects(selector: Mapping[str, Any], pod: Pod) -> bool:
    labels = selector.get("matchLabels") or {}
    # Labels that a controller adds are in no template.
    return all(
        pod.labels.get(key, value) == value for key, value in labels.items() if key in pod.labels
    ) and any(key in pod.labels for key in labels)


def _check_revisions(subject: Subject) -> Iterator[Violation]:
    for deployment in subject.graph.of(_DEPLOYMENT):
        revisions = at(deployment.inputs, "spec.revisionHistoryLimit")
        if is_unknown(revisions):
            yield Violation(
                f"revisionHistoryLimit of {deployment.name} is not known yet", deployment, "undecided"
            )
        elif revisions is not None and revisions < 1:
            yield Violation(
                f"{deployment.name} keeps no earlier revision to roll back to",
                deployment,
                patch="revisionHistoryLimit: 3",
            )


RULES = (
    Rule(
        "reliability/as-many-as-stated",
        "Workloads have as many replicas as the platform states",
        "medium",
        (*fw.nist("SC-5", "CP-2(2)"), *fw.iso_27001("A.8.6", "A.8.14"), *fw.dora("Art. 7(c)")),
        "The remaining replicas would get the load that was planned for the missing ones",
        "Set replicas to the platform's number; to scale by load, set `scaling` in the platform",
        _check_replicas_stated,
        _KINDS,
        applies_to=_stated_replicas,
    ),
    Rule(
        "reliability/spread-by-force",
        "Replicas must run apart where the platform should survive the loss of a machine or a zone",
        "medium",
        (*fw.nist("SC-36", "CP-2(2)"), *fw.iso_27001("A.8.14"), *fw.dora("Art. 9(2)")),
        "With a soft spread, all replicas may run in the place that fails",
        "Set whenUnsatisfiable: DoNotSchedule for the zone, or the machine, whose loss must be survived",
        _check_spread_enforced,
        _KINDS,
        applies_to=first_of_rows(_pods_to_spread),
    ),
    Rule(
        "reliability/hung-restarted",
        "Hung servers are restarted",
        "medium",
        (*fw.nist("CP-10", "SC-5"), *fw.dora("Art. 9(2)")),
        "A hung server gets its share of the requests and answers none",
        "Add a livenessProbe",
        _check_liveness,
        _KINDS,
        applies_to=_answering_workloads,
    ),
    Rule(
        "reliability/ends-in-order",
        "A pod that stops finishes its requests",
        "medium",
        fw.dora("Art. 9(2)"),
        "Every rollout and every drain would cut off answers",
        "Set terminationGracePeriodSeconds to at least the time of preStop plus the server's own shutdown",
        _check_grace_period,
        _KINDS,
        applies_to=_long_running_workloads,
    ),
    Rule(
        "reliability/rollouts-wait",
        "A rollout waits for as long as its pods may take to start",
        "medium",
        (*fw.nist("CM-3"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A release that is still loading its weights would be reported as failed",
        "Set progressDeadlineSeconds above load_timeout_s of the platform, or above the time of the startup probe",
        _check_progress_deadline,
        (_DEPLOYMENT,),
        applies_to=_deployments_with_start_time,
    ),
    Rule(
        "reliability/measured",
        "Servers are monitored, where the platform collects metrics",
        "medium",
        (*fw.nist("SC-5(3)"), *fw.iso_27001("A.8.6", "A.8.16"), *fw.dora("Art. 9(1)")),
        "Callers would notice a slow or failing model first",
        "Add a PodMonitor that selects the pods",
        _check_monitored,
        (*_KINDS, ":PodMonitor"),
        applies_to=_measured_workloads,
    ),
    Rule(
        "release/way-back",
        "Deployments keep an earlier revision",
        "medium",
        (*fw.nist("CM-2(3)"), *fw.iso_27001("A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "Without one, undoing a bad release needs a new release while the class is down",
        "Set revisionHistoryLimit to at least 1",
        _check_revisions,
        (_DEPLOYMENT,),
    ),
)
