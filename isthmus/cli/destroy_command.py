"""`isthmus destroy STACK...`: destroys stacks, and lists what is retained."""

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
    from isthmus.cli.answering import parse_answers
    from isthmus.cli.asking import confirm
    from isthmus.cli.progress import Progress
    from isthmus.engine.project import project as projects
    from isthmus.engine.run import up_and_destroy
    from isthmus.reports.stack import summary as stack_summary

    parsed_answers = parse_answers(made, not_made)
    root = projects.find_project(project)
    single_stack = several.single_whole_stack(root, stacks)
    if single_stack is None:
        several.take_down(root, stacks, yes=yes, parallel=parallel, answers=parsed_answers)
        return
    stack = single_stack.name
    confirm(f"Destroy stack {stack}, with every model, gateway and queue of it?", yes)
    with Progress() as progress:
        destroyed = up_and_destroy.destroy(
            single_stack, say=progress.say, watcher=progress, answers=parsed_answers
        )
    out = console.out()
    out.print(
        f"Stack {stack} is destroyed: {stack_summary.counts_line(destroyed.counts, destroyed.seconds)}.",
        markup=False,
    )
    if destroyed.retained:
        out.print("Retained on purpose:", style="bold")
        for resource in destroyed.retained:
            out.print(f"  {resource}", markup=False, soft_wrap=True)
        adoptable = {resource.name: resource.known_as for resource in destroyed.retained if resource.known_as}
        if adoptable:
            out.print(
                "No stack manages these any more; delete them by hand when they are no longer needed. With"
                " `lifecycle: disposable`, a stack deletes records and models too (docs/stacks.md).",
                markup=False,
                soft_wrap=True,
            )
            out.print("To adopt them when the stack is deployed again, add to its overrides:", style="bold")
            out.print("  imports:", markup=False)
            for name, known_as in adoptable.items():
                out.print(f"    {name}: {known_as}", markup=False, soft_wrap=True)
    if destroyed.pending_keys:
        out.print("Keys that AWS deletes after their waiting period:", style="bold")
        for key in destroyed.pending_keys:
            out.print(f"  {key}", markup=False)
    if not destroyed.retained and not destroyed.pending_keys:
        out.print("Nothing is left.")
