"""The sandbox's processes: recorded as they start, ended by id, and never anybody else's.

A process is known by its id and its start time, so a number that the system has given away again is
left alone. What a crash kept from being recorded is found by its command line and environment, which
name this sandbox's home.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from sandbox.home import Home, write_private

_CLOCK_S = 1.0
"""Start times are rounded, and shift when the clock is set: as near as this is the same process."""

_writing = threading.Lock()
"""Clusters of several sites start in threads of one process; between processes the sandbox's lock holds."""

_started: list[subprocess.Popen[bytes]] = []
"""Handles of our own children, kept so that Python does not warn about a process left running on purpose."""


def _read(home: Home) -> dict[str, dict[str, float]]:
    try:
        return json.loads(home.processes.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def record(home: Home, pids: Mapping[str, int]) -> None:
    """Remember processes by name; called under the sandbox's lock, before waiting for any of them."""
    with _writing:
        known = _read(home)
        for name, pid in pids.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                known[name] = {"pid": pid, "started": psutil.Process(pid).create_time()}
        write_private(home.processes, json.dumps(known, indent=1, sort_keys=True) + "\n")


def alive(home: Home) -> dict[str, psutil.Process]:
    """The recorded processes that still run, by name."""
    found: dict[str, psutil.Process] = {}
    for name, entry in _read(home).items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(entry["pid"]))
            same = abs(process.create_time() - entry["started"]) <= _CLOCK_S
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found[name] = process
    return found


def strays(home: Home) -> list[psutil.Process]:
    """This user's processes that show by command line or environment that they belong to this home."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            if process.status() != psutil.STATUS_ZOMBIE and _belongs(process, home):
                found.append(process)
    return found


def _belongs(process: psutil.Process, home: Home) -> bool:
    command = process.cmdline()
    if not command:
        return False
    if command[0].startswith(f"{home.kwok}{os.sep}clusters{os.sep}"):
        return True
    program = Path(command[0]).name
    if program == "kwokctl":
        return any(argument.startswith(f"{home.kwok}{os.sep}") for argument in command)
    ours = {"sandbox.aws.endpoint", "sandbox.operators"}
    return bool(ours & set(command)) and process.environ().get("ISTHMUS_HOME") == str(home.root)


def end(processes: Iterable[psutil.Process], *, patience_s: float = 0.0) -> None:
    """End processes and all that they started: asked first when there is patience, then killed.

    Returns when none is left. Patience is for what has something to save; the sandbox's clusters
    have nothing, since their data goes with them.
    """
    everyone: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                everyone[child.pid] = child
        everyone[process.pid] = process
    left = list(everyone.values())
    if patience_s:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        _, left = psutil.wait_procs(left, timeout=patience_s)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def end_all(home: Home) -> None:
    """End every process of this sandbox, recorded or not, and forget them.

    Looked for again until none is found: one that was ended may have started another just before.
    """
    for _ in range(5):
        found = {process.pid: process for process in (*alive(home).values(), *strays(home))}
        if not found:
            break
        end(found.values())
    home.processes.unlink(missing_ok=True)


def start(command: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path) -> int:
    """Start a process that outlives this one, its output in `log`; its id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    _started.append(child)
    return child.pid


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, on one line, for an error."""
    try:
        text = log.read_text("utf-8", errors="replace")
    except OSError:
        return "(no log)"
    return " | ".join(line.strip()[:300] for line in text.splitlines()[-lines:]) or "(empty log)"
