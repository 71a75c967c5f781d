"""Measures how long large requirements take to plan, and the gap between the plan and the cheapest one."""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.replay import CLASSES, MODELS, TODAY, read
from isthmus.blueprints.offers import offers
from isthmus.planning import planner
from isthmus.planning.options import candidates as ways
from isthmus.planning.options.option import Rules
from isthmus.planning.solver import solution

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements

GPUS = ("h100-sxm-80gb", "h200-sxm-141gb", "l40s-48gb", "a100-sxm-80gb")
NODES = {"h100-sxm-80gb": (320000, 10.2), "h200-sxm-141gb": (380000, 10.2), "l40s-48gb": (110000, 4.0)}
NODES["a100-sxm-80gb"] = (160000, 6.5)
"""USD and kW of a node of eight GPUs. The prices are invented; faster GPUs cost more."""
APIS = ("amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0")
BASE_S, GAP, COMMAND_S = 15.0, 0.01, 60.0
"""Bounds for 40 workloads on 8 pools: seconds of the plan alone, its optimality gap, seconds of the whole command."""


def requirements_data(workloads: int, candidates: int, pools: int, seed: int) -> dict[str, Any]:
    """Requirements with `workloads` workloads, `candidates` model candidates in total, and `pools` GPU pools.

    Each site has up to four pools, one for each kind of GPU.
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
    sites.append(
        {
            "name": "frankfurt",
            "kind": "aws",
            "jurisdiction": "de",
            "region": "eu-central-1",
            "allow": ["bedrock"],
        }
    )
    candidate_counts = [1 + (number < candidates - workloads) for number in range(workloads)]
    return {
        "isthmus": "v1",
        "name": "large",
        "objective": {"near_tie_pct": 0},
        "workloads": [_workload(chance, number, count) for number, count in enumerate(candidate_counts)],
        "sites": sites,
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


def measure(workloads: int, candidates: int, pools: int, seed: int = 1) -> tuple[float, float, Requirements]:
    """Seconds of the plan alone, its optimality gap, and the requirements."""
    requirements = read(requirements_data(workloads, candidates, pools, seed))
    begin = time.perf_counter()
    options = ways.find_options(requirements, Rules(TODAY))
    listing_seconds = time.perf_counter() - begin
    solved = solution.solve_and_place(requirements, options)
    plan_seconds = time.perf_counter() - begin
    option_count = sum(len(workload_options) for workload_options in options.by_workload.values())
    outcome = (
        "infeasible" if solved is None else f"{solved[0].cost:,.0f} USD a month, gap {solved[0].gap:.2%}"
    )
    print(
        f"  {workloads} workloads, {candidates} candidates, {pools} pools, {option_count:,} ways: {outcome}"
    )
    print(f"  plan {plan_seconds:.1f} s, of which the ways {listing_seconds:.1f} s", flush=True)
    return plan_seconds, 1.0 if solved is None else solved[0].gap, requirements


def main() -> bool:
    print(f"large plans: 40 workloads over 8 pools, at most {BASE_S:.0f} s at a gap of {GAP:.0%}")
    plan_seconds, gap, requirements = measure(40, 60, 8)
    begin = time.perf_counter()
    planner.make_plan(requirements, offers(), TODAY)
    command_seconds = time.perf_counter() - begin
    is_within = plan_seconds <= BASE_S and gap <= GAP and command_seconds <= COMMAND_S
    print(
        f"  the whole answer, by all blueprints, {command_seconds:.1f} s: {'within' if is_within else 'OVER'}"
    )
    print("large plans: 200 workloads over 20 pools, reported")
    measure(200, 300, 20)
    return is_within


if __name__ == "__main__":
    # Another size: python -m bench.large_plans WORKLOADS CANDIDATES POOLS [SEED]
    measure(*(int(argument) for argument in sys.argv[1:]))
