"""The reasons of a plan as lines of text (`isthmus plan --explain`, `isthmus compare`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.reports.explanation import (
        CostBases,
        Explanation,
        IdleHardware,
        RuledOut,
        WorkloadReason,
    )


def explanation_lines(explanation: Explanation) -> list[str]:
    """Return the reasons: each workload, idle hardware, and what the reasons rest on. The cost is `bases_line`."""
    lines = ["", "reasons:"]
    for reason in explanation.workloads:
        lines += _workload_lines(reason)
    if explanation.idle:
        lines += ["", "idle hardware:"]
        for idle in explanation.idle:
            lines += [f"  {idle_line(idle)}", *(f"    - {sentence}" for sentence in idle.why)]
    return [*lines, "", *(f"note: {note}" for note in explanation.notes)]


def _workload_lines(reason: WorkloadReason) -> Iterator[str]:
    yield f"  {reason.workload}: {reason.chosen.words}"
    yield f"    {reason.decided}"
    if reason.runner_up is not None:
        second = reason.runner_up
        yield (
            f"    runner-up: {second.place.words}, {second.monthly_cost_usd:,.2f} USD a month "
            f"({second.extra_usd:+,.2f}), score {second.place.score:g}"
        )
        yield from (f"      then {move}" for move in second.moves)
    yield from (f"    {point.sentence}" for point in reason.turning_points)


def idle_line(idle: IdleHardware) -> str:
    """Return in one line how much of a pool or of rented instances is idle, and its cost."""
    counted = "in the plan's cost" if idle.counted else "not in the plan's cost"
    owned = "rented" if idle.counted else "owned"
    reserved = f", {idle.reserved} reserved" if idle.reserved else ""
    return (
        f"{idle.gpu} at {idle.site}: {idle.idle} of {idle.owned} {owned} GPUs idle ({idle.used} in use{reserved}), "
        f"{idle.monthly_usd:,.2f} USD a month, {counted}"
    )


def bases_line(costs: CostBases) -> str:
    """Return the cost of a plan on both bases in one line."""
    cash = f"as cash {costs.cash_usd:,.2f}"
    if costs.allocated_usd is None or costs.owned_usd is None:
        return f"USD a month: {cash}; allocated: not known ({'; '.join(costs.missing)})"
    owned = f"with idle hardware that you own {costs.owned_usd:,.2f}"
    return f"USD a month: allocated {costs.allocated_usd:,.2f}; {owned}; {cash}"


def ruled_out_lines(ruled_out: dict[str, list[RuledOut]]) -> list[str]:
    """Return the candidates that no place may serve, one line each; empty if there are none."""
    lines = []
    for workload, candidates in ruled_out.items():
        for candidate in candidates:
            tried = f" ({candidate.places} places tried)" if candidate.places > 1 else ""
            lines.append(f"  {workload}: {candidate.candidate}: {candidate.reason}{tried}")
    return ["", "ruled out:", *lines] if lines else []
