"""The pools' taint on a real API server: taints of others stay, whoever owned the list before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.cluster.objects import GPU_TAINT
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.kubernetes import nodes as kubernetes_nodes
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

pytestmark = pytest.mark.sandbox

NAME = "taints-of-many"
PATH = f"{kubernetes_nodes.NODES}/{NAME}"
TEAM = {"key": "team", "value": "risk", "effect": "NoExecute"}
CORDON = {"key": "maintenance", "effect": "NoSchedule"}


@pytest.fixture
def client(sandbox: Any) -> Iterator[KubeClient]:
    created = sandbox.client()
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, "spec": {"taints": [TEAM]}}
    created.call("POST", kubernetes_nodes.NODES, body=body, params={"fieldManager": "others"})
    yield created
    created.call("DELETE", PATH)


@pytest.fixture
def cluster(sandbox: Any) -> KubeClient:
    return KubeClient.of_context("fra1", {"KUBECONFIG": str(sandbox.home / "kubeconfig")})


def platform(*names: str) -> Platform:
    """The bank's, with one pool on machines of these names."""
    whole = parse(platform_data())
    return whole.model_copy(update={"pools": [whole.pools[0].model_copy(update={"node_names": list(names)})]})


def taints(client: KubeClient) -> list[dict[str, str]]:
    """Without those that the cluster's own controllers set on a node without a kubelet."""
    every = client.get(PATH)["spec"].get("taints", [])
    return [taint for taint in every if not taint["key"].startswith("node.kubernetes.io/")]


def test_our_taint_comes_and_goes_and_those_of_others_stay(client: KubeClient, cluster: KubeClient) -> None:
    kubernetes_nodes.set_taints(platform(NAME), {"fra1": cluster}, lambda _: None)
    assert [taint["key"] for taint in taints(client)] == ["team", "nvidia.com/gpu"]
    merged = {"spec": {"taints": [*taints(client), CORDON]}}
    client.call("PATCH", PATH, body=merged, content_type="application/merge-patch+json")
    kubernetes_nodes.set_taints(platform(NAME), {"fra1": cluster}, lambda _: None)
    assert {taint["key"] for taint in taints(client)} == {"team", "nvidia.com/gpu", "maintenance"}
    kubernetes_nodes.remove_taints(platform(NAME), {"fra1": cluster}, lambda _: None)
    assert {taint["key"] for taint in taints(client)} == {"team", "maintenance"}


def test_the_taint_outlives_the_patch_of_an_earlier_version_that_owned_the_list(
    client: KubeClient, cluster: KubeClient
) -> None:
    """As a NodePatch of an earlier version applied it, and as today's lets go of it."""

    def apply(spec: dict[str, Any]) -> None:
        client.call(
            *("PATCH", PATH),
            body={"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}, **spec},
            params={"fieldManager": "pulumi-kubernetes-1", "force": "true"},
            content_type="application/apply-patch+yaml",
        )

    apply({"spec": {"taints": [GPU_TAINT]}})
    assert [taint["key"] for taint in taints(client)] == ["nvidia.com/gpu"], "it removed the others'"
    kubernetes_nodes.set_taints(platform(NAME), {"fra1": cluster}, lambda _: None)
    apply({})
    assert [taint["key"] for taint in taints(client)] == ["nvidia.com/gpu"]
