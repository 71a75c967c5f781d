"""Whose an object is: what clusters and controllers bring is no drift, and no owner is believed that cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.engine.kubernetes import ownership as kubernetes_ownership
from isthmus.engine.kubernetes.discovery import Kind
from isthmus.graph.resources.state import Stated

SPACE = "isthmus-restricted"
GROUPS = {
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
    "Job": "batch",
    "EndpointSlice": "discovery.k8s.io",
    "HorizontalPodAutoscaler": "autoscaling",
    "RoleBinding": "rbac.authorization.k8s.io",
    "NetworkPolicy": "networking.k8s.io",
    "ScaledObject": "keda.sh",
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io",
    "Workload": "kueue.x-k8s.io",
    "Certificate": "cert-manager.io",
    "Lease": "coordination.k8s.io",
}


def stated(kind: str, name: str, **spec: Any) -> Stated:
    group = GROUPS.get(kind, "")
    version = f"{group}/v1" if group else "v1"
    inputs = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    urn = f"urn:pulumi:s::p::kubernetes:{version}:{kind}::{name}"
    return Stated(urn, f"kubernetes:{group or 'core'}/v1:{kind}", name, inputs, id=f"{SPACE}/{name}")


def found(
    kind: str, name: str, owner: tuple[str, str] | None = None, **meta: Any
) -> tuple[Kind, dict[str, Any]]:
    """An object, its uid made of its kind and name. `owner`: kind and name of who it says owns it."""
    group = GROUPS.get(kind, "")
    own = {"name": name, "namespace": SPACE, "uid": f"{kind}/{name}", **meta}
    if owner:
        of = GROUPS.get(owner[0], "")
        refers = {"apiVersion": f"{of}/v1" if of else "v1", "kind": owner[0], "name": owner[1]}
        own["ownerReferences"] = [{**refers, "uid": "/".join(owner)}]
    return Kind(group, "v1", kind, kind.lower() + "s", True, True), {"metadata": own}


OURS = [
    stated("Deployment", "server"),
    stated("Service", "server"),
    stated("Job", "load"),
    stated("ScaledObject", "server"),
    stated("LeaderWorkerSet", "big"),
    stated("StatefulSet", "store", volumeClaimTemplates=[{"metadata": {"name": "data"}}]),
    stated("Certificate", "gateway", secretName="gateway-tls"),
    Stated("u", "kubernetes:helm.sh/v3:Release", "keda", {}, id=f"{SPACE}/keda-1"),
]
THEIRS = [found(each.inputs["kind"], each.name) for each in OURS if each.inputs]


def foreign(*objects: tuple[Kind, dict[str, Any]]) -> set[str]:
    whose = kubernetes_ownership.ownership_of(OURS)
    return {f"{kind.kind} {each['metadata']['name']}" for kind, each in whose.foreign([*THEIRS, *objects])}


HELM = {"meta.helm.sh/release-name": "keda-1", "meta.helm.sh/release-namespace": SPACE}


@pytest.mark.parametrize(
    "brought",
    [
        [found("ConfigMap", "kube-root-ca.crt")],
        [found("ServiceAccount", "default")],
        [found("Event", "x"), found("Lease", "x")],
        [found("Endpoints", "server")],
        [found("EndpointSlice", "server-x", ("Service", "server"))],
        [
            found("ReplicaSet", "server-1", ("Deployment", "server")),
            found("Pod", "p", ("ReplicaSet", "server-1")),
        ],
        [found("Pod", "p", ("Job", "load"))],
        [found("HorizontalPodAutoscaler", "keda-hpa", ("ScaledObject", "server"))],
        [
            found("StatefulSet", "big", ("LeaderWorkerSet", "big")),
            found("Pod", "big-0", ("StatefulSet", "big")),
        ],
        [found("PersistentVolumeClaim", "data-store-0")],
        [found("Secret", "gateway-tls", annotations={"cert-manager.io/certificate-name": "gateway"})],
        [found("Secret", "sh.helm.release.v1.keda-1.v3")],
        [found("Deployment", "keda-operator", annotations=HELM)],
        [found("Pod", "p", ("Job", "load")), found("Workload", "w", ("Pod", "p"))],
    ],
    ids=lambda each: each[-1][0].kind,
)
def test_what_comes_of_ours_or_of_the_cluster_is_no_drift(brought):
    assert foreign(*brought) == set()


@pytest.mark.parametrize(
    "put",
    [
        found("Deployment", "miner"),
        found("Secret", "key"),
        found("RoleBinding", "all"),
        found("NetworkPolicy", "open"),
        found("ConfigMap", "server"),
        # Owners that make no such children.
        found("Secret", "key", ("Deployment", "server")),
        found("RoleBinding", "all", ("Job", "load")),
        found("Pod", "p", ("Deployment", "server")),
        found("NetworkPolicy", "open", ("Pod", "nobody")),
        # Who claims another's name.
        found("Endpoints", "other"),
        found("PersistentVolumeClaim", "data-store-x"),
        found("PersistentVolumeClaim", "data-other-0"),
        found("Secret", "other-tls", annotations={"cert-manager.io/certificate-name": "gateway"}),
        found("Secret", "sh.helm.release.v1.other.v1"),
        found("Deployment", "x", annotations={**HELM, "meta.helm.sh/release-name": "other"}),
    ],
    ids=lambda each: f"{each[0].kind}-{each[1]['metadata']['name']}",
)
def test_what_somebody_put_there_is_foreign(put):
    assert foreign(put) == {f"{put[0].kind} {put[1]['metadata']['name']}"}


def test_an_owner_must_have_the_uid_that_is_named():
    set_, pod = found("ReplicaSet", "r", ("Deployment", "server")), found("Pod", "p", ("ReplicaSet", "r"))
    set_[1]["metadata"]["ownerReferences"][0]["uid"] = "Deployment/another"
    assert foreign(set_, pod) == {"ReplicaSet r", "Pod p"}


def test_what_something_foreign_makes_is_told_with_it_and_owners_in_a_ring_are_nobodys():
    chain = [found("Deployment", "d"), found("ReplicaSet", "r", ("Deployment", "d"))]
    assert foreign(*chain, found("Pod", "p", ("ReplicaSet", "r"))) == {"Deployment d"}
    assert foreign(*chain, found("Secret", "s", ("Deployment", "d"))) == {"Deployment d", "Secret s"}
    ring = [found("StatefulSet", "a", ("Pod", "b")), found("Pod", "b", ("StatefulSet", "a"))]
    assert foreign(*ring) == {"StatefulSet a", "Pod b"}
