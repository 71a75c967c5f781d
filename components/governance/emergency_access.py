"""The component EmergencyAccesses: time-limited access that two people agree to and that the cluster ends itself.

A RoleBinding grants it, and a Job owns the RoleBinding. The Job runs no pods. At its deadline, Kubernetes'
controllers delete it and with it the binding. So the access ends without a run of Isthmus.
"""

import datetime
from typing import Any, TypedDict

import pulumi

from components.cluster.objects import class_namespace, common_labels, create_admission_policy, metadata
from isthmus.contracts.platform.emergency_role import NOTES, ROLE, RULES, binding_policy


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
        notes = {f"{NOTES}{key}": access[key] for key in ("requester", "approver", "reason", "until")}
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
