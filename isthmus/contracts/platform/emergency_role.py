"""The role of an emergency access: its permissions, and the admission policy that restricts bindings to it."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.model.emergency_access import MAX_HOURS

ROLE = "isthmus-break-glass"
NOTES = "isthmus.dev/break-glass-"
RULES: list[dict[str, Any]] = [
    {
        "apiGroups": [""],
        "resources": ["pods", "pods/log", "services", "events", "configmaps", "persistentvolumeclaims"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": [""],
        "resources": ["pods/exec", "pods/portforward", "pods/attach"],
        "verbs": ["create", "get"],
    },
    {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["get", "patch", "update"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
    # Without `list`: the user must know the name of the Secret.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    {
        "apiGroups": ["apps", "leaderworkerset.x-k8s.io"],
        "resources": ["deployments", "deployments/scale", "leaderworkersets", "leaderworkersets/scale"],
        "verbs": ["get", "list", "watch", "patch", "update"],
    },
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "list", "watch"]},
]
"""Permissions of an emergency access: inspect pods and repair workloads, but not open networks or grant
permissions."""


def binding_policy() -> dict[str, Any]:
    """The policy for bindings to the emergency role: one user, approved by another one, for hours, and owned by a
    Job.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [
                {
                    "apiGroups": ["rbac.authorization.k8s.io"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["rolebindings", "clusterrolebindings"],
                }
            ],
        },
        "matchConditions": [
            {"name": "of-an-emergency", "expression": f"object.roleRef.name.startsWith('{ROLE}')"}
        ],
        "variables": [{"name": "notes", "expression": "object.metadata.?annotations.orValue({})"}],
        "validations": [
            {"expression": expression, "message": message, "reason": "Forbidden"}
            for expression, message in _binding_rules()
        ],
    }


def _binding_rules() -> list[tuple[str, str]]:
    """CEL rules for a binding, with their messages.

    CEL has no current time, but the API server sets an object's `creationTimestamp` before validation. So the hours
    of a binding count from its creation. A binding can be created and deleted, but never changed.
    """
    is_update_or_noted = f"request.operation == 'UPDATE' || ({_note('requester')} != '' && "
    return [
        (
            "object.kind == 'RoleBinding'",
            f"nobody is bound to {ROLE} in the whole cluster: name one class's namespace",
        ),
        (
            f"{_note('requester')} != '' && {_note('approver')} != '' && {_note('requester')} != {_note('approver')}",
            "an emergency access needs two people: who asks and, another one, who agrees",
        ),
        (f"{_note('reason')}.size() >= 10", "an emergency access needs its reason"),
        (
            (
                "object.?subjects.orValue([]).size() == 1 && object.subjects.all(s, s.kind == 'User' &&"
                f" s.name == {_note('requester')})"
            ),
            "an emergency access is one person's: who asked for it",
        ),
        (
            (
                "object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == 'Job' && o.name =="
                " object.metadata.name)"
            ),
            "an emergency access belongs to a timer that ends it",
        ),
        (
            (
                f"{is_update_or_noted}timestamp({_note('until')}) > timestamp(object.metadata.creationTimestamp) &&"
                f" timestamp({_note('until')}) - timestamp(object.metadata.creationTimestamp) <="
                f" duration('{MAX_HOURS}h'))"
            ),
            f"an emergency access that has ended, or lasts more than {MAX_HOURS} hours",
        ),
        (
            (
                "request.operation != 'UPDATE' || (object.subjects == oldObject.subjects &&"
                f" {_note('until')} == oldObject.metadata.?annotations[?'{NOTES}until'].orValue('') &&"
                f" {_note('requester')} == oldObject.metadata.?annotations[?'{NOTES}requester'].orValue('') &&"
                f" {_note('approver')} == oldObject.metadata.?annotations[?'{NOTES}approver'].orValue(''))"
            ),
            "an emergency access is not changed: end it and ask anew",
        ),
    ]


def _note(key: str) -> str:
    """CEL expression for an annotation of the binding."""
    return f"variables.notes[?'{NOTES}{key}'].orValue('')"
