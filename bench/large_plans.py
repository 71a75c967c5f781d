"""Measures how long large requirements take to plan, and the gap between the plan and a bound of all options.

Five seeds of each size, with the default near tie. The gap is that of the cheapest plan found.
"""

from __future__ import annotations

import math
import random
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.replay import CLASSES, MODELS, TODAY, read
from isthmus.planning.options import candidates as ways
from isthmus.planning.options.option import BUILDS, Rules
from isthmus.planning.solver import solution

GPUS = ("h100-sxm-80gb", "h200-sxm-141gb", "l40s-48gb", "a100-sxm-80gb")
NODES = {"h100-sxm-80gb": (320000, 10.2), "h200-sxm-141gb": (380000, 10.2), "l40s-48gb": (110000, 4.0)}
NODES["a100-sxm-80gb"] = (160000, 6.5)
"""USD and kW of a node of eight GPUs. The prices are invented; faster GPUs cost more."""
APIS = ("amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0")
REGIONS = (
    ("frankfurt", "de", "eu-central-1"),
    ("stockholm", "se", "eu-north-1"),
    ("paris", "fr", "eu-west-3"),
    ("dublin", "ie", "eu-west-1"),
)
SAGEMAKER = {"ml.g6e.2xlarge": 3.4, "ml.g6e.12xlarge": 16.0, "ml.g6e.8xlarge": 6.9}
"""USD an hour. AWS's prices in the EU could not be read; these are invented, a fifth above those in us-east-1."""


def requirements_data(workloads: int, candidates: int, pools: int, regions: int, seed: int) -> dict[str, Any]:
    """Requirements with `workloads` workloads, `candidates` model candidates in total, and `pools` GPU pools.

    Each site has up to four pools, one for each kind of GPU. Every region allows Bedrock, EKS and SageMaker, and has a
    link to the first site.
    """
    chance = random.Random(seed)
    sites: list[dict[str, Any]] = []
    for number in range(-(-pools // len(GPUS))):
        gpus = GPUS[: min(len(GPUS), pools - number * len(GPUS))]
        sites.append(
            {
                "name": f"site{number}",
                "kind": "on-prem",
                "jurisdiction": "de",
                "kube_context": f"site{number}",
                "network": {"cidrs": [f"10.{40 + number}.0.0/16"]},
                "pools": [
                    {
                        "gpu": gpu,
                        "nodes": chance.randint(6, 16) * max(1, workloads // (pools * 5)),
                        "gpus_per_node": 8,
                        "failure_domains": 2,
                        "interconnect": "nvlink",
                    }
                    for gpu in gpus
                ],
                "cost": {
                    "capex_usd_per_node": {gpu: NODES[gpu][0] for gpu in gpus},
                    "power_kw_per_node": {gpu: NODES[gpu][1] for gpu in gpus},
                    "residual": 0.25,
                    "usd_per_kwh": 0.12,
                    "colocation_usd_per_kw_month": 180,
                    "staff_usd_per_month": 12000,
                },
            }
        )
    for name, jurisdiction, region in REGIONS[:regions]:
        prices = {kind: {"usd_per_hour": usd, "as_of": "2026-11-01"} for kind, usd in SAGEMAKER.items()}
        sites.append(
            {
                "name": name,
                "kind": "aws",
                "jurisdiction": jurisdiction,
                "region": region,
                "allow": ["bedrock", "eks", "sagemaker"],
                "prices": prices,
            }
        )
    candidate_counts = [1 + (number < candidates - workloads) for number in range(workloads)]
    return {
        "isthmus": "v1",
        "name": "large",
        "workloads": [_workload(chance, number, count) for number, count in enumerate(candidate_counts)],
        "sites": sites,
        "links": [
            {
                "from": "site0",
                "to": name,
                "kind": "vpn",
                "mbps": 1000,
                "rtt_ms": 8,
                "usd_per_month": 400,
                "usd_per_gb": 0.02,
            }
            for name, _, _ in REGIONS[:regions]
        ],
    }


def _workload(chance: random.Random, number: int, count: int) -> dict[str, Any]:
    class_ = chance.choice(CLASSES)
    candidates: list[dict[str, Any]] = [
        {"id": id, "scores": {"bf16": 0.9, "fp8": 0.88}} for id in chance.sample(MODELS, count)
    ]
    if class_ in ("public", "internal") and chance.random() < 0.5:
        candidates[-1] = {"id": chance.choice(APIS), "scores": {"api": 0.85}}
    prompt, output = chance.randint(200, 4000), chance.randint(50, 600)
    peak = round(chance.lognormvariate(1, 1), 3)
    return {
        "name": f"w{number}",
        "sensitivity": class_,
        "impact": "low",
        "residency": ["eu"],
        "model": {"candidates": candidates, "min_score": 0.5, "context_tokens": 16384},
        "traffic": {
            "peak_rps": peak,
            "mean_rps": peak / 4,
            "prompt_tokens": {"mean": prompt, "p95": prompt * 2},
            "output_tokens": {"mean": output, "p95": output * 2},
        },
        "slo": {
            "ttft_p95_ms": chance.choice([1500, 3000, 5000]),
            "tpot_p95_ms": chance.choice([40, 60, 100]),
        },
        "survive": chance.choice(["none", "replica", "node", "domain"]),
    }


@dataclass(frozen=True)
class Size:
    """A size of requirements, and what its plans are held to."""

    workloads: int
    candidates: int
    pools: int
    regions: int
    seconds: float
    gap: float


SIZES = (Size(40, 60, 8, 1, 8.0, 0.01), Size(200, 300, 20, 4, 120.0, 0.02))
SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Measured:
    """One plan: its options, seconds, gap to the bound of all options, and cost in USD a month."""

    options: int
    listing_s: float
    plan_s: float
    gap: float
    cost: float


def measure(size: Size, seed: int) -> Measured:
    """List the options, and solve and place the plan."""
    requirements = read(requirements_data(size.workloads, size.candidates, size.pools, size.regions, seed))
    builds = BUILDS | {"eks-vllm", "sagemaker"}
    begin = time.perf_counter()
    options = ways.find_options(requirements, Rules(TODAY, builds))
    listing_seconds = time.perf_counter() - begin
    solved = solution.solve_and_place(requirements, options)
    plan_seconds = time.perf_counter() - begin
    count = sum(len(workload_options) for workload_options in options.by_workload.values())
    gap, cost = (1.0, math.inf) if solved is None else (solved[0].gap, solved[0].cost)
    return Measured(count, listing_seconds, plan_seconds, gap, cost)


def main(sizes: Sequence[Size] = SIZES, seeds: Sequence[int] = SEEDS) -> bool:
    """Measure each size with each seed in turn. True if the medians are within the bounds."""
    is_within = True
    for size in sizes:
        print(
            f"large plans: {size.workloads} workloads, {size.candidates} candidates, {size.pools} pools, "
            f"{size.regions} regions; at most {size.seconds:g} s at a gap of {size.gap:.0%}"
        )
        runs: list[Measured] = []
        for seed in seeds:
            run = measure(size, seed)
            runs.append(run)
            print(
                f"  seed {seed}: {run.options:,} options, {run.plan_s:.1f} s, {run.listing_s:.1f} s of them listing, "
                f"gap {run.gap:.2%}, {run.cost:,.0f} USD a month",
                flush=True,
            )
        seconds = statistics.median(run.plan_s for run in runs)
        gap = statistics.median(run.gap for run in runs)
        fine = seconds <= size.seconds and gap <= size.gap
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  medians {seconds:.1f} s, gap {gap:.2%}; {memory:,.0f} MiB so far: {'within' if fine else 'OVER'}"
        )
        is_within &= fine
    return is_within


if __name__ == "__main__":
    # Another size: python -m bench.large_plans WORKLOADS CANDIDATES POOLS REGIONS [SEED …]
    numbers = [int(argument) for argument in sys.argv[1:]]
    if numbers:
        main([Size(numbers[0], numbers[1], numbers[2], numbers[3], 120.0, 0.02)], numbers[4:] or SEEDS)
    else:
        sys.exit(0 if main() else 1)
