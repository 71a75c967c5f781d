"""Ownership of objects: which belong to the cluster or to controllers, and which owner references are valid."""

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


def stated_resource(kind: str, name: str, **spec: Any) -> Stated:
    group = GROUPS.get(kind, "")
    version = f"{group}/v1" if group else "v1"
    inputs = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    urn = f"urn:pulumi:s::p::kubernetes:{version}:{kind}::{name}"
    return Stated(urn, f"kubernetes:{group or 'core'}/v1:{kind}", name, inputs, id=f"{SPACE}/{name}")


def object_of(
    kind: str, name: str, owner: tuple[str, str] | None = None, **meta: Any
) -> tuple[Kind, dict[str, Any]]:
    """An object, its uid made of its kind and name. `owner`: kind and name of who it says owns it."""
    group = GROUPS.get(kind, "")
    object_meta = {"name": name, "namespace": SPACE, "uid": f"{kind}/{name}", **meta}
    if owner:
        owner_group = GROUPS.get(owner[0], "")
        refers = {
            "apiVersion": f"{owner_group}/v1" if owner_group else "v1",
            "kind": owner[0],
            "name": owner[1],
        }
        object_meta["ownerReferences"] = [{**refers, "uid": "/".join(owner)}]
    return Kind(group, "v1", kind, kind.lower() + "s", True, True), {"metadata": object_meta}


OURS = [
    stated_resource("Deployment", "server"),
    stated_resource("Service", "server"),
    stated_resource("Job", "load"),
    stated_resource("ScaledObject", "server"),
    stated_resource("LeaderWorkerSet", "big"),
    stated_resource("StatefulSet", "store", volumeClaimTemplates=[{"metadata": {"name": "data"}}]),
    stated_resource("Certificate", "gateway", secretName="gateway-tls"),
    Stated("u", "kubernetes:helm.sh/v3:Release", "keda", {}, id=f"{SPACE}/keda-1"),
]
THEIRS = [object_of(our.inputs["kind"], our.name) for our in OURS if our.inputs]


def foreign(*objects: tuple[Kind, dict[str, Any]]) -> set[str]:
    ownership = kubernetes_ownership.ownership_of(OURS)
    return {
        f"{kind.kind} {resource['metadata']['name']}"
        for kind, resource in ownership.foreign([*THEIRS, *objects])
    }


HELM = {"meta.helm.sh/release-name": "keda-1", "meta.helm.sh/release-namespace": SPACE}


@pytest.mark.parametrize(
    "brought",
    [
        [object_of("ConfigMap", "kube-root-ca.crt")],
        [object_of("ServiceAccount", "default")],
        [object_of("Event", "x"), object_of("Lease", "x")],
        [object_of("Endpoints", "server")],
        [object_of("EndpointSlice", "server-x", ("Service", "server"))],
        [
            object_of("ReplicaSet", "server-1", ("Deployment", "server")),
            object_of("Pod", "p", ("ReplicaSet", "server-1")),
        ],
        [object_of("Pod", "p", ("Job", "load"))],
        [object_of("HorizontalPodAutoscaler", "keda-hpa", ("ScaledObject", "server"))],
        [
            object_of("StatefulSet", "big", ("LeaderWorkerSet", "big")),
            object_of("Pod", "big-0", ("StatefulSet", "big")),
        ],
        [object_of("PersistentVolumeClaim", "data-store-0")],
        [object_of("Secret", "gateway-tls", annotations={"cert-manager.io/certificate-name": "gateway"})],
        [object_of("Secret", "sh.helm.release.v1.keda-1.v3")],
        [object_of("Deployment", "keda-operator", annotations=HELM)],
        [object_of("Pod", "p", ("Job", "load")), object_of("Workload", "w", ("Pod", "p"))],
    ],
    ids=lambda case: case[-1][0].kind,
)
def test_objects_owned_by_our_objects_or_the_cluster_are_not_drift(brought):
    assert foreign(*brought) == set()


@pytest.mark.parametrize(
    "put",
    [
        object_of("Deployment", "miner"),
        object_of("Secret", "key"),
        object_of("RoleBinding", "all"),
        object_of("NetworkPolicy", "open"),
        object_of("ConfigMap", "server"),  # Owners that make no such children.
        object_of("Secret", "key", ("Deployment", "server")),
        object_of("RoleBinding", "all", ("Job", "load")),
        object_of("Pod", "p", ("Deployment", "server")),
        object_of("NetworkPolicy", "open", ("Pod", "nobody")),  # Who claims another's name.
        object_of("Endpoints", "other"),
        object_of("PersistentVolumeClaim", "data-store-x"),
        object_of("PersistentVolumeClaim", "data-other-0"),
        object_of("Secret", "other-tls", annotations={"cert-manager.io/certificate-name": "gateway"}),
        object_of("Secret", "sh.helm.release.v1.other.v1"),
        object_of("Deployment", "x", annotations={**HELM, "meta.helm.sh/release-name": "other"}),
    ],
    ids=lambda case: f"{case[0].kind}-{case[1]['metadata']['name']}",
)
def test_an_object_created_by_hand_is_foreign(put):
    assert foreign(put) == {f"{put[0].kind} {put[1]['metadata']['name']}"}


def test_an_owner_reference_with_another_uid_is_not_accepted():
    set_, pod = (
        object_of("ReplicaSet", "r", ("Deployment", "server")),
        object_of("Pod", "p", ("ReplicaSet", "r")),
    )
    set_[1]["metadata"]["ownerReferences"][0]["uid"] = "Deployment/another"
    assert foreign(set_, pod) == {"ReplicaSet r", "Pod p"}


def test_objects_of_foreign_owners_and_owner_cycles_are_reported():
    chain = [object_of("Deployment", "d"), object_of("ReplicaSet", "r", ("Deployment", "d"))]
    assert foreign(*chain, object_of("Pod", "p", ("ReplicaSet", "r"))) == {"Deployment d"}
    assert foreign(*chain, object_of("Secret", "s", ("Deployment", "d"))) == {"Deployment d", "Secret s"}
    ring = [object_of("StatefulSet", "a", ("Pod", "b")), object_of("Pod", "b", ("StatefulSet", "a"))]
    assert foreign(*ring) == {"StatefulSet a", "Pod b"}
