"""`isthmus preview` as it is called: what it ends with, where it writes, and that nothing bad looks green."""

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
def call(project: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str, stack: str = "bank-dev") -> tuple[int, str, str]:
        code = main(["preview", stack, *arguments, "--project", str(project)])
        readouterr = capsys.readouterr()
        return code, readouterr.out, readouterr.err

    return run


def shown(**more: Any) -> Preview:
    return Preview(
        **{"stack": "bank-dev", "status": "complete", "data_paths": DataPaths(before=[], after=[]), **more}
    )


@pytest.fixture
def gives(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the engine's part answer so."""

    def give(preview: Preview, error: Any = None) -> None:
        def answer(stack: Any, **_: Any) -> Previewed:
            return Previewed(preview.model_copy(update={"stack": stack.name}), error)

        monkeypatch.setattr(previewing, "preview", answer)

    return give


HIGH = Finding(policy="a/b", title="t", severity="high", message="m", why="w", fix="f")


def test_nothing_to_change_ends_with_0(call: Call, gives: Any):
    gives(shown())
    code, out, _ = call("--format", "json")
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
    call: Call, gives: Any, more: Any, arguments: list[str], code: int
):
    gives(shown(**more))
    ended, out, err = call("--format", "json", *arguments)
    assert ended == code, err
    assert json.loads(out)["stack"] == "bank-dev"


@pytest.mark.parametrize("format", ["text", "json", "markdown", "sarif"])
@pytest.mark.parametrize(
    ("error", "code"), [(EnvironmentFault("no answer"), 3), (Refused("restricted work on bedrock"), 1)]
)
def test_a_failure_is_in_every_report_and_never_ends_with_0(
    call: Call, gives: Any, format: str, error: Any, code: int
):
    gives(shown(status="failed", diagnostics=[Diagnostic(severity="error", message=error.what)]), error)
    ended, out, err = call("--format", format, "--fail-on", "replace")
    assert ended == code
    assert error.what in out
    assert error.what in err
    assert "UNCHANGED" not in out
    assert "✅" not in out


def test_an_account_that_was_cut_off_ends_with_3_whatever_one_fails_on(call: Call, gives: Any):
    gives(
        shown(
            status="partial", diagnostics=[Diagnostic(severity="error", message="it end before its summary")]
        )
    )
    code, out, err = call("--format", "markdown", "--fail-on", "replace")
    assert (code, "PARTIAL" in out) == (3, True)
    assert "end before its summary" in err


def test_an_unknown_stack_is_refused_with_the_nearest(call: Call):
    code, out, err = call(stack="bank-dve")
    assert (code, out) == (2, "")
    assert "Did you mean `bank-dev`?" in err


def test_an_unknown_threshold_ends_before_anything_runs(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(previewing, "preview", lambda *_, **__: pytest.fail("it was run"))
    code, _, err = call("--fail-on", "cost>lots")
    assert code == 2
    assert "critical, high, medium, replace, delete-stateful, cost>10%" in err


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write anywhere; the folder that is not there is tried below"
)
def test_a_folder_that_may_not_be_written_ends_before_anything_is_run(call: Call, project: Path):
    project.joinpath("shut").mkdir(mode=0o500)
    assert call("-o", str(project / "shut" / "x.md"))[0] == 3


@pytest.mark.parametrize("where", ["nowhere/x.md", "Pulumi.yaml/x.md"])
def test_a_folder_that_is_none_ends_before_anything_is_run(
    call: Call, project: Path, where: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(previewing, "preview", lambda *_, **__: pytest.fail("it was run"))
    code, _, err = call("-o", str(project / where))
    assert code == 3
    assert "the folder does not exist" in err


def test_a_comment_that_is_cut_leaves_the_whole_beside_it(call: Call, gives: Any, project: Path):
    changes = [
        Change(urn=f"u{at}", op="create", name="n" * 50, type="a:b:C", component=f"c{at}")
        for at in range(800)
    ]
    gives(shown(changes=changes, summary={"create": 800}))
    code, _, err = call("--format", "markdown", "-o", str(project / "comment.md"))
    assert code == 0, err
    comment, full_report = (project / f"comment{name}.md" for name in ("", ".whole"))
    assert len(comment.read_text()) <= 60_000 < len(full_report.read_text())
    assert "the rest is in `comment.whole.md`" in comment.read_text()
    _, out, _ = call("--format", "markdown")
    assert "the rest is in `out/preview-bank-dev.whole.md`" in out
    assert (project / "out" / "preview-bank-dev.whole.md").read_text() == full_report.read_text()


def test_an_estate_is_a_list_of_its_stacks(gives: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bank_estate(tmp_path)
    gives(shown())
    assert main(["preview", "bank", "--format", "json", "--project", str(tmp_path)]) == 0
    previews = json.loads(capsys.readouterr().out)
    assert [preview["stack"] for preview in previews] == [
        "bank-foundation",
        "bank-platform",
        "bank-investigations",
        "bank-onboarding",
    ]


def test_a_missing_environment_is_a_failed_preview(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "no-sandbox"))
    code, out, err = call("--format", "json")
    model_validate_json = Preview.model_validate_json(out)
    assert (code, model_validate_json.status, model_validate_json.digest) == (3, "failed", "")
    assert "isthmus sandbox up" in model_validate_json.diagnostics[0].message
    assert "isthmus sandbox up" in err
    assert model_validate_json.data_paths.after, "what its files say is told all the same"
    assert model_validate_json.cost.after is not None


def test_a_program_that_raises_is_a_failed_preview(call: Call, project: Path):
    program = project / "stacks" / "program.py"
    text = program.read_text()
    program.write_text(
        text.replace("    settings = read_settings()\n", "    raise ZeroDivisionError('mine')\n", 1)
    )
    assert program.read_text() != text
    code, out, err = call("--format", "json")
    assert (code, Preview.model_validate_json(out).status) == (2, "failed")
    assert "the program raised ZeroDivisionError: mine" in err


@pytest.mark.parametrize("where", ["policies.yaml", "the stack's settings"])
def test_an_unknown_rule_is_a_failed_preview(call: Call, project: Path, where: str):
    policy_settings = {"off": [{"rule": "encryption/nothing-of-the-kind", "owner": "me", "reason": "tired"}]}
    if where == "policies.yaml":
        yaml_files.dump({"isthmus": "v1", **policy_settings}, "", project / where)
    else:
        file = project / "stacks" / "Pulumi.bank-dev.yaml"
        settings = yaml_files.load(file).data
        settings["config"]["isthmus:policies"] = policy_settings
        yaml_files.dump(settings, "", file)
    code, out, err = call("--format", "markdown")
    assert (code, out.startswith("**⛔ FAILED**")) == (2, True), err
    assert "there is no rule `encryption/nothing-of-the-kind`" in err


def test_a_plan_that_its_class_forbids_is_refused_with_the_way_drawn(call: Call, project: Path):
    from tests.reports.moved_models import restricted_in_the_cloud

    restricted_in_the_cloud(project)
    code, out, _ = call("--format", "markdown")
    assert code == 1
    assert out.startswith("**⛔ REFUSED** `bank-dev`: the changes of `bank-dev` could not be determined")
    assert "- added, **refused** (restricted): workload `transaction-narratives` →" in out
    assert str(project) not in out, "where the checkout lies is this machine's"
