"""The component ClusterRoles: Kubernetes roles of people, and the fields that a model's owner may change."""

import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import check_choice, check_sensitivity
from components.cluster.objects import (
    CLASS_LABEL,
    class_namespace,
    common_labels,
    create_admission_policy,
    metadata,
)
from isthmus.contracts.reference import roles
from isthmus.contracts.reference.vllm_flags import OWNER_FLAGS
from isthmus.core.errors import InputError

_RBAC = "rbac.authorization.k8s.io"
FROZEN_POD_FIELDS = (
    *("volumes", "initContainers", "serviceAccountName", "automountServiceAccountToken", "imagePullSecrets"),
    *("securityContext", "hostAliases", "nodeSelector", "tolerations", "priorityClassName"),
)
"""Fields of a pod's spec that must not change."""
FROZEN_CONTAINER_FIELDS = (
    *("image", "command", "env", "envFrom", "volumeMounts", "securityContext", "ports", "lifecycle"),
    *("startupProbe", "readinessProbe", "livenessProbe"),
)


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
            policy_name = "isthmus-model-owners"
            create_admission_policy(
                f"{name}-tuning", policy_name, common_labels(policy_name), tuning_policy(owners), self
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


def tuning_policy(owners: list[str]) -> dict[str, Any]:
    """Restrictions that RBAC cannot express: a user who may patch a Deployment could mount any Secret of its
    namespace and run any image.

    A model's owner may change the number of replicas, their resources, and the engine's arguments in `OWNER_FLAGS`.
    """
    message = (
        "a model's owner changes replicas, resources and these arguments of the engine, and nothing else: "
    )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchExpressions": [{"key": CLASS_LABEL, "operator": "Exists"}]},
            "resourceRules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": ["deployments"],
                }
            ],
        },
        "matchConditions": [
            {
                "name": "by-a-models-owner",
                "expression": f"request.userInfo.groups.exists(g, g in {json.dumps(owners)})",
            }
        ],
        "variables": [
            {"name": "now", "expression": "object.spec.template.spec"},
            {"name": "was", "expression": "oldObject.spec.template.spec"},
        ],
        "validations": [
            {
                "expression": _only_tuned(),
                "message": message + " ".join(OWNER_FLAGS),
                "reason": "Forbidden",
            }
        ],
    }


def _only_tuned() -> str:
    """CEL: an update changes only replicas, resources, and arguments that an owner may tune."""
    frozen = " && ".join(_equal("variables.now", "variables.was", field) for field in FROZEN_POD_FIELDS)
    labels = _equal("object.spec.template.metadata", "oldObject.spec.template.metadata", "labels")
    container_fields = " && ".join(_equal("c", "o", field) for field in FROZEN_CONTAINER_FIELDS)
    containers = (
        "variables.now.containers.size() == variables.was.containers.size() && variables.now.containers.all(c,"
        " variables.was.containers.exists(o, o.name == c.name && "
        f"{container_fields} && (c.name == 'vllm' ? {_equal_other_arguments()} : {_equal('c', 'o', 'args')})))"
    )
    return f"{frozen} && {labels} && {containers}"


def _equal_other_arguments() -> str:
    """CEL: containers `c` and `o` have the same arguments, apart from `OWNER_FLAGS`."""
    owner_flags = json.dumps([f"{flag}=" for flag in OWNER_FLAGS])
    others = "{0}.?args.orValue([]).filter(a, !" + owner_flags + ".exists(t, a.startsWith(t)))"
    return f"{others.format('c')} == {others.format('o')}"


def _equal(left: str, right: str, field: str) -> str:
    """CEL: both objects have the same value of an optional field, or neither has it."""
    return (
        f"({left}.?{field}.hasValue() == {right}.?{field}.hasValue() &&"
        f" (!{left}.?{field}.hasValue() || {left}.{field} == {right}.{field}))"
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
