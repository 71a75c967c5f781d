"""The real API server takes every rendered manifest as it is, and its Pod Security admission every pod.

Nothing is stored but namespaces, service accounts and PriorityClasses of names of their own; all else is a
server-side dry run with strict validation of fields. It validates, defaults and admits; no pod is scheduled, no
controller acts.

Pod Security's evaluator is the one that is compiled into the API server. Of a workload it would only warn, and of a
kind that it does not know (LeaderWorkerSet) say nothing, so each template is given to it as a pod.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from sandbox.cluster import crds
from tests.graders import examples, manifests
from tests.graders.examples import Rendering, data
from tests.graders.manifests import Body
from tests.sandbox.conftest import Sandbox, sandbox, toolchain

__all__ = ["sandbox", "toolchain"]

pytestmark = pytest.mark.sandbox

NAMES = examples.names()
LEVEL = "pod-security.kubernetes.io/enforce"
ADDRESS = re.compile(r"\$\{[^}]+\.clusterIP\}")
"""An address that a cluster gives to a service: a rendering has a placeholder there."""


class Cluster:
    """An API server, and on it namespaces as the renderings have them, under names of their own."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}
        self._made: set[str] = set()
        self._priorities: set[str] = set()

    def try_(self, body: Body, rendering: str) -> None:
        """Server-side apply without storing; `ApiRefusal` where the API server refuses."""
        sent = self._placed(body, rendering)
        self._apply(sent, dryRun="All")

    def pod(self, template: manifests.Template, rendering: str) -> None:
        """As `try_`, of a pod of this template."""
        spec = template.spec
        account = {"name": spec.get("serviceAccountName", "default"), "namespace": template.namespace}
        self._apply(
            self._placed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, rendering)
        )
        if priority_class := spec.get("priorityClassName"):
            spec = {**spec, "priorityClassName": self._name(priority_class, rendering)}
        self.try_(manifests.pod("graded", template.namespace, template.labels, spec), rendering)

    def space(self, body: Body, rendering: str) -> None:
        """A namespace with the labels of a rendered one."""
        name = self._name(body["metadata"]["name"], rendering)
        self._apply({**body, "metadata": {"name": name, "labels": body["metadata"].get("labels") or {}}})
        self._made.add(name)

    def priority(self, body: Body, rendering: str) -> None:
        """A PriorityClass like a rendered one: a pod that names one that is not there is refused."""
        name = self._name(body["metadata"]["name"], rendering)
        self._apply({**body, "metadata": {"name": name}})
        self._priorities.add(name)

    def clean(self) -> None:
        for name in self._priorities:
            self.client.delete(f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}")
        for name in self._made:
            self.client.delete(f"/api/v1/namespaces/{name}")

    def _placed(self, body: Body, rendering: str) -> Body:
        sent = with_addresses(copy.deepcopy(body))
        if namespace := sent["metadata"].get("namespace"):
            sent["metadata"]["namespace"] = self._name(namespace, rendering)
        return sent

    def _name(self, namespace: str, rendering: str) -> str:
        return f"graded-{rendering}-{namespace}"

    def _apply(self, body: Body, **params: str) -> None:
        self.client.call(
            "PATCH",
            self._path(body),
            body=body,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": "grader", "force": "true", "fieldValidation": "Strict", **params},
        )

    def _path(self, body: Body) -> str:
        version, meta = body["apiVersion"], body["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._plurals:
            self._plurals[version] = {
                resource["kind"]: (resource["name"], resource["namespaced"])
                for resource in self.client.get(root)["resources"]
                if "/" not in resource["name"]
            }
        plural, namespaced = self._plurals[version][body["kind"]]
        within = f"/namespaces/{meta['namespace']}" if namespaced else ""
        return f"{root}{within}/{plural}/{meta['name']}"


def with_addresses(value: Any) -> Any:
    """For each placeholder of an address one of a range that is for examples."""
    if isinstance(value, dict):
        return {key: with_addresses(element) for key, element in value.items()}
    if isinstance(value, list):
        return [with_addresses(element) for element in value]
    if isinstance(value, str) and ADDRESS.fullmatch(value):
        return f"198.51.100.{zlib.crc32(value.encode()) % 255}"
    return value


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox, rendered: dict[str, Rendering]) -> Iterator[Cluster]:
    api_server = Cluster(sandbox.client())
    try:
        for rendering in rendered.values():
            for resource in [
                *manifests.of_kind(bodies(rendering), "Namespace"),
                *of_others(bodies(rendering)),
            ]:
                api_server.space(resource, rendering.name)
            for priority in manifests.of_kind(bodies(rendering), "PriorityClass"):
                api_server.priority(priority, rendering.name)
        yield api_server
    finally:
        api_server.clean()


def bodies(rendering: Rendering) -> list[Body]:
    all_bodies = manifests.read(rendering.manifests)
    return [body for body in all_bodies if body["apiVersion"] != manifests.CHARTS]


def of_others(bodies: list[Body]) -> list[Body]:
    """Namespaces into which something is rendered and that are not: an operator's, say."""
    own_namespaces = {resource["metadata"]["name"] for resource in manifests.of_kind(bodies, "Namespace")}
    into = {body["metadata"].get("namespace") for body in bodies} - {None}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": str(name)}}
        for name in sorted(into - own_namespaces, key=str)
    ]


def privileged() -> dict[str, dict[str, str]]:
    return {entry_["namespace"]: entry_ for entry_ in data("privileged")}


@pytest.mark.parametrize("name", NAMES)
def test_every_manifest_passes_strict_validation(cluster: Cluster, rendered, name: str):
    refused = []
    for body in bodies(rendered[name]):
        try:
            cluster.try_(body, name)
        except ApiRefusal as error:
            refused.append(f"{body['kind']} {body['metadata']['name']}: {error.message}")
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_passes_pod_security_restricted(cluster: Cluster, rendered, name: str):
    all_bodies = bodies(rendered[name])
    labels = {
        resource["metadata"]["name"]: resource["metadata"]["labels"]
        for resource in manifests.of_kind(all_bodies, "Namespace")
    }
    reasons = privileged()
    wrong = {
        namespace: at.get(LEVEL)
        for namespace, at in labels.items()
        if at.get(LEVEL) != level(namespace, reasons)
    }
    assert not wrong, f"namespaces are not enforced as they must be: {wrong}"
    templates = [template for body in all_bodies for template in manifests.templates(body)]
    assert {template.namespace for template in templates} <= set(labels), (
        "a namespace that nobody rendered holds pods"
    )
    assert templates or not all_bodies
    refused = []
    for template in templates:
        try:
            cluster.pod(template, name)
        except ApiRefusal as error:
            refused.append(f"{template.of}: {error.message}")
    assert not refused, "\n".join(refused)


def level(namespace: str, reasons: dict[str, dict[str, str]]) -> str:
    return reasons.get(namespace, {}).get("level", "restricted")


def test_every_privileged_namespace_is_rendered_and_has_a_reason(rendered):
    spaces = {
        body["metadata"]["name"]
        for rendering in rendered.values()
        for body in manifests.of_kind(bodies(rendering), "Namespace")
    }
    for name, reason in privileged().items():
        assert name in spaces, f"take {name} out of data/privileged.yaml"
        assert reason["level"] in ("baseline", "privileged")
        assert len(reason["reason"].split()) > 10


# Each breaks one thing in a rendered manifest, which the API server must then refuse for it.
PODS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "privileged": (
        lambda spec: spec["containers"][0].update(securityContext={"privileged": True}),
        "privileged",
    ),
    "root": (lambda spec: spec["securityContext"].update(runAsUser=0), "runAsUser=0"),
    "host": (lambda spec: spec.update(hostPID=True), "host namespaces"),
    "path": (lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "hostPath"),
}
FIELDS = {
    "unknown": (("spec", "replcas"), 2, "field not declared in schema|unknown field"),
    "type": (("spec", "replicas"), "two", "expected numeric|cannot unmarshal|expected integer"),
    "value": (("spec", "strategy", "type"), "Slowly", "Unsupported value"),
}


def put(value: Any, path: tuple[str | int, ...], new: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


@pytest.mark.parametrize("message", PODS)
@pytest.mark.parametrize("kind", ["Deployment", "LeaderWorkerSet"])
def test_a_pod_that_may_too_much_is_refused(cluster: Cluster, rendered, kind: str, message: str):
    spoil, refusal = PODS[message]
    body = manifests.of_kind(bodies(rendered["sovereign"]), kind)[0]
    template = next(manifests.templates(body))
    spoil(template.spec)
    with pytest.raises(ApiRefusal, match=f'violates PodSecurity "restricted:latest".*{refusal}'):
        cluster.pod(template, "sovereign")


@pytest.mark.parametrize("message", FIELDS)
def test_a_manifest_with_a_wrong_field_is_refused(cluster: Cluster, rendered, message: str):
    path, new, refusal = FIELDS[message]
    (body,) = manifests.of_kind(bodies(rendered["pilot"]), "Deployment", "internal-gateway")
    put(body, path, new)
    with pytest.raises(ApiRefusal, match=refusal):
        cluster.try_(body, "pilot")


@pytest.mark.skipif(crds.default_folder() is None, reason="stand-ins of resource definitions take any field")
def test_a_custom_resource_with_an_unknown_field_is_refused(cluster: Cluster, rendered):
    body = manifests.of_kind(bodies(rendered["pilot"]), "ClusterQueue")[0]
    body["spec"]["resourceGroop"] = []
    with pytest.raises(ApiRefusal, match=r"field not declared in schema|unknown field"):
        cluster.try_(body, "pilot")
