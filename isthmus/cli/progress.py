"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from isthmus.cli import console

if TYPE_CHECKING:
    from isthmus.engine.events import Run

_QUIET_S = 10.0
"""Without a terminal: how long nothing may be said while something is being waited for."""


class Progress:
    """A watcher of the engine, and the place where steps are told. Use as a context manager."""

    def __init__(self) -> None:
        self._console = console.err()
        self._live: Any = None
        self._task: Any = None
        self._run: Run | None = None
        self._spoke = time.monotonic()
        self._ended = threading.Event()

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            self._live = Bars(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._live.start()
            self._task = self._live.add_task("checking", total=None)
        else:
            threading.Thread(target=self._reassure, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A step, on a line of its own."""
        self._spoke = time.monotonic()
        self._console.print(f"  {line}", markup=False)

    def changed(self, run: Run, line: str | None) -> None:
        """The engine moved on."""
        self._run = run
        if line:
            self.say(line)
        if self._live is not None:
            self._live.update(
                self._task, completed=len(run.done), total=run.total or None, description=_doing(run)
            )

    def _reassure(self) -> None:
        while not self._ended.wait(1.0):
            run = self._run
            if run is not None and run.doing and time.monotonic() - self._spoke > _QUIET_S:
                self.say(f"{len(run.done)} of {run.total} done after {run.elapsed:.0f} s; {_doing(run)}")


def _doing(run: Run) -> str:
    from isthmus.engine.events import named

    if run.refreshing:
        return "looking at what is there"
    oldest = sorted(run.doing.items(), key=lambda each: each[1])
    if not oldest:
        return "running the program" if not run.done else "comparing"
    more = f" and {len(oldest) - 1} more" if len(oldest) > 1 else ""
    return f"waiting for {named(oldest[0][0])}{more}"
