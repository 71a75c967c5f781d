"""Requirement files of ten industries, made from a seed as a newcomer might write them: some keys are left out."""

from __future__ import annotations

import random
from typing import Any

INDUSTRIES: dict[str, tuple[str, list[tuple[str, str]], list[str]]] = {
    "bank": (
        "eu-central-1",
        [("case-reports", "restricted"), ("kyc", "confidential"), ("staff", "internal")],
        ["gdpr", "amlr"],
    ),
    "hospital": (
        "us-east-1",
        [("discharge", "restricted"), ("triage", "confidential"), ("staff", "internal")],
        ["hipaa"],
    ),
    "insurer": (
        "eu-west-1",
        [("claims", "confidential"), ("staff", "internal"), ("leaflets", "public")],
        ["gdpr"],
    ),
    "ministry": (
        "eu-central-1",
        [("decisions", "restricted"), ("letters", "internal")],
        ["gdpr", "ai-act-high-risk"],
    ),
    "manufacturer": ("eu-central-1", [("manuals", "internal"), ("designs", "confidential")], []),
    "software": ("us-west-2", [("code", "confidential"), ("support", "internal"), ("docs", "public")], []),
    "retailer": ("eu-west-3", [("shop", "public"), ("service", "internal")], ["gdpr", "pci-dss"]),
    "university": ("eu-north-1", [("tutor", "public"), ("theses", "confidential")], ["gdpr"]),
    "law-firm": ("eu-west-2", [("mandates", "restricted"), ("research", "internal")], ["gdpr"]),
    "energy": ("ap-southeast-2", [("grid", "confidential"), ("staff", "internal")], []),
}
"""Industry → AWS region, workloads with their class, regimes."""
COUNTRIES = {
    "eu-central-1": "de",
    "us-east-1": "us",
    "eu-west-1": "ie",
    "us-west-2": "us",
    "eu-west-3": "fr",
    "eu-north-1": "se",
    "eu-west-2": "uk",
    "ap-southeast-2": "au",
}
OPEN = [
    {"id": "Qwen/Qwen3-14B", "scores": {"bf16": 0.86, "fp8": 0.85}},
    {"id": "meta-llama/Llama-3.1-8B-Instruct", "scores": {"bf16": 0.82}},
    {"id": "Qwen/Qwen3-32B", "scores": {"fp8": 0.88}},
]
API = [
    {"id": "amazon.nova-lite-v1:0", "scores": {"api": 0.87}},
    {"id": "amazon.nova-pro-v1:0", "scores": {"api": 0.9}},
]


def requirements_data(seed: int) -> tuple[str, dict[str, Any]]:
    """The industry and the requirements of a seed."""
    chance = random.Random(seed)
    industry = list(INDUSTRIES)[seed % len(INDUSTRIES)]
    region, workloads, regimes = INDUSTRIES[industry]
    place = chance.choice(["both", "both", "both", "on-prem", "aws"])
    sites: list[dict[str, Any]] = []
    if place != "aws":
        sites.append(_on_prem(chance, COUNTRIES[region]))
    if place != "on-prem":
        sites.append(_aws(chance, region))
    wanted = [work for work in workloads if place != "aws" or work[1] != "restricted"]
    data: dict[str, Any] = {
        "isthmus": "v1",
        "name": industry,
        "workloads": [_workload(chance, name, class_, regimes, place) for name, class_ in wanted],
        "sites": sites,
    }
    if place == "both" and chance.random() < 0.7:
        kind = chance.choice(["vpn", "vpn", "direct-connect"])
        data["links"] = [{"from": "dc1", "to": "cloud", "kind": kind, "mbps": 1000, "rtt_ms": 8}]
    if chance.random() < 0.3:
        data["handling"] = {"internal": {"records_months_min": 24}}
    return industry, data


def _workload(
    chance: random.Random, name: str, class_: str, regimes: list[str], place: str
) -> dict[str, Any]:
    impact = chance.choice(["low", "low", "material", "high"])
    candidates = (
        chance.sample(OPEN, 2)
        if class_ in ("restricted", "confidential")
        else [*OPEN, *chance.sample(API, 1)]
    )
    prompt, answer = (
        chance.choice([(1500, 4000), (600, 1500), (3000, 8000)]),
        chance.choice([(250, 500), (60, 120)]),
    )
    work: dict[str, Any] = {
        "name": name,
        "sensitivity": class_,
        "impact": impact,
        "model": {"candidates": candidates, "min_score": 0.8, "context_tokens": 16384},
        "traffic": {
            "peak_rps": chance.choice([0.3, 1.0, 4.0]),
            "mean_rps": 0.1,
            "prompt_tokens": {"mean": prompt[0], "p95": prompt[1]},
            "output_tokens": {"mean": answer[0], "p95": answer[1]},
        },
        "slo": {"ttft_p95_ms": 5000, "tpot_p95_ms": 120},
        "survive": chance.choice(["none", "replica", "node"]),
    }
    if chance.random() < 0.2:
        work |= {"mode": "batch", "slo": {"complete_within_hours": 24}}
    if regimes and chance.random() < 0.5:
        work["regimes"] = regimes
    if impact == "high" or chance.random() < 0.3:
        work["review"] = {"domain": "experts"}
        if class_ in ("restricted", "confidential") or chance.random() < 0.5:
            work["review"] |= {"below_confidence": 0.7, "sample_rate": 0.02}
    if place == "both" and class_ in ("internal", "public") and chance.random() < 0.3:
        work["allow_overflow"] = True
    return work


def _on_prem(chance: random.Random, country: str) -> dict[str, Any]:
    network: dict[str, Any] = {"cidrs": ["10.40.0.0/16"]}
    if chance.random() < 0.6:
        network["vpn_peer_ip"] = "198.51.100.10"
    if chance.random() < 0.6:
        network["bgp_asn"] = 65010
    if chance.random() < 0.6:
        network["dns"] = ["10.40.0.53"]
    gpu, nodes = chance.choice([("h100-sxm-80gb", 3), ("l40s-48gb", 6)]), chance.choice([0, 1])
    pool = {
        "gpu": gpu[0],
        "nodes": gpu[1] + nodes,
        "gpus_per_node": 8,
        "failure_domains": chance.choice([1, 2]),
    }
    if gpu[0].startswith("h100") and chance.random() < 0.4:
        pool["mig"] = "allowed"
    return {
        "name": "dc1",
        "kind": "on-prem",
        "jurisdiction": country,
        "kube_context": "dc1",
        "network": network,
        "pools": [pool],
        "cost": {
            "capex_usd_per_node": {gpu[0]: 200000},
            "power_kw_per_node": {gpu[0]: 6},
            "usd_per_kwh": 0.15,
        },
    }


def _aws(chance: random.Random, region: str) -> dict[str, Any]:
    site: dict[str, Any] = {
        "name": "cloud",
        "kind": "aws",
        "jurisdiction": COUNTRIES[region],
        "region": region,
        "allow": chance.choice([["bedrock", "eks"], ["bedrock"], ["eks"], ["bedrock", "sagemaker", "eks"]]),
    }
    if chance.random() < 0.7:
        site["vpc_cidr"] = "10.80.0.0/16"
    if chance.random() < 0.4:
        site["account_id"] = "123456789012"
    if chance.random() < 0.1:
        site["existing"] = {"vpc": "vpc-0a1b2c3d4e5f67890"}  # without the subnets that it needs
    return site
