"""Runs the local processes of a stack: `python -m sandbox.local.supervisor RUN`.

RUN is a JSON file with the processes in the order in which they start. A process that ends is named in the status file
and started again once. SIGTERM ends all of them, the last one first.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandbox.home import write_private

RESTARTS = 1
DRAIN_S = 10.0
"""Seconds that a process has to end after SIGTERM."""


@dataclass(frozen=True)
class Process:
    """One process to run."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: str
    folder: str
    user: str = ""
    """Another user to run it as; empty: this one."""
    waits_for: str = ""
    """A file that must be there first; empty: none."""


@dataclass
class State:
    """One process as the status file shows it."""

    name: str
    pid: int
    log: str
    restarts: int = 0
    ended: list[str] = field(default_factory=list)
    """What became of earlier processes of this name, and of this one if it does not run any more."""
    is_running: bool = True


def write_run(path: Path, processes: Sequence[Process]) -> None:
    write_private(path, json.dumps([asdict(process) for process in processes], indent=1) + "\n")


def read_states(path: Path) -> list[State]:
    """The states in a status file; none if there is no file yet."""
    try:
        return [State(**entry) for entry in json.loads(path.read_text("utf-8"))]
    except (FileNotFoundError, ValueError):
        return []


class Supervisor:
    """The processes of one run."""

    def __init__(self, processes: Sequence[Process], status: Path) -> None:
        self.processes = processes
        self.status = status
        self.children: dict[str, subprocess.Popen[Any]] = {}
        self.states: dict[str, State] = {}
        self.is_ending = threading.Event()

    def run(self) -> None:
        """Start all processes, watch them until SIGTERM, and end them."""
        for process in self.processes:
            while process.waits_for and not Path(process.waits_for).exists():
                if self.is_ending.wait(0.1):
                    break
                self._look()
            if self.is_ending.is_set():
                break
            self._start(process)
        self._write()
        while not self.is_ending.wait(0.5):
            self._look()
        for process in reversed(self.processes):
            if (child := self.children.get(process.name)) is not None and child.poll() is None:
                child.terminate()
        end = time.monotonic() + DRAIN_S
        for child in self.children.values():
            try:
                child.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start(self, process: Process) -> None:
        more: dict[str, Any] = (
            {"user": process.user, "group": "nogroup", "extra_groups": []} if process.user else {}
        )
        with Path(process.log).open("ab") as output:
            child: subprocess.Popen[Any] = subprocess.Popen(
                process.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=process.folder,
                env=process.environment,
                **more,
            )
        self.children[process.name] = child
        before = self.states.get(process.name)
        self.states[process.name] = State(
            process.name,
            child.pid,
            process.log,
            before.restarts if before else 0,
            before.ended if before else [],
        )

    def _look(self) -> None:
        for process in self.processes:
            child, state = self.children.get(process.name), self.states.get(process.name)
            if child is None or state is None or not state.is_running or child.poll() is None:
                continue
            state.is_running = False
            state.ended = [*state.ended, f"ended with code {child.returncode}"]
            if state.restarts < RESTARTS:
                state.restarts += 1
                self._start(process)
            self._write()

    def _write(self) -> None:
        write_private(
            self.status, json.dumps([asdict(state) for state in self.states.values()], indent=1) + "\n"
        )


def main(argv: Sequence[str] | None = None) -> int:
    [run] = argv if argv is not None else sys.argv[1:]
    path = Path(run)
    processes = [Process(**entry) for entry in json.loads(path.read_text("utf-8"))]
    supervisor = Supervisor(processes, path.with_name("status.json"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.is_ending.set())
    supervisor.run()
    return 0


def environment(extra: dict[str, str]) -> dict[str, str]:
    """The environment of a process: nothing of the user's shell but its PATH and locale."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {**kept, **extra}


if __name__ == "__main__":
    sys.exit(main())
