"""Own objects outside the classes that reach a class's data nevertheless, and need an entry (`objects`).

Volumes and their claims, Secrets of a vault, contents of objects in an audit log, pods on a class's machines or
networks, credentials of a cluster's autoscaler. `data-path/own-objects` reports them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from isthmus.contracts.trust import Kind
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path import known_types
from policies.data_path.known_kinds import asks_about_named_only, namespace_of
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_above_public
from policies.inputs.pods import Pod, pods
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules.rule import Subject

_VOLUME, _CLAIM = "kubernetes:core/v1:PersistentVolume", "kubernetes:core/v1:PersistentVolumeClaim"
_VAULT = "kubernetes:external-secrets.io/"
_ADMISSION = "kubernetes:admissionregistration.k8s.io/"
_SCALED = ("kubernetes:keda.sh/v1alpha1:ScaledObject", "kubernetes:keda.sh/v1alpha1:ScaledJob")
_OWN_CREDENTIAL = "TriggerAuthentication"
"""Kind of a credential of a ScaledObject's own namespace."""
_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_HOSTNAME = "kubernetes.io/hostname"
_NODE_FOLDERS = frozenset({"hostPath", "local"})
"""Places of a volume that `data-path/volumes-stay-inside` judges."""


_FIX = "Remove it, or have who answers for the classes' data add it to trust.yaml (objects)"


class OwnObject(NamedTuple):
    """An object of own code that needs an entry of `trust.yaml`."""

    resource: Resource
    value: str
    """NAMESPACE/NAME, or NAME without a namespace: the entry `objects` that allows it."""
    problem: str
    entry: tuple[Kind, str] | None = None
    """The entry to propose instead, which allows it too."""
    fix: str = ""
    """The next step, where it is another one than the rule's."""


def reaching_objects(subject: Subject) -> Iterator[OwnObject]:
    """Objects of own code outside the classes whose content reaches a class."""
    by_resource = {pod.resource.urn: pod for pod in pods(subject.graph)}
    for resource in subject.graph.resources:
        if not resource.type.startswith("kubernetes:") or is_of_component(resource):
            continue
        name, namespace = name_and_namespace(resource)
        stated = namespace_of(subject, resource)
        if stated and class_above_public(subject.graph, stated):
            continue
        value = name if stated == "" and _has_no_namespace(resource) else f"{namespace}/{name}"
        problems = [*_problems(subject, resource)]
        pod = by_resource.get(resource.urn)
        problems += _problems_of_pod(subject, pod) if pod is not None else []
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            yield OwnObject(resource, value, problems[0] + more, fix=_FIX)


def _has_no_namespace(resource: Resource) -> bool:
    kind = resource.type.rpartition(":")[2].removesuffix("Patch")
    return kind in known_types.NAMELESS_KINDS


def _problems(subject: Subject, resource: Resource) -> Iterator[str]:
    if resource.type == _VOLUME:
        yield from _problems_of_volume(subject, resource)
    elif resource.type == _CLAIM:
        yield from _problems_of_claim(subject, at(resource.inputs, "spec"))
    elif resource.type.startswith(_VAULT) and resource.type.endswith(":ExternalSecret"):
        yield from _problems_of_vault(resource)
    elif resource.type.startswith(_ADMISSION) and "ValidatingAdmissionPolicy" in resource.type:
        if _writes_contents(resource) and not asks_about_named_only(
            subject, at(resource.inputs, "spec.matchConstraints"), "resourceRules"
        ):
            yield "writes contents of objects into the API server's audit log, those of every class too"
    elif resource.type in _SCALED:
        yield from _problems_of_scaling(resource)
    for template in list_or_empty(at(resource.inputs, "spec.volumeClaimTemplates")):
        yield from _problems_of_claim(subject, at(template, "spec"))


# --- Volumes


def _problems_of_volume(subject: Subject, volume: Resource) -> Iterator[str]:
    spec = at(volume.inputs, "spec")
    claimed = str(at(spec, "claimRef.namespace") or "")
    if not isinstance(spec, Mapping) or class_above_public(subject.graph, claimed):
        return  # `data-path/volumes-stay-inside` judges it
    sources = set(spec) - known_types.PLACELESS_VOLUME_FIELDS - _NODE_FOLDERS
    for source in sorted(sources):
        if source != "csi" or not _is_own_disk(subject, spec["csi"]):
            yield (
                f"gives whoever claims it a place of {source}, and volumes of classes, which the stack does not make,"
                " may be the same place"
            )


def _is_own_disk(subject: Subject, place: Any) -> bool:
    """Whether a volume is a disk that own code makes in the stack."""
    handle, driver = at(place, "volumeHandle"), str(at(place, "driver") or "")
    disks = subject.graph.referred(handle) if isinstance(handle, str) else []
    return driver in known_types.PROVISIONERS and bool(disks) and not any(map(is_of_component, disks))


def _problems_of_claim(subject: Subject, spec: Any) -> Iterator[str]:
    named = at(spec, "volumeName")
    if named:
        own = [
            volume
            for volume in subject.graph.of(_VOLUME)
            if volume.type == _VOLUME and not is_of_component(volume)
        ]
        is_own = any(name_and_namespace(volume)[0] == named for volume in own) or bool(
            {volume.urn for volume in own} & {volume.urn for volume in subject.graph.referred(named)}
        )
        if not is_own:
            yield f"claims the volume {named}, which this stack does not make; it may be a class's"
    elif at(spec, "selector") or at(spec, "storageClassName") == "":
        yield "claims any volume that fits and that nobody has claimed yet; it may be a class's"


# --- Secrets and contents of objects


def _problems_of_vault(resource: Resource) -> Iterator[str]:
    spec = at(resource.inputs, "spec")
    store = at(spec, "secretStoreRef.name") or "a store that is not stated"
    keys = [str(at(entry, "remoteRef.key")) for entry in list_or_empty(at(spec, "data"))]
    keys += [
        str(at(entry, "find.path") or at(entry, "extract.key") or "what it finds")
        for entry in list_or_empty(at(spec, "dataFrom"))
    ]
    yield (
        f"copies {', '.join(dict.fromkeys(keys)) or 'what is not stated'} of {store} into a Secret of its namespace,"
        " and the store may have keys, callers and certificates of the classes"
    )


def _writes_contents(policy: Resource) -> bool:
    spec = at(policy.inputs, "spec")
    validations = list_or_empty(at(spec, "validations"))
    return bool(at(spec, "auditAnnotations")) or any(at(entry, "messageExpression") for entry in validations)


def _problems_of_scaling(resource: Resource) -> Iterator[str]:
    for trigger in list_or_empty(at(resource.inputs, "spec.triggers")):
        kind = at(trigger, "authenticationRef.kind")
        if kind is not None and kind != _OWN_CREDENTIAL:
            receiver = at(trigger, "metadata.url") or at(trigger, "metadata.serverAddress") or "what it asks"
            yield f"has the cluster's credential {at(trigger, 'authenticationRef.name')} sent to {receiver}"


# --- Pods on machines and networks of classes


def _problems_of_pod(subject: Subject, pod: Pod) -> Iterator[str]:
    runtime = pod.spec.get("runtimeClassName")
    if runtime:
        yield f"runs by the runtime {runtime}, which may give its pods GPUs and files of their machine"
    if _NETWORKS in pod.annotations:
        yield (
            f"joins the networks {pod.annotations[_NETWORKS]}, on which no network policy holds; a class's machines may"
            " exchange data there"
        )
    machines = sorted(set(_named_machines(pod.spec)) & _machines_of_pools(subject))
    if machines:
        yield f"asks for the machine {machines[0]}, on which models of classes run"


def _machines_of_pools(subject: Subject) -> frozenset[str]:
    """Names of the machines that components label for a pool."""
    return frozenset(
        name_and_namespace(patch)[0]
        for patch in subject.graph.of("kubernetes:core/v1:NodePatch")
        if is_of_component(patch)
    )


def _named_machines(spec: Any) -> Iterator[str]:
    """Names of machines that a pod asks for."""
    if at(spec, "nodeName"):
        yield str(at(spec, "nodeName"))
    selector = at(spec, "nodeSelector")
    if isinstance(selector, Mapping) and selector.get(_HOSTNAME):
        yield str(selector[_HOSTNAME])
    affinity = at(spec, "affinity.nodeAffinity")
    yield from re.findall(r"[\w.-]+", str(affinity)) if _HOSTNAME in str(affinity) else ()


def is_plain_account(account: Resource) -> bool:
    """Whether a service account is a name only: no cloud role, no Secrets."""
    notes = at(account.inputs, "metadata.annotations") or {}
    fields = set(account.inputs) - {"apiVersion", "kind", "metadata", "automountServiceAccountToken"}
    return (
        not fields
        and isinstance(notes, Mapping)
        and all(str(key).startswith(known_types.INERT_ANNOTATIONS) for key in notes)
    )


def grant_of(binding: Resource) -> tuple[str, str]:
    """The role of a binding and whom it is given to, for messages."""
    whom = [str(at(entry, "name")) for entry in list_or_empty(binding.inputs.get("subjects"))]
    role = at(binding.inputs, "roleRef.name")
    return ("a role that is not known" if is_unknown(role) else str(role)), ", ".join(whom) or "nobody"
