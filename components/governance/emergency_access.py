"""The component EmergencyAccesses: time-limited access that two people agree to and that the cluster ends itself.

A RoleBinding grants it, and a Job owns the RoleBinding. The Job runs no pods. At its deadline, Kubernetes'
controllers delete it and with it the binding. So the access ends without a run of Isthmus.
"""

import datetime
from typing import Any, TypedDict

import pulumi

from components.cluster.objects import class_namespace, common_labels, create_admission_policy, metadata
from isthmus.contracts.platform.model.emergency_access import MAX_HOURS

ROLE = "isthmus-break-glass"
_NOTES = "isthmus.dev/break-glass-"
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


class EmergencyAccess(TypedDict):
    """One emergency access that is in force."""

    id: str
    """Id of the access."""
    sensitivity: str
    """Class whose namespace it covers."""
    requester: str
    """User who gets it, as the API server knows them."""
    approver: str
    """User who approved it."""
    reason: str
    """Reason for the access."""
    until: str
    """End of the access, RFC 3339 in UTC."""


class BreakGlassArgs(TypedDict):
    """The emergency accesses at a site."""

    accesses: list[EmergencyAccess]
    """Accesses in force."""
    image: str
    """An image that the cluster admits. It is never run."""


class EmergencyAccesses(pulumi.ComponentResource):
    """The role of an emergency, the policy that restricts bindings to it, and the accesses in force."""

    def __init__(self, name: str, args: BreakGlassArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:EmergencyAccesses", name, dict(args), opts)
        from pulumi_kubernetes.rbac.v1 import ClusterRole

        labels, child = common_labels(ROLE), pulumi.ResourceOptions(parent=self)
        role = ClusterRole(
            f"{name}-role",
            metadata=metadata(ROLE, labels),
            rules=RULES,  # type: ignore[arg-type]
            opts=child,
        )
        binding = create_admission_policy(f"{name}-policy", ROLE, labels, binding_policy(), self)
        for access in args["accesses"]:
            self._grant(name, access, args["image"], [role, binding])
        self.register_outputs({})

    def _grant(
        self, name: str, access: EmergencyAccess, image: str, dependencies: list[pulumi.Resource]
    ) -> None:
        from pulumi_kubernetes.batch.v1 import Job
        from pulumi_kubernetes.rbac.v1 import RoleBinding

        name_in_cluster, namespace = f"{ROLE}-{access['id']}", class_namespace(access["sensitivity"])
        labels = common_labels(name_in_cluster, sensitivity=access["sensitivity"])
        notes = {f"{_NOTES}{key}": access[key] for key in ("requester", "approver", "reason", "until")}
        timer: Any = timer_spec(access["until"], image, labels)
        job = Job(
            f"{name}-{access['id']}-timer",
            metadata=metadata(
                name_in_cluster,
                labels,
                namespace=namespace,
                annotations={**notes, "pulumi.com/skipAwait": "true"},
            ),
            spec=timer,
            opts=pulumi.ResourceOptions(
                # The remaining time is shorter at each run, but the Job's start and its first deadline decide.
                parent=self,
                depends_on=dependencies,
                ignore_changes=["spec"],
            ),
        )
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name_in_cluster,
            "uid": job.metadata.apply(lambda meta: str(meta.uid)),
        }
        meta: Any = {
            **metadata(name_in_cluster, labels, namespace=namespace, annotations=notes),
            "ownerReferences": [owner],
        }
        group = "rbac.authorization.k8s.io"
        role: Any = {"apiGroup": group, "kind": "ClusterRole", "name": ROLE}
        subject: Any = {"apiGroup": group, "kind": "User", "name": access["requester"]}
        RoleBinding(
            f"{name}-{access['id']}",
            metadata=meta,
            role_ref=role,
            subjects=[subject],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[job]),
        )


def timer_spec(until: str, image: str, labels: dict[str, str]) -> dict[str, Any]:
    """A Job without pods and with a deadline. At the deadline it fails and is deleted at once, with the objects
    that it owns.
    """
    remaining = datetime.datetime.fromisoformat(until) - datetime.datetime.now(datetime.UTC)
    return {
        "parallelism": 0,
        "completions": 1,
        "backoffLimit": 0,
        "activeDeadlineSeconds": max(1, int(remaining.total_seconds())),
        "ttlSecondsAfterFinished": 0,
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "timer",
                        "image": image,
                        "resources": {"requests": {"cpu": "1m"}, "limits": {"cpu": "1m", "memory": "8Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                            "readOnlyRootFilesystem": True,
                        },
                    }
                ],
            },
        },
    }


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
                f" {_note('until')} == oldObject.metadata.?annotations[?'{_NOTES}until'].orValue('') &&"
                f" {_note('requester')} == oldObject.metadata.?annotations[?'{_NOTES}requester'].orValue('') &&"
                f" {_note('approver')} == oldObject.metadata.?annotations[?'{_NOTES}approver'].orValue(''))"
            ),
            "an emergency access is not changed: end it and ask anew",
        ),
    ]


def _note(key: str) -> str:
    """CEL expression for an annotation of the binding."""
    return f"variables.notes[?'{_NOTES}{key}'].orValue('')"
