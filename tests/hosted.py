"""The example `examples/hosted`, whose plan has a model on SageMaker, with all that it can be told."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from tests.authority import pem
from tests.contracts.bank import screening

ROOT = Path(__file__).resolve().parents[1]
DIGESTS = ["sha256:" + letter * 64 for letter in "abcde"]
RESTRICTED, HOSTED = "restricted-llama-3-1-8b", "confidential-qwen3-8b"
REGION = "eu-central-1"
OVERRIDES: dict[str, Any] = {
    "images": {
        "registry": "registry.example/llm",
        "sagemaker": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/vllm@{DIGESTS[0]}",
    },
    # By name: nothing in the sandbox discovers nodes.
    "pools": [{"name": "cologne-l40s-48gb", "node_names": [f"cologne-l40s-48gb-{at}" for at in range(2)]}],
    "issuer": {"name": "ca"},
    "monitoring": {"namespace": "monitoring"},
    "endpoints": [
        {
            "id": RESTRICTED,
            "weights": {"uri": f"oci://registry.example/llm/weights@{DIGESTS[1]}", "digest": DIGESTS[1]},
        },
        {
            "id": HOSTED,
            "weights": {"uri": "s3://insurer-weights/qwen3-8b/", "digest": DIGESTS[2]},
            "sagemaker": {
                "inference_ami": "al2-ami-sagemaker-inference-gpu-3-1",
                "autoscaling": {"min_instances": 2, "max_instances": 6, "calls_per_minute": 120},
                "shadow": {
                    "model": "Qwen/Qwen3-14B",
                    "uri": "s3://insurer-weights/qwen3-14b/",
                    "digest": DIGESTS[3],
                    "sampling_pct": 5,
                },
                "capture": {"sampling_pct": 10, "days": 30},
                "rollback": {"latency_p95_ms": 8000},
            },
        },
    ],
    "audit": [
        {
            "name": "cologne",
            "endpoint": "https://s3.cologne.example",
            "bucket": "audit",
            "address": "10.41.0.9",
        }
    ],
    "gateways": [
        {
            "name": f"{sensitivity}-cologne",
            "database": {"host": f"postgres-{sensitivity}.cologne.example", "address": f"10.41.0.{last}"},
            "reviews": {"from_namespaces": ["reviewers"]},
            **more,
        }
        # What goes to SageMaker leaves the site.
        for sensitivity, last, more in (
            ("restricted", 21, {}),
            ("confidential", 22, {"screening": screening()}),
        )
    ],
    "trust": [{"name": "frankfurt", "ca_certificates": pem(), "issuer": {"name": "llm-identities"}}],
    "budgets": [
        {"name": "confidential-frankfurt", "monthly_usd": 9000, "action": "deny"},
        {"name": "policy-letters", "monthly_usd": 9000},
    ],
    "contacts": {"security": ["soc@insurer.example"], "cost": ["cost@insurer.example"]},
}


@functools.cache
def _rendered() -> dict[str, Any]:
    from isthmus import blueprints
    from isthmus.blueprints import image_digests
    from isthmus.blueprints.offers import offers
    from isthmus.contracts.platform import overrides
    from isthmus.contracts.requirements import document as requirements_document
    from isthmus.planning import planner

    expected = requirements_document.load(ROOT / "examples" / "hosted.requirements.yaml")
    plan = planner.make_plan(expected, offers(), "2026-11-26").plan
    merged = overrides.merge(blueprints.render(plan.blueprint, expected, plan), OVERRIDES)
    return image_digests.fill(merged, ROOT / "images.lock.yaml", "hosted", sandbox=True)


def platform() -> dict[str, Any]:
    """Its platform as a dict, a new copy each time."""
    return copy.deepcopy(_rendered())


def endpoint(data: dict[str, Any]) -> dict[str, Any]:
    """The one on SageMaker."""
    return next(endpoint for endpoint in data["endpoints"] if endpoint["id"] == HOSTED)
