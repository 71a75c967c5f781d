"""Commits of a project's repository: resolved by name and checked out into a temporary folder."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.project import commits
from tests.repository import commit, git


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository of two commits, its index and a file of it changed; the first commit's id."""
    root = tmp_path_factory.mktemp("repository")
    (root / "sub").mkdir()
    (root / "sub" / "Pulumi.yaml").write_text("name: isthmus\n")
    (root / "kept-out").write_text("x")
    (root / ".gitattributes").write_text("kept-out export-ignore\n*.bin filter=lfs\n")
    (root / "large.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    first = commit(root, "first")
    for key, value in (("clean", "cat"), ("smudge", "false"), ("required", "true")):
        git(root, "config", f"filter.lfs.{key}", value)
    (root / "sub" / "Pulumi.yaml").write_text("name: another\n")
    (root / "new").write_text("new")
    commit(root, "second")
    (root / "new").write_text("changed and staged")
    git(root, "add", "new")
    (root / "new").write_text("changed again")
    (root / "untracked").write_text("mine")
    return root, first


def everything(root: Path) -> dict[str, str]:
    """Every file of a checkout and of its repository, by what stands in it."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_files_of_a_commit_are_checked_out_and_removed_afterwards(repository: tuple[Path, str]):
    root, first = repository
    before = everything(root)
    with commits.commit_files(root, first) as files:
        names = sorted(path.name for path in files.iterdir())
        assert names == [".gitattributes", "kept-out", "large.bin", "sub"]
        assert (files / "sub" / "Pulumi.yaml").read_text() == "name: isthmus\n"
    assert not files.exists()
    assert everything(root) == before, "the checkout, its index or its repository were touched"
    assert git(root, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_the_files_of_a_commit_are_removed_after_a_fault_or_an_interrupt(
    repository: tuple[Path, str], fault: type[BaseException]
):
    checkouts: list[Path] = []

    def broken_off() -> None:
        with commits.commit_files(*repository) as files:
            checkouts.append(files)
            raise fault

    with pytest.raises(fault):
        broken_off()
    assert not checkouts[0].parent.exists()


def test_only_the_project_folder_of_the_repository_is_checked_out(
    repository: tuple[Path, str],
):
    root, first = repository
    with commits.commit_files(root / "sub", first) as files:
        assert [path.name for path in files.iterdir()] == ["Pulumi.yaml"]


def test_a_folder_missing_in_the_commit_is_reported(repository: tuple[Path, str]):
    root, first = repository
    (root / "later").mkdir(exist_ok=True)
    with pytest.raises(InputError, match="has no folder later"), commits.commit_files(root / "later", first):
        pass


def test_a_checkout_with_a_changed_tracked_file_is_dirty(repository: tuple[Path, str], tmp_path: Path):
    root, _ = repository
    assert commits.head(root) == git(root, "rev-parse", "HEAD") + "-dirty"
    subprocess.run(["git", "clone", "-q", str(root), str(tmp_path / "clone")], check=True)
    assert commits.head(tmp_path / "clone") == git(root, "rev-parse", "HEAD")
    assert commits.head(tmp_path) == ""


def test_a_commit_can_be_named_by_hash_branch_or_relative_name(repository: tuple[Path, str]):
    root, first = repository
    assert {commits.resolve_commit(root, name) for name in (first, first[:8], "HEAD~1", "main~1")} == {first}


@pytest.mark.parametrize("name", ["nobody", "f" * 40, "", "--all", "HEAD:sub", "HEAD~9"])
def test_a_missing_commit_is_an_error(repository: tuple[Path, str], name: str):
    with pytest.raises(InputError, match="was not found") as caught:
        commits.resolve_commit(repository[0], name)
    assert caught.value.where == "--base"


def test_a_shallow_clone_error_gives_the_fetch_command(repository: tuple[Path, str], tmp_path: Path):
    root, first = repository
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{root}", str(tmp_path / "clone")], check=True)
    with pytest.raises(InputError, match="shallow clone") as caught:
        commits.resolve_commit(tmp_path / "clone", first)
    assert f"git fetch --depth=1 origin {first}" in caught.value.fix


def test_a_folder_outside_a_repository_is_reported(tmp_path: Path):
    with pytest.raises(InputError, match="not in a readable git repository"):
        commits.resolve_commit(tmp_path, "HEAD")


def test_a_missing_git_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="git was not found"):
        commits.resolve_commit(tmp_path, "HEAD")
    assert commits.head(tmp_path) == ""


def test_a_branch_that_lacks_the_base_is_behind_it(repository: tuple[Path, str], tmp_path: Path):
    root, first = repository
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(root), str(clone)], check=True)
    assert not commits.is_behind(clone, first)
    git(clone, "checkout", "-q", first)
    assert commits.is_behind(clone, commits.resolve_commit(clone, "main"))
