"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from isthmus.cli import console

if TYPE_CHECKING:
    from isthmus.engine.automation.events import Run

_QUIET_S = 10.0
"""Without a terminal: how long nothing may be said while something is being waited for."""


class Display:
    """What a run shows: bars on a terminal; elsewhere lines, also while nothing is said. Use as a context manager."""

    def __init__(self) -> None:
        self._console = console.err()
        self._live: Any = None
        self._spoke = time.monotonic()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = self._bars()
            self._live.start()
        else:
            threading.Thread(target=self._reassure, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()

    def _bars(self) -> Any:
        """Rich's display with what it begins with."""
        raise NotImplementedError

    def _still(self) -> None:
        """Say what is being waited for, if anything is."""
        raise NotImplementedError

    def _line(self, line: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(f"  {line}", markup=False)

    def _reassure(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._spoke > _QUIET_S:
                self._still()


class Progress(Display):
    """A watcher of the engine, and the place where steps are told."""

    def __init__(self) -> None:
        super().__init__()
        self._task: Any = None
        self._run: Run | None = None

    def _bars(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        made = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = made.add_task("checking", total=None)
        return made

    def say(self, line: str) -> None:
        """A step, on a line of its own."""
        self._line(line)

    def changed(self, run: Run, line: str | None) -> None:
        """The engine moved on."""
        self._run = run
        if line:
            self.say(line)
        if self._live is not None:
            self._live.update(
                self._task, completed=len(run.done), total=run.total or None, description=_doing(run)
            )

    def _still(self) -> None:
        run = self._run
        if run is not None and run.doing:
            self.say(f"{len(run.done)} of {run.total} done after {run.elapsed:.0f} s; {_doing(run)}")


def _doing(run: Run) -> str:
    if run.refreshing:
        return "looking at what is there"
    return doing(len(run.done), run.oldest, len(run.doing) - 1)


def doing(done: int, oldest: str, others: int) -> str:
    """What a run does now. `oldest`: the URN of what is waited for the longest; empty: nothing is."""
    from isthmus.engine.automation.events import resource_label

    if not oldest:
        return "running the program" if not done else "comparing"
    more = f" and {others} more" if others > 0 else ""
    return f"waiting for {resource_label(oldest)}{more}"
