"""`isthmus up --approved`: what was approved is compared with what would be done now, and nothing else is done.

Under the stack's lock a fresh preview must come to the approved digest before anything is changed. Between it and the
last change three things bind what is done: the files that are read stay the same
(`isthmus.engine.project.input_digest`), the state is the one that was previewed, and the engine is given the fresh
preview's own update plan, by which it refuses a step or a value that is not in it. A run of several steps (admission
first; a move of workloads) has each step previewed, held to the resources and operations that were approved, and bound
by a plan of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts.vocabulary import UP_STEP
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine.automation.stack_engine import Engine, NotThere
from isthmus.engine.automation.update_plans import loosen
from isthmus.engine.preview import preview
from isthmus.engine.preview.engine_steps import Account
from isthmus.engine.preview.masking import Masker
from isthmus.engine.project import input_digest
from isthmus.engine.render import rendering
from isthmus.engine.run import approval

if TYPE_CHECKING:
    from isthmus.contracts.reports.preview import Preview
    from isthmus.engine.automation.events import Run, Watcher
    from isthmus.engine.project.project import Stack
    from isthmus.engine.run.approval import Approval

Say = Callable[[str], None]
_PREVIEW_AGAIN = "Preview again, look at it, and approve that"


def check_approved(
    stack: Stack, approval: Approval, say: Say, watcher: Watcher | None = None, plan: Path | None = None
) -> Preview:
    """A fresh preview, which is what was approved; the caller is alone at work on the stack.

    `plan`: where the engine writes its update plan; it writes none for a stack that does not stand yet. Raises
    `Refused` where the preview is another, and what went wrong where it could not be made.
    """
    result = preview.preview(stack, say=say, watcher=watcher, alone=True, plan=plan)
    if result.error is not None:
        raise result.error
    where = f"stack {stack.name}"
    if result.preview.status != "complete":
        errors = [
            diagnostic.message for diagnostic in result.preview.diagnostics if diagnostic.severity == "error"
        ]
        raise Refused(
            "nothing was changed: a fresh preview could not be decided"
            f" ({'; '.join(errors) or 'a finding or a data path is undecided'}), and so cannot be what was approved",
            where=where,
            fix=_PREVIEW_AGAIN,
        )
    if differs := approval.differs(result.preview):
        raise Refused(
            f"nothing was changed: it is no longer what was approved ({approval.digest}): {differs}",
            where=where,
            fix=_PREVIEW_AGAIN,
        )
    say(f"{stack.name}: a fresh preview is what was approved ({approval.digest})")
    return result.preview


class ApprovedEngine(Engine):
    """An engine that does what was approved, and nothing else. The caller is alone at work on the stack."""

    def __init__(self, stack: Stack, approval: Approval, say: Say, watcher: Watcher | None) -> None:
        """Raises what `hold` raises; nothing is made or changed then, the stack neither."""
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-")
        self._files = input_digest.fingerprint(stack.project)
        self._was = _export_state(stack, say)
        with rendering.without_garbage_collection():
            self._said = rendering.render(stack).said
        plan_file = Path(self._folder.name) / "approved.json"
        self._approved = check_approved(stack, approval, say, watcher, plan_file).changes
        self._whole = plan_file if plan_file.exists() else None
        """The plan of all, as long as nothing was done."""
        self._steps = 0
        super().__init__(stack, say)

    def replace(self, new: dict[str, Any], expected: dict[str, Any]) -> None:
        """What a cut-off run left open is decided: the state is no longer the one that was previewed as a whole."""
        super().replace(new, expected)
        self._whole = None

    def up(
        self, watcher: Watcher | None = None, *, exclude: list[str] | None = None, expected: int = 0
    ) -> Run:
        """As `Engine.up`, in so far as it was approved."""
        self._same_files()
        if self._whole is None or exclude or UP_STEP in os.environ:
            plan = self._step(exclude)
        elif self.export() == self._was:
            plan = self._whole
        else:
            raise self._no("the stack's state was changed by somebody else after the fresh preview")
        loosen(plan, self._said)
        self._same_files()
        self._whole, self._steps = None, self._steps + 1
        return self.bound(plan, watcher, exclude=exclude, expected=expected)

    def _step(self, exclude: list[str] | None) -> Path:
        """The plan of one step of several, which goes no further than what was approved."""
        plan = Path(self._folder.name) / f"step-{self._steps}.json"
        account = Account()
        self.preview(account.on_event, exclude=exclude, plan=plan)
        if account.missing:
            raise EnvironmentFault(
                account.missing, where=f"stack {self._stack.name}", fix="Run the same command again"
            )
        beyond = approval.changes_beyond(self._approved, account.changes(Masker()))
        if beyond:
            raise self._no(f"the next step is more than was approved: {approval.first_few(beyond)}")
        return plan

    def _same_files(self) -> None:
        if input_digest.fingerprint(self._stack.project) != self._files:
            raise self._no("the project's files were changed after the fresh preview")

    def _no(self, reason: str) -> Refused:
        progress = "what was done until then was approved" if self._steps else "nothing was changed"
        return Refused(f"{progress}: {reason}", where=f"stack {self._stack.name}", fix=_PREVIEW_AGAIN)


def _export_state(stack: Stack, say: Say) -> dict[str, Any] | None:
    """The state as it stands; None where the backend has no such stack."""
    try:
        return Engine(stack, say, look=True).export()
    except NotThere:
        return None
