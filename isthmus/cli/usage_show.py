"""`isthmus usage`: shows what a stack used by team, workload, model and day, loads the ledger, and closes months."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from edge.usage.ledger import Closed, Day, Hour, Ledger, Loaded
    from edge.usage.loading import Source
    from isthmus.contracts.reports.usage import UsagePrice, UsageReport
    from isthmus.engine.project.project import Stack
    from isthmus.usage.periods import By, Period, Read

_WITHOUT_PRICES = ("csv", "focus")
"""Formats without prices of endpoints. They need not read the plan."""
DAYS = 30
"""Days of a report without `--from`."""
EVERY_LEAST_S = 0.1


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    csv = "csv"
    html = "html"
    focus = "focus"


class ByName(StrEnum):
    """What to group by."""

    data_class = "class"
    site = "site"
    team = "team"
    workload = "workload"
    model = "model"
    endpoint = "endpoint"
    day = "day"


LedgerFile = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        envvar="ISTHMUS_USAGE_LEDGER",
        help="The ledger's database, as for `python -m edge.keys`. Absent: the sandbox's, or stores are read whole.",
        show_default=False,
    ),
]
RequiredLedgerFile = Annotated[
    Path,
    typer.Option(
        "--ledger",
        metavar="FILE",
        envvar="ISTHMUS_USAGE_LEDGER",
        help="The ledger's database, as for `python -m edge.keys`.",
        show_default=False,
    ),
]
GatewaysFile = Annotated[
    Path | None,
    typer.Option(
        "--gateways",
        metavar="FILE",
        help="Where the gateways' records are (docs/verify.md). Default: those of `isthmus sandbox serve`.",
        show_default=False,
    ),
]
SinceSeal = Annotated[
    int,
    typer.Option(
        metavar="SEAL", min=1, help="Begin at this seal, where the first ones are gone after their retention."
    ),
]


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    stack: StackName
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATE",
            help=f"First day, UTC. Default: {DAYS} days until --to.",
            show_default=False,
        ),
    ] = None
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", help="Last day, UTC. Default: today.", show_default=False),
    ] = None
    by: Annotated[
        list[ByName] | None,
        typer.Option(help="What to group by. Repeatable. Default: workload.", show_default=False),
    ] = None
    format: Annotated[Format, typer.Option(help="text, json, csv, html, or focus (FOCUS 1.2 as CSV).")] = (
        Format.text
    )
    ledger: LedgerFile = None
    gateways: GatewaysFile = None
    since: SinceSeal = 1
    project: ProjectDir = None


@takes(ShowOptions)
def show(options: ShowOptions) -> None:
    """Show requests, tokens, GPU hours and cost of a period, compared with the one before, and unusual days.

    With --ledger the ledger's sums are read, and also while `isthmus sandbox serve` runs the stack and keeps a ledger.
    Otherwise the sealed records of each gateway are verified and read. The exit code is 1 if records are not proven.
    """  # fmt: skip
    import sys

    from isthmus.cli import console
    from isthmus.cli.usage_focus import focus_csv
    from isthmus.reports import usage_page, usage_text
    from isthmus.usage import periods

    today = datetime.now(UTC).date()
    period = _period(options, today)
    stack = _stack(options)
    by = cast("Sequence[By]", [name.value for name in options.by or [ByName.workload]])
    report = periods.report(stack.name, _read(options, stack, period), period, by, today)
    _require_days(report, options)
    if options.format is Format.json:
        console.print_json(report.model_dump(mode="json"))
    elif options.format is Format.csv:
        sys.stdout.write(usage_text.as_csv(report))
    elif options.format is Format.html:
        sys.stdout.write(usage_page.page(report))
    elif options.format is Format.focus:
        sys.stdout.write(focus_csv(stack, report.days))
    else:
        for line in usage_text.lines(report):
            console.out().print(line, markup=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    stack: StackName
    ledger: RequiredLedgerFile
    gateways: GatewaysFile = None
    every: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=EVERY_LEAST_S,
            help="Keep running, and load so often. Default: load once.",
            show_default=False,
        ),
    ] = None
    since: SinceSeal = 1
    project: ProjectDir = None


@takes(LoadOptions)
def load(options: LoadOptions) -> None:
    """Load new sealed records of each gateway into the ledger. It may be ended at any time, and goes on where it was.

    The exit code is 1 if records are not proven. Those before the contradiction are loaded.
    """
    from isthmus.cli import console, usage_access
    from isthmus.reports.format.numbers import counted

    sources = usage_access.sources_of(_stack(options), options.gateways, options.since)

    def tell(source: Source, seals: int) -> None:
        place = f"{source.place.data_class} at {source.place.site}"
        console.out().print(f"{place}: {counted(seals, 'new seal')}", markup=False)

    usage_access.with_ledger(options.ledger, lambda ledger: _load(ledger, sources, options.every, tell))


@dataclass(frozen=True, kw_only=True)
class CloseOptions:
    stack: StackName
    month: Annotated[str, typer.Argument(metavar="MONTH", help="E.g. 2026-11.", show_default=False)]
    ledger: RequiredLedgerFile
    project: ProjectDir = None


@takes(CloseOptions)
def close(options: CloseOptions) -> None:
    """Freeze the figures of a month that is over. Lines that come later become adjustments that name the month."""
    from isthmus.cli import console, usage_access
    from isthmus.core.errors import InputError, Refused
    from isthmus.usage.days import month_of

    _stack(options)
    month = month_of(options.month)
    if month is None:
        raise InputError(f"`{options.month}` is not a month", where="MONTH", fix="Write it like 2026-11")
    today = datetime.now(UTC).date()
    if month >= today.replace(day=1):
        raise Refused(
            f"{options.month} is not over", where="MONTH", fix="Close it when the next month has begun"
        )
    closed = usage_access.with_ledger(options.ledger, lambda ledger: ledger.close(month))
    for each in closed:
        used = [day.sums for day in each.figures if not day.key.purpose]
        requests, usd = sum(sums.requests for sums in used), sum(sums.usd for sums in used)
        console.out().print(
            f"{each.place.data_class} at {each.place.site}: {options.month} is closed with {requests:,} requests and "
            f"USD {usd:,.2f}, seal {each.seal}, sha256 {each.digest}",
            markup=False,
            soft_wrap=True,
        )


def _stack(options: ShowOptions | LoadOptions | CloseOptions) -> Stack:
    from isthmus.engine.project import project as projects

    return projects.find_project(options.project).stack(options.stack)


def _period(options: ShowOptions, today: date) -> Period:
    from isthmus.core.errors import InputError
    from isthmus.usage.periods import Period

    end = _day(options.end, "--to") or today
    begin = _day(options.begin, "--from") or end - timedelta(days=DAYS - 1)
    if begin > end:
        raise InputError(
            f"--to {end} is before --from {begin}", where="--to", fix="Give a day that is not before --from"
        )
    return Period(begin, end)


def _day(text: str | None, option: str) -> date | None:
    from isthmus.core.errors import InputError

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{text}` is not a day", where=option, fix="Write it like 2026-11-26") from None


@dataclass
class _Used:
    """What ledger or stores have of a stack."""

    days: list[Day] = field(default_factory=list)
    hours: list[Hour] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)


def _read(options: ShowOptions, stack: Stack, period: Period) -> Read:
    """What the stack used: from the ledger, or from the stores themselves. Only JSON has people and hours."""
    from isthmus.cli import usage_access
    from isthmus.usage.days import (
        closed_months,
        evaluation_days,
        judge_days,
        loaded_stores,
        shadow_days,
        usage_days,
        usage_hours,
    )
    from isthmus.usage.periods import Read

    whole = options.format is Format.json
    file = options.ledger
    if file is None and options.gateways is None and options.since == 1:
        file = usage_access.sandbox_ledger(stack)
    if file is not None:
        used = usage_access.with_ledger(
            file, lambda ledger: _from_ledger(ledger, period.first_needed, whole=whole)
        )
    else:
        used = _from_stores(
            usage_access.sources_of(stack, options.gateways, options.since, with_people=whole)
        )
    return Read(
        usage_days(used.days, used.closed),
        closed_months(used.days, used.closed),
        loaded_stores(used.loaded),
        usage_hours(used.hours),
        *(([], {}) if options.format in _WITHOUT_PRICES else _of_platform(stack)),
        evaluation_days(used.days, used.closed),
        shadow_days(used.days, used.closed),
        judge_days(used.days, used.closed),
    )


def _of_platform(stack: Stack) -> tuple[list[UsagePrice], dict[str, float]]:
    """Prices of endpoints, and budgets of teams. Where files cannot be read there are none, and stderr says why."""
    from isthmus.blueprints import prices
    from isthmus.cli import console
    from isthmus.cli.usage_options import plan_of
    from isthmus.core.errors import IsthmusError
    from isthmus.usage.prices import explain_unknown

    try:
        plan, overrides = plan_of(stack), stack.platform_overrides
        figures = prices.without_rendering(plan, overrides)
    except IsthmusError as error:
        note = f"note: prices of endpoints and budgets of teams are not shown: {error}"
        console.err().print(note, markup=False, soft_wrap=True)
        return [], {}
    return explain_unknown(figures.prices, plan), figures.budgets


async def _from_ledger(ledger: Ledger, first: date, *, whole: bool) -> _Used:
    """What is needed from the beginning of a month on, so that closed months are whole."""
    begin = first.replace(day=1)
    return _Used(
        await ledger.days(begin, by_person=whole),
        await ledger.hours(datetime(begin.year, begin.month, 1, tzinfo=UTC)) if whole else [],
        [month for month in await ledger.closed(by_person=whole) if month.month >= begin],
        await ledger.loaded(),
    )


def _from_stores(sources: list[Source]) -> _Used:
    from edge.usage.loading import read_all
    from isthmus.cli.usage_access import store_errors_of

    used = _Used()
    for source in sources:
        with store_errors_of(source.place):
            ledger = read_all(source)
        used.days += ledger.days()
        used.hours += ledger.hours()
        used.loaded += [ledger.last] if ledger.last else []
    used.days.sort()
    return used


def _require_days(report: UsageReport, options: ShowOptions) -> None:
    from isthmus.core.errors import InputError

    if report.days or report.evaluations or report.shadows or report.judges:
        return
    until = ", ".join(
        f"{each.sensitivity} until {each.sealed_at:%Y-%m-%d %H:%M} UTC" for each in report.loaded
    )
    raise InputError(
        f"nothing was used from {report.begin} to {report.end} (records read: {until or 'none'})",
        where=options.stack,
        fix="Give another --from and --to"
        if report.loaded
        else f"Send a request first. Outside the sandbox, run `isthmus usage load {options.stack}`",
    )


async def _load(
    ledger: Ledger, sources: list[Source], every_s: float | None, tell: Callable[[Source, int], None]
) -> None:
    import asyncio

    from edge.database import DatabaseDown
    from edge.usage.loading import load_new
    from isthmus.cli import console
    from isthmus.cli.usage_access import store_errors_of
    from isthmus.core.errors import EnvironmentFault

    async def load_all() -> None:
        for source in sources:
            with store_errors_of(source.place):
                seals = await load_new(ledger, source)
            if seals or every_s is None:
                tell(source, seals)
        await ledger.expire(datetime.now(UTC))

    if every_s is None:
        await load_all()
        return
    while True:
        try:
            await load_all()
        except (DatabaseDown, EnvironmentFault) as error:  # database or store: it is tried again
            console.err().print(f"nothing was loaded ({error}); trying again", markup=False, soft_wrap=True)
        await asyncio.sleep(every_s)
