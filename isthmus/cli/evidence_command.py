"""`isthmus evidence STACK`: lists every control and the result of its check, for an auditor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from datetime import date

    from isthmus.contracts.reports.evidence import Evidence

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    markdown = "markdown"
    csv = "csv"


class Of(StrEnum):
    """What to look at."""

    rendering = "rendering"
    state = "state"


@app.command()
def evidence(
    stack: StackName,
    project: ProjectDir = None,
    of: Annotated[
        Of,
        typer.Option(
            "--of", help="rendering: what the program asks for; state: resources in the Pulumi state."
        ),
    ] = Of.rendering,
    format: Annotated[Format, typer.Option("--format", help="text, json, markdown or csv.")] = Format.text,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="DATE", help="Date of the report. Default: today (UTC).", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write to this file.", dir_okay=False, show_default=False
        ),
    ] = None,
) -> None:
    """List every control with its framework ids, the resources it covers, and the result of its check.

    A control that covers no resource is "not applicable", never a pass. Controls that no policy checks are listed too.
    A check supports a requirement of a framework; it does not fulfil it. The exit code is 0 whatever the results are:
    `isthmus preview` and `isthmus render` refuse.
    """
    import sys

    from isthmus.cli import console
    from isthmus.cli.previews import check_writable
    from isthmus.core import yaml_files
    from isthmus.engine.policy import evidence as policy_evidence
    from isthmus.engine.project import project as projects

    selected = projects.find_project(project).stack(stack)
    day = _day(as_of)
    if output is not None:
        check_writable(output)
    collected = policy_evidence.evidence(selected, of.value, day)
    content = _text(collected, format)
    if output is None:
        sys.stdout.write(content)
    else:
        yaml_files.write_text(output, content)
        console.err().print(f"written to {output}", markup=False)


def _day(text: str | None) -> date:
    import datetime

    from isthmus.planning.catalogues import price_age

    return price_age.parse_day(text) if text else datetime.datetime.now(datetime.UTC).date()


def _text(evidence: Evidence, format: Format) -> str:
    from isthmus.reports import evidence as evidence_report

    if format is Format.json:
        import json

        return json.dumps(evidence.model_dump(mode="json", by_alias=True), indent=2) + "\n"
    writers = {
        Format.text: evidence_report.text,
        Format.markdown: evidence_report.markdown,
        Format.csv: evidence_report.table,
    }
    return writers[format](evidence)
