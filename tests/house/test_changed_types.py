"""`make check` looks at the types of what changed, and of what imports it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.changed_types import changed_files, with_importers

AUTHOR = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *AUTHOR, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a branch that is one commit ahead of its upstream."""
    origin, root = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-qb", "main")
    for name in ("kept.py", "edited.py", "deleted.py", "committed.py"):
        (origin / name).write_text("x = 1\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", str(origin), str(root))
    (root / "committed.py").write_text("x = 2\n")
    git(root, "commit", "-qam", "second")
    return root


def test_edited_new_and_committed_files_count_as_changed(clone: Path) -> None:
    (clone / "edited.py").write_text("x = 2\n")
    (clone / "new.py").write_text("x = 1\n")
    (clone / "deleted.py").unlink()
    assert changed_files(clone) == {"committed.py", "edited.py", "new.py"}


def test_without_an_upstream_branch_the_last_commit_is_the_base(clone: Path) -> None:
    git(clone, "branch", "--unset-upstream")
    (clone / "edited.py").write_text("x = 2\n")
    assert changed_files(clone) == {"edited.py"}


def test_the_files_that_import_a_changed_one_are_checked_with_it() -> None:
    changed = "isthmus/graph/workloads/servers.py"
    assert with_importers({changed, "docs/cli.md"}) >= {changed, "isthmus/graph/data_path/paths.py"}
    assert with_importers({"docs/cli.md"}) == set()
