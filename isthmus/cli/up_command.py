"""`isthmus up STACK...`: builds or updates stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.answering import MadeIds, NotMade
from isthmus.cli.options import ProjectDir, StackNames
from isthmus.cli.several import Parallel

if TYPE_CHECKING:
    from isthmus.engine.project.project import Stack
    from isthmus.engine.run.up_and_destroy import Built

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Required without a terminal.")]
InPlace = Annotated[
    bool,
    typer.Option(
        "--replace-in-place",
        help="If the plan moves workloads and the GPUs cannot hold old and new endpoints side by side: remove the old"
        " endpoints first. Their workloads get no answers until the new ones serve.",
    ),
]
Approved = Annotated[
    str | None,
    typer.Option(
        "--approved",
        metavar="DIGEST_OR_FILE",
        help="Apply only the approved change: the digest of a preview, or the file of `isthmus preview --format json`."
        " If a fresh preview differs, nothing is changed and the exit code is 1.",
        show_default=False,
    ),
]


@app.command()
def up(
    stacks: StackNames,
    project: ProjectDir = None,
    yes: Yes = False,
    made: MadeIds = None,
    not_made: NotMade = None,
    replace_in_place: InPlace = False,
    parallel: Parallel = 4,
    approved: Approved = None,
) -> None:
    """Build stacks or an estate, or bring them back to their plans; several run side by side.

    Reads live state first, and repairs what others changed. Progress goes to stderr, the summary to stdout. If an
    earlier run was interrupted, it first looks for resources that were created but not recorded; --made and --not-made
    answer for those that it cannot find. A plan that moves workloads without room for old and new replicas needs
    --replace-in-place; --yes does not consent to that.

    In an estate, a layer is built after the layers below it. If a stack fails, stacks that need it are not started and
    the others continue; the exit code is that of the first failure.
    """
    from isthmus.cli import several
    from isthmus.cli.answering import parse_answers
    from isthmus.cli.asking import confirm
    from isthmus.cli.progress import Progress
    from isthmus.engine.project import project as projects
    from isthmus.engine.run import approval, up_and_destroy

    parsed_answers = parse_answers(made, not_made)
    root = projects.find_project(project)
    single_stack = several.single_whole_stack(root, stacks)
    if single_stack is None:
        several.build(
            root,
            stacks,
            yes=yes,
            parallel=parallel,
            in_place=replace_in_place,
            answers=parsed_answers,
            approved=approved,
        )
        return
    stack = single_stack.name
    parsed_approval = approval.parse_approvals(approved, [stack])[stack] if approved else None
    platform = single_stack.platform()
    gpus = sum(endpoint.gpus for endpoint in platform.endpoints)
    confirm(
        f"Build stack {stack}: {len(platform.endpoints)} endpoints on {gpus} GPUs and AWS,"
        f" {len(platform.gateways)} gateways?",
        yes,
    )
    with Progress() as progress:
        built = up_and_destroy.up(
            single_stack,
            say=progress.say,
            watcher=progress,
            answers=parsed_answers,
            in_place=replace_in_place,
            approval=parsed_approval,
        )
    _show(single_stack, built)


def _show(stack: Stack, built: Built) -> None:
    """Print what was built, what was replaced and the next steps to stdout."""
    from isthmus.cli import console
    from isthmus.engine.automation.events import resource_label
    from isthmus.engine.project import prerequisites
    from isthmus.reports.stack import summary as stack_summary

    out = console.out()
    out.print(f"\nThe platform {built.platform.name} is up ({stack.name}).\n", style="bold", markup=False)
    for part in stack_summary.build_summary(built.platform, built.outputs):
        out.print(part)
    out.print()
    for urn, properties in sorted(built.replacements.items()):
        out.print(
            f"Replaced: {resource_label(urn)}, because of {', '.join(properties) or 'its provider'}",
            markup=False,
        )
    for line in built.set_back:
        out.print(f"Set back: {line}", markup=False)
    out.print(f"Resources: {stack_summary.counts_line(built.counts, built.seconds)}", markup=False)
    out.print("\nNext", style="bold")
    for step in stack_summary.next_steps(stack.name, in_sandbox=prerequisites.is_sandbox(stack)):
        out.print(f"  {step}", markup=False)
