"""`isthmus ci STACK... --base COMMIT`: what a branch changes, as the comment of its pull request."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.cli.options import ProjectDir, StackNames
from isthmus.cli.previews import FailOn, Format, FormatOf, Output

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def ci(
    stacks: StackNames,
    base: Annotated[
        str,
        typer.Option(
            "--base",
            metavar="COMMIT",
            help="The commit to compare with and to be judged by, e.g. origin/main.",
            show_default=False,
        ),
    ],
    project: ProjectDir = None,
    format: FormatOf = Format.text,
    fail_on: FailOn = None,
    output: Output = None,
) -> None:
    """Say what the checkout changes against a commit: no engine, no credentials, no network, no secrets.

    Both are rendered, each by its own code. The branch does not judge itself: rules, silences, handling and classes are
    read from the base commit as well, and what either refuses is refused. What the branch loosens of them comes first,
    and is a finding that the branch cannot silence. Ends as `isthmus preview` does.
    """
    from isthmus.cli import previews
    from isthmus.cli.progress import Progress
    from isthmus.engine import ci as comparison
    from isthmus.engine import project as projects

    root = projects.find(project)
    report = previews.asked(format, output, fail_on, root.root)
    with Progress() as progress:
        found = comparison.previews(root, stacks, base, say=progress.say)
    names = [each.preview.stack for each in found]
    files = {
        each: (root.stacks_dir / f"Pulumi.{each}.yaml").relative_to(root.root).as_posix() for each in names
    }
    report.give(found, files, stacks[0])
