"""The bound of a large program holds, its plan keeps every row, and a search that is ended gives the plan so far."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.large_plans import requirements_data
from bench.replay import CLASSES, TODAY, read
from isthmus.contracts.requirements.document import Requirements
from isthmus.planning import planner
from isthmus.planning.options import candidates
from isthmus.planning.options.option import BUILDS, Options, Rules
from isthmus.planning.solver import program, shared_load, solution
from isthmus.planning.solver.columns import generation, pattern_search
from isthmus.planning.solver.columns.endpoints import Endpoint
from isthmus.planning.solver.columns.master import Master
from isthmus.planning.solver.problem import Problem
from isthmus.planning.solver.watch import Watch, watching

pytestmark = pytest.mark.whole

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

    def carried_together(_endpoint: int, _members: tuple[int, ...], limit: float) -> bool:
        return limit >= 10

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
    relaxation = generation.relax(rows, endpoints, carried_together)
    assert relaxation is not None
    assert relaxation.bound == pytest.approx(21.0)
    assert relaxation.least == pytest.approx(21.0)
    together = generation.relax(rows, endpoints, lambda _endpoint, _members, _limit: True)
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


@pytest.mark.parametrize(("counted", "sites"), [(True, 2.0), (False, 1.5)])
def test_a_whole_number_of_sites_is_paid_for(*, counted: bool, sites: float) -> None:
    """Three replicas need a site and a half of two GPUs each, so two sites: 3 x 10 + 2 x 100 USD."""
    rows = program.Rows(gap=1e-7, nodes=1000)
    covers: list[dict[int, float]] = [{}, {}, {}]
    endpoints, used = [], []
    for name in "ab":
        members = [rows.variable(0, 1, block=name) for _ in covers]
        replicas = rows.variable(0, 2, 10.0, block=name)
        for cover, member in zip(covers, members, strict=True):
            cover[member] = 1.0
        used.append(rows.variable(0, 1, 100.0))
        rows.at_most({replicas: 1.0, used[-1]: -2.0})
        endpoints.append(Endpoint(replicas, members, [1.0, 1.0, 1.0], [1.0, 2.0], group=name))
    for cover in covers:
        rows.row(1, 1, cover)
    relaxation = generation.relax(rows, endpoints, lambda *_: True, 0.0, used if counted else ())
    assert relaxation is not None
    assert relaxation.bound == pytest.approx(30 + sites * 100)
    assert relaxation.least == pytest.approx(230)


def cheapest_sets(loads: list[float], values: list[float], limits: list[float], price: float) -> float:
    """What the best set saves, by trying all."""
    best = 0.0
    for chosen in itertools.product((False, True), repeat=len(loads)):
        load = math.fsum(itertools.compress(loads, chosen))
        count = next((count for count, limit in enumerate(limits, 1) if limit >= load - 1e-9), None)
        if count is not None and any(chosen):
            best = max(best, math.fsum(itertools.compress(values, chosen)) - count * price)
    return best


AMOUNT = st.floats(0.01, 3, allow_nan=False)


def one_endpoint(
    items: list[tuple[float, float]], price: float, most: int
) -> tuple[Master, list[float], list[float], list[float]]:
    """A program of one endpoint with shadow prices, and the loads and savings of its members, and its limits."""
    rows = program.Rows(gap=1e-7, nodes=1000)
    members = [rows.variable(0, 1, block="a") for _ in items]
    replicas = rows.variable(0, most, price, block="a")
    for member in members:
        rows.row(1, 1, {member: 1.0, rows.variable(0, 1): 1.0})
    loads, values = ([item[place] for item in items] for place in (0, 1))
    limits = [0.9 * count for count in range(1, most + 1)]
    master = Master(rows, [Endpoint(replicas, members, loads, limits)], lambda *_: True)
    master.cost = 1.0
    master.reduced = np.array([*(-value for value in values), price, *(0.0 for _ in items)])
    return master, loads, values, limits


@given(st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=8), AMOUNT, st.integers(1, 6))
def test_the_best_pattern_of_an_endpoint_saves_as_much_as_the_best_of_all_sets(
    items: list[tuple[float, float]], price: float, most: int
) -> None:
    master, loads, values, limits = one_endpoint(items, price, most)
    found = pattern_search.find_patterns(master, 0, pattern_search.Effort(60, 1024))
    best = cheapest_sets(loads, values, limits, price)
    assert found.at_most == pytest.approx(max(best, pattern_search.LEAST_SAVING), abs=1e-6)
    assert master.missing(np.array([found.at_most])) <= found.at_most + 1e-9
    if best > 1e-6:
        savings = [
            math.fsum(-master.reduced[member] for member in pattern.members) - pattern.count * price
            for pattern in found.patterns
        ]
        assert max(savings) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("cells", [8, 1024])
@example(items=[(0.9, 1.5)], price=1.0, most=1)  # it just fits, and no longer after rounding up
@given(
    items=st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=6),
    price=AMOUNT,
    most=st.integers(1, 4),
)
def test_the_bound_of_rounded_loads_is_no_lower_than_the_best_of_all_sets(
    items: list[tuple[float, float]], price: float, most: int, cells: int
) -> None:
    master, loads, values, limits = one_endpoint(items, price, most)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pattern_search, "MAX_ITEMS", 0)
        found = pattern_search.find_patterns(master, 0, pattern_search.Effort(60, cells))
    assert found.at_most >= cheapest_sets(loads, values, limits, price) - 1e-6
    assert all(pattern.members for pattern in found.patterns)
