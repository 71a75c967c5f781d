"""Rule for evaluation jobs: they run alone, ask their class's gateway only, and read what the platform states."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.lookups.evaluator import (
    SETTINGS_FILE,
    SETTINGS_FOLDER,
    STATE_FOLDER,
    stated_claims,
    stated_secrets,
)
from isthmus.contracts.platform.model.evaluator import EvaluationJob, GatewayEvaluator
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.reference.admission import class_namespace, evaluator_namespace
from isthmus.evaluation.jobs import job_settings
from isthmus.graph.network.reachability import CLASS, NAMESPACE, POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.workloads.servers import ROLE
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.isolation import IN_NAMESPACE, intruders, isolated_resources, peers, pods_with_role
from policies.inputs.neighbours import secrets_of_pod
from policies.inputs.own_workloads import EVALUATOR
from policies.inputs.pods import POD_KINDS, Pod
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_Job = tuple[Gateway, GatewayEvaluator, EvaluationJob]
_Stated = dict[str, list[_Job]]
"""What the platform states of a class's jobs, by their workload: one at each site where it is evaluated."""
_TMP = "/tmp"  # noqa: S108


def _stated(platform: Platform, sensitivity: str) -> _Stated:
    stated: _Stated = {}
    for gateway in platform.gateways:
        if gateway.class_ == sensitivity and gateway.evaluator is not None:
            for job in gateway.evaluator.jobs:
                stated.setdefault(job.name, []).append((gateway, gateway.evaluator, job))
    return stated


def _check(subject: Subject) -> Iterator[Violation]:
    yield from intruders(subject, EVALUATOR, "the evaluation jobs", "their")
    platform = subject.platform
    if platform is None:
        return
    sensitivities = namespace_sensitivities(subject.graph)
    for pod in pods_with_role(subject, EVALUATOR):
        yield from _check_pod(subject, pod, _stated(platform, sensitivities.get(pod.namespace, "")))
    for resource in subject.graph.of(_CONFIG_MAP, POLICY):
        namespace = name_and_namespace(resource)[1]
        sensitivity = sensitivities.get(namespace, "")
        if not sensitivity or namespace != evaluator_namespace(sensitivity):
            continue
        if resource.type == POLICY:
            yield from _check_network(resource, namespace, sensitivity)
        else:
            yield from _check_settings(platform, resource, _stated(platform, sensitivity))


def _check_pod(subject: Subject, pod: Pod, stated: _Stated) -> Iterator[Violation]:
    """A job is stated, and mounts only its own settings, Secrets and claims, in their folders."""
    name, _ = name_and_namespace(pod.resource)
    if name not in stated or not pod.resource.type.endswith(":CronJob"):
        yield Violation(
            f"{pod.resource.name} evaluates models, and the platform states no evaluation job {name}",
            pod.resource,
        )
        return
    # A pod does not say its site: it must fit the job of one.
    yield from min(([*_check_files(subject, pod, job)] for job in stated[name]), key=len)


def _check_files(subject: Subject, pod: Pod, stated: _Job) -> Iterator[Violation]:
    gateway, evaluator, job = stated
    secrets, claims = stated_secrets(gateway.class_, evaluator, job), stated_claims(job)
    for secret in sorted({*secrets_of_pod(pod.spec)} - {*secrets}):
        yield _unstated(pod, "the Secret", secret)
    folders: dict[Any, set[str]] = {}
    for volume in list_or_empty(pod.spec.get("volumes")):
        name, secret = at(volume, "name"), at(volume, "secret.secretName")
        claim, settings = at(volume, "persistentVolumeClaim.claimName"), at(volume, "configMap.name")
        if secret is not None:
            folders[name] = secrets.get(secret, set())
        elif claim is not None:
            folders[name] = {claims[claim]} if claim in claims else set()
            yield from _check_claim(pod, claims, claim, at(volume, "persistentVolumeClaim.readOnly"))
        elif settings is not None:
            folders[name] = {SETTINGS_FOLDER}
            if settings not in _settings_of(subject, pod.namespace, job.name):
                yield _unstated(pod, "the ConfigMap", settings)
        else:
            folders[name] = {_TMP}
    yield from _check_mounts(pod, folders)


def _check_claim(pod: Pod, claims: Mapping[str, str], claim: Any, read_only: Any) -> Iterator[Violation]:
    if claim not in claims:
        yield _unstated(pod, "the claim", claim)
    elif claims[claim] != STATE_FOLDER and read_only is not True:
        yield Violation(f"{pod.resource.name} could write its cases in the claim {claim}", pod.resource)


def _check_mounts(pod: Pod, folders: Mapping[Any, set[str]]) -> Iterator[Violation]:
    """Each volume is mounted whole, and where the job reads it. `folders`: by the volume's name."""
    for container in (
        *list_or_empty(pod.spec.get("containers")),
        *list_or_empty(pod.spec.get("initContainers")),
    ):
        for mount in list_or_empty(at(container, "volumeMounts")):
            volume, path = at(mount, "name"), at(mount, "mountPath")
            inside = at(mount, "subPath") or at(mount, "subPathExpr")
            if is_unknown(path) or is_unknown(inside) or is_unknown(volume):
                yield Violation(
                    f"where {pod.resource.name} mounts its volumes is not known yet",
                    pod.resource,
                    "undecided",
                )
            elif inside or path not in folders.get(volume, set()):
                yield Violation(
                    f"{pod.resource.name} mounts its volume {volume} at {path}, where the job does not read it",
                    pod.resource,
                )


def _settings_of(subject: Subject, namespace: str, workload: str) -> set[str]:
    """Names of the ConfigMaps with settings of a workload's job."""
    names: set[str] = set()
    for resource in subject.graph.of(_CONFIG_MAP):
        name, of = name_and_namespace(resource)
        if of == namespace and _settings(resource).get("workload") == workload:
            names.add(name)
    return names


def _settings(resource: Resource) -> Mapping[str, Any]:
    """The settings in a ConfigMap; empty where it has none."""
    data = at(resource.inputs, "data")
    text = data.get(SETTINGS_FILE) if isinstance(data, Mapping) else None
    try:
        settings = json.loads(str(text))
    except ValueError:
        return {}
    return settings if isinstance(settings, Mapping) else {}


def _unstated(pod: Pod, kind: str, name: Any) -> Violation:
    if is_unknown(name):
        return Violation(
            f"which Secrets, claims and ConfigMaps {pod.resource.name} mounts is not known yet",
            pod.resource,
            "undecided",
        )
    return Violation(
        f"{pod.resource.name} mounts {kind} {name}, which the platform does not state for it", pod.resource
    )


def _check_settings(platform: Platform, resource: Resource, stated: _Stated) -> Iterator[Violation]:
    """What a job asks, takes and signs is what the platform states."""
    text = at(resource.inputs, "data")
    text = text.get(SETTINGS_FILE) if isinstance(text, Mapping) else text
    if is_unknown(text):
        yield Violation(f"the settings in {resource.name} are not known yet", resource, "undecided")
        return
    settings = _settings(resource)
    jobs = stated.get(str(settings.get("workload")), [])
    if not jobs:
        yield Violation(
            f"{resource.name} has settings of an evaluation job that the platform does not state", resource
        )
        return
    job = next((job for job in jobs if job[0].site == settings.get("site")), jobs[0])
    expected = job_settings(platform, *job)
    keys = sorted(
        key for key in {*settings, *expected} if _plain(settings.get(key)) != _plain(expected.get(key))
    )
    if keys:
        yield Violation(
            f"{resource.name} sets {', '.join(map(str, keys))} of an evaluation job otherwise than the platform",
            resource,
        )


def _plain(value: Any) -> str:
    """A value as JSON has it: the engine and the platform may hold lists and tuples, 1 and 1.0."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)


def _check_network(policy: Resource, namespace: str, sensitivity: str) -> Iterator[Violation]:
    """Jobs reach the gateway of their class, and nobody reaches them."""
    gateway = {
        "namespaceSelector": {"matchLabels": {NAMESPACE: class_namespace(sensitivity)}},
        "podSelector": {"matchLabels": {ROLE: "gateway", CLASS: sensitivity}},
    }
    for peer in peers(policy, "egress", "to"):
        if is_unknown(peer):
            yield Violation(f"whom {policy.name} lets {namespace} call is not known yet", policy, "undecided")
        elif peer != gateway:
            yield Violation(
                f"{policy.name} lets {namespace} reach {_shown(peer)}, which is not the gateway of class {sensitivity}",
                policy,
            )
    for peer in peers(policy, "ingress", "from"):
        if is_unknown(peer):
            yield Violation(
                f"who may call {namespace} by {policy.name} is not known yet", policy, "undecided"
            )
        else:
            yield Violation(
                f"{policy.name} lets {_shown(peer)} call {namespace}, where nothing listens", policy
            )


def _shown(peer: Any) -> str:
    if peer is None:
        return "everybody"
    block, labels = at(peer, "ipBlock.cidr"), at(peer, "namespaceSelector.matchLabels")
    space = labels.get(NAMESPACE) if isinstance(labels, Mapping) else None
    return str(block or (f"pods of namespace {space}" if space else "pods of the cluster"))


def _scope(subject: Subject) -> Iterator[Resource]:
    yield from isolated_resources(subject, EVALUATOR)
    namespaces = {evaluator_namespace(class_) for class_ in namespace_sensitivities(subject.graph).values()}
    yield from (
        resource
        for resource in subject.graph.of(_CONFIG_MAP)
        if name_and_namespace(resource)[1] in namespaces
    )


RULES = (
    Rule(
        "release/evaluations-apart",
        "Evaluation jobs run alone, and reach their class's gateway, cases and keys only",
        "high",
        (*fw.nist("AC-4", "AC-6", "CM-3", "SC-7"), *fw.iso_27001("A.8.3", "A.8.29")),
        "A job reads test cases of its class, and its signature lets a model answer people",
        "Run it alone in its namespace without RBAC roles, with settings, Secrets, claims and egress of the platform",
        _check,
        (*POD_KINDS, *IN_NAMESPACE, POLICY, _CONFIG_MAP),
        applies_to=_scope,
    ),
)
