"""`up` and `destroy` of several stacks, or of an estate's: side by side, then one summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Project, Stack
    from isthmus.engine.recovery.recovery import Answers
    from isthmus.engine.run.approval import Approval
    from isthmus.engine.run.multi_stack import Task

Parallel = Annotated[
    int,
    typer.Option("--parallel", metavar="N", help="How many stacks at a time.", min=1, max=64),
]


def one_alone(project: Project, names: Sequence[str]) -> Stack | None:
    """The stack that was asked for, where it is one and owns all of its platform."""
    found = project.chosen(names)
    return found[0] if len(found) == 1 and found[0].member is None else None


def build(
    project: Project,
    names: Sequence[str],
    *,
    yes: bool,
    parallel: int,
    in_place: bool,
    answers: Answers,
    approved: str | None = None,
) -> None:
    """`up`; raises `typer.Exit` with the first failure's exit code."""
    from isthmus.cli import console
    from isthmus.cli.asking import confirm
    from isthmus.engine.run import approval, multi_stack
    from isthmus.reports.stack import summary as stack_summary

    stacks = project.chosen(names)
    approvals = approval.parse_approvals(approved, [each.name for each in stacks]) if approved else {}
    platforms = {each.name: each.platform() for each in stacks}
    confirm(f"Build {_listed(stacks)}?", yes)
    asked = multi_stack.build_tasks(stacks, "up", in_place=in_place, answers=answers, approvals=approvals)
    _checked(stacks, platforms, in_place=in_place)
    _held(stacks, approvals)
    tasks = _run(asked, parallel)
    out = console.out()
    _table(out, stacks, tasks, "up")
    for one in _whole_estates(stacks, tasks):
        out.print(f"\nThe platform {platforms[one[0].stack].name} is up.\n", style="bold", markup=False)
        said = {key: value for task in one for key, value in task.result.get("outputs", {}).items()}
        for part in stack_summary.build_summary(platforms[one[0].stack], said):
            out.print(part)
    _end(tasks)


def take_down(project: Project, names: Sequence[str], *, yes: bool, parallel: int, answers: Answers) -> None:
    """`destroy`, the highest layer first; raises `typer.Exit` with the first failure's exit code."""
    from isthmus.cli import console
    from isthmus.cli.asking import confirm
    from isthmus.engine.run import multi_stack

    stacks = list(reversed(project.chosen(names)))
    confirm(f"Destroy {_listed(stacks)}, with every model, gateway and queue of them?", yes)
    tasks = _run(multi_stack.build_tasks(stacks, "destroy", answers=answers), parallel)
    out = console.out()
    _table(out, stacks, tasks, "destroyed")
    kept = [line for task in tasks for line in task.result.get("retained", [])]
    keys = [line for task in tasks for line in task.result.get("pending_keys", [])]
    for title, lines in (
        ("Retained on purpose:", kept),
        ("Keys that AWS deletes after their waiting period:", keys),
    ):
        if lines:
            out.print(title, style="bold")
            for line in lines:
                out.print(f"  {line}", markup=False)
    if not kept and not keys and all(task.state == "done" for task in tasks):
        out.print("Nothing is left.")
    _end(tasks)


def _checked(stacks: Sequence[Stack], platforms: dict[str, Platform], *, in_place: bool) -> None:
    """What can be refused before any stack is touched: each estate's files and boundaries, and what stands in it."""
    from isthmus.cli.progress import Progress
    from isthmus.engine.estate import layers as estate_layers
    from isthmus.engine.project.prerequisites import run_environment
    from isthmus.engine.run import preflight

    estate_layers.check_same_location(stacks)
    estates: dict[str, list[Stack]] = {}
    for each in stacks:
        if each.member is not None:
            estates.setdefault(each.member.estate, []).append(each)
    with Progress() as progress:
        for name, mine in estates.items():
            preflight.check_files(mine[0], platforms[mine[0].name], progress.say)
            progress.say(f"estate {name}: the plan, the blueprint and the overrides are valid")
            states: dict[str, dict[str, Any]] = {}
            with run_environment(mine[0]):
                for each in mine:
                    estate_layers.before_up(each, platforms[each.name], in_place=in_place, states=states)


def _held(stacks: Sequence[Stack], approvals: Mapping[str, Approval]) -> None:
    """What was approved is what would be done, of all of them before one is touched; each is held to it again."""
    if not approvals:
        return
    from isthmus.cli.progress import Progress
    from isthmus.engine.run import approved_run
    from isthmus.engine.state.locks import exclusive_stack_run

    with Progress() as progress:
        for each in stacks:
            with exclusive_stack_run(each):
                approved_run.check_approved(each, approvals[each.name], progress.say, progress)


def _run(tasks: list[Task], parallel: int) -> list[Task]:
    from isthmus.cli.fleet_progress import FleetProgress
    from isthmus.engine.run import multi_stack

    with FleetProgress(tasks) as progress:
        return list(multi_stack.run(tasks, parallel, progress))


def _listed(stacks: Sequence[Stack]) -> str:
    parts = [each.name if each.member is None else f"{each.name} ({each.layer})" for each in stacks]
    return (
        f"{len(parts)} stacks in the order of their layers: {', '.join(parts)}"
        if len(parts) > 1
        else parts[0]
    )


def _table(out: Any, stacks: Sequence[Stack], tasks: Sequence[Task], done: str) -> None:
    from isthmus.reports.stack import summary as stack_summary

    layers = {each.name: each.layer for each in stacks}
    out.print()
    for task in tasks:
        said = (
            f"{done}: {stack_summary.counts_line(task.result['counts'], task.result['seconds'])}"
            if (task.state == "done")
            else f"{task.state}, {task.error}"
            if task.state == "not started"
            else task.state
        )
        layer = "" if layers[task.stack] == "all" else f" ({layers[task.stack]})"
        out.print(f"{task.stack}{layer}: {said}", markup=False)
        for urn, because in sorted(task.result.get("replacements", {}).items()):
            from isthmus.engine.automation.events import resource_label

            out.print(
                f"  Replaced: {resource_label(urn)}, because of {', '.join(because) or 'its provider'}",
                markup=False,
            )


def _whole_estates(stacks: Sequence[Stack], tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks of each estate of which every stack was built in this run."""
    by_name = {task.stack: task for task in tasks}
    found: dict[str, list[Task]] = {}
    for each in stacks:
        if each.estate is not None and each.estate.name not in found:
            mine = [by_name[one.stack] for one in each.estate.members if one.stack in by_name]
            if len(mine) == len(each.estate.members) and all(task.state == "done" for task in mine):
                found[each.estate.name] = mine
    return list(found.values())


def _end(tasks: Sequence[Task]) -> None:
    """Each failure as a paragraph of its own, as a single stack's is; nothing where all went well."""
    import sys

    failed = [task for task in tasks if task.state == "failed"]
    for task in failed:
        own = task.error.startswith(f"stack {task.stack}:")
        print(f"isthmus: {task.error if own else f'{task.stack}: {task.error}'}", file=sys.stderr)
    if failed:
        raise typer.Exit(failed[0].code)
