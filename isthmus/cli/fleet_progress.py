"""Progress of several stacks: a bar for each on a terminal, lines with the stack's name elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.cli.progress import Display, doing_text

if TYPE_CHECKING:
    from isthmus.engine.run.multi_stack import Task


class FleetProgress(Display):
    """Display of a run over several stacks."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self._tasks = tasks
        self._wide = max(len(task.stack) for task in tasks)
        self._lines: dict[str, Any] = {}
        self._now: dict[str, str] = {}

    def _bars(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.fields[stack]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
        )
        for task in self._tasks:
            waiting_text = f"waits for {' and '.join(task.after)}" if task.after else "waits for its turn"
            self._lines[task.stack] = bars.add_task(waiting_text, total=None, start=False, stack=task.stack)
        return bars

    def say(self, line: str, stack: str = "") -> None:
        """Print a line."""
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
            now = doing_text(message["done"], message.get("doing") or "", message.get("others") or 0)
            self._now[task.stack] = f"{message['done']} of {message['total']} done; {now}"
            self._show(task, completed=message["done"], total=message["total"] or None, description=now)

    def ended(self, task: Task) -> None:
        self._now.pop(task.stack, None)
        outcome = "done" if task.state == "done" else f"{task.state}: {task.error}"
        if self._live is None:
            self.say(outcome, task.stack)
            return
        # The full error is printed at the end.
        self._live.stop_task(self._lines[task.stack])
        self._show(task, description=outcome if task.state != "failed" else "failed")

    def _show(self, task: Task, **more: Any) -> None:
        if self._live is not None:
            self._live.update(self._lines[task.stack], **more)

    def _still(self) -> None:
        for stack, now in sorted(self._now.items()):
            self.say(now, stack)
