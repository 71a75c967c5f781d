"""Rule for Kubernetes permissions that reach the namespaces of classes: who may change or read what is in them.

Reading objects other than Secrets, scaling and restarting are harmless. Every other permission is for the roles that
Isthmus creates (`isthmus.contracts.reference.roles`), for their stated members, and for what the organisation trusts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.contracts.trust import Kind
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.identity.class_credentials import check_credentials, credential_objects
from policies.inputs.class_scope import class_of_name, has_classified_work
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.neighbours import neighbour_namespaces, neighbour_reason
from policies.inputs.people import (
    all_trusted,
    is_break_glass_role,
    is_emergency_access,
    is_held_by_trusted,
    is_own_role,
    is_stated_member,
    principal_of,
)
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_VERSIONS = ("v1", "v1beta1", "v1alpha1")
_ROLES, _CLUSTER_ROLES, _ROLE_BINDINGS, _CLUSTER_ROLE_BINDINGS = (
    tuple(f"kubernetes:rbac.authorization.k8s.io/{version}:{kind}" for version in _VERSIONS)
    for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
)
_PATCHES = tuple(
    f"{type_}Patch" for type_ in (*_ROLES, *_CLUSTER_ROLES, *_ROLE_BINDINGS, *_CLUSTER_ROLE_BINDINGS)
)
_WIDE_ROLES = ("admin", "edit")
"""Kubernetes' own roles that may create pods and read Secrets. `identity/no-cluster-admin` has cluster-admin."""
_HARMLESS_ROLES = ("view", "cluster-admin")
"""Of Kubernetes itself. A program that defines a role of this name replaces it, so `_check_own_names` refuses it."""
_KUBERNETES_ROLES = re.compile(
    r"(view|edit|admin|cluster-admin"
    r"|system:(basic-user|discovery|public-info-viewer|monitoring|heapster|auth-delegator|aggregate-to-.*"
    r"|kube-.*|kubelet-.*|node|node-.*|controller:.*|certificates\.k8s\.io:.*|persistent-volume-provisioner"
    r"|service-account-issuer-discovery|volume-scheduler))"
)
_SYSTEM = "system:"
"""Beginning of names that bindings outside the stack may bind."""
_READS = frozenset(("get", "list", "watch"))
_RISING_VERBS = frozenset(("impersonate", "escalate", "bind", "assign", "approve", "sign"))
_HARMLESS_SUBRESOURCES: dict[str, frozenset[str]] = {
    "scale": frozenset((*_READS, "patch", "update")),
    "status": _READS,
    "pods/log": _READS,
    "pods/eviction": frozenset(("create",)),
    "nodes/metrics": _READS,
    "nodes/stats": _READS,
}
"""Subresource, of every resource or of one → verbs that show and change no data. With others somebody enters a pod,
speaks in its name, or writes the addresses and certificates that controllers believe."""
_HARMLESS_URLS = re.compile(
    r"/(version|healthz|livez|readyz|openapi|api|apis|\.well-known|metrics)(/[\w./-]*\*?)?\*?"
)
_HARMLESS_WRITES = frozenset(
    (
        *("events", "leases", "tokenreviews", "subjectaccessreviews"),
        *("selfsubjectaccessreviews", "localsubjectaccessreviews"),
    )
)
_AGGREGATED = "/aggregate-to-"


def _bindings(subject: Subject) -> Iterator[tuple[Resource, str, str]]:
    """Bindings that reach a class: binding, namespace and class (both empty: every namespace).

    In a neighbour's namespace the class alone is empty.
    """
    sensitivities = namespace_sensitivities(subject.graph)
    neighbours = neighbour_namespaces(subject)
    for binding in subject.graph.of(*_ROLE_BINDINGS):
        namespace = name_and_namespace(binding)[1]
        if sensitivities.get(namespace) or neighbour_reason(subject, namespace, neighbours):
            yield binding, namespace, sensitivities.get(namespace, "")
    if _has_classes(subject):
        for binding in subject.graph.of(*_CLUSTER_ROLE_BINDINGS):
            yield binding, "", ""


def _has_classes(subject: Subject) -> bool:
    return any(namespace_sensitivities(subject.graph).values()) or has_classified_work(subject)


def _roles_of_classes(subject: Subject) -> Iterator[Resource]:
    """Roles in namespaces of classes and neighbours, and cluster roles that others bind or aggregate."""
    sensitivities = namespace_sensitivities(subject.graph)
    neighbours = neighbour_namespaces(subject)
    for role in subject.graph.of(*_ROLES):
        namespace = name_and_namespace(role)[1]
        if sensitivities.get(namespace) or neighbour_reason(subject, namespace, neighbours):
            yield role
    if _has_classes(subject):
        selectors = _aggregations(subject)
        bound = _bound_cluster_roles(subject)
        for role in subject.graph.of(*_CLUSTER_ROLES):
            name = name_and_namespace(role)[0]
            if _KUBERNETES_ROLES.fullmatch(name):
                continue  # `_check_own_names` reports it
            if _is_aggregated(role, selectors) or name.startswith(_SYSTEM) or name not in bound:
                yield role


def _bound_cluster_roles(subject: Subject) -> frozenset[str]:
    """Names of cluster roles that a binding of the stack names, which is judged with them."""
    return frozenset(
        str(at(binding.inputs, "roleRef.name"))
        for binding in subject.graph.of(*_ROLE_BINDINGS, *_CLUSTER_ROLE_BINDINGS)
        if at(binding.inputs, "roleRef.kind") != "Role"
    )


def _aggregations(subject: Subject) -> list[Mapping[str, Any]]:
    """Labels by which cluster roles of the graph take on the permissions of others."""
    return [
        labels
        for role in subject.graph.of(*_CLUSTER_ROLES)
        for selector in list_or_empty(at(role.inputs, "aggregationRule.clusterRoleSelectors"))
        if isinstance(labels := at(selector, "matchLabels") or {}, Mapping)
    ]


def _is_aggregated(role: Resource, selectors: list[Mapping[str, Any]]) -> bool:
    labels = at(role.inputs, "metadata.labels")
    if not isinstance(labels, Mapping):
        return is_unknown(labels)
    return any(_AGGREGATED in str(key) for key in labels) or any(
        selector and all(labels.get(key) == value for key, value in selector.items())
        for selector in selectors
    )


def _patches(subject: Subject) -> Iterator[Resource]:
    """Patches of roles and bindings that reach a neighbour or every namespace. Those of classes are undecided."""
    if not has_classified_work(subject):
        return
    neighbours = neighbour_namespaces(subject)
    for patch in subject.graph.of(*_PATCHES):
        is_cluster_wide = ":Cluster" in patch.type
        if is_cluster_wide or neighbour_reason(subject, name_and_namespace(patch)[1], neighbours):
            yield patch


def _own_names(subject: Subject) -> Iterator[Resource]:
    """Cluster roles, and patches of them, that bear the name of a role of Kubernetes itself."""
    if _has_classes(subject):
        for role in subject.graph.of(*_CLUSTER_ROLES, *(f"{type_}Patch" for type_ in _CLUSTER_ROLES)):
            if _KUBERNETES_ROLES.fullmatch(name_and_namespace(role)[0]):
                yield role


def _objects(subject: Subject) -> Iterator[Resource]:
    seen: set[str] = set()
    for resource in (
        *_roles_of_classes(subject),
        *(binding for binding, _, _ in _bindings(subject)),
        *_own_names(subject),
        *_patches(subject),
        *credential_objects(subject),
    ):
        if resource.urn not in seen:
            seen.add(resource.urn)
            yield resource


def _check(subject: Subject) -> Iterator[Violation]:
    yield from _check_own_names(subject)
    yield from _check_patches(subject)
    yield from check_credentials(subject)
    for role in _roles_of_classes(subject):
        yield from _check_role(subject, role)
    for binding, namespace, sensitivity in _bindings(subject):
        yield from _check_subjects(subject, binding, namespace, sensitivity)
        yield from _check_binding(subject, binding, namespace)


def _check_own_names(subject: Subject) -> Iterator[Violation]:
    for role in _own_names(subject):
        name = name_and_namespace(role)[0]
        yield Violation(
            f"{role.name} writes `{name}`, a role of Kubernetes itself that bindings outside this stack bind: its"
            " subjects would have what the program allows, in every class's namespace",
            role,
        )


def _check_patches(subject: Subject) -> Iterator[Violation]:
    for patch in _patches(subject):
        name, namespace = name_and_namespace(patch)
        where = "in every class's namespace" if ":Cluster" in patch.type else _place(subject, namespace)
        subjects = patch.inputs.get("subjects")
        entries = list_or_empty(subjects)
        if ":Cluster" in patch.type and _KUBERNETES_ROLES.fullmatch(name) and "Binding" not in patch.type:
            continue  # `_check_own_names` reports it
        if "Binding" in patch.type:
            is_wide = ":Cluster" in patch.type  # its role is not shown, and it reaches every class
            is_trusted = not is_wide and all_trusted(subject, entries)
            if (subjects or at(patch.inputs, "roleRef")) and not (
                is_trusted or subject.trusts("roles", name)
            ):
                whom = ", ".join(str(at(entry, "name")) for entry in entries) or "somebody"
                yield Violation(
                    f"{patch.name} gives {whom} the permissions of the binding {name} {where}"
                    f"{_who_decides('roles' if is_wide else 'principals')}",
                    patch,
                    entry=_entry_of_binding_patch(name, entries, is_wide=is_wide),
                )
        elif not subject.trusts("roles", name):
            powers = _powers(patch.inputs)
            if powers is None or powers:
                granted = "unknown permissions" if powers is None else f"to {_listed(powers)}"
                yield Violation(
                    f"{patch.name} gives the subjects of {name} the right {granted} {where}{_who_decides('roles')}",
                    patch,
                    entry=("roles", name),
                )


def _entry_of_binding_patch(name: str, entries: list[Any], *, is_wide: bool) -> tuple[Kind, str] | None:
    if is_wide:
        return "roles", name
    return ("principals", principal_of(entries[0])[0]) if len(entries) == 1 else None


def _check_role(subject: Subject, role: Resource) -> Iterator[Violation]:
    name, namespace = name_and_namespace(role)
    if is_own_role(subject, role) or subject.trusts("roles", name):
        return
    powers = _powers(role.inputs)
    where = _place(subject, namespace) if role.type in _ROLES else "in every class's namespace"
    if neighbour_reason(subject, namespace) and role.type in _ROLES and is_held_by_trusted(subject, role):
        return
    if powers is None:
        yield Violation(f"what {role.name} allows {where} is not known before the change", role, "undecided")
    elif powers and is_break_glass_role(subject, role):
        return  # its bindings are judged, and nobody has it while no emergency access is in force
    elif powers and _is_bound_elsewhere(subject, role):
        yield Violation(
            f"{role.name} lets whoever is bound to {name} outside this stack {_listed(powers)} {where}"
            f"{_who_decides('roles')}",
            role,
            "undecided",
            entry=("roles", name),
        )
    elif powers:
        yield Violation(
            f"{role.name} lets its subjects {_listed(powers)} {where}{_who_decides('roles')}",
            role,
            entry=("roles", name),
        )


def _is_bound_elsewhere(subject: Subject, role: Resource) -> bool:
    """Whether only a binding that the stack does not show can give somebody a cluster role."""
    is_system = name_and_namespace(role)[0].startswith(_SYSTEM)
    return role.type in _CLUSTER_ROLES and not is_system and not _is_aggregated(role, _aggregations(subject))


def _check_binding(subject: Subject, binding: Resource, namespace: str) -> Iterator[Violation]:
    name = at(binding.inputs, "roleRef.name")
    where = _place(subject, namespace) if namespace else "in every class's namespace"
    if is_unknown(name):
        message = f"which permissions {binding.name} grants {where} is not known before the change"
        yield Violation(message, binding, "undecided")
        return
    entries = list_or_empty(binding.inputs.get("subjects"))
    whom = ", ".join(str(at(entry, "name")) for entry in entries) or "nobody"
    if subject.trusts("roles", str(name)):
        return
    if all_trusted(subject, entries) and not _gives_power(subject, binding, str(name), namespace):
        return
    is_cluster_role = at(binding.inputs, "roleRef.kind") != "Role"
    if is_cluster_role and (name in _HARMLESS_ROLES or _is_public(str(name))):
        return
    if is_cluster_role and name in _WIDE_ROLES:
        yield Violation(
            f"{binding.name} makes {whom} `{name}` {where}: they may create pods with the keys there and read the"
            f" Secrets{_who_decides('roles')}",
            binding,
            entry=("roles", str(name)),
        )
        return
    roles = _find_roles(subject, binding, str(name), namespace)
    if not roles:
        yield Violation(
            f"{binding.name} grants {whom} the role {name} {where}, whose permissions this stack does not show; whoever"
            f" answers for {TRUST_FILE} decides about it (roles)",
            binding,
            "undecided",
            entry=("roles", str(name)),
        )
    for role in roles:
        yield from _check_bound_role(subject, binding, role, namespace, where, whom)


def _gives_power(subject: Subject, binding: Resource, name: str, namespace: str) -> bool:
    """Whether a binding gives more than reading, scaling and restarting in a class's namespace.

    A role that the stack does not show may. An entry for whom it is given to says nothing of the role.
    """
    if namespace and not namespace_sensitivities(subject.graph).get(namespace):
        return False  # a neighbour's namespace holds no data of a class
    roles = _find_roles(subject, binding, name, namespace)
    return not roles or any(_powers(role.inputs) != [] for role in roles)


def _check_bound_role(
    subject: Subject, binding: Resource, role: Resource, namespace: str, where: str, whom: str
) -> Iterator[Violation]:
    name = name_and_namespace(role)[0]
    if is_break_glass_role(subject, role):
        if not is_emergency_access(subject, binding):
            yield Violation(
                f"{binding.name} gives {whom} the emergency access {where} without two keyholders who agree",
                binding,
            )
    elif is_own_role(subject, role):
        strangers = [
            str(at(entry, "name"))
            for entry in list_or_empty(binding.inputs.get("subjects"))
            if subject.platform is not None and not is_stated_member(subject, role, entry, namespace)
        ]
        if strangers:
            yield Violation(
                f"{binding.name} gives {', '.join(strangers)} the role {name} {where}, without being named in `people`"
                " of the platform",
                binding,
            )
    elif role.type in _CLUSTER_ROLES:  # a Role of the namespace is reported itself
        powers = _powers(role.inputs)
        if powers is None:
            message = f"what {role.name} allows {whom} {where} is not known before the change"
            yield Violation(message, binding, "undecided")
        elif powers:
            yield Violation(
                f"{binding.name} lets {whom} {_listed(powers)} {where}{_who_decides('roles')}", binding
            )


def _place(subject: Subject, namespace: str) -> str:
    """`in NAMESPACE`, and why it matters where no class's data is in it."""
    reason = neighbour_reason(subject, namespace)
    return f"in {namespace} ({reason})" if reason else f"in {namespace}"


def _is_public(name: str) -> bool:
    """Whether a role of Kubernetes itself is one that everybody has."""
    return name in ("system:basic-user", "system:discovery", "system:public-info-viewer")


def _check_subjects(
    subject: Subject, binding: Resource, namespace: str, sensitivity: str
) -> Iterator[Violation]:
    """Reports service accounts of another class, whose pods would act in this one."""
    if is_unknown(binding.inputs.get("subjects")):
        message = f"whom {binding.name} grants permissions is not known before the change"
        yield Violation(message, binding, "undecided")
    for entry in list_or_empty(binding.inputs.get("subjects")):
        principal, home = principal_of(entry)
        other = _class_of(subject, home)
        if namespace and not sensitivity:
            continue  # in a neighbour's namespace the permissions alone count
        if not other or (sensitivity == other and namespace) or subject.trusts("principals", principal):
            continue
        where = f"in {namespace}, of class {sensitivity}" if namespace else "in the namespaces of every class"
        yield Violation(f"{binding.name} gives {principal}, of class {other}, permissions {where}", binding)


def _class_of(subject: Subject, namespace: str) -> str:
    """The class of a namespace, also of one that this stack does not create."""
    return namespace_sensitivities(subject.graph).get(namespace, "") or class_of_name(namespace)


def _find_roles(subject: Subject, binding: Resource, name: str, namespace: str) -> list[Resource]:
    """Every role of the graph that a binding names; two definitions of one name overwrite each other."""
    kinds = _ROLES if at(binding.inputs, "roleRef.kind") == "Role" else _CLUSTER_ROLES
    return [
        role
        for role in subject.graph.of(*kinds)
        if len({provider_of(role), provider_of(binding)} - {""}) <= 1
        and name_and_namespace(role)[0] == name
        and (kinds == _CLUSTER_ROLES or name_and_namespace(role)[1] == namespace)
    ]


def _powers(inputs: Mapping[str, Any]) -> list[str] | None:
    """What a role allows beyond reading, scaling and restarting, as verb phrases; None: it cannot be read."""
    rules = inputs.get("rules")
    if is_unknown(rules) or inputs.get("aggregationRule"):
        return None
    powers: list[str] = []
    for rule in list_or_empty(rules):
        verbs, resources = at(rule, "verbs"), at(rule, "resources")
        urls = at(rule, "nonResourceURLs")
        stated = [verbs, resources, urls]
        if any(map(is_unknown, [rule, *stated, *(item for part in stated for item in list_or_empty(part))])):
            return None
        powers += [
            f"call {url} of the API server"
            for url in map(str, list_or_empty(urls))
            if not _HARMLESS_URLS.fullmatch(url) or not set(list_or_empty(verbs)) <= {"get", "head"}
        ]
        for resource in list_or_empty(resources):
            powers += _powers_over(str(resource), set(map(str, list_or_empty(verbs))))
    return list(dict.fromkeys(powers))


def _powers_over(resource: str, verbs: set[str]) -> Iterator[str]:
    if resource == "*" or resource.startswith("*/") or "*" in verbs:
        yield f"do everything with {'all objects' if '*' in resource else resource}"
        return
    if "/" in resource:
        harmless_verbs = _HARMLESS_SUBRESOURCES.get(resource) or _HARMLESS_SUBRESOURCES.get(
            resource.rpartition("/")[2], frozenset()
        )
        if not verbs <= harmless_verbs:
            yield f"use {resource} ({'/'.join(sorted(verbs - harmless_verbs))})"
        return
    if resource == "secrets" and verbs & _READS:
        yield "read Secrets"
    for verb in sorted(verbs & _RISING_VERBS):
        yield f"{verb} {resource}"
    writes = verbs - _READS - _RISING_VERBS
    harmless = resource in _HARMLESS_WRITES or (
        resource == "pods" and writes <= {"delete", "deletecollection"}
    )
    if writes and not harmless:
        yield f"{'/'.join(sorted(writes))} {resource}"


def _listed(powers: list[str]) -> str:
    return ", ".join(powers[:3]) + (f" and {len(powers) - 3} more" if len(powers) > 3 else "")


def _who_decides(kind: str) -> str:
    return (
        f". Whoever answers for {TRUST_FILE} decides whether it is a role of the cluster's operators ({kind})"
    )


RULES = (
    Rule(
        "identity/class-permissions",
        "Only stated people and trusted roles may change or read secrets in a class's namespace",
        "critical",
        (*fw.cis_kubernetes("5.1.2", "5.1.4", "5.1.8"), *fw.nist("AC-3", "AC-6"), *fw.iso_27001("A.8.2")),
        "Whoever may create a pod, open a policy or read a Secret there can read the class's data",
        "Grant the role through `people` of the platform, or leave reading, scaling and restarting only",
        _check,
        (*_ROLES, *_CLUSTER_ROLES, *_ROLE_BINDINGS, *_CLUSTER_ROLE_BINDINGS, *_PATCHES),
        applies_to=_objects,
    ),
)
