"""Progress of several stacks at once: a line for each on a terminal, lines with the stack's name elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.cli.progress import Display, doing

if TYPE_CHECKING:
    from isthmus.engine.run.multi_stack import Task


class FleetProgress(Display):
    """One display of a run over several stacks."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self._tasks = tasks
        self._wide = max(len(each.stack) for each in tasks)
        self._lines: dict[str, Any] = {}
        self._now: dict[str, str] = {}

    def _bars(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        made = Bars(
            TextColumn("{task.fields[stack]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
        )
        for each in self._tasks:
            waits = f"waits for {' and '.join(each.after)}" if each.after else "waits for its turn"
            self._lines[each.stack] = made.add_task(waits, total=None, start=False, stack=each.stack)
        return made

    def say(self, line: str, stack: str = "") -> None:
        """A step, on a line of its own."""
        self._line(f"{stack:<{self._wide if stack else 0}}  {line}")

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
            now = doing(message["done"], message.get("doing") or "", message.get("others") or 0)
            self._now[task.stack] = f"{message['done']} of {message['total']} done; {now}"
            self._show(task, completed=message["done"], total=message["total"] or None, description=now)

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

    def _still(self) -> None:
        for stack, now in sorted(self._now.items()):
            self.say(now, stack)
