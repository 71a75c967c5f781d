"""`isthmus calibrate --from-reviews`: renews a calibration from what reviewers decided, and says if it has drifted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.audit_options import (
    OptionalPublicKeys,
    Since,
    StoreAccess,
    Verification,
    Volume,
    parse_time,
    proven,
)
from isthmus.cli.options import ProjectDir, complete_stack

if TYPE_CHECKING:
    from edge.confidence.calibration import Calibration
    from isthmus.calibration.review_calibration import InUse, Renewal
    from isthmus.calibration.reviewed_answers import Period, ReviewRecords
    from isthmus.core.errors import IsthmusError


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """Options that only `--from-reviews` reads."""

    from_reviews: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STORE",
            help="In place of ANSWERS: an audit store with decisions, a folder or s3://bucket/prefix. May be repeated.",
            show_default=False,
        ),
    ] = None
    public_key: OptionalPublicKeys = None
    workload: Annotated[str | None, typer.Option(help="The workload.", show_default=False)] = None
    stack: Annotated[
        str | None,
        typer.Option(
            metavar="STACK",
            help="The stack that serves the workload: it has the calibration and the threshold in use.",
            autocompletion=complete_stack,
            show_default=False,
        ),
    ] = None
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The calibration that gateways use now: its name in the stack, or without --stack its file.",
            show_default=False,
        ),
    ] = None
    below: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="The threshold in use. Default: review.below_confidence of the stack, or that of the calibration.",
            show_default=False,
        ),
    ] = None
    try_below: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Show what this threshold would change, and write nothing.",
            show_default=False,
        ),
    ] = None
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Answers from this time on, UTC. Default: the date of the calibration.",
            show_default=False,
        ),
    ] = None
    end: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="Answers before this time, UTC. Default: now.", show_default=False
        ),
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Your estimate of a reviewer's minutes for an answer. Default: the median on record.",
            show_default=False,
        ),
    ] = None
    usd_per_hour: Annotated[
        float | None, typer.Option(metavar="USD", help="Cost of a reviewer's hour.", show_default=False)
    ] = None
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write metrics for Prometheus to this file, for node exporter's textfile collector.",
            show_default=False,
        ),
    ] = None
    volume: Volume = None
    since: Since = 1
    access: StoreAccess
    project: ProjectDir = None


def renew(options: ReviewOptions, max_error: float | None, as_of: date | None) -> Renewal:
    """Verify the stores, read the decisions, and renew the calibration. Raises `IsthmusError`.

    `as_of`: date of the new calibration, and the day as of which copies of stores are verified. None: today.
    """
    from isthmus.calibration import review_calibration
    from isthmus.calibration.review_calibration import Wanted
    from isthmus.calibration.threshold_effect import ReviewerCost

    _check_numbers(options, max_error)
    in_use = _in_use(options)
    cost = ReviewerCost(options.minutes, options.usd_per_hour)
    wanted = Wanted(as_of or datetime.now(UTC).date(), max_error, options.try_below, cost)
    period = _period(options, in_use)
    verification = Verification(
        volume=options.volume,
        since=options.since,
        as_of=as_of.isoformat() if as_of else None,
        access=options.access,
    )
    reviewed = _reviewed(options, verification, period).of(in_use.calibration)
    return review_calibration.renew(reviewed, in_use, wanted, period)


def drift_alert(renewal: Renewal) -> IsthmusError | None:
    """The error of a calibration that no longer holds. None: it holds, or that is not known."""
    from isthmus.core.errors import CalibrationDrift
    from isthmus.reports import review_calibration_text

    report = renewal.report
    if not report.drift.significant:
        return None
    fix = "Use the new calibration, or let people review more answers until there is one (docs/confidence.md)"
    return CalibrationDrift(
        "; ".join(review_calibration_text.drift_reasons(report.drift)),
        where=f"workload {report.workload}, {report.model}",
        fix=fix,
        others=[renewal.refusal] if renewal.refusal else [],
    )


def _check_numbers(options: ReviewOptions, max_error: float | None) -> None:
    from isthmus.core.errors import InputError

    for name, value, most in (
        ("--below", options.below, 1.0),
        ("--try-below", options.try_below, 1.0),
        ("--minutes", options.minutes, 1e4),
        ("--usd-per-hour", options.usd_per_hour, 1e6),
    ):
        if value is not None and not 0 <= value <= most:
            raise InputError(
                f"{value:g} is not from 0 to {most:g}", where=name, fix=f"Give a number from 0 to {most:g}"
            )
    if max_error is not None and options.try_below is not None:
        raise InputError(
            "--max-error looks for a threshold, and --try-below names one",
            where="--try-below",
            fix="Give one of them",
        )


def _in_use(options: ReviewOptions) -> InUse:
    """The calibration in use. Raises `InputError`."""
    from edge.confidence.measure import MEASURE
    from isthmus.calibration.review_calibration import InUse
    from isthmus.core.errors import InputError

    if not options.workload:
        raise InputError("--from-reviews needs --workload", where="--workload", fix="Give --workload")
    below = options.below
    if options.stack is not None:
        calibration, digest, stated = _of_stack(options, options.stack, options.workload)
        below = stated if below is None else below
    else:
        calibration, digest = _of_file(options)
    if calibration.model_digest is None or calibration.measure != MEASURE:
        raise InputError(
            "no gateway uses this calibration, so no answer has its score",
            where="--calibration",
            fix="Give the file that gateways use",
        )
    if below is None and calibration.threshold is not None:
        below = calibration.threshold.below
    if below is None and options.try_below is not None:
        raise InputError(
            "the calibration has no threshold to compare with",
            where="--calibration",
            fix="Give --below, the workload's review.below_confidence",
        )
    return InUse(calibration, digest, below)


def _of_file(options: ReviewOptions) -> tuple[Calibration, str]:
    from edge.confidence.calibration import BadCalibration, read
    from isthmus.core.errors import InputError

    if not options.calibration:
        raise InputError(
            "--from-reviews needs --calibration or --stack", where="--calibration", fix="Give one of them"
        )
    try:
        return read(Path(options.calibration))
    except BadCalibration as error:
        raise InputError(
            str(error), where=options.calibration, fix="Give the file that gateways use"
        ) from None


def _of_stack(options: ReviewOptions, name: str, workload: str) -> tuple[Calibration, str, float | None]:
    """Calibration, digest and threshold of a workload of the stack. Raises `InputError`."""
    from edge.confidence.calibration import BadCalibration, parse
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects
    from isthmus.engine.stopping.stopping import gateways_of

    platform = projects.find_project(options.project).stack(name).platform()
    served = [
        entry
        for gateway in gateways_of(platform, workload)
        for entry in gateway.workloads
        if entry.name == workload
    ]
    stated = {calibration.name: calibration for entry in served for calibration in entry.calibrations}
    if not stated:
        raise InputError(
            f"`{workload}` has no calibration in the stack",
            where=name,
            fix="State one (docs/confidence.md), or give its file by --calibration without --stack",
        )
    chosen = stated.get(options.calibration or (next(iter(stated)) if len(stated) == 1 else ""))
    if chosen is None:
        raise InputError(
            f"`{options.calibration}` is no calibration of `{workload}`"
            if options.calibration
            else f"`{workload}` has several calibrations",
            where="--calibration",
            fix=f"Choose one of: {', '.join(sorted(stated))}",
        )
    try:
        calibration, digest = parse((chosen.text or "").encode())
    except BadCalibration as error:
        raise InputError(str(error), where=chosen.file, fix="Make it anew with `isthmus calibrate`") from None
    review = next((entry.review for entry in served if entry.review is not None), None)
    return calibration, digest, review.below_confidence if review else None


def _period(options: ReviewOptions, in_use: InUse) -> Period:
    from isthmus.calibration.reviewed_answers import Period
    from isthmus.core.errors import InputError

    begin = datetime.combine(in_use.calibration.as_of, time(), UTC)
    if options.begin is not None:
        begin = parse_time(options.begin, "--from")
    end = datetime.now(UTC) if options.end is None else parse_time(options.end, "--to")
    if begin >= end:
        raise InputError(
            f"--to {end.isoformat()} is not after --from {begin.isoformat()}",
            where="--to",
            fix="Give a later time than --from, which is the calibration's date by default",
        )
    return Period(options.workload or "", begin, end)


def _reviewed(options: ReviewOptions, verification: Verification, period: Period) -> ReviewRecords:
    """The answers and decisions in all stores. Raises `Refused` if a store's records were changed."""
    from isthmus.calibration.reviewed_answers import ReviewRecords
    from isthmus.core.errors import InputError

    if not options.public_key:
        raise InputError("--from-reviews needs --public-key", where="--public-key", fix="Give the sealer's")
    records = ReviewRecords(period)
    for store in options.from_reviews or []:
        proven(
            store,
            options.public_key,
            verification,
            lambda record, _: records.add(record),
            "nothing is learned from it",
        )
    return records


def options_for_reviews(options: ReviewOptions) -> list[str]:
    """The options on the command line that need `--from-reviews`."""
    names: dict[str, Any] = {
        "--workload": options.workload,
        "--stack": options.stack,
        "--calibration": options.calibration,
        "--metrics": options.metrics,
        "--below": options.below,
        "--try-below": options.try_below,
        "--from": options.begin,
        "--to": options.end,
        "--minutes": options.minutes,
        "--usd-per-hour": options.usd_per_hour,
        "--public-key": options.public_key,
    }
    return [name for name, value in names.items() if value]
