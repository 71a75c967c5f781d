"""A stack with an endpoint on slices and one over two machines, from its requirements to its end.

The real engine, provider, API server, scheduler and StatefulSet controller; LeaderWorkerSet's controller and
MIG manager are the sandbox's stand-ins. One stack, brought up once; the tests run in the order of the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.core import yaml_files
from tests.accounting import cluster
from tests.sandbox import projects
from tests.sandbox.projects import Alone, standing
from tests.sandbox.waiting import eventually

pytestmark = pytest.mark.sandbox

POOL = "fra1-h100-sxm-80gb"
NODES = [f"{POOL}-{number}" for number in range(10)]
WIDE, SMALL, SHARED = "confidential-wide", "internal-small", "internal-shared"
MODELS = {WIDE: "deepseek-ai/DeepSeek-V3", SMALL: "Qwen/Qwen3-32B", SHARED: "Qwen/Qwen3-8B"}
DIGEST = "sha256:" + "a" * 64
GROUP, MEMBER = "leaderworkerset.sigs.k8s.io/group-index", "leaderworkerset.sigs.k8s.io/worker-index"


def workload(name: str, endpoint: str, survive: str) -> dict[str, Any]:
    return {
        **{"name": name, "purpose": "Try", "sensitivity": endpoint.partition("-")[0], "impact": "low"},
        "task": "chat",
        "model": {
            "candidates": [{"id": MODELS[endpoint], "scores": {"fp8": 0.9}}],
            "min_score": 0.5,
            "context_tokens": 4096,
        },
        "traffic": {"peak_rps": 1, "mean_rps": 1, "prompt_tokens": 100, "output_tokens": 100},
        "slo": {"ttft_p95_ms": 2000, "tpot_p95_ms": 100, "availability": 0.99},
        "survive": survive,
    }


REQUIREMENTS: dict[str, Any] = {
    "isthmus": "v1",
    "name": "mixed",
    "workloads": [
        workload("reports", WIDE, "domain"),
        workload("routing", SMALL, "node"),
        workload("tagging", SHARED, "replica"),
    ],
    "sites": [
        {
            **{"name": "fra1", "kind": "on-prem", "jurisdiction": "de", "kube_context": "fra1"},
            "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
            "pools": [
                {
                    **{"gpu": "h100-sxm-80gb", "nodes": 10, "gpus_per_node": 8, "failure_domains": 2},
                    "mig": "allowed",
                }
            ],
        }
    ],
}


def planned(id_: str, replicas: int, **more: Any) -> dict[str, Any]:
    one = {"tensor_parallel": 1, "nodes_per_replica": 1, "replicas": replicas, "gpus": replicas}
    return {
        **{"id": id_, "class": id_.partition("-")[0], "site": "fra1", "target": "onprem-vllm"},
        **{"model": MODELS[id_], "precision": "fp8", "gpu": "h100-sxm-80gb", "max_model_len": 4096},
        **one,
        **more,
    }


PLAN: dict[str, Any] = {
    "version": "0.1.0",
    "blueprint": "regulated-hybrid",
    "feasible": True,
    "endpoints": [
        planned(
            WIDE,
            2,
            tensor_parallel=8,
            nodes_per_replica=2,
            gpus=32,
            replicas_by_domain={"fra1-a": 1, "fra1-b": 1},
        ),
        planned(SMALL, 4, mig_profile="3g.40gb"),
        planned(SHARED, 2, mig_profile="1g.10gb"),
    ],
    "placements": [
        {
            **{"workload": name, "endpoint": endpoint, "sensitivity": endpoint.partition("-")[0]},
            **{"role": "primary", "share": 1.0, "why": "the only candidate"},
        }
        for name, endpoint in (("reports", WIDE), ("routing", SMALL), ("tagging", SHARED))
    ],
    "gateways": [
        {"class": held, "site": "fra1", "host": f"{held}.llm.example"}
        for held in ("internal", "confidential")
    ],
}

OVERRIDES: dict[str, Any] = {
    "images": {
        **{
            name: f"registry.example/{name}@{DIGEST}"
            for name in ("edge", "translator", "detector", "vllm", "resolver")
        },
        "registries": ["registry.example/"],
    },
    "issuer": {"name": "ca"},
    "monitoring": {"namespace": "monitoring"},
    "pools": [{"name": POOL, "node_names": NODES}],
    "endpoints": [
        {"id": id_, "weights": {"uri": f"oci://registry.example/weights/{id_}@{DIGEST}", "digest": DIGEST}}
        for id_ in MODELS
    ],
    "audit": [
        {"name": "fra1", "endpoint": "https://s3.fra1.example", "bucket": "audit", "address": "10.40.0.9"}
    ],
}


class Mixed(Alone):
    """The stack in a project folder of its own, in a sandbox of its own."""

    def __init__(
        self,
        root: Path,
        home: Path,
        request: dict[str, Any] = REQUIREMENTS,
        plan: dict[str, Any] = PLAN,
        overrides: dict[str, Any] = OVERRIDES,
    ) -> None:
        super().__init__(root, home, "mixed", files=("Pulumi.yaml",))
        yaml_files.dump(request, "", self.requirements)
        self.plan(plan)
        self.settle(overrides)
        self.begin("fra1")

    def override(self, change: Callable[[dict[str, Any]], object]) -> None:
        data = yaml_files.load(self.settings).data
        change(data["config"]["isthmus:overrides"])
        yaml_files.dump(data, "", self.settings)

    def pods(self, endpoint: str) -> list[dict[str, Any]]:
        return projects.pods(self.cluster, f"isthmus.dev/endpoint={endpoint}")

    def zone(self, pod: dict[str, Any]) -> str:
        node = self.cluster.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
        return node["metadata"]["labels"]["topology.kubernetes.io/zone"]


@pytest.fixture(scope="module")
def mixed(site_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    with standing(Mixed, tmp_path_factory.mktemp("mixed"), site_home) as new_mixed:
        new_mixed.up()
        yield new_mixed


def running(pods: list[dict[str, Any]]) -> bool:
    return bool(pods) and all(pod["status"].get("phase") == "Running" for pod in pods)


def test_every_pod_of_both_groups_runs_on_a_machine_of_its_own_within_one_zone(mixed: Mixed) -> None:
    pods = mixed.pods(WIDE)
    assert running(pods), "up was done before they were"
    assert len(pods) == len({pod["spec"]["nodeName"] for pod in pods}) == 4
    zones: dict[str, set[str]] = {}
    for pod in pods:
        zones.setdefault(pod["metadata"]["labels"][GROUP], set()).add(mixed.zone(pod))
    assert sorted(zones) == ["0", "1"]
    assert all(len(zone) == 1 for zone in zones.values()), "a domain's loss would take both groups"
    assert zones["0"] != zones["1"]


def test_pod_security_and_admission_took_the_groups_pods_as_they_are(mixed: Mixed) -> None:
    namespace_path = mixed.cluster.get("/api/v1/namespaces/isthmus-confidential")["metadata"]["labels"]
    assert namespace_path["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in mixed.pods(WIDE):
        assert pod["spec"]["securityContext"]["sysctls"]
        assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"


def test_the_service_leads_to_leaders_and_each_group_knows_its_own(mixed: Mixed) -> None:
    path = "/apis/discovery.k8s.io/v1/namespaces/isthmus-confidential/endpointslices"

    def targets(service: str) -> set[str]:
        slices = mixed.cluster.get(f"{path}?labelSelector=kubernetes.io/service-name={service}")["items"]
        return {
            endpoint["targetRef"]["name"] for slice in slices for endpoint in slice.get("endpoints") or []
        }

    assert eventually(lambda: targets(WIDE), lambda value: len(value) == 2) == {
        f"{WIDE}-group-0",
        f"{WIDE}-group-1",
    }
    assert [targets(f"{WIDE}-leader-{group}") for group in (0, 1)] == [
        {f"{WIDE}-group-0"},
        {f"{WIDE}-group-1"},
    ]
    address = mixed.cluster.get(f"/api/v1/namespaces/isthmus-confidential/services/{WIDE}-leader-1")
    for pod in mixed.pods(WIDE):
        known = {alias["hostnames"][0]: alias["ip"] for alias in pod["spec"]["hostAliases"]}
        assert known["leader-1"] == address["spec"]["clusterIP"]


def test_slices_are_advertised_where_the_layout_says_and_pods_have_them(mixed: Mixed) -> None:
    whole, slices = {}, {}
    for name in NODES:
        node = mixed.cluster.get(f"/api/v1/nodes/{name}")
        assert node["metadata"]["labels"]["nvidia.com/mig.config.state"] == "success"
        whole[name] = int(node["status"]["allocatable"]["nvidia.com/gpu"])
        slices[name] = {
            key.removeprefix("nvidia.com/mig-"): int(count)
            for key, count in node["status"]["allocatable"].items()
            if key.startswith("nvidia.com/mig-")
        }
    assert sum(whole.values()) == 80 - 3, "two GPUs for the one that outlives a node, one that is shared"
    assert sum(slice.get("3g.40gb", 0) for slice in slices.values()) == 4
    assert sum(slice.get("1g.10gb", 0) for slice in slices.values()) == 7
    for endpoint, profile, count in ((SMALL, "3g.40gb", 4), (SHARED, "1g.10gb", 2)):
        pods = mixed.pods(endpoint)
        assert running(pods)
        assert len(pods) == count
        for pod in pods:
            assert pod["spec"]["containers"][0]["resources"]["limits"][f"nvidia.com/mig-{profile}"] == "1"
            assert profile in slices[pod["spec"]["nodeName"]]
    nodes = [pod["spec"]["nodeName"] for pod in mixed.pods(SMALL)]
    assert sorted(nodes.count(node) for node in set(nodes)) == [2, 2], "a node's loss takes half"


def test_the_queue_gives_out_what_there_is(mixed: Mixed) -> None:
    queue = mixed.cluster.get(f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{POOL}")
    (flavor,) = queue["spec"]["resourceGroups"][0]["flavors"]
    quota = {
        resource["name"]: int(resource["nominalQuota"])
        for resource in flavor["resources"]
        if "nvidia" in resource["name"]
    }
    assert quota == {"nvidia.com/gpu": 77, "nvidia.com/mig-3g.40gb": 4, "nvidia.com/mig-1g.10gb": 7}


@pytest.mark.soak
def test_a_preview_right_after_finds_nothing_to_change(mixed: Mixed) -> None:
    mixed.unchanged()


def test_an_update_is_done_when_every_group_runs_the_new_templates(mixed: Mixed) -> None:
    before = {pod["metadata"]["uid"] for pod in mixed.pods(WIDE)}
    mixed.override(lambda overrides: overrides["endpoints"][0].update(max_num_seqs=16))
    mixed.up()
    pods = mixed.pods(WIDE)
    assert running(pods)
    assert len(pods) == 4
    assert not before & {pod["metadata"]["uid"] for pod in pods}
    assert all("--max-num-seqs=16" in pod["spec"]["containers"][0]["args"] for pod in pods)
    budgets = mixed.cluster.names("/apis/policy/v1/namespaces/isthmus-confidential/poddisruptionbudgets")
    assert len([name for name in budgets if name.startswith(WIDE)]) == 1, "the old one is gone"


@pytest.mark.soak
def test_one_group_more_touches_no_pod_that_runs(mixed: Mixed) -> None:
    before = {pod["metadata"]["uid"] for pod in mixed.pods(WIDE)}
    plan = json.loads(json.dumps(PLAN))
    plan["endpoints"][0] |= {"replicas": 3, "gpus": 48, "replicas_by_domain": {"fra1-a": 2, "fra1-b": 1}}
    mixed.plan(plan)
    output = mixed.up()
    assert "replaces" not in output
    pods = mixed.pods(WIDE)
    assert running(pods)
    assert len(pods) == 6
    assert before < {pod["metadata"]["uid"] for pod in pods}


def test_destroy_leaves_nothing_and_the_gpus_whole(mixed: Mixed) -> None:
    mixed.must("destroy", "mixed", "--yes")
    client = mixed.cluster
    assert eventually(lambda: cluster.objects(client), lambda objects: not objects) == set()
    assert eventually(lambda: mixed.pods(WIDE), lambda objects: not objects) == []

    def gpus() -> list[str]:
        nodes = [client.get(f"/api/v1/nodes/{name}") for name in NODES]
        return [node["status"]["allocatable"]["nvidia.com/gpu"] for node in nodes]

    assert eventually(gpus, lambda value: set(value) == {"8"}) == ["8"] * 10
    assert mixed.held() == []
