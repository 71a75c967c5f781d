"""Thresholds of evaluations that a branch loosens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core import yaml_files
from isthmus.engine.pull_request.relaxed_evaluations import evaluation_changes

BASE: dict[str, Any] = {
    "min_score": 0.8,
    "tasks": [
        {"name": "answers", "check": "exact", "cases": ["a.jsonl"], "min_score": 0.7, "max_loss": 0.03},
        {"name": "refusals", "check": "refusal", "safety": True, "cases": ["r.jsonl"], "min_score": 0.95},
        {"name": "plain", "check": "exact", "cases": ["p.jsonl"]},
    ],
}


def write(project: Path, content: dict[str, Any] | None) -> Path:
    folder = project / "evaluations" / "kyc"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "evaluation.yaml").write_text(yaml_files.dumps(content))
    return project


def with_task(number: int, **changes: Any) -> dict[str, Any]:
    tasks = [{**task, **(changes if index == number else {})} for index, task in enumerate(BASE["tasks"])]
    tasks = [{key: value for key, value in task.items() if value is not None} for task in tasks]
    return {**BASE, "tasks": tasks}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({**BASE, "min_score": 0.6}, (": min_score", "0.8", "0.6", True)),
        ({**BASE, "min_score": 0.9}, (": min_score", "0.8", "0.9", False)),
        (with_task(0, min_score=None), (": task answers: min_score", "0.7", "none", True)),
        (with_task(0, max_loss=0.1), (": task answers: max_loss", "0.03", "0.1", True)),
        (with_task(0, max_loss=0.01), (": task answers: max_loss", "0.03", "0.01", False)),
        (with_task(2, min_score=0.5), (": task plain: min_score", "none", "0.5", False)),
        (with_task(1, safety=False), (": task refusals: safety", "yes", "no", True)),
        (with_task(2, safety=True), (": task plain: safety", "no", "yes", False)),
        (with_task(0, check="contains"), (": task answers: check", "exact", "contains", True)),
        ({**BASE, "tasks": BASE["tasks"][:2]}, (": task plain", "there", "gone", True)),
        (None, (": evaluation", "there", "gone or not readable", True)),
        ({"min_score": "low"}, (": evaluation", "there", "gone or not readable", True)),
    ],
)
def test_a_weaker_threshold_loosens_and_a_stricter_one_does_not(
    tmp_path: Path, head: dict[str, Any] | None, expected: tuple[str, str, str, bool]
):
    before, after = write(tmp_path / "base", BASE), write(tmp_path / "head", head)
    [change] = evaluation_changes(before, after, {"kyc", "other"})
    name = f"evaluations/kyc/evaluation.yaml{expected[0]}"
    assert (change.kind, change.what) == ("rule", name)
    assert (change.old, change.new, change.loosens) == expected[1:]


def test_a_new_evaluation_and_another_workloads_change_nothing(tmp_path: Path):
    before, after = write(tmp_path / "base", None), write(tmp_path / "head", BASE)
    assert not list(evaluation_changes(before, after, {"kyc"}))
    assert not list(evaluation_changes(after, before, {"other"}))
