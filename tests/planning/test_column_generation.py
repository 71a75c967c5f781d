"""The bound of a large program holds, its plan keeps every row, and a search that is ended gives the plan so far."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.large_plans import requirements_data
from bench.replay import CLASSES, TODAY, read
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning import planner
from isthmus.planning.options import candidates
from isthmus.planning.options.option import BUILDS, Options, Rules
from isthmus.planning.solver import program, shared_load, solution
from isthmus.planning.solver.columns import generation
from isthmus.planning.solver.columns.endpoints import Endpoint
from isthmus.planning.solver.problem import Problem
from isthmus.planning.solver.watch import Watch, watching

RULES = Rules(TODAY, BUILDS | {"eks-vllm", "sagemaker", "mig"})


def small(seed: int, **changes: Any) -> Requirements:
    """Four workloads on two pools and a region, small enough for the exact program."""
    data = requirements_data(4, 5, 2, 1, seed)
    chance = random.Random(seed)
    for workload in data["workloads"]:
        for candidate in workload["model"]["candidates"]:
            candidate["scores"] = dict([chance.choice(list(candidate["scores"].items()))])
    for site in data["sites"]:
        for pool in site.get("pools", []):
            pool["nodes"] = chance.choice([2, 2, 4])
            if pool["gpu"] == "h100-sxm-80gb" and chance.random() < 0.5:
                pool["mig"] = "allowed"
        if site["kind"] == "aws":
            site["allow"] = chance.choice([["bedrock"], ["bedrock", "eks"], ["bedrock", "sagemaker"]])
    data["objective"] = {"near_tie_pct": 0}
    return read({**data, **changes})


@pytest.fixture
def by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program counts as a large one."""
    monkeypatch.setattr(program, "LARGE_PROGRAM", 0)


def exact(requirements: Requirements, options: Options, monkeypatch: pytest.MonkeyPatch) -> float | None:
    """The cost of the cheapest plan, by the program as a whole."""
    with monkeypatch.context() as patched:
        patched.setattr(program, "SMALL_PROGRAM", 1_000_000)
        patched.setattr(program, "LARGE_PROGRAM", 1_000_000)
        solved = solution.solve_and_place(requirements, options)
    return None if solved is None else solved[0].cost


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_holds_and_the_plan_is_no_cheaper_than_the_cheapest(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = small(seed)
    options = candidates.find_options(requirements, RULES)
    cheapest = exact(requirements, options, monkeypatch)
    monkeypatch.setattr(program, "LARGE_PROGRAM", 0)
    problem = Problem(requirements, options)
    planned = program.solve(problem)
    if cheapest is None:
        assert planned is None
        return
    assert planned is not None
    assert problem.likely is not None
    assert problem.likely.bound <= cheapest + 0.01
    assert planned.cost >= cheapest - 0.01
    assert planned.cost <= cheapest * 1.02
    assert planned.gap == pytest.approx(max(0.0, 1 - problem.likely.bound / planned.least))


@pytest.mark.usefixtures("by_columns")
def test_a_large_plan_keeps_every_row_and_needs_no_more_replicas_than_it_has() -> None:
    requirements = read(requirements_data(16, 24, 4, 1, 3))
    options = candidates.find_options(requirements, RULES)
    problem = Problem(requirements, options)
    planned = program.solve(problem)
    assert planned is not None
    assert planned.large
    assert set(planned.choices) == {workload.name for workload in requirements.workloads}
    assert shared_load.find_crowded(requirements, options, planned) == []
    solved = solution.solve_and_place(requirements, options)
    assert solved is not None
    assert {column: placed.count for column, placed in solved[1].items()} == solved[0].replicas


@pytest.mark.usefixtures("by_columns")
def test_the_same_large_requirements_give_the_same_plan() -> None:
    requirements = read(requirements_data(12, 18, 4, 1, 2))
    options = candidates.find_options(requirements, RULES)
    first, second = (program.solve(Problem(requirements, options)) for _ in range(2))
    assert first == second


@pytest.mark.usefixtures("by_columns")
def test_a_search_that_is_ended_gives_a_plan_and_says_so() -> None:
    requirements = read(requirements_data(16, 24, 4, 1, 3))
    options = candidates.find_options(requirements, RULES)
    said: list[str] = []

    def end_at_once(text: str) -> None:
        said.append(text)
        watch.is_ending = True

    watch: Watch
    with watching(end_at_once) as watch:
        planned = program.solve(Problem(requirements, options))
    assert planned is not None
    assert set(planned.choices) == {workload.name for workload in requirements.workloads}
    assert watch.has_ended_early
    assert said[0].startswith("compares ")
    whole = program.solve(Problem(requirements, options))
    assert whole is not None
    assert planned.least >= whole.least - 0.01


def test_workloads_that_slow_each_other_down_do_not_share_an_endpoint_for_nothing() -> None:
    """A set that needs more replicas than its loads add up to is either paid for, or split."""

    def needed(_endpoint: int, members: tuple[int, ...], least: int, _limit: float) -> int:
        return 10 if len(members) > 1 else least

    rows = program.Rows(gap=1e-7, nodes=1000)
    covers: list[dict[int, float]] = [{}, {}]
    endpoints = []
    for name, price in (("a", 10.0), ("b", 11.0)):
        members = [rows.variable(0, 1, block=name) for _ in covers]
        replicas = rows.variable(0, 20, price, block=name)
        for cover, member in zip(covers, members, strict=True):
            cover[member] = 1.0
        endpoints.append(Endpoint(replicas, members, [0.4, 0.4], [float(n) for n in range(1, 21)]))
    for cover in covers:
        rows.row(1, 1, cover)
    relaxation = generation.relax(rows, endpoints, needed)
    assert relaxation is not None
    assert relaxation.bound == pytest.approx(21.0)
    assert relaxation.least == pytest.approx(21.0)
    together = generation.relax(rows, endpoints, lambda _e, _m, least, _l: least)
    assert together is not None
    assert together.least == pytest.approx(10.0)


@pytest.mark.usefixtures("by_columns")
def test_a_blueprint_that_builds_less_gets_the_same_large_plan_without_another_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "SMALL_PROGRAM", 0)
    data = requirements_data(6, 8, 2, 1, 5)
    for site in data["sites"]:
        if site["kind"] == "aws":
            site["allow"] = ["bedrock"]
    requirements = read(data)
    searched: list[frozenset[str]] = []
    solve = program.solve

    def counted(problem: Problem) -> Any:
        searched.append(problem.options.rules.builds)
        return solve(problem)

    monkeypatch.setattr(program, "solve", counted)
    offers = [
        planner.BlueprintOffer("more", CLASSES, 0, None, BUILDS | {"mig", "several-nodes"}),
        planner.BlueprintOffer("less", CLASSES, 0, None, BUILDS - {"overflow"}),
    ]
    planned = planner.make_plan(requirements, offers, TODAY).plan
    assert planned.feasible
    assert planned.blueprint == "less", "at equal cost the one that builds less is taken"
    assert set(searched) == {offers[0].builds}
    assert planned.alternatives is not None
    assert planned.alternatives[0].monthly_cost_usd == planned.monthly_cost_usd
