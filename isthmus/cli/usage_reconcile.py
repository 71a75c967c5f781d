"""`isthmus usage reconcile STACK`: compares the usage of a month with AWS's bill for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.audit_options import StoreAccess
from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir, StackName
from isthmus.cli.usage_options import Month, UsageFile, month_of, plan_of

if TYPE_CHECKING:
    from isthmus.contracts.reports.reconciliation import Reconciliation
    from isthmus.engine.project.project import Stack
    from isthmus.usage.bills.reconcile import Rate


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    csv = "csv"
    html = "html"


class Key(StrEnum):
    """What shared cost is divided by."""

    tokens = "tokens"
    gpu_seconds = "gpu-seconds"
    evenly = "evenly"


@dataclass(frozen=True, kw_only=True)
class ReconcileOptions:
    stack: StackName
    bill: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="CUR 2.0 or FOCUS, Parquet or CSV: a file, a folder or s3://bucket/prefix.",
            show_default=False,
        ),
    ]
    usage: UsageFile
    month: Month = ""
    profiles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Profiles that neither the stack's state nor tags name: ARN, workload and endpoint of each.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None
    allocate: Annotated[Key, typer.Option(help="What shared cost is divided by.")] = Key.tokens
    tolerance: Annotated[
        float, typer.Option(min=0, max=100, help="Difference of tokens that is allowed, in per cent.")
    ] = 0.5
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EUR=1.08@2026-11-30",
            help="USD for one unit of another currency, with the day of the rate. Repeatable.",
            show_default=False,
        ),
    ] = None
    project: ProjectDir = None
    format: Annotated[Format, typer.Option(help="text, json, csv or html.")] = Format.text
    access: StoreAccess


@takes(ReconcileOptions)
def reconcile(options: ReconcileOptions) -> None:
    """Compare the usage of a month with AWS's bill, and divide the cost among teams.

    Tokens are compared for each application inference profile, day and kind. Every line of the bill is in one category,
    and the categories add up to the bill's total. The exit code is 1 if tokens differ by more than the tolerance.
    """
    from isthmus.cli import console

    report = _reconcile(options)
    if options.format is Format.json:
        console.print_json(report.model_dump(mode="json"))
    elif options.format is Format.csv:
        from isthmus.reports.reconciliation_text import reconciliation_csv

        print(reconciliation_csv(report), end="")
    elif options.format is Format.html:
        from isthmus.reports.reconciliation_page import page

        print(page(report))
    else:
        from isthmus.reports.reconciliation_text import reconciliation_lines

        print("\n".join(reconciliation_lines(report)))
    if not report.reconciled:
        raise typer.Exit(1)


def _reconcile(options: ReconcileOptions) -> Reconciliation:
    from isthmus.contracts.reports import usage_file
    from isthmus.engine.project import project as projects
    from isthmus.usage.bills import profiles, reading
    from isthmus.usage.bills.locations import bill_files
    from isthmus.usage.bills.reconcile import Options, reconcile

    selected = projects.find_project(options.project).stack(options.stack)
    platform, plan = selected.platform(), plan_of(selected)
    usage = usage_file.load(options.usage, "--usage")
    days = usage.days
    month = month_of(options.month, days)
    rates = dict(_rate(text) for text in options.rate or [])
    stated = profiles.read_profiles(options.profiles) if options.profiles else {}
    owner = profiles.Owner(platform.name, f"{selected.project.name}/{selected.name}")
    with bill_files(options.bill, month, _client(options)) as files:
        bill = reading.read_bill(files, month)
    state = _state(selected)
    known = profiles.find_profiles(plan, bill.lines, owner, stated=stated, state=state)
    tolerance = Decimal(str(options.tolerance)) / 100
    chosen = Options(tolerance=tolerance, key=options.allocate.value, rates=rates)
    apart = [*usage.evaluations, *usage.shadows, *usage.judges]
    return reconcile(bill, days, plan, known, owner, month, chosen, apart)


def _rate(text: str) -> tuple[str, Rate]:
    from isthmus.core.errors import InputError
    from isthmus.usage.bills.reconcile import Rate

    currency, _, rest = text.partition("=")
    usd, _, day = rest.partition("@")
    try:
        rate = Rate(Decimal(usd), date.fromisoformat(day))
    except (InvalidOperation, ValueError):
        rate = None
    if rate is None or not (
        currency.isalpha() and len(currency) == 3 and rate.usd.is_finite() and rate.usd > 0
    ):
        raise InputError(
            f"`{text}` is not a rate with its day",
            where="--rate",
            fix="Write USD for one unit, and the day: EUR=1.08@2026-11-30",
        )
    return currency.upper(), rate


def _client(options: ReconcileOptions) -> Any:
    from isthmus.cli.audit_options import s3_client

    return s3_client(options.access, "for the bill") if options.bill.startswith("s3://") else None


def _state(selected: Stack) -> dict[str, Any]:
    """The stack's state. Empty, with a note on stderr, if it cannot be read: then tags must name the profiles."""
    from isthmus.cli import console
    from isthmus.core.errors import IsthmusError
    from isthmus.engine.automation.stack_engine import Engine, NotThere
    from isthmus.engine.state import backend, state_file

    err = console.err()
    try:
        url = backend.url(selected.project)
        if state_file.backend_folder(url) is not None:
            file = state_file.checkpoint_file(url, selected.project.name, selected.name)
            return state_file.read(file) if file is not None else {}
        return Engine(selected, lambda text: err.print(text, markup=False), look=True).state() if url else {}
    except NotThere:
        return {}
    except (IsthmusError, state_file.Broken) as error:
        err.print(f"note: the stack's state is not used: {error}", markup=False)
        return {}
