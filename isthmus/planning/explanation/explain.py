"""Explains a feasible plan: runner-ups, what would change each choice, idle hardware, and cost on both bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.reports.explanation import Explanation, WorkloadReason
from isthmus.planning.explanation import cost_bases, idle_hardware, ruled_out, runner_up, turning_points
from isthmus.planning.explanation.solving import Case, place_of

if TYPE_CHECKING:
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.planner import PlanningResult

NOTES = (
    "The runner-up is the cheapest plan of the same blueprint in which the workload has another model, target or site.",
    "What would change the choice was found by planning again with one price, or one workload's traffic, changed.",
    "Such values are exact to 2 %. All else stays as it is.",
)
NEAR_TIE_NOTE = (
    "The plan pays for better scores (near tie), so extra costs compare the cheapest plans instead."
)
GAP_NOTE = "The plan is large, so its cost and those of the runner-ups are exact to about 1 %."


def explain(
    requirements: Requirements, planned: PlanningResult, *, progress: Callable[[str], None] = lambda _: None
) -> Explanation | None:
    """Return the reasons of a plan; None for an infeasible one.

    It solves the program again some ten to thirty times for each workload. `progress` is called with the name of each
    workload before its reasons are sought.
    """
    judged = planned.judged
    if judged is None or judged.solution is None:
        return None
    requirements = planned.requirements or requirements
    case = Case(requirements, judged, planned.plan)
    lines = ruled_out.ruled_out_candidates(requirements, planned.rejected, case.options.by_workload)
    reasons = []
    for workload in requirements.workloads:
        progress(workload.name)
        second, option, decided_by, decided = runner_up.find_runner_up(case, workload)
        reasons.append(
            WorkloadReason(
                workload=workload.name,
                sensitivity=workload.sensitivity,
                chosen=place_of(case.chosen.option(workload.name)),
                options=len(case.options.by_workload[workload.name]),
                decided_by=decided_by,
                decided=decided,
                runner_up=second,
                turning_points=turning_points.find_turning_points(case, workload, option),
                ruled_out=lines[workload.name],
            )
        )
    progress("idle hardware")
    return Explanation(
        workloads=reasons,
        idle=idle_hardware.explain_idle_hardware(case),
        costs=cost_bases.compare_bases(planned.plan, requirements),
        notes=[
            *NOTES,
            *([NEAR_TIE_NOTE] if judged.solution.cost > judged.solution.least * (1 + 1e-9) else []),
            *([GAP_NOTE] if judged.solution.large else []),
        ],
    )
