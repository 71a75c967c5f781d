"""`isthmus usage focus STACK`: usage as charges of FOCUS 1.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import ProjectDir, StackName
from isthmus.cli.usage_options import UsageFile, plan_of

if TYPE_CHECKING:
    from isthmus.contracts.reports.usage import UsageDay
    from isthmus.engine.project.project import Stack


@dataclass(frozen=True, kw_only=True)
class FocusOptions:
    stack: StackName
    usage: UsageFile
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A file that ends in .csv or .parquet. Default: CSV to stdout.",
            show_default=False,
        ),
    ] = None
    project: ProjectDir = None


@takes(FocusOptions)
def focus(options: FocusOptions) -> None:
    """Write usage as charges of FOCUS 1.2: one for each meter, team, workload, endpoint and day, without people."""
    from isthmus.contracts.reports import usage_file
    from isthmus.core import yaml_files
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects
    from isthmus.usage.focus import write_parquet

    suffix = options.output.suffix.lower() if options.output else ".csv"
    if suffix not in (".csv", ".parquet"):
        raise InputError(
            f"`{options.output}` ends in neither .csv nor .parquet",
            where="--output",
            fix="Name a file like usage.parquet",
        )
    stack = projects.find_project(options.project).stack(options.stack)
    days = usage_file.load(options.usage, "--usage").days
    if options.output is None:
        print(focus_csv(stack, days), end="")
    elif suffix == ".parquet":
        write_parquet(_rows(stack, days), options.output)
    else:
        yaml_files.write_text(options.output, focus_csv(stack, days))


def focus_csv(stack: Stack, days: Sequence[UsageDay]) -> str:
    """Usage of a stack as FOCUS 1.2 in CSV. A note on stderr counts requests without a price."""
    from isthmus.usage.focus import csv_text

    return csv_text(_rows(stack, days))


def _rows(stack: Stack, days: Sequence[UsageDay]) -> list[dict[str, Any]]:
    from isthmus.cli import console
    from isthmus.reports.format.numbers import counted
    from isthmus.usage.focus import Charged, charges

    if unpriced := sum(day.unpriced for day in days):
        requests = counted(unpriced, "request")
        console.err().print(f"note: {requests} without a price: the cost of these is missing", markup=False)
    return charges(days, plan_of(stack), Charged(stack.platform().name, stack.name))
