"""`isthmus preview STACK...`: shows what `isthmus up` would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from isthmus.cli.options import ProjectDir, StackNames
from isthmus.cli.previews import FailOn, Format, FormatOf, Output

if TYPE_CHECKING:
    from isthmus.engine.preview.preview import Previewed
    from isthmus.engine.project.project import Stack

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def preview(
    stacks: StackNames,
    project: ProjectDir = None,
    format: FormatOf = Format.text,
    fail_on: FailOn = None,
    output: Output = None,
) -> None:
    """Show what `isthmus up` would do to stacks or an estate: changes, findings, cost, data paths.

    Reads live state, so it also finds what others changed; changes nothing. A preview that fails or is incomplete
    says so in every format, and its exit code is not 0. `--format json` gives one object for one stack, and a list for
    several. A Markdown comment of more than 60,000 characters is cut and names the file with the rest.
    """
    from isthmus.cli import previews
    from isthmus.engine.project import project as projects

    root = projects.find_project(project)
    report = previews.make_report(format, output, fail_on, root.root)
    selected = root.chosen(stacks)
    files = {stack.name: stack.config_file.relative_to(root.root).as_posix() for stack in selected}
    report.give(_previewed(selected), files, selected[0].family)


def _previewed(selected: Sequence[Stack]) -> list[Previewed]:
    from isthmus.cli.progress import Progress
    from isthmus.engine.foreign import preview as previewing

    with Progress() as progress:
        return [previewing.preview(stack, say=progress.say, watcher=progress) for stack in selected]
