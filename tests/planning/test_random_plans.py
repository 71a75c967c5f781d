"""Plans of random requirements: as cheap as exhaustive search, and within every boundary."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.replay import CLASSES, OFFERS, TODAY, read
from isthmus.contracts.plan import rules as plan_rules
from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning import planner
from isthmus.planning.options import candidates as ways
from isthmus.planning.options import hardware
from isthmus.planning.options.option import OnApi, OnGpus, Rules
from isthmus.planning.solver import problem, program
from isthmus.planning.solver import solution as solving
from tests.planning.fixed import fixed_usd
from tests.planning.test_planner import bank, recomputed
from tests.sampling import fewer

MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-14B")
APIS = ("amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0")
SMALL = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@st.composite
def requirements_data(draw: st.DrawFn, most: int = 3) -> dict[str, Any]:
    """Small requirements of the bank's form."""
    data = json.loads(json.dumps(bank(objective={"cost_basis": "allocated", "near_tie_pct": 0})))
    data["budget"] = {"monthly_usd": 1e6}
    pools = data["sites"][0]["pools"]
    pools[0].update(nodes=draw(st.integers(1, 3)), failure_domains=1)
    pools[1].update(nodes=draw(st.integers(1, 4)), failure_domains=1)
    workloads = []
    for number in range(draw(st.integers(1, most))):
        class_ = draw(st.sampled_from(CLASSES))
        candidates: list[dict[str, Any]] = [
            {
                "id": id,
                "scores": draw(st.sampled_from([{"bf16": 0.8}, {"fp8": 0.78}, {"bf16": 0.9, "fp8": 0.88}])),
            }
            for id in draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=2, unique=True))
        ]
        candidates += [
            {"id": id, "scores": {"api": 0.85}} for id in draw(st.lists(st.sampled_from(APIS), max_size=1))
        ]
        prompt, output = draw(st.integers(50, 4000)), draw(st.integers(10, 600))
        peak = draw(st.floats(0.1, 40))
        workloads.append(
            {
                "name": f"w{number}",
                "sensitivity": class_,
                "impact": "low",
                **draw(st.sampled_from([{}, {"residency": ["eu"]}, {"residency": ["us"]}])),
                "model": {
                    "candidates": candidates,
                    "min_score": draw(st.sampled_from([0.5, 0.79])),
                    "context_tokens": 8192,
                },
                "traffic": {
                    "peak_rps": peak,
                    "mean_rps": peak / 4,
                    "prompt_tokens": prompt,
                    "output_tokens": output,
                },
                "slo": {
                    "ttft_p95_ms": draw(st.sampled_from([800, 3000])),
                    "tpot_p95_ms": draw(st.sampled_from([30, 100])),
                },
                "survive": draw(st.sampled_from(["none", "replica", "node"])),
            }
        )
    data["workloads"] = workloads
    return data


def cheapest(requirements: Requirements) -> float | None:
    """By trying every choice of every workload, and the least replicas for each endpoint that follows."""
    find = ways.find_options(requirements, Rules(TODAY))
    best: float | None = None
    for chosen_options in itertools.product(*find.by_workload.values()):
        cost = _cost_of(requirements, chosen_options)
        if cost is not None and (best is None or cost < best):
            best = cost
    return best


def _cost_of(requirements: Requirements, chosen_options: tuple[Any, ...]) -> float | None:
    groups: dict[Any, list[OnGpus]] = {}
    cost = 0.0
    for option in chosen_options:
        if isinstance(option, OnApi):
            cost += option.monthly
        else:
            groups.setdefault(
                option.column.__class__(**{**vars(option.column), "survive": "none"}), []
            ).append(option)
    if any(isinstance(option, OnApi) for option in chosen_options):
        cost += 400
    cost += fixed_usd(requirements, chosen_options)
    if groups:
        cost += 12000
    # Workloads of one kind may share an endpoint or, where they ask to outlive different things, have their own.
    best = 0.0
    used: dict[str, int] = {}
    splits = []
    for members in groups.values():
        levels = sorted(
            {member.column.survive for member in members}, key=["none", "replica", "node", "domain"].index
        )
        splits.append(
            [
                (members, cut)
                for cut in itertools.product(*[levels[levels.index(m.column.survive) :] for m in members])
            ]
        )
    cheapest_of: float | None = None
    for split in itertools.product(*splits):
        best, used, fits = 0.0, {}, True
        for members, levels in split:
            by_level: dict[str, float] = {}
            for member, level in zip(members, levels, strict=True):
                by_level[level] = by_level.get(level, 0.0) + member.units
            for level, load in by_level.items():
                column = members[0].column
                site, pool = hardware.column_pool(requirements, column)
                nodes = sum(free >= column.degree for free in hardware.usable_gpus(site, pool))
                count = _least(load, requirements.planning.headroom, level, nodes)
                used[pool.gpu] = used.get(pool.gpu, 0) + count * column.degree
                price = {"h100-sxm-80gb": 999.696575, "l40s-48gb": 435.071675}[pool.gpu]
                best += count * column.degree * price
        for pool in requirements.sites[0].pools:  # type: ignore[union-attr]
            fits &= used.get(pool.gpu, 0) <= pool.nodes * pool.gpus_per_node
        if fits and (cheapest_of is None or best < cheapest_of):
            cheapest_of = best
    return None if cheapest_of is None else cost + cheapest_of


def _least(load: float, headroom: float, level: str, nodes: int) -> int:
    for count in range(1, 500):
        lost = {"none": 0, "replica": 1, "node": math.ceil(count / nodes)}[level]
        if count >= load * (1 + headroom) - 1e-9 and count - lost >= (load - 1e-9 if level != "none" else 0):
            return count
    return 10_000


@SMALL
@given(requirements_data(most=2))
def test_the_plan_is_as_cheap_as_exhaustive_search(data: dict[str, Any]) -> None:
    requirements = read(data)
    solution = program.solve(problem.Problem(requirements, ways.find_options(requirements, Rules(TODAY))))
    expected = cheapest(requirements)
    if expected is None:
        assert solution is None
        return
    assert solution is not None
    over = sum(1 for choice in solution.choices.values() if isinstance(choice.option, OnApi))
    # Data over the link is in the options' own cost.
    assert solution.cost == pytest.approx(expected, rel=1e-6, abs=0.01), over


def test_no_plan_costs_more_than_the_best_plan_on_a_single_kind_of_gpu() -> None:
    """APIs are allowed in both. What the kinds save together is counted: were it never anything, nothing was tried."""
    counted: Counter[str] = Counter()

    @SMALL
    @given(requirements_data())
    def holds(data: dict[str, Any]) -> None:
        all_kinds = _least_cost(data)
        for kind in data["sites"][0]["pools"]:
            site = {**data["sites"][0], "pools": [kind]}
            one_kind = _least_cost({**data, "sites": [site, *data["sites"][1:]]})
            if one_kind is None:
                counted[f"no plan with {kind['gpu']} only"] += 1
                continue
            counted["compared"] += 1
            assert all_kinds is not None, (
                f"there is a plan with {kind['gpu']}, and none where more may be used"
            )
            assert all_kinds <= one_kind * (1 + 1e-6) + 0.01
            counted["cheaper with both"] += all_kinds < one_kind * 0.999

    holds()
    assert counted["compared"] >= 10, counted
    assert counted["cheaper with both"] >= 1, counted


def _least_cost(data: dict[str, Any]) -> float | None:
    """USD a month of the plan, packed on nodes."""
    requirements = read(data)
    assert requirements.objective.near_tie_pct == 0
    solved = solving.solve_and_place(requirements, ways.find_options(requirements, Rules(TODAY)))
    return None if solved is None else solved[0].cost


@fewer(2, SMALL)
@given(requirements_data())
def test_no_plan_breaks_a_boundary_or_overfills_a_node_and_every_figure_has_evidence(
    data: dict[str, Any],
) -> None:
    requirements = read(data)
    plan = planner.make_plan(requirements, OFFERS, TODAY)
    if not plan.plan.feasible:
        assert plan.plan.conflicts
        return
    plan_rules.check(plan.plan, requirements)
    assert recomputed(plan.plan) == plan.plan.monthly_cost_usd
    for endpoint in plan.plan.endpoints:
        assert endpoint.evidence is not None
        assert endpoint.evidence.source
        assert endpoint.predicted is not None
        if endpoint.predicted.capacity_rps is not None:
            headroom = 1 + requirements.planning.headroom
            assert endpoint.predicted.capacity_rps >= endpoint.predicted.peak_rps * headroom * 0.99
            after = endpoint.predicted.after_loss_rps
            served = [
                w
                for w in requirements.workloads
                if any(p.workload == w.name and p.endpoint == endpoint.id for p in plan.plan.placements)
            ]
            if any(w.survive != "none" for w in served):
                assert (after or 0) >= endpoint.predicted.peak_rps * 0.99
    for placement in plan.plan.placements:
        workload, endpoint = requirements.workload(placement.workload), plan.plan.endpoint(placement.endpoint)
        assert workload is not None
        assert endpoint is not None
        if workload.sensitivity == "restricted":
            assert endpoint.target == "onprem-vllm"
        for region in plan_rules.destinations(endpoint, requirements):
            assert jurisdictions.meets_residency(
                jurisdictions.region_jurisdiction(region), list(workload.residency or [])
            )
