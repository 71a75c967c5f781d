"""Shows the progress of an installation: the current tool, and the elapsed and remaining time."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from sandbox.toolchain.table import Tool


def duration(seconds: float) -> str:
    """Return a duration as text: `45 s`, `3:05 min`."""
    total = max(0, round(seconds))
    return f"{total} s" if total < 60 else f"{total // 60}:{total % 60:02d} min"


class Estimate:
    """Estimates the remaining time from the tools' typical build times and this machine's speed so far."""

    def __init__(self, tools: list[Tool]) -> None:
        self.work = [tool.typical_s for tool in tools]
        """Typical seconds of the remaining work for each tool."""
        self.begun = time.monotonic()

    def start(self, position: int, stale_share: float) -> None:
        """Tool `position` begins. Only this share of its packages must be compiled; linking always remains."""
        self.work[position] *= max(0.1, stale_share)

    def remaining(self, position: int, fraction: float) -> float | None:
        """Return the seconds until all tools are built, while tool `position` is at `fraction`. None: unknown."""
        total = sum(self.work)
        # Compiling is nine tenths of a build, linking the rest.
        done = sum(self.work[:position]) + self.work[position] * fraction * 0.9
        elapsed = time.monotonic() - self.begun
        if elapsed < 20 or done < 10:
            return total or None
        return max(0.0, (total - done) * elapsed / done)


class Progress:
    """Receives the events of an installation and ignores them. Subclasses show them."""

    def note(self, text: str) -> None:
        """A text for the user, e.g. that another installation must end first."""

    def begin(self, tools: list[Tool]) -> None:
        """These tools will be built, in this order."""

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        """Tool `position` (from 0) begins. `share` of its packages must be compiled; Go's cache has the others."""

    def compiled(self, packages: int, total: int) -> None:
        """`packages` of the `total` packages that the current tool lacks are compiled."""

    def finish(self, tool: Tool, seconds: float) -> None:
        """The current tool is ready after so many seconds."""

    def end(self) -> None:
        """The installation has ended or failed."""


class LineProgress(Progress):
    """Prints a line for each event, and one each `interval_s` seconds between them. For logs and CI."""

    def __init__(self, stream: TextIO | None = None, interval_s: float = 30.0) -> None:
        self.stream = stream or sys.stderr
        self.interval_s = interval_s
        self.tools: list[Tool] = []
        self.position = 0
        self.started = self.last_line_at = time.monotonic()

    def _say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)
        self.last_line_at = time.monotonic()

    def note(self, text: str) -> None:
        self._say(text)

    def begin(self, tools: list[Tool]) -> None:
        self.tools = tools
        self.estimate = Estimate(tools)
        total = sum(tool.typical_s for tool in tools)
        if total:
            self._say(f"building {len(tools)} tools (once); typical time on two cores: {duration(total)}")

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        self.position, self.started = position, time.monotonic()
        self.estimate.start(position, share)
        self._say(f"[{position + 1}/{len(self.tools)}] {tool.name} {tool.version}: {tool.purpose}")

    def compiled(self, packages: int, total: int) -> None:
        if time.monotonic() - self.last_line_at >= self.interval_s:
            self._say(f"    {self.state(packages, total)}")

    def state(self, packages: int, total: int) -> str:
        """Return one line: progress and elapsed time of the current tool, and the remaining time of all."""
        linking = packages >= total - 1  # the last package is the program itself
        texts = [f"{packages} packages, linking" if linking else f"{packages} of {total} packages"]
        texts.append(f"{duration(time.monotonic() - self.started)} so far")
        remaining = self.estimate.remaining(self.position, min(1.0, packages / max(1, total)))
        if remaining is not None:
            texts.append(f"about {duration(remaining)} remaining in total")
        return ", ".join(texts)

    def finish(self, tool: Tool, seconds: float) -> None:
        self._say(f"    {tool.name} is ready after {duration(seconds)}")


class BarProgress(LineProgress):
    """Shows a progress bar in a terminal, by means of rich."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self.console = Console(stderr=True, highlight=False)
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"),
            console=self.console, transient=True,
        )  # fmt: skip
        self.task = self.bars.add_task("", total=None, state="", visible=False)

    def _say(self, text: str) -> None:
        self.console.print(text)

    def begin(self, tools: list[Tool]) -> None:
        super().begin(tools)
        self.bars.start()

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        super().start(position, tool, share)
        self.bars.reset(self.task, description=tool.name, total=None, state="", visible=True)

    def compiled(self, packages: int, total: int) -> None:
        self.bars.update(
            self.task, completed=packages, total=total or None, state=self.state(packages, total)
        )

    def finish(self, tool: Tool, seconds: float) -> None:
        self.bars.update(self.task, visible=False)
        super().finish(tool, seconds)

    def end(self) -> None:
        self.bars.stop()


def for_terminal() -> Progress:
    """Return a progress bar for a terminal, else progress by lines."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
