"""Builds the availabilities of a plan's file, and the warnings about them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan.document import (
    Availability,
    AvailabilityLoss,
    FailureMode,
    WorkloadAvailability,
)
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.planning.availability import goals, model
from isthmus.planning.availability.wording import describe_part, number
from isthmus.planning.catalogues import failure_modes
from isthmus.planning.sizing.rounding import three_digits

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.requirements.document import Requirements, Workload
    from isthmus.contracts.vocabulary import FailurePart, Survive
    from isthmus.planning.availability.goals import Levels, Raised
    from isthmus.planning.availability.model import Path

LEAST_HOURS = 0.01
"""Hours a year from which a loss is listed: 36 seconds."""

ASSUMPTIONS = (
    "A workload counts as available while its path can carry its peak. Off the peak fewer replicas would do.",
    "Failures are independent, except for the share `common_cause`, which stops all parts of a kind at once.",
    "Replicas of a failed on-prem node start on free GPUs of the pool, if all replicas of the pool fit there.",
    "Planned work, such as updates and drains, is not counted.",
)
SLA_ASSUMPTION = (
    "A provider's SLA promises a refund, not an availability. It is used here as an assumption only."
)


def build_availability(
    requirements: Requirements, paths: Mapping[str, Path], levels: Levels, extra_usd: float | None
) -> Availability | None:
    """Return the availabilities of the workloads that state a goal; None if none does.

    `requirements`: as stated. `paths`: of those workloads. `extra_usd`: what raised levels add a month.
    """
    entries = [
        _entry(workload, paths[workload.name], levels.get(workload.name))
        for workload in requirements.workloads
        if workload.name in paths
    ]
    if not entries:
        return None
    used = {part for path in paths.values() for part, _ in path.modes()}
    modes = [
        FailureMode(
            part=mode.part,
            rate_per_year=mode.rate_per_year,
            repair_hours=mode.repair_hours,
            common_cause=mode.common_cause,
            kind=mode.kind,
            source=mode.source,
            as_of=mode.as_of,
        )
        for mode in failure_modes.of_requirements(requirements).values()
        if mode.part in used
    ]
    has_provider = any(part.startswith("provider-") for part in used)
    return Availability(
        workloads=entries,
        failure_modes=modes,
        assumptions=[*ASSUMPTIONS, *([SLA_ASSUMPTION] if has_provider else [])],
        raised_usd_per_month=None if extra_usd is None else round(extra_usd, 2),
    )


def _entry(workload: Workload, path: Path, raised: Survive | None) -> WorkloadAvailability:
    return WorkloadAvailability(
        workload=workload.name,
        goal=workload.slo.availability or 0.0,
        expected=model.rounded_down(model.availability(path)),
        survive=raised or workload.survive,
        raised_from=workload.survive if raised is not None else None,
        limited_by=[
            AvailabilityLoss(part=part, at=at, hours_per_year=three_digits(hours))
            for part, at, hours in model.losses(path)
            if hours >= LEAST_HOURS
        ],
    )


def goal_warnings(plan: Plan, raised: Raised[Any], before: Mapping[str, float]) -> list[str]:
    """Return a warning for each workload whose `survive` was raised, or that misses its goal.

    `before`: the availability of each workload without raised levels.
    """
    if plan.availability is None:
        return []
    warnings = []
    extra_usd = plan.availability.raised_usd_per_month or 0.0
    for entry in plan.availability.workloads:
        if entry.raised_from is not None:
            warnings.append(
                f"{entry.workload}: `survive` is raised from {entry.raised_from} to {entry.survive}, because "
                f"slo.availability is {number(entry.goal)}: expected {number(entry.expected)}, and "
                f"{number(model.rounded_down(before[entry.workload]))} without it. "
                f"{_cost_of_raising(extra_usd, len(raised.levels))}. Fix: State `survive: {entry.survive}`, or lower "
                "slo.availability if that is too dear"
            )
        if entry.expected < entry.goal:
            warnings.append(_missed(entry, raised))
    return warnings


def _cost_of_raising(usd: float, count: int) -> str:
    subject = "This" if count == 1 else f"Raising it for {count} workloads"
    amount = f"{usd:,.2f} USD a month more" if usd > 0 else "nothing more a month"
    return f"{subject} costs {amount}"


def _missed(entry: WorkloadAvailability, raised: Raised[Any]) -> str:
    """Return the warning of a workload that misses its goal: what limits it most, and what would help."""
    path = raised.attempt.paths[entry.workload]
    part, at, hours = model.losses(path)[0]
    down = (1 - model.availability(path)) * failure_modes.HOURS_PER_YEAR
    limit = describe_part(part, at)
    return (
        f"{entry.workload}: its expected availability is {number(entry.expected)}, below slo.availability "
        f"{number(entry.goal)}. {limit[0].upper()}{limit[1:]} limits it most ({three_digits(hours):g} of "
        f"{three_digits(down):g} hours down a year). {_what_survive_does(entry, path, raised)}, or lower "
        f"slo.availability to {number(_goal_that_holds(entry.expected))}"
    )


def _what_survive_does(entry: WorkloadAvailability, path: Path, raised: Raised[Any]) -> str:
    """Return whether a higher `survive` would help, and otherwise what would."""
    if blocked := raised.blocked.get(entry.workload):
        return (
            f"`survive: {blocked}` could reach the goal, but no plan has it with this hardware and budget. Fix: State "
            f"`survive: {blocked}`, and `isthmus plan` names what to buy"
        )
    ceiling = goals.outlived(path, SURVIVES[-1])
    part, at, _ = model.losses(ceiling)[0]
    most = number(model.rounded_down(model.availability(ceiling)))
    if entry.workload in raised.useless:
        level, reached = raised.useless[entry.workload]
        reason = f"`survive: {level}` was tried and gives {number(model.rounded_down(reached))}, so it is not raised"
    elif path.replicas:
        reason = f"No `survive` reaches the goal: {most} is the most, limited by {describe_part(part, at)}"
    else:
        reason = "`survive` does nothing for an API"
    return f"{reason}. Fix: {_remedy(part)}"


def _goal_that_holds(expected: float) -> float:
    """Return `expected` rounded down to its first two digits after the nines."""
    digits = max(2, math.ceil(-math.log10(max(1 - expected, 1e-6))) + 1)
    return math.floor(expected * 10**digits) / 10**digits


def _remedy(part: FailurePart) -> str:
    """Return what improves a part that `survive` does not change."""
    if part.startswith("site-"):
        return "Serve the workload at a second site as well, from a stack of its own, and let its callers switch over"
    if part.startswith("link-"):
        return (
            f"Add a second line and state its figures in planning.failures.{part}, or list only candidates that run "
            "where the gateway is"
        )
    if part.startswith("provider-"):
        return "List only candidates that a model server of the platform can serve"
    return f"State your own figures in planning.failures.{part} if yours are better"


def impact_warnings(plan: Plan, requirements: Requirements) -> list[str]:
    """Warn about workloads of material or high impact that survive no failure."""
    warnings = []
    for workload in requirements.workloads:
        if workload.impact == "low" or plan.survive_of(workload.name, workload.survive) != "none":
            continue
        placement = next(
            placement
            for placement in plan.placements
            if (placement.workload, placement.role) == (workload.name, "primary")
        )
        endpoint = plan.endpoint(placement.endpoint)
        problem = (
            f"{workload.name}: its impact is {workload.impact}, but it survives no failure (`survive: none`)"
        )
        if endpoint is not None and endpoint.target == "bedrock":
            reason = (
                "Bedrock needs no replicas of yours, but a plan that moves it to a model server would have none to "
                "spare"
            )
        else:
            replicas = (endpoint.replicas if endpoint is not None else None) or 1
            reason = (
                "its only replica is lost with any failure"
                if replicas == 1
                else f"its {replicas} replicas need not carry the peak after a failure"
            )
        warnings.append(f"{problem}: {reason}. Fix: Set `survive` to replica, node or domain")
    return warnings
