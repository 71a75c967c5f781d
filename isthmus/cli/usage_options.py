"""Options that the commands below `isthmus usage` share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import Plan
    from isthmus.contracts.reports.usage import UsageDay
    from isthmus.engine.project.project import Stack

UsageFile = Annotated[
    Path,
    typer.Option(
        "--usage",
        metavar="FILE",
        help="Usage by day: JSON with a list `days` (docs/bills.md).",
        dir_okay=False,
        show_default=False,
    ),
]
Month = Annotated[
    str,
    typer.Option(
        "--month",
        metavar="YYYY-MM",
        help="The month. Default: that of the last day in --usage.",
        show_default=False,
    ),
]


def month_of(text: str, days: Iterable[UsageDay]) -> date:
    """The first day of the month of `--month`, or of the last day of usage. Raises `InputError`."""
    from isthmus.core.errors import InputError

    if not text:
        return max(day.day for day in days).replace(day=1)
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise InputError(f"`{text}` is not a month", where="--month", fix="Write it like 2026-11") from None


def parse_day(text: str, where: str) -> date:
    """A day. `where`: the option that has it. Raises `InputError`."""
    from isthmus.core.errors import InputError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{text}` is not a day", where=where, fix="Write it like 2026-11-26") from None


def plan_of(stack: Stack) -> Plan:
    """The plan of a stack, or of its estate."""
    from isthmus.contracts.plan import document

    return document.load(stack.project.stacks_dir / f"{stack.family}.plan.yaml")
