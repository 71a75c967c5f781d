"""Runs Pulumi's engine for one stack through the Automation API: state, preview, update, destroy."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
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
    """The backend does not have the stack yet."""


class Engine:
    """The engine for one stack, in the environment of this process."""

    def __init__(self, stack: Stack, say: Callable[[str], None], *, look: bool = False) -> None:
        """Select or create the stack. Clears locks and plugins of dead runs, and reports that to `say`.

        `look`: clear and create nothing; raise `NotThere` if the backend does not have the stack.

        Raises `EnvironmentFault` if the engine, its backend, the state or the passphrase cannot be used, or if another
        run is active.
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
                say(f"cleared the lock of dead process {lock.pid}")
            for plugin in orphan_plugins.end(os.environ.get("PULUMI_BACKEND_URL", "")):
                say(f"ended {plugin}, left behind by a dead run")
            for file in states.drop_broken_attributes(states_at, stack.project.name, stack.name):
                say(f"removed {file.name}, left truncated by a dead run; the state is not affected")
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
                f"Pulumi's engine cannot be used ({error})", fix="Check `pulumi version`"
            ) from error

    def export(self) -> dict[str, Any]:
        """The output of `pulumi stack export`: `version` and `deployment`; secrets stay encrypted."""
        return json.loads(self._command(["stack", "export"]))

    def state(self) -> dict[str, Any]:
        """The stack's state: `resources`, `pending_operations` and more; secrets stay encrypted."""
        return self.export().get("deployment") or {}

    def replace(self, new: dict[str, Any], expected: dict[str, Any]) -> None:
        """Replace the state by `new`. Raises `EnvironmentFault` if the current state is not `expected`."""
        if self.export() != expected:
            raise EnvironmentFault(
                "another run changed the state in the meantime",
                where=f"stack {self._stack.name}",
                fix="Run the same command again",
            )
        with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(new), "utf-8")
            self._command(["stack", "import", "--file", str(file)])

    def keep_copy(self) -> None:
        """Back up the state to `out/backups`, unless the newest copy is the same."""
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
        """Refresh the stack, then update it to its program.

        The URNs in `exclude` stay as they are, even if the program no longer has them. Raises one error for a failed
        update.
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
        """Like `up`, bound to the update plan of a preview: the engine refuses a step that is not in the plan."""
        plan_path = str(plan) if plan else None
        return self._run(
            watcher,
            expected,
            lambda **options: self._engine.up(
                exclude=exclude, plan=plan_path, refresh=True, show_secrets=False, **options
            ),
        )

    def before_setting_back(self, urns: Iterable[str]) -> None:
        """Called before live objects are set back without the engine. An approved engine may refuse."""

    def destroy(self, watcher: Watcher | None = None, *, expected: int = 0) -> Run:
        """Delete the stack's resources, except retained ones."""
        return self._run(
            watcher,
            expected,
            lambda **options: self._engine.destroy(refresh=True, show_secrets=False, **options),
        )

    def secrets(self) -> list[str]:
        """Decrypted secrets of the stack's configuration, so that reports can mask them."""
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
        """Preview `up` after a refresh, and pass every engine event to `on_event`. Changes nothing.

        `plan`: path to write the update plan for `bound`.
        """
        plan_path = str(plan) if plan else None

        def operation(**options: Any) -> None:
            self._engine.preview(exclude=exclude, plan=plan_path, refresh=True, **options)

        return self._heard(operation, on_event, watcher)

    def refreshed(self, on_event: Callable[[Any], None], watcher: Watcher | None = None) -> Run:
        """Have the providers read every resource of the state, and pass every engine event to `on_event`.

        Does not run the program and writes nothing.
        """

        def operation(**options: Any) -> None:
            self._engine.preview_refresh(show_secrets=False, run_program=False, **options)

        return self._heard(operation, on_event, watcher)

    def _heard(
        self, operation: Callable[..., Any], on_event: Callable[[Any], None], watcher: Watcher | None
    ) -> Run:
        """A run that changes nothing, with a second listener for its events."""

        def operation_with_listener(**options: Any) -> None:
            record = options.pop("on_event")

            def on_each_event(event: Any) -> None:
                record(event)
                on_event(event)

            try:
                operation(on_event=on_each_event, **options)
            except RuntimeError as error:
                # The SDK reports a truncated event stream this way; the listener detects the gap itself.
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
    """Hide the traceback of the SDK's event thread, which fails on a truncated line. Listeners detect the gap."""
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
    """File for the engine's output: in `out/logs` of the project, otherwise in a temporary folder."""
    folder = stack.project.root / "out" / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{stack.name}.log"
        log.write_text("", "utf-8")
    except OSError:
        log = Path(tempfile.mkdtemp(prefix="isthmus-")) / f"{stack.name}.log"
        log.write_text("", "utf-8")
    return log
