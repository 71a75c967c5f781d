"""`isthmus calibrate`: fits how often a model's answers are right by their score, from judged answers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from isthmus.contracts.reports.calibration import Reliability
    from isthmus.core.errors import Refused

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    html = "html"


@app.command()
def calibrate(
    answers: Annotated[
        Path,
        typer.Argument(metavar="ANSWERS", help="File of judged answers, JSON lines.", show_default=False),
    ],
    max_error: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Find the threshold that keeps wrong answers under this share, e.g. 0.05.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write the calibration to this file.", show_default=False
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Date of the calibration. Default: today.", show_default=False),
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", help="text, json, or html with the picture.")
    ] = Format.text,
) -> None:
    """Fit how often a model's answers are right by their score, and test the fit on answers that were set aside.

    The exit code is 1, and nothing is written, if no threshold meets --max-error or the calibration error is
    above 0.05.
    """  # fmt: skip
    import datetime

    from isthmus.calibration import calibration, judged_answers
    from isthmus.cli import console
    from isthmus.core import yaml_files
    from isthmus.planning.catalogues import price_age

    _check_max_error(max_error)
    day = price_age.parse_day(as_of) if as_of else datetime.datetime.now(datetime.UTC).date()
    calibrated, reliability = calibration.calibrate(
        judged_answers.read_answers(answers), str(answers), max_error, day
    )
    refusal = calibration.refusal(reliability, str(answers))
    _show(reliability, refusal, format)
    if refusal is not None:
        raise refusal
    if output is not None:
        yaml_files.write_text(output, calibrated.model_dump_json(indent=2) + "\n")
        console.err().print(f"{output} is written", markup=False)
    if calibrated.model_digest is None or calibrated.measure == judged_answers.GIVEN:
        missing = "the weights' digest" if calibrated.model_digest is None else "the measure of its scores"
        console.err().print(f"warning: no gateway will use it, because it lacks {missing}", markup=False)


def _check_max_error(max_error: float | None) -> None:
    from isthmus.core.errors import InputError

    if max_error is not None and not 0 < max_error < 1:
        raise InputError(
            f"{max_error:g} is not a share between 0 and 1",
            where="--max-error",
            fix="Set it to more than 0 and less than 1, e.g. 0.05",
        )


def _show(reliability: Reliability, refusal: Refused | None, format: Format) -> None:
    """Print the reliability to stdout. `refusal`: why the calibration must not be used."""
    from isthmus.cli import console
    from isthmus.reports import calibration_page

    if format is Format.json:
        console.print_json(_data(reliability, usable=refusal is None))
    elif format is Format.html:
        print(calibration_page.page(reliability, str(refusal) if refusal else None), end="")
    else:
        print("\n".join(_lines(reliability)))


def _data(reliability: Reliability, *, usable: bool) -> dict[str, Any]:
    from dataclasses import asdict

    return {"usable": usable, **asdict(reliability)}


def _lines(reliability: Reliability) -> list[str]:
    from isthmus.reports import calibration_page
    from isthmus.reports.format.escaping import visible

    kind = "fields of structured answers" if reliability.kind == "fields" else "whole texts"
    lines = [
        visible(
            f"{reliability.model} in {reliability.domain}: {kind}, {reliability.answers:,} judged answers"
        ),
        *calibration_page.calibration_sentences(reliability),
        "",
        "  score  right  95 % interval  judgements",
    ]
    lines += [
        f"   {row.score:.2f}   {row.right:.2f}   {row.low:.2f} to {row.high:.2f}  {row.count:10,}"
        for row in reliability.bins
    ]
    return lines
