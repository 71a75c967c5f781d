"""Generates requirements of a large fleet: many teams, each with its own fine-tuned model, on four pools of one site.

Each fine-tune is a model of its own, so every workload gets an endpoint. A larger fleet has more endpoints, but not
more choices for the planner. `bench.large_plans` measures those.
"""

from __future__ import annotations

import random
from typing import Any

BASES = ("Qwen/Qwen3-8B", "Qwen/Qwen3-14B", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B")
CLASSES = ("public", "internal", "confidential", "restricted")
GPUS = ("h100-sxm-80gb", "h200-sxm-141gb", "a100-sxm-80gb", "l40s-48gb")
SITE = "fra1"


MOST_RPS = 30.0
"""Peak of the busiest workload."""


def requirements_data(
    endpoints: int, nodes: int, seed: int = 1, most_rps: float = MOST_RPS
) -> dict[str, Any]:
    """Requirements with one workload for each endpoint. Nodes have eight GPUs; four pools have two failure domains."""
    chance = random.Random(seed)
    return {
        "isthmus": "v1",
        "name": "fleet",
        "workloads": [_workload(chance, number, most_rps) for number in range(endpoints)],
        "sites": [
            {
                **{"name": SITE, "kind": "on-prem", "jurisdiction": "de", "kube_context": SITE},
                "network": {"cidrs": ["10.40.0.0/16"], "dns": ["10.40.0.53"]},
                "pools": [
                    {"gpu": gpu, "nodes": count, "gpus_per_node": 8, "failure_domains": 2}
                    for gpu, count in zip(GPUS, _shares(nodes), strict=True)
                ],
                "cost": {
                    # Invented prices. Faster GPUs cost more.
                    "capex_usd_per_node": dict(zip(GPUS, (320000, 380000, 160000, 110000), strict=True)),
                    "power_kw_per_node": dict(zip(GPUS, (10.2, 10.2, 6.5, 4.0), strict=True)),
                    "usd_per_kwh": 0.12,
                    "colocation_usd_per_kw_month": 180,
                },
            }
        ],
    }


def _shares(nodes: int) -> list[int]:
    return [nodes // len(GPUS) + (number < nodes % len(GPUS)) for number in range(len(GPUS))]


def _workload(chance: random.Random, number: int, most_rps: float) -> dict[str, Any]:
    prompt, output = chance.randint(200, 3000), chance.randint(50, 500)
    peak = round(min(most_rps, chance.lognormvariate(1, 1)), 2)
    return {
        **{"name": f"team{number:03}", "purpose": "A team's own use", "impact": "low", "task": "chat"},
        "sensitivity": CLASSES[number % len(CLASSES)],
        "residency": ["de"],
        "model": {
            "candidates": [
                {
                    "id": f"team{number:03}/tuned",
                    "base": BASES[number % 7 % len(BASES)],
                    "scores": {"fp8": 0.9},
                }
            ],
            "min_score": 0.5,
            "context_tokens": 8192,
        },
        "traffic": {
            **{"peak_rps": peak, "mean_rps": peak / 4},
            "prompt_tokens": {"mean": prompt, "p95": prompt * 2},
            "output_tokens": {"mean": output, "p95": output * 2},
        },
        "slo": {"ttft_p95_ms": 3000, "tpot_p95_ms": 100, "availability": 0.99},
        "survive": "domain",
    }
