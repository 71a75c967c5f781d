"""`up` and `destroy` of several stacks or an estate: runs them in parallel, then prints one summary."""

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


def single_whole_stack(project: Project, names: Sequence[str]) -> Stack | None:
    """The selected stack, if it is a single one that builds a whole platform; otherwise None."""
    selected = project.chosen(names)
    return selected[0] if len(selected) == 1 and selected[0].member is None else None


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
    """Build stacks. Raises `typer.Exit` with the exit code of the first failure."""
    from isthmus.cli import console
    from isthmus.cli.asking import confirm
    from isthmus.engine.run import approval, multi_stack
    from isthmus.reports.stack import summary as stack_summary

    stacks = project.chosen(names)
    approvals = approval.parse_approvals(approved, [stack.name for stack in stacks]) if approved else {}
    platforms = {stack.name: stack.platform() for stack in stacks}
    confirm(f"Build {_stack_list(stacks)}?", yes)
    planned_tasks = multi_stack.build_tasks(
        stacks, "up", in_place=in_place, answers=answers, approvals=approvals
    )
    _check_estates(stacks, platforms, in_place=in_place)
    _check_approvals(stacks, approvals)
    tasks = _run_tasks(planned_tasks, parallel)
    out = console.out()
    _table(out, stacks, tasks, "up")
    for estate_tasks in _whole_estates(stacks, tasks):
        out.print(
            f"\nThe platform {platforms[estate_tasks[0].stack].name} is up.\n", style="bold", markup=False
        )
        outputs = {
            key: value for task in estate_tasks for key, value in task.result.get("outputs", {}).items()
        }
        for part in stack_summary.build_summary(platforms[estate_tasks[0].stack], outputs):
            out.print(part)
    _report_failures(tasks)


def take_down(project: Project, names: Sequence[str], *, yes: bool, parallel: int, answers: Answers) -> None:
    """Destroy stacks, the highest layer first. Raises `typer.Exit` with the exit code of the first failure."""
    from isthmus.cli import console
    from isthmus.cli.asking import confirm
    from isthmus.engine.run import multi_stack

    stacks = list(reversed(project.chosen(names)))
    confirm(f"Destroy {_stack_list(stacks)}, with every model, gateway and queue of them?", yes)
    tasks = _run_tasks(multi_stack.build_tasks(stacks, "destroy", answers=answers), parallel)
    out = console.out()
    _table(out, stacks, tasks, "destroyed")
    retained = [line for task in tasks for line in task.result.get("retained", [])]
    keys = [line for task in tasks for line in task.result.get("pending_keys", [])]
    for title, lines in (
        ("Retained on purpose:", retained),
        ("Keys that AWS deletes after their waiting period:", keys),
    ):
        if lines:
            out.print(title, style="bold")
            for line in lines:
                out.print(f"  {line}", markup=False)
    if not retained and not keys and all(task.state == "done" for task in tasks):
        out.print("Nothing is left.")
    _report_failures(tasks)


def _check_estates(stacks: Sequence[Stack], platforms: dict[str, Platform], *, in_place: bool) -> None:
    """Check each estate's files, boundaries and deployed models before any stack is changed."""
    from isthmus.cli.progress import Progress
    from isthmus.engine.estate import layers as estate_layers
    from isthmus.engine.project.prerequisites import run_environment
    from isthmus.engine.run import preflight

    estate_layers.check_same_location(stacks)
    estates: dict[str, list[Stack]] = {}
    for stack in stacks:
        if stack.member is not None:
            estates.setdefault(stack.member.estate, []).append(stack)
    with Progress() as progress:
        for name, estate_stacks in estates.items():
            preflight.check_files(estate_stacks[0], platforms[estate_stacks[0].name], progress.say)
            progress.say(f"estate {name}: the plan, the blueprint and the overrides are valid")
            states: dict[str, dict[str, Any]] = {}
            with run_environment(estate_stacks[0]):
                for stack in estate_stacks:
                    estate_layers.before_up(stack, platforms[stack.name], in_place=in_place, states=states)


def _check_approvals(stacks: Sequence[Stack], approvals: Mapping[str, Approval]) -> None:
    """Check all approvals before any stack is changed. Each stack's own run checks its approval again."""
    if not approvals:
        return
    from isthmus.cli.progress import Progress
    from isthmus.engine.run import approved_run
    from isthmus.engine.state.locks import exclusive_stack_run

    with Progress() as progress:
        for stack in stacks:
            with exclusive_stack_run(stack):
                approved_run.check_approved(stack, approvals[stack.name], progress.say, progress)


def _run_tasks(tasks: list[Task], parallel: int) -> list[Task]:
    from isthmus.cli.fleet_progress import FleetProgress
    from isthmus.engine.run import multi_stack

    with FleetProgress(tasks) as progress:
        return list(multi_stack.run(tasks, parallel, progress))


def _stack_list(stacks: Sequence[Stack]) -> str:
    labels = [stack.name if stack.member is None else f"{stack.name} ({stack.layer})" for stack in stacks]
    return (
        f"{len(labels)} stacks in the order of their layers: {', '.join(labels)}"
        if len(labels) > 1
        else labels[0]
    )


def _table(out: Any, stacks: Sequence[Stack], tasks: Sequence[Task], done: str) -> None:
    from isthmus.reports.stack import summary as stack_summary

    layers = {stack.name: stack.layer for stack in stacks}
    out.print()
    for task in tasks:
        outcome = (
            f"{done}: {stack_summary.counts_line(task.result['counts'], task.result['seconds'])}"
            if (task.state == "done")
            else f"{task.state}, {task.error}"
            if task.state == "not started"
            else task.state
        )
        layer = "" if layers[task.stack] == "all" else f" ({layers[task.stack]})"
        out.print(f"{task.stack}{layer}: {outcome}", markup=False)
        for urn, properties in sorted(task.result.get("replacements", {}).items()):
            from isthmus.engine.automation.events import resource_label

            out.print(
                f"  Replaced: {resource_label(urn)}, because of {', '.join(properties) or 'its provider'}",
                markup=False,
            )
        for line in task.result.get("set_back", []):
            out.print(f"  Set back: {line}", markup=False)


def _whole_estates(stacks: Sequence[Stack], tasks: Sequence[Task]) -> list[list[Task]]:
    """The tasks of each estate whose stacks were all built in this run."""
    by_name = {task.stack: task for task in tasks}
    tasks_by_estate: dict[str, list[Task]] = {}
    for stack in stacks:
        if stack.estate is not None and stack.estate.name not in tasks_by_estate:
            estate_tasks = [
                by_name[member.stack] for member in stack.estate.members if member.stack in by_name
            ]
            if len(estate_tasks) == len(stack.estate.members) and all(
                task.state == "done" for task in estate_tasks
            ):
                tasks_by_estate[stack.estate.name] = estate_tasks
    return list(tasks_by_estate.values())


def _report_failures(tasks: Sequence[Task]) -> None:
    """Print each failure as one paragraph, and exit with the first code. Does nothing if all succeeded."""
    import sys

    failed = [task for task in tasks if task.state == "failed"]
    for task in failed:
        names_stack = task.error.startswith(f"stack {task.stack}:")
        print(f"isthmus: {task.error if names_stack else f'{task.stack}: {task.error}'}", file=sys.stderr)
    if failed:
        raise typer.Exit(failed[0].code)
