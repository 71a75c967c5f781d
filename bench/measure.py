"""Measures time and memory of commands that run in turn, and prints the comparison."""

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
    """Wall seconds of the runs of one command, in order."""

    name: str
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.name}: median {self.median:.2f} s of {len(self.seconds)} ({low:.2f} to {high:.2f})"


class Failed(RuntimeError):
    """A measured command failed, so there is no figure. The message has the command's output."""

    @classmethod
    def from_command(cls, command: Sequence[str], cwd: Path, code: int, output: str) -> Failed:
        tail = "\n".join(output.splitlines()[-40:])
        return cls(f"{' '.join(command)} in {cwd} ended with {code}:\n{tail}")


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise Failed.from_command(command, cwd, process.returncode, process.stdout + process.stderr)
    return seconds


def run_with_memory(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float = math.inf
) -> tuple[float, float]:
    """Wall seconds of a command, and the peak memory of the command and its children together, in MiB.

    Memory is read ten times a second. Pages that processes share are counted for each. After `limit_s` seconds the
    command is ended; that is not a failure, and the returned seconds exceed the limit.
    """
    import psutil

    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=cwd, env=dict(env), stdout=output, stderr=subprocess.STDOUT)
        root_process, most_bytes = psutil.Process(process.pid), 0
        while process.poll() is None:
            bytes_now = 0
            with contextlib.suppress(psutil.Error):
                for running in [root_process, *root_process.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        bytes_now += running.memory_info().rss
            most_bytes = max(most_bytes, bytes_now)
            if time.perf_counter() - start > limit_s:
                _end(root_process)
                return time.perf_counter() - start, most_bytes / 2**20
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        if process.returncode:
            output.seek(0)
            raise Failed.from_command(command, cwd, process.returncode, output.read())
    return seconds, most_bytes / 2**20


def _end(root_process: psutil.Process) -> None:
    import psutil

    for running in [root_process, *root_process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            running.kill()
    root_process.wait()


def alternate(
    runs: int, first: Callable[[], float], second: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Run both in turn, A B A B …, so that a slow phase of the machine affects both."""
    first_seconds: list[float] = []
    second_seconds: list[float] = []
    for _ in range(runs):
        first_seconds.append(first())
        second_seconds.append(second())
    return first_seconds, second_seconds


def verdict(measured: Series, baseline: Series, *, share: float, seconds: float) -> bool:
    """Print both, and return whether `measured` takes at most `share` or `seconds` more, whichever is larger."""
    allowed = max(baseline.median * share, seconds)
    difference = measured.median - baseline.median
    is_within = difference <= allowed
    print(f"  {measured}\n  {baseline}")
    print(
        f"  ratio {measured.median / baseline.median:.2f}, {difference:+.2f} s; at most {allowed:+.2f} s: "
        f"{'within' if is_within else 'OVER'}"
    )
    return is_within
