"""Rule for pods that borrow the identity of a class's own pods: labels, account, Secrets, volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.graph.network.reachability import POLICY
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads.servers import ENDPOINT
from policies.inputs.applications import is_application
from policies.inputs.aws_reach import is_of_component
from policies.inputs.own_workloads import is_own, pods_in_classes
from policies.inputs.pods import Pod, is_selected
from policies.inputs.values import at, has_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
_SELECTS = "matchLabels", "matchExpressions"


def _check_identities(subject: Subject) -> Iterator[Violation]:
    own: list[Pod] = []
    foreign: list[tuple[Pod, str]] = []
    for pod, class_ in pods_in_classes(subject):
        if is_own(subject, pod, class_):
            own.append(pod)
        else:
            foreign.append((pod, class_))
    for pod, class_ in foreign:
        yield from _check_foreign(
            subject, pod, class_, [other for other in own if other.namespace == pod.namespace]
        )
    yield from _check_doubled(subject)


def _check_foreign(subject: Subject, pod: Pod, class_: str, own: list[Pod]) -> Iterator[Violation]:
    name, namespace = name_and_namespace(pod.resource)
    for taken in _taken(subject, pod, own):
        yield Violation(
            f"pods of {name} in {namespace} {taken}, and no component of class {class_} makes them: they get its data"
            " as if they were its own",
            pod.resource,
        )
    if has_unknown([pod.spec.get("volumes"), pod.spec.get("serviceAccountName"), *pod.labels.values()]):
        yield Violation(
            f"the labels, account and volumes of {name} in {namespace} are not known before the change; with those of "
            f"the gateway its pods would get {class_} data",
            pod.resource,
            "undecided",
        )


def _taken(subject: Subject, pod: Pod, own: list[Pod]) -> Iterator[str]:
    """What a foreign pod has of the class's own."""
    if pod.role or pod.labels.get(ENDPOINT):
        yield f"carry the labels of a {pod.role or 'model'}"
    is_own_space = is_application(subject, pod.namespace)
    for policy in _selecting_policies(subject, pod):
        if is_own_space and not is_of_component(policy):
            continue  # an application's own policy makes no class's pod of it
        yield f"are selected by network policy {name_and_namespace(policy)[0]}"
    account = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
    if account and account in {other.spec.get("serviceAccountName") for other in own}:
        yield f"run as its service account {account}"
    certified = {
        secret
        for certificate, secret in _certified(subject, pod.namespace)
        if not is_own_space or is_of_component(certificate)
    }
    secrets = {name for other in own for name in _mounted(other, "secret")} | certified
    for secret in sorted(_mounted(pod, "secret") & secrets):
        yield f"mount its Secret {secret}"
    claims = {name for other in own for name in _mounted(other, "claim")}
    for claim in sorted(_mounted(pod, "claim") & claims):
        yield f"mount its volume {claim}"


def _selecting_policies(subject: Subject, pod: Pod) -> Iterator[Resource]:
    """Policies that open connections for chosen pods, this one among them."""
    for policy in subject.graph.of(POLICY):
        selector = at(policy.inputs, "spec.podSelector")
        opens = at(policy.inputs, "spec.ingress") or at(policy.inputs, "spec.egress")
        if name_and_namespace(policy)[1] != pod.namespace or not opens or not isinstance(selector, Mapping):
            continue
        if not any(selector.get(key) for key in _SELECTS):
            continue
        if is_selected(pod, selector):
            yield policy


def _mounted(pod: Pod, kind: str) -> set[str]:
    """Names of the Secrets or claims that a pod mounts or reads."""
    names: list[Any] = []
    for volume in list_or_empty(pod.spec.get("volumes")):
        if kind == "claim":
            names.append(at(volume, "persistentVolumeClaim.claimName"))
            continue
        names.append(at(volume, "secret.secretName"))
        names.append(at(volume, "csi.nodePublishSecretRef.name"))
        names += [at(source, "secret.name") for source in list_or_empty(at(volume, "projected.sources"))]
    for container in pod.containers if kind == "secret" else ():
        names += [at(source, "secretRef.name") for source in list_or_empty(container.get("envFrom"))]
        names += [
            at(variable, "valueFrom.secretKeyRef.name") for variable in list_or_empty(container.get("env"))
        ]
    return {str(name) for name in names if name}


def _certified(subject: Subject, namespace: str) -> Iterator[tuple[Resource, str]]:
    """Certificates in a namespace, with the Secrets of their keys."""
    for certificate in subject.graph.of(_CERTIFICATE):
        if name_and_namespace(certificate)[1] == namespace:
            yield certificate, str(at(certificate.inputs, "spec.secretName"))


def _check_doubled(subject: Subject) -> Iterator[Violation]:
    """Reports a second resource that writes the same object, because its content would win or lose by chance."""
    places = Places(subject.graph, subject.platform)
    resources = {pod.resource.urn: pod.resource for pod, _ in pods_in_classes(subject)}
    objects = {
        urn: (places.of(resource).name, resource.type, *name_and_namespace(resource))
        for urn, resource in resources.items()
    }
    counts = Counter(objects.values())
    for urn, resource in resources.items():
        if counts[objects[urn]] > 1:
            name, namespace = name_and_namespace(resource)
            kind = resource.type.rpartition(":")[2]
            others = [
                other.name for key, other in resources.items() if objects[key] == objects[urn] and key != urn
            ]
            yield Violation(
                f"{resource.name} writes {kind} {name} in {namespace}, which {', '.join(others)} writes too: the later"
                " one wins, and its pods get the class's data",
                resource,
                fix="Remove one of the two",
            )


def _pods_of_classes(subject: Subject) -> Iterator[Resource]:
    return (pod.resource for pod, _ in pods_in_classes(subject))


RULES = (
    Rule(
        "data-path/own-identity",
        "Only a class's own pods have its labels, accounts, Secrets and volumes",
        "critical",
        (*fw.nist("AC-4", "IA-9", "CM-7(5)"), *fw.iso_27001("A.8.12"), *fw.dora("Art. 9(4)(b)")),
        "Network policies and certificates know a pod by these, so a pod that borrows them is taken for the gateway",
        "Give it labels, an account and Secrets of its own, outside the class's namespace",
        _check_identities,
        applies_to=_pods_of_classes,
    ),
)
