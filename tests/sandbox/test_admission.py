"""The admission policies alone, on a real API server: contracts, policy pack and gateway are bypassed."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from components.onprem.admission import SHAPES, admission_policies
from sandbox.cluster.client import ApiError, KubeClient

pytestmark = pytest.mark.sandbox

REGISTRY = "registry.bank.example/llm/"
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
        "image": f"{REGISTRY}edge",
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
    for shape, spec in admission_policies([REGISTRY]).items():
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
    spec["volumes"][0]["image"]["reference"] = f"{REGISTRY}llama"
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


def relabel(space: Space, labels: dict[str, str | None]) -> None:
    space.client.call(
        "PATCH",
        f"/api/v1/namespaces/{space.name}",
        body={"metadata": {"labels": labels}},
        media="application/merge-patch+json",
        params={"dryRun": "All"},
    )


def test_every_expression_is_of_the_right_type(space: Space) -> None:
    for shape in (*SHAPES, "namespaces"):
        path = f"{ADMISSION}/validatingadmissionpolicies/{space.name}-{shape}"
        deadline = time.monotonic() + 30
        while "typeChecking" not in (found := space.client.get(path).get("status", {})):
            assert time.monotonic() < deadline, f"{shape} was not checked"
            time.sleep(0.2)
        assert found["typeChecking"].get("expressionWarnings", []) == [], shape
