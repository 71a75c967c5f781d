"""A bank's platform made by hand, of the shape that blueprint `regulated-hybrid` renders.

Two pools in use and four GPUs a replica, whatever the planner makes of the bank of `stacks/bank-dev`.
"""

from typing import Any

from tests.authority import aws_half
from tests.contracts.bank import records, screening

DIGEST = "sha256:" + "a" * 64
REGISTRY = "registry.bank.example/llm/"
CLOSED = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
"""A default-deny policy that states both lists: the next apply takes out a rule that somebody merged in."""
EU = ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"]


def _image(name: str) -> str:
    return f"{REGISTRY}{name}@{DIGEST}"


def _gateway(sensitivity: str, workload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "class": sensitivity,
        "name": f"{sensitivity}-fra1",
        "site": "fra1",
        "host": f"{sensitivity}-gateway.isthmus-{sensitivity}.svc",
        "workloads": [workload],
        "callers_secret": f"{sensitivity}-callers",
        "audit": records(sensitivity),
        **more,
    }


def reviewed(platform: dict[str, Any], at: int = 1, **more: Any) -> dict[str, Any]:
    """The same, and answers of a gateway are held for people: of the confidential one, unless `at` says another."""
    gateway = platform["gateways"][at]
    sensitivity = gateway["class"]
    gateway["database"] = {"host": "postgres.fra1.bank.example", "address": "10.40.0.21"}
    gateway["reviews"] = {
        **{"secret": f"{sensitivity}-reviews", "reviewers_ca": f"{sensitivity}-reviewers-ca"},
        **{
            "records_volume": f"records-{sensitivity}-reviews",
            "keys_volume": f"held-keys-{sensitivity}-reviews",
        },
        **{"gateway_keys_volume": f"held-keys-{sensitivity}", "from_cidrs": ["10.40.7.0/24"]},
        **more,
    }
    gateway["workloads"][0] |= {
        "impact": "high",
        "review": {"domain": "onboarding", "below_confidence": 0.7, "sample_rate": 0.02},
    }
    return platform


def bank() -> dict[str, Any]:
    """A new copy each time."""
    aws = [{"name": "bedrock", "cidr": "10.80.0.0/16", "port": 443}]
    return {
        "isthmus": "v1",
        "name": "bank",
        "blueprint": "regulated-hybrid",
        "tags": {"isthmus-platform": "bank"},
        "sites": [
            {
                "name": "fra1",
                "kind": "on-prem",
                "jurisdiction": "de",
                "kube_context": "fra1",
                "cidrs": ["10.40.0.0/16"],
                "dns": ["10.40.0.53"],
            },
            {
                "name": "frankfurt",
                "kind": "aws",
                "jurisdiction": "de",
                "region": "eu-central-1",
                "cidrs": ["10.80.0.0/16"],
            },
        ],
        "pools": [
            {
                "name": "fra1-h100-sxm-80gb",
                "site": "fra1",
                "gpu": "h100-sxm-80gb",
                "product": "NVIDIA-H100-80GB-HBM3",
                "nodes": 2,
                "gpus_per_node": 8,
                "failure_domains": 2,
                "node_names": ["fra1-h100-sxm-80gb-0", "fra1-h100-sxm-80gb-1"],
            },
            {
                "name": "fra1-l40s-48gb",
                "site": "fra1",
                "gpu": "l40s-48gb",
                "product": "NVIDIA-L40S",
                "nodes": 2,
                "gpus_per_node": 4,
                "failure_domains": 2,
                "node_names": ["fra1-l40s-48gb-0", "fra1-l40s-48gb-1"],
            },
        ],
        "endpoints": [
            {
                "id": "restricted-llama-70b",
                "class": "restricted",
                "site": "fra1",
                "target": "onprem-vllm",
                "model": "meta-llama/Llama-3.3-70B-Instruct",
                "pool": "fra1-h100-sxm-80gb",
                "weights": {
                    "uri": "pvc://llama-70b",
                    "digest": DIGEST,
                    "volume": "weights-meta-llama-llama-3-3-70b-instruct",
                },
                "precision": "fp8",
                "tensor_parallel": 4,
                "replicas": 2,
                "gpus": 8,
                "survive": "domain",
                "max_model_len": 16384,
                "cpu": "16",
                "memory": "128Gi",
            },
            {
                "id": "confidential-llama-8b",
                "class": "confidential",
                "site": "fra1",
                "target": "onprem-vllm",
                "model": "meta-llama/Llama-3.1-8B-Instruct",
                "pool": "fra1-l40s-48gb",
                "weights": {
                    "uri": "pvc://llama-8b/base",
                    "digest": DIGEST,
                    "volume": "weights-meta-llama-llama-3-1-8b-instruct",
                },
                "precision": "fp8",
                "replicas": 6,
                "gpus": 6,
                "survive": "node",
                "max_model_len": 8192,
                "max_num_seqs": 64,
                "gpu_memory_utilization": 0.9,
                "kv_cache_dtype": "auto",
                "adapters": [{"name": "kyc-fields", "rank": 16, "size_mib": 84}],
            },
            {
                "id": "internal-haiku",
                "class": "internal",
                "site": "frankfurt",
                "target": "bedrock",
                "model": "anthropic.claude-haiku-4-5-20251001-v1:0",
                "region": "eu-central-1",
                "inference_profile": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                "destination_regions": [*EU, "eu-south-1", "eu-south-2"],
            },
            {
                "id": "public-nova-lite",
                "class": "public",
                "site": "frankfurt",
                "target": "bedrock",
                "model": "amazon.nova-lite-v1:0",
                "region": "eu-central-1",
                "inference_profile": "eu.amazon.nova-lite-v1:0",
                "destination_regions": EU,
            },
        ],
        "gateways": [
            _gateway("restricted", {"name": "transaction-narratives", "endpoint": "restricted-llama-70b"}),
            _gateway(
                "confidential",
                {"name": "kyc-extraction", "endpoint": "confidential-llama-8b", "adapter": "kyc-fields"},
            ),
            _gateway(
                "internal",
                {"name": "policy-assistant", "endpoint": "internal-haiku"},
                identity="internal-bedrock",
                destinations=aws,
                screening=screening(),
            ),
            _gateway(
                "public",
                {"name": "campaign-copy", "endpoint": "public-nova-lite"},
                identity="public-bedrock",
                destinations=aws,
                screening={},
            ),
        ],
        "identities": [
            {
                "name": "internal-bedrock",
                "class": "internal",
                "site": "frankfurt",
                "endpoints": ["internal-haiku"],
                "trust": "frankfurt",
                "guardrail": "internal-frankfurt",
                "permissions_boundary": "arn:aws:iam::123456789012:policy/isthmus-boundary",
            },
            {
                "name": "public-bedrock",
                "class": "public",
                "site": "frankfurt",
                "endpoints": ["public-nova-lite"],
                "trust": "frankfurt",
                "guardrail": "public-frankfurt",
            },
        ],
        **aws_half("public", "internal"),
        "audit": [
            {
                "name": "fra1-audit",
                "site": "fra1",
                "mode": "existing",
                "retention_days": 1826,
                "endpoint": "https://s3.fra1.bank.example",
                "bucket": "llm-audit",
                "address": "10.40.0.9",
            },
            {"name": "frankfurt-audit", "site": "frankfurt", "mode": "manage", "retention_days": 365},
        ],
        "images": {
            "edge": _image("edge"),
            "translator": _image("translator"),
            "detector": _image("detector"),
            "vllm": _image("vllm"),
            "credential_helper": _image("signing-helper"),
            "resolver": _image("coredns"),
            "registries": [REGISTRY],
        },
        "issuer": {"name": "bank-llm"},
        "monitoring": {"namespace": "monitoring"},
    }
