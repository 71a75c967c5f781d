"""Plans twice, from the guesses of the requirements and from measured traffic, and reports what that changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.measured_traffic import FromUsage, SizeOutlook, WorkloadTraffic
from isthmus.core import yaml_files
from isthmus.planning.from_usage import series as daily
from isthmus.planning.from_usage.outlook import MOST_WEEKS, outlook
from isthmus.planning.from_usage.traffic import (
    MUCH_FAILED,
    MeasuredWorkload,
    measure,
    unknown_workloads,
)
from isthmus.planning.output.workload_costs import endpoint_shares, workload_costs, workload_gpus

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.reports.usage_file import UsageFile
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.planning.planner import PlanningResult


@dataclass(frozen=True)
class PlannedTwice:
    """The two plans of one set of requirements."""

    requirements: Requirements
    """The requirements as they are."""
    guessed: PlanningResult
    measured_requirements: Requirements
    """The requirements with measured traffic."""
    measured: PlanningResult
    existing: Plan | None
    """The plan file beside the requirements, if there is one."""


def changes(workloads: Sequence[MeasuredWorkload]) -> list[str]:
    """Return the measured traffic as changes of the requirements, `PATH=VALUE`."""
    return [
        f"workloads.{measured.workload.name}.traffic.{key}={_flow(value)}"
        for measured in workloads
        for key, value in measured.traffic.items()
    ]


def report(usage: UsageFile, plans: PlannedTwice) -> FromUsage:
    """Return what usage says of the guesses, and what it changes in GPUs and money.

    Raises what `measure` raises.
    """
    workloads = measure(plans.requirements, usage)
    span = daily.whole_days(usage)
    assert span is not None  # `measure` refuses such a file
    trends = {
        measured.workload.name: measured.trend
        for measured in workloads
        if measured.trend is not None and measured.trend.is_significant
    }
    judged = plans.measured.judged
    in_use = plans.existing or plans.guessed.plan
    options = judged.options if judged is not None else None
    planned_requirements = plans.measured.requirements or plans.measured_requirements
    outlooks = outlook(in_use, planned_requirements, options, trends) if options is not None else []
    guessed, used = (
        _Costs.of(plans.guessed.plan, plans.requirements),
        _Costs.of(plans.measured.plan, plans.measured_requirements),
    )
    return FromUsage(
        begin=span[0],
        end=span[1],
        workloads=[_workload(measured, guessed, used) for measured in workloads],
        gpus_guessed=sum(endpoint.gpus for endpoint in plans.guessed.plan.endpoints),
        gpus_used=sum(endpoint.gpus for endpoint in plans.measured.plan.endpoints),
        monthly_usd_guessed=plans.guessed.plan.monthly_cost_usd,
        monthly_usd_used=plans.measured.plan.monthly_cost_usd,
        outlook_of="the plan without usage" if plans.existing is None else "the existing plan",
        outlook=outlooks,
        requirements=_as_requirements(workloads),
        warnings=[*_warnings(workloads, unknown_workloads(plans.requirements, usage))],
    )


def describe_outlook(size: SizeOutlook) -> str:
    """Return a sentence: `confidential-qwen3-32b becomes too small in 5 to 9 weeks at this trend: …`."""
    needs = f"it has {size.replicas} replicas and needs {size.needed_now} at the measured traffic"
    if size.weeks_from == 0 and size.weeks_to == 0:
        return f"{size.endpoint} is {size.becomes} now: {needs}"
    if size.weeks_to is None:
        when = f"in {size.weeks_from} weeks at the earliest, or not within {MOST_WEEKS} weeks"
    elif size.weeks_from == size.weeks_to:
        when = f"in {size.weeks_from} weeks"
    else:
        when = f"in {size.weeks_from} to {size.weeks_to} weeks"
    trends = f"the trend of {', '.join(size.workloads)}"
    return f"at {trends}, {size.endpoint} becomes {size.becomes} {when}: {needs}"


@dataclass(frozen=True)
class _Costs:
    """GPUs, cost and own endpoint of each workload in a plan."""

    gpus: dict[str, float]
    usd: dict[str, float]
    endpoints: dict[str, str]

    @classmethod
    def of(cls, plan: Plan, requirements: Requirements) -> _Costs:
        if not plan.feasible:
            return cls({}, {}, {})
        shares = endpoint_shares(plan, requirements)
        costs = workload_costs(plan, requirements, shares)
        return cls(
            workload_gpus(plan, shares),
            {name: float(usd) for name, usd in costs.items()},
            {each.workload: each.endpoint for each in plan.placements if each.role == "primary"},
        )


def _workload(measured: MeasuredWorkload, guessed: _Costs, used: _Costs) -> WorkloadTraffic:
    name, window = measured.workload.name, measured.window
    return WorkloadTraffic(
        workload=name,
        measured=window is not None,
        why_guessed=measured.why,
        days=measured.days,
        begin=window.begin if window else None,
        end=window.end if window else None,
        figures=list(measured.figures),
        by_day=window.by_day if window else None,
        weekdays=window.weekdays if window else None,
        failed_share=round(window.failed_share, 4) if window else None,
        trend=measured.trend,
        endpoint_guessed=guessed.endpoints.get(name),
        endpoint_used=used.endpoints.get(name),
        gpus_guessed=round(guessed.gpus.get(name, 0.0), 2),
        gpus_used=round(used.gpus.get(name, 0.0), 2),
        monthly_usd_guessed=guessed.usd.get(name),
        monthly_usd_used=used.usd.get(name),
    )


def _warnings(workloads: Sequence[MeasuredWorkload], unknown: Sequence[str]) -> Iterator[str]:
    for measured in workloads:
        name, window = measured.workload.name, measured.window
        if window is None:
            yield f"{name}: its traffic stays the guess of the requirements, because {measured.why}"
        elif window.failed_share >= MUCH_FAILED:
            yield (
                f"{name}: {window.failed_share:.0%} of its requests were refused or failed. They are not in the "
                "measured traffic, so what people wanted may be more. Fix: Look up the reasons before you build less"
            )
    if unknown:
        yield (
            f"the usage has workloads that the requirements do not have, and they are left out: {', '.join(unknown)}. "
            "Fix: Add them to the requirements, if they still run"
        )


def _as_requirements(workloads: Sequence[MeasuredWorkload]) -> str:
    """The measured traffic as YAML; keys that are not measured are left out."""
    data = {"workloads": [_entry(measured) for measured in workloads if measured.traffic]}
    return yaml_files.dumps(data) if data["workloads"] else ""


def _entry(measured: MeasuredWorkload) -> dict[str, Any]:
    return {"name": measured.workload.name, "traffic": measured.traffic}


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else repr(value)
