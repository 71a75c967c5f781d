"""One stack under the engine, by the Automation API: state, up, destroy."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.automation import failures, orphan_plugins
from isthmus.engine.automation.events import Run, Watcher
from isthmus.engine.project.project import Stack
from isthmus.engine.state import backend as state_backend
from isthmus.engine.state import backup as state_backup
from isthmus.engine.state import locks as state_locks
from isthmus.engine.state import state_file as states
from isthmus.engine.state import unconfirmed_creations
from isthmus.engine.state.interrupted_creations import Creation


class NotThere(Exception):
    """The backend has no such stack yet."""


class Engine:
    """The engine for one stack, in the environment of this process."""

    def __init__(self, stack: Stack, say: Callable[[str], None], *, look: bool = False) -> None:
        """Select the stack, or create it. Clears the lock of a dead run, ends its plugins, and says so.

        `look`: nothing is cleared and nothing created; `NotThere` where the backend has no such stack.

        Raises `EnvironmentFault` where the engine, its backend, the stack's state or its passphrase is not
        usable, or another run is at work.
        """
        from pulumi import automation

        self._stack = stack
        self._say = say
        self._log = _log_file(stack)
        try:
            workspace = automation.LocalWorkspace(work_dir=str(stack.project.root))
            states_at = state_backend.url(stack.project)
            if look:
                copies = state_backup.folder(stack.project.root, stack.name)
                states.check(states_at, stack.project.name, stack.name, copies)
                with state_locks.selection_lock(stack.project.root):
                    self._engine = automation.Stack.select(stack.name, workspace)
                return
            for lock in state_locks.clear_dead(states_at, stack.project.name, stack.name):
                say(f"cleared the lock of process {lock.pid}, which is dead")
            for plugin in orphan_plugins.end(os.environ.get("PULUMI_BACKEND_URL", "")):
                say(f"ended {plugin}, which a dead run left behind")
            for file in states.drop_broken_attributes(states_at, stack.project.name, stack.name):
                say(f"removed {file.name}, which a dead run left cut off: it says nothing of the state")
            copies = state_backup.folder(stack.project.root, stack.name)
            states.check(states_at, stack.project.name, stack.name, copies)
            with state_locks.selection_lock(stack.project.root):
                self._engine = automation.Stack.create_or_select(stack.name, workspace)
        except automation.StackNotFoundError as error:
            raise NotThere from error
        except automation.CommandError as error:
            raise failures.failure([], str(error), stack.name, None) from error
        except (automation.InvalidVersionError, OSError) as error:
            raise EnvironmentFault(
                f"the engine cannot be used ({error})", fix="Check `pulumi version`"
            ) from error

    def export(self) -> dict[str, Any]:
        """What `pulumi stack export` says: `version` and `deployment`; secrets stay encrypted."""
        return json.loads(self._command(["stack", "export"]))

    def state(self) -> dict[str, Any]:
        """The stack's state: `resources`, `pending_operations` and more; secrets stay encrypted."""
        return self.export().get("deployment") or {}

    def replace(self, new: dict[str, Any], expected: dict[str, Any]) -> None:
        """Write the whole state. Raises `EnvironmentFault` where it is no longer what it `was`."""
        if self.export() != expected:
            raise EnvironmentFault(
                "the state was changed by somebody else meanwhile",
                where=f"stack {self._stack.name}",
                fix="Run the same command again",
            )
        with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(new), "utf-8")
            self._command(["stack", "import", "--file", str(file)])

    def keep_copy(self) -> None:
        """Copy the state to `out/backups`, where it is not what the newest copy holds."""
        state_backup.write(self._stack.project.root, self._stack.name, self.export())

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets masked."""
        from isthmus.core.pulumi_values import MASK

        return {
            name: MASK if output.secret else output.value for name, output in self._engine.outputs().items()
        }

    def up(
        self, watcher: Watcher | None = None, *, exclude: list[str] | None = None, expected: int = 0
    ) -> Run:
        """Bring the stack to what its program says, as it is found to be.

        The URNs in `exclude` are left as they are, whether the program still has them or not. Raises what
        went wrong as one paragraph.
        """
        return self.bound(None, watcher, exclude=exclude, expected=expected)

    def bound(
        self,
        plan: Path | None,
        watcher: Watcher | None = None,
        *,
        exclude: list[str] | None = None,
        expected: int = 0,
    ) -> Run:
        """As `up`, by an update plan that a preview has written: the engine refuses a step that is not in it."""
        plan_path = str(plan) if plan else None
        return self._run(
            watcher,
            expected,
            lambda **options: self._engine.up(
                exclude=exclude, plan=plan_path, refresh=True, show_secrets=False, **options
            ),
        )

    def destroy(self, watcher: Watcher | None = None, *, expected: int = 0) -> Run:
        """Delete what the stack made, but for what it retains."""
        return self._run(
            watcher,
            expected,
            lambda **options: self._engine.destroy(refresh=True, show_secrets=False, **options),
        )

    def secrets(self) -> list[str]:
        """The encrypted values of the stack's configuration in the clear, to know them where they must not stand."""
        from pulumi import automation

        try:
            config = self._engine.get_all_config()
        except automation.CommandError as error:
            raise failures.failure([], _stderr_of(error), self._stack.name, None) from error
        return [value.value for value in config.values() if value.secret]

    def preview(
        self,
        on_event: Callable[[Any], None],
        watcher: Watcher | None = None,
        *,
        exclude: list[str] | None = None,
        plan: Path | None = None,
    ) -> Run:
        """What `up` would do, as it is found to be; each of the engine's events is handed on. Changes nothing.

        `plan`: where the update plan goes that `bound` takes.
        """
        plan_path = str(plan) if plan else None

        def operation(**options: Any) -> None:
            self._engine.preview(exclude=exclude, plan=plan_path, refresh=True, **options)

        return self._heard(operation, on_event, watcher)

    def refreshed(self, on_event: Callable[[Any], None], watcher: Watcher | None = None) -> Run:
        """What stands of what the state has, as its providers read it; each of the engine's events is handed on.

        The program is not run, and nothing is written.
        """

        def operation(**options: Any) -> None:
            self._engine.preview_refresh(show_secrets=False, run_program=False, **options)

        return self._heard(operation, on_event, watcher)

    def _heard(
        self, operation: Callable[..., Any], on_event: Callable[[Any], None], watcher: Watcher | None
    ) -> Run:
        """A run that changes nothing, and whose events somebody else hears too."""

        def operation_with_listener(**options: Any) -> None:
            record = options.pop("on_event")

            def on_each_event(event: Any) -> None:
                record(event)
                on_event(event)

            try:
                operation(on_event=on_each_event, **options)
            except RuntimeError as error:
                # The SDK's word for an account that was cut off; whoever listens knows it by its gaps.
                if "summary event" not in str(error):
                    raise

        with _quiet_event_thread():
            return self._run(watcher, 0, operation_with_listener)

    def _command(self, arguments: list[str]) -> str:
        from pulumi import automation

        try:
            return self._engine._run_pulumi_cmd_sync(arguments).stdout
        except automation.CommandError as error:
            raise failures.failure([], _stderr_of(error), self._stack.name, None) from error

    def _run(self, watcher: Watcher | None, expected: int, operation: Callable[..., Any]) -> Run:
        from pulumi import automation

        def write_down(creation: Creation) -> None:
            unconfirmed_creations.add(self._stack.project.root, self._stack.name, [creation])

        run = Run(watcher=watcher, expected=expected, on_lost=write_down)
        with self._log.open("a", encoding="utf-8") as log:

            def note(line: str) -> None:
                log.write(line + "\n")

            try:
                operation(color="never", on_output=note, on_error=note, on_event=run.on_event)
            except automation.CommandError as error:
                unconfirmed_creations.add(self._stack.project.root, self._stack.name, run.lost)
                raise failures.failure(
                    run.failures, _stderr_of(error), self._stack.name, self._log
                ) from error
        return run


@contextlib.contextmanager
def _quiet_event_thread() -> Iterator[None]:
    """The SDK's thread that reads events dies of a line that is cut off: quietly, its gap is found by its hearers."""
    previous_hook = threading.excepthook

    def quiet(args: threading.ExceptHookArgs) -> None:
        if args.thread is None or "_watch_logs" not in args.thread.name:
            previous_hook(args)

    threading.excepthook = quiet
    try:
        yield
    finally:
        threading.excepthook = previous_hook


def _stderr_of(error: Exception) -> str:
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
