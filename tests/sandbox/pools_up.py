"""A stack whose pools are divided, placed, shared in time and driven by an operator of its own; `test_pools_up` looks
at it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from isthmus.core import yaml_files
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.kubernetes import pool_health
from tests.sandbox.projects import Alone
from tests.sandbox.test_slices_and_groups_up import DIGEST, planned, workload
from tests.sandbox.waiting import eventually

LARGE, SMALL = "fra1-h100-sxm-80gb", "fra1-l40s-48gb"
WIDE, LITTLE, SHARED = "confidential-wide", "internal-small", "internal-shared"
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
KUEUE = "/apis/kueue.x-k8s.io/v1beta2"

REQUIREMENTS: dict[str, Any] = {
    "isthmus": "v1",
    "name": "pools",
    "workloads": [
        workload("reports", WIDE, "none"),
        workload("routing", LITTLE, "none"),
        workload("tagging", SHARED, "none"),
    ],
    "sites": [
        {
            **{"name": "fra1", "kind": "on-prem", "jurisdiction": "de", "kube_context": "fra1"},
            "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
            "pools": [
                {"gpu": "h100-sxm-80gb", "nodes": 4, "gpus_per_node": 8, "failure_domains": 2},
                {"gpu": "l40s-48gb", "nodes": 2, "gpus_per_node": 4, "failure_domains": 2},
            ],
        }
    ],
}
PLAN: dict[str, Any] = {
    "version": "0.1.0",
    "blueprint": "regulated-hybrid",
    "feasible": True,
    "endpoints": [
        planned(WIDE, 1, tensor_parallel=8, nodes_per_replica=2, gpus=16),
        planned(LITTLE, 2),
        planned(SHARED, 3, gpu="l40s-48gb"),
    ],
    "placements": [
        {
            **{"workload": name, "endpoint": endpoint, "sensitivity": endpoint.partition("-")[0]},
            **{"role": "primary", "share": 1.0, "why": "the only candidate"},
        }
        for name, endpoint in (("reports", WIDE), ("routing", LITTLE), ("tagging", SHARED))
    ],
    "gateways": [
        {"class": held, "site": "fra1", "host": f"{held}.llm.example"}
        for held in ("internal", "confidential")
    ],
}


def overrides(chart_digest: str) -> dict[str, Any]:
    weights = {
        name: {"uri": f"oci://registry.example/weights/{name}@{DIGEST}", "digest": DIGEST}
        for name in (WIDE, LITTLE, SHARED)
    }
    return {
        "images": {
            **{
                name: f"registry.example/{name}@{DIGEST}"
                for name in ("edge", "translator", "detector", "vllm", "resolver")
            },
            "registries": ["registry.example/"],
        },
        "issuer": {"name": "ca"},
        "monitoring": {"namespace": "monitoring"},
        "operators": {
            "gpu_operator": "manage",
            "gpu_operator_release": {"chart": "gpu-operator.tgz", "digest": chart_digest},
        },
        "pools": [
            {
                "name": LARGE,
                "node_names": [f"{LARGE}-{number}" for number in range(4)],
                "driver": {"version": "595.91.07", "kernel_module": "open"},
                "topology": {"levels": [ZONE, HOST], "required": ZONE},
                "sharing": {
                    "classes": [
                        {"class": "confidential", "gpus": 20, "teams": [{"name": "risk", "gpus": 16}]},
                        {"class": "internal", "gpus": 8, "lend": 4, "weight": 2},
                    ],
                    "preemption": {"within_queue": "lower-priority"},
                    "priorities": [{"name": "batch", "value": 10}],
                },
            },
            {
                "name": SMALL,
                "node_names": [f"{SMALL}-{number}" for number in range(2)],
                "driver": {
                    "version": "595",
                    "precompiled": True,
                    "upgrade": {"drain": {"enable": True, "delete_empty_dir": True}},
                },
                "time_slicing": {"class": "internal", "replicas": 4, "nodes": [f"{SMALL}-1"]},
            },
        ],
        "endpoints": [
            {"id": WIDE, "weights": weights[WIDE], "team": "risk"},
            {"id": LITTLE, "weights": weights[LITTLE], "priority": "batch"},
            {
                "id": SHARED,
                "weights": weights[SHARED],
                "time_sliced": True,
                "gpu_memory_utilization": 0.2,
            },
        ],
        "audit": [
            {"name": "fra1", "endpoint": "https://s3.fra1.example", "bucket": "audit", "address": "10.40.0.9"}
        ],
    }


def packed(target: Path) -> str:
    """The tests' chart as `helm package` would pack it; its digest."""
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted((Path(__file__).parent / "chart").rglob("*.yaml")):
            data = path.read_bytes()
            entry = tarfile.TarInfo(f"gpu-operator/{path.relative_to(Path(__file__).parent / 'chart')}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return f"sha256:{hashlib.sha256(target.read_bytes()).hexdigest()}"


class Pools(Alone):
    """The stack in a project folder of its own, in a sandbox of its own, whose cluster has no GPU Operator."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, home, "pools", files=("Pulumi.yaml",))
        yaml_files.dump(REQUIREMENTS, "", self.requirements)
        self.plan(PLAN)
        self.settle(overrides(packed(self.stacks / "gpu-operator.tgz")))
        self.begin("fra1")
        # The sandbox's own stand for an operator that is there already.
        for path in ("/apis/nvidia.com/v1/clusterpolicies/cluster-policy", "/api/v1/namespaces/gpu-operator"):
            self.cluster.call("DELETE", path)
        gone = eventually(
            lambda: self.cluster.find("/api/v1/namespaces/gpu-operator"), lambda pods: pods is None
        )
        assert gone is None

    def pods(self, endpoint: str) -> list[dict[str, Any]]:
        selector = f"isthmus.dev/endpoint={endpoint}"
        return self.cluster.get(f"/api/v1/pods?labelSelector={selector}")["items"]

    def seen(self) -> list[pool_health.SignResult]:
        """What the stack says that healthy pools show, looked for in the cluster."""
        done = self.pulumi("stack", "output", "pools", "--json")
        assert done.returncode == 0, done.stderr
        return pool_health.check_pools(
            json.loads(done.stdout), {"fra1": KubeClient.of_context("fra1", self.env)}
        )

    def product(self, node: str, says: str) -> None:
        """Have GPU Feature Discovery say another product of a machine."""
        body = {"metadata": {"labels": {"nvidia.com/gpu.product": says}}}
        content_type = "application/merge-patch+json"
        self.cluster.call("PATCH", f"/api/v1/nodes/{node}", body=body, content_type=content_type)
