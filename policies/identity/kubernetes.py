"""Identity in clusters: who may do what in Kubernetes, and who comes in from AWS."""

from __future__ import annotations

from collections.abc import Iterator

from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_ROLES = (
    "kubernetes:rbac.authorization.k8s.io/v1:Role",
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
)
_BINDINGS = (
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
)
_EVERYBODY = ("system:anonymous", "system:unauthenticated", "system:authenticated", "system:masters")
_RISES = {"escalate", "bind", "impersonate"}


def _no_admin(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_BINDINGS):
        role = at(each.inputs, "roleRef.name")
        if unknown(role):
            yield Broken(f"which role {each.name} gives is not known before the change", each, "undecided")
        elif role == "cluster-admin":
            yield Broken(f"{each.name} makes its subjects masters of the cluster", each)


def _no_everybody(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_BINDINGS):
        for who in each.inputs.get("subjects") or []:
            name = str(at(who, "name"))
            if name in _EVERYBODY or name == "system:serviceaccounts":
                yield Broken(f"{each.name} gives its role to {name}", each)


def _no_wildcard(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_ROLES):
        for rule in each.inputs.get("rules") or []:
            for part in ("apiGroups", "resources", "verbs"):
                if "*" in (at(rule, part) or []):
                    yield Broken(f"{each.name} allows every one of its {part}", each)


def _no_rise(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_ROLES):
        for rule in each.inputs.get("rules") or []:
            verbs, what = set(at(rule, "verbs") or []), set(at(rule, "resources") or [])
            for verb in sorted(verbs & _RISES):
                yield Broken(f"{each.name} allows {verb}, by which its bearers rise", each)
            if what & {"pods/exec", "pods/attach", "pods/ephemeralcontainers"} and verbs & {
                "create",
                "get",
                "*",
            }:
                yield Broken(f"{each.name} lets its bearers into running pods", each)


def _secrets_unread(subject: Subject) -> Iterator[Broken]:
    for each in subject.graph.of(*_ROLES):
        for rule in each.inputs.get("rules") or []:
            read = set(at(rule, "verbs") or []) & {"get", "list", "watch"}
            if read and "secrets" in (at(rule, "resources") or []) and not at(rule, "resourceNames"):
                yield Broken(f"{each.name} reads every secret of its namespace or cluster", each)


def _cluster_access(subject: Subject) -> Iterator[Broken]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        said = at(cluster.inputs, "accessConfig")
        if unknown(said):
            yield Broken(f"who comes into {cluster.name} is not known yet", cluster, "undecided")
            continue
        if at(said, "bootstrapClusterCreatorAdminPermissions") is not False:
            yield Broken(
                f"whoever makes {cluster.name} stays its master, out of every review's sight", cluster
            )
        if at(said, "authenticationMode") != "API":
            yield Broken(f"{cluster.name} lets in whom a ConfigMap in it names", cluster)


RULES = (
    Rule(
        "identity/no-cluster-admin",
        "Nobody is bound to cluster-admin",
        "critical",
        (*fw.cis_kubernetes("5.1.1"), *fw.iso_27001("A.8.2"), *fw.dora("Art. 9(4)(c)")),
        "A master of the cluster takes admission and network policies away",
        "Bind a role that names what it needs; emergency access has a way of its own",
        _no_admin,
        _BINDINGS,
    ),
    Rule(
        "identity/no-role-for-everybody",
        "No role of a cluster is given to everybody",
        "critical",
        (*fw.nist("AC-3", "AC-6"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "Every pod's token, and whoever reaches the API server, would have it",
        "Name the group of the sign-on or the service account",
        _no_everybody,
        _BINDINGS,
    ),
    Rule(
        "identity/no-wildcard-in-cluster",
        "Roles of a cluster name what they allow",
        "high",
        (*fw.cis_kubernetes("5.1.3"), *fw.iso_27001("A.5.15"), *fw.dora("Art. 9(4)(c)")),
        "What comes with the next operator would be allowed as well",
        "Name apiGroups, resources and verbs",
        _no_wildcard,
        _ROLES,
    ),
    Rule(
        "identity/no-rise-in-cluster",
        "No role of a cluster lets its bearer rise, or into running pods",
        "high",
        fw.cis_kubernetes("5.1.8"),
        "Whoever may bind or impersonate has every right there is",
        "Take escalate, bind, impersonate and pods/exec away",
        _no_rise,
        _ROLES,
    ),
    Rule(
        "identity/secrets-unread",
        "Roles read the secrets that they name",
        "high",
        fw.cis_kubernetes("5.1.2"),
        "A namespace's secrets hold its callers' keys and its certificates",
        "Name resourceNames, or take get, list and watch of secrets away",
        _secrets_unread,
        _ROLES,
    ),
    Rule(
        "identity/cluster-access-reviewed",
        "Who comes into a cluster in AWS stands in the stack",
        "high",
        (*fw.nist("AC-2", "AC-6(7)"), *fw.iso_27001("A.5.18"), *fw.dora("Art. 9(4)(c)")),
        "An access that no resource states is seen by no review",
        "Set authenticationMode: API and bootstrapClusterCreatorAdminPermissions: false",
        _cluster_access,
        ("aws:eks/cluster:Cluster",),
    ),
)
