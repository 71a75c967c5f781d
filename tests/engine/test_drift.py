"""`isthmus drift` on the Automation API: a fake engine emits events, and the cluster is served from memory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.drift import drift as drifting
from isthmus.engine.drift.drift import DriftResult
from isthmus.engine.project import project
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.reports.drift import wording as drift_wording
from tests.blueprints.bank import STACK
from tests.engine import drift_world, fake_engine
from tests.engine.drift_world import RESTRICTED, Api, take_over
from tests.engine.test_aws_foreign import FakeAws
from tests.laying import lay

SUMMARY = {"sequence": 2, "timestamp": 0, "summaryEvent": {"resourceChanges": {"same": 1}}}
Make = Callable[..., DriftResult]


def ended(resource: dict[str, Any], op: str = "same", new: Any = None) -> dict[str, Any]:
    """How the engine's look at a resource ends."""

    def shown(inputs: Any) -> dict[str, Any]:
        return {
            "type": resource["type"],
            "urn": resource["urn"],
            "custom": True,
            "inputs": inputs,
            "outputs": {},
        }

    old = resource.get("inputs") or {}
    meta = {"op": op, "urn": resource["urn"], "type": resource["type"], "old": shown(old)}
    meta["new"] = None if op == "delete" else shown(old if new is None else new)
    return {"sequence": 1, "timestamp": 0, "resOutputsEvent": {"metadata": meta}}


def events(state: dict[str, Any], **ends: tuple[str, Any]) -> list[dict[str, Any]]:
    """Of every resource, as it was left but for those of `ends` (type's last word → operation, inputs)."""
    engine_events = []
    for resource in state["resources"]:
        op, new = ends.get(resource["type"].rpartition(":")[2], ("same", None))
        engine_events.append(ended(resource, op, new and {**resource["inputs"], **new}))
    return [*engine_events, SUMMARY]


@pytest.fixture
def state() -> dict[str, Any]:
    return drift_world.state()


@pytest.fixture
def api(state: dict[str, Any]) -> Api:
    return Api(state["resources"])


@pytest.fixture
def run_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], api: Api) -> Make:
    lay(tmp_path, bank=True)

    @contextlib.contextmanager
    def hold(stack: object) -> Iterator[None]:
        yield

    class Account(FakeAws):
        def __init__(self, *_: Any) -> None:
            super().__init__(get_caller_identity={"Account": "123456789012"})

    monkeypatch.setattr(drifting, "exclusive_stack_run", hold)
    monkeypatch.setattr(drifting, "clusters", lambda *_: {})
    monkeypatch.setattr(drifting, "Aws", Account)
    monkeypatch.setattr(kubernetes_lookup, "cluster_of", lambda _: api)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")

    def make(*engine_events: dict[str, Any], **more: Any) -> DriftResult:
        written = fake_engine.write(
            tmp_path / "bin", list(engine_events) or events(state), **{"state": state, **more}
        )
        monkeypatch.setenv("PATH", f"{written}{os.pathsep}{os.environ['PATH']}")
        return drifting.find_drift(project.find_project(tmp_path).stack(STACK), say=lambda _: None)

    return make


def test_an_unchanged_stack_has_no_drift_and_writes_nothing(run_drift: Make, tmp_path: Path):
    drift = run_drift().drift
    assert (drift.status, drift.drifts, drift.policy, drift.unseen, drift.diagnostics) == (
        "complete",
        [],
        [],
        [],
        [],
    )
    assert drift.data_paths.before == drift.data_paths.after
    assert drift.resources > 150
    command = json.loads((tmp_path / "bin" / "asked.json").read_text())
    assert command[:2] == ["refresh", "--preview-only"]
    assert "--run-program=false" in command


def test_an_opened_network_policy_is_reported_as_a_refused_data_path(run_drift: Make, api: Api):
    policy = next(
        candidate for key, candidate in api.objects.items() if key[1:3] == ("NetworkPolicy", RESTRICTED)
    )
    policy["spec"]["egress"] = [{}]
    take_over(policy, "f:spec", "f:egress")
    drift = run_drift().drift
    assert drift_wording.verdict(drift) == "REFUSED"
    assert {path.class_ for path in drift_wording.newly_open_paths(drift.data_paths)} == {"restricted"}
    assert "critical" in {finding.severity for finding in drift.policy}
    assert [(drift.what, drift.severity) for drift in drift.drifts] == [("added", "high")]


def test_drift_in_aws_and_in_the_cluster_is_ranked_together(run_drift: Make, state: dict[str, Any], api: Api):
    api.one("Deployment", "restricted-qwen3-32b")["metadata"]["labels"]["isthmus.dev/endpoint"] = "x"
    drift_run = run_drift(
        *events(state, Trail=("delete", None), BucketVersioning=("update", {"expectedBucketOwner": "eve"}))
    )
    drift = drift_run.drift
    assert [(drift.what, drift.type.rpartition(":")[2], drift.severity) for drift in drift.drifts] == [
        ("gone", "Trail", "critical"),
        ("changed", "BucketVersioning", "high"),
        ("changed", "Deployment", "low"),
    ]
    assert drift.summary == {"gone": 1, "changed": 2}


def test_incomplete_engine_events_give_a_partial_result_and_never_no_drift(
    run_drift: Make, state: dict[str, Any]
):
    drift = run_drift(*events(state)[:-2], SUMMARY).drift
    assert drift.status == "partial"
    assert drift_wording.verdict(drift) == "PARTIAL"
    assert "reported nothing about 1 resources" in drift.diagnostics[0].message


def test_kinds_that_may_not_be_listed_are_reported_and_the_result_is_partial(run_drift: Make, api: Api):
    api.refused["rolebindings"] = 403
    drift = run_drift().drift
    assert (drift.status, drift_wording.verdict(drift)) == ("partial", "PARTIAL")
    assert {unseen.what for unseen in drift.unseen} == {"rolebindings"}


@pytest.mark.parametrize("more", [{"there": False}, {"state": {}}, {"state": {"resources": []}}])
def test_a_stack_that_was_never_deployed_is_an_error(run_drift: Make, more: Any):
    drift_run = run_drift(SUMMARY, **more)
    assert drift_run.error is not None
    assert (drift_run.error.exit_code, drift_run.drift.status) == (2, "failed")
    assert "was never deployed" in str(drift_run.error)


def test_a_cluster_that_does_not_answer_never_counts_as_no_drift(
    run_drift: Make, monkeypatch: pytest.MonkeyPatch
):
    def down(*_: Any) -> None:
        raise EnvironmentFault("the cluster of context `fra1` does not answer")

    monkeypatch.setattr(drifting, "clusters", down)
    drift_run = run_drift()
    assert drift_run.error is not None
    assert drift_run.error.exit_code == 3
    assert drift_wording.verdict(drift_run.drift) == "FAILED"


def test_a_failed_engine_gives_a_failed_drift_check_without_secrets(run_drift: Make):
    drift_run = run_drift(SUMMARY, code=255, stderr="error: with hunter2-0123456789")
    assert drift_run.error is not None
    assert drift_run.error.exit_code == 3
    assert drift_run.drift.status == "failed"
    assert "hunter2" not in str(drift_run.error) + drift_run.drift.model_dump_json()


def test_the_same_cluster_gives_a_byte_identical_drift_report(run_drift: Make, api: Api):
    api.one("Deployment", "restricted-qwen3-32b")["spec"]["replicas"] = 9
    assert run_drift().drift.model_dump_json() == run_drift().drift.model_dump_json()
