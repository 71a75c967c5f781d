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

from sandbox.cluster import crds
from sandbox.cluster.client import ApiError, KubeClient
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
        """Server-side apply without storing; `ApiError` where the API server refuses."""
        sent = self._placed(body, rendering)
        self._apply(sent, dryRun="All")

    def pod(self, template: manifests.Template, rendering: str) -> None:
        """As `try_`, of a pod of this template."""
        spec = template.spec
        account = {"name": spec.get("serviceAccountName", "default"), "namespace": template.namespace}
        self._apply(
            self._placed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, rendering)
        )
        if named := spec.get("priorityClassName"):
            spec = {**spec, "priorityClassName": self._name(named, rendering)}
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
            media="application/apply-patch+yaml",
            params={"fieldManager": "grader", "force": "true", "fieldValidation": "Strict", **params},
        )

    def _path(self, body: Body) -> str:
        version, meta = body["apiVersion"], body["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._plurals:
            self._plurals[version] = {
                each["kind"]: (each["name"], each["namespaced"])
                for each in self.client.get(root)["resources"]
                if "/" not in each["name"]
            }
        plural, namespaced = self._plurals[version][body["kind"]]
        within = f"/namespaces/{meta['namespace']}" if namespaced else ""
        return f"{root}{within}/{plural}/{meta['name']}"


def with_addresses(value: Any) -> Any:
    """For each placeholder of an address one of a range that is for examples."""
    if isinstance(value, dict):
        return {key: with_addresses(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_addresses(one) for one in value]
    if isinstance(value, str) and ADDRESS.fullmatch(value):
        return f"198.51.100.{zlib.crc32(value.encode()) % 255}"
    return value


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox, rendered: dict[str, Rendering]) -> Iterator[Cluster]:
    made = Cluster(sandbox.client())
    try:
        for each in rendered.values():
            for space in [*manifests.of_kind(bodies(each), "Namespace"), *of_others(bodies(each))]:
                made.space(space, each.name)
            for priority in manifests.of_kind(bodies(each), "PriorityClass"):
                made.priority(priority, each.name)
        yield made
    finally:
        made.clean()


def bodies(rendering: Rendering) -> list[Body]:
    found = manifests.read(rendering.manifests)
    return [each for each in found if each["apiVersion"] != manifests.CHARTS]


def of_others(found: list[Body]) -> list[Body]:
    """Namespaces into which something is rendered and that are not: an operator's, say."""
    own = {each["metadata"]["name"] for each in manifests.of_kind(found, "Namespace")}
    into = {each["metadata"].get("namespace") for each in found} - {None}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": str(name)}}
        for name in sorted(into - own, key=str)
    ]


def privileged() -> dict[str, dict[str, str]]:
    return {each["namespace"]: each for each in data("privileged")}


@pytest.mark.parametrize("name", NAMES)
def test_every_manifest_passes_strict_validation(cluster: Cluster, rendered, name: str):
    refused = []
    for body in bodies(rendered[name]):
        try:
            cluster.try_(body, name)
        except ApiError as error:
            refused.append(f"{body['kind']} {body['metadata']['name']}: {error.message}")
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_passes_pod_security_restricted(cluster: Cluster, rendered, name: str):
    found = bodies(rendered[name])
    labels = {
        each["metadata"]["name"]: each["metadata"]["labels"] for each in manifests.of_kind(found, "Namespace")
    }
    known = privileged()
    wrong = {space: at.get(LEVEL) for space, at in labels.items() if at.get(LEVEL) != level(space, known)}
    assert not wrong, f"namespaces are not enforced as they must be: {wrong}"
    templates = [each for body in found for each in manifests.templates(body)]
    assert {each.namespace for each in templates} <= set(labels), (
        "a namespace that nobody rendered holds pods"
    )
    assert templates or not found
    refused = []
    for each in templates:
        try:
            cluster.pod(each, name)
        except ApiError as error:
            refused.append(f"{each.of}: {error.message}")
    assert not refused, "\n".join(refused)


def level(namespace: str, known: dict[str, dict[str, str]]) -> str:
    return known.get(namespace, {}).get("level", "restricted")


def test_every_privileged_namespace_is_rendered_and_has_a_reason(rendered):
    spaces = {
        body["metadata"]["name"]
        for each in rendered.values()
        for body in manifests.of_kind(bodies(each), "Namespace")
    }
    for name, said in privileged().items():
        assert name in spaces, f"take {name} out of data/privileged.yaml"
        assert said["level"] in ("baseline", "privileged")
        assert len(said["reason"].split()) > 10


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


@pytest.mark.parametrize("what", PODS)
@pytest.mark.parametrize("kind", ["Deployment", "LeaderWorkerSet"])
def test_a_pod_that_may_too_much_is_refused(cluster: Cluster, rendered, kind: str, what: str):
    spoil, said = PODS[what]
    body = manifests.of_kind(bodies(rendered["sovereign"]), kind)[0]
    template = next(manifests.templates(body))
    spoil(template.spec)
    with pytest.raises(ApiError, match=f'violates PodSecurity "restricted:latest".*{said}'):
        cluster.pod(template, "sovereign")


@pytest.mark.parametrize("what", FIELDS)
def test_a_manifest_with_a_wrong_field_is_refused(cluster: Cluster, rendered, what: str):
    path, new, said = FIELDS[what]
    (body,) = manifests.of_kind(bodies(rendered["pilot"]), "Deployment", "internal-gateway")
    put(body, path, new)
    with pytest.raises(ApiError, match=said):
        cluster.try_(body, "pilot")


@pytest.mark.skipif(crds.default_folder() is None, reason="stand-ins of resource definitions take any field")
def test_a_custom_resource_with_an_unknown_field_is_refused(cluster: Cluster, rendered):
    body = manifests.of_kind(bodies(rendered["pilot"]), "ClusterQueue")[0]
    body["spec"]["resourceGroop"] = []
    with pytest.raises(ApiError, match=r"field not declared in schema|unknown field"):
        cluster.try_(body, "pilot")
