"""`isthmus up --approved`: applies exactly the approved changes, or refuses.

Under the stack's lock, a fresh preview must have the approved digest before anything is changed. From then on three
things bind the run. The input files must stay the same (`isthmus.engine.project.input_digest`). The state must be the
previewed one. The engine gets the fresh preview's update plan, and refuses steps and values that are not in it. In a
run of several steps (admission first, or a move of workloads), each step is previewed, compared with the approved
resources and operations, and bound by its own plan.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.automation.events import resource_label
from isthmus.engine.automation.stack_engine import Engine, NotThere
from isthmus.engine.automation.update_plans import loosen
from isthmus.engine.foreign import preview as foreign_preview
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project import input_digest
from isthmus.engine.render import rendering
from isthmus.engine.run import approval
from isthmus.reports.format.lists import first_few

if TYPE_CHECKING:
    from isthmus.contracts.reports.preview import Preview
    from isthmus.engine.automation.events import Run, Watcher
    from isthmus.engine.project.project import Stack
    from isthmus.engine.run.approval import Approval

Say = Callable[[str], None]
_PREVIEW_AGAIN = "Run `isthmus preview` again, review it, and approve the new preview"


def check_approved(
    stack: Stack, approval: Approval, say: Say, watcher: Watcher | None = None, plan: Path | None = None
) -> Preview:
    """Make a fresh preview and check that it is the approved one. The caller holds the stack's lock.

    `plan`: path for the engine's update plan; none is written for a stack without state. Raises `Refused` if the
    preview differs, and the preview's error if it failed.
    """
    result = foreign_preview.preview(stack, say=say, watcher=watcher, alone=True, plan=plan)
    if result.error is not None:
        raise result.error
    where = f"stack {stack.name}"
    if result.preview.status != "complete":
        errors = [
            diagnostic.message for diagnostic in result.preview.diagnostics if diagnostic.severity == "error"
        ]
        raise Refused(
            "nothing was changed: a fresh preview is incomplete, so it cannot be compared with the approved one"
            f" ({'; '.join(errors) or 'a finding or a data path is undecided'})",
            where=where,
            fix=_PREVIEW_AGAIN,
        )
    if differs := approval.differs(result.preview):
        raise Refused(
            f"nothing was changed: a fresh preview differs from the approved one ({approval.digest}): {differs}",
            where=where,
            fix=_PREVIEW_AGAIN,
        )
    say(f"{stack.name}: a fresh preview matches the approved one ({approval.digest})")
    return result.preview


class ApprovedEngine(Engine):
    """An engine that applies only the approved changes. The caller holds the stack's lock."""

    def __init__(self, stack: Stack, approval: Approval, say: Say, watcher: Watcher | None) -> None:
        """Raises the errors of `check_approved`; then nothing was created or changed."""
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-")
        self._files = input_digest.fingerprint(stack.project)
        self._was = _export_state(stack, say)
        with rendering.without_garbage_collection():
            self._said = rendering.render(stack).said
        plan_file = Path(self._folder.name) / "approved.json"
        self._approved = check_approved(stack, approval, say, watcher, plan_file).changes
        self._whole = plan_file if plan_file.exists() else None
        """The plan of the whole run; None once a step was done."""
        self._steps = 0
        super().__init__(stack, say)

    def replace(self, new: dict[str, Any], expected: dict[str, Any]) -> None:
        """Settling an interrupted run changes the state, so the plan of the whole run no longer applies."""
        super().replace(new, expected)
        self._whole = None

    def up(
        self, watcher: Watcher | None = None, *, exclude: list[str] | None = None, expected: int = 0
    ) -> Run:
        """Like `Engine.up`, limited to the approved changes."""
        self._same_files()
        if self._whole is None or exclude or UP_STEP in os.environ:
            plan = self._step(exclude)
        elif self.export() == self._was:
            plan = self._whole
        else:
            raise self._no("another run changed the stack's state after the fresh preview")
        loosen(plan, self._said)
        self._same_files()
        self._whole, self._steps = None, self._steps + 1
        return self.bound(plan, watcher, exclude=exclude, expected=expected)

    def before_setting_back(self, urns: Iterable[str]) -> None:
        """Raises `Refused` for an object that the approved preview does not change.

        Afterwards the live objects differ from those of the fresh preview, so its plan no longer applies.
        """
        approved = {change.urn for change in self._approved}
        beyond = [resource_label(urn) for urn in urns if urn not in approved]
        if beyond:
            raise self._no(f"after the fresh preview somebody added to objects: {first_few(sorted(beyond))}")
        self._whole = None

    def _step(self, exclude: list[str] | None) -> Path:
        """The plan of one step; raises `Refused` if the step exceeds the approval."""
        plan = Path(self._folder.name) / f"step-{self._steps}.json"
        account = Account()
        self.preview(account.on_event, exclude=exclude, plan=plan)
        if account.missing:
            raise EnvironmentFault(
                account.missing, where=f"stack {self._stack.name}", fix="Run the same command again"
            )
        beyond = approval.changes_beyond(self._approved, account.changes(Masker()))
        if beyond:
            raise self._no(f"the next step exceeds the approval: {first_few(beyond)}")
        return plan

    def _same_files(self) -> None:
        if input_digest.fingerprint(self._stack.project) != self._files:
            raise self._no("the project's files were changed after the fresh preview")

    def _no(self, reason: str) -> Refused:
        progress = "the completed steps were approved" if self._steps else "nothing was changed"
        return Refused(f"{progress}: {reason}", where=f"stack {self._stack.name}", fix=_PREVIEW_AGAIN)


def _export_state(stack: Stack, say: Say) -> dict[str, Any] | None:
    """The current state; None if the backend does not have the stack."""
    try:
        return Engine(stack, say, look=True).export()
    except NotThere:
        return None
