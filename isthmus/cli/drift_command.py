"""`isthmus drift STACK...`: changes made outside Isthmus, for a person, a nightly job or a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackNames
from isthmus.cli.previews import Output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from isthmus.contracts.reports.drift import Drift
    from isthmus.engine.drift.drift import DriftResult
    from isthmus.engine.project.project import Project, Stack

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    markdown = "markdown"
    sarif = "sarif"


@app.command()
def drift(
    stacks: StackNames,
    project: ProjectDir = None,
    format: Annotated[Format, typer.Option("--format", help="text, json, markdown or sarif.")] = Format.text,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="WHAT",
            help="Exit with 1 on: drift (any change that the platform did not ask for), critical, high, medium,"
            " gone, foreign, undecided. May be said several times; default: drift, undecided.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Show what differs from the last `up`: changed, added or deleted resources, and objects that others manage.

    Reads clusters and accounts; changes nothing, not even the state. Lists what it could not read, and then the exit
    code is not 0. `--format json` gives one object for one stack, and a list for several.
    """
    from isthmus.cli.previews import writable
    from isthmus.engine.project import project as projects
    from isthmus.reports.drift import thresholds as drift_thresholds

    asked = drift_thresholds.parse(fail_on if fail_on else drift_thresholds.DEFAULT)
    root = projects.find_project(project)
    chosen = root.chosen(stacks)
    if output is not None:
        writable(output)
    found = _looked(chosen)
    drifts = [each.drift for each in found]
    _give(drifts, format, output, root, chosen)
    _end(found, drift_thresholds.reasons_to_fail(drifts, asked))


def _looked(chosen: Sequence[Stack]) -> list[DriftResult]:
    from isthmus.cli.progress import Progress
    from isthmus.engine.drift import drift as drifting

    with Progress() as progress:
        return [drifting.find_drift(each, say=progress.say, watcher=progress) for each in chosen]


def _give(
    drifts: Sequence[Drift], format: Format, output: Path | None, root: Project, chosen: Sequence[Stack]
) -> None:
    from isthmus.cli import previews

    def parts() -> Iterable[RenderableType]:
        from isthmus.reports.drift import text as drift_text

        return drift_text.renderables(drifts)

    plain = format is Format.text
    previews.put(lambda: _text(drifts, format, output, root, chosen), output, parts if plain else None)


def _text(
    drifts: Sequence[Drift], format: Format, output: Path | None, root: Project, chosen: Sequence[Stack]
) -> str:
    from isthmus.cli import previews

    if format is Format.text:
        from isthmus.reports.drift import text as drift_text

        return drift_text.text(drifts)
    if format is Format.markdown:
        from isthmus.reports.drift import markdown

        return previews.comment(
            lambda called: markdown.comment(drifts, called),
            (lambda: markdown.full_comment(drifts)) if markdown.needs_rest(drifts) else None,
            output,
            root.root,
            f"drift-{chosen[0].family}",
        )
    if format is Format.sarif:
        from isthmus.reports.drift import sarif as drift_sarif

        files = {each.name: each.config_file.relative_to(root.root).as_posix() for each in chosen}
        return drift_sarif.log(drifts, files)
    return previews.as_json(drifts)


def _end(found: Sequence[DriftResult], why: Sequence[str]) -> None:
    """Raise what the exit code says: what failed, then what was found, then what could not be looked at."""
    from isthmus.core.errors import EnvironmentFault, Refused

    for each in found:
        if each.error is not None:
            raise each.error
    if why:
        raise Refused(f"what stands is not what was built: {'; '.join(why)}", where="--fail-on")
    for each in found:
        lost = [one.message for one in each.drift.diagnostics if one.severity == "error"]
        lost += [f"{one.what} ({one.where}) could not be looked at: {one.why}" for one in each.drift.unseen]
        if lost:
            raise EnvironmentFault(
                lost[0] + (f", and {len(lost) - 1} more" if len(lost) > 1 else ""),
                where=f"stack {each.drift.stack}",
                fix="Let the account that looks for drift read it, then run the same command again",
            )
