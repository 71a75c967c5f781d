"""What lies between a comparison and the first change, and between two steps: only what was approved gets through.

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


class World:
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
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fake = World()

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


def opened(stack: Stack, world: World, approved: Preview | None = None) -> ApprovedEngine:
    approved_changes = approval.Approval(
        (approved or world.fresh).digest, tuple((approved or world.fresh).changes)
    )
    return ApprovedEngine(stack, approved_changes, lambda _: None, None)


def test_an_approved_change_is_built_with_the_plan_of_the_fresh_preview(stack: Stack, world: World):
    opened(stack, world).up()
    assert world.built == ["whole"]


def test_another_preview_is_refused_before_the_stack_is_even_made(stack: Stack, world: World):
    world.state = None
    fresh = world.fresh
    world.fresh = preview(*fresh.changes, change("three", "create"))
    with pytest.raises(Refused, match=r"nothing was changed: .*new: create Deployment three"):
        opened(stack, world, fresh)
    assert not world.made
    assert world.built == []


def test_an_undecided_preview_is_refused_and_a_failed_one_gives_the_reason(stack: Stack, world: World):
    fresh = world.fresh
    diagnostics = [Diagnostic(severity="error", message="the account has gaps")]
    world.fresh = preview(status="partial", digest="", diagnostics=diagnostics)
    with pytest.raises(Refused, match=r"could not be decided \(the account has gaps\)"):
        opened(stack, world, fresh)
    world.error = EnvironmentFault("no cluster answers")
    with pytest.raises(EnvironmentFault, match="no cluster answers"):
        opened(stack, world, fresh)
    assert world.built == []


def test_a_state_that_somebody_changed_after_the_preview_is_refused(stack: Stack, world: World):
    world.meanwhile = lambda: setattr(world, "state", {"deployment": {"resources": [2]}})
    engine = opened(stack, world)
    with pytest.raises(Refused, match="nothing was changed: the stack's state was changed by somebody else"):
        engine.up()
    assert world.built == []


def test_a_file_that_somebody_changed_after_the_preview_is_refused(stack: Stack, world: World):
    def edited() -> None:
        stack.config_file.write_text("config: {a:b: c}\n")

    world.meanwhile = edited
    engine = opened(stack, world)
    with pytest.raises(Refused, match="nothing was changed: the project's files were changed"):
        engine.up()
    assert world.built == []


def test_a_new_stack_is_created_after_the_comparison_and_previewed_by_the_engine(stack: Stack, world: World):
    world.state = None
    engine = opened(stack, world)
    assert world.made
    engine.up()
    assert world.built == ["step"]


def test_interrupted_creations_are_decided_within_the_approval(stack: Stack, world: World):
    engine = opened(stack, world)
    engine.replace({"deployment": {"resources": []}}, world.state or {})
    engine.up()
    assert world.built == ["step"]


def test_every_step_of_several_is_held_to_what_was_approved(
    stack: Stack, world: World, monkeypatch: pytest.MonkeyPatch
):
    engine = opened(stack, world)
    monkeypatch.setenv(UP_STEP, "admission")
    engine.up()
    monkeypatch.delenv(UP_STEP)
    engine.up()
    assert world.built == ["step", "step"]
    world.step = [change("one", "delete"), change("three", "create")]
    with pytest.raises(
        Refused, match=r"done until then was approved: .*delete Deployment one, create Deployment three"
    ):
        engine.up()
    assert len(world.built) == 2


def test_a_step_that_was_seen_in_part_is_not_taken(stack: Stack, world: World):
    engine = opened(stack, world)
    world.told = False
    with pytest.raises(EnvironmentFault, match="ends early"):
        engine.up(exclude=["urn:x"])
    assert world.built == []
