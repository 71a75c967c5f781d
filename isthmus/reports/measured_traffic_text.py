"""What measured usage changes in a plan, as lines of text (`isthmus plan --from-usage`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.planning.from_usage.report import describe_outlook
from isthmus.reports.format.numbers import counted, number

if TYPE_CHECKING:
    from isthmus.contracts.reports.measured_traffic import FromUsage, WorkloadTraffic

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def measured_traffic_lines(report: FromUsage) -> list[str]:
    """Return the report: each workload, the two plans, the outlook, warnings, and the YAML for the requirements."""
    lines = ["", f"measured traffic, usage of {report.begin} to {report.end}:"]
    for workload in report.workloads:
        lines += _workload_lines(workload)
    lines += ["", *_totals(report)]
    lines += [f"warning: in {report.outlook_of}, {describe_outlook(size)}" for size in report.outlook]
    lines += [f"warning: {warning}" for warning in report.warnings]
    if report.requirements:
        lines += [
            "",
            "to plan for this traffic, put it into the requirements:",
            "",
            report.requirements.rstrip(),
        ]
    return lines


def _workload_lines(workload: WorkloadTraffic) -> Iterator[str]:
    days = counted(workload.days, "day")
    state = f"measured on {workload.begin} to {workload.end}" if workload.measured else "guessed"
    yield f"  {workload.workload}: {state} ({days} of usage)"
    for figure in workload.figures:
        yield (
            f"    {figure.key}: guessed {number(figure.guessed)}, used {number(figure.used)} "
            f"({figure.basis}: {figure.how})"
        )
    if workload.by_day is not None and workload.weekdays is not None:
        spread = workload.by_day
        yield (
            f"    requests a day: half of the days at most {number(spread.median)}, 95 % at most "
            f"{number(spread.p95)}, busiest {number(spread.busiest)}"
        )
        factors = ", ".join(
            f"{day} {factor:.2f}" for day, factor in zip(_DAYS, workload.weekdays, strict=True)
        )
        yield f"    weekdays, as multiples of the mean day: {factors}"
    if workload.trend is not None:
        trend = workload.trend
        unsure = "" if trend.is_significant else ": may be no change"
        yield (
            f"    trend: {trend.pct_per_week:+.1f} % a week over {trend.weeks} weeks (95 %: {trend.low:+.1f} to "
            f"{trend.high:+.1f}){unsure}"
        )
    if workload.endpoint_used is not None:
        yield (
            f"    {workload.endpoint_guessed} to {workload.endpoint_used}: "
            f"{number(workload.gpus_guessed)} to {number(workload.gpus_used)} GPUs, {_usd(workload)}"
        )


def _usd(workload: WorkloadTraffic) -> str:
    before, after = workload.monthly_usd_guessed, workload.monthly_usd_used
    if before is None or after is None:
        return "cost not known"
    return f"{before:,.2f} to {after:,.2f} USD a month ({after - before:+,.2f})"


def _totals(report: FromUsage) -> Iterator[str]:
    for label, gpus, usd in (
        ("from guesses", report.gpus_guessed, report.monthly_usd_guessed),
        ("from measured traffic", report.gpus_used, report.monthly_usd_used),
    ):
        cost = "no feasible plan" if usd is None else f"{counted(gpus, 'GPU')}, {usd:,.2f} USD a month"
        yield f"plan {label}: {cost}"
    if report.monthly_usd_guessed is not None and report.monthly_usd_used is not None:
        more = report.monthly_usd_used - report.monthly_usd_guessed
        yield f"difference: {report.gpus_used - report.gpus_guessed:+d} GPUs, {more:+,.2f} USD a month"
