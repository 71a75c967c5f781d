"""Solves the program until its replicas fit on nodes and are enough for the workloads that share them.

The program knows neither exactly. After each solution, constraints are added for replicas that do not fit or are too
few, and the program is solved again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, Options
from isthmus.planning.solver import node_placement, program, shared_load
from isthmus.planning.solver.problem import Problem, Solution

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements

MAX_ROUNDS = 40
ACCEPTED_GAP, MAX_WHOLE_SOLVES = 0.01, 3
"""A large program is solved as a whole until its gap is at most `ACCEPTED_GAP`, at most `MAX_WHOLE_SOLVES` times."""


def solve_and_place(
    requirements: Requirements,
    options: Options,
    before: Plan | None = None,
    most_gpus: int | None = None,
    *,
    least_only: bool = False,
) -> tuple[Solution, dict[Column, node_placement.PlacedReplicas]] | None:
    """Return the solution and the nodes of its replicas; None if nothing is feasible.

    Replicas in pools whose number of GPUs is ignored are not placed.
    """
    problem = Problem(
        requirements, options, stay=_current_places(before), most_gpus=most_gpus, least_only=least_only
    )
    best: tuple[Solution, dict[Column, node_placement.PlacedReplicas]] | None = None
    lower_bound, whole_solves = 0.0, 0
    for _ in range(MAX_ROUNDS):
        solution = program.solve(problem)
        if solution is None and problem.keep:
            problem.keep = {}
            continue
        if solution is None:
            return best
        if not problem.keep:
            lower_bound, whole_solves = (
                max(lower_bound, solution.least * (1 - solution.gap)),
                whole_solves + 1,
            )
        if crowded_endpoints := shared_load.find_crowded(requirements, options, solution):
            problem.crowds += crowded_endpoints
            if solution.large or problem.keep:
                # Solving everything again is slow, so workloads on other endpoints keep their choices for now.
                problem.keep = shared_load.choices_elsewhere(
                    solution, {crowd.column for crowd in crowded_endpoints}
                )
            continue
        placed = _place(problem, solution)
        if placed is None:
            continue
        if best is None or solution.cost < best[0].cost:
            best = replace(solution, gap=max(0.0, 1 - lower_bound / solution.least)), placed
        if (
            not problem.keep
            or problem.likely is not None
            or best[0].gap <= ACCEPTED_GAP
            or whole_solves >= MAX_WHOLE_SOLVES
        ):
            return best
        problem.keep = {}
    return best


def _place(problem: Problem, solution: Solution) -> dict[Column, node_placement.PlacedReplicas] | None:
    """Return the nodes of the replicas; None if they do not fit, which the problem then excludes."""
    countable = {
        column: count
        for column, count in solution.replicas.items()
        if f"{column.site}/{column.gpu}" not in problem.held
    }
    nodes = node_placement.place_replicas(problem.requirements, countable)
    placed = {
        column: placement
        for column, placement in nodes.items()
        if isinstance(placement, node_placement.PlacedReplicas)
    }
    if len(placed) == len(countable):
        return placed
    cut = {column: placement for column, placement in nodes.items() if isinstance(placement, int)}
    problem.cuts.append(cut)
    if problem.likely is not None:
        problem.keep = shared_load.choices_elsewhere(solution, cut.keys())
    return None


def _current_places(before: Plan | None) -> dict[str, tuple[str, str]]:
    if before is None or not before.feasible:
        return {}
    places = {}
    for placement in before.placements:
        endpoint = before.endpoint(placement.endpoint)
        if endpoint is not None and placement.role == "primary":
            place = f"{endpoint.site}/{endpoint.gpu}" if endpoint.gpu else endpoint.site
            places[placement.workload] = (endpoint.model, place)
    return places
