"""`isthmus preview` on the Automation API, with an engine that emits all events, some of them, or fails."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.engine.preview import preview
from isthmus.engine.preview.preview import Previewed
from isthmus.engine.project import project
from tests.blueprints.bank import STACK
from tests.engine import fake_engine
from tests.laying import lay

URN = f"urn:pulumi:{STACK}::isthmus::kubernetes:apps/v1:Deployment::server"
SECRET = "hunter2-0123456789"
JOIN = threading.Thread.join


def step(op: str, old: Any, new: Any) -> dict[str, Any]:
    def state(inputs: Any) -> Any:
        return inputs and {
            "type": "kubernetes:apps/v1:Deployment",
            "urn": URN,
            "custom": True,
            "inputs": inputs,
        }

    meta = {
        "op": op,
        "urn": URN,
        "type": "kubernetes:apps/v1:Deployment",
        "old": state(old),
        "new": state(new),
    }
    return {"sequence": 1, "timestamp": 0, "resourcePreEvent": {"metadata": meta}}


UPDATE = step("update", {"spec": {"replicas": 2}}, {"spec": {"replicas": 3, "token": SECRET}})
SUMMARY = {"sequence": 2, "timestamp": 0, "summaryEvent": {"resourceChanges": {"update": 1}}}
CANCEL = {"sequence": 3, "timestamp": 0, "cancelEvent": {}}
ERROR = {
    "sequence": 2,
    "timestamp": 0,
    "diagnosticEvent": {"message": f"timed out, with {SECRET}\n", "severity": "error", "urn": URN},
}
Make = Callable[..., Previewed]


@pytest.fixture
def previewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A preview of the bank by an engine that tells these events. No cluster is there, and none is asked."""
    lay(tmp_path, bank=True)

    @contextlib.contextmanager
    def hold(stack: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(preview, "exclusive_stack_run", hold)
    monkeypatch.setattr(preview, "clusters", lambda *_: {})
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")

    def make(*events: dict[str, Any], **more: Any) -> Previewed:
        folder = fake_engine.write(tmp_path / "bin", list(events), **more)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return preview.preview(project.find_project(tmp_path).stack(STACK), say=lambda _: None)

    return make


def test_complete_events_give_a_complete_preview_without_the_stacks_secret(previewed: Make):
    result = previewed(UPDATE, SUMMARY, CANCEL)
    assert (result.preview.status, result.preview.summary, result.error) == ("complete", {"update": 1}, None)
    (change,) = result.preview.changes
    assert [property.path for property in change.properties] == ["spec.replicas", "spec.token"]
    assert SECRET not in result.preview.model_dump_json()
    assert result.preview.digest.startswith("sha256:")


@pytest.mark.parametrize("cut", [100, 400], ids=["the summary", "a step"])
def test_events_that_were_cut_off_give_a_partial_preview_without_a_digest(
    previewed: Make, cut: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    # The SDK gives the reader of its events 5 s to come to the end of what has none.
    monkeypatch.setattr(threading.Thread, "join", lambda self, timeout=None: JOIN(self, timeout and 0.3))
    shown = previewed(UPDATE, SUMMARY, cut=cut).preview
    assert (shown.status, shown.digest) == ("partial", "")
    assert "end before its summary" in shown.diagnostics[0].message
    assert "Traceback" not in capfd.readouterr().err, "whoever reads the events dies quietly"


def test_a_missing_step_makes_the_preview_partial(previewed: Make):
    shown = previewed(SUMMARY, CANCEL).preview
    assert (shown.status, shown.changes, shown.digest) == ("partial", [], "")
    assert "1 to update, of which 0 were reported" in shown.diagnostics[0].message


def test_a_failed_engine_gives_a_failed_preview_with_reason_and_without_secrets(previewed: Make):
    result = previewed(UPDATE, ERROR, CANCEL, code=255, stderr=f"error: preview failed with {SECRET}")
    assert result.error is not None
    assert result.error.exit_code == 3
    assert result.preview.status == "failed"
    assert "timed out, with [secret]" in result.preview.diagnostics[0].message
    assert SECRET not in str(result.error) + result.preview.model_dump_json()
    assert len(result.preview.changes) == 1, "what was seen until then is told"


def test_a_new_stack_is_previewed_from_its_rendering(previewed: Make):
    shown = previewed(there=False).preview
    assert (shown.status, set(shown.summary)) == ("complete", {"create", "read"})
    assert shown.summary["create"] > 200
    assert "is not deployed yet" in shown.diagnostics[0].message
    assert (shown.data_paths.before, shown.cost.before) == (None, None)
