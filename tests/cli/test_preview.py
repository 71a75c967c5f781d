"""`isthmus preview` as a user runs it: exit codes, output files, and no success if something is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.reports.preview import Change, DataPaths, Diagnostic, Preview
from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.preview import preview as previewing
from isthmus.engine.preview.preview import Previewed
from tests.estate import bank_estate
from tests.laying import lay

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    lay(tmp_path, bank=True)
    return tmp_path


@pytest.fixture
def run_preview(project: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str, stack: str = "bank-dev") -> tuple[int, str, str]:
        code = main(["preview", stack, *arguments, "--project", str(project)])
        readouterr = capsys.readouterr()
        return code, readouterr.out, readouterr.err

    return run


def preview_with(**more: Any) -> Preview:
    return Preview(
        **{"stack": "bank-dev", "status": "complete", "data_paths": DataPaths(before=[], after=[]), **more}
    )


@pytest.fixture
def set_preview_result(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the engine's part answer so."""

    def give(preview: Preview, error: Any = None) -> None:
        def answer(stack: Any, **_: Any) -> Previewed:
            return Previewed(preview.model_copy(update={"stack": stack.name}), error)

        monkeypatch.setattr(previewing, "preview", answer)

    return give


HIGH = Finding(policy="a/b", title="t", severity="high", message="m", why="w", fix="f")


def test_a_preview_without_changes_exits_0(run_preview: Call, set_preview_result: Any):
    set_preview_result(preview_with())
    code, out, _ = run_preview("--format", "json")
    assert (code, json.loads(out)["status"], json.loads(out)["changes"]) == (0, "complete", [])


@pytest.mark.parametrize(
    ("more", "arguments", "code"),
    [
        ({"policy": [HIGH]}, [], 1),
        ({"policy": [HIGH]}, ["--fail-on", "critical"], 0),
        ({"policy": [HIGH.model_copy(update={"severity": "low", "verdict": "undecided"})]}, [], 1),
        ({"changes": [Change(urn="u", op="replace")]}, [], 0),
        ({"changes": [Change(urn="u", op="replace")]}, ["--fail-on", "critical", "--fail-on", "replace"], 1),
        ({"data_paths": DataPaths()}, [], 1),
    ],
)
def test_a_met_threshold_exits_with_1_and_prints_the_report(
    run_preview: Call, set_preview_result: Any, more: Any, arguments: list[str], code: int
):
    set_preview_result(preview_with(**more))
    ended, out, err = run_preview("--format", "json", *arguments)
    assert ended == code, err
    assert json.loads(out)["stack"] == "bank-dev"


@pytest.mark.parametrize("format", ["text", "json", "markdown", "sarif"])
@pytest.mark.parametrize(
    ("error", "code"), [(EnvironmentFault("no answer"), 3), (Refused("restricted work on bedrock"), 1)]
)
def test_a_failed_preview_is_in_every_report_format_and_never_exits_0(
    run_preview: Call, set_preview_result: Any, format: str, error: Any, code: int
):
    set_preview_result(
        preview_with(status="failed", diagnostics=[Diagnostic(severity="error", message=error.what)]), error
    )
    ended, out, err = run_preview("--format", format, "--fail-on", "replace")
    assert ended == code
    assert error.what in out
    assert error.what in err
    assert "UNCHANGED" not in out
    assert "✅" not in out


def test_a_partial_preview_exits_3_whatever_the_threshold(run_preview: Call, set_preview_result: Any):
    set_preview_result(
        preview_with(
            status="partial", diagnostics=[Diagnostic(severity="error", message="it end before its summary")]
        )
    )
    code, out, err = run_preview("--format", "markdown", "--fail-on", "replace")
    assert (code, "PARTIAL" in out) == (3, True)
    assert "end before its summary" in err


def test_an_unknown_stack_is_refused_with_the_nearest(run_preview: Call):
    code, out, err = run_preview(stack="bank-dve")
    assert (code, out) == (2, "")
    assert "Did you mean `bank-dev`?" in err


def test_an_unknown_threshold_is_refused_before_anything_runs(
    run_preview: Call, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(previewing, "preview", lambda *_, **__: pytest.fail("it was run"))
    code, _, err = run_preview("--fail-on", "cost>lots")
    assert code == 2
    assert "critical, high, medium, replace, delete-stateful, cost>10%" in err


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write anywhere; the folder that is not there is tried below"
)
def test_an_output_folder_that_is_not_writable_is_reported_before_anything_runs(
    run_preview: Call, project: Path
):
    project.joinpath("shut").mkdir(mode=0o500)
    assert run_preview("-o", str(project / "shut" / "x.md"))[0] == 3


@pytest.mark.parametrize("where", ["nowhere/x.md", "Pulumi.yaml/x.md"])
def test_a_missing_output_folder_is_reported_before_anything_runs(
    run_preview: Call, project: Path, where: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(previewing, "preview", lambda *_, **__: pytest.fail("it was run"))
    code, _, err = run_preview("-o", str(project / where))
    assert code == 3
    assert "the folder does not exist" in err


def test_a_truncated_preview_comment_points_to_the_full_report_in_a_file(
    run_preview: Call, set_preview_result: Any, project: Path
):
    changes = [
        Change(urn=f"u{at}", op="create", name="n" * 50, type="a:b:C", component=f"c{at}")
        for at in range(800)
    ]
    set_preview_result(preview_with(changes=changes, summary={"create": 800}))
    code, _, err = run_preview("--format", "markdown", "-o", str(project / "comment.md"))
    assert code == 0, err
    comment, full_report = (project / f"comment{name}.md" for name in ("", ".whole"))
    assert len(comment.read_text()) <= 60_000 < len(full_report.read_text())
    assert "the rest is in `comment.whole.md`" in comment.read_text()
    _, out, _ = run_preview("--format", "markdown")
    assert "the rest is in `out/preview-bank-dev.whole.md`" in out
    assert (project / "out" / "preview-bank-dev.whole.md").read_text() == full_report.read_text()


def test_the_preview_of_an_estate_is_a_list_of_its_stacks(
    set_preview_result: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bank_estate(tmp_path)
    set_preview_result(preview_with())
    assert main(["preview", "bank", "--format", "json", "--project", str(tmp_path)]) == 0
    previews = json.loads(capsys.readouterr().out)
    assert [preview["stack"] for preview in previews] == [
        "bank-foundation",
        "bank-platform",
        "bank-investigations",
        "bank-onboarding",
    ]


def test_a_missing_environment_is_a_failed_preview(
    run_preview: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "no-sandbox"))
    code, out, err = run_preview("--format", "json")
    model_validate_json = Preview.model_validate_json(out)
    assert (code, model_validate_json.status, model_validate_json.digest) == (3, "failed", "")
    assert "isthmus sandbox up" in model_validate_json.diagnostics[0].message
    assert "isthmus sandbox up" in err
    assert model_validate_json.data_paths.after, "what its files say is told all the same"
    assert model_validate_json.cost.after is not None


def test_a_program_that_raises_is_a_failed_preview(run_preview: Call, project: Path):
    program = project / "stacks" / "program.py"
    text = program.read_text()
    program.write_text(
        text.replace("    settings = read_settings()\n", "    raise ZeroDivisionError('mine')\n", 1)
    )
    assert program.read_text() != text
    code, out, err = run_preview("--format", "json")
    assert (code, Preview.model_validate_json(out).status) == (2, "failed")
    assert "the program raised ZeroDivisionError: mine" in err


@pytest.mark.parametrize("where", ["policies.yaml", "the stack's settings"])
def test_an_unknown_rule_is_a_failed_preview(run_preview: Call, project: Path, where: str):
    policy_settings = {"off": [{"rule": "encryption/nothing-of-the-kind", "owner": "me", "reason": "tired"}]}
    if where == "policies.yaml":
        yaml_files.dump({"isthmus": "v1", **policy_settings}, "", project / where)
    else:
        file = project / "stacks" / "Pulumi.bank-dev.yaml"
        settings = yaml_files.load(file).data
        settings["config"]["isthmus:policies"] = policy_settings
        yaml_files.dump(settings, "", file)
    code, out, err = run_preview("--format", "markdown")
    assert (code, out.startswith("**⛔ FAILED**")) == (2, True), err
    assert "there is no rule `encryption/nothing-of-the-kind`" in err


def test_a_plan_that_its_class_forbids_is_refused_and_its_data_path_shown(run_preview: Call, project: Path):
    from tests.reports.moved_models import restricted_in_the_cloud

    restricted_in_the_cloud(project)
    code, out, _ = run_preview("--format", "markdown")
    assert code == 1
    assert out.startswith("**⛔ REFUSED** `bank-dev`: the changes of `bank-dev` could not be determined")
    assert "- added, **refused** (restricted): workload `transaction-narratives` →" in out
    assert str(project) not in out, "where the checkout lies is this machine's"
