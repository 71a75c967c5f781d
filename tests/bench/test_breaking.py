"""What breaks first: found where it is, and the plan's `stress` is held to it."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from bench import breaking, replay
from bench.breaking import Comparison
from isthmus.core import yaml_files
from isthmus.planning import planner
from isthmus.planning.sizing import demand, speed
from isthmus.planning.sizing import fit as fits

CLASSES = ("internal", "confidential")


@pytest.mark.parametrize("guess", [0.01, 1, 3.1, 50])
@pytest.mark.parametrize("at", [0.5, 1, 3, 11])
def test_the_breaking_multiple_does_not_depend_on_the_start(at: float, guess: float) -> None:
    assert breaking.breaking_multiple(lambda times: times < at, guess) == pytest.approx(at, rel=0.021)


def test_what_never_breaks_and_what_never_holds_end_the_search() -> None:
    assert breaking.breaking_multiple(lambda times: True, 1) == breaking.MOST
    assert breaking.breaking_multiple(lambda times: False, 1) == breaking.LEAST


def test_a_plan_is_right_if_it_names_the_first_and_near_if_noise_decides() -> None:
    for at, right, near in (
        ({"a": 1.5, "b": 2.0}, True, True),
        ({"a": 1.55, "b": 1.5}, False, True),
        ({"a": 3.0, "b": 1.5}, False, False),
    ):
        comparison = Comparison("a", at, predicted_to_hold=True, holds=True)
        assert (comparison.is_right, comparison.is_near_tie) == (right, near)
    wrong = Comparison("a", {"a": 3.0, "b": 1.5}, predicted_to_hold=True, holds=False)
    alone = Comparison("a", {}, predicted_to_hold=False, holds=False)
    assert not breaking.enough_are_right([wrong, alone, alone, alone])
    lines = breaking.summary([wrong, alone, alone, alone])
    assert lines[0].startswith("3 of 4 plans")
    assert "of those with two or more 0 of 1 do" in lines[1]
    assert lines[2:] == [
        "0 of 1 that are said to hold at the stress factor do",
        "3 of 3 that are said not to hold at it do not",
    ]


def two(peaks: tuple[float, float], classes: tuple[str, str]) -> replay.Requirements:
    """Short answers and long prompts, of one model."""
    data = copy.deepcopy(yaml_files.load(replay.BANK).data)
    data["objective"] = {"cost_basis": "allocated", "near_tie_pct": 0}
    data["sites"][0]["pools"] = [pool for pool in data["sites"][0]["pools"] if "h100" in pool["gpu"]]
    data["workloads"] = [
        _workload("short", classes[0], peaks[0], (700, 1600), (22, 34), 40),
        _workload("long", classes[1], peaks[1], (2000, 5400), (124, 200), 60),
    ]
    return replay.read(data)


def _workload(
    name: str, class_: str, peak: float, prompt: tuple[int, int], output: tuple[int, int], tpot: int
) -> dict[str, Any]:
    return {
        "name": name,
        "sensitivity": class_,
        "impact": "low",
        "residency": ["eu"],
        "model": {
            "candidates": [{"id": "Qwen/Qwen3-14B", "scores": {"bf16": 0.9}}],
            "min_score": 0.5,
            "context_tokens": 16384,
        },
        "traffic": {
            "peak_rps": peak,
            "mean_rps": peak / 4,
            "prompt_tokens": dict(zip(("mean", "p95"), prompt, strict=True)),
            "output_tokens": dict(zip(("mean", "p95"), output, strict=True)),
        },
        "slo": {"ttft_p95_ms": 3000, "tpot_p95_ms": tpot},
        "survive": "none",
    }


def test_a_shared_endpoint_is_large_enough_for_its_mixture_and_breaks_where_that_does() -> None:
    """By the sum of the loads one replica of one GPU would do, which breaks below its peak."""
    requirements = two((2, 2), ("internal", "internal"))
    plan = planner.make_plan(requirements, replay.OFFERS, replay.TODAY).plan
    [endpoint] = [endpoint for endpoint in plan.endpoints if endpoint.replicas]
    assert plan.stress is not None

    def meets_slo(times: float) -> bool:
        results = replay.simulate_endpoint(
            requirements,
            plan,
            endpoint,
            endpoint.replicas or 0,
            1,
            multiple=times,
            deviations=speed.EIGHTY_PERCENT_DEVIATIONS,
        )
        return all(result.meets_slo for result in results)

    simulated, predicted = breaking.breaking_multiple(meets_slo, 1), plan.stress.breaks_at
    assert predicted is not None
    assert abs(math.log(predicted / simulated)) < 0.25
    assert min(predicted, simulated) >= 1.3
    fit = fits.fit_model("Qwen/Qwen3-14B", "h100-sxm-80gb", "bf16", endpoint.tensor_parallel or 1, 16384, ())
    assert isinstance(fit, fits.Fit)
    loads = [
        workload_demand.rate / fits.goodput(fit, workload_demand, workload_demand.goals)
        for workload_demand in map(demand.of_workload, requirements.workloads)
    ]
    assert (endpoint.replicas or 0) / sum(loads) > 1.25 * simulated


@pytest.mark.parametrize("peaks", [(30, 1), (1, 8)])
def test_the_endpoint_with_the_least_to_spare_is_what_breaks_first(peaks: tuple[float, float]) -> None:
    requirements = two(peaks, CLASSES)
    plan = planner.make_plan(requirements, replay.OFFERS, replay.TODAY).plan
    assert plan.stress is not None
    comparison = breaking.compare(requirements, plan, 1, speed.EIGHTY_PERCENT_DEVIATIONS)
    assert comparison is not None
    assert list(comparison.multiples) == [plan.stress.breaks_first]
    assert comparison.is_right
    [other_id] = {endpoint.id for endpoint in plan.endpoints} - {plan.stress.breaks_first}
    wrong = plan.model_copy(update={"stress": plan.stress.model_copy(update={"breaks_first": other_id})})
    blamed = breaking.compare(requirements, wrong, 1, speed.EIGHTY_PERCENT_DEVIATIONS)
    assert blamed is not None
    assert not blamed.is_right
    assert blamed.breaks_first == plan.stress.breaks_first
