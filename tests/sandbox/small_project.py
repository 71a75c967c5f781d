"""A small stack in a project folder and a sandbox of its own: an on-prem site with two classes, a model each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.core import yaml_files
from tests.sandbox.projects import Alone

POOL = "fra1-l40s-48gb"
DIGEST = "sha256:" + "a" * 64
MODELS = {"confidential-kyc": "Qwen/Qwen3-8B", "restricted-reports": "Qwen/Qwen3-14B"}


def workload(endpoint: str) -> dict[str, Any]:
    sensitivity, _, name = endpoint.partition("-")
    return {
        **{"name": name, "purpose": "Try", "sensitivity": sensitivity, "impact": "low", "task": "chat"},
        "model": {
            "candidates": [{"id": MODELS[endpoint], "scores": {"fp8": 0.9}}],
            **{"min_score": 0.5, "context_tokens": 4096},
        },
        "traffic": {"peak_rps": 1, "mean_rps": 1, "prompt_tokens": 100, "output_tokens": 100},
        "slo": {"ttft_p95_ms": 2000, "tpot_p95_ms": 100, "availability": 0.99},
        "survive": "replica",
    }


REQUIREMENTS: dict[str, Any] = {
    "isthmus": "v1",
    "name": "small",
    "workloads": [workload(endpoint) for endpoint in MODELS],
    "sites": [
        {
            **{"name": "fra1", "kind": "on-prem", "jurisdiction": "de", "kube_context": "fra1"},
            "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
            "pools": [{"gpu": "l40s-48gb", "nodes": 2, "gpus_per_node": 4, "failure_domains": 2}],
        }
    ],
}
PLAN: dict[str, Any] = {
    "version": "0.1.0",
    "blueprint": "regulated-hybrid",
    "feasible": True,
    "endpoints": [
        {
            **{"id": endpoint, "class": endpoint.partition("-")[0], "site": "fra1", "target": "onprem-vllm"},
            **{"model": model, "precision": "fp8", "gpu": "l40s-48gb", "max_model_len": 4096},
            **{"tensor_parallel": 1, "nodes_per_replica": 1, "replicas": 2, "gpus": 2},
        }
        for endpoint, model in MODELS.items()
    ],
    "placements": [
        {
            **{"workload": endpoint.partition("-")[2], "endpoint": endpoint},
            **{
                "sensitivity": endpoint.partition("-")[0],
                "role": "primary",
                "share": 1.0,
                "why": "the only one",
            },
        }
        for endpoint in MODELS
    ],
    "gateways": [
        {"class": held, "site": "fra1", "host": f"{held}.llm.example"}
        for held in ("confidential", "restricted")
    ],
}
OVERRIDES: dict[str, Any] = {
    "images": {
        **{name: f"registry.example/{name}@{DIGEST}" for name in ("edge", "translator", "vllm", "resolver")},
        "registries": ["registry.example/"],
    },
    "issuer": {"name": "ca"},
    "monitoring": {"namespace": "monitoring"},
    "pools": [{"name": POOL, "node_names": [f"{POOL}-0", f"{POOL}-1"]}],
    "endpoints": [
        {"id": each, "weights": {"uri": f"oci://registry.example/{each}@{DIGEST}", "digest": DIGEST}}
        for each in MODELS
    ],
    "audit": [
        {"name": "fra1", "endpoint": "https://s3.fra1.example", "bucket": "audit", "address": "10.40.0.9"}
    ],
}


class Small(Alone):
    """The stack `small`."""

    def __init__(self, root: Path, home: Path, overrides: dict[str, Any]) -> None:
        super().__init__(root, home, "small", files=("Pulumi.yaml",))
        yaml_files.dump(REQUIREMENTS, "", self.requirements)
        self.plan(PLAN)
        self.override(overrides)
        self.begin("fra1")

    def override(self, more: dict[str, Any]) -> None:
        """Say these beside what every stack must."""
        self.settle({**OVERRIDES, **more})
