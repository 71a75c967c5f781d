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
        self.work = [tool.typical_s for tool in tools]
        """Typical seconds of each tool's build, as far as it is still to be done."""
        self.begun = time.monotonic()

    def start(self, position: int, share: float) -> None:
        """Of tool `position` only this share must be compiled; linking remains in any case."""
        self.work[position] *= max(0.1, share)

    def remaining(self, position: int, fraction: float) -> float | None:
        """Seconds until all is done, while tool `position` is at `fraction`; None where there is
        nothing to go by."""
        total = sum(self.work)
        # Compiling is nine tenths of a build, linking the rest.
        done = sum(self.work[:position]) + self.work[position] * fraction * 0.9
        elapsed = time.monotonic() - self.begun
        if elapsed < 20 or done < 10:
            return total or None
        return max(0.0, (total - done) * elapsed / done)


class Progress:
    """Is told what happens; this one says nothing. Subclass it to show it."""

    def note(self, text: str) -> None:
        """Something to know, e.g. that another install is waited for."""

    def begin(self, tools: list[Tool]) -> None:
        """These will be made, in this order."""

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        """Tool `position` (from 0) begins; `share` of its packages must be compiled, Go's cache has the rest."""

    def compiled(self, packages: int, of: int) -> None:
        """So many of so many packages that the current tool lacked are compiled."""

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

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        self.position, self.started = position, time.monotonic()
        self.estimate.start(position, share)
        self._say(f"[{position + 1}/{len(self.tools)}] {tool.name} {tool.version}: {tool.purpose}")

    def compiled(self, packages: int, of: int) -> None:
        if time.monotonic() - self.told >= self.every:
            self._say(f"    {self.state(packages, of)}")

    def state(self, packages: int, of: int) -> str:
        """One line: how far the current tool is, how long it has taken, and what remains of all."""
        linking = packages >= of - 1  # the last package is the program itself
        parts = [f"{packages} packages, linking" if linking else f"{packages} of {of} packages"]
        parts.append(f"{duration(time.monotonic() - self.started)} so far")
        left = self.estimate.remaining(self.position, min(1.0, packages / max(1, of)))
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

    def start(self, position: int, tool: Tool, share: float = 1.0) -> None:
        super().start(position, tool, share)
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
