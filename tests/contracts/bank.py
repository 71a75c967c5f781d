"""A small bank for tests of rules: requirements, plan and platform written by hand, similar to `stacks/bank-dev`.

They have the shapes that rules are about (four GPUs a replica, both pools in use, replicas over domains and nodes),
whatever the planner makes of the bank. The bank's own files are `tests/blueprints/bank.py`'s.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from edge.redaction.models import TRUSTED
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.platform import overrides
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_documents, yaml_files
from tests.authority import aws_half

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"

REQUIREMENTS = """\
isthmus: v1
name: bank
workloads:
  - name: transaction-narratives
    sensitivity: restricted
    impact: high
    residency: [eu]
    regimes: [gdpr, amlr]
    model:
      candidates:
        - {id: meta-llama/Llama-3.3-70B-Instruct, scores: {bf16: 0.87, fp8: 0.86}}
        - {id: meta-llama/Llama-3.1-8B-Instruct, scores: {bf16: 0.61}}
      min_score: 0.80
      context_tokens: 16384
    traffic: {peak_rps: 3.0, mean_rps: 0.8, prompt_tokens: {mean: 2400, p95: 6000}, output_tokens: 450}
    slo: {ttft_p95_ms: 2500, tpot_p95_ms: 60, availability: 0.999}
    survive: domain
    review: {domain: financial-crime, below_confidence: 0.80, sample_rate: 0.05}
  - name: kyc-extraction
    sensitivity: confidential
    impact: material
    residency: [eu]
    model:
      candidates:
        - id: meta-llama/Llama-3.1-8B-Instruct
          scores: {bf16: 0.91, fp8: 0.90}
          adapters: [{name: kyc-fields, rank: 16, size_mib: 84}]
        - {id: "anthropic.claude-haiku-4-5-20251001-v1:0", scores: {api: 0.93}}
      min_score: 0.85
      context_tokens: 8192
    traffic: {peak_rps: 20.0, mean_rps: 5.0, prompt_tokens: 1800, output_tokens: 200}
    slo: {ttft_p95_ms: 1500, tpot_p95_ms: 40}
    survive: node
  - name: policy-assistant
    sensitivity: internal
    impact: low
    residency: [eu]
    model:
      candidates: [{id: "anthropic.claude-haiku-4-5-20251001-v1:0", scores: {api: 0.93}}]
      min_score: 0.80
      context_tokens: 32768
    traffic: {peak_rps: 6.0, mean_rps: 0.4, profile: office-hours, prompt_tokens: 3500, output_tokens: 350}
    slo: {ttft_p95_ms: 3000, tpot_p95_ms: 80}
  - name: campaign-copy
    sensitivity: public
    impact: low
    model:
      candidates: [{id: "amazon.nova-lite-v1:0", scores: {api: 0.78}}]
      min_score: 0.70
      context_tokens: 4096
    traffic: {peak_rps: 1.0, mean_rps: 0.1, prompt_tokens: 600, output_tokens: 500}
    slo: {ttft_p95_ms: 4000, tpot_p95_ms: 100}
sites:
  - name: fra1
    kind: on-prem
    jurisdiction: de
    kube_context: fra1
    network: {cidrs: [10.40.0.0/16]}
    pools:
      - {gpu: h100-sxm-80gb, nodes: 2, gpus_per_node: 8, failure_domains: 2, mig: allowed}
      - {gpu: l40s-48gb, nodes: 2, gpus_per_node: 4, failure_domains: 2}
  - name: frankfurt
    kind: aws
    jurisdiction: de
    region: eu-central-1
    vpc_cidr: 10.80.0.0/16
    allow: [bedrock, sagemaker, eks]
links:
  - {from: fra1, to: frankfurt, kind: vpn, mbps: 1000, rtt_ms: 6}
"""


def requirements(text: str = REQUIREMENTS) -> Requirements:
    """Requirements parsed from text, with their digest."""
    return requirements_of.parse(yaml_files.loads(text, "bank.requirements.yaml"))


def _gpu(id_: str, class_: str, gpu: str, model: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "class": class_,
        "site": "fra1",
        "target": "onprem-vllm",
        "model": model,
        "precision": "fp8",
        "gpu": gpu,
        "nodes_per_replica": 1,
        **fields,
    }


PLAN: dict[str, Any] = {
    "version": "0.1.0",
    "requirements_sha256": requirements().digest,
    "blueprint": "regulated-hybrid",
    "feasible": True,
    "endpoints": [
        _gpu(
            "restricted-llama-70b",
            "restricted",
            "h100-sxm-80gb",
            "meta-llama/Llama-3.3-70B-Instruct",
            tensor_parallel=4,
            replicas=2,
            replicas_by_domain={"fra1-a": 1, "fra1-b": 1},
            gpus=8,
            max_model_len=16384,
        ),
        _gpu(
            "confidential-llama-8b",
            "confidential",
            "l40s-48gb",
            "meta-llama/Llama-3.1-8B-Instruct",
            tensor_parallel=1,
            replicas=6,
            replicas_by_domain={"fra1-a": 3, "fra1-b": 3},
            gpus=6,
            max_model_len=8192,
            adapters=[{"name": "kyc-fields", "rank": 16, "size_mib": 84}],
        ),
        {
            "id": "internal-haiku",
            "class": "internal",
            "site": "frankfurt",
            "target": "bedrock",
            "model": HAIKU,
            "precision": "api",
            "inference_profile": f"eu.{HAIKU}",
        },
        {
            "id": "public-nova-lite",
            "class": "public",
            "site": "frankfurt",
            "target": "bedrock",
            "model": NOVA,
            "precision": "api",
            "inference_profile": f"eu.{NOVA}",
        },
    ],
    "placements": [
        {
            "workload": w,
            "sensitivity": s,
            "endpoint": e,
            "role": "primary",
            "share": 1.0,
            "why": "only candidate",
        }
        for w, s, e in (
            ("transaction-narratives", "restricted", "restricted-llama-70b"),
            ("kyc-extraction", "confidential", "confidential-llama-8b"),
            ("policy-assistant", "internal", "internal-haiku"),
            ("campaign-copy", "public", "public-nova-lite"),
        )
    ],
    "gateways": [
        {"class": c, "site": "fra1", "host": f"{c}.llm.bank.example"}
        for c in ("public", "internal", "confidential", "restricted")
    ],
}


def plan_data() -> dict[str, Any]:
    """A fresh copy of the plan's data."""
    return copy.deepcopy(PLAN)


def check(data: dict[str, Any], checked_requirements: Requirements | None = None) -> None:
    """Parse and check a plan given as data."""
    checked_requirements = checked_requirements or requirements()
    data = {**data, "requirements_sha256": checked_requirements.digest}
    plan_rules.check(
        yaml_files.parse(Plan, yaml_documents.Document(data, "bank.plan.yaml")), checked_requirements
    )


DIGEST = "sha256:" + "a" * 64
REGISTRY = "registry.bank.example/llm/"
GERMAN = TRUSTED["de_core_news_md-3.8.0-py3-none-any.whl"].sha256


def records(class_: str) -> dict[str, Any]:
    """Where a gateway writes its records, as the blueprints name it."""
    return {
        "volume": f"records-{class_}",
        "sealer_volume": f"records-{class_}-sealer",
        "secret": f"{class_}-audit",
        "sealer_secret": f"{class_}-sealer",
    }


def screening() -> dict[str, Any]:
    """By which names are found in what leaves the site."""
    model = {"file": "de_core_news_md-3.8.0-py3-none-any.whl", "sha256": GERMAN, "language": "de"}
    return {"models": [model]}


def _gateway(class_: str, workload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": f"{class_}-fra1",
        "class": class_,
        "site": "fra1",
        "host": f"{class_}-gateway.isthmus-{class_}.svc",
        "callers_secret": f"{class_}-callers",
        "audit": records(class_),
        "workloads": [workload],
        **fields,
    }


def platform_data() -> dict[str, Any]:
    """The bank's platform as a blueprint would render it and overrides complete it: a fresh copy."""
    bedrock = [{"name": "bedrock", "cidr": "10.80.0.0/16", "port": 443}]
    weights, other_weights = (
        {"uri": f"pvc://{name}", "digest": DIGEST, "volume": name} for name in ("weights", "other-weights")
    )
    six = ["eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"]
    pool = {"site": "fra1", "nodes": 2, "failure_domains": 2}
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
            {"name": "h100", "gpu": "h100-sxm-80gb", "product": "NVIDIA-H100-80GB-HBM3", "gpus_per_node": 8}
            | pool,
            {"name": "l40s", "gpu": "l40s-48gb", "product": "NVIDIA-L40S", "gpus_per_node": 4} | pool,
        ],
        "endpoints": [
            {
                "id": "restricted-llama-70b",
                "class": "restricted",
                "site": "fra1",
                "target": "onprem-vllm",
                "model": "meta-llama/Llama-3.3-70B-Instruct",
                "pool": "h100",
                "weights": weights,
                "tensor_parallel": 4,
                "replicas": 2,
                "gpus": 8,
                "survive": "domain",
            },
            {
                "id": "confidential-llama-8b",
                "class": "confidential",
                "site": "fra1",
                "target": "onprem-vllm",
                "model": "meta-llama/Llama-3.1-8B-Instruct",
                "pool": "l40s",
                "weights": other_weights,
                "replicas": 6,
                "gpus": 6,
                "survive": "node",
                "adapters": [{"name": "kyc-fields", "rank": 16, "size_mib": 84}],
            },
            {
                "id": "internal-haiku",
                "class": "internal",
                "site": "frankfurt",
                "target": "bedrock",
                "model": HAIKU,
                "region": "eu-central-1",
                "inference_profile": f"eu.{HAIKU}",
                "destination_regions": six,
            },
        ],
        "gateways": [
            _gateway(
                "restricted",
                {"name": "transaction-narratives", "endpoint": "restricted-llama-70b", "residency": ["eu"]},
            ),
            _gateway(
                "confidential",
                {"name": "kyc", "endpoint": "confidential-llama-8b", "adapter": "kyc-fields"},
            ),
            _gateway(
                "internal",
                {"name": "policy-assistant", "endpoint": "internal-haiku", "residency": ["eu"]},
                identity="internal-frankfurt",
                destinations=bedrock,
                screening=screening(),
            ),
        ],
        "identities": [
            {
                "name": "internal-frankfurt",
                "class": "internal",
                "site": "frankfurt",
                "endpoints": ["internal-haiku"],
                "trust": "frankfurt",
                "guardrail": "internal-frankfurt",
            }
        ],
        **aws_half("internal"),
        "audit": [
            {
                "name": "fra1",
                "site": "fra1",
                "mode": "existing",
                "retention_days": 1825,
                "endpoint": "https://s3.bank.example",
                "bucket": "llm-audit",
                "address": "10.40.0.9",
            },
            {"name": "frankfurt", "site": "frankfurt", "mode": "manage", "retention_days": 365},
        ],
        "images": {
            "edge": f"{REGISTRY}edge@{DIGEST}",
            "translator": f"{REGISTRY}translator@{DIGEST}",
            "detector": f"{REGISTRY}detector@{DIGEST}",
            "vllm": f"{REGISTRY}vllm@{DIGEST}",
            "credential_helper": f"{REGISTRY}signing-helper@{DIGEST}",
            "resolver": f"{REGISTRY}coredns@{DIGEST}",
            "registries": [REGISTRY],
        },
        "issuer": {"name": "bank-llm"},
        "monitoring": {"namespace": "monitoring"},
    }


def refused(
    kind: type[Exception], change: Callable[[dict[str, Any]], object], platform: dict[str, Any] | None = None
) -> str:
    """The message with which a platform, changed by `change`, is refused. Default: the bank's."""
    data = platform or platform_data()
    change(data)
    with pytest.raises(kind) as caught:
        overrides.validate(data)
    return str(caught.value)
