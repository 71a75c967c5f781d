"""The component ClusterRoles: Kubernetes roles of people, and the fields that a model's owner may change."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_choice, check_sensitivity
from components.cluster.objects import (
    class_namespace,
    common_labels,
    create_admission_policy,
    metadata,
)
from isthmus.contracts.reference import roles
from isthmus.contracts.reference.model_owners import TUNING_POLICY, tuning_policy
from isthmus.core.errors import InputError

_RBAC = "rbac.authorization.k8s.io"


class RoleMembers(TypedDict):
    """The groups that have one role."""

    role: str
    """Role, one of `isthmus.contracts.reference.roles`: platform, model-owner, reviewer, auditor or application."""
    groups: list[str]
    """Names of groups as the API server knows them."""
    classes: NotRequired[list[str]]
    """Classes that the role covers. Absent: all."""


class ClassAtSite(TypedDict):
    """The model servers and the gateway of a class at a site, by name."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    models: list[str]
    """Its model servers."""
    gateway: str
    """The Service of its gateway. Empty without a gateway."""


class ClusterRolesArgs(TypedDict):
    """The roles of people at a site."""

    members: list[RoleMembers]
    """The members of each role."""
    classes: list[ClassAtSite]
    """The classes at the site."""


class ClusterRoles(pulumi.ComponentResource):
    """Kubernetes roles and their bindings to groups, from `isthmus.contracts.reference.roles`."""

    granted: pulumi.Output[list[str]]
    """One line for each binding: role, namespace and groups."""

    def __init__(self, name: str, args: ClusterRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ClusterRoles", name, dict(args), opts)
        members = args["members"]
        for index, member in enumerate(members):
            check_choice(member["role"], roles.ROLES, f"{name}.members.{index}.role")
            if not member["groups"]:
                raise InputError(
                    "the role has no groups",
                    fix="Add a group, or remove the member",
                    where=f"{name}.members.{index}.groups",
                )
        granted: list[str] = []
        for role in roles.ROLES:
            cluster_groups = _groups(members, role, None)
            if cluster_groups and (rules := roles.cluster_rules(role)):
                self._cluster_role(name, role, rules, cluster_groups)
                granted.append(f"{role} in the cluster: {', '.join(cluster_groups)}")
            for class_at_site in args["classes"]:
                namespace = class_namespace(check_sensitivity(class_at_site["sensitivity"], name))
                groups = _groups(members, role, class_at_site["sensitivity"])
                rules = roles.namespace_rules(role, class_at_site["models"], class_at_site["gateway"])
                if groups and rules:
                    self._role(
                        f"{name}-{class_at_site['sensitivity']}-{role}", role, namespace, rules, groups
                    )
                    granted.append(f"{role} in {namespace}: {', '.join(groups)}")
        owners = _groups(members, "model-owner", None)
        if owners:
            create_admission_policy(
                f"{name}-tuning", TUNING_POLICY, common_labels(TUNING_POLICY), tuning_policy(owners), self
            )
        self.granted = pulumi.Output.from_input(granted)
        self.register_outputs({"granted": self.granted})

    def _cluster_role(self, name: str, role: str, rules: list[dict[str, Any]], groups: list[str]) -> None:
        from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding

        role_name, labels = f"isthmus-{role}", common_labels(f"isthmus-{role}")
        cluster_role = ClusterRole(
            f"{name}-{role}",
            metadata=metadata(role_name, labels),
            rules=rules,  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self),
        )
        ClusterRoleBinding(
            f"{name}-{role}-binding",
            metadata=metadata(role_name, labels),
            role_ref=_reference("ClusterRole", role_name),  # type: ignore[arg-type]
            subjects=_subjects(groups),  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, depends_on=[cluster_role]),
        )

    def _role(
        self, name: str, role: str, namespace: str, rules: list[dict[str, Any]], groups: list[str]
    ) -> None:
        from pulumi_kubernetes.rbac.v1 import Role, RoleBinding

        role_name, labels = f"isthmus-{role}", common_labels(f"isthmus-{role}")
        role_object = Role(
            name,
            metadata=metadata(role_name, labels, namespace=namespace),
            rules=rules,  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self),
        )
        RoleBinding(
            f"{name}-binding",
            metadata=metadata(role_name, labels, namespace=namespace),
            role_ref=_reference("Role", role_name),  # type: ignore[arg-type]
            subjects=_subjects(groups),  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_object]),
        )


def _groups(members: list[RoleMembers], role: str, sensitivity: str | None) -> list[str]:
    """Groups with a role in one class. `sensitivity` None: in any class."""
    groups = [
        group
        for member in members
        if member["role"] == role
        and (sensitivity is None or sensitivity in (member.get("classes") or [sensitivity]))
        for group in member["groups"]
    ]
    return sorted(set(groups))


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def _subjects(groups: list[str]) -> list[dict[str, str]]:
    return [{"apiGroup": _RBAC, "kind": "Group", "name": group} for group in groups]
