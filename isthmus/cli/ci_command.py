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
    """Show what the checkout changes against a base commit, without engine, network or credentials.

    Each version is rendered by its own code. The branch cannot relax its own rules: rules, silences, handling and
    classes are also read from the base commit, and a change is refused if either version refuses it. Rules that the
    branch relaxes are listed first, as findings that it cannot silence. The exit codes are those of `isthmus preview`.
    """
    from isthmus.cli import previews
    from isthmus.cli.progress import Progress
    from isthmus.engine.project import project as projects
    from isthmus.engine.pull_request import pull_request as comparison

    root = projects.find_project(project)
    report = previews.asked(format, output, fail_on, root.root)
    with Progress() as progress:
        found = comparison.previews(root, stacks, base, say=progress.say)
    names = [each.preview.stack for each in found]
    files = {
        each: (root.stacks_dir / f"Pulumi.{each}.yaml").relative_to(root.root).as_posix() for each in names
    }
    report.give(found, files, stacks[0])
