"""Own objects that reach a class from beside it: each is undecided without its entry, and passes with that one line."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.engine.render.recorder import Resource
from policies.evaluation.evaluation import judge
from tests.blueprints.bank import rendered
from tests.policies.boundary_rows import (
    RESTRICTED,
    TODAY,
    component,
    deployment_spec,
    kube,
    other,
    proposed,
    stops,
)

OBJECTS, PATCHES = "data-path/own-objects", "data-path/patches-keep-boundaries"
ASKED = "data-path/nobody-else-is-asked"
RBAC = "rbac.authorization.k8s.io"
NAMESPACED_BY = "kubernetes.io/metadata.name"


def trusting(kind: str, *values: str) -> Settings:
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    return Settings(trust=Trust.model_validate({kind: [{"value": value, **about} for value in values]}))


def lets_in(where: dict[str, Any], pods: dict[str, Any] | None = None, name: str = "in") -> Resource:
    spec = {"podSelector": pods or {}, "policyTypes": ["Ingress"], "ingress": [{"from": [where]}]}
    return kube("networking.k8s.io/v1:NetworkPolicy", name, spec=spec)


def space(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {NAMESPACED_BY: name}}}


def bound(role: str, group: str, kind: str = "ClusterRole", namespace: str = RESTRICTED) -> Resource:
    return kube(
        f"{RBAC}/v1:RoleBinding",
        "look",
        namespace,
        roleRef={"apiGroup": RBAC, "kind": kind, "name": role},
        subjects=[{"apiGroup": RBAC, "kind": "Group", "name": group}],
    )


def volume(**source: Any) -> Resource:
    spec = {
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        **source,
    }
    return kube("core/v1:PersistentVolume", "disk", None, spec=spec)


def claim(**spec: Any) -> Resource:
    stated = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return kube("core/v1:PersistentVolumeClaim", "take", "team", spec=stated)


def webhook(client: dict[str, Any], selector: Any, *rules: dict[str, Any]) -> Resource:
    hook = {"name": "h.example", "clientConfig": client, "namespaceSelector": selector, "rules": list(rules)}
    kind = "admissionregistration.k8s.io/v1:MutatingWebhookConfiguration"
    return kube(kind, "hook", None, webhooks=[hook])


def named(*names: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": NAMESPACED_BY, "operator": "In", "values": list(names)}]}


def asks(*resources: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": [*resources], **more}


def admission(**spec: Any) -> Resource:
    rules = {"resourceRules": [asks("secrets")], **spec.pop("match", {})}
    return kube(
        "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
        "hygiene",
        None,
        spec={"matchConstraints": rules, "validations": [{"expression": "true"}], **spec},
    )


def workload(name: str = "tool", namespace: str = "team", notes: Any = None, **pod: Any) -> Resource:
    spec = copy.deepcopy(deployment_spec())
    spec["template"]["spec"] |= {"serviceAccountName": "default", **pod}
    if notes:
        spec["template"]["metadata"]["annotations"] = notes
    return kube("apps/v1:Deployment", name, namespace, spec=spec)


def scaled(**trigger: Any) -> Resource:
    spec = {"scaleTargetRef": {"name": "worker"}, "maxReplicaCount": 3, "triggers": [trigger]}
    return kube("keda.sh/v1alpha1:ScaledObject", "worker", "team", spec=spec)


def vault(namespace: str, **spec: Any) -> Resource:
    store = {"secretStoreRef": {"name": "vault", "kind": "ClusterSecretStore"}}
    return kube("external-secrets.io/v1:ExternalSecret", "keys", namespace, spec={**store, **spec})


SERVICE = {"service": {"name": "hook", "namespace": "team"}}
NOT_CLASSES = {
    "matchExpressions": [
        {
            "key": NAMESPACED_BY,
            "operator": "NotIn",
            "values": [f"isthmus-{c}" for c in ("public", "internal", "confidential", "restricted")],
        }
    ]
}
BODY = [{"key": "body", "valueExpression": "string(object.data)"}]
CLUSTER_CREDENTIAL = {"kind": "ClusterTriggerAuthentication", "name": "prometheus"}
ARGUMENTS = {
    "template": {"spec": {"containers": [{"name": "c", "args": ["--cluster-resource-namespace=x"]}]}}
}
ROLE_ARN = {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::210987654321:role/cm"}}
SPACES = ("cert-manager", "calico-system", "istio-system", "keda", "monitoring", "reviewers", "logging")

UNRELATED = {"network/default-deny", "workload/admission-denies"}
"""Rules about the rest of these objects: a team's namespace without its policies, a policy without a binding."""

ROWS: dict[str, tuple[Resource, str, str]] = {
    **{
        f"patch-in-{namespace}": (
            kube("apps/v1:DeploymentPatch", "x", namespace, spec=ARGUMENTS),
            PATCHES,
            f"{namespace}/x",
        )
        for namespace in SPACES
    },
    "mesh-settings": (
        kube("core/v1:ConfigMapPatch", "istio", "istio-system", data={"mesh": "x"}),
        PATCHES,
        "istio-system/istio",
    ),
    "external-service": (
        kube("core/v1:ServicePatch", "hook", "cert-manager", spec={"externalName": "evil.example"}),
        PATCHES,
        "cert-manager/hook",
    ),
    "endpoints-patch": (
        kube(
            "core/v1:EndpointsPatch",
            "keda-operator",
            "keda",
            subsets=[{"addresses": [{"ip": "203.0.113.9"}]}],
        ),
        PATCHES,
        "keda/keda-operator",
    ),
    "settings-of-prometheus": (
        kube("core/v1:ConfigMap", "prometheus", "monitoring", data={"a": "b"}),
        OBJECTS,
        "monitoring/prometheus",
    ),
    "settings-of-a-log-shipper": (
        kube("core/v1:ConfigMap", "fluent-bit", "logging", data={"a": "b"}),
        OBJECTS,
        "logging/fluent-bit",
    ),
    "tunnel-address-of-a-node": (
        kube(
            "core/v1:NodePatch",
            "node-1",
            None,
            metadata={"annotations": {"projectcalico.org/IPv4VXLANTunnelAddr": "203.0.113.9"}},
        ),
        PATCHES,
        "node-1",
    ),
    "label-of-a-node": (
        kube(
            "core/v1:NodePatch", "node-1", None, metadata={"labels": {"nvidia.com/mig.config": "all-1g.10gb"}}
        ),
        PATCHES,
        "node-1",
    ),
    "reviewers-into-the-gateway": (
        lets_in(space("reviewers"), {"matchLabels": {"isthmus.dev/role": "gateway"}}),
        OBJECTS,
        f"{RESTRICTED}/in",
    ),
    "monitoring-into-models": (
        lets_in(space("monitoring"), {"matchLabels": {"isthmus.dev/role": "model"}}),
        OBJECTS,
        f"{RESTRICTED}/in",
    ),
    "view-for-a-groups-pods": (bound("view", "system:serviceaccounts:team"), OBJECTS, f"{RESTRICTED}/look"),
    "account-with-a-cloud-role": (
        kube("core/v1:ServiceAccount", "cert-manager", "cert-manager", metadata=ROLE_ARN),
        OBJECTS,
        "cert-manager/cert-manager",
    ),
    "share-of-an-unknown-server": (volume(nfs={"server": "10.40.0.30", "path": "/vol7"}), OBJECTS, "disk"),
    "disk-of-another-driver": (volume(portworxVolume={"volumeID": "v7", "fsType": "ext4"}), OBJECTS, "disk"),
    "disk-of-a-virtual-machine": (volume(vsphereVolume={"volumePath": "[ds1] x.vmdk"}), OBJECTS, "disk"),
    "disk-by-its-id": (
        volume(csi={"driver": "ebs.csi.aws.com", "volumeHandle": "vol-0a1b2c3d4e5f60711"}),
        OBJECTS,
        "disk",
    ),
    "claim-of-a-classs-volume": (
        claim(storageClassName="", volumeName="records-restricted"),
        OBJECTS,
        "team/take",
    ),
    "claim-of-any-free-volume": (claim(storageClassName=""), OBJECTS, "team/take"),
    "claim-by-labels": (claim(selector={"matchLabels": {"a": "b"}}), OBJECTS, "team/take"),
    "keys-of-a-vault": (
        vault("team", data=[{"secretKey": "k", "remoteRef": {"key": "isthmus/restricted/audit"}}]),
        OBJECTS,
        "team/keys",
    ),
    "all-keys-for-reviewers": (
        vault("reviewers", dataFrom=[{"find": {"path": "isthmus/"}}]),
        OBJECTS,
        "reviewers/keys",
    ),
    "contents-in-the-audit-log": (admission(auditAnnotations=BODY), OBJECTS, "hygiene"),
    "contents-in-messages": (
        admission(validations=[{"expression": "false", "messageExpression": "string(object.data)"}]),
        OBJECTS,
        "hygiene",
    ),
    "cluster-credential": (
        scaled(type="metrics-api", metadata={"url": "https://evil"}, authenticationRef=CLUSTER_CREDENTIAL),
        OBJECTS,
        "team/worker",
    ),
    "gpu-runtime": (workload(runtimeClassName="nvidia"), OBJECTS, "team/tool"),
    "network-of-a-class": (
        workload(notes={"k8s.v1.cni.cncf.io/networks": "isthmus-restricted/rdma"}),
        OBJECTS,
        "team/tool",
    ),
    "webhook-of-a-controllers-namespace": (
        webhook(SERVICE, named("cert-manager"), asks("secrets")),
        ASKED,
        "hook",
    ),
    "webhook-of-objects-without-a-namespace": (
        webhook(SERVICE, named("team"), asks("persistentvolumes", "nodes", scope="Cluster")),
        ASKED,
        "hook",
    ),
    "webhook-of-every-resource": (webhook(SERVICE, named("team"), asks("*")), ASKED, "hook"),
    "webhook-that-spares-classes": (webhook(SERVICE, NOT_CLASSES, asks("secrets")), ASKED, "hook"),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_reaches_a_class_from_beside_it_needs_one_entry(row: str):
    added, rule, value = ROWS[row]
    found = stops(added)
    assert (rule, "undecided") in {(finding.policy, finding.verdict) for finding in found}
    assert {f.policy for f in stops(added, settings=trusting("objects", value))} <= UNRELATED
    assert ("objects", value) in proposed(added), "`isthmus trust propose` prints it"


HARMLESS = {
    "settings-of-a-team": kube("core/v1:ConfigMap", "settings", "team", data={"a": "b"}),
    "role-of-a-node": kube(
        "core/v1:NodePatch", "node-1", None, metadata={"labels": {"node-role.kubernetes.io/ingress": ""}}
    ),
    "plain-account-of-a-class": kube("core/v1:ServiceAccount", "tool"),
    "plain-account-of-monitoring": kube("core/v1:ServiceAccount", "tool", "monitoring"),
    "claim-of-a-storage-class": claim(storageClassName="fast"),
    "webhook-of-named-namespaces": webhook(SERVICE, named("team"), asks("pods", "pods/exec")),
    "webhook-of-a-namespaced-kind": webhook(SERVICE, named("team"), asks("widgets", scope="Namespaced")),
    "audit-of-named-namespaces": admission(auditAnnotations=BODY, match={"namespaceSelector": named("team")}),
    "policy-without-contents": admission(),
    "own-credential": scaled(
        type="metrics-api",
        metadata={"url": "https://queue.bank.example"},
        authenticationRef={"kind": "TriggerAuthentication", "name": "mine"},
    ),
    "pod-of-a-team": workload(),
}


@pytest.mark.parametrize("row", HARMLESS)
def test_what_stays_with_a_team_needs_no_entry(row: str):
    assert {f.policy for f in stops(HARMLESS[row])} <= UNRELATED


def test_a_pod_that_asks_for_a_machine_of_a_pool_needs_an_entry():
    marked = next(r for r in rendered().resources if r.type == "kubernetes:core/v1:NodePatch")
    host = marked.inputs["metadata"]["name"]
    asked = workload(nodeSelector={"kubernetes.io/hostname": host})
    assert (OBJECTS, "undecided") in {(f.policy, f.verdict) for f in stops(asked)}
    assert OBJECTS not in {f.policy for f in stops(workload(nodeName="n-of-a-team"))}
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    near = {"nodeAffinity": {"x": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}}
    assert OBJECTS in {f.policy for f in stops(workload(affinity=near))}


def test_a_read_only_role_of_a_class_needs_one_entry_by_the_name_of_the_role():
    reads = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = kube(f"{RBAC}/v1:Role", "seer", rules=reads)
    held = bound("seer", "oidc:team", "Role")
    assert {f.policy for f in stops(role, held)} == {OBJECTS}
    assert stops(role, held, settings=trusting("roles", "seer")) == []
    assert stops(role, held, settings=trusting("principals", "oidc:team")) == []
    assert proposed(role, held) == {("roles", "seer")}


def test_callers_that_the_trust_file_names_need_no_second_entry():
    added = lets_in(space("helpdesk"))
    assert {f.policy for f in stops(added)} >= {"data-path/known-callers", OBJECTS}
    assert OBJECTS not in {f.policy for f in stops(added, settings=trusting("namespaces", "helpdesk"))}


def test_a_namespace_that_the_trust_file_names_is_judged_like_a_control_plane():
    added = kube("core/v1:ConfigMap", "settings", "mesh", data={"a": "b"})
    assert stops(added) == []
    assert {f.policy for f in stops(added, settings=trusting("namespaces", "mesh"))} == {OBJECTS}


def test_a_disk_that_own_code_makes_and_a_claim_of_it_need_no_entry():
    disk = other("aws:ebs/volume:Volume", "data", encrypted=True, availabilityZone="eu-central-1a")
    shown = volume(csi={"driver": "ebs.csi.aws.com", "volumeHandle": "${data.id}"})
    found = stops(disk, shown, claim(storageClassName="", volumeName="disk"))
    assert OBJECTS not in {f.policy for f in found}


def test_a_provider_with_monitoring_as_its_default_namespace_is_undecided():
    near = component("pulumi:providers:kubernetes", "near", remote=False, namespace="monitoring")
    assert (OBJECTS, "undecided") in {(f.policy, f.verdict) for f in stops(near)}


@pytest.mark.parametrize("name", ["isthmus-restricted-lab", "lab"])
def test_a_namespace_of_own_code_that_bears_a_class_needs_an_entry(name: str):
    labels = {"isthmus.dev/class": "restricted", "pod-security.kubernetes.io/enforce": "restricted"}
    made = kube("core/v1:Namespace", name, None, metadata={"labels": labels})
    rule = "identity/class-permissions"
    assert rule in {f.policy for f in stops(made)}
    assert rule not in {f.policy for f in stops(made, settings=trusting("namespaces", name))}


def test_an_invented_class_in_a_selector_is_no_class_of_the_gateway():
    classes = {"key": "isthmus.dev/class", "operator": "In", "values": ["restricted", "tools"]}
    added = lets_in({"namespaceSelector": {"matchExpressions": [classes]}})
    found = stops(added, settings=trusting("objects", f"{RESTRICTED}/in"))
    assert [f.message for f in found if "class tools" in f.message]


def test_outputs_of_another_stack_need_an_entry():
    reference = other("pulumi:pulumi:StackReference", "organization/tools/prod")
    read = replace(reference, options={"read": "organization/tools/prod"}, own="added")
    assert {(f.policy, f.verdict) for f in stops(read)} == {(OBJECTS, "undecided")}
    assert stops(read, settings=trusting("objects", "organization/tools/prod")) == []


def test_an_alias_that_takes_over_a_guard_is_undecided():
    guard = next(r for r in rendered().resources if r.type.endswith(":NetworkPolicy"))
    own = kube("networking.k8s.io/v1:NetworkPolicy", "deny", "team", spec={"podSelector": {}})
    taken = replace(own, options={"aliases": [guard.urn]}, own="added")
    assert "data-path/components-unaltered" in {f.policy for f in stops(taken)}


def test_a_public_stack_in_a_cluster_of_classified_work_is_judged_like_it():
    hook = webhook({"url": "https://evil.example"}, {}, asks("secrets"))
    alone = judge([hook], None, Settings(), today=TODAY)
    assert ASKED not in {f.policy for f in alone}
    beside = judge([hook], None, Settings(classified_neighbours=["bank-dev"]), today=TODAY)
    assert ASKED in {f.policy for f in beside}
