"""Roles, bindings and timers of people, as Isthmus's own components create them: compared exactly, never by name."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.emergency_role import NOTES, binding_policy
from isthmus.contracts.platform.emergency_role import ROLE as BREAK_GLASS
from isthmus.contracts.platform.emergency_role import RULES as BREAK_GLASS_RULES
from isthmus.contracts.platform.model.emergency_access import MAX_HOURS
from isthmus.contracts.reference import roles
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import provider_of
from policies.inputs.declared import namespace_sensitivities
from policies.inputs.values import at, list_or_empty
from policies.rules.rule import Subject

_PREFIX = "isthmus-"
_ACCOUNTS = "system:serviceaccounts:"
_POLICY, _BINDING = ":ValidatingAdmissionPolicy", ":ValidatingAdmissionPolicyBinding"


def is_break_glass_role(subject: Subject, role: Resource) -> bool:
    """Whether a role is the emergency access's, unchanged, and admission holds every binding to it to two people."""
    return (
        role.type.endswith(":ClusterRole")
        and name_and_namespace(role)[0] == BREAK_GLASS
        and role.inputs.get("rules") == BREAK_GLASS_RULES
        and not role.inputs.get("aggregationRule")
        and _bindings_are_guarded(subject, role)
    )


def _bindings_are_guarded(subject: Subject, role: Resource) -> bool:
    cluster = provider_of(role)
    policy, binding = (
        next(
            (
                resource
                for resource in subject.graph.of(kind)
                if provider_of(resource) in ("", cluster) and name_and_namespace(resource)[0] == BREAK_GLASS
            ),
            None,
        )
        for kind in (_POLICY, _BINDING)
    )
    if policy is None or binding is None:
        return False
    bound = {"policyName": BREAK_GLASS, "validationActions": ["Deny"]}
    return policy.inputs.get("spec") == binding_policy() and binding.inputs.get("spec") == bound


def is_break_glass_timer(subject: Subject, resource: Resource) -> bool:
    """Whether a Job is the timer of an emergency access: it runs no pod, and ends within the allowed hours."""
    platform = subject.platform
    spec = resource.inputs.get("spec")
    seconds = at(spec, "activeDeadlineSeconds")
    return (
        platform is not None
        and platform.people is not None
        and platform.people.break_glass is not None
        and resource.type.endswith("batch/v1:Job")
        and name_and_namespace(resource)[0].startswith(f"{BREAK_GLASS}-")
        and at(spec, "parallelism") == 0
        and isinstance(seconds, int)
        and seconds <= MAX_HOURS * 3600
    )


def is_emergency_access(subject: Subject, binding: Resource) -> bool:
    """Whether a binding is one keyholder's emergency access that another keyholder approved."""
    people = subject.platform.people if subject.platform is not None else None
    if people is None or people.break_glass is None or not binding.type.endswith(":RoleBinding"):
        return False
    users = {keyholder.user for keyholder in people.break_glass.keyholders}
    notes = at(binding.inputs, "metadata.annotations")
    requester, approver = (
        notes.get(f"{NOTES}{key}") if isinstance(notes, dict) else None for key in ("requester", "approver")
    )
    subjects = list_or_empty(binding.inputs.get("subjects"))
    return (
        {requester, approver} <= users
        and requester != approver
        and [(at(entry, "kind"), at(entry, "name")) for entry in subjects] == [("User", requester)]
    )


def is_own_role(subject: Subject, role: Resource) -> bool:
    """Whether a role is one of `isthmus.contracts.reference.roles` with exactly the table's permissions."""
    name, namespace = name_and_namespace(role)
    role_name: roles.RoleName | None = next(
        (known for known in roles.ROLES if name == f"{_PREFIX}{known}"), None
    )
    if role_name is None or role.inputs.get("aggregationRule"):
        return False
    if role.type.endswith(":ClusterRole"):
        return role.inputs.get("rules") == roles.cluster_rules(role_name)
    sensitivity = namespace_sensitivities(subject.graph).get(namespace, "")
    names = _names(role.inputs.get("rules"))
    allowed = {f"{sensitivity}-gateway"}
    if subject.platform is not None:
        allowed |= {endpoint.id for endpoint in subject.platform.endpoints if endpoint.class_ == sensitivity}
    models = sorted(names - {f"{sensitivity}-gateway"})
    gateway = f"{sensitivity}-gateway" if f"{sensitivity}-gateway" in names else ""
    return names <= allowed and role.inputs.get("rules") == roles.namespace_rules(role_name, models, gateway)


def _names(rules: Any) -> set[str]:
    return {str(name) for rule in list_or_empty(rules) for name in list_or_empty(at(rule, "resourceNames"))}


def is_stated_member(subject: Subject, role: Resource, entry: Any, namespace: str) -> bool:
    """Whether the platform names a binding's group as a member of this role, for the class of the namespace."""
    people = subject.platform.people if subject.platform is not None else None
    if people is None or at(entry, "kind") != "Group":
        return False
    role_name = name_and_namespace(role)[0].removeprefix(_PREFIX)
    sensitivity = namespace_sensitivities(subject.graph).get(namespace, "")
    return any(
        member.role == role_name
        and at(entry, "name") in member.groups
        and (not namespace or not member.classes or sensitivity in member.classes)
        for member in people.members
    )


# --- Principals of a cluster


def principal_of(entry: Any) -> tuple[str, str]:
    """The name by which the API server knows a service account or a group of them, and their namespace."""
    name, kind = str(at(entry, "name")), at(entry, "kind")
    if kind == "ServiceAccount":
        namespace = str(at(entry, "namespace") or "default")
        return f"system:serviceaccount:{namespace}:{name}", namespace
    if kind == "User" and name.startswith("system:serviceaccount:"):
        return name, name.split(":")[2] if name.count(":") >= 3 else ""
    return name, name.removeprefix(_ACCOUNTS) if name.startswith(_ACCOUNTS) else ""


def all_trusted(subject: Subject, entries: list[Any]) -> bool:
    """Whether there are subjects of a binding, and the trust file names each of them."""
    return bool(entries) and all(subject.trusts("principals", principal_of(entry)[0]) for entry in entries)


def is_held_by_trusted(subject: Subject, role: Resource) -> bool:
    """Whether the stack gives a Role to trusted principals only."""
    name, namespace = name_and_namespace(role)
    entries = [
        list_or_empty(binding.inputs.get("subjects"))
        for binding in subject.graph.of(":RoleBinding")
        if name_and_namespace(binding)[1] == namespace
        and (at(binding.inputs, "roleRef.kind"), at(binding.inputs, "roleRef.name")) == ("Role", name)
    ]
    return bool(entries) and all(all_trusted(subject, subjects) for subjects in entries)
