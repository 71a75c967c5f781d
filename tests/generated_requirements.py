"""A seeded generator of requirements: ten industries, their workloads, sites, loads and rules, and mistakes on wish."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

INDUSTRIES = (
    *("bank", "hospital", "insurer", "manufacturer", "city", "retailer", "telecom", "law-firm", "energy"),
    "software",
)
_TASKS: dict[str, list[tuple[str, str, str]]] = {
    "bank": [("case-reports", "restricted", "high"), ("kyc", "confidential", "material")],
    "hospital": [("letters", "restricted", "high"), ("coding", "restricted", "material")],
    "insurer": [("claims", "confidential", "material"), ("fraud", "restricted", "high")],
    "manufacturer": [("designs", "confidential", "material"), ("manuals", "internal", "low")],
    "city": [("applications", "restricted", "high"), ("letters", "confidential", "material")],
    "retailer": [("reviews", "internal", "low"), ("product-texts", "public", "low")],
    "telecom": [("tickets", "confidential", "low"), ("network-notes", "internal", "low")],
    "law-firm": [("briefs", "restricted", "material"), ("research", "confidential", "low")],
    "energy": [("inspection", "internal", "material"), ("contracts", "confidential", "low")],
    "software": [("code-help", "internal", "low"), ("support", "confidential", "low")],
}
_OPEN: list[dict[str, Any]] = [
    {"id": "Qwen/Qwen3-32B", "scores": {"bf16": 0.88, "fp8": 0.87}},
    {"id": "Qwen/Qwen3-14B", "scores": {"bf16": 0.84, "fp8": 0.83}},
    {"id": "Qwen/Qwen3-8B", "scores": {"bf16": 0.82, "fp8": 0.81}},
]
_API: dict[str, Any] = {"id": "amazon.nova-lite-v1:0", "scores": {"api": 0.84}}
_POOLS: list[dict[str, Any]] = [
    {"gpu": "h100-sxm-80gb", "gpus_per_node": 8},
    {"gpu": "h100-sxm-80gb", "gpus_per_node": 4},
    {"gpu": "l40s-48gb", "gpus_per_node": 4},
    {"gpu": "a100-sxm-80gb", "gpus_per_node": 8},
]
_AWS = {"eu": [("de", "eu-central-1"), ("ie", "eu-west-1")], "us": [("us", "us-east-1"), ("us", "us-west-2")]}


@dataclass(frozen=True)
class Generated:
    """Requirements, and the paths of the mistakes that were put in."""

    industry: str
    data: dict[str, Any]
    mistakes: Sequence[str]


def generate(seed: int) -> Generated:
    """Requirements of the seed's industry; every third file has one to four mistakes."""
    drawn = random.Random(seed)
    industry = INDUSTRIES[seed % len(INDUSTRIES)]
    area = drawn.choice(["eu", "us"])
    has_aws = drawn.random() < 0.8
    workloads = [
        _workload(drawn, name, sensitivity, impact, area, has_aws=has_aws)
        for name, sensitivity, impact in _TASKS[industry]
    ]
    if drawn.random() < 0.5:
        workloads.append(_workload(drawn, "staff-questions", "internal", "low", area, has_aws=has_aws))
    country, region = drawn.choice(_AWS[area])
    needs_on_prem = any(workload["sensitivity"] in ("confidential", "restricted") for workload in workloads)
    sites: list[dict[str, Any]] = []
    if needs_on_prem or not has_aws:
        sites.append(_on_prem(drawn, country))
    if has_aws:
        sites.append(
            {
                **{"name": "cloud", "kind": "aws", "jurisdiction": country, "region": region},
                **{"vpc_cidr": "10.80.0.0/16", "allow": ["bedrock"]},
            }
        )
    data: dict[str, Any] = {
        "isthmus": "v1",
        "name": f"{industry}-{seed}",
        "workloads": workloads,
        "sites": sites,
    }
    if len(sites) == 2:
        data["links"] = [{"from": "here", "to": "cloud", "kind": "vpn", "mbps": 1000, "rtt_ms": 10}]
    if drawn.random() < 0.3:
        data["budget"] = {"monthly_usd": drawn.choice([2000, 20_000, 200_000])}
    mistakes: list[str] = []
    if seed % 3 == 2:
        for mistake in drawn.sample(MISTAKES, drawn.randint(1, 4)):
            mistakes.append(mistake(data))
    return Generated(industry, data, mistakes)


def _workload(
    drawn: random.Random, name: str, sensitivity: str, impact: str, area: str, *, has_aws: bool
) -> dict[str, Any]:
    candidates = copy.deepcopy(drawn.sample(_OPEN, 2))
    if sensitivity in ("public", "internal") and has_aws:
        candidates.append(copy.deepcopy(_API))
    peak = drawn.choice([0.2, 1.0, 4.0, 12.0])
    prompt, output = drawn.choice([(800, 200), (2500, 400), (6000, 800)])
    workload: dict[str, Any] = {
        **{"name": name, "purpose": f"{name} for staff", "sensitivity": sensitivity, "impact": impact},
        **{"languages": ["en"], "residency": [area]},
        "model": {"candidates": candidates, "min_score": 0.8, "context_tokens": 16384},
        "traffic": {
            **{"peak_rps": peak, "mean_rps": round(peak * drawn.choice([0.1, 0.3]), 3)},
            "profile": drawn.choice(["flat", "office-hours"]),
            "prompt_tokens": {"mean": prompt, "p95": 2 * prompt},
            "output_tokens": {"mean": output, "p95": 2 * output},
        },
        "slo": {"ttft_p95_ms": drawn.choice([3000, 6000]), "tpot_p95_ms": drawn.choice([80, 120])},
        "survive": drawn.choice(["none", "replica", "node"]),
    }
    if impact != "low":
        workload["review"] = {"domain": "experts", "below_confidence": 0.8, "sample_rate": 0.05}
    return workload


def _on_prem(drawn: random.Random, country: str) -> dict[str, Any]:
    pool = {**drawn.choice(_POOLS), "nodes": drawn.choice([1, 2, 4])}
    gpu = pool["gpu"]
    return {
        **{"name": "here", "kind": "on-prem", "jurisdiction": country, "kube_context": "here"},
        "network": {
            **{"cidrs": ["10.40.0.0/16"], "vpn_peer_ip": "198.51.100.10", "bgp_asn": 65010},
            "dns": ["10.40.0.53"],
        },
        "pools": [pool],
        "cost": {
            **{"capex_usd_per_node": {gpu: 200_000}, "life_years": 4, "residual": 0.25},
            **{"power_kw_per_node": {gpu: 6.0}, "usd_per_kwh": 0.15},
        },
    }


def _costs(drawn: random.Random, pools: list[dict[str, Any]]) -> dict[str, Any]:
    """What a node of each pool costs to buy and takes in power."""
    return {
        "capex_usd_per_node": {pool["gpu"]: drawn.choice([60_000, 200_000, 320_000]) for pool in pools},
        "power_kw_per_node": {pool["gpu"]: 6.0 for pool in pools},
    }


def _class(data: dict[str, Any]) -> str:
    data["workloads"][0]["sensitivity"] = "secret"
    return f"workloads[{data['workloads'][0]['name']}].sensitivity"


def _tokens(data: dict[str, Any]) -> str:
    data["workloads"][0]["traffic"]["prompt_tokens"] = {"mean": 500, "p95": 100}
    return f"workloads[{data['workloads'][0]['name']}].traffic.prompt_tokens.p95"


def _model(data: dict[str, Any]) -> str:
    data["workloads"][-1]["model"]["candidates"][0]["id"] = "Qwen/Qwen3-33B"
    return f"workloads[{data['workloads'][-1]['name']}].model.candidates[Qwen/Qwen3-33B].id"


def _goal(data: dict[str, Any]) -> str:
    data["workloads"][-1]["slo"]["ttft_p95_ms"] = -1
    return f"workloads[{data['workloads'][-1]['name']}].slo.ttft_p95_ms"


def _name(data: dict[str, Any]) -> str:
    data["name"] = "Not A Name"
    return "name"


def _unknown(data: dict[str, Any]) -> str:
    data["sites"][0]["colour"] = "blue"
    return f"sites[{data['sites'][0]['name']}].colour"


MISTAKES: tuple[Callable[[dict[str, Any]], str], ...] = (_class, _tokens, _model, _goal, _name, _unknown)


def generate_small(seed: int) -> dict[str, Any]:
    """Requirements of one on-prem site: up to four workloads, three pools and four nodes, mostly too few."""
    drawn = random.Random(seed)
    names = ("letters", "claims", "questions", "reports")[: drawn.randint(1, 4)]
    workloads = [
        _workload(drawn, name, drawn.choice(["internal", "confidential"]), "low", "eu", has_aws=False)
        for name in names
    ]
    for workload in workloads:
        peak = drawn.choice([2.0, 6.0, 15.0])
        workload["traffic"] |= {"peak_rps": peak, "mean_rps": peak / 4}
    site = _on_prem(drawn, "de")
    kinds = drawn.sample(
        [pool for pool in _POOLS if pool["gpus_per_node"] != 4 or pool["gpu"] != "h100-sxm-80gb"], 3
    )
    pools = [{**pool, "nodes": 1} for pool in kinds[: drawn.randint(1, 3)]]
    for pool in pools:
        if sum(entry["nodes"] for entry in pools) < 4:
            pool["nodes"] = drawn.choice([1, 1, 2])
    site["pools"] = pools
    site["cost"] |= _costs(drawn, pools)
    return {"isthmus": "v1", "name": f"small-{seed}", "workloads": workloads, "sites": [site]}


def generate_large(seed: int) -> dict[str, Any]:
    """Requirements of two on-prem sites and one on AWS: five to twelve workloads, mostly with something that lacks."""
    drawn = random.Random(seed)
    area, country = "eu", "de"
    workloads = [
        _workload(
            drawn,
            f"work-{number}",
            drawn.choice(["public", "internal", "confidential", "restricted"]),
            drawn.choice(["low", "material"]),
            area,
            has_aws=True,
        )
        for number in range(drawn.randint(5, 12))
    ]
    for workload in drawn.sample(workloads, 2):
        lack = drawn.choice(["score", "first-token", "per-token", "context", "residency"])
        if lack == "score":
            workload["model"]["min_score"] = drawn.choice([0.86, 0.875])
        elif lack == "first-token":
            workload["slo"]["ttft_p95_ms"] = drawn.choice([60, 250])
        elif lack == "per-token":
            workload["slo"]["tpot_p95_ms"] = drawn.choice([3, 12])
        elif lack == "context":
            workload["model"]["context_tokens"] = drawn.choice([32768, 131072])
        else:
            workload["residency"] = ["fr"]
    sites: list[dict[str, Any]] = []
    for name in ("here", "there"):
        kinds = drawn.sample([_POOLS[0], _POOLS[2], _POOLS[3]], drawn.randint(1, 3))
        pools = [{**pool, "nodes": drawn.choice([1, 1, 2, 3])} for pool in kinds]
        site = _on_prem(drawn, country)
        site |= {"name": name, "kube_context": name, "pools": pools}
        site["network"] = {**site["network"], "cidrs": [f"10.{40 + len(sites)}.0.0/16"]}
        site["cost"] |= _costs(drawn, pools)
        sites.append(site)
    sites.append(
        {
            **{"name": "cloud", "kind": "aws", "jurisdiction": country, "region": "eu-central-1"},
            **{"vpc_cidr": "10.80.0.0/16", "allow": ["bedrock"]},
        }
    )
    data: dict[str, Any] = {"isthmus": "v1", "name": f"large-{seed}", "workloads": workloads, "sites": sites}
    data["links"] = [{"from": "here", "to": "cloud", "kind": "vpn", "mbps": 1000, "rtt_ms": 10}]
    if drawn.random() < 0.5:
        data["budget"] = {"monthly_usd": drawn.choice([5000, 20_000, 60_000])}
    return data
