"""`isthmus destroy STACK...`."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.cli.answering import MadeIds, NotMade
from isthmus.cli.options import ProjectDir, StackNames
from isthmus.cli.several import Parallel

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def destroy(
    stacks: StackNames,
    project: ProjectDir = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask. Required without a terminal.")
    ] = False,
    made: MadeIds = None,
    not_made: NotMade = None,
    parallel: Parallel = 4,
) -> None:
    """Take a stack down, and list what it retains on purpose. Of an estate, the highest layer goes first."""
    from isthmus.cli import console, several
    from isthmus.cli.answering import answers
    from isthmus.cli.asking import confirm
    from isthmus.cli.progress import Progress
    from isthmus.engine.project import project as projects
    from isthmus.engine.run import up_and_destroy
    from isthmus.reports.stack import summary as stack_summary

    found = answers(made, not_made)
    root = projects.find_project(project)
    chosen = several.one_alone(root, stacks)
    if chosen is None:
        several.take_down(root, stacks, yes=yes, parallel=parallel, answers=found)
        return
    stack = chosen.name
    confirm(f"Destroy stack {stack}, with every model, gateway and queue of it?", yes)
    with Progress() as progress:
        gone = up_and_destroy.destroy(chosen, say=progress.say, watcher=progress, answers=found)
    out = console.out()
    out.print(
        f"Stack {stack} is destroyed: {stack_summary.counts_line(gone.counts, gone.seconds)}.", markup=False
    )
    if gone.retained:
        out.print("Left on purpose:", style="bold")
        for each in gone.retained:
            out.print(f"  {each}", markup=False, soft_wrap=True)
        again = {each.name: each.known_as for each in gone.retained if each.known_as}
        if again:
            out.print(
                "No stack owns these any more: delete them by hand when nobody needs them. With `lifecycle:"
                " disposable` records and models go with a stack (docs/stacks.md).",
                markup=False,
                soft_wrap=True,
            )
            out.print("To take them over should this stack come up again, in its overrides:", style="bold")
            out.print("  imports:", markup=False)
            for name, known_as in again.items():
                out.print(f"    {name}: {known_as}", markup=False, soft_wrap=True)
    if gone.pending_keys:
        out.print("Keys that AWS deletes after their waiting period:", style="bold")
        for each in gone.pending_keys:
            out.print(f"  {each}", markup=False)
    if not gone.retained and not gone.pending_keys:
        out.print("Nothing is left.")
