"""Which long test files a run leaves to other turns."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.turns import TURNS, resting, turn_of

ROOT = Path(__file__).resolve().parents[2]
FILES = Counter(file for files in TURNS for file in files)


def commit(root: Path, message: str) -> str:
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (["init", "-q"], [*nobody, "commit", "-q", "--allow-empty", "-m", message]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_each_long_file_exists_and_has_one_turn():
    assert not [file for file in FILES if not (ROOT / file).is_file()]
    assert set(FILES.values()) == {1}


def test_every_long_file_runs_in_its_own_turn_only():
    runs = [set(FILES) - resting(turn) for turn in range(len(TURNS))]
    assert runs == [set(files) for files in TURNS]


def test_the_soak_and_a_plain_pytest_run_every_file():
    assert resting(turn_of("all", ROOT)) == frozenset()


def test_the_commit_chooses_the_turn(tmp_path: Path):
    for message in ("one", "two", "three"):
        number = int(commit(tmp_path, message), 16) % len(TURNS)
        assert turn_of("commit", tmp_path) == number


def test_a_repository_without_a_commit_has_the_first_turn(tmp_path: Path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert turn_of("commit", tmp_path) == 0


def test_a_copy_without_git_has_the_first_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert turn_of("commit", tmp_path) == 0


@pytest.mark.parametrize("choice", ["7", "-1", "none", ""])
def test_an_unknown_turn_is_refused_with_the_choices(choice: str):
    with pytest.raises(ValueError, match="write all, commit, or a number from 0 to 6"):
        turn_of(choice, ROOT)
