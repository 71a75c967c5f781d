"""Deployed endpoints read from a state, and the step that stops endpoints to free GPUs."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from isthmus.contracts.platform.migration.capacity import Move
from isthmus.contracts.vocabulary import PAUSED_REPLICAS_ANNOTATION, UP_ROOM, UP_STANDING, UP_STEP
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.automation.events import Run
from isthmus.engine.estate import migration as estate_migration

P = "urn:pulumi:dev::isthmus::isthmus:index:LlmPlatform"
SERVER = f"{P}$isthmus:index:ModelServer"
PROVIDER = "urn:pulumi:dev::isthmus::pulumi:providers:kubernetes::fra1::id"
GATEWAY = f"{P}$isthmus:index:InferenceGateway$kubernetes:apps/v1:Deployment::bank-gateway-server"


def state(replicas: int = 2, kind: str = "kubernetes:apps/v1:Deployment") -> dict[str, Any]:
    inputs = {
        "id": "restricted-a",
        "sensitivity": "restricted",
        "pool": "h100",
        "tensor_parallel": 4,
        "replicas": 2,
        "weights": {"uri": "pvc://llama/base", "digest": "sha256:0"},
    }
    claim = {"metadata": {"name": "llama", "namespace": "isthmus-restricted"}, "spec": {"volumeName": "w"}}
    plan = {"placements": [{"workload": "reports", "endpoint": "restricted-a"}]}
    return {
        "resources": [
            {"urn": "s", "type": "pulumi:pulumi:Stack", "outputs": {"plan": plan, "audit": ["kept"]}},
            {"urn": f"{P}::bank", "type": "isthmus:index:LlmPlatform"},
            {"urn": f"{SERVER}::bank-a", "type": "isthmus:index:ModelServer", "inputs": inputs},
            {
                "urn": f"{SERVER}${kind}::bank-a-server",
                "type": kind,
                "id": "isthmus-restricted/a",
                "custom": True,
                "provider": PROVIDER,
                "parent": f"{SERVER}::bank-a",
                "inputs": {"kind": kind.rpartition(":")[2], "spec": {"replicas": replicas}},
            },
            {
                "urn": f"{P}$kubernetes:core/v1:PersistentVolumeClaim::bank-llama",
                "type": "kubernetes:core/v1:PersistentVolumeClaim",
                "provider": PROVIDER,
                "inputs": claim,
            },
            {"urn": GATEWAY, "type": "kubernetes:apps/v1:Deployment", "parent": "g", "id": "x"},
        ]
    }


class Recorded:
    """An engine that notes what it is asked for, and with which words for the program."""

    def __init__(self) -> None:
        self.excluded: list[str] = []
        self.step = ""
        self.room: dict[str, Any] = {}

    def up(self, watcher: Any, *, exclude: list[str]) -> Run:
        self.excluded, self.step = exclude, os.environ[UP_STEP]
        self.room = json.loads(os.environ[UP_ROOM])
        return Run()


def test_nodes_that_store_an_endpoints_weights_are_counted_from_the_state():
    assert estate_migration.gpu_endpoints(state())[0].fetchers == 0
    deployed_state = state()
    fetch = {"type": "kubernetes:apps/v1:DaemonSet", "id": "x", "parent": f"{SERVER}::bank-a", "custom": True}
    fetch |= {"urn": f"{SERVER}$kubernetes:apps/v1:DaemonSet::bank-a-fetch"}
    deployed_state["resources"].append({**fetch, "outputs": {"status": {"desiredNumberScheduled": 3}}})
    assert estate_migration.gpu_endpoints(deployed_state)[0].fetchers == 3


def test_an_endpoint_is_read_with_gpus_volume_and_workloads():
    [gpu_endpoint] = estate_migration.gpu_endpoints(state())
    assert (gpu_endpoint.id, gpu_endpoint.site, gpu_endpoint.pool, gpu_endpoint.total) == (
        "restricted-a",
        "fra1",
        "h100",
        8,
    )
    assert (gpu_endpoint.claim, gpu_endpoint.volume, gpu_endpoint.workloads) == ("llama", "w", ["reports"])


def test_an_empty_state_has_no_endpoints():
    assert estate_migration.gpu_endpoints({}) == []


def test_replicas_over_several_nodes_are_read_too():
    kind = "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"
    assert [gpu_endpoint.replicas for gpu_endpoint in estate_migration.gpu_endpoints(state(kind=kind))] == [2]


def test_an_endpoint_scaled_to_zero_holds_no_gpus():
    assert [gpu_endpoint.total for gpu_endpoint in estate_migration.gpu_endpoints(state(replicas=0))] == [0]


def test_a_server_without_pods_does_not_count_as_running():
    deployed_state = state()
    deployed_state["resources"] = [
        resource for resource in deployed_state["resources"] if "bank-a-server" not in resource["urn"]
    ]
    assert estate_migration.gpu_endpoints(deployed_state) == []


def test_freeing_gpus_changes_the_model_server_but_not_the_gateway():
    engine, deployed_state = Recorded(), state()
    move = Move(first=tuple(estate_migration.gpu_endpoints(deployed_state)))
    estate_migration.make_room(engine, deployed_state, move, None)  # type: ignore[arg-type]
    assert engine.step == "room"
    assert GATEWAY in engine.excluded, "callers must be refused where they ask, not sent elsewhere"
    assert not [urn for urn in engine.excluded if SERVER in urn]
    [server] = engine.room["servers"]
    assert (server["site"], server["name"], server["workload"]) == ("fra1", "bank-a", "bank-a-server")
    assert engine.room["outputs"]["audit"] == ["kept"], "the run would forget what the stack said"
    assert [resource["replicas"] for resource in engine.room["outputs"]["standing"]] == [0]
    assert UP_STEP not in os.environ
    assert UP_ROOM not in os.environ


def scaled(paused: bool = False) -> dict[str, Any]:
    """The state of an endpoint whose replicas follow the load."""
    deployed_state, kind = state(), "kubernetes:keda.sh/v1alpha1:ScaledObject"
    annotations = {PAUSED_REPLICAS_ANNOTATION: "0"} if paused else {}
    inputs = {"metadata": {"name": "a", "annotations": annotations}, "spec": {"maxReplicaCount": 5}}
    scaler = {"urn": f"{SERVER}${kind}::bank-a-scaling", "type": kind, "id": "isthmus-restricted/a"}
    deployed_state["resources"].append(
        {**scaler, "parent": f"{SERVER}::bank-a", "provider": PROVIDER, "inputs": inputs}
    )
    return deployed_state


def test_an_autoscaled_endpoint_counts_its_maximum_until_it_is_paused():
    assert [gpu_endpoint.replicas for gpu_endpoint in estate_migration.gpu_endpoints(scaled())] == [5]
    assert [
        gpu_endpoint.replicas for gpu_endpoint in estate_migration.gpu_endpoints(scaled(paused=True))
    ] == [0]


def test_freeing_gpus_also_pauses_the_keda_scaler():
    engine, deployed_state = Recorded(), scaled()
    move = Move(first=tuple(estate_migration.gpu_endpoints(deployed_state)))
    estate_migration.make_room(engine, deployed_state, move, None)  # type: ignore[arg-type]
    [server] = engine.room["servers"]
    assert server["scaler"]["name"] == "bank-a-scaling"
    assert not [urn for urn in engine.excluded if "bank-a-scaling" in urn], "KEDA would bring back what goes"


def test_a_secret_output_is_not_put_into_the_environment():
    engine, deployed_state = Recorded(), state()
    marked = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
    deployed_state["resources"][0]["outputs"]["links"] = [{"key": marked}]
    move = Move(first=tuple(estate_migration.gpu_endpoints(deployed_state)))
    estate_migration.make_room(engine, deployed_state, move, None)  # type: ignore[arg-type]
    assert set(engine.room["outputs"]) == {"plan", "audit", "standing"}


def test_the_program_receives_the_deployed_endpoints_while_it_runs():
    with estate_migration.shared_with_program(estate_migration.gpu_endpoints(state())):
        assert json.loads(os.environ[UP_STANDING])[0]["id"] == "restricted-a"
    assert UP_STANDING not in os.environ


class FakeCluster(KubeClient):
    """A cluster that has some objects, and refuses to be asked of others."""

    def __init__(self, *existing: str, status: int = 404) -> None:
        super().__init__("fra1", "https://fra1.invalid", None)
        self.there, self.status = existing, status

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        if method == "GET" and path.rpartition("/")[2] in self.there:
            return {}
        raise ApiRefusal(self.status, "no")


def test_an_endpoint_missing_in_the_cluster_does_not_count_as_running():
    gpu_endpoints = estate_migration.gpu_endpoints(state())

    def left(*existing: str) -> list[tuple[int, str | None]]:
        cluster: Any = FakeCluster(*existing)
        return [
            (confirm_in_cluster.replicas, confirm_in_cluster.volume)
            for confirm_in_cluster in estate_migration.confirm_in_clusters(gpu_endpoints, {"fra1": cluster})
        ]

    assert left("restricted-a", "llama") == [(2, "w")]
    assert left("restricted-a") == [(2, None)]
    assert left("llama") == [(0, "w")]
    assert left() == []
    assert estate_migration.confirm_in_clusters(gpu_endpoints, {}) == gpu_endpoints


def test_a_cluster_that_denies_access_may_still_have_endpoints():
    cluster: Any = FakeCluster(status=403)
    with pytest.raises(EnvironmentFault, match="refused a read of its workloads"):
        estate_migration.confirm_in_clusters(estate_migration.gpu_endpoints(state()), {"fra1": cluster})
