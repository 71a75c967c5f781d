"""Solves a plan again with something changed, for the reasons of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from isthmus.contracts.reports.explanation import Place
from isthmus.planning.options import candidates
from isthmus.planning.options.gpu import describe_hardware
from isthmus.planning.options.option import OnGpus, Option, Options
from isthmus.planning.output import cost_items
from isthmus.planning.solver import solution as solving

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.planner import JudgedBlueprint
    from isthmus.planning.solver.problem import Solution


@dataclass(frozen=True)
class Solved:
    """A plan that was solved again."""

    solution: Solution
    cost: float
    """USD a month, the sum of its cost items."""

    def option(self, workload: str) -> Option:
        """The option that a workload has (its primary one)."""
        return self.solution.choices[workload].option


@dataclass(frozen=True)
class Case:
    """The plan to explain: its requirements, its blueprint's options, and its solution."""

    requirements: Requirements
    judged: JudgedBlueprint
    plan: Plan

    @property
    def options(self) -> Options:
        if self.judged.options is None:
            raise ValueError("an infeasible plan has no reasons")
        return self.judged.options

    @property
    def chosen(self) -> Solved:
        if self.judged.solution is None:
            raise ValueError("an infeasible plan has no reasons")
        return Solved(self.judged.solution, self.judged.cost)

    def solve(
        self,
        requirements: Requirements | None = None,
        options: Options | None = None,
        *,
        cheapest: bool = False,
    ) -> Solved | None:
        """Solve with other requirements or options; None if nothing is feasible.

        `cheapest`: for least cost alone. Otherwise as the planner does: the better score wins within the near tie, and
        at equal cost the places of the plan stay.
        """
        requirements = requirements or self.requirements
        options = options or candidates.find_options(requirements, self.judged.rules)
        # A what-if moves nobody, so moves cost nothing.
        planning = requirements.planning.model_copy(update={"move_cost_usd": 0})
        objective = requirements.objective
        if cheapest:
            objective = objective.model_copy(update={"near_tie_pct": 0})
        changed = requirements.model_copy(update={"planning": planning, "objective": objective})
        before = None if cheapest else self.plan
        solved = solving.solve_and_place(changed, options, before, self.judged.offer.gpus_to)
        if solved is None:
            return None
        solution = solved[0]
        items = cost_items.build_cost_items(
            requirements, solution.choices, solution.replicas, self.judged.offer.builds
        )
        return Solved(solution, cost_items.monthly_total(items))

    def with_options(self, workload: str, options: Sequence[Option]) -> Options:
        """Return all options, those of one workload replaced."""
        return replace(self.options, by_workload={**self.options.by_workload, workload: list(options)})


def place_of(option: Option) -> Place:
    """Return an option as reports name it."""
    if isinstance(option, OnGpus):
        column = option.column
        return Place(
            model=column.model,
            precision=column.precision,
            target=column.target,
            site=column.site,
            hardware=describe_hardware(column),
            score=option.score,
        )
    return Place(
        model=option.model,
        precision="api",
        target="bedrock",
        site=option.site,
        hardware=option.call.profile or option.model,
        score=option.score,
    )


def identity(option: Option) -> tuple[str, str, str]:
    """Return model, target and site: what makes another option an alternative, and not a variant of the same."""
    place = place_of(option)
    return place.model, place.target, place.site


def hardware_identity(option: Option) -> tuple[str, ...]:
    """As `identity`, with the kind of GPU."""
    return (*identity(option), option.column.gpu if isinstance(option, OnGpus) else "")
