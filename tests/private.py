"""A platform in AWS alone, made by hand, of the shape that blueprint `cloud-private` renders."""

from __future__ import annotations

from typing import Any

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform

DIGEST = "sha256:" + "a" * 64
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/llm/"
POOL = "frankfurt-claims"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ADMIN = "arn:aws:iam::123456789012:role/platform"


def _gateway(sensitivity: str, workload: str, endpoint: str, **more: Any) -> dict[str, Any]:
    return {
        **{
            "class": sensitivity,
            "name": f"{sensitivity}-frankfurt",
            "site": "frankfurt",
            "callers_secret": f"{sensitivity}-callers",
        },
        "host": f"{sensitivity}-gateway.isthmus-{sensitivity}.svc",
        "workloads": [{"name": workload, "endpoint": endpoint}],
        "audit": {"secret": f"{sensitivity}-audit", "sealer_secret": f"{sensitivity}-sealer"},
        **more,
    }


def data() -> dict[str, Any]:
    """A new copy each time."""
    return {
        **{"isthmus": "v1", "name": "insurer", "blueprint": "cloud-private"},
        "tags": {"isthmus-platform": "insurer"},
        "sites": [
            {
                **{"name": "frankfurt", "kind": "aws", "jurisdiction": "de", "region": "eu-central-1"},
                **{"account_id": "123456789012", "cidrs": ["10.80.0.0/16"]},
            }
        ],
        "clusters": [
            {
                **{"name": "frankfurt", "site": "frankfurt", "version": "1.36"},
                "admins": [{"name": "platform", "principal": ADMIN}],
            }
        ],
        "pools": [
            {
                **{"name": POOL, "site": "frankfurt", "gpu": "l4-24gb", "product": "NVIDIA-L4"},
                **{"nodes": 2, "gpus_per_node": 4, "failure_domains": 2},
                "node_group": {
                    "instance_type": "g6.12xlarge",
                    "zones": ["eu-central-1a", "eu-central-1b"],
                },
            }
        ],
        "endpoints": [
            {
                **{"id": "claims", "class": "confidential", "site": "frankfurt", "target": "eks-vllm"},
                **{"model": "Qwen/Qwen3-14B", "pool": POOL, "precision": "fp8", "tensor_parallel": 2},
                **{"replicas": 2, "gpus": 4, "survive": "domain", "cpu": "20", "memory": "70Gi"},
                "weights": {"uri": f"oci://{ECR}qwen@{DIGEST}", "digest": DIGEST},
            },
            {
                **{"id": "assistant", "class": "internal", "site": "frankfurt", "target": "bedrock"},
                **{"model": HAIKU, "inference_profile": f"eu.{HAIKU}"},
            },
        ],
        "gateways": [
            _gateway("confidential", "claim-summaries", "claims"),
            _gateway(
                *("internal", "staff-assistant", "assistant"),
                identity="internal-frankfurt",
                screening={},
                destinations=[{"name": "frankfurt", "cidr": "10.80.0.0/16", "port": 443}],
            ),
        ],
        "identities": [
            {
                **{"name": "internal-frankfurt", "class": "internal", "site": "frankfurt"},
                **{"endpoints": ["assistant"], "assumed_by": "eks-pod-identity"},
            }
        ],
        "networks": [
            {
                **{"name": "frankfurt", "site": "frankfurt", "cidr": "10.80.0.0/16"},
                "classes": ["internal", "confidential"],
                "zones": ["eu-central-1a", "eu-central-1b"],
                "services": ["bedrock-runtime"],
            }
        ],
        "trails": [{"name": "frankfurt", "site": "frankfurt", "retention_days": 366}],
        "audit": [{"name": "frankfurt", "site": "frankfurt", "mode": "manage", "retention_days": 366}],
        "contacts": {"security": ["soc@insurer.example"]},
        "images": {
            **{
                name: f"{ECR}{name}@{DIGEST}"
                for name in ("edge", "translator", "detector", "vllm", "resolver")
            },
            "registries": [ECR],
        },
        "issuer": {"name": "ca"},
        "monitoring": {"namespace": "monitoring"},
    }


def reviewed(**more: Any) -> dict[str, Any]:
    """The same, and its confidential answers, of high impact, are held for people."""
    platform = data()
    (gateway,) = [gateway for gateway in platform["gateways"] if gateway["class"] == "confidential"]
    gateway["database"] = {"host": "postgres.insurer.example", "address": "10.80.40.21"}
    gateway["reviews"] = {
        **{"secret": "confidential-reviews", "reviewers_ca": "confidential-reviewers-ca"},
        **{"keys_volume": "held-keys-confidential-reviews", "gateway_keys_volume": "held-keys-confidential"},
        **{"from_namespaces": ["reviewers"], **more},
    }
    gateway["workloads"][0] |= {"impact": "high", "review": {"domain": "claims", "below_confidence": 0.75}}
    return platform


def platform() -> Platform:
    return CheckedPlatform.model_validate(data())
