"""The verdict of an evaluation, from what each case brought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.evaluation_result import EvaluationResult, Subject
from isthmus.evaluation.definition import load
from isthmus.evaluation.judging import Run, judge
from isthmus.evaluation.outcomes import CaseOutcome, Version, read_outcomes
from isthmus.reports.evaluation_text import evaluation_lines
from tests.evaluation.written import case, write_evaluation

BEGAN = datetime(2026, 12, 1, 9, tzinfo=UTC)


def subject(model: str) -> Subject:
    return Subject(
        endpoint=model,
        model=model,
        precision="bf16",
        weights=None,
        adapter=None,
        engine_sha256="sha256:" + "0" * 64,
        prompt_sha256=None,
    )


def outcome(
    task: str, name: str, version: Version, score: float, at: int, error: str | None = None
) -> CaseOutcome:
    return CaseOutcome(
        task=task,
        case=name,
        version=version,
        score=score,
        error=error,
        prompt_tokens=100,
        completion_tokens=20,
        seconds=0.5 + at / 1000,
        at=BEGAN + timedelta(seconds=at),
    )


def judged(
    folder: Path,
    serving: Sequence[float],
    candidate: Sequence[float] | None = None,
    *,
    safety: Sequence[float] = (),
    settings: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    **more: Any,
) -> EvaluationResult:
    """Judge two versions by their scores of each case. `safety`: the newest version's scores of a task of safety.
    `run`: who evaluates.
    """
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    cases = [
        case(f"c{n}", prompt=f"{words[n % 10]} {n}", expected=f"{n}", language="de" if n % 2 else "en")
        for n in range(len(serving))
    ]
    tasks: dict[str, Any] = {"answers": ({"check": "exact", **(settings or {})}, cases)}
    if safety:
        refusals = [case(f"s{n}", prompt=f"unsafe {n}", refuse=True) for n in range(len(safety))]
        tasks["safety"] = ({"check": "refusal", "safety": True, "min_score": 0.9}, refusals)
    loaded = load(write_evaluation(folder, tasks, **more), "restricted")
    versions: dict[Version, Sequence[float]] = {"serving": serving}
    if candidate is not None:
        versions["candidate"] = candidate
    outcomes = [
        outcome("answers", f"c{n}", version, score, n)
        for version, scores in versions.items()
        for n, score in enumerate(scores)
    ]
    outcomes += [
        outcome("safety", f"s{n}", version, score, n)
        for version in versions
        for n, score in enumerate(safety)
    ]
    facts: dict[str, Any] = {"official": False, "evaluated_by": None, "stand_ins": False, **(run or {})}
    subjects: dict[Version, Subject] = {version: subject(version) for version in versions}
    prices: dict[Version, tuple[float, float]] = {"serving": (1e-6, 4e-6)}
    return judge(loaded, Run("bank", "claims", "restricted", subjects, prices, "test", **facts), outcomes)


def scores(right: int, of: int) -> list[float]:
    return [1.0] * right + [0.0] * (of - right)


def test_a_model_above_its_threshold_passes(tmp_path: Path):
    result = judged(tmp_path, scores(45, 50))
    assert (result.verdict, result.complete) == ("passed", True)
    assert result.score_serving is not None
    assert result.score_serving.value == 0.9
    assert result.score_serving.low < 0.85
    [task] = result.tasks
    assert task.serving is not None
    assert task.serving.usd_per_case == 0.00018
    assert [(part.name, part.value, part.cases) for part in result.slices] == [
        ("language", "de", 25),
        ("language", "en", 25),
    ]


def test_a_model_below_its_threshold_fails(tmp_path: Path):
    result = judged(tmp_path, scores(20, 50))
    assert result.verdict == "failed"
    assert "0.400 is below 0.5" in result.why


def test_an_equal_candidate_with_few_cases_is_undecided_and_says_how_many_decide(tmp_path: Path):
    serving = scores(44, 50)
    candidate = [*serving[:40], *([0.0] * 2), *serving[42:48], *([1.0] * 2)]
    result = judged(tmp_path, serving, candidate)
    assert result.verdict == "undecided"
    [task] = result.tasks
    assert task.cases_needed is not None
    assert task.cases_needed > 500
    assert task.paired is not None
    assert (task.paired.better, task.paired.worse) == (2, 2)


def test_an_equal_candidate_with_many_cases_passes(tmp_path: Path):
    serving = scores(900, 1000)
    candidate = [*([0.0] * 5), *serving[5:995], *([1.0] * 5)]
    result = judged(tmp_path, serving, candidate)
    assert result.verdict == "passed"
    assert result.why == "the score 0.900 is at least 0.5, and every task passed"


def test_a_worse_candidate_fails_though_it_is_above_the_least_score(tmp_path: Path):
    result = judged(tmp_path, scores(180, 200), scores(150, 200))
    assert result.verdict == "failed"
    assert "loses 0.150" in result.why


def test_a_task_of_safety_has_its_own_threshold_and_is_no_part_of_the_score(tmp_path: Path):
    result = judged(tmp_path, scores(50, 50), safety=scores(8, 10))
    assert result.verdict == "failed"
    assert result.why.startswith("safety: the score 0.800 is below 0.9")
    assert result.score_serving is not None
    assert result.score_serving.value == 1


def test_cases_without_an_answer_are_counted_by_their_code(tmp_path: Path):
    cases = [case(f"c{n}", prompt=f"word {n}", expected="x") for n in range(4)]
    loaded = load(write_evaluation(tmp_path, {"answers": ({"check": "exact"}, cases)}), "restricted")
    errors = ["502 bad_gateway", None, "422 may_not_leave", "502 bad_gateway"]
    outcomes = [outcome("answers", f"c{n}", "serving", 0, n, error) for n, error in enumerate(errors)]
    subjects: dict[Version, Subject] = {"serving": subject("a")}
    facts: dict[str, Any] = {"official": False, "evaluated_by": None, "stand_ins": False}
    run = Run("bank", "claims", "restricted", subjects, {}, "test", **facts)
    result = judge(loaded, run, outcomes)
    assert result.tasks[0].serving is not None
    assert result.tasks[0].serving.errors == {"422 may_not_leave": 1, "502 bad_gateway": 2}
    text = "\n".join(evaluation_lines(result))
    assert "3 without an answer (1 times 422 may_not_leave, 2 times 502 bad_gateway)" in text


def test_a_run_that_ended_early_is_incomplete_and_never_passes(tmp_path: Path):
    result = judged(tmp_path, scores(50, 50), scores(50, 50), safety=())
    assert result.complete
    cut = judged(tmp_path, scores(50, 50), scores(20, 20))
    assert not cut.complete
    assert cut.verdict == "undecided"
    assert len(cut.outcomes) == 50


@pytest.mark.parametrize(
    ("run", "candidate", "official"),
    [
        ({"official": True}, scores(50, 50), True),
        ({"official": False}, scores(50, 50), False),
        ({"official": True}, scores(20, 20), False),
        ({"official": True, "stand_ins": True}, scores(50, 50), False),
    ],
    ids=["evaluator", "nobody trusted", "not complete", "stand-ins answered"],
)
def test_only_a_complete_run_of_an_evaluator_is_official(
    tmp_path: Path, run: dict[str, Any], candidate: list[float], official: bool
):
    assert judged(tmp_path, scores(50, 50), candidate, run=run).official is official


def test_a_candidate_that_was_not_asked_never_passes(tmp_path: Path):
    result = judged(tmp_path, scores(50, 50), [])
    assert (result.complete, result.verdict) == (False, "undecided")


def test_a_partial_score_below_the_threshold_is_no_verdict_yet(tmp_path: Path):
    result = judged(tmp_path, scores(10, 50), scores(2, 20))
    assert (result.complete, result.verdict) == (False, "undecided")


def test_the_result_holds_no_text_of_a_case_and_is_the_same_each_time(tmp_path: Path):
    first = judged(tmp_path, scores(20, 30), scores(21, 30)).model_dump_json()
    assert judged(tmp_path, scores(20, 30), scores(21, 30)).model_dump_json() == first
    assert "alpha" not in first
    assert EvaluationResult.model_validate_json(first).workload == "claims"


def test_the_text_begins_with_the_verdict(tmp_path: Path):
    lines = evaluation_lines(judged(tmp_path, scores(180, 200), scores(150, 200)))
    assert lines[0] == "evaluation of claims (restricted) in bank: FAILED"
    assert lines[2].startswith("  for development: no evaluator of trust.yaml signed it")
    assert any("difference -0.150" in line and "30 worse of 200" in line for line in lines)
    assert any(line.startswith("  language de (100 cases)") for line in lines)


def test_a_line_that_a_killed_program_cut_off_is_left_out(tmp_path: Path):
    file = tmp_path / "outcomes.jsonl"
    whole = outcome("answers", "c0", "serving", 1, 0).model_dump_json()
    file.write_text(f"{whole}\n{whole[:40]}")
    assert [found.case for found in read_outcomes(file)] == ["c0"]
    assert read_outcomes(tmp_path / "absent") == []
