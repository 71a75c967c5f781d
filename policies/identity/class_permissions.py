"""Rule for Kubernetes permissions that reach the namespaces of classes: who may change or read what is in them.

Reading objects other than Secrets, scaling and restarting are harmless. Every other permission is for the roles that
Isthmus creates (`isthmus.contracts.reference.roles`), for their stated members, and for what the organisation trusts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.people import (
    is_break_glass_role,
    is_emergency_access,
    is_own_role,
    is_stated_member,
)
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
_ROLE, _CLUSTER_ROLE = f"{_RBAC}:Role", f"{_RBAC}:ClusterRole"
_ROLE_BINDING, _CLUSTER_ROLE_BINDING = f"{_RBAC}:RoleBinding", f"{_RBAC}:ClusterRoleBinding"
_WIDE_ROLES = ("admin", "edit")
"""Kubernetes' own roles that may create pods and read Secrets. `identity/no-cluster-admin` has cluster-admin."""
_HARMLESS_ROLES = ("view", "cluster-admin")
_READS = frozenset(("get", "list", "watch"))
_RISING_VERBS = frozenset(("impersonate", "escalate", "bind", "assign", "approve", "sign"))
_DOORS = frozenset(
    (
        *("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/ephemeralcontainers"),
        *("services/proxy", "nodes/proxy", "serviceaccounts/token"),
    )
)
"""Resources by which somebody enters a pod, or speaks in its name, with any verb."""
_HARMLESS_WRITES = frozenset(
    (
        *("events", "leases", "pods/eviction", "tokenreviews", "subjectaccessreviews"),
        *("selfsubjectaccessreviews", "localsubjectaccessreviews"),
    )
)
_AGGREGATED = "rbac.authorization.k8s.io/aggregate-to-"
_ACCOUNTS = "system:serviceaccounts:"


def _bindings(subject: Subject) -> Iterator[tuple[Resource, str, str]]:
    """Bindings that reach a class namespace: binding, namespace and class (both empty: every namespace)."""
    sensitivities = namespace_sensitivities(subject.graph)
    for binding in subject.graph.of(_ROLE_BINDING):
        namespace = name_and_namespace(binding)[1]
        if sensitivities.get(namespace):
            yield binding, namespace, sensitivities[namespace]
    if any(sensitivities.values()):
        for binding in subject.graph.of(_CLUSTER_ROLE_BINDING):
            yield binding, "", ""


def _roles_of_classes(subject: Subject) -> Iterator[Resource]:
    """Roles in class namespaces, and cluster roles whose permissions Kubernetes adds to its own roles."""
    sensitivities = namespace_sensitivities(subject.graph)
    for role in subject.graph.of(_ROLE):
        if sensitivities.get(name_and_namespace(role)[1]):
            yield role
    for role in subject.graph.of(_CLUSTER_ROLE) if any(sensitivities.values()) else ():
        labels = at(role.inputs, "metadata.labels")
        if isinstance(labels, Mapping) and any(str(key).startswith(_AGGREGATED) for key in labels):
            yield role


def _objects(subject: Subject) -> Iterator[Resource]:
    yield from _roles_of_classes(subject)
    yield from (binding for binding, _, _ in _bindings(subject))


def _check(subject: Subject) -> Iterator[Violation]:
    for role in _roles_of_classes(subject):
        yield from _check_role(subject, role)
    for binding, namespace, sensitivity in _bindings(subject):
        yield from _check_subjects(subject, binding, namespace, sensitivity)
        yield from _check_binding(subject, binding, namespace)


def _check_role(subject: Subject, role: Resource) -> Iterator[Violation]:
    name, namespace = name_and_namespace(role)
    if is_own_role(subject, role) or subject.trusts("roles", name):
        return
    powers = _powers(role.inputs)
    where = (
        f"in {namespace}" if role.type == _ROLE else "in every class's namespace, by Kubernetes' own roles"
    )
    if powers is None:
        yield Violation(f"what {role.name} allows {where} is not known before the change", role, "undecided")
    elif powers:
        yield Violation(
            f"{role.name} lets its subjects {_listed(powers)} {where}{_who_decides('roles')}",
            role,
            entry=("roles", name),
        )


def _check_binding(subject: Subject, binding: Resource, namespace: str) -> Iterator[Violation]:
    name = at(binding.inputs, "roleRef.name")
    where = f"in {namespace}" if namespace else "in every class's namespace"
    if is_unknown(name):
        message = f"which permissions {binding.name} grants {where} is not known before the change"
        yield Violation(message, binding, "undecided")
        return
    entries = list_or_empty(binding.inputs.get("subjects"))
    whom = ", ".join(str(at(entry, "name")) for entry in entries) or "nobody"
    if subject.trusts("roles", str(name)) or name in _HARMLESS_ROLES or _all_trusted(subject, entries):
        return
    if name in _WIDE_ROLES:
        yield Violation(
            f"{binding.name} makes {whom} `{name}` {where}: they may create pods with the class's keys and read its"
            f" Secrets{_who_decides('roles')}",
            binding,
            entry=("roles", str(name)),
        )
        return
    role = _find_role(subject, binding, str(name), namespace)
    if role is None:
        yield Violation(
            f"{binding.name} grants {whom} the role {name} {where}, whose permissions this stack does not show; whoever"
            f" answers for {TRUST_FILE} decides about it (roles)",
            binding,
            "undecided",
            entry=("roles", str(name)),
        )
    elif is_break_glass_role(subject, role):
        if not is_emergency_access(subject, binding):
            yield Violation(
                f"{binding.name} gives {whom} the emergency access {where} without two keyholders who agree",
                binding,
            )
    elif is_own_role(subject, role):
        strangers = [
            str(at(entry, "name"))
            for entry in entries
            if subject.platform is not None and not is_stated_member(subject, role, entry, namespace)
        ]
        if strangers:
            yield Violation(
                f"{binding.name} gives {', '.join(strangers)} the role {name} {where}, without being named in `people`"
                " of the platform",
                binding,
            )
    elif role.type == _CLUSTER_ROLE:  # a Role of the namespace is reported itself
        powers = _powers(role.inputs)
        if powers is None:
            message = f"what {role.name} allows {whom} {where} is not known before the change"
            yield Violation(message, binding, "undecided")
        elif powers:
            yield Violation(
                f"{binding.name} lets {whom} {_listed(powers)} {where}{_who_decides('roles')}", binding
            )


def _check_subjects(
    subject: Subject, binding: Resource, namespace: str, sensitivity: str
) -> Iterator[Violation]:
    """Reports service accounts of another class, whose pods would act in this one."""
    if is_unknown(binding.inputs.get("subjects")):
        message = f"whom {binding.name} grants permissions is not known before the change"
        yield Violation(message, binding, "undecided")
    for entry in list_or_empty(binding.inputs.get("subjects")):
        principal, home = _account(entry)
        other = _class_of(subject, home)
        if not other or (sensitivity == other and namespace) or subject.trusts("principals", principal):
            continue
        where = f"in {namespace}, of class {sensitivity}" if namespace else "in the namespaces of every class"
        yield Violation(f"{binding.name} gives {principal}, of class {other}, permissions {where}", binding)


def _account(entry: Any) -> tuple[str, str]:
    """The name by which the API server knows a service account or a group of them, and their namespace."""
    name, kind = str(at(entry, "name")), at(entry, "kind")
    if kind == "ServiceAccount":
        namespace = str(at(entry, "namespace") or "default")
        return f"system:serviceaccount:{namespace}:{name}", namespace
    if kind == "User" and name.startswith("system:serviceaccount:"):
        return name, name.split(":")[2] if name.count(":") >= 3 else ""
    return name, name.removeprefix(_ACCOUNTS) if name.startswith(_ACCOUNTS) else ""


def _class_of(subject: Subject, namespace: str) -> str:
    """The class of a namespace, also of one that this stack does not create."""
    known = namespace_sensitivities(subject.graph).get(namespace, "")
    parts = namespace.split("-")
    by_name = parts[1] if len(parts) > 1 and parts[0] == "isthmus" and parts[1] in SENSITIVITIES else ""
    return known or by_name


def _all_trusted(subject: Subject, entries: list[Any]) -> bool:
    return bool(entries) and all(subject.trusts("principals", _account(entry)[0]) for entry in entries)


def _find_role(subject: Subject, binding: Resource, name: str, namespace: str) -> Resource | None:
    kind = _ROLE if at(binding.inputs, "roleRef.kind") == "Role" else _CLUSTER_ROLE
    for role in subject.graph.of(kind):
        same_cluster = {provider_of(role), provider_of(binding)} - {""}
        if len(same_cluster) > 1 or name_and_namespace(role)[0] != name:
            continue
        if kind == _CLUSTER_ROLE or name_and_namespace(role)[1] == namespace:
            return role
    return None


def _powers(inputs: Mapping[str, Any]) -> list[str] | None:
    """What a role allows beyond reading, scaling and restarting, as verb phrases; None: it cannot be read."""
    rules = inputs.get("rules")
    if is_unknown(rules) or inputs.get("aggregationRule"):
        return None
    powers: list[str] = []
    for rule in list_or_empty(rules):
        verbs, resources = at(rule, "verbs"), at(rule, "resources")
        if any(map(is_unknown, [rule, verbs, resources, *list_or_empty(verbs), *list_or_empty(resources)])):
            return None
        for resource in list_or_empty(resources):
            powers += _powers_over(str(resource), set(map(str, list_or_empty(verbs))))
    return list(dict.fromkeys(powers))


def _powers_over(resource: str, verbs: set[str]) -> Iterator[str]:
    if resource == "*" or resource.startswith("*/") or "*" in verbs:
        yield f"do everything with {'all objects' if '*' in resource else resource}"
        return
    if resource in _DOORS and verbs:
        yield f"use {resource}"
        return
    if resource == "secrets" and verbs & _READS:
        yield "read Secrets"
    for verb in sorted(verbs & _RISING_VERBS):
        yield f"{verb} {resource}"
    writes = verbs - _READS - _RISING_VERBS
    harmless = (
        resource in _HARMLESS_WRITES
        or resource.endswith(("/scale", "/status", "/finalizers"))
        or (resource == "pods" and writes <= {"delete", "deletecollection"})
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
        (_ROLE, _CLUSTER_ROLE, _ROLE_BINDING, _CLUSTER_ROLE_BINDING),
        applies_to=_objects,
    ),
)
