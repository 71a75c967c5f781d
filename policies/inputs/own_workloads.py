"""Which pods in a class's namespace are the class's own: gateways, model servers and their parts, by exact identity."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.contracts.platform.lookups.usage import ledger_of
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources.resources import name_and_namespace
from isthmus.graph.workloads.servers import ENDPOINT
from policies.inputs.class_scope import class_above_public
from policies.inputs.pods import Pod, pods
from policies.inputs.values import is_unknown
from policies.rules.rule import Subject

_DEPLOYMENT, _CRON_JOB = "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:CronJob"
EVALUATOR = "evaluator"
"""Role of evaluation jobs. A job has the name of its workload."""
_GATEWAY_ROLES = ("gateway", "translator", "resolver")
_PARTS = {
    _DEPLOYMENT: r"",
    "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet": r"-group",
    "kubernetes:apps/v1:DaemonSet": r"-fetch",
    "kubernetes:batch/v1:Job": r"-fetch-[0-9a-f]{10}",
}
"""Type → ending of the names of an endpoint's parts: its server, and what fetches its weights."""


def is_stated_workload(platform: Platform, pod: Pod, class_: str) -> bool:
    """Whether a pod belongs to a gateway or an endpoint that the platform states for this class."""
    name, _ = name_and_namespace(pod.resource)
    if pod.resource.type == _DEPLOYMENT and (class_, name) in _stated_names(platform):
        return True
    if pod.resource.type == _CRON_JOB and pod.role == EVALUATOR and (class_, name) in _stated_jobs(platform):
        return True
    return any(
        endpoint.class_ == class_ and _is_part(pod, name, endpoint.id) for endpoint in platform.endpoints
    )


def _stated_jobs(platform: Platform) -> set[tuple[str, str]]:
    """Class and name of every evaluation job."""
    return {
        (gateway.class_, job.name)
        for gateway in platform.gateways
        if gateway.evaluator is not None
        for job in gateway.evaluator.jobs
    }


def _stated_names(platform: Platform) -> set[tuple[str, str]]:
    """Class and name of every Deployment of a gateway."""
    names: set[tuple[str, str]] = set()
    for gateway in platform.gateways:
        roles = [*_GATEWAY_ROLES]
        roles += ["sealer"] if gateway.audit else []
        roles += ["reviews"] if gateway.reviews else []
        roles += ["reviews-sign-on"] if gateway.desk else []
        roles += ["notifier"] if gateway.notifier else []
        roles += ["loader"] if ledger_of(gateway) else []
        roles += ["chat", "sign-on"] if gateway.chat else []
        names |= {(gateway.class_, f"{gateway.class_}-{role}") for role in roles}
    return names


def _is_part(pod: Pod, name: str, endpoint: str) -> bool:
    ending = _PARTS.get(pod.resource.type)
    return ending is not None and re.fullmatch(re.escape(endpoint) + ending, name) is not None


def _bears_its_own_name(pod: Pod) -> bool:
    """Whether a pod's labels name the object that contains it. Without a platform, nothing else tells."""
    name, _ = name_and_namespace(pod.resource)
    if pod.labels.get(ENDPOINT):
        return _is_part(pod, name, str(pod.labels[ENDPOINT]))
    if pod.role == EVALUATOR:
        return pod.resource.type == _CRON_JOB
    return bool(pod.role) and pod.resource.type == _DEPLOYMENT and name.endswith(f"-{pod.role}")


def pods_in_classes(subject: Subject) -> Iterator[tuple[Pod, str]]:
    """Pods in namespaces of classes above public, with the class."""
    for pod in pods(subject.graph):
        if class_ := class_above_public(subject.graph, pod.namespace):
            yield pod, class_


def is_own(subject: Subject, pod: Pod, class_: str) -> bool:
    """Whether a pod in a class's namespace is one of the class's own."""
    if is_unknown(name_and_namespace(pod.resource)[0]):
        return False
    if subject.platform is not None:
        return is_stated_workload(subject.platform, pod, class_)
    return _bears_its_own_name(pod)
