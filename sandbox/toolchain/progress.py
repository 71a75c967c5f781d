"""How an installation tells what it does: what is built, how far it is, how long it has taken and will
take."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from sandbox.toolchain.table import Tool


def duration(seconds: float) -> str:
    """`45 s`, `3:05 min`."""
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02d} min"


class Estimate:
    """What remains, from the typical times of the tools and how fast this machine has been so far."""

    def __init__(self, tools: list[Tool]) -> None:
        self.tools = tools
        self.begun = time.monotonic()
        self.behind = 0.0
        """Typical seconds of the tools that are done."""

    def remaining(self, position: int, fraction: float) -> float | None:
        """Seconds until all is done, while tool `position` is at `fraction`; None as long as it is a
        guess."""
        total = sum(tool.typical_s for tool in self.tools)
        done = (
            sum(tool.typical_s for tool in self.tools[:position]) + self.tools[position].typical_s * fraction
        )
        elapsed = time.monotonic() - self.begun
        if elapsed < 5 or done <= 0:
            return total or None
        return max(0.0, (total - done) * elapsed / done)


class Progress:
    """Is told what happens; this one says nothing. Subclass it to show it."""

    def note(self, text: str) -> None:
        """Something to know, e.g. that another install is waited for."""

    def begin(self, tools: list[Tool]) -> None:
        """These will be made, in this order."""

    def start(self, position: int, tool: Tool) -> None:
        """Tool `position` (from 0) begins."""

    def compiled(self, packages: int, of: int) -> None:
        """So many of at most so many packages of the current tool are compiled; those in Go's cache are not
        counted."""

    def finish(self, tool: Tool, seconds: float) -> None:
        """The current tool is there."""

    def end(self) -> None:
        """All is done, or failed."""


class LineProgress(Progress):
    """A line when something changes, and one each `every` seconds between; for logs and CI."""

    def __init__(self, stream: TextIO | None = None, every: float = 30.0) -> None:
        self.stream = stream or sys.stderr
        self.every = every
        self.tools: list[Tool] = []
        self.position = 0
        self.started = self.told = time.monotonic()

    def _say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)
        self.told = time.monotonic()

    def note(self, text: str) -> None:
        self._say(text)

    def begin(self, tools: list[Tool]) -> None:
        self.tools = tools
        self.estimate = Estimate(tools)
        total = sum(tool.typical_s for tool in tools)
        if total:
            self._say(f"building {len(tools)} tools, once; on two cores this took {duration(total)}")

    def start(self, position: int, tool: Tool) -> None:
        self.position, self.started = position, time.monotonic()
        self._say(f"[{position + 1}/{len(self.tools)}] {tool.name} {tool.version}: {tool.purpose}")

    def compiled(self, packages: int, of: int) -> None:
        if time.monotonic() - self.told >= self.every:
            self._say(f"    {self.state(packages, of)}")

    def state(self, packages: int, of: int) -> str:
        """One line: how far the current tool is, how long it has taken, and what remains of all."""
        parts = [f"{packages} of {of} packages" if of else "reading the list of packages"]
        if of and packages >= of - 1:
            parts = [f"{packages} packages, linking"]
        parts.append(f"{duration(time.monotonic() - self.started)} so far")
        left = self.estimate.remaining(self.position, min(1.0, packages / of) if of else 0.0)
        if left is not None:
            parts.append(f"about {duration(left)} to go in all")
        return ", ".join(parts)

    def finish(self, tool: Tool, seconds: float) -> None:
        self._say(f"    {tool.name} is there after {duration(seconds)}")


class BarProgress(LineProgress):
    """A line that moves, for a terminal; built on rich."""

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

    def start(self, position: int, tool: Tool) -> None:
        super().start(position, tool)
        self.bars.reset(self.task, description=tool.name, total=None, state="", visible=True)

    def compiled(self, packages: int, of: int) -> None:
        self.bars.update(self.task, completed=packages, total=of or None, state=self.state(packages, of))

    def finish(self, tool: Tool, seconds: float) -> None:
        self.bars.update(self.task, visible=False)
        super().finish(tool, seconds)

    def end(self) -> None:
        self.bars.stop()


def for_terminal() -> Progress:
    """A moving line where a person looks, lines where not."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
