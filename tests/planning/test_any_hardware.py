"""The plan on any hardware is as cheap as the result of exhaustive search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replay import CLASSES, TODAY, read
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning import planner
from isthmus.planning.options import candidates, hardware
from isthmus.planning.options.option import Column, OnApi, OnGpus, Option, Rules
from isthmus.planning.solver import problem, program
from tests.planning.fixed import fixed_usd
from tests.planning.test_hardware import ALL, SLOW, copy
from tests.sampling import fewer


@st.composite
def any_hardware(draw: st.DrawFn) -> dict[str, Any]:
    """One or two workloads, little hardware, everything allowed."""
    data = copy(objective={"cost_basis": "allocated", "near_tie_pct": 0}, budget={"monthly_usd": 1e7})
    data["sites"][0]["pools"] = [
        {**data["sites"][0]["pools"][0], "nodes": draw(st.integers(1, 3)), "failure_domains": 1}
    ]
    price = draw(st.sampled_from([4.0, 13.0, 30.0]))
    data["sites"][1]["prices"] = {"ml.g6e.12xlarge": {"usd_per_hour": price, "as_of": "2026-11-01"}}
    data["workloads"] = []
    for number in range(draw(st.integers(1, 2))):
        peak = draw(st.floats(0.1, 20))
        data["workloads"].append(
            {
                "name": f"w{number}",
                "sensitivity": draw(st.sampled_from(CLASSES[1:])),
                "impact": "low",
                "model": {
                    "candidates": [
                        {
                            "id": draw(st.sampled_from(["Qwen/Qwen3-8B", "Qwen/Qwen3-14B"])),
                            "scores": {"fp8": 0.8},
                        }
                    ],
                    "min_score": 0.5,
                    "context_tokens": 8192,
                },
                "traffic": {
                    "peak_rps": peak,
                    "mean_rps": peak / 4,
                    "prompt_tokens": 900,
                    "output_tokens": 150,
                },
                "slo": {"ttft_p95_ms": 3000, "tpot_p95_ms": 100},
                "survive": draw(st.sampled_from(["none", "replica", "node", "domain"])),
            }
        )
    return data


def least(requirements: Requirements, column: Column, load: float) -> int:
    """Replicas, intact with headroom and after the loss; whole GPUs' worth where they are the endpoint's own."""
    step = hardware.replicas_per_unit(column) if column.mig and hardware.has_dedicated_hardware(column) else 1
    first = step * max(1, math.ceil(load * (1 + requirements.planning.headroom) / step - 1e-9))
    for count in range(first, 2000, step):
        if (
            column.survive == "none"
            or count - hardware.lost_by_count(requirements, column)(count) >= load - 1e-9
        ):
            return count
    return 10**6


def prices(requirements: Requirements, chosen_options: tuple[Option, ...]) -> Iterator[float]:
    """The cost of those options, for every way in which workloads on one kind of column may share it."""
    levels = {
        option.column.plain: sorted(
            {
                o.column.survive
                for o in chosen_options
                if isinstance(o, OnGpus) and o.column.plain == option.column.plain
            },
            key=["none", "replica", "node", "domain"].index,
        )
        for option in chosen_options
        if isinstance(option, OnGpus)
    }
    ups = [
        [o.column.survive]
        if isinstance(o, OnApi)
        else levels[o.column.plain][levels[o.column.plain].index(o.column.survive) :]
        for o in chosen_options
        if isinstance(o, OnGpus)
    ]
    on_gpus = [o for o in chosen_options if isinstance(o, OnGpus)]
    for survive in itertools.product(*ups):
        loads: dict[Column, float] = {}
        for option, level in zip(on_gpus, survive, strict=True):
            column = planner.replace(option.column, survive=level)
            loads[column] = loads.get(column, 0.0) + option.units
        counts = {column: least(requirements, column, load) for column, load in loads.items()}
        cost = sum(option.monthly for option in chosen_options)
        for (site, gpu), used in hardware.gpus_in_use(counts).items():
            gpu_site, pool = hardware.find_pool(requirements, site, gpu)
            if used > sum(hardware.usable_gpus(gpu_site, pool)):
                cost = math.inf
            some = next(column for column in counts if (column.site, column.gpu) == (site, gpu))
            cost += used * hardware.monthly_gpu_price(requirements, some)
        for shared, used in hardware.instances_needed(counts).items():
            cost += used * 730 * hardware.hourly_rate(requirements, shared).usd_per_hour
        cost += 12000 if any(column.site == "fra1" for column in counts) else 0
        cost += fixed_usd(requirements, chosen_options, ALL)
        cost += 400 if any(option.site == "frankfurt" for option in chosen_options) else 0
        yield cost


@fewer(6, SLOW)
@given(any_hardware())
def test_the_plan_on_any_hardware_is_as_cheap_as_exhaustive_search(data: dict[str, Any]) -> None:
    requirements = read(data)
    find = candidates.find_options(requirements, Rules(TODAY, ALL))
    expected = min(
        (
            cost
            for chosen_options in itertools.product(*find.by_workload.values())
            for cost in prices(requirements, chosen_options)
        ),
        default=math.inf,
    )
    solution = program.solve(problem.Problem(requirements, find))
    if math.isinf(expected):
        assert solution is None
        return
    assert solution is not None
    assert solution.cost == pytest.approx(expected, rel=1e-6, abs=0.01)
