"""The admission policies alone, on a real API server: contracts, policy pack and gateway are bypassed."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from components.cluster.admission import SHAPES, admission_policies, class_policies
from sandbox.cluster.client import ApiError, KubeClient
from tests.components.platforms import CLOSED

pytestmark = pytest.mark.sandbox

REGISTRY = "registry.bank.example/llm/"
DIGEST = "sha256:" + "a" * 64
KEYHOLDER = "oidc:erika@bank.example"
TOPICS = sorted(class_policies([], []))
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
        except ApiError as error:
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
def space(sandbox: Any) -> Iterator[Space]:
    client = sandbox.client("fra1")
    made = Space(client, f"try-restricted-{time.time_ns()}")
    labels = {"isthmus.dev/class": "restricted", "pod-security.kubernetes.io/enforce": "restricted"}
    client.create("/api/v1/namespaces", {"metadata": {"name": made.name, "labels": labels}})
    # Bound to this namespace only: other tests use the cluster at the same time.
    only = {"matchLabels": {"kubernetes.io/metadata.name": made.name}}
    kept = []
    # The platform's own namespaces are known by name; here this one stands for them.
    text = json.dumps(class_policies([KEYHOLDER], [])).replace("isthmus-restricted", made.name)
    for shape, spec in {**admission_policies([REGISTRY]), **json.loads(text)}.items():
        called = f"{made.name}-{shape}"
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
        kept += [f"{binding}/{called}", f"{policy}/{called}"]
    deadline = time.monotonic() + 30
    # Every policy takes force on its own, so each is waited for, not just the first.
    while not (
        all(made.refused(kind, with_variable(pod())) for kind in KINDS)
        and all(set_refused(made, part) for part in TEMPLATES)
        and relabel_refused(made)
        and made.refused("Pod", tagged(pod()))
        and made.refused("Deployment", tagged(pod()))
        and "opens a shell" in exec_answer(client, made.name, "nobody")
        and label_answer(made, "", {"pod-security.kubernetes.io/enforce": "baseline"})
        and debug_refused(made)
    ):
        assert time.monotonic() < deadline, "the policies are not enforced"
        time.sleep(0.2)
    yield made
    for path in kept:
        client.delete(path)
    client.delete(f"/api/v1/namespaces/{made.name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_harmless_pod_is_let_in(space: Space, kind: str) -> None:
    assert space.refused(kind, pod()) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_an_aws_variable_is_refused_by_its_name(space: Space, kind: str, where: str) -> None:
    why = space.refused(kind, with_variable(pod(), where))
    assert f"{'main' if where == 'containers' else 'first'} sets AWS_ACCESS_KEY_ID" in why
    assert "HARMLESS" not in why


@pytest.mark.parametrize("kind", KINDS)
def test_variables_from_elsewhere_are_refused(space: Space, kind: str) -> None:
    spec = pod()
    spec["containers"][0]["envFrom"] = [{"secretRef": {"name": "aws"}}]
    assert "allows no envFrom" in space.refused(kind, spec)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_an_unnamed_registry_is_refused(space: Space, kind: str) -> None:
    spec = pod()
    spec["initContainers"][0]["image"] = "registry.bank.example.evil.example/llm/edge"
    assert "first runs registry.bank.example.evil.example/llm/edge" in space.refused(kind, spec)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_for_aws_is_refused(space: Space, kind: str) -> None:
    spec = pod()
    token = {"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}
    spec["volumes"] = [{"name": "aws", "projected": {"sources": [token]}}]
    assert "no service-account token for AWS" in space.refused(kind, spec)


def test_weights_as_an_image_come_from_named_registries_too(space: Space) -> None:
    spec = pod()
    spec["volumes"] = [{"name": "weights", "image": {"reference": "quay.io/someone/llama"}}]
    assert "weights mounts quay.io/someone/llama" in space.refused("Deployment", spec)
    spec["volumes"][0]["image"]["reference"] = f"{REGISTRY}llama@{DIGEST}"
    assert space.refused("Deployment", spec) == ""


def test_an_ephemeral_container_is_refused_what_others_are(space: Space) -> None:
    client = space.client
    client.create(space.path("Pod"), {"metadata": {"name": "live"}, "spec": pod()})
    debug = {**pod()["containers"][0], "name": "debug", "image": "docker.io/library/busybox"}
    try:
        with pytest.raises(ApiError, match=r"debug runs docker\.io/library/busybox"):
            client.call(
                "PATCH",
                f"{space.path('Pod')}/live/ephemeralcontainers",
                body={"spec": {"ephemeralContainers": [debug]}},
                media="application/strategic-merge-patch+json",
                params={"dryRun": "All"},
                # Others may add none at all.
                headers={"Impersonate-User": KEYHOLDER, "Impersonate-Group": "system:masters"},
            )
    finally:
        client.delete(f"{space.path('Pod')}/live")


def set_refused(space: Space, part: str | None) -> str:
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
    path = f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{space.name}/leaderworkersets"
    try:
        space.client.call("POST", path, body=body, params={"dryRun": "All"})
    except ApiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("part", TEMPLATES)
def test_both_templates_of_a_leader_worker_set_are_looked_at(space: Space, part: str) -> None:
    assert "main sets AWS_ACCESS_KEY_ID" in set_refused(space, part)


def test_a_harmless_leader_worker_set_is_let_in(space: Space) -> None:
    assert set_refused(space, None) == ""


def relabel_refused(space: Space, value: str | None = "public") -> str:
    try:
        relabel(space, {"isthmus.dev/class": value})
    except ApiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("value", [None, "public"])
def test_a_namespaces_class_can_neither_be_changed_nor_taken_away(space: Space, value: str | None) -> None:
    assert "cannot be changed or taken away: it is restricted" in relabel_refused(space, value)


def test_a_namespaces_other_labels_are_its_owners(space: Space) -> None:
    relabel(space, {"team": "aml"})


@pytest.mark.parametrize("subresource", ["", "/status", "/finalize"])
@pytest.mark.parametrize("value", [None, "public"])
def test_no_way_to_write_a_namespace_changes_its_class(
    space: Space, subresource: str, value: str | None
) -> None:
    why = label_answer(space, subresource, {"isthmus.dev/class": value})
    assert "cannot be changed or taken away: it is restricted" in why


@pytest.mark.parametrize("subresource", ["", "/status", "/finalize"])
@pytest.mark.parametrize("value", [None, "baseline", "privileged"])
def test_no_way_to_write_a_namespace_lowers_its_pod_security(
    space: Space, subresource: str, value: str | None
) -> None:
    why = label_answer(space, subresource, {"pod-security.kubernetes.io/enforce": value})
    assert "its pods are held to the standard `restricted`" in why


def test_an_older_version_of_the_standard_is_refused_too(space: Space) -> None:
    why = label_answer(space, "", {"pod-security.kubernetes.io/enforce-version": "v1.20"})
    assert "enforce-version of this namespace stay" in why


@pytest.mark.parametrize("kind", ["Pod", "Deployment"])
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_an_image_by_tag_is_refused(space: Space, kind: str, where: str) -> None:
    why = space.refused(kind, tagged(pod(), where))
    assert f"{'main' if where == 'containers' else 'first'} runs {REGISTRY}edge:latest" in why
    assert "by digest" in why


def test_a_volume_of_an_image_by_tag_is_refused(space: Space) -> None:
    spec = pod()
    spec["volumes"] = [{"name": "weights", "image": {"reference": f"{REGISTRY}llama:v1"}}]
    assert f"weights mounts {REGISTRY}llama:v1" in space.refused("Pod", spec)


@pytest.mark.parametrize("way", ["exec", "attach", "portforward"])
def test_nobody_gets_into_a_running_pod_not_even_a_cluster_administrator(space: Space, way: str) -> None:
    assert "opens a shell" in exec_answer(space.client, space.name, "admin@bank.example", way)


def test_a_keyholder_of_the_emergency_access_is_not_refused_by_admission(space: Space) -> None:
    answer = exec_answer(space.client, space.name, KEYHOLDER)
    # Past admission, the API server looks for the pod.
    assert "not found" in answer, answer


def test_a_debug_container_is_refused(space: Space) -> None:
    assert "opens a shell" in debug_refused(space)


def test_who_may_label_namespaces_but_not_assign_classes_makes_none_of_a_class(space: Space) -> None:
    client, labeller = space.client, f"labeller-{time.time_ns()}@bank.example"
    role = f"labels-{time.time_ns()}"
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    allowed = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch", "create"]}]
    client.create(f"{rbac}/clusterroles", {"metadata": {"name": role}, "rules": allowed})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    person = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": labeller}
    client.create(
        f"{rbac}/clusterrolebindings", {"metadata": {"name": role}, "roleRef": ref, "subjects": [person]}
    )
    plain = f"{space.name}-plain"
    client.create("/api/v1/namespaces", {"metadata": {"name": plain, "labels": {"try": space.name}}})
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


def test_a_rule_that_somebody_adds_to_default_deny_goes_with_the_next_apply(space: Space) -> None:
    base = f"/apis/networking.k8s.io/v1/namespaces/{space.name}/networkpolicies"
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny"},
    }
    applied = json.dumps({**body, "spec": CLOSED})

    def apply() -> None:
        space.client.call(
            "PATCH",
            f"{base}/default-deny",
            content=applied,
            media="application/apply-patch+yaml",
            params={"fieldManager": "isthmus-test", "force": "true"},
        )

    apply()
    opened = {"spec": {"egress": [{}]}}
    space.client.call("PATCH", f"{base}/default-deny", body=opened, media="application/merge-patch+json")
    assert space.client.get(f"{base}/default-deny")["spec"]["egress"] == [{}]
    apply()
    assert "egress" not in space.client.get(f"{base}/default-deny")["spec"]


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


def exec_answer(client: KubeClient, namespace: str, user: str, way: str = "exec") -> str:
    """What the API server says to a cluster administrator of this name who opens a way into a pod that is not there."""
    answer = client.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods/absent/{way}",
        params={"command": "sh", "stdout": "true", "container": "main"} if way == "exec" else {"ports": "80"},
        headers={"Impersonate-User": user, "Impersonate-Group": "system:masters"},
    )
    return answer.text


def label_answer(space: Space, subresource: str, labels: dict[str, str | None]) -> str:
    """Why labels of the namespace may not change by a write to this subresource; empty where they may."""
    path = f"/api/v1/namespaces/{space.name}"
    body = space.client.get(path)
    for key, value in labels.items():
        body["metadata"]["labels"].pop(key, None)
        if value is not None:
            body["metadata"]["labels"][key] = value
    answer = space.client.request("PUT", f"{path}{subresource}", body=body, params={"dryRun": "All"})
    return "" if answer.status_code == 200 else answer.text


def debug_refused(space: Space) -> str:
    """Why a debug container of a named registry, by digest, is refused; empty where it is let in."""
    client = space.client
    client.create(space.path("Pod"), {"metadata": {"name": "debugged"}, "spec": pod()})
    try:
        client.call(
            "PATCH",
            f"{space.path('Pod')}/debugged/ephemeralcontainers",
            body={"spec": {"ephemeralContainers": [{**pod()["containers"][0], "name": "debug"}]}},
            media="application/strategic-merge-patch+json",
            params={"dryRun": "All"},
        )
    except ApiError as error:
        return str(error)
    finally:
        client.call("DELETE", f"{space.path('Pod')}/debugged", params={"gracePeriodSeconds": "0"})
    return ""


def relabel(space: Space, labels: dict[str, str | None]) -> None:
    space.client.call(
        "PATCH",
        f"/api/v1/namespaces/{space.name}",
        body={"metadata": {"labels": labels}},
        media="application/merge-patch+json",
        params={"dryRun": "All"},
    )


def test_every_expression_is_of_the_right_type(space: Space) -> None:
    for shape in (*SHAPES, "namespaces", *TOPICS):
        path = f"{ADMISSION}/validatingadmissionpolicies/{space.name}-{shape}"
        deadline = time.monotonic() + 30
        while "typeChecking" not in (found := space.client.get(path).get("status", {})):
            assert time.monotonic() < deadline, f"{shape} was not checked"
            time.sleep(0.2)
        assert found["typeChecking"].get("expressionWarnings", []) == [], shape
