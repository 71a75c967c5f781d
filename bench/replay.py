"""Plans replayed in the simulator: does the SLO hold at the peak, and with what each workload's `survive` names lost?

    python -m bench.replay [COUNT] [SEED]

Random requirements are planned; each endpoint on GPUs is then simulated (`bench.simulate`, which shares no queueing
code with the planner) at its workloads' peak, intact and after the loss. A plan holds where every workload's goals
do. The bank's plan is replayed first, and must hold.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.simulate import Seen, Stream, replay
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
"""Of the least frequent workload of an endpoint, so that its 95th percentile is worth something."""
SHORTEST_S, LONGEST_S = 120.0, 3000.0
"""The shortest run is many times as long as an answer: a load above what is carried needs time to pile up."""
WANTED = 0.95
MODELS = (
    *("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-14B", "Qwen/Qwen3-32B"),
    *("meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-30B-A3B", "mistralai/Mistral-Small-24B-Instruct-2501"),
)


def read(data: dict[str, Any]) -> Requirements:
    """Requirements from data, with their digest."""
    return requirements_of.parse(yaml_documents.Document(copy.deepcopy(data)))


def at_random(chance: random.Random) -> dict[str, Any]:
    """Requirements of the bank's form: one to four workloads, pools of one to four nodes."""
    data = copy.deepcopy(yaml_files.load(BANK).data)
    data["budget"] = {"monthly_usd": 1e7}
    data["objective"] = {"cost_basis": "allocated", "near_tie_pct": chance.choice([0, 5])}
    for pool in data["sites"][0]["pools"]:
        pool.update(nodes=chance.randint(2, 5), failure_domains=2)
    data["workloads"] = [_workload(chance, number) for number in range(chance.randint(1, 4))]
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
    chance, planned = random.Random(seed), 0
    while planned < count:
        requirements = read(at_random(chance))
        plan = planner.make_plan(requirements, OFFERS, TODAY).plan
        if plan.feasible:
            planned += 1
            yield requirements, plan


@dataclass(frozen=True)
class Met:
    """What the requests of one workload met, and its goals, milliseconds."""

    seen: Seen
    ttft_ms: float | None
    tpot_ms: float | None

    @property
    def kept(self) -> bool:
        """Written so that a percentile of nothing (NaN) breaks no goal."""
        late = self.ttft_ms is not None and self.seen.ttft_p95 > self.ttft_ms
        slow = self.tpot_ms is not None and self.seen.tpot_p95 > self.tpot_ms
        return not (late or slow)


def broken(requirements: Requirements, plan: Plan, seed: int) -> list[str]:
    """What does not hold, in words; empty where all does."""
    found = []
    for endpoint in plan.endpoints:
        for when, replicas in _states(endpoint):
            if replicas < 1:
                found.append(f"{endpoint.id}, {when}: nothing is left")
                continue
            for met in played(requirements, plan, endpoint, replicas, seed):
                if not met.kept:
                    seen = met.seen
                    what = f"{endpoint.model} {endpoint.precision} on {endpoint.tensor_parallel} x {endpoint.gpu}"
                    goals = f"TTFT {seen.ttft_p95:.0f} of {met.ttft_ms}, TPOT {seen.tpot_p95:.1f} of {met.tpot_ms}"
                    found.append(f"{seen.name}, {replicas} x {what}, {when}: {goals}")
    return found


def _states(endpoint: PlannedEndpoint) -> Iterator[tuple[str, int]]:
    told, count = endpoint.predicted, endpoint.replicas
    if count is None or told is None or not told.capacity_rps:
        return
    yield "at the peak", count
    left = round(count * (told.after_loss_rps or 0) / told.capacity_rps)
    if left < count:
        yield "after the loss", left


def played(
    requirements: Requirements,
    plan: Plan,
    endpoint: PlannedEndpoint,
    replicas: int,
    seed: int,
    *,
    times: float = 1.0,
    deviations: float = 0.0,
) -> list[Met]:
    """An endpoint's workloads at so many `times` their peak, on steps so many standard `deviations` slower.

    The same seed draws the same requests at every multiple: they only come closer together.
    """
    served = [each.workload for each in plan.placements if each.endpoint == endpoint.id]
    wanted = {each.name: demand.of_workload(each) for each in requirements.workloads if each.name in served}
    streams = [
        Stream(
            name,
            each.rate * times,
            each.burst,
            each.lengths.prompt,
            each.lengths.prompt_p95,
            each.lengths.output,
            each.lengths.output_p95,
            each.lengths.hit,
        )
        for name, each in wanted.items()
    ]
    card = gpus.find(endpoint.gpu or "")
    how = speed.find_speed(
        models.find_model(endpoint.model), card, endpoint.precision, endpoint.tensor_parallel or 1
    )
    seconds = min(LONGEST_S, max(SHORTEST_S, REQUESTS / min(each.rate for each in streams)))
    assert endpoint.predicted is not None
    seen = replay(
        how.at(deviations),
        streams,
        replicas=replicas,
        cache_tokens=endpoint.predicted.kv_cache_tokens or 0,
        max_num_seqs=endpoint.max_num_seqs or 256,
        batched_tokens=8192 if card.large else 2048,
        seconds=seconds,
        warm_up=seconds / 20,
        seed=seed,
    )
    return [Met(each, wanted[name].ttft_ms, wanted[name].tpot_ms) for name, each in seen.items()]


def main(words: list[str]) -> int:
    count, seed = (int(each) for each in (*words, "200", "1")[:2]) if len(words) != 1 else (int(words[0]), 1)
    bank = read(yaml_files.load(BANK).data)
    faults = broken(bank, planner.make_plan(bank, OFFERS, TODAY).plan, seed)
    print(f"the bank: {'holds' if not faults else '; '.join(faults)}", flush=True)
    held = 0
    for number, (requirements, plan) in enumerate(plans(count, seed), 1):
        wrong = broken(requirements, plan, seed)
        held += not wrong
        for each in wrong:
            print(f"  {number}: {each}", flush=True)
    print(f"{held} of {count} random plans hold at the peak and after the loss: {held / count:.1%}")
    return 0 if not faults and held / count >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
