"""`isthmus release STACK WORKLOAD start|next|abort|status`: a new model gets a larger share of people, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.acting import Person, WorkloadName, access_of, checked_reason, show
from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, ProjectDir, StackName, TextOrJson

if TYPE_CHECKING:
    from isthmus.engine.releasing.judged import Judgement
    from isthmus.engine.releasing.releasing import AtGateway, Standing, Wish

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
PLANNED = "planned"
"""Reason of a move if the person gives none."""


class Action(StrEnum):
    start = "start"
    next = "next"
    approve = "approve"
    abort = "abort"
    status = "status"


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    stack: StackName
    workload: WorkloadName
    act: Annotated[
        Action,
        typer.Argument(
            metavar="ACT",
            help="start: the first step; next: the following one; approve: of another person's, where two are needed; "
            "abort: back to 0 for good; status: where it stands.",
            show_default=False,
        ),
    ]
    signing_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your Ed25519 private key, whose public key is in the gateway's `releasers`. Needed to move.",
            show_default=False,
        ),
    ] = None
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="Why, as a word such as worse-answers: a-z, 0-9 and -. Needed to abort.",
            show_default=False,
        ),
    ] = None
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            help="For next and approve: although the outcomes do not say enough yet. For next, it needs a --reason.",
        ),
    ] = False
    release: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For abort and status: another release than the platform's.",
            show_default=False,
        ),
    ] = None
    site: Annotated[
        str | None, typer.Option(help="Only at this site. Default: all of them.", show_default=False)
    ] = None
    access: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How you reach the databases (docs/release.md). Default: what `isthmus sandbox serve` started.",
            show_default=False,
        ),
    ] = None
    person: Person = None
    project: ProjectDir = None
    format: TextOrJson = Format.text


@app.command()
@takes(ReleaseOptions)
def release(options: ReleaseOptions) -> None:
    """Move the release of a workload's canary at each of its gateways, or show where it stands.

    A move takes effect within seconds and needs no `isthmus up`. Where answers have high impact, `start` and `next`
    propose it, and another person's `approve` makes it. The exit code is 1 if a move is refused, 3 if a
    database cannot be reached; the other gateways are moved nevertheless.
    """
    from isthmus.engine.project import project as projects
    from isthmus.engine.releasing import releasing, stated

    wish = _wish(options)
    selected = projects.find_project(options.project).stack(options.stack)
    releases = stated.stated_releases(selected.platform(), options.workload, options.site)
    access = access_of(selected, options.access, options.person)
    files = partial(stated.database_file, selected, access=access)
    if wish is None:
        results = releasing.status_everywhere(releases, files, options.release)
    else:
        results = releasing.move_everywhere(releases, files, wish)
    show(options.format, lambda: _as_json(options, results), lambda: _as_text(options, results))
    if error := releasing.joined(results):
        raise error


def _wish(options: ReleaseOptions) -> Wish | None:
    """What to do; None: only look."""
    from isthmus.core.errors import InputError
    from isthmus.engine.releasing.releasing import Wish

    if options.act is Action.status:
        return None
    if options.early and options.act not in (Action.next, Action.approve):
        raise InputError(
            "it is for `next` and `approve`", where="--early", fix=f"Leave it out of `{options.act.value}`"
        )
    is_planned = options.act is not Action.abort and not (options.early and options.act is Action.next)
    reason = checked_reason(options.reason or (PLANNED if is_planned else ""), "worse-answers")
    if options.signing_key is None:
        raise InputError(
            "there is no key to sign the move with",
            where="--signing-key",
            fix="Name the file of your Ed25519 private key (docs/release.md)",
        )
    try:
        key = options.signing_key.read_bytes()
    except OSError as error:
        raise InputError(
            f"{options.signing_key} cannot be read: {error.strerror}",
            where="--signing-key",
            fix="Name the file of your Ed25519 private key",
        ) from None
    return Wish(options.act.value, reason, key, options.release, options.early)


def _as_text(options: ReleaseOptions, results: Sequence[AtGateway]) -> Iterator[str]:
    for result in results:
        place = f"{options.workload} at {result.release.data_class}, {result.release.site}"
        if result.standing is None:
            yield f"{place}: NOTHING WAS DONE"
            continue
        yield f"{place}: {_headline(options, result, result.standing)}"
        yield from (f"  {line}" for line in _details(options, result.standing))


def _headline(options: ReleaseOptions, result: AtGateway, standing: Standing) -> str:
    name = f"release {standing.name.release}"
    if options.act is Action.abort and not result.moved:
        return f"{name} was aborted before, and stays so"
    share = f"{standing.percent:g} % to {result.release.endpoint}"
    proposed = options.act in (Action.start, Action.next) and standing.proposal is not None
    return f"{name}, {'PROPOSED, not made yet' if proposed else standing.state}: {share}"


def _details(options: ReleaseOptions, standing: Standing) -> Iterator[str]:
    if standing.proposal is not None:
        move, at = standing.proposal.move, standing.proposal.at
        todo = (
            f"It has expired after a day. Propose it again: `{move.act}`"
            if standing.proposal.expired
            else "Another person makes it within a day: `approve`"
        )
        yield (
            f"{move.by} proposed {move.act} at {at:%Y-%m-%d %H:%M:%S} UTC, {move.from_percent:g} % to "
            f"{move.to_percent:g} % ({move.reason}). {todo}"
        )
    if options.act in (Action.start, Action.status):
        yield f"steps: {', '.join(f'{step:g}' for step in standing.steps) or 'none'} %"
    if options.act is Action.status:
        for entry in standing.moves:
            move = entry.move
            people = f"{move.by} and {entry.approved_by}" if entry.approved_by else move.by
            line = f"{move.from_percent:g} % to {move.to_percent:g} % by {people} ({move.reason})"
            ignored = f"; IGNORED: {standing.invalid[move.number]}" if move.number in standing.invalid else ""
            yield f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {move.act:<5}  {line}{ignored}"
        if standing.stopped is not None and standing.state == "stopped":
            stopped = standing.stopped
            yield (
                f"{stopped.at:%Y-%m-%d %H:%M:%S} UTC  stopped by {stopped.gateway}, where "
                f"{stopped.failed} of {stopped.answered} requests failed"
            )
        if standing.under_way not in (None, standing.name.release):
            yield f"release {standing.under_way} of this workload is under way"
    if options.act in (Action.start, Action.status) and standing.judgement is not None:
        yield from standing.judgement.lines()
    if standing.following:
        yield f"followed by {', '.join(standing.following)}; every other copy follows within 5 s"


def _as_json(options: ReleaseOptions, results: Sequence[AtGateway]) -> dict[str, Any]:
    return {
        "stack": options.stack,
        "workload": options.workload,
        "act": options.act.value,
        "gateways": [
            {
                "class": result.release.data_class,
                "site": result.release.site,
                "moved": result.moved,
                **_standing_as_json(result.standing),
                "error": str(result.error) if result.error else None,
            }
            for result in results
        ],
    }


def _standing_as_json(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        nothing = dict.fromkeys(("release", "state", "percent", "steps", "proposal", "judgement"))
        return {**nothing, "moves": [], "following": []}
    return {
        "release": standing.name.release,
        "state": standing.state,
        "percent": standing.percent,
        "steps": list(standing.steps),
        "moves": [
            {
                "number": entry.move.number,
                "act": entry.move.act,
                "from": entry.move.from_percent,
                "to": entry.move.to_percent,
                "by": entry.move.by,
                "approved_by": entry.approved_by or None,
                "reason": entry.move.reason,
                "at": entry.at.isoformat(),
                "ignored": standing.invalid.get(entry.move.number),
            }
            for entry in standing.moves
        ],
        "following": standing.following,
        "proposal": None
        if standing.proposal is None
        else {
            "act": standing.proposal.move.act,
            "from": standing.proposal.move.from_percent,
            "to": standing.proposal.move.to_percent,
            "by": standing.proposal.move.by,
            "reason": standing.proposal.move.reason,
            "at": standing.proposal.at.isoformat(),
            "expired": standing.proposal.expired,
        },
        "judgement": _judgement_as_json(standing.judgement),
    }


def _judgement_as_json(judgement: Judgement | None) -> dict[str, Any] | None:
    from dataclasses import asdict

    if judgement is None:
        return None
    decision, needed = judgement.decision, judgement.need
    return {
        "action": decision.action if decision else None,
        "reasons": list(decision.reasons) if decision else [],
        "next_percent": judgement.next_percent,
        "requests": judgement.reading.requests,
        "findings": [
            {key: _finite(value) for key, value in asdict(finding).items()}
            for finding in judgement.reading.findings
        ],
        "need": {
            "percent": judgement.deciding_percent,
            "days": needed.days,
            "answers": needed.answers,
            "loss_shown": _finite(needed.loss_shown),
        }
        if needed
        else None,
        "judged": [{**asdict(entry), "day": entry.day.isoformat()} for entry in judgement.judged_days],
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity: an interval of a single person has no ends."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
