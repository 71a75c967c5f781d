"""Rules for what others put beside a class in a cluster: known types, patches, volumes, webhooks.

In a class's namespace, and cluster-wide, a type must be known (`policies.data_path.known_types`) or trusted. Anything
else is undecided: Isthmus cannot tell whether it copies the class's data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from isthmus.contracts.trust import Kind
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.network.reachability import CLASS, NAMESPACE, namespaces, select_namespaces
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path import known_types
from policies.data_path.control_namespaces import control_reason
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import (
    chart_references,
    class_above_public,
    class_of,
    class_of_name,
    classified_namespaces,
    has_classified_work,
    is_trusted_chart,
)
from policies.inputs.pods import pods
from policies.inputs.storage_classes import may_keep_class_data
from policies.inputs.values import at, has_unknown, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation, fix_with_entry

_KUBERNETES = "kubernetes:"
_CLASS_WORD = r"(?<![a-z])(restricted|confidential|internal)(?![a-z])"
_PATCH, _LIST = "Patch", "List"
_RELEASE = "kubernetes:helm.sh/v3:Release"
"""`workload/can-be-read` reports it."""
_COMPONENTS = (
    *("kubernetes:helm.sh/v3:Chart", "kubernetes:helm.sh/v4:Chart"),
    *("kubernetes:kustomize:Directory", "kubernetes:kustomize/v2:Directory"),
    *("kubernetes:yaml:ConfigFile", "kubernetes:yaml:ConfigGroup"),
    *("kubernetes:yaml/v2:ConfigFile", "kubernetes:yaml/v2:ConfigGroup"),
)
"""Components that a plugin fills with objects."""
_NETWORK_POLICY_PATCH = "kubernetes:networking.k8s.io/v1:NetworkPolicyPatch"
"""`data-path/own-network` reports it."""
_DNS_SETTINGS = ("coredns", "kube-dns", "node-local-dns", "nodelocaldns")
_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
_VOLUME = "kubernetes:core/v1:PersistentVolume"
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
_WEBHOOKS = (
    "kubernetes:admissionregistration.k8s.io/v1:MutatingWebhookConfiguration",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingWebhookConfiguration",
)
_DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
_REVIEW = "or have the owner of `trust.yaml` review what the type does with the data"
_FIX_OF_KIND = f"Remove it, write it as objects that the rules read, {_REVIEW}"
_MONITORS = (
    "kubernetes:monitoring.coreos.com/v1:PodMonitor",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
)
_SCALED = "kubernetes:keda.sh/v1alpha1:ScaledObject"


# --- Where an object is, and whether its type is trusted


def is_trusted_type(subject: Subject, type_: str) -> bool:
    """Whether the organisation trusts resources of this type today."""
    return subject.trusts("resource_types", type_)


def namespace_of(subject: Subject, resource: Resource) -> str | None:
    """The namespace of an object; empty if it states none, None if it is not known yet."""
    namespace = at(resource.inputs, "metadata.namespace")
    if not namespace:
        return ""
    if not is_unknown(namespace):
        return str(namespace)
    referred = subject.graph.referred(namespace, "core/v1:Namespace")
    return name_and_namespace(referred[0])[0] if len(referred) == 1 else None


def _parts_of_type(type_: str) -> tuple[str, str]:
    """API group and kind of a type."""
    _, version, kind = (*type_.split(":"), "", "")[:3]
    return version.partition("/")[0], kind


def _quoted(subject: Subject) -> str:
    """The classes of the stack, for messages."""
    stated = {*classified_namespaces(subject.graph).values()}
    classes = [class_ for class_ in SENSITIVITIES if class_ in stated]
    return " and ".join([", ".join(classes[:-1]), classes[-1]] if classes[1:] else classes) or "classified"


# --- Known types


def _judged_objects(subject: Subject) -> Iterator[Resource]:
    """Objects and resources of other providers, in a stack with data of a class above public."""
    if not has_classified_work(subject):
        return
    for resource in subject.graph.resources:
        if not resource.type.startswith("aws:") and resource.type != _RELEASE:
            yield resource
    for resource in subject.graph.not_made:
        if _is_named_like_our_own(resource):
            yield resource


def _is_named_like_our_own(resource: Resource) -> bool:
    """Whether a type has the name of Isthmus or of the engine, and is none of theirs."""
    if resource.type.startswith("isthmus:"):
        return resource.type not in known_types.COMPONENTS or bool(getattr(resource, "custom", False))
    if resource.type.startswith("pulumi:providers:"):
        return False
    return resource.type.startswith("pulumi:") and resource.type not in known_types.ENGINE_TYPES


def _check_known(subject: Subject) -> Iterator[Violation]:
    problems: list[tuple[Resource, str]] = []
    for resource in _judged_objects(subject):
        if resource.type in _COMPONENTS:
            continue
        if resource.type.startswith(_KUBERNETES):
            problem = _problem_of_object(subject, resource)
        else:
            problem = _problem_of_other_provider(subject, resource)
        entry = _entry_of_object(subject, resource)
        is_trusted = is_trusted_type(subject, resource.type) or bool(entry and subject.trusts_exactly(*entry))
        if problem and not is_trusted:
            problems.append((resource, problem))
    yield from unknown_types(problems, partial(_entry_of_object, subject), _FIX_OF_KIND)
    if has_classified_work(subject):
        yield from _unseen_components(subject)
        yield from _default_namespaces(subject)


def unknown_types(
    problems: Sequence[tuple[Resource, str]],
    entry_of: Callable[[Resource], tuple[Kind, str] | None],
    fix: str,
) -> Iterator[Violation]:
    """Reports resources of unknown types. Proposed is the entry of the resource if it is the only one of its type.

    `entry_of`: the entry of a resource alone; None if only its type can be trusted.
    """
    counts = Counter(resource.type for resource, _ in problems)
    for resource, problem in problems:
        of_type: tuple[Kind, str] = ("resource_types", resource.type)
        alone = entry_of(resource)
        if alone is None:
            entry, others = of_type, ()
        else:
            entry, others = (alone, (of_type,)) if counts[resource.type] == 1 else (of_type, (alone,))
        yield Violation(
            f"{resource.name} ({resource.type}) {problem}",
            resource,
            "undecided",
            entry=entry,
            other_entries=others,
            fix=fix_with_entry(fix, entry),
        )


def _entry_of_object(subject: Subject, resource: Resource) -> tuple[Kind, str] | None:
    """The entry of exactly this object; None if it is not one whose name, namespace and type are known."""
    name, namespace = at(resource.inputs, "metadata.name"), namespace_of(subject, resource)
    group, kind = _parts_of_type(resource.type)
    is_list = kind.endswith(_LIST) and group in known_types.BUILT_IN_GROUPS
    if not resource.type.startswith(_KUBERNETES) or is_list or _states_another_type(resource):
        return None
    if not name or is_unknown(name) or namespace is None:
        return None
    return "objects", f"{namespace}/{name}" if namespace else str(name)


def _problem_of_object(subject: Subject, resource: Resource) -> str:
    """Why an object may reach a class unseen; empty if it cannot."""
    group, kind = _parts_of_type(resource.type)
    if _states_another_type(resource):
        stated = f"{resource.inputs.get('apiVersion')} {resource.inputs.get('kind')}"
        return f"writes an object of another type, {stated}, which no rule reads"
    if kind.endswith(_PATCH):
        return ""  # `data-path/patches-keep-boundaries` reports it
    if kind.endswith(_LIST) and group in known_types.BUILT_IN_GROUPS:
        return f"writes several objects, which no rule reads; each may hold or move {_quoted(subject)} data"
    namespace = namespace_of(subject, resource)
    doubt = "and Isthmus does not know whether this type moves"
    if namespace is None:
        return f"is in a namespace that is not known before the change, {doubt} {_quoted(subject)} data"
    if class_ := class_above_public(subject.graph, namespace):
        if resource.type in known_types.IN_CLASS_NAMESPACES:
            return ""
        return f"is in {namespace}, {doubt} its {class_} data out of the namespace"
    if group in known_types.BUILT_IN_GROUPS:
        return _problem_of_built_in(subject, resource, kind, namespace)
    if not namespace and resource.type in known_types.CLUSTER_WIDE:
        return ""
    if resource.type in known_types.ELSEWHERE:
        return ""
    place = f"is in {namespace}" if namespace else "applies to the whole cluster"
    return f"{place}, {doubt} {_quoted(subject)} data from its namespaces"


def _problem_of_built_in(subject: Subject, resource: Resource, kind: str, namespace: str) -> str:
    if kind in known_types.NAMELESS_KINDS:
        if resource.type in known_types.CLUSTER_WIDE:
            return ""
        if resource.type == _STORAGE_CLASS:
            return _problem_of_storage(subject, resource)
        return f"applies to the whole cluster, and Isthmus does not know what it changes for {_quoted(subject)} data"
    if namespace in known_types.CONTROL_PLANE_NAMESPACES and resource.type == _CONFIG_MAP:
        name = name_and_namespace(resource)[0]
        if name.startswith(_DNS_SETTINGS):
            return ""  # `data-path/patches-keep-boundaries` reports it
        if not is_unknown(name) and not name.startswith(known_types.CONTROL_PLANE_SETTINGS):
            return ""
        return f"sets {name} in {namespace}, which nodes and controllers of {_quoted(subject)} data read"
    return ""


def _problem_of_storage(subject: Subject, resource: Resource) -> str:
    """Why volumes of a storage class may be elsewhere; empty if no class uses it, or its driver is of the own cloud."""
    provisioner = str(resource.inputs.get("provisioner") or "")
    parameters = resource.inputs.get("parameters") or {}
    known = known_types.PROVISIONERS.get(provisioner)
    if known is not None and isinstance(parameters, Mapping) and set(parameters) <= known:
        return ""
    if not may_keep_class_data(subject, resource):
        return ""
    return (
        f"has volumes made by {provisioner or 'a driver that is not stated'}, and Isthmus does not know where they "
        f"would keep {_quoted(subject)} data"
    )


def _states_another_type(resource: Resource) -> bool:
    """Whether the object in the inputs is of another type than the resource."""
    version, kind = resource.inputs.get("apiVersion"), resource.inputs.get("kind")
    _, typed_version, typed_kind = (*resource.type.split(":"), "", "")[:3]
    return bool(
        (version and not is_unknown(version) and str(version) != typed_version.removeprefix("core/"))
        or (kind and not is_unknown(kind) and str(kind) != typed_kind.removesuffix(_PATCH))
    )


def _problem_of_other_provider(subject: Subject, resource: Resource) -> str:
    if resource.type in known_types.OTHER_PROVIDERS:
        return ""
    if resource.type.startswith(("isthmus:", "pulumi:")):
        return (
            "has the name of a type of Isthmus or Pulumi, and neither has such a resource; what makes it may send"
            f" {_quoted(subject)} data elsewhere"
        )
    return (
        f"is of a provider that no rule reads; it may run commands or send {_quoted(subject)} data elsewhere"
    )


def _unseen_components(subject: Subject) -> Iterator[Violation]:
    """Components that a plugin fills, whose resources are not in the graph."""
    graph = subject.graph
    parents = {getattr(resource, "parent", None) for resource in (*graph.resources, *graph.not_made)}
    candidates = [
        *graph.not_made,
        *(resource for resource in graph.resources if resource.type in _COMPONENTS),
    ]
    for component in candidates:
        options = getattr(component, "options", {})
        if not _is_component(component) or "read" in options:
            continue
        is_remote = bool(options.get("remote"))
        if component.urn in parents and not is_remote:
            continue
        if component.type.startswith("isthmus:") and not is_remote:
            continue
        if is_trusted_type(subject, component.type) or is_trusted_chart(subject, component):
            continue
        namespace = at(component.inputs, "namespace") or at(component.inputs, "defaultNamespace")
        place = f" into {namespace}" if namespace and not is_unknown(namespace) else ""
        yield Violation(
            f"{component.name} ({component.type}) writes objects{place} that cannot be seen before the change; they "
            f"may move {_quoted(subject)} data",
            component,
            "undecided",
            entry=(entry := _entry_of_component(component)),
            fix=fix_with_entry(_FIX_OF_KIND, entry),
        )


def _entry_of_component(component: Resource) -> tuple[Kind, str]:
    if at(component.inputs, "chart"):
        return "charts", chart_references(component)[-1]
    return "resource_types", component.type


def _is_component(resource: Resource) -> bool:
    if resource.type in _COMPONENTS:
        return True
    if resource.type.startswith("pulumi:"):
        return False
    custom = getattr(resource, "custom", None)
    # The engine's view does not say it: there, what is not made is a component, or is only read.
    return custom is False or (custom is None and not resource.type.startswith(("aws:", _KUBERNETES)))


def _default_namespaces(subject: Subject) -> Iterator[Violation]:
    """Providers that put objects without a namespace into a class's namespace, or into an unknown one."""
    for provider in subject.graph.not_made:
        namespace = provider.inputs.get("namespace")
        if provider.type != "pulumi:providers:kubernetes" or not namespace:
            continue
        if is_unknown(namespace) or class_of(subject.graph, namespace):
            yield Violation(
                f"provider {provider.name} puts objects without a namespace into {namespace}, where the rules do not "
                f"expect them; such an object may move {_quoted(subject)} data",
                provider,
                "undecided",
            )


# --- Patches


def _patches(subject: Subject) -> Iterator[Resource]:
    """Patches, and objects that replace the settings of the cluster's DNS."""
    if not has_classified_work(subject):
        return
    for resource in subject.graph.resources:
        if not resource.type.startswith(_KUBERNETES) or resource.type == _NETWORK_POLICY_PATCH:
            continue
        if _parts_of_type(resource.type)[1].endswith(_PATCH) or _sets_dns(resource):
            yield resource


def _sets_dns(resource: Resource) -> bool:
    name, namespace = name_and_namespace(resource)
    return (
        resource.type.removesuffix(_PATCH) == _CONFIG_MAP
        and namespace in known_types.CONTROL_PLANE_NAMESPACES
        and name.startswith(_DNS_SETTINGS)
    )


def _check_patches(subject: Subject) -> Iterator[Violation]:
    identities = {
        (*name_and_namespace(resource), resource.type)
        for resource in subject.graph.resources
        if resource.type.startswith(_KUBERNETES)
    }
    for patch in _patches(subject):
        problem = _forbidden_change(subject, patch)
        if problem:
            yield Violation(f"{patch.name} {problem}", patch)
            continue
        doubt = _doubtful_change(subject, patch, identities)
        entry = _entry_of_patch(subject, patch)
        if doubt and not is_trusted_type(subject, patch.type) and not (entry and subject.trusts(*entry)):
            fix = _FIX_OF_PATCH if entry else ""
            yield Violation(f"{patch.name} ({patch.type}) {doubt}", patch, "undecided", entry=entry, fix=fix)


_FIX_OF_PATCH = "Remove the patch, or have who answers for the class's data add it to trust.yaml (objects)"


def _entry_of_patch(subject: Subject, patch: Resource) -> tuple[Kind, str] | None:
    """The entry that allows a patch of a node, or of an object beside a control plane; None: only its type does."""
    name, _ = name_and_namespace(patch)
    namespace = namespace_of(subject, patch)
    if is_unknown(name) or namespace is None or class_above_public(subject.graph, namespace):
        return None
    if _parts_of_type(patch.type)[1] == f"Node{_PATCH}":
        return "objects", name
    return ("objects", f"{namespace}/{name}") if control_reason(subject, namespace) else None


def _forbidden_change(subject: Subject, patch: Resource) -> str:
    """How a patch breaks a boundary; empty if it does not show."""
    kind = _parts_of_type(patch.type)[1].removesuffix(_PATCH)
    name, namespace = name_and_namespace(patch)
    class_ = class_of(subject.graph, namespace)
    if _sets_dns(patch):
        return (
            f"sets {name} in {namespace}, so that names that {_quoted(subject)} pods look up go where it says"
        )
    if kind == "Namespace":
        return _forbidden_labels(subject, patch, name)
    if kind == "ValidatingAdmissionPolicyBinding":
        actions = at(patch.inputs, "spec.validationActions")
        if actions is not None and not is_unknown(actions) and "Deny" not in actions:
            return f"makes {name} admit what it rejected: validationActions lacks Deny"
    if kind == "Service" and class_:
        if at(patch.inputs, "spec.externalName") or at(patch.inputs, "spec.externalIPs"):
            return f"makes Service {name} in {namespace} lead to another host, with the {class_} data of its callers"
        if at(patch.inputs, "spec.type") in ("LoadBalancer", "NodePort"):
            return f"makes Service {name} of {class_} work reachable from outside its cluster"
    if kind in ("Endpoints", "EndpointSlice") and class_:
        return f"points a Service in {namespace} to hand-written addresses, which then get {class_} data"
    host_access = _host_access(patch)
    if host_access:
        return (
            f"gives pods of {name} {host_access} of their node, where they can read {_quoted(subject)} data"
        )
    return ""


def _forbidden_labels(subject: Subject, patch: Resource, name: str) -> str:
    labels = at(patch.inputs, "metadata.labels")
    if not isinstance(labels, Mapping):
        return ""
    level, class_ = labels.get("pod-security.kubernetes.io/enforce"), labels.get(CLASS)
    if level is not None and not is_unknown(level) and level != "restricted":
        return f"lowers namespace {name} to the Pod Security Standard `{level}`, so that its pods can read their node"
    expected = namespace_class_of(subject, name)
    if class_ is not None and not is_unknown(class_) and expected and class_ != expected:
        return f"relabels namespace {name} of {expected} work as {class_}"
    return ""


def namespace_class_of(subject: Subject, name: str) -> str:
    """The class that a Namespace of the stack, or the name itself, states."""
    stated = at({"labels": namespaces(subject.graph).get(name) or {}}, "labels") or {}
    return str(stated.get(CLASS) or class_of_name(name))


def _pod_specs(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every `spec` in a value that could be a pod's, complete or not."""
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if isinstance(spec, Mapping):
            yield spec
        for child in value.values():
            yield from _pod_specs(child)
    elif isinstance(value, list):
        for child in value:
            yield from _pod_specs(child)


def _host_access(patch: Resource) -> str:
    """What of their node a patch gives to pods; empty if nothing."""
    for spec in _pod_specs(patch.inputs):
        for key, word in (
            ("hostNetwork", "the network"),
            ("hostPID", "the processes"),
            ("hostIPC", "the memory"),
        ):
            if spec.get(key):
                return word
        for volume in list_or_empty(spec.get("volumes")):
            if isinstance(volume, Mapping) and volume.get("hostPath"):
                return "the folders"
        for key in ("containers", "initContainers", "ephemeralContainers"):
            for container in list_or_empty(spec.get(key)):
                if at(container, "securityContext.privileged"):
                    return "the whole power"
    return ""


def _doubtful_change(subject: Subject, patch: Resource, identities: set[tuple[str, str, str]]) -> str:
    """Why a patch is undecided; empty if it stays outside of the classes and the stack's objects."""
    kind = _parts_of_type(patch.type)[1].removesuffix(_PATCH)
    group = _parts_of_type(patch.type)[0]
    name, _ = name_and_namespace(patch)
    namespace = namespace_of(subject, patch)
    if kind == "Node":
        return _doubtful_change_of_node(patch)
    if kind == "Namespace" and _is_harmless_label(subject, patch, name):
        return ""
    if is_unknown(at(patch.inputs, "metadata.name")) or namespace is None:
        return "changes an object that is not known before the change"
    if (name, namespace or "default", patch.type.removesuffix(_PATCH)) in identities:
        return f"changes {name}, which this stack writes itself, and no rule reads the result"
    class_ = class_above_public(subject.graph, namespace)
    if class_:
        return f"changes {name} in {namespace}, and no rule reads what becomes of its {class_} data"
    if kind in known_types.NAMELESS_KINDS or group not in known_types.BUILT_IN_GROUPS:
        return f"changes {name}, and Isthmus does not know what that changes for {_quoted(subject)} data"
    if namespace in known_types.CONTROL_PLANE_NAMESPACES:
        return f"changes {name} in {namespace}, which nodes and controllers of {_quoted(subject)} data read"
    if reason := control_reason(subject, namespace):
        return f"changes {name} in {namespace} ({reason}), and no rule reads what becomes of {_quoted(subject)} data"
    return ""


def _doubtful_change_of_node(patch: Resource) -> str:
    if not _labels_node_only(patch):
        return "changes more of a node than labels and taints"
    if is_of_component(patch):
        return ""
    meta = patch.inputs.get("metadata") or {}
    labels, notes = (meta.get(key) or {} for key in ("labels", "annotations"))
    if not isinstance(labels, Mapping) or not isinstance(notes, Mapping):
        return "sets labels or annotations of a node that are not known before the change"
    if any(str(key).startswith("isthmus.dev/") for key in labels):
        return "puts a node into a pool, on which pods of classes then run"
    odd = [str(key) for key in notes if not str(key).startswith(known_types.INERT_ANNOTATIONS)]
    if odd:
        return f"sets the annotation {odd[0]} of a node, by which a network may send what its pods exchange elsewhere"
    odd = [str(key) for key in labels if not str(key).startswith(known_types.NODE_LABELS)]
    if odd:
        return f"sets the label {odd[0]} of a node, by which controllers and networks decide about pods of classes"
    return ""


def _labels_node_only(patch: Resource) -> bool:
    meta, spec = patch.inputs.get("metadata") or {}, patch.inputs.get("spec") or {}
    known_meta, known_spec = {"name", "labels", "annotations"}, {"taints", "unschedulable"}
    if not isinstance(meta, Mapping) or not isinstance(spec, Mapping):
        return False
    others = set(patch.inputs) - {"apiVersion", "kind", "metadata", "spec"}
    return not others and set(meta) <= known_meta and set(spec) <= known_spec


def _is_harmless_label(subject: Subject, patch: Resource, name: str) -> bool:
    """Whether a patch of a namespace sets known labels only: its own class, and the strictest Pod Security Standard."""
    meta, spec = patch.inputs.get("metadata") or {}, patch.inputs.get("spec")
    if not isinstance(meta, Mapping) or spec or is_unknown(meta.get("name")):
        return False
    labels = meta.get("labels") or {}
    if not isinstance(labels, Mapping):
        return False
    class_ = namespace_class_of(subject, name)
    if class_ in ("", "public"):
        return not any(map(is_unknown, (*labels, *labels.values())))
    return all(
        (key == CLASS and value == class_)
        or (
            key.startswith("pod-security.kubernetes.io/")
            and (value == "restricted" or key.endswith("-version"))
        )
        for key, value in labels.items()
    )


# --- Volumes


def _volumes(subject: Subject) -> Iterator[Resource]:
    if has_classified_work(subject):
        yield from (volume for volume in subject.graph.of(_VOLUME) if volume.type == _VOLUME)
        yield from _claims_of_others(subject)


def _claims_of_others(subject: Subject) -> Iterator[Resource]:
    """Claims outside the classes that name a volume, or what to copy."""
    for claim in subject.graph.of(_CLAIM):
        spec = at(claim.inputs, "spec")
        namespace = namespace_of(subject, claim) or ""
        names_volume = any(at(spec, key) for key in ("volumeName", "dataSource", "dataSourceRef"))
        if names_volume and not class_above_public(subject.graph, namespace):
            yield claim


def _claims_of_pods(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Claims that a pod outside the classes makes for itself, and those of a StatefulSet: resource and spec."""
    for pod in pods(subject.graph):
        if class_above_public(subject.graph, pod.namespace):
            continue
        for volume in list_or_empty(pod.spec.get("volumes")):
            template = at(volume, "ephemeral.volumeClaimTemplate.spec")
            if template is not None:
                yield pod.resource, template
        for template in list_or_empty(at(pod.resource.inputs, "spec.volumeClaimTemplates")):
            yield pod.resource, at(template, "spec")


def _problems_of_claim(subject: Subject, claim: Resource, spec: Any) -> Iterator[Violation]:
    source = at(spec, "dataSourceRef.namespace")
    class_ = class_above_public(subject.graph, str(source or ""))
    if class_:
        yield Violation(f"{claim.name} copies a volume of {source} with its {class_} data", claim)
    named = at(spec, "volumeName")
    for volume in subject.graph.of(_VOLUME) if named else ():
        claimed = str(at(volume.inputs, "spec.claimRef.namespace") or "")
        class_ = class_above_public(subject.graph, claimed)
        is_named = name_and_namespace(volume)[0] == named or volume in subject.graph.referred(named)
        if is_named and class_:
            yield Violation(
                f"{claim.name} claims {named}, the volume of {claimed} with its {class_} data", claim
            )


_POD_FOLDERS = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/run/containerd", "/var/log")
_OTHERS_FOLDERS = (
    *_POD_FOLDERS,
    *(
        "/var/lib/longhorn",
        "/var/lib/rook",
        "/var/lib/etcd",
        "/var/lib/rancher",
        "/opt/local-path-provisioner",
    ),
)
"""Folders in which storage drivers and runtimes keep volumes of every pod."""
_KERNEL_FOLDERS = ("/proc", "/sys", "/dev", "/etc", "/root", "/run", "/var/run")
"""Folders in which no weights are, whatever a path below them is called."""
_SYSTEM_FOLDERS = (
    "/var/lib",
    "/var/run",
    "/run",
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/root",
    "/home",
    "/var/log",
)


def _check_volumes(subject: Subject) -> Iterator[Violation]:
    for resource, template in _claims_of_pods(subject) if has_classified_work(subject) else ():
        yield from _problems_of_claim(subject, resource, template)
    for volume in _volumes(subject):
        if volume.type == _CLAIM:
            yield from _problems_of_claim(subject, volume, at(volume.inputs, "spec"))
            continue
        spec = at(volume.inputs, "spec")
        if not isinstance(spec, Mapping):
            yield Violation(
                f"where {volume.name} stores data is not known before the change", volume, "undecided"
            )
            continue
        claimed = at(spec, "claimRef.namespace")
        namespace = "" if is_unknown(claimed) else str(claimed or "")
        class_ = class_of(subject.graph, namespace)
        for source in sorted(set(spec) - known_types.PLACELESS_VOLUME_FIELDS):
            yield from _problem_of_source(subject, volume, source, spec[source], class_)


def _problem_of_source(
    subject: Subject, volume: Resource, source: str, place: Any, class_: str
) -> Iterator[Violation]:
    is_trusted = is_trusted_type(subject, volume.type)
    if source in ("hostPath", "local"):
        path = str(at(place, "path") or "")
        is_weights = source == "local" and class_ and _is_weights_folder(path, class_)
        if is_weights and not path.startswith(_KERNEL_FOLDERS):
            return
        if _is_system_folder(path):
            yield Violation(
                f"{volume.name} gives whoever claims it {path} of a node, where files of {_quoted(subject)} pods are",
                volume,
            )
        elif not is_trusted:
            yield Violation(
                f"{volume.name} gives whoever claims it {path or 'a folder'} of a node, and Isthmus does not know "
                f"whether {_quoted(subject)} data is there",
                volume,
                "undecided",
            )
    elif class_ in ("", "public") and not is_trusted and _names_class_place(subject, volume, source, place):
        yield Violation(
            f"{volume.name} gives {source} of {at(place, 'driver') or at(place, 'server') or 'a server'} to a claim "
            f"outside the classes, and a class's volume or this stack's {_quoted(subject)} data may be the same place",
            volume,
            "undecided",
        )
    elif class_ not in ("", "public") and not is_trusted and not _is_in_stack(subject, source, place):
        driver = at(place, "driver")
        yield Violation(
            f"{volume.name} stores {class_} data outside the stack ({source}{f' of {driver}' if driver else ''}), and "
            "Isthmus does not know who reads it there",
            volume,
            "undecided",
        )


def _names_class_place(subject: Subject, volume: Resource, source: str, place: Any) -> bool:
    """Whether a volume outside the classes may show a class's: its place names a class, or is one of a class's."""
    if source not in ("csi", "nfs", "iscsi", "fc", "rbd", "cephfs", "glusterfs", "flexVolume"):
        return False
    text = str(place)
    if has_unknown(place) or re.search(_CLASS_WORD, text):
        return True
    places: set[str] = set()
    for other in subject.graph.of(_VOLUME):
        if other is volume or not isinstance(at(other.inputs, "spec"), Mapping):
            continue
        claimed = str(at(other.inputs, "spec.claimRef.namespace") or "")
        if class_above_public(subject.graph, claimed):
            theirs = at(other.inputs, f"spec.{source}")
            places |= {
                str(at(theirs, key)) for key in ("server", "volumeHandle", "targetPortal") if at(theirs, key)
            }
    stated = str(subject.platform) if subject.platform else ""
    hosts = {str(at(place, key)) for key in ("server", "volumeHandle", "targetPortal") if at(place, key)}
    return bool(hosts & places) or any(
        re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w.-])", stated) for host in hosts
    )


def _is_weights_folder(path: str, class_: str) -> bool:
    """Whether a path is a class's folder of weights, as `ModelServer` makes it: `NODE_PATH/CLASS[/…]`."""
    parts = path.split("/")
    others = {*SENSITIVITIES} - {class_}
    is_below_another = any(path.startswith(f"{folder}/") for folder in _OTHERS_FOLDERS)
    return class_ in parts[2:] and ".." not in parts and not (others & {*parts} or is_below_another)


def _is_system_folder(path: str) -> bool:
    """Whether a path is a folder of the system, below one, or above one."""
    if is_unknown(path) or ".." in path.split("/"):
        return ".." in path.split("/")
    path = "/" + path.strip("/")
    return path == "/" or any(
        path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/")
        for folder in _SYSTEM_FOLDERS
    )


def _is_in_stack(subject: Subject, source: str, place: Any) -> bool:
    """Whether a volume is one that the stack creates in AWS."""
    if source != "csi":
        return False
    return any(
        resource.type.startswith("aws:") for resource in subject.graph.referred(at(place, "volumeHandle"))
    )


# --- Webhooks, and other programs that are asked about a class's objects


def _askers(subject: Subject) -> Iterator[Resource]:
    """Objects that name a program which is asked about others, or a proxy."""
    if has_classified_work(subject):
        yield from subject.graph.of(*_WEBHOOKS, _DEFINITION, *_MONITORS, _SCALED)


def _check_askers(subject: Subject) -> Iterator[Violation]:
    for resource in _askers(subject):
        if resource.type in _WEBHOOKS:
            yield from _check_webhooks(subject, resource)
        elif resource.type == _DEFINITION:
            if at(resource.inputs, "spec.conversion.strategy") not in (None, "None"):
                yield from _asked(
                    subject, resource, at(resource.inputs, "spec.conversion.webhook.clientConfig"), ""
                )
        elif resource.type == _SCALED:
            yield from _check_scaling(subject, resource)
        else:
            yield from _check_monitor(subject, resource)


def _check_webhooks(subject: Subject, resource: Resource) -> Iterator[Violation]:
    hooks = resource.inputs.get("webhooks")
    if hooks is not None and not isinstance(hooks, list):
        yield Violation(f"whom {resource.name} asks is not known before the change", resource, "undecided")
    for hook in list_or_empty(hooks):
        url = at(hook, "clientConfig.url")
        if not asks_about_named_only(subject, hook, "rules"):
            reached = _namespaces_asked_about(subject, hook)
            yield from _asked(subject, resource, at(hook, "clientConfig"), reached)
        elif url and not is_unknown(url):
            yield Violation(
                f"{resource.name} sends objects of the cluster to {url}, outside the cluster, and those of its control"
                " plane may be among them",
                resource,
            )


def asks_about_named_only(subject: Subject, match: Any, rules: str) -> bool:
    """Whether a webhook or policy gets objects of namespaces that it names, none of them a class's or a controller's.

    `rules`: the key of its rules. Kubernetes ignores the selector for objects without a namespace, so each rule must
    ask for others only.
    """
    named = selected_by_name(at(match, "namespaceSelector"))
    if not named or any(map(is_unknown, named)):
        return False
    if any(class_of(subject.graph, name) or control_reason(subject, name) for name in named):
        return False
    listed = at(match, rules)
    return isinstance(listed, list) and all(map(_asks_for_namespaced, listed))


def selected_by_name(selector: Any) -> set[str]:
    """The namespaces that a selector names; empty if it selects by anything else."""
    labels = at(selector, "matchLabels")
    if isinstance(labels, Mapping) and isinstance(labels.get(NAMESPACE), str):
        return {labels[NAMESPACE]}
    for expression in list_or_empty(at(selector, "matchExpressions")):
        if at(expression, "key") == NAMESPACE and at(expression, "operator") == "In":
            return set(map(str, list_or_empty(at(expression, "values"))))
    return set()


def _asks_for_namespaced(rule: Any) -> bool:
    if at(rule, "scope") == "Namespaced":
        return True
    resources = [str(resource).partition("/")[0] for resource in list_or_empty(at(rule, "resources"))]
    return bool(resources) and all(resource in known_types.NAMESPACED_RESOURCES for resource in resources)


def _namespaces_asked_about(subject: Subject, hook: Any) -> str:
    """Of whose objects a webhook gets, for messages: a class's namespace if it can be one."""
    classes = classified_namespaces(subject.graph)
    known = namespaces(subject.graph)
    labels_of = {
        name: known.get(name) or {NAMESPACE: name, CLASS: class_} for name, class_ in classes.items()
    }
    selector = at(hook, "namespaceSelector")
    try:
        reached = select_namespaces(labels_of, selector) if isinstance(selector, Mapping) else classes
    except (KeyError, TypeError, AttributeError):
        reached = classes
    named = [name for name in sorted(selected_by_name(selector)) if control_reason(subject, name)]
    return (
        min(reached, default="")
        or next(iter(named), "")
        or "the whole cluster and of namespaces that it does not name"
    )


def _asked(subject: Subject, resource: Resource, client: Any, namespace: str) -> Iterator[Violation]:
    about = f"objects of {namespace}, Secrets included" if namespace else "objects of a kind"
    url = at(client, "url")
    if url and not is_unknown(url):
        yield Violation(f"{resource.name} sends {about} to {url}, outside the cluster", resource)
    elif not (
        is_trusted_type(subject, resource.type) or subject.trusts("objects", name_and_namespace(resource)[0])
    ):
        service = at(client, "service.namespace")
        place = f"a Service in {service}" if service and not is_unknown(service) else "an unknown program"
        yield Violation(
            f"{resource.name} sends {about} to {place}, and Isthmus does not know what that does with them",
            resource,
            "undecided",
            entry=("objects", name_and_namespace(resource)[0]),
            fix="Remove it, or name the namespaces that it is for (kubernetes.io/metadata.name), none of them a"
            " class's; or have who answers for the classes' data add it to trust.yaml (objects)",
        )


def _check_monitor(subject: Subject, resource: Resource) -> Iterator[Violation]:
    class_ = _class_of_monitor(subject, resource)
    for problem in _problems_of_monitor(resource, bool(class_)):
        yield Violation(
            f"{resource.name} has metrics of {class_ or 'other'} pods fetched {problem}",
            resource,
            "undecided",
        )


def _class_of_monitor(subject: Subject, resource: Resource) -> str:
    """The class above public of pods that a monitor may select; empty if it selects none."""
    selector = at(resource.inputs, "spec.namespaceSelector")
    names = at(selector, "matchNames")
    own = namespace_of(subject, resource)
    if own is None or is_unknown(str(selector)) or at(selector, "any"):
        return min(classified_namespaces(subject.graph).values(), default="")
    reached = [str(name) for name in list_or_empty(names)] or [own]
    return next(filter(None, (class_above_public(subject.graph, name) for name in reached)), "")


_MONITOR_FIELDS = frozenset(
    {"selector", "namespaceSelector", "podMetricsEndpoints", "endpoints", "jobLabel", "podTargetLabels"}
    | {
        "targetLabels",
        "sampleLimit",
        "targetLimit",
        "labelLimit",
        "labelNameLengthLimit",
        "keepDroppedTargets",
    }
    | {"labelValueLengthLimit", "bodySizeLimit", "selectorMechanism", "scrapeProtocols", "attachMetadata"}
)
_ENDPOINT_FIELDS = frozenset(
    {
        "port",
        "portNumber",
        "targetPort",
        "path",
        "interval",
        "scrapeTimeout",
        "honorLabels",
        "honorTimestamps",
    }
    | {
        "scheme",
        "tlsConfig",
        "relabelings",
        "metricRelabelings",
        "filterRunning",
        "enableHttp2",
        "followRedirects",
    }
    | {"trackTimestampsStaleness"}
)
_TLS_FIELDS = frozenset({"serverName", "insecureSkipVerify", "ca", "caFile", "minVersion", "maxVersion"})


def _problems_of_monitor(resource: Resource, reaches_class: bool) -> Iterator[str]:
    """How a monitor does more than read numbers at the pods' own addresses."""
    spec = at(resource.inputs, "spec")
    endpoints = [*list_or_empty(at(spec, "endpoints")), *list_or_empty(at(spec, "podMetricsEndpoints"))]
    for endpoint in endpoints:
        if at(endpoint, "proxyUrl"):
            yield f"through {at(endpoint, 'proxyUrl')}"
    if not reaches_class or spec is None:
        return
    if not isinstance(spec, Mapping) or not all(isinstance(endpoint, Mapping) for endpoint in endpoints):
        yield "in a way that is not known before the change"
        return
    yield from (
        f"with `{field}`, which Isthmus does not know" for field in sorted(set(spec) - _MONITOR_FIELDS)
    )
    for endpoint in endpoints:
        for field in sorted(set(endpoint) - _ENDPOINT_FIELDS - {"proxyUrl"}):
            yield f"with `{field}`, which may send a Secret or go elsewhere"
        if endpoint.get("path") not in (None, "/metrics"):
            yield f"at {endpoint['path']}, which is not their metrics"
        tls = endpoint.get("tlsConfig") or {}
        if not isinstance(tls, Mapping) or set(tls) - _TLS_FIELDS:
            yield "with a certificate of their namespace"
        for relabeling in list_or_empty(endpoint.get("relabelings")):
            target = str(at(relabeling, "targetLabel") or "")
            is_map = str(at(relabeling, "action") or "").lower() in ("labelmap", "labeldrop", "labelkeep")
            if is_map or is_unknown(target) or (target.startswith("__") and not target.startswith("__tmp")):
                yield f"at another place, by a relabeling of {target or 'many labels'}"


_TRIGGER_FIELDS = frozenset(
    {"type", "name", "metricType", "metadata", "authenticationRef", "useCachedMetrics"}
)
_QUERY_FIELDS = frozenset(
    {"serverAddress", "query", "threshold", "activationThreshold", "ignoreNullValues", "namespace", "timeout"}
)


def _check_scaling(subject: Subject, resource: Resource) -> Iterator[Violation]:
    """Reports a ScaledObject of a class that asks anything but the platform's Prometheus."""
    namespace = namespace_of(subject, resource) or ""
    class_ = class_above_public(subject.graph, namespace)
    if not class_ or is_trusted_type(subject, resource.type):
        return
    listed = at(resource.inputs, "spec.triggers")
    triggers = list_or_empty(listed)
    is_read = listed is None or isinstance(listed, list)
    for trigger in [*triggers, *([] if is_read else ["unknown"])]:
        problem = _problem_of_trigger(subject, trigger)
        if problem:
            yield Violation(
                f"{resource.name} scales {class_} work in {namespace} by a trigger that {problem}",
                resource,
                "undecided",
            )


def _problem_of_trigger(subject: Subject, trigger: Any) -> str:
    kind, asked = at(trigger, "type"), at(trigger, "metadata")
    if not isinstance(trigger, Mapping) or (asked is not None and not isinstance(asked, Mapping)):
        return "is not known before the change"
    if kind in ("cpu", "memory"):
        return ""
    if kind != "prometheus":
        return f"is of type {kind}: its controller calls another place, and may send it Secrets of the pods"
    others = sorted({*(set(trigger) - _TRIGGER_FIELDS), *(set(asked or {}) - _QUERY_FIELDS)})
    if others:
        return f"states {', '.join(others)}, which may send a Secret of the pods"
    address = str(at(asked, "serverAddress"))
    platform = subject.platform
    stated = platform.monitoring.prometheus_url if platform else address
    return "" if address == stated else f"asks {address}, which the platform does not state"


_CONTROLS = (*fw.nist("AC-4", "CM-7(5)", "CM-8(3)"), *fw.iso_27001("A.8.12"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "data-path/known-kinds",
        "What is beside a class, or can reach it, is of a kind that Isthmus reads",
        "high",
        _CONTROLS,
        "A controller, a chart or a command that no rule reads can copy a class's data anywhere",
        _FIX_OF_KIND,
        _check_known,
        applies_to=_judged_objects,
    ),
    Rule(
        "data-path/patches-keep-boundaries",
        "Patches keep the boundary of every class",
        "critical",
        (*fw.nist("AC-4", "CM-5"), *fw.iso_27001("A.8.9"), *fw.dora("Art. 9(4)(b)")),
        "A patch changes an object that others wrote, and no rule judges the result",
        "Remove the patch. Write a change that the boundary allows into the object itself, where the rules judge it",
        _check_patches,
        applies_to=_patches,
    ),
    Rule(
        "data-path/volumes-stay-inside",
        "Volumes show no folder of a node, and keep a class's data in the stack",
        "critical",
        (*fw.nist("AC-4", "SC-4"), *fw.cis_kubernetes("5.2.12"), *fw.iso_27001("A.8.12")),
        "Files of every pod are on its node, so a pod that claims such a volume can read and send them",
        "Remove the volume, or use a storage class of the site",
        _check_volumes,
        (_VOLUME, _CLAIM),
        applies_to=_volumes,
    ),
    Rule(
        "data-path/nobody-else-is-asked",
        "No program outside the classes gets their objects or metrics",
        "critical",
        (*fw.nist("AC-4", "SC-7"), *fw.iso_27001("A.8.12"), *fw.dora("Art. 9(4)(b)")),
        "The API server sends whole objects to a webhook, with the Secrets and settings of the class",
        "Remove it, or name the namespaces that it is for (kubernetes.io/metadata.name), none of them a class's or one"
        " with controllers (kube-system, cert-manager)",
        _check_askers,
        (*_WEBHOOKS, _DEFINITION, *_MONITORS, _SCALED),
        applies_to=_askers,
    ),
)
