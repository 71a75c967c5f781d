"""The bank's lock is what `isthmus plan` makes of the bank's requirements, and nothing else."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.planning import planner
from tests.blueprints.bank import STACK, STACKS

REQUIREMENTS, LOCK = f"{STACK}.requirements.yaml", f"{STACK}.plan.yaml"
COMMAND = f"isthmus plan stacks/{REQUIREMENTS} -o stacks/{LOCK}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (REQUIREMENTS, LOCK):
        shutil.copy(STACKS / name, tmp_path)
    return tmp_path


def stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """Why a folder's lock is not what the planner makes, and what mends it; None where it is."""
    lock = folder / LOCK
    before = lock.read_bytes()
    code = main(["plan", str(folder / REQUIREMENTS), "-o", str(lock)])
    err = capsys.readouterr().err
    if code == 0 and lock.read_bytes() == before and f"{lock}: nothing changed" in err:
        return None
    return f"stacks/{LOCK} is not what the planner makes. Run `{COMMAND}`, and commit what it writes. It said:\n{err}"


def test_planning_again_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]):
    if reason := stale(folder, capsys):
        pytest.fail(reason, pytrace=False)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"max_num_seqs: \d+", "max_num_seqs: 8"),
        (r"\n {4}replicas: (\d+)", r"\n    replicas: 1\1"),
        (r"capacity_rps: \d", "capacity_rps: 9"),
        (r"\nmonthly_cost_usd: ", "\nmonthly_cost_usd: 1"),
        (r" {4}why: \w+", "    why: Somebody"),
        (r"\Z", "# Seen, and found good.\n"),
        (r"\nblueprint: ", "\n\nblueprint: "),
    ],
)
def test_an_edit_by_hand_is_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], pattern: str, replacement: str
):
    lock = folder / LOCK
    text, count = re.subn(pattern, replacement, lock.read_text("utf-8"), count=1)
    assert count, f"{pattern!r} is not in the lock"
    lock.write_text(text, "utf-8")
    assert COMMAND in (stale(folder, capsys) or "")
    assert lock.read_bytes() == (STACKS / LOCK).read_bytes(), "what was edited by hand has stayed"


def test_requirements_without_a_new_lock_are_seen(folder: Path, capsys: pytest.CaptureFixture[str]):
    file = folder / REQUIREMENTS
    text = file.read_text("utf-8")
    assert "mean_rps: 0.1" in text
    file.write_text(text.replace("mean_rps: 0.1", "mean_rps: 0.2"), "utf-8")
    assert "the requirements have changed since" in (stale(folder, capsys) or "")


def test_a_planner_that_answers_otherwise_is_seen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    as_it_is = planner.make_plan

    def otherwise(*args: object, **more: object) -> planner.PlanningResult:
        planned = as_it_is(*args, **more)  # type: ignore[arg-type]
        plan = planned.plan.model_copy(update={"warnings": ["Of another mind."]})
        return dataclasses.replace(planned, plan=plan)

    monkeypatch.setattr(planner, "make_plan", otherwise)
    assert COMMAND in (stale(folder, capsys) or "")
