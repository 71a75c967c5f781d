"""Time commands in turn, and print what a reader needs to judge the figures."""

from __future__ import annotations

import contextlib
import math
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


@dataclass
class Series:
    """Wall seconds of one command, in the order in which it ran."""

    name: str
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.name}: median {self.median:.2f} s of {len(self.seconds)} ({low:.2f} to {high:.2f})"


class Failed(RuntimeError):
    """A measured command failed: there is no figure, and the output says why."""

    @classmethod
    def of(cls, command: Sequence[str], cwd: Path, code: int, told: str) -> Failed:
        tail = "\n".join(told.splitlines()[-40:])
        return cls(f"{' '.join(command)} in {cwd} ended with {code}:\n{tail}")


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise Failed.of(command, cwd, done.returncode, done.stdout + done.stderr)
    return seconds


def run_with_memory(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], at_most: float = math.inf
) -> tuple[float, float]:
    """As `run`, with the most memory that the command and its children held together, in MiB (looked at ten times
    a second, pages that they share counted for each). After `at_most` seconds it is ended, and is no failure: the
    seconds say that it was not done."""
    import psutil

    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=told, stderr=subprocess.STDOUT)
        whole, most = psutil.Process(process.pid), 0
        while process.poll() is None:
            held = 0
            with contextlib.suppress(psutil.Error):
                for one in [whole, *whole.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        held += one.memory_info().rss
            most = max(most, held)
            if time.perf_counter() - start > at_most:
                _end(whole)
                return time.perf_counter() - start, most / 2**20
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        if process.returncode:
            told.seek(0)
            raise Failed.of(command, cwd, process.returncode, told.read())
    return seconds, most / 2**20


def _end(whole: psutil.Process) -> None:
    import psutil

    for one in [whole, *whole.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            one.kill()
    whole.wait()


def alternate(
    runs: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Both in turn, A B A B …, so that a machine that slows down slows both."""
    mine: list[float] = []
    other: list[float] = []
    for _ in range(runs):
        mine.append(ours())
        other.append(theirs())
    return mine, other


def verdict(ours: Series, theirs: Series, *, share: float, seconds: float) -> bool:
    """Print both and whether ours stays within `share` or `seconds` more, whichever is larger."""
    allowed = max(theirs.median * share, seconds)
    more = ours.median - theirs.median
    fine = more <= allowed
    print(f"  {ours}\n  {theirs}")
    print(
        f"  ratio {ours.median / theirs.median:.2f}, {more:+.2f} s; at most {allowed:+.2f} s: "
        f"{'within' if fine else 'OVER'}"
    )
    return fine
