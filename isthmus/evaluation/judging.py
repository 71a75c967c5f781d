"""Computes the result of an evaluation from what each case brought, and judges it by the thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from isthmus.contracts.evaluation_result import (
    Comparison,
    EvaluationResult,
    Excluded,
    Measured,
    Measures,
    Outcome,
    SliceResult,
    Subject,
    TaskResult,
    Verdict,
)
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.evaluation.cases import Case
from isthmus.evaluation.definition import Loaded, Task
from isthmus.evaluation.outcomes import VERSIONS, CaseOutcome, Version
from isthmus.evaluation.statistics import Interval, Paired, cases_to_show, compare, mean_score


@dataclass(frozen=True)
class Run:
    """What a run evaluated, and what it knows beside the outcomes."""

    stack: str
    workload: str
    sensitivity: Sensitivity
    subjects: Mapping[Version, Subject]
    usd_per_token: Mapping[Version, tuple[float, float]]
    """USD of a token of a prompt and of an answer. A version without a price is absent."""
    runner: str
    official: bool
    """Whether a trusted evaluator runs it, on a platform that is not a sandbox."""
    evaluated_by: str | None
    """Public key of who evaluates. None: the result will not be signed."""
    stand_ins: bool
    """Whether the sandbox answered, in place of the models."""


@dataclass(frozen=True)
class _Answered:
    """A case that counts, and its outcome by version."""

    task: Task
    case: Case
    by_version: Mapping[Version, CaseOutcome]

    @property
    def group(self) -> str:
        return self.case.group or f"case {self.case.id}"


def judge(loaded: Loaded, run: Run, outcomes: Sequence[CaseOutcome]) -> EvaluationResult:
    """The result. `outcomes` has at least one case. A version that `run.subjects` names may lack all of its own."""
    by_case = {(outcome.case, outcome.version): outcome for outcome in outcomes}
    versions: list[Version] = [version for version in VERSIONS if version in run.subjects]
    counted = [
        _Answered(part.task, case, {v: by_case[case.id, v] for v in versions if (case.id, v) in by_case})
        for part in loaded.counted
        for case in part.cases
    ]
    answered = [entry for entry in counted if entry.by_version]
    complete = all(len(entry.by_version) == len(versions) for entry in counted)
    tasks = [
        _judge_task(part.task, entries, run)
        for part in loaded.tasks
        if (entries := [entry for entry in answered if entry.task is part.task])
    ]
    scored = [entry for entry in answered if not entry.task.is_safety]
    scores: dict[Version, Measured | None] = {version: _score(scored, version) for version in versions}
    verdict, why = _overall(loaded, tasks, scores, versions[-1], complete=complete)
    return EvaluationResult(
        stack=run.stack,
        workload=run.workload,
        sensitivity=run.sensitivity,
        ended=max(outcome.at for outcome in outcomes),
        official=run.official and complete and not run.stand_ins,
        evaluated_by=run.evaluated_by,
        stand_ins=run.stand_ins,
        complete=complete,
        serving=run.subjects.get("serving"),
        candidate=run.subjects.get("candidate"),
        definition_sha256=loaded.sha256,
        cases_sha256=loaded.cases_sha256,
        judge=loaded.evaluation.judge.workload if loaded.evaluation.judge else None,
        runner=run.runner,
        min_score=loaded.evaluation.min_score,
        score_serving=scores.get("serving"),
        score_candidate=scores.get("candidate"),
        verdict=verdict,
        why=why,
        tasks=tasks,
        slices=_slices(scored, versions),
        excluded=[Excluded(case=found.case, reason=found.reason, of=found.of) for found in loaded.duplicates],
        outcomes=[
            Outcome(
                task=entry.task.name,
                case=entry.case.id,
                sha256=str(entry.case.sha256),
                serving=_score_of(entry, "serving"),
                candidate=_score_of(entry, "candidate"),
            )
            for entry in answered
        ],
    )


def _judge_task(task: Task, entries: Sequence[_Answered], run: Run) -> TaskResult:
    measures = {version: _measure(entries, version, run) for version in run.subjects}
    pairs = [entry for entry in entries if len(entry.by_version) == len(VERSIONS)]
    paired = None
    if "candidate" in run.subjects and pairs:
        paired = compare(
            [entry.by_version["serving"].score for entry in pairs],
            [entry.by_version["candidate"].score for entry in pairs],
            [entry.group for entry in pairs],
        )
    newest: Version = "candidate" if "candidate" in run.subjects else "serving"
    verdict, why, needed = _verdict(task, measures[newest], paired)
    return TaskResult(
        name=task.name,
        check=task.check,
        safety=task.is_safety,
        min_score=task.min_score,
        max_loss=task.max_loss,
        serving=measures.get("serving"),
        candidate=measures.get("candidate"),
        paired=_as_comparison(paired) if paired else None,
        verdict=verdict,
        why=why,
        cases_needed=needed,
    )


def _verdict(task: Task, measured: Measures | None, paired: Paired | None) -> tuple[Verdict, str, int | None]:
    """The verdict on a task, the reason, and how many cases decide an undecided one."""
    if measured is None:
        return "undecided", "no case was answered", None
    score = measured.score
    if task.min_score is not None and score.value < task.min_score:
        return "failed", f"the score {score.value:.3f} is below {task.min_score:g}", None
    if paired is None:
        return "passed", f"the score is {score.value:.3f}", None
    lost, allowed = paired.difference, -task.max_loss
    if lost.high < allowed or (paired.p is not None and paired.p < 0.05 and lost.value < allowed):
        return "failed", f"it loses {-lost.value:.3f}, and {task.max_loss:g} is allowed", None
    if lost.low < allowed:
        differing = (paired.better + paired.worse) / paired.cases
        needed = cases_to_show(task.max_loss, differing) if task.max_loss > 0 else None
        return "undecided", f"a loss of {-lost.low:.3f} is possible, and {task.max_loss:g} is allowed", needed
    return "passed", f"the score is {score.value:.3f}, and a loss is at most {max(0.0, -lost.low):.3f}", None


def _overall(
    loaded: Loaded,
    tasks: Sequence[TaskResult],
    scores: Mapping[Version, Measured | None],
    newest: Version,
    *,
    complete: bool,
) -> tuple[Verdict, str]:
    score, least = scores.get(newest), loaded.evaluation.min_score
    if not complete or score is None:
        return "undecided", "not every case has an answer"
    if score.value < least:
        return "failed", f"the score {score.value:.3f} is below {least:g}"
    for verdict in ("failed", "undecided"):
        if named := [task for task in tasks if task.verdict == verdict]:
            return verdict, f"{named[0].name}: {named[0].why}"
    return "passed", f"the score {score.value:.3f} is at least {least:g}, and every task passed"


def _measure(entries: Sequence[_Answered], version: Version, run: Run) -> Measures | None:
    outcomes = [entry.by_version[version] for entry in entries if version in entry.by_version]
    score = _score(entries, version)
    if score is None:
        return None
    prompt = sum(outcome.prompt_tokens for outcome in outcomes)
    completion = sum(outcome.completion_tokens for outcome in outcomes)
    price = run.usd_per_token.get(version)
    p50, p95 = (float(at) for at in np.quantile([outcome.seconds for outcome in outcomes], [0.5, 0.95]))
    return Measures(
        score=score,
        cases=len(outcomes),
        errors=dict(sorted(Counter(outcome.error for outcome in outcomes if outcome.error).items())),
        prompt_tokens=prompt,
        completion_tokens=completion,
        seconds_p50=round(p50, 4),
        seconds_p95=round(p95, 4),
        usd_per_case=None
        if price is None
        else round((prompt * price[0] + completion * price[1]) / len(outcomes), 8),
    )


def _score(entries: Iterable[_Answered], version: Version) -> Measured | None:
    found = [
        (entry.by_version[version].score, entry.group) for entry in entries if version in entry.by_version
    ]
    return _as_measured(mean_score(*map(list, zip(*found, strict=True)))) if found else None


def _score_of(entry: _Answered, version: Version) -> float | None:
    outcome = entry.by_version.get(version)
    return None if outcome is None else outcome.score


def _slices(entries: Sequence[_Answered], versions: Sequence[Version]) -> list[SliceResult]:
    properties: dict[tuple[str, str], list[_Answered]] = {}
    for entry in entries:
        named = dict(entry.case.slices)
        if entry.case.language:
            named["language"] = entry.case.language
        for name, value in named.items():
            properties.setdefault((name, value), []).append(entry)
    return [
        SliceResult(
            name=name,
            value=value,
            serving=_score(found, "serving") if "serving" in versions else None,
            candidate=_score(found, "candidate") if "candidate" in versions else None,
            cases=len(found),
        )
        for (name, value), found in sorted(properties.items(), key=itemgetter(0))
    ]


def _as_measured(interval: Interval) -> Measured:
    return Measured(value=round(interval.value, 6), low=round(interval.low, 6), high=round(interval.high, 6))


def _as_comparison(paired: Paired) -> Comparison:
    return Comparison(
        cases=paired.cases,
        difference=_as_measured(paired.difference),
        better=paired.better,
        worse=paired.worse,
        p=None if paired.p is None else round(paired.p, 6),
    )
