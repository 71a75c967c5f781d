"""Finds thresholds of evaluations that became weaker between two commits.

A candidate passes by these thresholds, so a weaker one lets more models answer people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from isthmus.contracts.reports.preview import RuleChange
from isthmus.core import yaml_files
from isthmus.core.errors import IsthmusError
from isthmus.evaluation.definition import FILE, FOLDER, Evaluation, Task


def evaluation_changes(before: Path, after: Path, workloads: Collection[str]) -> Iterator[RuleChange]:
    """Changes of the thresholds of workloads that have an evaluation in the base commit.

    Args:
        before: the project's folder in the base commit.
        after: the project's folder in the branch.
        workloads: names of the stack's workloads.
    """
    for workload in sorted(workloads):
        name = f"{FOLDER}/{workload}/{FILE}"
        base = _read(before / name)
        if base is None:
            continue
        head = _read(after / name)
        if head is None:
            yield _change(name, "evaluation", "there", "gone or not readable", loosens=True)
            continue
        yield from _threshold(f"{name}: min_score", base.min_score, head.min_score, lower_is_weaker=True)
        yield from _task_changes(name, base, head)


def _task_changes(name: str, base: Evaluation, head: Evaluation) -> Iterator[RuleChange]:
    head_tasks = {task.name: task for task in head.tasks}
    for old in base.tasks:
        new, what = head_tasks.get(old.name), f"{name}: task {old.name}"
        if new is None:
            yield _change(what, "", "there", "gone", loosens=True)
            continue
        yield from _threshold(f"{what}: min_score", old.min_score, new.min_score, lower_is_weaker=True)
        yield from _threshold(f"{what}: max_loss", old.max_loss, new.max_loss, lower_is_weaker=False)
        if old.is_safety != new.is_safety:
            yield _change(what, "safety", _yes(old.is_safety), _yes(new.is_safety), loosens=old.is_safety)
        if _scoring(old) != _scoring(new):
            # Whether another check is weaker is not known, so it counts as weaker.
            yield _change(what, "check", _scoring(old), _scoring(new), loosens=True)


def _threshold(
    what: str, old: float | None, new: float | None, *, lower_is_weaker: bool
) -> Iterator[RuleChange]:
    """A changed threshold. None: there is none, which is the weakest."""
    if old == new:
        return
    weaker = new is None or (old is not None and (new < old if lower_is_weaker else new > old))
    yield _change(what, "", _number(old), _number(new), loosens=weaker)


def _change(what: str, field: str, old: str, new: str, *, loosens: bool) -> RuleChange:
    subject = f"{what}: {field}" if field else what
    return RuleChange(kind="rule", what=subject, old=old, new=new, loosens=loosens)


def _read(file: Path) -> Evaluation | None:
    """An evaluation; None if it is missing or cannot be read."""
    try:
        return yaml_files.parse(Evaluation, yaml_files.load(file))
    except IsthmusError:
        return None


def _scoring(task: Task) -> str:
    return f"{task.check}: {task.rubric}" if task.rubric else task.check


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
