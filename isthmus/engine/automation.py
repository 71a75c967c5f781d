"""One stack under the engine, by the Automation API: state, up, destroy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.contracts.errors import EnvironmentFault
from isthmus.engine import explain, locks
from isthmus.engine.events import Run, Watcher
from isthmus.engine.project import Stack

if TYPE_CHECKING:
    pass


class Engine:
    """The engine for one stack, in the environment of this process."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        """Select the stack, or create it. Clears the lock of a dead run and says so.

        Raises `EnvironmentFault` where the engine, its backend or the stack's passphrase is not usable.
        """
        from pulumi import automation

        self._stack = stack
        self._say = say
        self._log = _log_file(stack)
        try:
            workspace = automation.LocalWorkspace(work_dir=str(stack.project.root))
            for lock in locks.clear_dead(
                os.environ.get("PULUMI_BACKEND_URL", ""), stack.project.name, stack.name
            ):
                say(f"cleared the lock of process {lock.pid}, which is dead")
            self._engine = automation.Stack.create_or_select(stack.name, workspace)
        except automation.CommandError as error:
            raise explain.failure([], str(error), stack.name, None) from error
        except (automation.InvalidVersionError, OSError) as error:
            raise EnvironmentFault(
                f"the engine cannot be used ({error})", todo="Check `pulumi version`"
            ) from error

    def state(self) -> dict[str, Any]:
        """The stack's state: `resources`, `pending_operations` and more; secrets stay encrypted."""
        import json

        result = self._engine._run_pulumi_cmd_sync(["stack", "export"])
        return json.loads(result.stdout).get("deployment") or {}

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets masked."""
        from isthmus.engine.words import MASK

        return {
            name: MASK if output.secret else output.value for name, output in self._engine.outputs().items()
        }

    def up(
        self,
        watcher: Watcher | None = None,
        *,
        target: list[str] | None = None,
        expected: int = 0,
        refresh: bool = True,
    ) -> Run:
        """Bring the stack to what its program says; raises what went wrong as one paragraph."""
        return self._run(
            watcher,
            expected,
            lambda **rest: self._engine.up(target=target, refresh=refresh, show_secrets=False, **rest),
        )

    def destroy(self, watcher: Watcher | None = None, *, expected: int = 0) -> Run:
        """Delete what the stack made, but for what it retains."""
        return self._run(
            watcher, expected, lambda **rest: self._engine.destroy(refresh=True, show_secrets=False, **rest)
        )

    def clear_pending_creates(self) -> None:
        """Forget creations that a killed run never finished; what they made is found or made again."""
        self._run(
            None,
            0,
            lambda **rest: self._engine.refresh(clear_pending_creates=True, show_secrets=False, **rest),
        )

    def _run(self, watcher: Watcher | None, expected: int, operation: Callable[..., Any]) -> Run:
        from pulumi import automation

        run = Run(watcher=watcher, expected=expected)
        with self._log.open("a", encoding="utf-8") as log:

            def note(line: str) -> None:
                log.write(line + "\n")

            try:
                operation(color="never", on_output=note, on_error=note, on_event=run.on_event)
            except automation.CommandError as error:
                raise explain.failure(run.failures, _stderr(error), self._stack.name, self._log) from error
        return run


def _stderr(error: Exception) -> str:
    text = str(error)
    return text.partition("stderr:")[2] or text


def _log_file(stack: Stack) -> Path:
    """Where the engine's own words go: `out/logs` of the project, else a temporary folder."""
    folder = stack.project.root / "out" / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{stack.name}.log"
        log.write_text("", "utf-8")
    except OSError:
        log = Path(tempfile.mkdtemp(prefix="isthmus-")) / f"{stack.name}.log"
        log.write_text("", "utf-8")
    return log
