"""The result of an evaluation, as lines of text (`isthmus evaluate`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.reports.format.escaping import visible

if TYPE_CHECKING:
    from isthmus.contracts.evaluation_result import (
        EvaluationResult,
        Measured,
        Measures,
        SliceResult,
        Subject,
        TaskResult,
    )


def evaluation_lines(result: EvaluationResult) -> list[str]:
    """Return the result: the verdict first, then tasks, slices, and what did not count."""
    lines = [
        f"evaluation of {result.workload} ({result.sensitivity}) in {result.stack}: {result.verdict.upper()}"
    ]
    lines.append(f"  {result.why}")
    if result.stand_ins:
        lines.append("  of no use for a plan: the sandbox's stand-ins answered, not these models")
    elif not result.official:
        lines.append(
            "  for development: no evaluator of trust.yaml signed it, or it ran in a sandbox or not to its end"
        )
    lines += ["", *_subject_lines("in use", result.serving, result.score_serving)]
    lines += _subject_lines("candidate", result.candidate, result.score_candidate)
    lines.append(f"  asked and scored by {result.runner}")
    for task in result.tasks:
        lines += ["", *_task_lines(task)]
    if result.slices:
        lines += ["", "by property of the cases:"]
        lines += [_slice_line(part) for part in result.slices]
    if result.excluded:
        lines += ["", f"{len(result.excluded)} cases did not count:"]
        lines += [
            f"  {entry.case} repeats {entry.of}" if entry.of else f"  {entry.case} is in the training data"
            for entry in result.excluded[:10]
        ]
        if len(result.excluded) > 10:
            lines.append(f"  and {len(result.excluded) - 10} more")
    return [visible(line) for line in lines]


def span(measured: Measured) -> str:
    """Return a score with its 95 % interval."""
    return f"{measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"


def _subject_lines(name: str, subject: Subject | None, score: Measured | None) -> list[str]:
    if subject is None:
        return []
    precision = f", {subject.precision}" if subject.precision else ""
    adapter = f", adapter {subject.adapter}" if subject.adapter else ""
    line = f"  {name:9}  {subject.model}{precision}{adapter} at {subject.endpoint}"
    return [f"{line}: score {span(score)}" if score else line]


def _task_lines(task: TaskResult) -> list[str]:
    safety = ", safety" if task.safety else ""
    lines = [f"{task.name} ({task.check}{safety}): {task.verdict}, {task.why}"]
    if task.cases_needed:
        lines.append(f"  about {task.cases_needed} cases would decide it")
    for name, measures in (("in use", task.serving), ("candidate", task.candidate)):
        if measures is not None:
            lines.append(f"  {name:9}  {_measures(measures)}")
    if (paired := task.paired) is not None:
        p = "" if paired.p is None else f", p = {paired.p:.3f} (McNemar)"
        difference = paired.difference
        lines.append(
            f"  difference {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}):"
            f" {paired.better} better, {paired.worse} worse of {paired.cases}{p}"
        )
    return lines


def _measures(measures: Measures) -> str:
    tokens = (measures.prompt_tokens + measures.completion_tokens) / measures.cases
    codes = ", ".join(f"{count} times {code}" for code, count in measures.errors.items())
    errors = f", {sum(measures.errors.values())} without an answer ({codes})" if measures.errors else ""
    cost = "" if measures.usd_per_case is None else f", USD {measures.usd_per_case:.5f} a case"
    return (
        f"{span(measures.score)} in {measures.cases} cases{errors}; p50 {measures.seconds_p50:.2f} s,"
        f" p95 {measures.seconds_p95:.2f} s, {tokens:.0f} tokens a case{cost}"
    )


def _slice_line(part: SliceResult) -> str:
    scores = [
        f"{name} {span(score)}"
        for name, score in (("in use", part.serving), ("candidate", part.candidate))
        if score
    ]
    return f"  {part.name} {part.value} ({part.cases} cases): {', '.join(scores)}"
