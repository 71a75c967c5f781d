"""Health of GPU pools: nodes and objects of a cluster compared with what the stack expects."""

from __future__ import annotations

from typing import Any, cast

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.kubernetes import pool_health

NODE = {"api_version": "v1", "kind": "Node", "labels": {"pool": "a"}, "count": 2}
READY = ["status", "conditions", "Ready"]


class Fake:
    """A cluster with some answers, that counts what it is asked."""

    context = "here"

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = {
            "/api/v1": {
                "resources": [{"name": "nodes/status", "kind": "Node"}, {"name": "nodes", "kind": "Node"}]
            },
            **answers,
        }
        self.asked: list[str] = []

    def find(self, path: str) -> Any:
        self.asked.append(path)
        answer = self.answers.get(path)
        if isinstance(answer, Exception):
            raise answer
        return answer


def node(ready: str = "True", **labels: str) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"nvidia.com/gpu": "8"}}
    return {"metadata": {"labels": labels}, "status": status}


def check_health(cluster: Fake, *signs: dict[str, Any]) -> list[pool_health.SignResult]:
    pools = [{"name": "a", "site": "fra1", "signs": list(signs)}]
    return pool_health.check_pools(pools, {"fra1": cast(KubeClient, cluster)})


def machines(*nodes: dict[str, Any]) -> Fake:
    return Fake({"/api/v1/nodes?labelSelector=pool%3Da": {"items": list(nodes)}})


def test_all_nodes_are_checked_with_one_request() -> None:
    cluster = machines(node(), node())
    gpus = {**NODE, "path": ["status", "allocatable", "nvidia.com/gpu"], "value": "8"}
    checks = check_health(cluster, {**NODE, "path": READY, "value": "True"}, gpus)
    assert all(check.well for check in checks)
    assert len(cluster.asked) == 2, "what is served, and the machines"


@pytest.mark.parametrize(
    ("nodes", "shown", "instead"),
    [
        ([node(), node("False")], 1, ("False",)),
        ([node()], 1, ("nothing",)),
        ([node(), node(), node()], 3, ("3 objects",)),
        ([], 0, ("nothing",)),
    ],
)
def test_a_differing_missing_or_surplus_node_is_reported(
    nodes: list[dict[str, Any]], shown: int, instead: tuple[str, ...]
) -> None:
    (check,) = check_health(machines(*nodes), {**NODE, "path": READY, "value": "True"})
    assert (check.well, check.shown, check.instead) == (False, shown, instead)
    line = (
        f"Node pool=a: status › conditions › Ready should be True, is {instead[0]} ({shown} of 2 are right)"
    )
    assert str(check) == line


def test_nodes_with_an_excluded_label_are_not_counted() -> None:
    cluster = Fake({"/api/v1/nodes?labelSelector=pool%3Da%2C%21shared": {"items": [node(), node()]}})
    (check,) = check_health(cluster, {**NODE, "without": ["shared"], "path": READY, "value": "True"})
    assert check.well


def test_a_required_label_without_a_value_may_have_any_value() -> None:
    expected_label = {**NODE, "path": ["metadata", "labels", "rack"], "value": ""}
    assert check_health(machines(node(rack="7"), node(rack="8")), expected_label)[0].well
    assert not check_health(machines(node(rack="7"), node()), expected_label)[0].well


def test_a_missing_object_or_a_missing_kind_is_reported() -> None:
    queue = {"api_version": "k/v1", "kind": "Queue", "namespace": "n", "name": "q", "path": [], "value": ""}
    served = {"/apis/k/v1": {"resources": [{"name": "queues", "kind": "Queue"}]}}
    assert check_health(Fake({**served, "/apis/k/v1/namespaces/n/queues/q": {}}), queue)[0].instead == (
        "nothing",
    )
    assert check_health(Fake({**served, "/apis/k/v1/namespaces/n/queues/q": node()}), queue)[0].well
    assert check_health(Fake({}), queue)[0].instead == ("nothing",)
    assert check_health(Fake({}), queue)[0].object == "Queue n/q"


def test_a_cluster_that_denies_access_is_not_reported_as_healthy() -> None:
    cluster = Fake({"/api/v1/nodes?labelSelector=pool%3Da": ApiRefusal(403, "no")})
    with pytest.raises(EnvironmentFault, match="refused to read"):
        check_health(cluster, {**NODE, "path": READY, "value": "True"})
