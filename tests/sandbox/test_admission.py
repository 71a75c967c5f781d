"""The admission policies alone, on a real API server: contracts, policy pack and gateway are bypassed."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.contracts.reference.admission import SHAPES, admission_policies, class_policies
from isthmus.contracts.reference.gateway_access import Access
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from tests.components.platforms import CLOSED

pytestmark = pytest.mark.sandbox

REGISTRY = "registry.bank.example/llm/"
DIGEST = "sha256:" + "a" * 64
KEYHOLDER = "oidc:erika@bank.example"
TOPICS = sorted(class_policies([], []))
ACCESS = Access(
    "restricted",
    "llm.bank.example",
    ["10.40.7.0/24", "10.40.8.0/24"],
    annotations={"metallb.io/address-pool": "llm"},
)
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
ROOT_OF = {
    "Pod": ("v1", "pods"),
    "ReplicationController": ("v1", "replicationcontrollers"),
    "PodTemplate": ("v1", "podtemplates"),
    "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
}
KINDS = sorted(ROOT_OF)
TEMPLATES = ("workerTemplate", "leaderTemplate")


class Space:
    """A namespace under the policies, with dry runs into it."""

    def __init__(self, client: KubeClient, name: str) -> None:
        self.client, self.name = client, name

    def path(self, kind: str) -> str:
        version, plural = ROOT_OF[kind]
        return f"/{'api' if version == 'v1' else 'apis'}/{version}/namespaces/{self.name}/{plural}"

    def refused(self, kind: str, spec: dict[str, Any]) -> str:
        """Why the API server refuses the object; empty where it takes it."""
        body = {
            "apiVersion": ROOT_OF[kind][0],
            "kind": kind,
            "metadata": {"name": "x"},
            **holding(kind, spec),
        }
        try:
            self.client.call("POST", self.path(kind), body=body, params={"dryRun": "All"})
        except ApiRefusal as error:
            if error.status == 403:
                return str(error)
            raise
        return ""


def pod() -> dict[str, Any]:
    box = {
        "name": "main",
        "image": f"{REGISTRY}edge@{DIGEST}",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [box],
        "initContainers": [{**copy.deepcopy(box), "name": "first"}],
        "volumes": [],
    }


def holding(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The body of an object of this kind that holds such a pod."""
    if kind == "Pod":
        return {"spec": spec}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    if kind == "PodTemplate":
        return {"template": template}
    if kind in ("Job", "CronJob"):
        template["spec"] = {**spec, "restartPolicy": "Never"}
        job = {"spec": {"template": template}}
        return job if kind == "Job" else {"spec": {"schedule": "0 0 * * *", "jobTemplate": job}}
    if kind == "ReplicationController":
        return {"spec": {"selector": {"a": "b"}, "template": template}}
    extra = {"serviceName": "x"} if kind == "StatefulSet" else {}
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **extra}}


def tagged(spec: dict[str, Any], where: str = "containers") -> dict[str, Any]:
    spec[where][0]["image"] = f"{REGISTRY}edge:latest"
    return spec


def with_variable(spec: dict[str, Any], where: str = "containers") -> dict[str, Any]:
    spec[where][0]["env"] = [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}, {"name": "HARMLESS", "value": "x"}]
    return spec


@pytest.fixture(scope="module")
def namespace(sandbox: Any) -> Iterator[Space]:
    client = sandbox.client("fra1")
    new_space = Space(client, f"try-restricted-{time.time_ns()}")
    labels = {"isthmus.dev/class": "restricted", "pod-security.kubernetes.io/enforce": "restricted"}
    client.create("/api/v1/namespaces", {"metadata": {"name": new_space.name, "labels": labels}})
    client.create(services(new_space), outside("older"))
    # Bound to this namespace only: other tests use the cluster at the same time.
    only = {"matchLabels": {"kubernetes.io/metadata.name": new_space.name}}
    retained = []
    # The platform's own namespaces are known by name; here this one stands for them.
    policies = class_policies([KEYHOLDER], [], [ACCESS.admitted()])
    text = json.dumps(policies).replace("isthmus-restricted", new_space.name)
    for shape, spec in {**admission_policies([REGISTRY]), **json.loads(text)}.items():
        called = f"{new_space.name}-{shape}"
        policy, binding = (
            f"{ADMISSION}/validatingadmissionpolicies",
            f"{ADMISSION}/validatingadmissionpolicybindings",
        )
        client.create(policy, {"metadata": {"name": called}, "spec": spec})
        bound = {
            "policyName": called,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": only},
        }
        client.create(binding, {"metadata": {"name": called}, "spec": bound})
        retained += [f"{binding}/{called}", f"{policy}/{called}"]
    deadline = time.monotonic() + 30
    # Every policy takes force on its own, so each is waited for, not just the first.
    while not (
        all(new_space.refused(kind, with_variable(pod())) for kind in KINDS)
        and all(set_refused(new_space, part) for part in TEMPLATES)
        and relabel_refused(new_space)
        and new_space.refused("Pod", tagged(pod()))
        and new_space.refused("Deployment", tagged(pod()))
        and "opens a shell" in exec_answer(client, new_space.name, "nobody")
        and label_answer(new_space, "", {"pod-security.kubernetes.io/enforce": "baseline"})
        and debug_refused(new_space)
        and service_refused(new_space, outside("other"))
    ):
        assert time.monotonic() < deadline, "the policies are not enforced"
        time.sleep(0.2)
    yield new_space
    for path in retained:
        client.delete(path)
    client.delete(f"/api/v1/namespaces/{new_space.name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_harmless_pod_is_let_in(namespace: Space, kind: str) -> None:
    assert namespace.refused(kind, pod()) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_an_aws_variable_is_refused_by_its_name(namespace: Space, kind: str, where: str) -> None:
    why = namespace.refused(kind, with_variable(pod(), where))
    assert f"{'main' if where == 'containers' else 'first'} sets AWS_ACCESS_KEY_ID" in why
    assert "HARMLESS" not in why


@pytest.mark.parametrize("kind", KINDS)
def test_variables_from_elsewhere_are_refused(namespace: Space, kind: str) -> None:
    spec = pod()
    spec["containers"][0]["envFrom"] = [{"secretRef": {"name": "aws"}}]
    assert "allows no envFrom" in namespace.refused(kind, spec)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_an_unnamed_registry_is_refused(namespace: Space, kind: str) -> None:
    spec = pod()
    spec["initContainers"][0]["image"] = "registry.bank.example.evil.example/llm/edge"
    assert "first runs registry.bank.example.evil.example/llm/edge" in namespace.refused(kind, spec)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_for_aws_is_refused(namespace: Space, kind: str) -> None:
    spec = pod()
    token = {"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}
    spec["volumes"] = [{"name": "aws", "projected": {"sources": [token]}}]
    assert "no service-account token for AWS" in namespace.refused(kind, spec)


def test_weights_as_an_image_come_from_named_registries_too(namespace: Space) -> None:
    spec = pod()
    spec["volumes"] = [{"name": "weights", "image": {"reference": "quay.io/someone/llama"}}]
    assert "weights mounts quay.io/someone/llama" in namespace.refused("Deployment", spec)
    spec["volumes"][0]["image"]["reference"] = f"{REGISTRY}llama@{DIGEST}"
    assert namespace.refused("Deployment", spec) == ""


def test_an_ephemeral_container_is_refused_what_others_are(namespace: Space) -> None:
    client = namespace.client
    client.create(namespace.path("Pod"), {"metadata": {"name": "live"}, "spec": pod()})
    debug = {**pod()["containers"][0], "name": "debug", "image": "docker.io/library/busybox"}
    try:
        with pytest.raises(ApiRefusal, match=r"debug runs docker\.io/library/busybox"):
            client.call(
                "PATCH",
                f"{namespace.path('Pod')}/live/ephemeralcontainers",
                body={"spec": {"ephemeralContainers": [debug]}},
                content_type="application/strategic-merge-patch+json",
                params={"dryRun": "All"},
                # Others may add none at all.
                headers={"Impersonate-User": KEYHOLDER, "Impersonate-Group": "system:masters"},
            )
    finally:
        client.delete(f"{namespace.path('Pod')}/live")


def set_refused(namespace: Space, part: str | None) -> str:
    """Why a LeaderWorkerSet is refused whose `part` has an AWS variable; empty where it is taken."""
    templates = {each: {"metadata": {}, "spec": pod()} for each in TEMPLATES}
    if part:
        with_variable(templates[part]["spec"])
    body = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "x"},
        "spec": {"leaderWorkerTemplate": {"size": 2, **templates}},
    }
    path = f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{namespace.name}/leaderworkersets"
    try:
        namespace.client.call("POST", path, body=body, params={"dryRun": "All"})
    except ApiRefusal as error:
        return str(error)
    return ""


@pytest.mark.parametrize("part", TEMPLATES)
def test_both_templates_of_a_leader_worker_set_are_looked_at(namespace: Space, part: str) -> None:
    assert "main sets AWS_ACCESS_KEY_ID" in set_refused(namespace, part)


def test_a_harmless_leader_worker_set_is_let_in(namespace: Space) -> None:
    assert set_refused(namespace, None) == ""


def relabel_refused(namespace: Space, value: str | None = "public") -> str:
    try:
        relabel(namespace, {"isthmus.dev/class": value})
    except ApiRefusal as error:
        return str(error)
    return ""


@pytest.mark.parametrize("value", [None, "public"])
def test_a_namespaces_class_can_neither_be_changed_nor_taken_away(
    namespace: Space, value: str | None
) -> None:
    assert "cannot be changed or taken away: it is restricted" in relabel_refused(namespace, value)


def test_a_namespaces_other_labels_are_its_owners(namespace: Space) -> None:
    relabel(namespace, {"team": "aml"})


@pytest.mark.parametrize("subresource", ["", "/status", "/finalize"])
@pytest.mark.parametrize("value", [None, "public"])
def test_no_way_to_write_a_namespace_changes_its_class(
    namespace: Space, subresource: str, value: str | None
) -> None:
    why = label_answer(namespace, subresource, {"isthmus.dev/class": value})
    assert "cannot be changed or taken away: it is restricted" in why


@pytest.mark.parametrize("subresource", ["", "/status", "/finalize"])
@pytest.mark.parametrize("value", [None, "baseline", "privileged"])
def test_no_way_to_write_a_namespace_lowers_its_pod_security(
    namespace: Space, subresource: str, value: str | None
) -> None:
    why = label_answer(namespace, subresource, {"pod-security.kubernetes.io/enforce": value})
    assert "its pods are held to the standard `restricted`" in why


def test_an_older_version_of_the_standard_is_refused_too(namespace: Space) -> None:
    why = label_answer(namespace, "", {"pod-security.kubernetes.io/enforce-version": "v1.20"})
    assert "enforce-version of this namespace stay" in why


@pytest.mark.parametrize("kind", ["Pod", "Deployment"])
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_an_image_by_tag_is_refused(namespace: Space, kind: str, where: str) -> None:
    why = namespace.refused(kind, tagged(pod(), where))
    assert f"{'main' if where == 'containers' else 'first'} runs {REGISTRY}edge:latest" in why
    assert "by digest" in why


def test_a_volume_of_an_image_by_tag_is_refused(namespace: Space) -> None:
    spec = pod()
    spec["volumes"] = [{"name": "weights", "image": {"reference": f"{REGISTRY}llama:v1"}}]
    assert f"weights mounts {REGISTRY}llama:v1" in namespace.refused("Pod", spec)


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_nobody_gets_into_a_running_pod_not_even_a_cluster_administrator(
    namespace: Space, subresource: str
) -> None:
    assert "opens a shell" in exec_answer(namespace.client, namespace.name, "admin@bank.example", subresource)


def test_a_keyholder_of_the_emergency_access_is_not_refused_by_admission(namespace: Space) -> None:
    answer = exec_answer(namespace.client, namespace.name, KEYHOLDER)
    # Past admission, the API server looks for the pod.
    assert "not found" in answer, answer


def test_a_debug_container_is_refused(namespace: Space) -> None:
    assert "opens a shell" in debug_refused(namespace)


def test_who_may_label_namespaces_but_not_assign_classes_makes_none_of_a_class(namespace: Space) -> None:
    client, labeller = namespace.client, f"labeller-{time.time_ns()}@bank.example"
    role = f"labels-{time.time_ns()}"
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    allowed = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch", "create"]}]
    client.create(f"{rbac}/clusterroles", {"metadata": {"name": role}, "rules": allowed})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    person = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": labeller}
    client.create(
        f"{rbac}/clusterrolebindings", {"metadata": {"name": role}, "roleRef": ref, "subjects": [person]}
    )
    plain = f"{namespace.name}-plain"
    client.create("/api/v1/namespaces", {"metadata": {"name": plain, "labels": {"try": namespace.name}}})
    policy = f"{role}-policy"
    client.create(
        f"{ADMISSION}/validatingadmissionpolicies",
        {"metadata": {"name": policy}, "spec": class_policies([], [])["labels"]},
    )
    bound = {
        "policyName": policy,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": plain}}},
    }
    client.create(
        f"{ADMISSION}/validatingadmissionpolicybindings", {"metadata": {"name": policy}, "spec": bound}
    )
    try:
        deadline = time.monotonic() + 30
        while not (why := give_class(client, plain, labeller)):
            assert time.monotonic() < deadline, "the policy is not enforced"
            time.sleep(0.2)
        assert "you may not give a namespace the class restricted" in why
        assign = [{"apiGroups": ["isthmus.dev"], "resources": ["classes"], "verbs": ["assign"]}]
        client.call(
            "PUT", f"{rbac}/clusterroles/{role}", body={"metadata": {"name": role}, "rules": allowed + assign}
        )
        while why := give_class(client, plain, labeller):
            assert time.monotonic() < deadline + 30, why
            time.sleep(0.2)
    finally:
        client.delete(f"{ADMISSION}/validatingadmissionpolicybindings/{policy}")
        client.delete(f"{ADMISSION}/validatingadmissionpolicies/{policy}")
        client.delete(f"{rbac}/clusterrolebindings/{role}")
        client.delete(f"{rbac}/clusterroles/{role}")
        client.delete(f"/api/v1/namespaces/{plain}")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loadBalancerSourceRanges": ["10.40.7.0/24"]},
        {"type": "ClusterIP", "loadBalancerSourceRanges": None, "externalTrafficPolicy": None},
    ],
)
def test_the_service_of_a_stated_access_is_let_in_and_one_for_fewer_callers_too(
    namespace: Space, fields: dict[str, Any]
) -> None:
    if fields.get("type") == "ClusterIP":
        fields = {**fields, "allocateLoadBalancerNodePorts": None}
    assert service_refused(namespace, outside(**fields)) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"loadBalancerSourceRanges": ["10.40.0.0/16"]},
        {"loadBalancerSourceRanges": ["10.40.7.0/24", "0.0.0.0/0"]},
        {"loadBalancerSourceRanges": None},
        {"allocateLoadBalancerNodePorts": None},
        {"externalTrafficPolicy": "Cluster"},
        {"selector": {"app.kubernetes.io/name": "restricted-translator"}},
        {"externalIPs": ["10.40.0.9"]},
        {
            "type": "NodePort",
            "loadBalancerSourceRanges": None,
            "allocateLoadBalancerNodePorts": None,
        },
        {
            "type": "ClusterIP",
            "loadBalancerSourceRanges": None,
            "allocateLoadBalancerNodePorts": None,
            "externalTrafficPolicy": None,
            "externalIPs": ["10.40.0.9"],
        },
    ],
)
def test_a_service_that_opens_more_than_the_access_is_refused(
    namespace: Space, fields: dict[str, Any]
) -> None:
    assert "is forbidden" in service_refused(namespace, outside(**fields))


def test_a_service_of_another_name_or_with_annotations_of_a_cloud_is_refused(namespace: Space) -> None:
    assert "is not stated as the `access` of a gateway" in service_refused(namespace, outside("other"))
    body = outside()
    body["metadata"]["annotations"]["service.beta.kubernetes.io/aws-load-balancer-scheme"] = "internet-facing"
    assert service_refused(namespace, body)


def test_a_service_that_is_no_longer_stated_ends_in_order_but_opens_no_further(namespace: Space) -> None:
    path = f"{services(namespace)}/older"

    def patched(**change: Any) -> int:
        answer = namespace.client.request(
            "PATCH", path, body=change, content_type="application/merge-patch+json", params={"dryRun": "All"}
        )
        return answer.status_code

    # A load balancer's controller adds and removes its finalizer.
    assert patched(metadata={"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]}) == 200
    assert patched(spec={"loadBalancerSourceRanges": ["10.0.0.0/8"]}) == 403
    assert (
        patched(metadata={"annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}}) == 403
    )
    assert patched(spec={"externalIPs": ["10.40.0.9"]}) == 403


def outside(name: str = ACCESS.service, **fields: Any) -> dict[str, Any]:
    """The Service of the access, with other fields of its spec; None removes one."""
    spec = {key: value for key, value in {**ACCESS.spec(), **fields}.items() if value is not None}
    metadata = {"name": name, "annotations": dict(ACCESS.all_annotations)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def services(namespace: Space) -> str:
    return f"/api/v1/namespaces/{namespace.name}/services"


def service_refused(namespace: Space, body: dict[str, Any]) -> str:
    """Why the API server refuses the Service; empty where it takes it."""
    answer = namespace.client.request("POST", services(namespace), body=body, params={"dryRun": "All"})
    return "" if answer.status_code == 201 else answer.text


def test_a_rule_that_somebody_adds_to_default_deny_goes_with_the_next_apply(namespace: Space) -> None:
    base = f"/apis/networking.k8s.io/v1/namespaces/{namespace.name}/networkpolicies"
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny"},
    }
    applied = json.dumps({**body, "spec": CLOSED})

    def apply() -> None:
        namespace.client.call(
            "PATCH",
            f"{base}/default-deny",
            body=applied,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": "isthmus-test", "force": "true"},
        )

    apply()
    opened = {"spec": {"egress": [{}]}}
    namespace.client.call(
        "PATCH", f"{base}/default-deny", body=opened, content_type="application/merge-patch+json"
    )
    assert namespace.client.get(f"{base}/default-deny")["spec"]["egress"] == [{}]
    apply()
    assert "egress" not in namespace.client.get(f"{base}/default-deny")["spec"]


def give_class(client: KubeClient, namespace: str, user: str) -> str:
    """Why this user may not give the namespace a class; empty where it may."""
    answer = client.request(
        "PATCH",
        f"/api/v1/namespaces/{namespace}",
        body={"metadata": {"labels": {"isthmus.dev/class": "restricted"}}},
        content_type="application/merge-patch+json",
        params={"dryRun": "All"},
        headers={"Impersonate-User": user},
    )
    return "" if answer.status_code == 200 else answer.text


def exec_answer(client: KubeClient, namespace: str, user: str, rule: str = "exec") -> str:
    """What the API server says to a cluster administrator of this name who opens a way into a pod that is not there."""
    answer = client.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods/absent/{rule}",
        params={"command": "sh", "stdout": "true", "container": "main"}
        if rule == "exec"
        else {"ports": "80"},
        headers={"Impersonate-User": user, "Impersonate-Group": "system:masters"},
    )
    return answer.text


def label_answer(namespace: Space, subresource: str, labels: dict[str, str | None]) -> str:
    """Why labels of the namespace may not change by a write to this subresource; empty where they may."""
    path = f"/api/v1/namespaces/{namespace.name}"
    body = namespace.client.get(path)
    for key, value in labels.items():
        body["metadata"]["labels"].pop(key, None)
        if value is not None:
            body["metadata"]["labels"][key] = value
    answer = namespace.client.request("PUT", f"{path}{subresource}", body=body, params={"dryRun": "All"})
    return "" if answer.status_code == 200 else answer.text


def debug_refused(namespace: Space) -> str:
    """Why a debug container of a named registry, by digest, is refused; empty where it is let in."""
    client = namespace.client
    client.create(namespace.path("Pod"), {"metadata": {"name": "debugged"}, "spec": pod()})
    try:
        client.call(
            "PATCH",
            f"{namespace.path('Pod')}/debugged/ephemeralcontainers",
            body={"spec": {"ephemeralContainers": [{**pod()["containers"][0], "name": "debug"}]}},
            content_type="application/strategic-merge-patch+json",
            params={"dryRun": "All"},
        )
    except ApiRefusal as error:
        return str(error)
    finally:
        client.call("DELETE", f"{namespace.path('Pod')}/debugged", params={"gracePeriodSeconds": "0"})
    return ""


def relabel(namespace: Space, labels: dict[str, str | None]) -> None:
    namespace.client.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace.name}",
        body={"metadata": {"labels": labels}},
        content_type="application/merge-patch+json",
        params={"dryRun": "All"},
    )


def test_every_expression_is_of_the_right_type(namespace: Space) -> None:
    for shape in (*SHAPES, "namespaces", *TOPICS):
        path = f"{ADMISSION}/validatingadmissionpolicies/{namespace.name}-{shape}"
        deadline = time.monotonic() + 30
        while "typeChecking" not in (actual := namespace.client.get(path).get("status", {})):
            assert time.monotonic() < deadline, f"{shape} was not checked"
            time.sleep(0.2)
        assert actual["typeChecking"].get("expressionWarnings", []) == [], shape
