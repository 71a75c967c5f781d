"""The stand-in for LeaderWorkerSet's controller, on the real API server with the real StatefulSet controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isthmus.core.kubernetes_client import KubeClient
from sandbox.operators.groups import GROUP_VERSION
from sandbox.operators.labels import GROUP, MEMBER, NAME

pytestmark = pytest.mark.sandbox

SIZE = 3


class Space:
    """A namespace with one set in it."""

    def __init__(self, client: KubeClient) -> None:
        self.client, self.name = client, f"try-groups-{time.time_ns()}"
        self.path = f"/apis/{GROUP_VERSION}/namespaces/{self.name}/leaderworkersets/model"
        client.create("/api/v1/namespaces", {"metadata": {"name": self.name}})

    def apply(self, image: str, *, replicas: int = 2, surge: int = 0) -> None:
        own = {"labelSelector": {"matchLabels": {"app": "model"}}, "matchLabelKeys": [GROUP]}
        pod = {
            "metadata": {"labels": {"app": "model"}},
            "spec": {
                "containers": [{"name": "main", "image": image}],
                "tolerations": [{"operator": "Exists"}],
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {**own, "topologyKey": "kubernetes.io/hostname"}
                        ]
                    }
                },
            },
        }
        rolling = {"maxSurge": surge, "maxUnavailable": 0 if surge else 1}
        spec = {
            "replicas": replicas,
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": rolling},
            "leaderWorkerTemplate": {"size": SIZE, "leaderTemplate": pod, "workerTemplate": pod},
        }
        meta = {"name": "model"}
        self.client.apply(
            self.path,
            {"apiVersion": GROUP_VERSION, "kind": "LeaderWorkerSet", "metadata": meta, "spec": spec},
            manager="test",
        )

    def pods(self) -> dict[str, dict[str, Any]]:
        listed = self.client.get(f"/api/v1/namespaces/{self.name}/pods")["items"]
        return {pod["metadata"]["name"]: pod for pod in listed}

    def images(self) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in self.pods().values()}

    def available(self) -> bool:
        created = self.client.get(self.path)
        status = created.get("status", {})
        return status.get("observedGeneration") == created["metadata"]["generation"] and any(
            resource["type"] == "Available" and resource["status"] == "True"
            for resource in status.get("conditions", [])
        )

    def eventually(self, look: Callable[[], bool], seconds: float = 60) -> bool:
        deadline = time.monotonic() + seconds
        while not look() and time.monotonic() < deadline:
            time.sleep(0.1)
        return look()


@pytest.fixture
def namespace(sandbox: Any) -> Iterator[Space]:
    new_space = Space(sandbox.client())
    yield new_space
    new_space.client.delete(f"/api/v1/namespaces/{new_space.name}")


def test_groups_come_roll_recover_and_go_as_wholes(namespace: Space) -> None:
    namespace.apply("one")
    assert namespace.eventually(namespace.available)
    pods = namespace.pods()
    assert set(pods) == {f"model-{group}{place}" for group in (0, 1) for place in ("", "-1", "-2")}
    for name, pod in pods.items():
        _, group, *place = name.split("-")
        labels = pod["metadata"]["labels"]
        assert (labels[NAME], labels[GROUP], labels[MEMBER]) == ("model", group, (place or ["0"])[0])
    nodes = [pods[f"model-0{place}"]["spec"]["nodeName"] for place in ("", "-1", "-2")]
    assert len(set(nodes)) == SIZE, "the labels came too late for the scheduler's terms"

    namespace.apply("two")
    least = SIZE
    while not (namespace.available() and namespace.images() == {"two"}):
        running = [pod for pod in namespace.pods().values() if pod["status"].get("phase") == "Running"]
        least = min(least, len(running))
    assert least >= SIZE, "more than one group was away at once"

    before = {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()}
    namespace.client.delete(f"/api/v1/namespaces/{namespace.name}/pods/model-1-2")

    def anew() -> bool:
        uids = {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()}
        others = [name for name in before if name.startswith("model-0") and uids.get(name) != before[name]]
        mine = [name for name in before if name.startswith("model-1") and uids.get(name, "") != before[name]]
        assert others == [], "another group was touched"
        return len(mine) == SIZE and namespace.available()

    assert namespace.eventually(anew), "the rest of the group would wait for a pod that never knew it"

    namespace.client.delete(namespace.path)
    assert namespace.eventually(lambda: not namespace.pods())
    for kind in ("apis/apps/v1", "api/v1"):
        plural = "statefulsets" if "apps" in kind else "services"
        path = f"/{kind}/namespaces/{namespace.name}/{plural}"
        assert namespace.eventually(lambda path=path: not namespace.client.names(path))


def test_with_surge_a_new_group_comes_before_an_old_one_goes(namespace: Space) -> None:
    namespace.apply("one", replicas=1, surge=1)
    assert namespace.eventually(namespace.available)
    namespace.apply("two", replicas=1, surge=1)
    names: set[str] = set()
    while not (namespace.available() and namespace.images() == {"two"}):
        running = {name for name, pod in namespace.pods().items() if pod["status"].get("phase") == "Running"}
        assert len(running) >= SIZE
        names |= running
    assert "model-1-1" in names
    assert namespace.eventually(lambda: len(namespace.pods()) == SIZE)


def test_a_budget_over_a_groups_pods_lets_one_be_evicted(namespace: Space) -> None:
    namespace.apply("one")
    assert namespace.eventually(namespace.available)
    budgets = f"/apis/policy/v1/namespaces/{namespace.name}/poddisruptionbudgets"
    selector = {"matchLabels": {"app": "model"}}
    namespace.client.create(
        budgets, {"metadata": {"name": "model"}, "spec": {"maxUnavailable": 1, "selector": selector}}
    )

    def counted() -> bool:
        status = namespace.client.get(f"{budgets}/model").get("status", {})
        return (status.get("currentHealthy"), status.get("disruptionsAllowed")) == (2 * SIZE, 1)

    assert namespace.eventually(counted)
