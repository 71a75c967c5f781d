"""`isthmus ci` when something fails: an error or a failed comment, never a passing one, and no files left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.engine.preview.preview import Previewed
from isthmus.engine.project.project import Project
from isthmus.engine.pull_request import commit_pair, pull_request
from isthmus.engine.seen import Answer, Seen
from isthmus.reports.preview import markdown as preview_markdown
from tests.blueprints.bank import ROOT, STACK
from tests.cli.branches import copy_stack, run_ci
from tests.laying import lay
from tests.reports import moved_models
from tests.repository import commit

WORK = "transaction-narratives"
ANNOTATIONS = "from __future__ import annotations\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The bank, committed."""
    lay(tmp_path, bank=True)
    commit(tmp_path, "base")
    return tmp_path


def misspell_sensitivity(stacks: Path, name: str) -> None:
    file = stacks / f"{name}.requirements.yaml"
    file.write_text(file.read_text().replace("sensitivity: restricted", "sensitivity: secret"))


BROKEN_STACKS = {
    "here-misread": ("`secret`", InputError),
    "here-refused": ("restricted work may not run on bedrock", Refused),
    "base-misread": ("`secret`", InputError),
    "base-refused": ("restricted work may not run on bedrock", InputError),
}
"""Stacks that cannot be rendered in the branch or in the base commit, what is said of each, and as which error."""


@pytest.fixture(scope="module")
def failed_previews(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Previewed]:
    root = tmp_path_factory.mktemp("failing")
    stacks = lay(root, bank=True)
    copy_stack(stacks, "sound")
    moved_models.restricted_in_the_cloud(root)
    copy_stack(stacks, "refused")

    def add_stacks(bad: str) -> None:
        for name in BROKEN_STACKS:
            copy_stack(stacks, name, "refused" if name == f"{bad}-refused" else "sound")
        misspell_sensitivity(stacks, f"{bad}-misread")

    add_stacks("base")
    commit(root, "base")
    add_stacks("here")
    previews = pull_request.previews(Project(root), list(BROKEN_STACKS), "HEAD", say=lambda _: None)
    return {stack_preview.preview.stack: stack_preview for stack_preview in previews}


@pytest.mark.parametrize("stack", list(BROKEN_STACKS))
def test_a_base_or_branch_that_cannot_be_rendered_gives_a_failed_comment(
    stack: str, failed_previews: dict[str, Previewed]
):
    message, kind = BROKEN_STACKS[stack]
    failed_preview = failed_previews[stack]
    assert type(failed_preview.error) is kind
    assert message in str(failed_preview.error)
    assert (failed_preview.preview.status, failed_preview.preview.digest) == ("failed", "")
    comment = preview_markdown.comment([failed_preview.preview])
    assert comment.startswith("**⛔ REFUSED**" if stack == "here-refused" else "**⛔ FAILED**")
    assert message in comment
    assert ("the base commit " in comment) is stack.startswith("base")
    assert "isthmus-base-" not in comment + str(failed_preview.error), (
        "where its files were laid out for a moment"
    )


def test_a_refused_plan_still_shows_its_refused_data_path(failed_previews: dict[str, Previewed]):
    (refused_path,) = failed_previews["here-refused"].preview.data_paths.after or []
    assert (refused_path.workload, refused_path.verdict, refused_path.class_) == (
        WORK,
        "refused",
        "restricted",
    )


def test_failing_settings_and_program_are_both_reported_with_exit_code_2(tmp_path: Path, capsys: Any):
    lay(tmp_path, bank=True)
    file = tmp_path / "stacks" / "program.py"
    sound = file.read_text()
    file.write_text(
        sound.replace("    settings = read_settings()\n", "    raise ZeroDivisionError('mine')\n", 1)
    )
    commit(tmp_path, "base")
    file.write_text(sound)
    off = [{"rule": "encryption/nothing-of-the-kind", "owner": "me", "reason": "tired"}]
    yaml_files.dump({"isthmus": "v1", "off": off}, "", tmp_path / "policies.yaml")
    arguments = (STACK, "--base", "HEAD", "--format", "markdown", "--fail-on", "replace")
    code, out, err = run_ci(tmp_path, *arguments, capsys=capsys)
    assert (code, out.startswith("**⛔ FAILED**")) == (2, True), err
    assert "the program raised ZeroDivisionError: mine" in out
    assert "there is no rule `encryption/nothing-of-the-kind`" in out
    assert "there is no rule" in err


@pytest.mark.parametrize(
    ("arguments", "expected", "code"),
    [
        ((STACK, "--base", "nobody"), "commit `nobody` was not found", 2),
        (("bank-dve", "--base", "HEAD"), "Did you mean `bank-dev`?", 2),
        ((STACK, "--base", "HEAD", "--fail-on", "lots"), "`lots` is not a threshold", 2),
        ((STACK, "--base", "HEAD", "-o", "/nowhere/at/all.md"), "the folder does not exist", 3),
        ((STACK,), "--base", 2),
    ],
)
def test_invalid_options_are_refused_before_anything_runs(
    arguments: tuple[str, ...],
    expected: str,
    code: int,
    project: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(commit_pair, "ask_commits", lambda *_, **__: pytest.fail("it was run"))
    ended, out, err = run_ci(project, *arguments, capsys=capsys)
    assert (ended, out) == (code, "")
    assert expected in err


def test_a_job_that_is_cancelled_leaves_nothing_behind(
    project: Path, tmp_path_factory: pytest.TempPathFactory
):
    scratch, begun = tmp_path_factory.mktemp("scratch"), tmp_path_factory.mktemp("begun") / "number"
    program = project / "stacks" / "program.py"
    begin = f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)\n"
    program.write_text(program.read_text().replace(ANNOTATIONS, f"{ANNOTATIONS}{begin}", 1))
    arguments = [sys.executable, "-m", "isthmus", "ci", STACK, "--base", "HEAD", "--project", str(project)]
    job = subprocess.Popen(
        arguments, cwd=ROOT, env={**os.environ, "TMPDIR": str(scratch)}, stderr=subprocess.DEVNULL
    )
    try:
        while not (begun.exists() and begun.read_text()):
            assert job.poll() is None, "it ended before it began"
            time.sleep(0.05)
        assert list(scratch.glob("isthmus-base-*"))
        job.terminate()
        assert job.wait(60) == 130
    finally:
        job.kill()
    assert list(scratch.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_ci_outside_a_repository_exits_2(tmp_path: Path, capsys: Any):
    lay(tmp_path, bank=True)
    ended, _, err = run_ci(tmp_path, STACK, "--base", "HEAD", capsys=capsys)
    assert (ended, "not in a readable git repository" in err) == (2, True)


def test_a_branch_that_the_bases_isthmus_cannot_read_is_undecided(monkeypatch: pytest.MonkeyPatch):
    instead: list[Path | None] = []

    def ask(orders: Any, instead_: Path | None = None, **options: Any) -> Any:
        instead.append(options.get("instead", instead_))
        if instead[-1] is None:
            raise EnvironmentFault("its contract is older")
        return {order: Answer(findings={STACK: []}) for order in orders}

    monkeypatch.setattr(commit_pair, "ask_commits", ask)
    monkeypatch.setattr(commit_pair.Commit, "own", True)
    both_seen = {STACK: Seen(stack=STACK, platform={})}
    before = commit_pair.Commit(ROOT, "the base commit", ROOT)
    assert pull_request._base_findings(before, both_seen, both_seen) == ({STACK: []}, False)
    assert instead == [None, commit_pair.RUNNING_CHECKOUT]


def test_a_base_with_an_older_isthmus_is_reported_as_rendered_by_another_version(
    project: Path, tmp_path: Path
):
    older = tmp_path / "older"
    (older / "isthmus" / "engine").mkdir(parents=True)
    before = commit_pair.Commit(older, "the base commit", project)
    (warning,) = pull_request._warnings(before, Project(project), "HEAD")
    assert "is older than `isthmus ci`" in warning
    assert pull_request._base_findings(before, {}, {}) == ({}, False), (
        "then a change of the rules' code is judged by nobody else"
    )
