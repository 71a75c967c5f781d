"""Who may do what in a cluster: Roles by class, ClusterRoles, and what a model's owner may change of it."""

import json
from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import one_of, sensitivity
from components.cluster.objects import CLASS_LABEL, class_namespace, enforced, labels, metadata
from isthmus.contracts.reference import roles
from isthmus.contracts.reference.vllm_flags import OWNER_FLAGS
from isthmus.core.errors import InputError

_RBAC = "rbac.authorization.k8s.io"
FROZEN = (
    *("volumes", "initContainers", "serviceAccountName", "automountServiceAccountToken", "imagePullSecrets"),
    *("securityContext", "hostAliases", "nodeSelector", "tolerations", "priorityClassName"),
)
"""Of a pod's spec, what stays as it is."""
FROZEN_OF_CONTAINER = (
    *("image", "command", "env", "envFrom", "volumeMounts", "securityContext", "ports", "lifecycle"),
    *("startupProbe", "readinessProbe", "livenessProbe"),
)


class RoleMembers(TypedDict):
    """Who has one role."""

    role: str
    """One of `isthmus.contracts.reference.roles`: platform, model-owner, reviewer, auditor or application."""
    groups: list[str]
    """Groups as the API server knows them."""
    classes: NotRequired[list[str]]
    """Classes that it concerns; absent: all."""


class ClassAtSite(TypedDict):
    """What of a class stands at the site, by name."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    models: list[str]
    """Its model servers."""
    gateway: str
    """The Service of its gateway; empty where there is none."""


class ClusterRolesArgs(TypedDict):
    """Who may do what at a site."""

    members: list[RoleMembers]
    """Who has which role."""
    classes: list[ClassAtSite]
    """The classes at the site."""


class ClusterRoles(pulumi.ComponentResource):
    """Kubernetes roles and their bindings to groups, from `isthmus.contracts.reference.roles`."""

    granted: pulumi.Output[list[str]]
    """A line for each binding: role, namespace and groups."""

    def __init__(self, name: str, args: ClusterRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ClusterRoles", name, dict(args), opts)
        members = args["members"]
        for at, each in enumerate(members):
            one_of(each["role"], roles.ROLES, f"{name}.members.{at}.role")
            if not each["groups"]:
                raise InputError("a role without groups is nobody's", where=f"{name}.members.{at}.groups")
        granted: list[str] = []
        for role in roles.ROLES:
            everywhere = _groups(members, role, None)
            if everywhere and (rules := roles.in_cluster(role)):
                self._cluster_role(name, role, rules, everywhere)
                granted.append(f"{role} in the cluster: {', '.join(everywhere)}")
            for held in args["classes"]:
                space = class_namespace(sensitivity(held["sensitivity"], name))
                groups = _groups(members, role, held["sensitivity"])
                rules = roles.in_namespace(role, held["models"], held["gateway"])
                if groups and rules:
                    self._role(f"{name}-{held['sensitivity']}-{role}", role, space, rules, groups)
                    granted.append(f"{role} in {space}: {', '.join(groups)}")
        owners = _groups(members, "model-owner", None)
        if owners:
            called = "isthmus-model-owners"
            enforced(f"{name}-tuning", called, labels(called), tuning_policy(owners), self)
        self.granted = pulumi.Output.from_input(granted)
        self.register_outputs({"granted": self.granted})

    def _cluster_role(self, name: str, role: str, rules: list[dict[str, Any]], groups: list[str]) -> None:
        from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding

        called, own = f"isthmus-{role}", labels(f"isthmus-{role}")
        made = ClusterRole(
            f"{name}-{role}",
            metadata=metadata(called, own),
            rules=rules,  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self),
        )
        ClusterRoleBinding(
            f"{name}-{role}-binding",
            metadata=metadata(called, own),
            role_ref=_reference("ClusterRole", called),  # type: ignore[arg-type]
            subjects=_subjects(groups),  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, depends_on=[made]),
        )

    def _role(self, name: str, role: str, space: str, rules: list[dict[str, Any]], groups: list[str]) -> None:
        from pulumi_kubernetes.rbac.v1 import Role, RoleBinding

        called, own = f"isthmus-{role}", labels(f"isthmus-{role}")
        made = Role(
            name,
            metadata=metadata(called, own, namespace=space),
            rules=rules,  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self),
        )
        RoleBinding(
            f"{name}-binding",
            metadata=metadata(called, own, namespace=space),
            role_ref=_reference("Role", called),  # type: ignore[arg-type]
            subjects=_subjects(groups),  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, depends_on=[made]),
        )


def tuning_policy(owners: list[str]) -> dict[str, Any]:
    """What RBAC cannot say: who may patch a Deployment could mount any Secret of its namespace and run any image.

    A model's owner changes how many there are, what they ask for, and the engine's arguments in `OWNER_FLAGS`.
    """

    def same(one: str, other: str, field: str) -> str:
        return (
            f"({one}.?{field}.hasValue() == {other}.?{field}.hasValue() &&"
            f" (!{one}.?{field}.hasValue() || {one}.{field} == {other}.{field}))"
        )

    frozen = " && ".join(same("variables.now", "variables.was", field) for field in FROZEN)
    containers = " && ".join(same("c", "o", field) for field in FROZEN_OF_CONTAINER)
    tuned = json.dumps([f"{flag}=" for flag in OWNER_FLAGS])
    kept = "{0}.?args.orValue([]).filter(a, !" + tuned + ".exists(t, a.startsWith(t)))"
    arguments = f"{kept.format('c')} == {kept.format('o')}"
    same_args = same("c", "o", "args")
    each = (
        "variables.now.containers.size() == variables.was.containers.size() && variables.now.containers.all(c,"
        " variables.was.containers.exists(o, o.name == c.name && "
        f"{containers} && (c.name == 'vllm' ? {arguments} : {same_args})))"
    )
    labelled = same("object.spec.template.metadata", "oldObject.spec.template.metadata", "labels")
    what = "a model's owner changes replicas, resources and these arguments of the engine, and nothing else: "
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
                "expression": f"{frozen} && {labelled} && {each}",
                "message": what + " ".join(OWNER_FLAGS),
                "reason": "Forbidden",
            }
        ],
    }


def _groups(members: list[RoleMembers], role: str, held: str | None) -> list[str]:
    """Groups with a role, in one class or, with None, in any."""
    chosen = [
        group
        for each in members
        if each["role"] == role and (held is None or held in (each.get("classes") or [held]))
        for group in each["groups"]
    ]
    return sorted(set(chosen))


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def _subjects(groups: list[str]) -> list[dict[str, str]]:
    return [{"apiGroup": _RBAC, "kind": "Group", "name": group} for group in groups]
