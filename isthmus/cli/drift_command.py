"""`isthmus drift STACK...`: shows changes made outside Isthmus."""

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
            " gone, foreign, undecided. May be given several times; default: drift, undecided.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Show what differs from the last `up`: changed, added or deleted resources, and objects that others manage.

    Reads clusters and accounts; changes nothing, not even the state. Lists what it could not read, and then the exit
    code is not 0. `--format json` gives one object for one stack, and a list for several.
    """
    from isthmus.cli.previews import check_writable
    from isthmus.engine.project import project as projects
    from isthmus.reports.drift import thresholds as drift_thresholds

    thresholds = drift_thresholds.parse(fail_on if fail_on else drift_thresholds.DEFAULT)
    root = projects.find_project(project)
    selected = root.chosen(stacks)
    if output is not None:
        check_writable(output)
    results = _find_drifts(selected)
    drifts = [result.drift for result in results]
    _write_report(drifts, format, output, root, selected)
    _raise_outcome(results, drift_thresholds.reasons_to_fail(drifts, thresholds))


def _find_drifts(selected: Sequence[Stack]) -> list[DriftResult]:
    from isthmus.cli.progress import Progress
    from isthmus.engine.drift import drift as drifting

    with Progress() as progress:
        return [drifting.find_drift(stack, say=progress.say, watcher=progress) for stack in selected]


def _write_report(
    drifts: Sequence[Drift], format: Format, output: Path | None, root: Project, selected: Sequence[Stack]
) -> None:
    from isthmus.cli import previews

    def renderables() -> Iterable[RenderableType]:
        from isthmus.reports.drift import text as drift_text

        return drift_text.renderables(drifts)

    is_text = format is Format.text
    previews.write_or_print(
        lambda: _text(drifts, format, output, root, selected), output, renderables if is_text else None
    )


def _text(
    drifts: Sequence[Drift], format: Format, output: Path | None, root: Project, selected: Sequence[Stack]
) -> str:
    from isthmus.cli import previews

    if format is Format.text:
        from isthmus.reports.drift import text as drift_text

        return drift_text.text(drifts)
    if format is Format.markdown:
        from isthmus.reports.drift import markdown

        return previews.markdown_comment(
            lambda file_name: markdown.comment(drifts, file_name),
            (lambda: markdown.full_comment(drifts)) if markdown.needs_rest(drifts) else None,
            output,
            root.root,
            f"drift-{selected[0].family}",
        )
    if format is Format.sarif:
        from isthmus.reports.drift import sarif as drift_sarif

        files = {stack.name: stack.config_file.relative_to(root.root).as_posix() for stack in selected}
        return drift_sarif.log(drifts, files)
    return previews.as_json(drifts)


def _raise_outcome(results: Sequence[DriftResult], met_thresholds: Sequence[str]) -> None:
    """Raise the error for the exit code: a failed search, then a met threshold, then unreadable resources."""
    from isthmus.core.errors import EnvironmentFault, Refused

    for result in results:
        if result.error is not None:
            raise result.error
    if met_thresholds:
        raise Refused(f"the stack has drifted: {'; '.join(met_thresholds)}", where="--fail-on")
    for result in results:
        errors = [
            diagnostic.message for diagnostic in result.drift.diagnostics if diagnostic.severity == "error"
        ]
        errors += [
            f"{unseen.what} ({unseen.where}) could not be read: {unseen.why}"
            for unseen in result.drift.unseen
        ]
        if errors:
            raise EnvironmentFault(
                errors[0] + (f", and {len(errors) - 1} more" if len(errors) > 1 else ""),
                where=f"stack {result.drift.stack}",
                fix="Grant the caller read access, then run the same command again",
            )
