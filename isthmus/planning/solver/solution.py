"""From options to a solution whose replicas stand on nodes, and suffice for who shares them.

The program knows neither exactly: what does not pack, and what is too little for a mixture, is told to it, and it is
solved again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.planning.options.option import Column, Options
from isthmus.planning.solver import node_placement, program, shared_load
from isthmus.planning.solver.problem import Problem
from isthmus.planning.solver.program import Solution

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements

MOST_CUTS = 40
NEAR, MOST_WHOLE = 0.01, 3
"""A large program is solved as a whole again until so little is left open, and no more often."""


def solve(
    requirements: Requirements,
    found: Options,
    before: Plan | None = None,
    most_gpus: int | None = None,
    *,
    least_only: bool = False,
) -> tuple[Solution, dict[Column, node_placement.Placed]] | None:
    """The solution and the nodes of its replicas; what does not pack, or is too little for those who share it, is
    told to the program, which is solved again. In pools whose number of GPUs does not hold nothing is placed."""
    problem = Problem(requirements, found, stay=_stay(before), most_gpus=most_gpus, least_only=least_only)
    best: tuple[Solution, dict[Column, node_placement.Placed]] | None = None
    bound, whole = 0.0, 0
    for _ in range(MOST_CUTS):
        solution = program.solve(problem)
        if solution is None and problem.keep:
            problem.keep = {}
            continue
        if solution is None:
            return best
        if not problem.keep:
            bound, whole = max(bound, solution.least * (1 - solution.gap)), whole + 1
        if crowds := shared_load.crowded(requirements, found, solution):
            problem.crowds += crowds
            if solution.large or problem.keep:
                # Solving all of it again takes long: who is not concerned stays where it is for now.
                problem.keep = shared_load.others(solution, crowds)
            continue
        here = {
            column: count
            for column, count in solution.replicas.items()
            if f"{column.site}/{column.gpu}" not in problem.held
        }
        nodes = node_placement.place(requirements, here)
        placed = {column: each for column, each in nodes.items() if isinstance(each, node_placement.Placed)}
        if len(placed) < len(here):
            problem.cuts.append({column: each for column, each in nodes.items() if isinstance(each, int)})
            continue
        if best is None or solution.cost < best[0].cost:
            best = replace(solution, gap=max(0.0, 1 - bound / solution.least)), placed
        if not problem.keep or best[0].gap <= NEAR or whole >= MOST_WHOLE:
            return best
        problem.keep = {}
    return best


def _stay(before: Plan | None) -> dict[str, tuple[str, str]]:
    if before is None or not before.feasible:
        return {}
    found = {}
    for placement in before.placements:
        endpoint = before.endpoint(placement.endpoint)
        if endpoint is not None and placement.role == "primary":
            place = f"{endpoint.site}/{endpoint.gpu}" if endpoint.gpu else endpoint.site
            found[placement.workload] = (endpoint.model, place)
    return found
