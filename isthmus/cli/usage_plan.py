"""`isthmus usage variance` and `isthmus usage forecast`: actual cost against the plan, and at the end of the month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, ProjectDir, StackName, TextOrJson
from isthmus.cli.usage_options import Month, UsageFile, month_of, parse_day, plan_of


class ByName(StrEnum):
    """What the forecast has rows for."""

    all = "all"
    team = "team"
    workload = "workload"


@dataclass(frozen=True, kw_only=True)
class VarianceOptions:
    stack: StackName
    usage: UsageFile
    month: Month = ""
    project: ProjectDir = None
    format: TextOrJson = Format.text


@takes(VarianceOptions)
def variance(options: VarianceOptions) -> None:
    """Split the difference of actual cost and plan into load, mix, efficiency and price, by workload and endpoint."""
    from isthmus.cli import console
    from isthmus.contracts.reports import usage_file
    from isthmus.contracts.requirements import document as wanted
    from isthmus.engine.project import project as projects
    from isthmus.planning.sizing import demand
    from isthmus.usage.variance import variance as compare

    selected = projects.find_project(options.project).stack(options.stack)
    days = usage_file.load(options.usage, "--usage").days
    requirements = wanted.load(selected.project.stacks_dir / f"{selected.family}.requirements.yaml")
    requests = {workload.name: demand.of_workload(workload).requests for workload in requirements.workloads}
    month = month_of(options.month, days)
    report = compare(selected.name, plan_of(selected), requests, days, month)
    if options.format is Format.json:
        console.print_json(report.model_dump(mode="json"))
        return
    from isthmus.reports.variance_text import variance_lines

    print("\n".join(variance_lines(report)))


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    stack: StackName
    usage: UsageFile
    month: Month = ""
    through: Annotated[
        str,
        typer.Option(
            metavar="DATE",
            help="The last complete day. Default: the last day in --usage before today (UTC).",
            show_default=False,
        ),
    ] = ""
    by: Annotated[ByName, typer.Option(help="Further rows: by team or workload.")] = ByName.all
    project: ProjectDir = None
    format: TextOrJson = Format.text


@takes(ForecastOptions)
def forecast(options: ForecastOptions) -> None:
    """Forecast the cost of a month at its end from the days so far, by weekday, with an 80 % interval."""
    from isthmus.cli import console
    from isthmus.contracts.reports import usage_file
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects
    from isthmus.usage.forecast import forecast as estimate

    selected = projects.find_project(options.project).stack(options.stack)
    days = usage_file.load(options.usage, "--usage").days
    month = month_of(options.month, days)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    last = (
        parse_day(options.through, "--through")
        if options.through
        else min(max(d.day for d in days), yesterday)
    )
    next_month = (month + timedelta(days=32)).replace(day=1)
    if last < month or (options.through and last >= next_month):
        raise InputError(
            f"the last complete day is {last}, which is not in {month:%Y-%m}",
            where="--through",
            fix="Give usage of that month, or another --month",
        )
    through = min(last, next_month - timedelta(days=1))
    report = estimate(selected.name, days, month, through, options.by.value)
    if options.format is Format.json:
        console.print_json(report.model_dump(mode="json"))
        return
    from isthmus.reports.variance_text import forecast_lines

    print("\n".join(forecast_lines(report)))
