"""`isthmus drift` by the Automation API: an engine that tells its events, and a cluster that is served from memory."""

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
from isthmus.engine.drift.drift import Looked
from isthmus.engine.project import project
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.reports.drift import wording as drift_wording
from tests.blueprints.bank import STACK
from tests.engine import drift_world, fake_engine
from tests.engine.drift_world import RESTRICTED, Api, taken
from tests.engine.test_aws_foreign import Said
from tests.laying import lay

SUMMARY = {"sequence": 2, "timestamp": 0, "summaryEvent": {"resourceChanges": {"same": 1}}}
Make = Callable[..., Looked]


def ended(each: dict[str, Any], op: str = "same", new: Any = None) -> dict[str, Any]:
    """How the engine's look at a resource ends."""

    def shown(inputs: Any) -> dict[str, Any]:
        return {"type": each["type"], "urn": each["urn"], "custom": True, "inputs": inputs, "outputs": {}}

    old = each.get("inputs") or {}
    meta = {"op": op, "urn": each["urn"], "type": each["type"], "old": shown(old)}
    meta["new"] = None if op == "delete" else shown(old if new is None else new)
    return {"sequence": 1, "timestamp": 0, "resOutputsEvent": {"metadata": meta}}


def events(state: dict[str, Any], **ends: tuple[str, Any]) -> list[dict[str, Any]]:
    """Of every resource, as it was left but for those of `ends` (type's last word → operation, inputs)."""
    told = []
    for each in state["resources"]:
        op, new = ends.get(each["type"].rpartition(":")[2], ("same", None))
        told.append(ended(each, op, new and {**each["inputs"], **new}))
    return [*told, SUMMARY]


@pytest.fixture
def state() -> dict[str, Any]:
    return drift_world.state()


@pytest.fixture
def api(state: dict[str, Any]) -> Api:
    return Api(state["resources"])


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], api: Api) -> Make:
    lay(tmp_path, bank=True)

    @contextlib.contextmanager
    def here(stack: object) -> Iterator[None]:
        yield

    class Account(Said):
        def __init__(self, *_: Any) -> None:
            super().__init__(get_caller_identity={"Account": "123456789012"})

    monkeypatch.setattr(drifting, "at_work", here)
    monkeypatch.setattr(drifting, "clusters", lambda *_: {})
    monkeypatch.setattr(drifting, "Aws", Account)
    monkeypatch.setattr(kubernetes_lookup, "cluster_of", lambda _: api)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")

    def make(*told: dict[str, Any], **more: Any) -> Looked:
        written = fake_engine.write(tmp_path / "bin", list(told) or events(state), **{"state": state, **more})
        monkeypatch.setenv("PATH", f"{written}{os.pathsep}{os.environ['PATH']}")
        return drifting.look(project.find(tmp_path).stack(STACK), say=lambda _: None)

    return make


def test_a_stack_that_is_as_it_was_left_has_no_drift_and_nothing_is_written(looked: Make, tmp_path: Path):
    drift = looked().drift
    assert (drift.status, drift.drifts, drift.policy, drift.unseen, drift.diagnostics) == (
        "complete",
        [],
        [],
        [],
        [],
    )
    assert drift.data_paths.before == drift.data_paths.after
    assert drift.resources > 150
    asked = json.loads((tmp_path / "bin" / "asked.json").read_text())
    assert asked[:2] == ["refresh", "--preview-only"]
    assert "--run-program=false" in asked


def test_an_opened_policy_is_a_way_of_data_that_is_refused_now(looked: Make, api: Api):
    policy = next(each for key, each in api.objects.items() if key[1:3] == ("NetworkPolicy", RESTRICTED))
    policy["spec"]["egress"] = [{}]
    taken(policy, "f:spec", "f:egress")
    drift = looked().drift
    assert drift_wording.verdict(drift) == "REFUSED"
    assert {each.class_ for each in drift_wording.newly_open_paths(drift.data_paths)} == {"restricted"}
    assert "critical" in {each.severity for each in drift.policy}
    assert [(each.what, each.severity) for each in drift.drifts] == [("added", "high")]


def test_what_the_engine_finds_in_aws_is_ranked_with_what_the_cluster_says(
    looked: Make, state: dict[str, Any], api: Api
):
    api.one("Deployment", "restricted-qwen3-32b")["metadata"]["labels"]["isthmus.dev/endpoint"] = "x"
    made = looked(
        *events(state, Trail=("delete", None), BucketVersioning=("update", {"expectedBucketOwner": "eve"}))
    )
    drift = made.drift
    assert [(each.what, each.type.rpartition(":")[2], each.severity) for each in drift.drifts] == [
        ("gone", "Trail", "critical"),
        ("changed", "BucketVersioning", "high"),
        ("changed", "Deployment", "low"),
    ]
    assert drift.summary == {"gone": 1, "changed": 2}


def test_an_account_of_the_engines_that_is_not_whole_is_partial_and_never_no_drift(
    looked: Make, state: dict[str, Any]
):
    drift = looked(*events(state)[:-2], SUMMARY).drift
    assert drift.status == "partial"
    assert drift_wording.verdict(drift) == "PARTIAL"
    assert "no word of 1 resources" in drift.diagnostics[0].message


def test_what_may_not_be_listed_is_named_and_the_answer_is_partial(looked: Make, api: Api):
    api.refused["rolebindings"] = 403
    drift = looked().drift
    assert (drift.status, drift_wording.verdict(drift)) == ("partial", "PARTIAL")
    assert {each.what for each in drift.unseen} == {"rolebindings"}


@pytest.mark.parametrize("more", [{"there": False}, {"state": {}}, {"state": {"resources": []}}])
def test_a_stack_that_was_never_up_is_an_error_that_says_so(looked: Make, more: Any):
    found = looked(SUMMARY, **more)
    assert found.error is not None
    assert (found.error.exit_code, found.drift.status) == (2, "failed")
    assert "never been brought up" in str(found.error)


def test_a_cluster_that_does_not_answer_is_never_no_drift(looked: Make, monkeypatch: pytest.MonkeyPatch):
    def down(*_: Any) -> None:
        raise EnvironmentFault("the cluster of context `fra1` does not answer")

    monkeypatch.setattr(drifting, "clusters", down)
    found = looked()
    assert found.error is not None
    assert found.error.exit_code == 3
    assert drift_wording.verdict(found.drift) == "FAILED"


def test_an_engine_that_fails_is_a_failed_look_that_says_no_secret(looked: Make):
    found = looked(SUMMARY, code=255, stderr="error: with hunter2-0123456789")
    assert found.error is not None
    assert found.error.exit_code == 3
    assert found.drift.status == "failed"
    assert "hunter2" not in str(found.error) + found.drift.model_dump_json()


def test_the_same_world_gives_the_same_bytes(looked: Make, api: Api):
    api.one("Deployment", "restricted-qwen3-32b")["spec"]["replicas"] = 9
    assert looked().drift.model_dump_json() == looked().drift.model_dump_json()
