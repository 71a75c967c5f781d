"""Rules for the organisation's own code beside the platform: what it alters, and what it adds beside classes.

In the namespace of a class, or of a controller with power over classes, a known type is not enough: a second Service,
ConfigMap or network policy there can replace or widen what the platform states. Each needs an entry (`objects`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.trust import Kind
from isthmus.core.pulumi_values import MASK
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path import known_types
from policies.data_path.control_namespaces import control_reason
from policies.data_path.known_kinds import is_trusted_type, namespace_of, selected_by_name
from policies.data_path.own_reach import OwnObject, grant_of, is_plain_account, reaching_objects
from policies.inputs.applications import is_application
from policies.inputs.aws_reach import is_of_component
from policies.inputs.class_scope import class_above_public, has_classified_work
from policies.inputs.isolation import peers
from policies.inputs.people import all_trusted, is_held_by_trusted
from policies.inputs.pods import pods
from policies.inputs.values import at, has_unknown, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_COMPONENT, _KUBERNETES = "isthmus:index:", "kubernetes:"
_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_STATED_PROVIDERS = "pulumi:providers:kubernetes"
_CHARTS = ("kubernetes:helm.sh/", "kubernetes:kustomize", "kubernetes:yaml")
"""Judged as a whole by `data-path/known-kinds`."""
_OF_APPLICATIONS = (
    *("Service", "ConfigMap", "Secret", "NetworkPolicy", "ServiceAccount", "Certificate"),
    *("PodDisruptionBudget", "HorizontalPodAutoscaler"),
)
"""Kinds that an application brings in its own namespace (`policies.inputs.applications`)."""
_JUDGED_ALONE = (
    *_CHARTS,
    *("kubernetes:networking.k8s.io/v1:Ingress", "kubernetes:gateway.networking.k8s.io/"),
)
"""Beginnings of types that another rule reports wherever they are."""


def _altered(subject: Subject) -> Iterator[tuple[Resource, str]]:
    """Resources that own code alters, or adds to a component of Isthmus, with how."""
    if not has_classified_work(subject):
        return
    for resource in (*subject.graph.resources, *subject.graph.not_made):
        own = str(getattr(resource, "own", ""))
        aliases = list_or_empty(getattr(resource, "options", {}).get("aliases"))
        if aliases:
            yield (
                resource,
                f"hands the state of {aliases[0].rpartition('::')[2]}, which Isthmus makes, to {resource.name}",
            )
        if own.startswith("altered"):
            yield resource, f"changes {own.partition(': ')[2]} of {resource.name}, which Isthmus makes"
        elif own and _COMPONENT in resource.urn:
            yield (
                resource,
                f"adds {resource.name} under a component's name, so that it passes for a part of it",
            )


def _check(subject: Subject) -> Iterator[Violation]:
    for resource, how in _altered(subject):
        entry: tuple[Kind, str] = ("objects", resource.name)
        if not subject.trusts(*entry):
            yield Violation(
                f"stacks/own.py {how}; Isthmus does not know whether classified data still stays where it may",
                resource,
                "undecided",
                entry=entry,
            )


# --- Objects beside the platform's


def _others_objects(subject: Subject) -> Iterator[OwnObject]:
    """Objects that no component makes beside a class or a control plane, and others whose content reaches a class."""
    if not has_classified_work(subject):
        return
    reaching = {own.resource.urn: own for own in reaching_objects(subject)}
    pods_known = {pod.resource.urn for pod in pods(subject.graph)}
    for resource in subject.graph.resources:
        if resource.type.startswith(_KUBERNETES) and not is_of_component(resource):
            own = _beside(subject, resource, pods_known) or reaching.get(resource.urn)
            if own is not None:
                yield own


_FIX_OF_BINDING = (
    "Grant it through `people` of the platform, or have who answers for the class's data add the role or whom it is"
    " given to, to trust.yaml (roles, principals, objects)"
)


def _beside(subject: Subject, resource: Resource, pods_known: set[str]) -> OwnObject | None:
    """An object that decides about classes by its kind, or by the namespace that it is in; None: it does not."""
    kind = resource.type.rpartition(":")[2]
    if kind.endswith("Patch"):
        return None  # `data-path/patches-keep-boundaries` reports it
    name = name_and_namespace(resource)[0]
    if resource.type in known_types.ONLY_OF_COMPONENTS:
        return OwnObject(resource, name, "decides for every node, and for the pods of classes on it")
    if _dispatches(resource):
        return OwnObject(resource, name, "hands pods that wait for a quota to another cluster")
    if resource.type in known_types.HARMLESS_BESIDE or resource.type.startswith(_JUDGED_ALONE):
        return None
    if _is_harmless_there(subject, resource, kind):
        return None
    namespace = namespace_of(subject, resource) or ""
    class_ = class_above_public(subject.graph, namespace)
    value = f"{namespace}/{name}"
    if class_ and kind in _OF_APPLICATIONS and is_application(subject, namespace):
        return None  # its callers, ways out, names and pods are judged by other rules
    if class_ and kind == "RoleBinding":
        role, whom = grant_of(resource)
        problem = f"gives {whom} the role {role} in {namespace}: settings, pods and logs of class {class_} are there"
        return OwnObject(resource, value, problem, _entry_of_role(resource, role), _FIX_OF_BINDING)
    if class_ and resource.urn not in pods_known:
        problem = f"is in {namespace}, where its pods and callers take it for a part of class {class_}"
        return OwnObject(resource, value, problem, _entry_of_role(resource, name) if kind == "Role" else None)
    if class_ or not (reason := control_reason(subject, namespace)):
        return None
    return OwnObject(resource, value, f"is in {namespace} ({reason})")


def _entry_of_role(resource: Resource, role: str) -> tuple[Kind, str] | None:
    """The entry of a role by its name. Kubernetes' own are many others' too: an entry of the binding is narrower."""
    is_own = role not in ("view", "edit", "admin", "cluster-admin") and not role.startswith("system:")
    return ("roles", role) if is_own and not is_unknown(at(resource.inputs, "roleRef.name") or role) else None


def _is_harmless_there(subject: Subject, resource: Resource, kind: str) -> bool:
    """Whether an object of a kind that can open or grant something does neither, or grants it to whom others trust."""
    if kind == "NetworkPolicy":
        return _only_closes(subject, resource)
    if kind == "ServiceAccount":
        return is_plain_account(resource)
    if kind == "ConfigMap":
        return _is_dashboard(resource)
    if kind == "Role":
        name = name_and_namespace(resource)[0]
        return subject.trusts("roles", name) or is_held_by_trusted(subject, resource)
    if kind == "RoleBinding":
        is_trusted_role = subject.trusts("roles", str(at(resource.inputs, "roleRef.name")))
        return is_trusted_role or all_trusted(subject, list_or_empty(resource.inputs.get("subjects")))
    return False


def _is_dashboard(resource: Resource) -> bool:
    """Whether a new ConfigMap has pages for Grafana and nothing else: they show numbers to who may see them anyway."""
    labels, data = at(resource.inputs, "metadata.labels"), resource.inputs.get("data")
    is_new = not at(resource.inputs, "metadata.annotations") and "import" not in getattr(
        resource, "options", {}
    )
    is_json = isinstance(data, Mapping) and all(str(name).endswith(".json") for name in data)
    return isinstance(labels, Mapping) and "grafana_dashboard" in labels and is_json and is_new


def _only_closes(subject: Subject, policy: Resource) -> bool:
    """Whether a network policy opens nothing, or lets in only callers that the trust file names."""
    spec = at(policy.inputs, "spec")
    if not isinstance(spec, Mapping) or has_unknown(spec) or spec.get("egress"):
        return False
    return all(_is_trusted_caller(subject, peer) for peer in peers(policy, "ingress", "from"))


def _is_trusted_caller(subject: Subject, peer: Any) -> bool:
    if not isinstance(peer, Mapping):
        return False
    if peer.get("ipBlock") is not None:
        return subject.trusts("address_ranges", str(at(peer, "ipBlock.cidr")))
    named = selected_by_name(peer.get("namespaceSelector"))
    return bool(named) and all(subject.trusts("namespaces", caller) for caller in named)


def _dispatches(resource: Resource) -> bool:
    spec = resource.inputs.get("spec")
    is_queue = resource.type.startswith("kubernetes:kueue.x-k8s.io/") and resource.type.endswith(
        ":ClusterQueue"
    )
    return (
        is_queue
        and isinstance(spec, Mapping)
        and bool(set(spec) & {"admissionChecks", "admissionChecksStrategy"})
    )


def _check_objects(subject: Subject) -> Iterator[Violation]:
    for own in _others_objects(subject):
        entry: tuple[Kind, str] = ("objects", own.value)
        if not (subject.trusts(*entry) or is_trusted_type(subject, own.resource.type)):
            kind = own.resource.type.rpartition(":")[2]
            yield Violation(
                f"{own.resource.name} ({kind}) {own.problem}; no component of Isthmus makes it",
                own.resource,
                "undecided",
                entry=own.entry or entry,
                fix=own.fix,
                other_entries=(("resource_types", own.resource.type), entry),
            )
    yield from _check_reads(subject)
    yield from _check_default_namespaces(subject)


def _check_reads(subject: Subject) -> Iterator[Violation]:
    """Reports existing objects and other stacks that own code reads: what it takes of them is not known before."""
    if not has_classified_work(subject):
        return
    for resource in (*subject.graph.resources, *subject.graph.not_made):
        is_read = "read" in getattr(resource, "options", {})
        is_judged = resource.type.startswith((_KUBERNETES, "aws:", _STACK_REFERENCE))
        entry: tuple[Kind, str] = ("objects", resource.name)
        if is_read and is_judged and not (is_of_component(resource) or subject.trusts(*entry)):
            yield Violation(
                f"{resource.name} ({resource.type}) is read from outside the stack: what the program takes of it is"
                " not known before the change",
                resource,
                "undecided",
                entry=entry,
            )


def _check_default_namespaces(subject: Subject) -> Iterator[Violation]:
    """Reports providers that put objects without a namespace beside a control plane."""
    for provider in subject.graph.not_made:
        namespace = provider.inputs.get("namespace")
        if provider.type != _STATED_PROVIDERS or not namespace:
            continue
        if reason := control_reason(subject, str(namespace)):
            yield Violation(
                f"provider {provider.name} puts objects without a namespace into {namespace} ({reason}), where the"
                " rules do not expect them",
                provider,
                "undecided",
            )


# --- Values that are not known before the change


_SECRET_FIELDS = re.compile(
    r"(?:data|stringData)\..+|secretString|secretBinary|value|.*(?:[pP]assword|[pP]resharedKey|[aA]uthToken)"
    r"|.*\.env\[\d+\]\.value|.*\.?(?:privateKey|certificateBody|certificateChain|userData|userDataBase64)"
)
"""Paths at which a masked value is ordinary: contents that decide about nobody's right and no way."""
_OWN_PACKAGES = ("kubernetes", "aws", "pulumi", "isthmus")


def _hidden_values(resource: Resource) -> Iterator[str]:
    """Paths of values of own code that no rule can read: masked, or computed by a resource of another provider."""
    for path in _masked_paths(resource.inputs):
        if not _SECRET_FIELDS.fullmatch(path):
            yield f"{path} is a secret value"
    for key, urns in getattr(resource, "property_dependencies", {}).items():
        for urn in urns:
            package = urn.split("::")[2].rpartition("$")[2].partition(":")[0]
            is_content = key in ("data", "stringData") or _SECRET_FIELDS.fullmatch(key)
            if package not in _OWN_PACKAGES and not is_content:
                yield f"{key} comes from {urn.rpartition('::')[2]} of provider {package}"


def _masked_paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _masked_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _masked_paths(item, f"{path}[{index}]")
    elif isinstance(value, str) and MASK in value:
        yield path


def _with_hidden_values(subject: Subject) -> Iterator[tuple[Resource, list[str]]]:
    if not has_classified_work(subject):
        return
    for resource in subject.graph.resources:
        is_judged = resource.type.startswith((_KUBERNETES, "aws:")) and not is_of_component(resource)
        if is_judged and not resource.type.startswith(_CHARTS):
            hidden = sorted(set(_hidden_values(resource)))
            if hidden:
                yield resource, hidden


def _check_values(subject: Subject) -> Iterator[Violation]:
    for resource, hidden in _with_hidden_values(subject):
        entry: tuple[Kind, str] = ("objects", resource.name)
        if not subject.trusts(*entry):
            more = f", and {len(hidden) - 1} more" if len(hidden) > 1 else ""
            yield Violation(
                f"{resource.name} ({resource.type.rpartition(':')[2]}): {hidden[0]}{more}, so no rule can judge it"
                " before the change",
                resource,
                "undecided",
                entry=entry,
            )


def _judged(subject: Subject) -> Iterator[Resource]:
    yield from (own.resource for own in _others_objects(subject))
    for resource in (*subject.graph.resources, *subject.graph.not_made):
        if "read" in getattr(resource, "options", {}) and has_classified_work(subject):
            yield resource


RULES = (
    Rule(
        "data-path/components-unaltered",
        "An organisation's own code alters nothing that Isthmus makes",
        "critical",
        (*fw.nist("AC-4", "CM-3", "CM-5"), *fw.iso_27001("A.8.9", "A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "The rules know what Isthmus makes; a change after that can open what they take for closed",
        "Remove the change; what a platform needs otherwise is a field of its overrides (docs/stacks.md)",
        _check,
        applies_to=lambda subject: [resource for resource, _ in _altered(subject)],
    ),
    Rule(
        "data-path/own-objects",
        "Nothing is added beside a class or a control plane that nobody has reviewed",
        "critical",
        (*fw.nist("AC-4", "CM-3", "CM-7(5)"), *fw.iso_27001("A.8.9", "A.8.19"), *fw.dora("Art. 9(4)(b)")),
        "A second Service, setting or policy there can replace or widen what the platform states",
        "Put it into a namespace of its own, or have who answers for the class's data add it to trust.yaml (objects)",
        _check_objects,
        applies_to=_judged,
    ),
    Rule(
        "data-path/own-values",
        "What own code states is known before the change",
        "critical",
        (*fw.nist("AC-4", "CM-3", "CM-4"), *fw.iso_27001("A.8.9", "A.8.32"), *fw.dora("Art. 9(4)(e)")),
        "A name, kind, address or right that is secret or computed elsewhere passes every rule that compares it",
        "State names, kinds, addresses and rights as they are, not as secrets; or have who answers for the class's data"
        " add the object to trust.yaml (objects)",
        _check_values,
        applies_to=lambda subject: [resource for resource, _ in _with_hidden_values(subject)],
    ),
)
