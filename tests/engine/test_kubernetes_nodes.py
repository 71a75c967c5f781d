"""Nodes of GPU pools before a run: their labels and failure domains, and the taint that Isthmus keeps on them."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.kubernetes import nodes as kubernetes_nodes
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

ZONE = "topology.kubernetes.io/zone"
CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
TEAM = {"key": "team", "value": "risk", "effect": "NoExecute"}


class Nodes(KubeClient):
    """A cluster that keeps nodes as the API server does: a write with an old version is refused."""

    def __init__(self, *nodes: dict[str, Any], status: int = 0, other_count: int = 0) -> None:
        super().__init__("fra1", "https://fra1.invalid", None)
        self.given = {node["metadata"]["name"]: node for node in nodes}
        self.status = status
        self.others = other_count
        """So often another client writes between a read and a write."""
        self.written = 0

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        if self.status:
            raise ApiRefusal(self.status, "forbidden")
        if method == "GET" and path == kubernetes_nodes.NODES:
            return {"items": list(self.given.values())}
        name = path.rpartition("/")[2]
        if name not in self.given:
            raise ApiRefusal(404, "not found")
        stored = self.given[name]
        if method == "GET":
            return {**stored, "metadata": dict(stored["metadata"]), "spec": dict(stored["spec"])}
        assert more["content_type"] == "application/merge-patch+json"
        if self.others:
            self.others -= 1
            stored["spec"]["taints"] = [*stored["spec"].get("taints", []), TEAM]
            stored["metadata"]["resourceVersion"] += "1"
        if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise ApiRefusal(409, "the object has been modified")
        stored["metadata"]["resourceVersion"] += "1"
        marks = {**stored["metadata"].get("annotations", {}), **body["metadata"]["annotations"]}
        stored["metadata"]["annotations"] = {key: value for key, value in marks.items() if value is not None}
        stored["spec"] = {**stored["spec"], **body["spec"]}
        self.written += 1
        return stored

    def taints(self, name: str) -> list[dict[str, Any]]:
        return self.given[name]["spec"].get("taints", [])


def node(name: str, *taints: dict[str, Any], **labels: str) -> dict[str, Any]:
    node_labels = {key.replace("zone", ZONE): value for key, value in labels.items()}
    return {
        "metadata": {"name": name, "labels": node_labels, "resourceVersion": "1"},
        "spec": {"taints": list(taints)},
    }


def platform(*names: str, **pool: Any) -> Platform:
    """The bank's, the machines of its first pool named."""
    data = platform_data()
    data["pools"][0] |= {"node_names": list(names), "nodes": len(names), **pool}
    return parse(data)


def set_taints(cluster: KubeClient, platform: Platform) -> list[str]:
    messages: list[str] = []
    kubernetes_nodes.set_taints(platform, {"fra1": cluster}, messages.append)
    return messages


def test_a_node_gets_the_pool_taint_and_keeps_other_taints() -> None:
    cluster = Nodes(node("a", CORDON, TEAM), node("b"))
    messages = set_taints(cluster, platform("a", "b"))
    assert cluster.taints("a") == [CORDON, TEAM, kubernetes_nodes.TAINT]
    assert cluster.taints("b") == [kubernetes_nodes.TAINT]
    assert any("set the taint nvidia.com/gpu=present:NoSchedule on machine a" in line for line in messages)
    assert set_taints(cluster, platform("a", "b")) == []
    assert cluster.written == 2, "a taint that is there is not written again"


def test_a_taint_that_another_client_sets_concurrently_is_kept() -> None:
    cluster = Nodes(node("a"), node("b"), other_count=2)
    set_taints(cluster, platform("a", "b"))
    assert cluster.taints("a") == [TEAM, TEAM, kubernetes_nodes.TAINT]


def test_a_node_that_keeps_changing_is_reported_with_a_command() -> None:
    with pytest.raises(EnvironmentFault, match=r"kubectl taint nodes a nvidia\.com/gpu=present:NoSchedule"):
        set_taints(Nodes(node("a"), node("b"), other_count=99), platform("a", "b"))


def test_a_node_that_left_its_pool_loses_only_the_pool_taint() -> None:
    cluster = Nodes(node("a", TEAM), node("b"), node("c", kubernetes_nodes.TAINT))
    set_taints(cluster, platform("a", "b"))
    set_taints(cluster, platform("b", "c"))
    assert cluster.taints("a") == [TEAM]
    assert cluster.taints("c") == [kubernetes_nodes.TAINT]
    kubernetes_nodes.remove_taints(platform("b", "c"), {"fra1": cluster}, lambda _: None)
    assert cluster.taints("b") == []
    assert cluster.taints("c") == [kubernetes_nodes.TAINT], "it was there before"


def test_with_taint_existing_nodes_are_checked_but_not_changed() -> None:
    cluster = Nodes(node("a", kubernetes_nodes.TAINT), node("b"))
    with pytest.raises(EnvironmentFault, match="machine b of pool h100 lacks the taint") as caught:
        set_taints(cluster, platform("a", "b", taint="existing"))
    assert "kubectl taint nodes b nvidia.com/gpu=present:NoSchedule" in str(caught.value)
    assert cluster.written == 0


def check_domains(cluster: KubeClient, platform: Platform | None = None) -> list[str]:
    messages: list[str] = []
    kubernetes_nodes.check_domain_labels(
        platform or parse(platform_data()), {"fra1": cluster}, messages.append
    )
    return messages


def test_nodes_without_a_failure_domain_label_are_refused_with_a_fix() -> None:
    with pytest.raises(EnvironmentFault, match=f"no node for gateways has the label `{ZONE}`") as caught:
        check_domains(Nodes(node("gpu", kubernetes_nodes.TAINT, zone="a"), node("one"), node("two")))
    assert f"kubectl label node NAME {ZONE}=DOMAIN" in str(caught.value)
    assert "sites[fra1].failure_domain_label" in str(caught.value)


def test_some_nodes_without_a_failure_domain_label_are_a_warning() -> None:
    (line,) = check_domains(Nodes(node("one", zone="a"), node("two")))
    assert line.endswith("get no gateway pods: two")
    assert check_domains(Nodes(node("one", zone="a"), node("two", zone="b"))) == []


def test_a_pool_in_one_domain_is_refused_if_endpoints_must_survive_a_domain_loss() -> None:
    two_domains = platform("a", "b")
    machines = [node("a", zone="x"), node("b", zone="x"), node("one", zone="x")]
    with pytest.raises(
        EnvironmentFault, match=f"the machines of pool h100 have 1 values of the label `{ZONE}`"
    ):
        check_domains(Nodes(*machines), two_domains)
    machines[1]["metadata"]["labels"][ZONE] = "y"
    assert check_domains(Nodes(*machines), two_domains) == []


def test_a_deployer_without_read_access_is_warned_and_continues() -> None:
    (line,) = check_domains(Nodes(status=403))
    assert "its nodes cannot be listed" in line
