"""A run with an approval makes only the approved changes, even if something changes between comparison and run.

The engine is a stand-in here, to change things between two of its calls; tests/sandbox has the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reports.preview import Change, Diagnostic, Op, Preview
from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.automation import stack_engine
from isthmus.engine.preview import preview as previewing
from isthmus.engine.preview.changes import digest
from isthmus.engine.project.project import Project, Stack
from isthmus.engine.render import rendering
from isthmus.engine.run import approval, approved_run
from isthmus.engine.run.approved_run import ApprovedEngine

KIND = "kubernetes:apps/v1:Deployment"


def change(name: str, op: Op = "update") -> Change:
    return Change(urn=f"urn:pulumi:dev::isthmus::{KIND}::{name}", op=op, type=KIND)


def preview(*changes: Change, **more: Any) -> Preview:
    return Preview.model_validate(
        {"stack": "dev", "status": "complete", "changes": list(changes), "digest": digest(changes), **more}
    )


class FakeEngine:
    """What the engine's stand-in sees and does."""

    def __init__(self) -> None:
        self.fresh = preview(change("one"), change("two", "delete"))
        self.error: EnvironmentFault | None = None
        self.state: dict[str, Any] | None = {"deployment": {"resources": [1]}}
        self.step = [change("one")]
        self.told = True
        self.built: list[str] = []
        self.made = False
        self.meanwhile: Callable[[], None] = lambda: None
        """Happens after the fresh preview."""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\nmain: stacks\nstackConfigDir: stacks\n")
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config: {}\n")
    return Stack(Project(tmp_path), "dev")


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()

    def begin(self: Any, stack: Stack, say: Any, *, look: bool = False) -> None:
        if look and fake.state is None:
            raise stack_engine.NotThere
        self._stack = stack
        fake.made = fake.made or not look
        fake.state = fake.state or {"deployment": {}}

    def look(stack: Stack, *, plan: Path | None = None, **_: Any) -> previewing.Previewed:
        if plan is not None and fake.state is not None:
            plan.write_text("whole")
        fake.meanwhile()
        return previewing.Previewed(fake.fresh, fake.error)

    def step(
        self: Any, on_event: Any, watcher: Any = None, *, exclude: Any = None, plan: Path | None = None
    ) -> None:
        assert plan is not None
        plan.write_text("step")

    def bound(self: Any, plan: Path, *_: Any, **__: Any) -> str:
        fake.built.append(plan.read_text())
        return "run"

    class Account:
        def __init__(self) -> None:
            self.missing = "" if fake.told else "the engine's account ends early"
            self.on_event = None

        def changes(self, masker: Any) -> list[Change]:
            return fake.step

    monkeypatch.setattr(stack_engine.Engine, "__init__", begin)
    monkeypatch.setattr(stack_engine.Engine, "export", lambda self: fake.state)
    monkeypatch.setattr(stack_engine.Engine, "replace", lambda self, new, _old: setattr(fake, "state", new))
    monkeypatch.setattr(stack_engine.Engine, "preview", step)
    monkeypatch.setattr(stack_engine.Engine, "bound", bound)
    monkeypatch.setattr(previewing, "preview", look)
    monkeypatch.setattr(approved_run, "Account", Account)
    monkeypatch.setattr(approved_run, "loosen", lambda plan, _messages: None)
    monkeypatch.setattr(rendering, "render", lambda stack: rendering.Rendered([], {}))
    return fake


def open_engine(stack: Stack, fake_engine: FakeEngine, approved: Preview | None = None) -> ApprovedEngine:
    approved_changes = approval.Approval(
        (approved or fake_engine.fresh).digest, tuple((approved or fake_engine.fresh).changes)
    )
    return ApprovedEngine(stack, approved_changes, lambda _: None, None)


def test_an_approved_change_runs_with_the_plan_of_the_fresh_preview(stack: Stack, fake_engine: FakeEngine):
    open_engine(stack, fake_engine).up()
    assert fake_engine.built == ["whole"]


def test_a_preview_that_was_not_approved_is_refused_before_the_stack_is_created(
    stack: Stack, fake_engine: FakeEngine
):
    fake_engine.state = None
    fresh = fake_engine.fresh
    fake_engine.fresh = preview(*fresh.changes, change("three", "create"))
    with pytest.raises(Refused, match=r"nothing was changed: .*new: create Deployment three"):
        open_engine(stack, fake_engine, fresh)
    assert not fake_engine.made
    assert fake_engine.built == []


def test_an_incomplete_preview_is_refused_and_a_failed_one_gives_the_reason(
    stack: Stack, fake_engine: FakeEngine
):
    fresh = fake_engine.fresh
    diagnostics = [Diagnostic(severity="error", message="the account has gaps")]
    fake_engine.fresh = preview(status="partial", digest="", diagnostics=diagnostics)
    with pytest.raises(Refused, match=r"a fresh preview is incomplete.* \(the account has gaps\)"):
        open_engine(stack, fake_engine, fresh)
    fake_engine.error = EnvironmentFault("no cluster answers")
    with pytest.raises(EnvironmentFault, match="no cluster answers"):
        open_engine(stack, fake_engine, fresh)
    assert fake_engine.built == []


def test_a_state_that_changed_after_the_preview_is_refused(stack: Stack, fake_engine: FakeEngine):
    fake_engine.meanwhile = lambda: setattr(fake_engine, "state", {"deployment": {"resources": [2]}})
    engine = open_engine(stack, fake_engine)
    with pytest.raises(Refused, match="nothing was changed: another run changed the stack's state"):
        engine.up()
    assert fake_engine.built == []


def test_a_project_file_that_changed_after_the_preview_is_refused(stack: Stack, fake_engine: FakeEngine):
    def edited() -> None:
        stack.config_file.write_text("config: {a:b: c}\n")

    fake_engine.meanwhile = edited
    engine = open_engine(stack, fake_engine)
    with pytest.raises(Refused, match="nothing was changed: the project's files were changed"):
        engine.up()
    assert fake_engine.built == []


def test_a_new_stack_is_created_after_the_comparison_and_previewed_by_the_engine(
    stack: Stack, fake_engine: FakeEngine
):
    fake_engine.state = None
    engine = open_engine(stack, fake_engine)
    assert fake_engine.made
    engine.up()
    assert fake_engine.built == ["step"]


def test_an_approval_still_applies_after_interrupted_creations_are_decided(
    stack: Stack, fake_engine: FakeEngine
):
    engine = open_engine(stack, fake_engine)
    engine.replace({"deployment": {"resources": []}}, fake_engine.state or {})
    engine.up()
    assert fake_engine.built == ["step"]


def test_every_step_of_a_run_is_compared_with_the_approval(
    stack: Stack, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    engine = open_engine(stack, fake_engine)
    monkeypatch.setenv(UP_STEP, "admission")
    engine.up()
    monkeypatch.delenv(UP_STEP)
    engine.up()
    assert fake_engine.built == ["step", "step"]
    fake_engine.step = [change("one", "delete"), change("three", "create")]
    with pytest.raises(
        Refused, match=r"completed steps were approved: .*delete Deployment one, create Deployment three"
    ):
        engine.up()
    assert len(fake_engine.built) == 2


def test_a_step_whose_preview_ended_early_is_not_run(stack: Stack, fake_engine: FakeEngine):
    engine = open_engine(stack, fake_engine)
    fake_engine.told = False
    with pytest.raises(EnvironmentFault, match="ends early"):
        engine.up(exclude=["urn:x"])
    assert fake_engine.built == []


def test_setting_back_what_the_approved_preview_shows_is_followed_by_a_plan_of_its_own(
    stack: Stack, fake_engine: FakeEngine
):
    engine = open_engine(stack, fake_engine)
    engine.before_setting_back([change("one").urn])
    engine.up()
    assert fake_engine.built == ["step"]


def test_what_others_add_after_the_fresh_preview_is_refused(stack: Stack, fake_engine: FakeEngine):
    engine = open_engine(stack, fake_engine)
    with pytest.raises(Refused, match=r"nothing was changed: after the fresh preview .*Deployment three"):
        engine.before_setting_back([change("three").urn])
    assert fake_engine.built == []
