"""Checks in a simulator that plans meet their SLOs at the peak, also after the failure that `survive` names.

    python -m bench.replay [COUNT] [SEED]

It plans random requirements. Then it simulates each endpoint on GPUs at its workloads' peak, intact and after the
failure. The simulator (`bench.simulate`) shares no queueing code with the planner. A plan holds if it meets the goals
of every workload. The bank's plan comes first and must hold.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.simulate import Stream, StreamResult, replay
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_documents, yaml_files
from isthmus.planning import planner
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import demand, speed

BANK = Path(__file__).resolve().parents[1] / "stacks" / "bank-dev.requirements.yaml"
CLASSES = ("public", "internal", "confidential", "restricted")
OFFERS = (planner.BlueprintOffer("regulated-hybrid", CLASSES, 0, None),)
TODAY = "2026-11-25"
REQUESTS = 1200
"""Requests of an endpoint's least frequent workload. Fewer would make its 95th percentile meaningless."""
SHORTEST_S, LONGEST_S = 120.0, 3000.0
"""Bounds of a run. The shortest run is many times as long as an answer, so that an overload has time to build up."""
REQUIRED_SHARE = 0.95
MODELS = (
    *("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-14B", "Qwen/Qwen3-32B"),
    *("meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-30B-A3B", "mistralai/Mistral-Small-24B-Instruct-2501"),
)


def read(data: dict[str, Any]) -> Requirements:
    """Requirements from a mapping, with their digest."""
    return requirements_of.parse(yaml_documents.Document(copy.deepcopy(data)))


def random_requirements(random_source: random.Random) -> dict[str, Any]:
    """Random requirements based on the bank's, with one to four workloads and pools of two to five nodes."""
    data = copy.deepcopy(yaml_files.load(BANK).data)
    data["budget"] = {"monthly_usd": 1e7}
    data["objective"] = {"cost_basis": "allocated", "near_tie_pct": random_source.choice([0, 5])}
    for pool in data["sites"][0]["pools"]:
        pool.update(nodes=random_source.randint(2, 5), failure_domains=2)
    data["workloads"] = [_workload(random_source, number) for number in range(random_source.randint(1, 4))]
    return data


def _workload(chance: random.Random, number: int) -> dict[str, Any]:
    prompt, output = round(chance.lognormvariate(7, 0.8)), round(chance.lognormvariate(5.2, 0.7))
    peak = round(chance.lognormvariate(1, 1), 3)
    candidates = [
        {"id": id, "scores": {"bf16": 0.9, "fp8": 0.88}} for id in chance.sample(MODELS, chance.randint(1, 3))
    ]
    return {
        "name": f"w{number}",
        "sensitivity": chance.choice(CLASSES),
        "impact": "low",
        "residency": ["eu"],
        "model": {"candidates": candidates, "min_score": 0.5, "context_tokens": 32768},
        "traffic": {
            "peak_rps": peak,
            "mean_rps": peak / 4,
            "arrival_cv": chance.choice([1, 1, 1.5]),
            "prompt_tokens": {"mean": prompt, "p95": round(prompt * chance.uniform(1, 2.8))},
            "output_tokens": {"mean": output, "p95": round(output * chance.uniform(1, 2.5))},
            "prefix_hit_ratio": chance.choice([0, 0, 0.4]),
        },
        "slo": {
            "ttft_p95_ms": chance.choice([1500, 3000, 5000]),
            "tpot_p95_ms": chance.choice([40, 60, 100]),
        },
        "survive": chance.choice(["none", "replica", "node", "domain"]),
    }


def plans(count: int, seed: int) -> Iterator[tuple[Requirements, Plan]]:
    """Feasible plans of random requirements."""
    chance, feasible_count = random.Random(seed), 0
    while feasible_count < count:
        requirements = read(random_requirements(chance))
        plan = planner.make_plan(requirements, OFFERS, TODAY).plan
        if plan.feasible:
            feasible_count += 1
            yield requirements, plan


@dataclass(frozen=True)
class WorkloadResult:
    """The simulated figures of one workload, and its goals in milliseconds."""

    result: StreamResult
    ttft_ms: float | None
    tpot_ms: float | None

    @property
    def meets_slo(self) -> bool:
        """Whether the workload meets its goals. A percentile without requests (NaN) misses no goal."""
        late = self.ttft_ms is not None and self.result.ttft_p95 > self.ttft_ms
        slow = self.tpot_ms is not None and self.result.tpot_p95 > self.tpot_ms
        return not (late or slow)


def find_violations(requirements: Requirements, plan: Plan, seed: int) -> list[str]:
    """The missed goals of a plan, as sentences. Empty if the plan holds."""
    violations = []
    for endpoint in plan.endpoints:
        setup = f"{endpoint.model} {endpoint.precision} on {endpoint.tensor_parallel} x {endpoint.gpu}"
        for moment, replicas in _states(endpoint):
            if replicas < 1:
                violations.append(f"{endpoint.id}, {moment}: nothing is left")
                continue
            for workload_result in simulate_endpoint(requirements, plan, endpoint, replicas, seed):
                if not workload_result.meets_slo:
                    result = workload_result.result
                    ttft = f"TTFT {result.ttft_p95:.0f} of {workload_result.ttft_ms}"
                    tpot = f"TPOT {result.tpot_p95:.1f} of {workload_result.tpot_ms}"
                    violations.append(f"{result.name}, {replicas} x {setup}, {moment}: {ttft}, {tpot}")
    return violations


def _states(endpoint: PlannedEndpoint) -> Iterator[tuple[str, int]]:
    prediction, replicas = endpoint.predicted, endpoint.replicas
    if replicas is None or prediction is None or not prediction.capacity_rps:
        return
    yield "at the peak", replicas
    replicas_left = round(replicas * (prediction.after_loss_rps or 0) / prediction.capacity_rps)
    if replicas_left < replicas:
        yield "after the loss", replicas_left


def simulate_endpoint(
    requirements: Requirements,
    plan: Plan,
    endpoint: PlannedEndpoint,
    replicas: int,
    seed: int,
    *,
    multiple: float = 1.0,
    deviations: float = 0.0,
) -> list[WorkloadResult]:
    """Simulate an endpoint at a `multiple` of its workloads' peak, with steps `deviations` standard deviations slower.

    The same seed gives the same requests at every multiple, at shorter intervals.
    """
    workload_names = [
        placement.workload for placement in plan.placements if placement.endpoint == endpoint.id
    ]
    demands = {
        workload.name: demand.of_workload(workload)
        for workload in requirements.workloads
        if workload.name in workload_names
    }
    streams = [
        Stream(
            name,
            workload_demand.rate * multiple,
            workload_demand.burst,
            workload_demand.lengths.prompt,
            workload_demand.lengths.prompt_p95,
            workload_demand.lengths.output,
            workload_demand.lengths.output_p95,
            workload_demand.lengths.hit,
        )
        for name, workload_demand in demands.items()
    ]
    gpu = gpus.find(endpoint.gpu or "")
    endpoint_speed = speed.find_speed(
        models.find_model(endpoint.model), gpu, endpoint.precision, endpoint.tensor_parallel or 1
    )
    seconds = min(LONGEST_S, max(SHORTEST_S, REQUESTS / min(stream.rate for stream in streams)))
    assert endpoint.predicted is not None
    results = replay(
        endpoint_speed.at(deviations),
        streams,
        replicas=replicas,
        cache_tokens=endpoint.predicted.kv_cache_tokens or 0,
        max_num_seqs=endpoint.max_num_seqs or 256,
        batched_tokens=8192 if gpu.large else 2048,
        seconds=seconds,
        warm_up=seconds / 20,
        seed=seed,
    )
    return [
        WorkloadResult(result, demands[name].goals.ttft_ms, demands[name].goals.tpot_ms)
        for name, result in results.items()
    ]


def main(arguments: list[str]) -> int:
    count, seed = (
        (int(argument) for argument in (*arguments, "200", "1")[:2])
        if len(arguments) != 1
        else (int(arguments[0]), 1)
    )
    bank = read(yaml_files.load(BANK).data)
    bank_violations = find_violations(bank, planner.make_plan(bank, OFFERS, TODAY).plan, seed)
    print(f"the bank: {'holds' if not bank_violations else '; '.join(bank_violations)}", flush=True)
    plans_held = 0
    for number, (requirements, plan) in enumerate(plans(count, seed), 1):
        violations = find_violations(requirements, plan, seed)
        plans_held += not violations
        for violation in violations:
            print(f"  {number}: {violation}", flush=True)
    print(
        f"{plans_held} of {count} random plans hold at the peak and after the loss: {plans_held / count:.1%}"
    )
    return 0 if not bank_violations and plans_held / count >= REQUIRED_SHARE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
