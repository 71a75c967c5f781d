"""`isthmus drift` as a user runs it: exit codes, output files, and no success if something could not be checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.contracts.reports.drift import Drift
from isthmus.contracts.reports.preview import Diagnostic
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.drift import drift as drifting
from isthmus.engine.drift.drift import DriftResult
from tests.estate import bank_estate
from tests.laying import lay
from tests.reports.drifts import EXPECTED, UNSEEN, drift, drifted

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    lay(tmp_path, bank=True)
    return tmp_path


@pytest.fixture
def run_drift(project: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str, stack: str = "bank-dev") -> tuple[int, str, str]:
        code = main(["drift", stack, *arguments, "--project", str(project)])
        readouterr = capsys.readouterr()
        return code, readouterr.out, readouterr.err

    return run


@pytest.fixture
def set_drift_result(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the engine's part answer so."""

    def give(drift_report: Drift, error: Any = None) -> None:
        def answer(stack: Any, **_: Any) -> DriftResult:
            return DriftResult(drift_report.model_copy(update={"stack": stack.name}), error)

        monkeypatch.setattr(drifting, "find_drift", answer)

    return give


LOST = Diagnostic(severity="error", message="it ends before its summary")


@pytest.mark.parametrize(
    ("drift_report", "arguments", "code"),
    [
        (drift(), [], 0),
        (drift(EXPECTED), [], 0),
        (drift(drifted()), [], 1),
        (drift(drifted(severity="low")), ["--fail-on", "high"], 0),
        (drift(unseen=[UNSEEN], status="partial"), [], 3),
        (
            drift(unseen=[UNSEEN], status="partial"),
            ["--fail-on", "critical"],
            3,
        ),  # What was found counts, whatever else could not be looked at.
        (drift(drifted(), unseen=[UNSEEN], status="partial"), [], 1),
        (drift(diagnostics=[LOST], status="partial"), ["--fail-on", "gone"], 3),
    ],
)
def test_the_exit_code_shows_the_result_and_the_report_is_always_printed(
    run_drift: Call, set_drift_result: Any, drift_report: Drift, arguments: list[str], code: int
):
    set_drift_result(drift_report)
    ended, out, err = run_drift("--format", "json", *arguments)
    assert ended == code, err
    assert Drift.model_validate_json(out).drifts == drift_report.drifts


@pytest.mark.parametrize("format", ["text", "json", "markdown", "sarif"])
@pytest.mark.parametrize(("error", "code"), [(EnvironmentFault("no answer"), 3), (InputError("never up"), 2)])
def test_a_failed_check_is_in_every_report_format_and_never_exits_0(
    run_drift: Call, set_drift_result: Any, format: str, error: Any, code: int
):
    set_drift_result(
        drift(status="failed", diagnostics=[Diagnostic(severity="error", message=error.what)]), error
    )
    ended, out, err = run_drift("--format", format, "--fail-on", "gone")
    assert ended == code
    assert error.what in out
    assert error.what in err
    assert "NO DRIFT" not in out


def test_unknown_thresholds_stacks_and_folders_are_refused_before_anything_runs(
    run_drift: Call, monkeypatch: pytest.MonkeyPatch, project: Path
):
    monkeypatch.setattr(drifting, "find_drift", lambda *_, **__: pytest.fail("it was run"))
    code, _, err = run_drift("--fail-on", "replace")
    assert (code, "drift, critical, high, medium, gone, foreign and undecided" in err) == (2, True)
    code, _, err = run_drift(stack="bank-dve")
    assert (code, "Did you mean `bank-dev`?" in err) == (2, True)
    code, _, err = run_drift("-o", str(project / "nowhere" / "x.md"))
    assert (code, "the folder does not exist" in err) == (3, True)


def test_a_truncated_drift_comment_points_to_the_full_report_in_a_file(
    run_drift: Call, set_drift_result: Any, project: Path
):
    set_drift_result(drift(*(drifted(name=f"server-{at}", urn=f"u{at}") for at in range(1500))))
    code, _, _ = run_drift("--format", "markdown", "-o", str(project / "drift.md"))
    assert code == 1
    comment, full_report = (project / f"drift{name}.md" for name in ("", ".whole"))
    assert len(comment.read_text()) <= 60_000 < len(full_report.read_text())
    assert "the rest is in `drift.whole.md`" in comment.read_text()
    assert "the rest is in `out/drift-bank-dev.whole.md`" in run_drift("--format", "markdown")[1]


def test_the_drift_of_an_estate_is_a_list_of_its_stacks(
    set_drift_result: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bank_estate(tmp_path)
    set_drift_result(drift())
    assert main(["drift", "bank", "--format", "json", "--project", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4


def test_a_missing_environment_is_a_failed_drift_check(
    run_drift: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path / "no-sandbox"))
    code, out, err = run_drift("--format", "json")
    assert (code, Drift.model_validate_json(out).status) == (3, "failed")
    assert "isthmus sandbox up" in err
