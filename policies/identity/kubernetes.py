"""Rules for permissions in Kubernetes clusters, and for access to EKS clusters."""

from __future__ import annotations

from collections.abc import Iterator

from policies.inputs.people import is_break_glass_role
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_VERSIONS = ("v1", "v1beta1", "v1alpha1")


def _types(*kinds: str) -> tuple[str, ...]:
    """Types of these kinds in every version that a cluster may serve, and their patches."""
    return tuple(
        f"kubernetes:rbac.authorization.k8s.io/{version}:{kind}{ending}"
        for kind in kinds
        for version in _VERSIONS
        for ending in ("", "Patch")
    )


_ROLES = _types("Role", "ClusterRole")
_BINDINGS = _types("RoleBinding", "ClusterRoleBinding")
_EVERYBODY = ("system:anonymous", "system:unauthenticated", "system:authenticated", "system:masters")
_ESCALATION_VERBS = {"escalate", "bind", "impersonate"}


def _check_no_cluster_admin(subject: Subject) -> Iterator[Violation]:
    for binding in subject.graph.of(*_BINDINGS):
        role = at(binding.inputs, "roleRef.name")
        if is_unknown(role):
            yield Violation(
                f"the role that {binding.name} binds is not known before the change is made",
                binding,
                "undecided",
            )
        elif role == "cluster-admin":
            yield Violation(f"{binding.name} binds its subjects to cluster-admin", binding)


def _check_no_everybody(subject: Subject) -> Iterator[Violation]:
    for binding in subject.graph.of(*_BINDINGS):
        for bound_subject in binding.inputs.get("subjects") or []:
            name = str(at(bound_subject, "name"))
            if name in _EVERYBODY or name == "system:serviceaccounts":
                yield Violation(f"{binding.name} binds its role to {name}", binding)


def _check_no_wildcard(subject: Subject) -> Iterator[Violation]:
    for role in subject.graph.of(*_ROLES):
        for rule in role.inputs.get("rules") or []:
            for part in ("apiGroups", "resources", "verbs"):
                if "*" in (at(rule, part) or []):
                    yield Violation(f"{role.name} uses the wildcard * in {part}", role)


def _check_no_escalation(subject: Subject) -> Iterator[Violation]:
    for role in subject.graph.of(*_ROLES):
        if is_break_glass_role(subject, role):
            continue  # two keyholders agree to each binding, which ends within hours
        for rule in role.inputs.get("rules") or []:
            verbs, kinds = set(at(rule, "verbs") or []), set(at(rule, "resources") or [])
            for verb in sorted(verbs & _ESCALATION_VERBS):
                yield Violation(
                    f"{role.name} allows {verb}, which lets its subjects escalate their permissions", role
                )
            if kinds & {"pods/exec", "pods/attach", "pods/ephemeralcontainers"} and verbs & {
                "create",
                "get",
                "*",
            }:
                yield Violation(f"{role.name} lets its subjects enter running pods", role)


def _check_secrets(subject: Subject) -> Iterator[Violation]:
    for role in subject.graph.of(*_ROLES):
        if is_break_glass_role(subject, role):
            continue  # two keyholders agree to each binding, which ends within hours
        for rule in role.inputs.get("rules") or []:
            read = set(at(rule, "verbs") or []) & {"get", "list", "watch"}
            if read and "secrets" in (at(rule, "resources") or []) and not at(rule, "resourceNames"):
                yield Violation(f"{role.name} can read every secret of its namespace or cluster", role)


def _check_cluster_access(subject: Subject) -> Iterator[Violation]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        access_config = at(cluster.inputs, "accessConfig")
        if is_unknown(access_config):
            yield Violation(f"who has access to {cluster.name} is not known yet", cluster, "undecided")
            continue
        if at(access_config, "bootstrapClusterCreatorAdminPermissions") is not False:
            yield Violation(
                f"the creator of {cluster.name} stays its administrator without any review", cluster
            )
        if at(access_config, "authenticationMode") != "API":
            yield Violation(f"{cluster.name} also grants access by a ConfigMap in the cluster", cluster)


RULES = (
    Rule(
        "identity/no-cluster-admin",
        "Nobody is bound to cluster-admin",
        "critical",
        (*fw.cis_kubernetes("5.1.1"), *fw.iso_27001("A.8.2"), *fw.dora("Art. 9(4)(c)")),
        "An administrator of the cluster can remove admission and network policies",
        "Bind a role that names the permissions it needs; for emergencies use emergency access",
        _check_no_cluster_admin,
        _BINDINGS,
    ),
    Rule(
        "identity/no-role-for-everybody",
        "No cluster role is bound to everybody",
        "critical",
        (*fw.nist("AC-3", "AC-6"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Every pod's token, and everyone who reaches the API server, would have these permissions",
        "Bind the role to a single sign-on group or a service account",
        _check_no_everybody,
        _BINDINGS,
    ),
    Rule(
        "identity/no-wildcard-in-cluster",
        "Cluster roles name what they allow",
        "high",
        (*fw.cis_kubernetes("5.1.3"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "A wildcard also allows the resources of operators that are installed later",
        "Name apiGroups, resources and verbs",
        _check_no_wildcard,
        _ROLES,
    ),
    Rule(
        "identity/no-rise-in-cluster",
        "No cluster role allows escalating permissions or entering running pods",
        "high",
        fw.cis_kubernetes("5.1.8"),
        "Whoever may bind or impersonate can get every permission",
        "Remove escalate, bind, impersonate and pods/exec from the role",
        _check_no_escalation,
        _ROLES,
    ),
    Rule(
        "identity/secrets-unread",
        "Roles read only the secrets that they name",
        "high",
        fw.cis_kubernetes("5.1.2"),
        "The secrets of a namespace include its callers' keys and its certificates",
        "Set resourceNames, or remove get, list and watch of secrets",
        _check_secrets,
        _ROLES,
    ),
    Rule(
        "identity/cluster-access-reviewed",
        "Access to an EKS cluster is declared in the stack",
        "high",
        (*fw.nist("AC-2", "AC-6(7)"), *fw.iso_27001("A.5.18"), *fw.dora("Art. 9(4)(c)")),
        "Nobody reviews an access that no resource declares",
        "Set authenticationMode: API and bootstrapClusterCreatorAdminPermissions: false",
        _check_cluster_access,
        ("aws:eks/cluster:Cluster",),
    ),
)
