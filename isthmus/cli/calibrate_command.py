"""`isthmus calibrate`: fits how often a model's answers are right by their score, from judged answers or decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.calibrate_reviews import ReviewOptions, drift_alert, options_for_reviews, renew
from isthmus.cli.option_classes import takes

if TYPE_CHECKING:
    from edge.confidence.calibration import Calibration
    from isthmus.contracts.reports.calibration import Reliability
    from isthmus.core.errors import Refused

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    html = "html"


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    answers: Annotated[
        Path | None,
        typer.Argument(metavar="ANSWERS", help="File of judged answers, JSON lines.", show_default=False),
    ] = None
    max_error: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Find the threshold that keeps wrong answers under this share, e.g. 0.05.",
            show_default=False,
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write the calibration to this file.", show_default=False
        ),
    ] = None
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Date of the calibration. Default: today.", show_default=False),
    ] = None
    format: Annotated[Format, typer.Option("--format", help="text, json, or html with the picture.")] = (
        Format.text
    )
    reviews: ReviewOptions


@app.command()
@takes(CalibrateOptions)
def calibrate(options: CalibrateOptions) -> None:
    """Fit how often a model's answers are right by their score, and test the fit on answers that were set aside.

    The exit code is 1, and nothing is written, if no threshold meets --max-error or the calibration error is
    above 0.05. With --from-reviews it is 4 if the calibration in use has drifted.
    """  # fmt: skip
    from isthmus.core.errors import InputError
    from isthmus.planning.catalogues import price_age

    _check_max_error(options.max_error)
    day = price_age.parse_day(options.as_of) if options.as_of else None
    if options.reviews.from_reviews:
        if options.answers is not None:
            raise InputError(
                "ANSWERS and --from-reviews are two sources",
                where=str(options.answers),
                fix="Give one of them",
            )
        _from_reviews(options, day)
        return
    if superfluous := options_for_reviews(options.reviews):
        raise InputError("it needs --from-reviews", where=superfluous[0], fix="Give --from-reviews STORE")
    if options.answers is None:
        raise InputError(
            "there are no judged answers", where="ANSWERS", fix="Give a file, or --from-reviews STORE"
        )
    _from_file(options, options.answers, day)


def _from_file(options: CalibrateOptions, answers: Path, day: date | None) -> None:
    from isthmus.calibration import calibration, judged_answers
    from isthmus.cli import console

    calibrated, reliability = calibration.calibrate(
        judged_answers.read_answers(answers),
        str(answers),
        options.max_error,
        day or datetime.now(UTC).date(),
    )
    refusal = calibration.refusal(reliability, str(answers))
    _show(reliability, refusal, options.format)
    if refusal is not None:
        raise refusal
    if options.output is not None:
        _write(options.output, calibrated)
    if calibrated.model_digest is None or calibrated.measure == judged_answers.GIVEN:
        missing = "the weights' digest" if calibrated.model_digest is None else "the measure of its scores"
        console.err().print(f"warning: no gateway will use it, because it lacks {missing}", markup=False)


def _from_reviews(options: CalibrateOptions, day: date | None) -> None:
    from dataclasses import asdict

    from isthmus.cli import console
    from isthmus.core import yaml_files
    from isthmus.reports import (
        review_calibration_metrics,
        review_calibration_page,
        review_calibration_text,
    )

    renewal = renew(options.reviews, options.max_error, day)
    if options.format is Format.json:
        console.print_json(asdict(renewal.report))
    elif options.format is Format.html:
        print(review_calibration_page.page(renewal.report), end="")
    else:
        print("\n".join(review_calibration_text.lines(renewal.report)))
    if options.reviews.metrics is not None:
        yaml_files.write_text(options.reviews.metrics, review_calibration_metrics.metrics(renewal.report))
    if options.output is not None and renewal.calibration is not None:
        _write(options.output, renewal.calibration)
    if (alert := drift_alert(renewal)) is not None:
        raise alert
    if renewal.refusal is not None and (options.output is not None or options.max_error is not None):
        raise renewal.refusal


def _write(output: Path, calibrated: Calibration) -> None:
    from isthmus.cli import console
    from isthmus.core import yaml_files

    yaml_files.write_text(output, calibrated.model_dump_json(indent=2) + "\n")
    console.err().print(f"{output} is written", markup=False)


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
