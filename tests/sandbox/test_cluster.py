"""The shared sandbox's cluster: nodes, scheduling, volumes, CRDs, and that `up` twice changes nothing."""

from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from filelock import FileLock

from sandbox import api, processes
from sandbox.cluster import initial_objects
from sandbox.cluster.kwok import MANAGER
from sandbox.home import Home
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox


@pytest.fixture
def namespace(sandbox):
    client = sandbox.client("fra1")
    name = f"try-{time.time_ns()}"
    client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    # Pods are refused until the controller manager has made the default service account.
    eventually(lambda: client.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"), bool)
    yield f"/api/v1/namespaces/{name}"
    client.delete(f"/api/v1/namespaces/{name}")


def pod(name: str, product: str, gpus: int) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "registry.example/vllm",
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }
    sidecar = {"name": "side", "image": "registry.example/edge", "restartPolicy": "Always"}
    return {
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"nvidia.com/gpu.product": product},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "initContainers": [{"name": "first", "image": "registry.example/first"}, sidecar],
            "containers": [container, {"name": "second", "image": "registry.example/edge"}],
        },
    }


def test_the_pools_are_there_with_their_gpus_and_zones(sandbox):
    nodes = {
        node["metadata"]["name"]: node for node in sandbox.client("fra1").get(initial_objects.NODES)["items"]
    }
    assert set(nodes) == {
        *(f"fra1-h100-sxm-80gb-{n}" for n in (0, 1)),
        *(f"fra1-l40s-48gb-{n}" for n in (0, 1)),
        *(f"fra1-cpu-{n}" for n in (0, 1)),
    }
    gpus = {name: node["status"]["allocatable"].get("nvidia.com/gpu") for name, node in nodes.items()}
    assert gpus["fra1-h100-sxm-80gb-0"] == "8"
    assert gpus["fra1-l40s-48gb-1"] == "4"
    assert gpus["fra1-cpu-0"] is None
    zones = {name: node["metadata"]["labels"]["topology.kubernetes.io/zone"] for name, node in nodes.items()}
    for pool in ("fra1-h100-sxm-80gb", "fra1-l40s-48gb", "fra1-cpu"):
        assert (zones[f"{pool}-0"], zones[f"{pool}-1"]) == ("fra1-a", "fra1-b")
    labels = nodes["fra1-h100-sxm-80gb-0"]["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/mig.capable"] == "true"


def test_a_pod_runs_on_the_pool_that_it_selects(sandbox, namespace):
    client = sandbox.client("fra1")
    client.create(f"{namespace}/pods", pod("model", "NVIDIA-L40S", 4))
    actual = eventually(
        lambda: client.get(f"{namespace}/pods/model"), lambda p: p["status"]["phase"] == "Running"
    )
    assert actual["status"]["phase"] == "Running", actual["status"]
    assert actual["spec"]["nodeName"].startswith("fra1-l40s-48gb-")
    assert all(entry["ready"] for entry in actual["status"]["containerStatuses"])
    assert len(actual["status"]["containerStatuses"]) == 2


def test_a_pod_that_asks_for_more_gpus_than_a_node_has_stays_pending(sandbox, namespace):
    client = sandbox.client("fra1")
    client.create(f"{namespace}/pods", pod("greedy", "NVIDIA-L40S", 5))
    conditions = eventually(
        lambda: client.get(f"{namespace}/pods/greedy")["status"].get("conditions"),
        lambda pods: pods and any(entry.get("reason") == "Unschedulable" for entry in pods),
    )
    assert any(entry.get("reason") == "Unschedulable" for entry in conditions or []), conditions


def test_weights_are_claimed_again_after_their_claim_was_deleted(sandbox, namespace):
    client = sandbox.client("fra1")
    volume = "weights-qwen-qwen3-32b"
    claim = {
        "metadata": {"name": "weights"},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": volume,
            "resources": {"requests": {"storage": "200Gi"}},
        },
    }
    path = f"{namespace}/persistentvolumeclaims/weights"
    for attempt in ("first", "second"):
        client.create(f"{namespace}/persistentvolumeclaims", claim)
        actual = eventually(lambda: client.get(path), lambda c: c["status"].get("phase") == "Bound")
        assert actual["status"].get("phase") == "Bound", (
            f"the {attempt} claim did not bind: {actual['status']}"
        )
        client.delete(path)
        eventually(lambda: client.find(path), lambda c: c is None)
    released = eventually(
        lambda: client.get(f"{initial_objects.VOLUMES}/{volume}")["status"]["phase"],
        lambda phase: phase == "Available",
    )
    assert released == "Available"


def test_up_again_changes_nothing(sandbox):
    client = sandbox.client("fra1")

    def versions() -> dict[str, list[str]]:
        """When the sandbox last wrote each object; others may write to them meanwhile."""
        return {
            f"{collection}/{item['metadata']['name']}": [
                entry.get("time", "")
                for entry in item["metadata"]["managedFields"]
                if entry["manager"] == MANAGER
            ]
            for collection in (
                initial_objects.CRDS,
                initial_objects.VOLUMES,
                initial_objects.NODES,
                initial_objects.CLUSTER_POLICIES,
            )
            for item in client.get(collection)["items"]
        }

    before, ports = versions(), api.status(sandbox.home)
    after = api.up(sandbox.requirements, home=sandbox.home)
    assert all(before.values())
    assert versions() == before
    assert [c.address for c in after.clusters] == [c.address for c in ports.clusters]


def test_the_gpu_operators_policy_says_that_it_is_simulated(sandbox):
    policy = sandbox.client("fra1").get(f"{initial_objects.CLUSTER_POLICIES}/cluster-policy")
    assert policy["status"]["state"] == "ready"
    assert "simulated" in policy["metadata"]["annotations"]["isthmus.dev/sandbox"]


def test_a_kueue_flavor_can_be_made(sandbox):
    client = sandbox.client("fra1")
    path = "/apis/kueue.x-k8s.io/v1beta2/resourceflavors"
    client.create(
        path, {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "try"}}
    )
    client.delete(f"{path}/try")


def test_there_are_addresses_for_the_services_of_a_large_fleet(sandbox):
    actual = sandbox.client("fra1").get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
    assert actual["spec"]["cidrs"] == ["10.0.0.0/16"]


def test_status_counts_what_is_there(sandbox):
    status = api.status(sandbox.home)
    assert status.up
    assert status.kubeconfig == str(sandbox.home / "kubeconfig")
    [cluster] = status.clusters
    assert (cluster.context, cluster.gpus, cluster.nodes) == ("fra1", 24, 6)
    assert {pool.name: pool.gpus for pool in cluster.pools} == {"fra1-h100-sxm-80gb": 16, "fra1-l40s-48gb": 8}
    assert cluster.volumes >= 3
    assert status.aws is not None
    assert status.aws.running
    assert status.aws.simulated
    assert status.to_dict()["clusters"][0]["pools"][0]["product"] == "NVIDIA-H100-80GB-HBM3"


def test_nobody_but_this_machine_and_this_user_gets_in(sandbox):
    assert stat.S_IMODE((sandbox.home / "kubeconfig").stat().st_mode) == 0o600
    assert stat.S_IMODE((sandbox.home / "passphrase").stat().st_mode) == 0o600
    ours = {process.pid for process in processes.running_processes(Home.at(sandbox.home)).values()}
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.laddr and connection.pid in ours and connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_a_second_command_waits_for_the_first_and_says_so(sandbox):
    lines: list[str] = []
    lock = FileLock(Home.at(sandbox.home).lock)
    with ThreadPoolExecutor(1) as pool:
        with lock:
            second = pool.submit(api.up, sandbox.requirements, home=sandbox.home, progress=lines.append)
            eventually(lambda: lines, bool)
            assert not second.done()
        assert second.result(timeout=60).up
    assert "waiting for it" in lines[0]
