"""A cluster in memory with a few objects of a stack, for tests of foreign entries."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from isthmus.contracts.trust import Trust
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.foreign.entries import KINDS, ForeignEntries, Refused
from isthmus.graph.resources.state import Stated

SPACE = "isthmus-restricted"
PROVIDER = "urn:pulumi:s::isthmus::pulumi:providers:kubernetes::fra1"
TODAY = date(2026, 11, 29)
OWN, EDITOR = "pulumi-kubernetes-1", "kubectl-edit"
_SELECTOR = {"matchLabels": {"isthmus.dev/class": "restricted"}}
_RBAC = "rbac.authorization.k8s.io"
BODIES: dict[str, dict[str, Any]] = {
    "NetworkPolicy": {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}},
    "Role": {"rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]},
    "RoleBinding": {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": "x"},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "oidc:owners"}],
    },
    "ClusterRole": {"rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]},
    "ClusterRoleBinding": {
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "x"},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "oidc:owners"}],
    },
    "ValidatingAdmissionPolicy": {
        "spec": {
            "matchConstraints": {"namespaceSelector": _SELECTOR},
            "validations": [{"expression": "false"}],
        }
    },
    "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": "x", "validationActions": ["Deny"]}},
    "Namespace": {},
    "Deployment": {
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "vllm", "image": "a", "args": ["--x"]}]}},
        }
    },
}
"""Kind → what the stack sets, for one object of each."""


def body_of(kind: str) -> dict[str, Any]:
    """The inputs of the stack's object of a kind."""
    namespace = {"namespace": SPACE} if KINDS[kind].namespaced else {}
    metadata = {"name": "x", "labels": {"app.kubernetes.io/part-of": "isthmus"}, **namespace}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **BODIES[kind]}


def path_of(kind: str) -> str:
    return KINDS[kind].path(SPACE if KINDS[kind].namespaced else "", "x")


def type_of(kind: str) -> str:
    version = KINDS[kind].api_version
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}"


def urn_of(kind: str) -> str:
    return f"urn:pulumi:s::isthmus::{type_of(kind)}::x"


def resource_of(kind: str, *, manager: str = OWN, suffix: str = "") -> dict[str, Any]:
    """The object's entry in a state."""
    return {
        "urn": f"{urn_of(kind)}{suffix}",
        "type": f"{type_of(kind)}{suffix}",
        "custom": True,
        "id": f"{SPACE}/x" if KINDS[kind].namespaced else "x",
        "inputs": body_of(kind),
        "outputs": {"__fieldManager": manager},
        "provider": f"{PROVIDER}::id",
    }


def claims(value: Any) -> Any:
    """The FieldsV1 of applied fields, without keyed lists."""
    if isinstance(value, dict):
        return {f"f:{key}": claims(item) for key, item in value.items()}
    return {}


class Cluster(KubeClient):
    """An API server that notes what it is asked. `webhook` changes every object that is written."""

    def __init__(self, *kinds: str) -> None:
        super().__init__("fra1", "https://fra1", None)
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.refused: dict[tuple[str, str], list[int]] = {}
        """Method and path → statuses with which the next calls are refused."""
        self.webhook: Callable[[dict[str, Any]], None] = lambda _: None
        for kind in kinds or BODIES:
            body = copy.deepcopy(body_of(kind))
            keys = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
            keys["metadata"] = {"labels": body["metadata"]["labels"]}
            body["metadata"]["managedFields"] = [
                {"manager": OWN, "operation": "Apply", "fieldsV1": claims(keys)}
            ]
            self.objects[path_of(kind)] = body

    def of(self, kind: str) -> dict[str, Any]:
        return self.objects[path_of(kind)]

    def claim(self, kind: str, manager: str, *path: str) -> None:
        """This manager has the last word on a field."""
        fields: dict[str, Any] = {}
        for key in reversed(path):
            fields = {f"f:{key}": fields}
        self.of(kind)["metadata"]["managedFields"].append({"manager": manager, "fieldsV1": fields})

    def call(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        self.asked.append((method, path))
        if statuses := self.refused.get((method, path)):
            raise ApiRefusal(statuses.pop(0), "it is forbidden", f"{method} {path}")
        if method == "GET" and path not in self.objects:
            if path.endswith("/x"):
                raise ApiRefusal(404, "not found", path)
            plural = path.rpartition("/")[2]
            return {
                "items": [
                    # A list leaves out the kind.
                    {key: value for key, value in live.items() if key not in ("apiVersion", "kind")}
                    for key, live in self.objects.items()
                    if key.split("/")[-2] == plural
                ]
            }
        if method == "PATCH":
            _merge(self.objects[path], body)
        elif method == "PUT":
            self.objects[path] = copy.deepcopy(body)
        if method != "GET":
            self.webhook(self.objects[path])
        return copy.deepcopy(self.objects[path])

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]


def _merge(live: dict[str, Any], body: dict[str, Any]) -> None:
    for key, value in body.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = copy.deepcopy(value)


def search(
    cluster: KubeClient,
    resources: Sequence[dict[str, Any]] | None = None,
    *,
    refused: Refused = lambda _, __: frozenset(),
    siblings: Sequence[dict[str, Any]] = (),
    trust: Trust | None = None,
) -> ForeignEntries:
    """The search for foreign entries of a stack of these resources; of one object of each kind by default."""
    return ForeignEntries(
        state={"resources": list(resources or map(resource_of, BODIES))},
        siblings=lambda: siblings,
        clusters={"fra1": cluster},
        trust=trust or Trust(),
        today=TODAY,
        refused=refused,
    )


def refuses(*kinds: str) -> Refused:
    """Policies that refuse these kinds as soon as anything in them differs."""

    def refused(without: Sequence[Stated], with_entries: Sequence[Stated]) -> frozenset[str]:
        before = {resource.urn: resource.inputs for resource in without}
        return frozenset(
            resource.urn
            for resource in with_entries
            if resource.inputs["kind"] in kinds and resource.inputs != before[resource.urn]
        )

    return refused
