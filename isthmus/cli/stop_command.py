"""`isthmus stop STACK WORKLOAD`: gateways refuse a workload, or serve it again once two people have asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.acting import Person, WorkloadName, access_of, checked_reason, show
from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, ProjectDir, StackName, TextOrJson

if TYPE_CHECKING:
    from isthmus.engine.stopping.stopping import AtGateway
    from isthmus.engine.stopping.ways import Act

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class StopOptions:
    stack: StackName
    workload: WorkloadName
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="Why, as a word such as wrong-answers: a-z, 0-9 and -. Needed to stop.",
            show_default=False,
        ),
    ] = None
    message: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What callers are told, at most 500 characters. Default: that people stopped it.",
            show_default=False,
        ),
    ] = ""
    restart: Annotated[
        bool, typer.Option("--restart", help="Ask for the restart. The second person restarts it.")
    ] = False
    access: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How you reach review services and databases (docs/stop.md). Default: what `isthmus sandbox serve` "
            "started.",
            show_default=False,
        ),
    ] = None
    person: Person = None
    project: ProjectDir = None
    format: TextOrJson = Format.text


@app.command()
@takes(StopOptions)
def stop(options: StopOptions) -> None:
    """Let the gateways of a stack refuse a workload within 5 s, or with --restart serve it again.

    A restart takes two people: each runs the command with --restart. What was done is shown for each gateway. The
    exit code is 1 if one refuses, 3 if one cannot be reached; the others are stopped nevertheless.
    """
    from isthmus.engine.project import project as projects
    from isthmus.engine.stopping import stopping

    act = _act(options)
    selected = projects.find_project(options.project).stack(options.stack)
    platform = selected.platform()
    stopping.gateways_of(platform, options.workload)  # a wrong name is told before anything else
    results = stopping.act_everywhere(
        selected, platform, act, access_of(selected, options.access, options.person)
    )
    show(options.format, lambda: _as_json(options, results), lambda: _as_text(options, results))
    if error := stopping.joined(results):
        raise error


def _act(options: StopOptions) -> Act:
    from edge.stops.acts import RESTART_REASON
    from edge.stops.stop import MOST_MESSAGE, is_message
    from isthmus.core.errors import InputError
    from isthmus.engine.stopping.ways import Act

    reason = checked_reason(options.reason or (RESTART_REASON if options.restart else ""), "wrong-answers")
    if not is_message(options.message):
        raise InputError(
            f"the message is not one line of at most {MOST_MESSAGE} characters",
            where="--message",
            fix="Shorten it",
        )
    return Act(options.workload, reason, options.message, options.restart)


_OUTCOMES = {
    "stopped": "stopped",
    "already": "was stopped before, and stays so",
    "asked": "STILL STOPPED. You asked for the restart; another person must run the same command within four hours",
    "restarted": "restarted; served again within 5 s",
}


def _as_text(options: StopOptions, results: Sequence[AtGateway]) -> list[str]:
    lines = []
    for result in results:
        place = f"{options.workload} at {result.data_class}, {result.site}"
        if result.done is None:
            lines.append(f"{place}: NOTHING WAS DONE")
            continue
        lines.append(f"{place}: {_OUTCOMES[result.done.outcome]}")
        if options.restart:
            continue
        if result.done.refusing:
            copies = sorted(set(result.done.refusing))
            lines.append(f"  refused by {', '.join(copies)}; every other copy refuses within 5 s")
        elif result.way == "file":
            lines.append("  the gateway refuses within 5 s")
        elif result.way == "secret":
            lines.append(f"  {_of_pods(result.done.woken)} (docs/stop.md)")
    return lines


def _of_pods(woken: int | None) -> str:
    if woken is None:
        return "written; you may not change its pods, so they see it in a minute or two. To be faster, restart them"
    return f"written; {woken} pods see it as soon as kubelet reads the Secret, for which it was asked"


def _as_json(options: StopOptions, results: Sequence[AtGateway]) -> dict[str, Any]:
    return {
        "stack": options.stack,
        "workload": options.workload,
        "act": "restart" if options.restart else "stop",
        "gateways": [
            {
                "class": result.data_class,
                "site": result.site,
                "way": result.way or None,
                "outcome": result.done.outcome if result.done else "failed",
                "id": (result.done.id or None) if result.done else None,
                "refusing": result.done.refusing if result.done else None,
                "error": str(result.error) if result.error else None,
            }
            for result in results
        ],
    }
