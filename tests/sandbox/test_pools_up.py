"""A stack whose pools are divided, placed, shared in time and driven by an operator of its own, from up to destroy.

The real engine, provider (Helm within it), API server and scheduler, against the real definitions where they are. Kueue
does not run here, so nobody is held back or evicted; nor does the GPU Operator: its chart is the tests' own, whose
device plugin is the sandbox's stand-in. One stack, brought up once; the tests run in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from components import GpuPool, ModelServer
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.render.recorder import plain
from tests.accounting import cluster
from tests.components.conftest import Engine, Made
from tests.components.test_model_server import args
from tests.sandbox.pools_up import HOST, KUEUE, LARGE, SHARED, SMALL, WIDE, ZONE, Pools
from tests.sandbox.projects import standing
from tests.sandbox.test_slices_and_groups_up import running
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def pools(toolchain: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pools]:
    with standing(Pools, tmp_path_factory.mktemp("pools")) as new_pools:
        new_pools.up()
        yield new_pools


def test_helm_installed_the_operator_with_what_the_pools_need(pools: Pools) -> None:
    policy = pools.cluster.get("/apis/nvidia.com/v1/clusterpolicies/cluster-policy")
    assert policy["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert policy["spec"]["mig"]["strategy"] == "mixed"
    assert policy["spec"]["driver"]["useNvidiaDriverCRD"] is True
    assert policy["spec"]["devicePlugin"]["config"] == {"name": "isthmus-device-plugin", "default": "whole"}
    hooked = pools.cluster.get("/api/v1/namespaces/gpu-operator/configmaps/installed-by-helm")
    assert hooked["data"] == {"revision": "1"}, "its hooks ran"
    secrets = pools.cluster.names("/api/v1/namespaces/gpu-operator/secrets")
    assert "sh.helm.release.v1.gpu-operator.v1" in secrets


def test_each_pool_has_its_driver(pools: Pools) -> None:
    path = "/apis/nvidia.com/v1alpha1/nvidiadrivers"
    actual = {manifest["metadata"]["name"]: manifest["spec"] for manifest in pools.cluster.get(path)["items"]}
    assert {name: (spec["version"], spec["usePrecompiled"]) for name, spec in actual.items()} == {
        LARGE: ("595.91.07", False),
        SMALL: ("595", True),
    }
    assert actual[SMALL]["upgradePolicy"]["drain"]["enable"] is True
    for name, spec in actual.items():
        selector = ",".join(f"{key}={value}" for key, value in spec["nodeSelector"].items())
        nodes = pools.cluster.get(f"/api/v1/nodes?labelSelector={selector}")["items"]
        assert {node["metadata"]["name"].rpartition("-")[0] for node in nodes} == {name}


def test_the_pools_cohort_holds_a_queue_for_each_class_and_team(pools: Pools) -> None:
    queues = {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in pools.cluster.get(f"{KUEUE}/clusterqueues")["items"]
    }
    assert {name: spec.get("cohortName") for name, spec in queues.items()} == {
        f"{LARGE}-confidential-risk": f"{LARGE}-confidential",
        f"{LARGE}-internal": LARGE,
        SMALL: None,
    }
    cohorts = {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in pools.cluster.get(f"{KUEUE}/cohorts")["items"]
    }
    assert cohorts[f"{LARGE}-confidential"]["parentName"] == LARGE

    def gpus(spec: dict[str, Any]) -> int:
        listed = spec["resourceGroups"][0]["flavors"][0]["resources"]
        return sum(
            int(resource_quota["nominalQuota"])
            for resource_quota in listed
            if resource_quota["name"] == "nvidia.com/gpu"
        )

    of_large = [spec for name, spec in {**queues, **cohorts}.items() if name.startswith(LARGE)]
    assert sum(gpus(spec) for spec in of_large) == 32, "every GPU is somebody's, once"
    assert queues[f"{LARGE}-internal"]["preemption"]["withinClusterQueue"] == "LowerPriority"
    topology = pools.cluster.get(f"{KUEUE}/topologies/{LARGE}")
    assert [level["nodeLabel"] for level in topology["spec"]["levels"]] == [ZONE, HOST]


def test_each_pod_waits_in_a_queue_that_is_there_and_by_a_priority_that_is(pools: Pools) -> None:
    queues = {
        (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        for manifest in pools.cluster.get(f"{KUEUE}/localqueues")["items"]
    }
    priorities = pools.cluster.names(f"{KUEUE}/workloadpriorityclasses")
    queue_names = []
    for path in (
        "/apis/apps/v1/deployments",
        "/apis/leaderworkerset.x-k8s.io/v1/leaderworkersets",
    ):
        for manifest in pools.cluster.get(f"{path}?labelSelector=isthmus.dev/role=model")["items"]:
            meta = manifest["metadata"]
            labels = meta["labels"]
            queue_names.append(labels["kueue.x-k8s.io/priority-class"])
            assert (meta["namespace"], labels["kueue.x-k8s.io/queue-name"]) in queues
    assert set(queue_names) == {f"{LARGE}-confidential", f"{LARGE}-batch", f"{SMALL}-internal"}
    assert set(queue_names) <= set(priorities)


def test_both_pods_of_the_group_are_told_where_they_belong(pools: Pools) -> None:
    pods = pools.pods(WIDE)
    assert running(pods)
    assert len(pods) == 2
    for pod in pods:
        output = pod["metadata"]["annotations"]
        assert output["kueue.x-k8s.io/podset-required-topology"] == ZONE
        assert output["kueue.x-k8s.io/podset-group-name"] == "group"


def test_three_pods_of_one_class_run_on_shares_of_gpus_and_no_other_class_may(pools: Pools) -> None:
    node = pools.cluster.get(f"/api/v1/nodes/{SMALL}-1")
    assert node["status"]["allocatable"]["nvidia.com/gpu.shared"] == "16"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "0"
    pods = pools.pods(SHARED)
    assert running(pods)
    assert [pod["spec"]["nodeName"] for pod in pods] == [f"{SMALL}-1"] * 3
    quota = pools.cluster.get("/api/v1/namespaces/isthmus-confidential/resourcequotas/isthmus")
    assert quota["spec"]["hard"]["requests.nvidia.com/gpu.shared"] == "0"


def test_the_cluster_shows_what_a_healthy_pool_shows_but_for_what_operators_would_write(pools: Pools) -> None:
    """They do not run here."""
    observed = pools.seen()
    assert {(entry.object.split()[0], entry.path) for entry in observed if not entry.well} == {
        ("ClusterPolicy", "status › state"),
        ("NVIDIADriver", "status › state"),
        ("ClusterQueue", "status › conditions › Active"),
        ("LocalQueue", "status › conditions › Active"),
    }
    assert len([entry for entry in observed if entry.well and entry.object.startswith("Node")]) > 10


def test_one_machine_of_four_that_shows_another_product_is_told(pools: Pools) -> None:
    pools.product(f"{LARGE}-0", "another")
    try:
        (ill,) = [entry for entry in pools.seen() if not entry.well and entry.object.startswith("Node")]
        assert (ill.path, ill.count, ill.shown, ill.instead) == (
            "metadata › labels › nvidia.com/gpu.product",
            *(4, 3, ("another",)),
        )
        done = pools.isthmus("verify", "pools")
        assert done.returncode == 1
        assert "gpu.product should be NVIDIA-H100-80GB-HBM3, is another (3 of 4 are right)" in done.stdout
        assert "signs of healthy pools are missing or wrong" in done.stderr
    finally:
        pools.product(f"{LARGE}-0", "NVIDIA-H100-80GB-HBM3")


def test_the_api_takes_claims_and_the_fabrics_objects_to_the_last_field(pools: Pools) -> None:
    """No DRA driver runs here that would meet a claim: what the server says to each object is all that is seen."""
    engine = Engine()
    pool = {
        "name": "tried",
        "product": "NVIDIA-H100-80GB-HBM3",
        "nodes": 2,
        "gpus_per_node": 8,
        "allocation": "dra",
    }
    engine.deploy(
        GpuPool, "tried", {**pool, "driver": {"version": "595", "precompiled": True}, "classes": ["internal"]}
    )
    group = {
        "id": "tried",
        "sensitivity": "internal",
        "nodes_per_replica": 2,
        "tensor_parallel": 8,
        "device_class": "isthmus-tried",
        "compute_domain": True,
        "rdma": {"resource": "rdma/hca", "network": "fabric/internal"},
        "topology": {"preferred": ZONE},
    }
    engine.deploy(ModelServer, "tried", args(**group))
    kinds = (
        *("DeviceClass", "ResourceClaimTemplate", "ComputeDomain", "LeaderWorkerSet"),
        *("NVIDIADriver", "ConfigMap", "ClusterQueue", "ResourceFlavor", "LocalQueue"),
    )
    tried = [created for created in engine.made if created.kind in kinds]
    assert {created.kind for created in tried} == set(kinds)
    for created in tried:
        _dry_run(pools.cluster, created)


def _dry_run(client: KubeClient, created: Made) -> None:
    group = created.type.removeprefix("kubernetes:").rpartition(":")[0].removeprefix("core/")
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    served = [
        kind
        for kind in client.get(root)["resources"]
        if kind["kind"] == created.kind and "/" not in kind["name"]
    ]
    assert served, f"nothing serves {group} {created.kind}"
    namespace_path = f"/namespaces/{created.meta['namespace']}" if served[0]["namespaced"] else ""
    output = {key: value for key, value in created.inputs.items() if key not in ("apiVersion", "kind")}
    # Whole numbers came over the wire as floats, which is the mocks' doing.
    body = {"apiVersion": group, "kind": created.kind, **plain(output)}
    client.call(
        "POST",
        f"{root}{namespace_path}/{served[0]['name']}",
        body=body,
        params={"dryRun": "All", "fieldValidation": "Strict"},
    )


def test_an_up_of_the_same_changes_nothing(pools: Pools) -> None:
    output = pools.up()
    assert "unchanged" in output
    assert not re.search(r"\d+ (created|updated|replaced|deleted)", output), output[-2000:]


@pytest.mark.soak
def test_a_preview_right_after_finds_nothing_to_change(pools: Pools) -> None:
    pools.unchanged()


def test_a_chart_that_is_not_the_one_pinned_is_not_installed(pools: Pools) -> None:
    file = pools.root / "stacks" / "gpu-operator.tgz"
    kept_bytes = file.read_bytes()
    file.write_bytes(kept_bytes + b"\0")
    done = pools.isthmus("up", "pools", "--yes")
    file.write_bytes(kept_bytes)
    assert done.returncode == 1, done.stderr[-2000:]
    assert "is pinned" in done.stderr


def test_destroy_leaves_no_object_and_every_gpu_whole(pools: Pools) -> None:
    pools.must("destroy", "pools", "--yes")
    client = pools.cluster
    assert eventually(lambda: cluster.objects(client), lambda objects: not objects) == set()
    assert client.find("/apis/nvidia.com/v1/clusterpolicies/cluster-policy") is None
    assert client.find("/api/v1/namespaces/gpu-operator") is None
    node = client.get(f"/api/v1/nodes/{SMALL}-1")
    shares = eventually(
        lambda: client.get(f"/api/v1/nodes/{SMALL}-1")["status"]["allocatable"],
        lambda value: value["nvidia.com/gpu"] == "4" and "nvidia.com/gpu.shared" not in value,
    )
    assert shares["nvidia.com/gpu"] == "4"
    assert "nvidia.com/device-plugin.config" not in node["metadata"]["labels"]
