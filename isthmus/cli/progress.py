"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from isthmus.cli import console

if TYPE_CHECKING:
    from isthmus.engine.automation.events import Run

_MAX_SILENCE_S = 10.0
"""Without a terminal: seconds of silence after which a status line is printed."""


class Display:
    """Progress display: bars on a terminal, lines elsewhere, also during long waits. Use as a context manager."""

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
        """The initial Rich progress display."""
        raise NotImplementedError

    def _counting(self) -> Any:
        """Bars that count what is done, with the time that is left. They go when the display ends."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        return Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )

    def _still(self) -> None:
        """Print what the run is waiting for, if anything."""
        raise NotImplementedError

    def _line(self, line: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(f"  {line}", markup=False)

    def _reassure(self) -> None:
        while not self._ended.wait(1.0):
            if time.monotonic() - self._spoke > _MAX_SILENCE_S:
                self._still()


class Progress(Display):
    """Progress of one stack: prints steps, and watches the engine."""

    def __init__(self) -> None:
        super().__init__()
        self._task: Any = None
        self._run: Run | None = None

    def _bars(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = bars.add_task("checking", total=None)
        return bars

    def say(self, line: str) -> None:
        """Print a line."""
        self._line(line)

    def changed(self, run: Run, line: str | None) -> None:
        """The run has progressed."""
        self._run = run
        if line:
            self.say(line)
        if self._live is not None:
            self._live.update(
                self._task, completed=len(run.done), total=run.total or None, description=_run_text(run)
            )

    def _still(self) -> None:
        run = self._run
        if run is not None and run.doing:
            self.say(f"{len(run.done)} of {run.total} done after {run.elapsed:.0f} s; {_run_text(run)}")


def _run_text(run: Run) -> str:
    if run.refreshing:
        return "reading the live resources"
    return doing_text(len(run.done), run.oldest, len(run.doing) - 1)


def doing_text(done: int, oldest: str, other_count: int) -> str:
    """Text of the current activity. `oldest`: URN of the resource in progress for the longest time, or empty."""
    from isthmus.engine.automation.events import resource_label

    if not oldest:
        return "running the program" if not done else "comparing"
    more = f" and {other_count} more" if other_count > 0 else ""
    return f"waiting for {resource_label(oldest)}{more}"
