"""docs/ci/: what linters and schemas say of the ready-made pipelines, and that none gives a branch too much."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.graders import actionlint_install, tools

CI = Path(__file__).parents[2] / "docs" / "ci"
GITHUB = sorted(CI.glob("github-*.yml"))
GITLAB = sorted(CI.glob("gitlab*.yml"))
INPUTS = {
    "image": f"registry.bank.example/isthmus/ci@sha256:{'ab' * 32}",
    "stack": "bank-dev",
    "role_prefix": "arn:aws:iam::111111111111:role/",
    "project": "platform/estate",
}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in command], capture_output=True, text=True, check=False
    )


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    program = actionlint_install.program()
    assert program is not None, "actionlint is not installed: run `make graders`"
    config = Path(__file__).with_name("data") / "actionlint.yaml"
    return run(program, "-config-file", config, "-shellcheck=", "-pyflakes=", *files)


def zizmor(*files: Path) -> subprocess.CompletedProcess[str]:
    assert tools.python("ci") is not None, "zizmor is not installed: run `make graders`"
    return run(
        tools.packages("ci").program("zizmor"), "--offline", "--no-progress", "--persona=pedantic", *files
    )


def schema(name: str, *files: Path) -> subprocess.CompletedProcess[str]:
    python = tools.python("ci")
    assert python is not None, "check-jsonschema is not installed: run `make graders`"
    return run(python, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", *files)


def plain(file: Path, to: Path) -> list[Path]:
    """A GitLab file's documents, each by itself, with the inputs put in: what GitLab makes of it."""
    workflows = []
    for at, text in enumerate(file.read_text().split("\n---\n")):
        text = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda match: INPUTS[match[1]], text)
        workflows.append(to / f"{file.stem}-{at}.yml")
        workflows[-1].write_text(text)
    return workflows


def test_every_workflow_passes_actionlint_zizmor_and_the_schema() -> None:
    assert len(GITHUB) == 4
    for done in (actionlint(*GITHUB), zizmor(*GITHUB), schema("github-workflows", *GITHUB)):
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_gitlab_file_passes_the_schema(tmp_path: Path) -> None:
    files = [part for file in GITLAB for part in plain(file, tmp_path)]
    assert len(files) == 4
    done = schema("gitlab-ci", *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "linter"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "@v6", zizmor),
        ("persist-credentials: false", "lfs: false", zizmor),
        ("permissions: {}", "permissions: write-all", zizmor),
        ('--base "$BASE"', '--base "${{ github.event.pull_request.head.ref }}"', zizmor),
        ("on:\n  pull_request:", "on:\n  pull_request_target:", zizmor),
        ("steps.preview.outputs.digest", "steps.other.outputs.digest", actionlint),
        ("needs: preview", "needs: before", actionlint),
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-24.05", actionlint),
    ],
)
def test_the_linters_see_what_would_be_wrong(tmp_path: Path, old: str, new: str, linter: Any) -> None:
    texts = {file.name: file.read_text() for file in GITHUB}
    assert any(old in text for text in texts.values())
    spoilt = []
    for name, text in texts.items():
        if old in text:
            spoilt.append(tmp_path / name)
            spoilt[-1].write_text(text.replace(old, new))
    assert linter(*spoilt).returncode != 0, f"{new}: nothing said"


def test_the_schema_sees_what_would_be_wrong(tmp_path: Path) -> None:
    job = plain(CI / "gitlab.yml", tmp_path)[1]
    job.write_text(job.read_text().replace("interruptible: true", "interruptible: sometimes"))
    assert schema("gitlab-ci", job).returncode != 0


def test_every_action_is_pinned_by_a_commit_and_no_action_is_a_third_partys() -> None:
    used = [line.strip() for file in GITHUB for line in file.read_text().splitlines() if "uses:" in line]
    assert len(used) >= 6
    for line in used:
        assert re.fullmatch(r"- uses: actions/(checkout|upload-artifact)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_github_jobs_with_branch_code_have_no_secret_and_read_only_access() -> None:
    text = (CI / "github-preview.yml").read_text()
    workflow = yaml.safe_load(text)
    assert list(workflow[True]) == ["pull_request"]
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read"}
    assert "environment" not in job
    assert "self-hosted" not in str(job["runs-on"])
    for forbidden in ("secrets.", "vars.", "id-token", "github.token", "GITHUB_TOKEN"):
        assert forbidden not in text


def test_the_github_comment_job_runs_only_the_script_of_the_default_branch() -> None:
    workflow = yaml.safe_load((CI / "github-comment.yml").read_text())
    (job,) = workflow["jobs"].values()
    checkout, script = job["steps"]
    assert checkout["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    assert script["run"] == "python3 docs/ci/comment.py github"
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}
    assert "secrets" not in str(job)


def test_nothing_is_changed_but_by_up_and_that_takes_the_approved_digest() -> None:
    for file in (*GITHUB, *GITLAB):
        for line in file.read_text().splitlines():
            if " isthmus up " in line.replace("/isthmus", " isthmus") and not line.lstrip().startswith("#"):
                assert "--yes --approved " in line, file.name
    workflow = yaml.safe_load((CI / "github-up.yml").read_text())
    up = workflow["jobs"]["up"]
    assert up["needs"] == "preview"
    assert up["environment"] == "isthmus-up"
    assert up["steps"][-1]["env"]["APPROVED"] == "${{ needs.preview.outputs.digest }}"
    assert "needs.preview.outputs.digest" in up["name"], "who approves does not see what"
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert list(workflow[True]) == ["push"]


def test_on_gitlab_a_merge_request_reaches_no_protected_environment_token_or_runner(tmp_path: Path) -> None:
    jobs = yaml.safe_load(plain(CI / "gitlab.yml", tmp_path)[1].read_text())
    jobs_seen = []
    for name, job in jobs.items():
        if isinstance(job, dict) and "script" in job:
            rules = " ".join(rule["if"] for rule in job["rules"])
            jobs_seen.append((name, "merge_request_event" in rules))
            whole_job = {**jobs.get(job.get("extends"), {}), **job}
            reaches = {"environment", "id_tokens", "tags"} & set(whole_job)
            assert not (reaches and "merge_request_event" in rules), name
            assert reaches or "merge_request_event" in rules
    assert sorted(jobs_seen) == [("drift", False), ("preview", False), ("render", True), ("up", False)]
    assert jobs["up"]["needs"] == ["preview"]
    assert jobs["up"]["rules"][0]["when"] == "manual"


@pytest.mark.parametrize("image", ["python:3.12", "python@sha256:ab", "evil/$X@sha256:" + "ab" * 32])
def test_an_image_without_a_digest_is_refused_by_the_inputs(image: str) -> None:
    for file in GITLAB:
        rule = yaml.safe_load(file.read_text().split("\n---\n")[0])["spec"]["inputs"]["image"]["regex"]
        assert not re.search(rule, image)
        assert re.search(rule, INPUTS["image"])


def test_every_script_of_a_workflow_is_a_shells(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    scripts = [
        step["run"] for file in GITHUB for job in jobs_of(file) for step in job["steps"] if "run" in step
    ]
    scripts += [file.read_text() for file in CI.glob("*.sh")]
    assert len(scripts) > 10
    for at, script in enumerate(scripts):
        file = tmp_path / f"{at}.sh"
        # What GitHub puts in would be no shell.
        file.write_text(re.sub(r"\$\{\{.*?\}\}", "x", script))
        done = run(bash, "-n", file)
        assert done.returncode == 0, f"{script}\n{done.stderr}"


def test_every_command_in_them_is_one_that_isthmus_takes() -> None:
    """By the command line's own parser; nothing is run."""
    from typer.core import TyperGroup
    from typer.main import get_command

    from isthmus.cli.app import app

    texts = [file.read_text() for file in (*GITHUB, *GITLAB, CI / "README.md")]
    commands = [line for text in texts for line in re.findall(r"(?:bin/|`)isthmus ([^`|\n]+)", text)]
    command_names = set()
    for line in commands:
        plain = re.sub(r"\$\[\[.*?\]\]", "bank-dev", line)
        arguments = [re.sub(r"^\$.*", "bank-dev", argument) for argument in shlex.split(plain)]
        group = get_command(app)
        assert isinstance(group, TyperGroup)
        name, command, remaining = group.resolve_command(
            group.make_context("isthmus", ["x"], resilient_parsing=True), arguments
        )
        assert command is not None, line
        command_names.add(name)
        if remaining:  # a command that is only named in a sentence
            command.make_context(name, [*remaining]).close()
    assert command_names >= {"ci", "preview", "drift", "up"}


def jobs_of(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(file.read_text())["jobs"].values())
