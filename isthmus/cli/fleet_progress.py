"""Progress of several stacks at once: a line for each on a terminal, lines with the stack's name elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.cli import console

if TYPE_CHECKING:
    from isthmus.engine.fleet import Task

_QUIET_S = 10.0
"""Without a terminal: how long nothing may be said while something is being waited for."""


class FleetProgress:
    """One display of a run over several stacks. Use as a context manager."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._console = console.err()
        self._tasks = tasks
        self._wide = max(len(each.stack) for each in tasks)
        self._live: Any = None
        self._lines: dict[str, Any] = {}
        self._now: dict[str, str] = {}
        self._spoke = time.monotonic()
        self._ended = threading.Event()

    def __enter__(self) -> FleetProgress:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            self._live = Bars(
                TextColumn("{task.fields[stack]}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=self._console,
            )
            for each in self._tasks:
                waits = f"waits for {' and '.join(each.after)}" if each.after else "waits for its turn"
                self._lines[each.stack] = self._live.add_task(
                    waits, total=None, start=False, stack=each.stack
                )
            self._live.start()
        else:
            threading.Thread(target=self._reassure, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()

    def say(self, line: str, stack: str = "") -> None:
        """A step, on a line of its own."""
        self._spoke = time.monotonic()
        self._console.print(f"  {stack:<{self._wide if stack else 0}}  {line}", markup=False)

    def started(self, task: Task) -> None:
        self._now[task.stack] = "checking"
        if self._live is not None:
            self._live.start_task(self._lines[task.stack])
            self._show(task, description="checking")
        else:
            self.say("begins", task.stack)

    def told(self, task: Task, message: Mapping[str, Any]) -> None:
        if line := message.get("say"):
            self.say(line, task.stack)
        if "done" in message:
            self._now[task.stack] = f"{message['done']} of {message['total']} done; {_doing(message)}"
            self._show(
                task, completed=message["done"], total=message["total"] or None, description=_doing(message)
            )

    def ended(self, task: Task) -> None:
        self._now.pop(task.stack, None)
        said = "done" if task.state == "done" else f"{task.state}: {task.error}"
        if self._live is None:
            self.say(said, task.stack)
            return
        # What went wrong is told whole at the end.
        self._live.stop_task(self._lines[task.stack])
        self._show(task, description=said if task.state != "failed" else "failed")

    def _show(self, task: Task, **more: Any) -> None:
        if self._live is not None:
            self._live.update(self._lines[task.stack], **more)

    def _reassure(self) -> None:
        while not self._ended.wait(1.0):
            if self._now and time.monotonic() - self._spoke > _QUIET_S:
                for stack, now in sorted(self._now.items()):
                    self.say(now, stack)


def _doing(message: Mapping[str, Any]) -> str:
    from isthmus.engine.events import named

    if not message.get("doing"):
        return "running the program" if not message.get("done") else "comparing"
    more = f" and {message['others']} more" if message.get("others") else ""
    return f"waiting for {named(message['doing'])}{more}"
