"""Records, finds and ends the processes of a sandbox, and never those of anything else.

A process is identified by its id and its start time, since the system reuses ids. A process that was not recorded
because of a crash is found by its command line and environment, which name the sandbox's home.
"""

from __future__ import annotations

import atexit
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
"""Start times may differ by this many seconds for the same process: they are rounded and follow clock changes."""

_write_lock = threading.Lock()
"""Guards the file between threads of one process. The sandbox's lock guards it between processes."""

_started: list[subprocess.Popen[bytes]] = []
"""Handles of child processes. Keeping them avoids Python's warning about a process that still runs."""


@atexit.register
def _forget_children() -> None:
    """Tell the handles that nobody waits: the processes outlive this one, and Python would warn of each at its exit."""
    for child in _started:
        if child.poll() is None:
            child.returncode = 0


def _read(home: Home) -> dict[str, dict[str, float]]:
    try:
        return json.loads(home.processes.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def record(home: Home, pids: Mapping[str, int]) -> None:
    """Record processes by name. Call it under the sandbox's lock, before you wait for any of them."""
    with _write_lock:
        entries = _read(home)
        for name, pid in pids.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                entries[name] = {"pid": pid, "started": psutil.Process(pid).create_time()}
        write_private(home.processes, json.dumps(entries, indent=1, sort_keys=True) + "\n")


def running_processes(home: Home) -> dict[str, psutil.Process]:
    """Return the recorded processes that still run, by name."""
    running: dict[str, psutil.Process] = {}
    for name, entry in _read(home).items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(entry["pid"]))
            same = abs(process.create_time() - entry["started"]) <= _CLOCK_S
            if same and process.status() != psutil.STATUS_ZOMBIE:
                running[name] = process
    return running


def find_strays(home: Home) -> list[psutil.Process]:
    """Return this user's processes whose command line or environment names this home."""
    running_strays: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            if process.status() != psutil.STATUS_ZOMBIE and _belongs_to(process, home):
                running_strays.append(process)
    return running_strays


def _belongs_to(process: psutil.Process, home: Home) -> bool:
    command = process.cmdline()
    if not command:
        return False
    if command[0].startswith(f"{home.kwok}{os.sep}clusters{os.sep}"):
        return True
    program = Path(command[0]).name
    if program == "kwokctl":
        return any(argument.startswith(f"{home.kwok}{os.sep}") for argument in command)
    own_modules = {"sandbox.aws.endpoint", "sandbox.operators", "sandbox.local.supervisor"}
    return bool(own_modules & set(command)) and process.environ().get("ISTHMUS_HOME") == str(home.root)


def end_processes(processes: Iterable[psutil.Process], *, patience_s: float = 0.0) -> None:
    """End processes and their descendants, and return when all have ended.

    With `patience_s` they get SIGTERM and so many seconds before SIGKILL. Without it they are killed at once:
    the sandbox's clusters have nothing to save.
    """
    tree: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                tree[child.pid] = child
        tree[process.pid] = process
    remaining = list(tree.values())
    if patience_s:
        for process in remaining:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        _, remaining = psutil.wait_procs(remaining, timeout=patience_s)
    for process in remaining:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(remaining, timeout=10)
    # A handle that does not know that its process has ended warns at the interpreter's exit.
    _started[:] = [child for child in _started if child.poll() is None]


def end_all(home: Home) -> None:
    """End every process of this sandbox, recorded or not, and delete the records.

    The search is repeated, since a process may start another one just before it ends.
    """
    for _ in range(5):
        processes = {
            process.pid: process for process in (*running_processes(home).values(), *find_strays(home))
        }
        if not processes:
            break
        end_processes(processes.values())
    home.processes.unlink(missing_ok=True)


def start(command: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path) -> int:
    """Start a process that outlives this one, with its output in `log`. Returns its id."""
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
    """Return the last lines of a log in one line, for an error message."""
    try:
        text = log.read_text("utf-8", errors="replace")
    except OSError:
        return "(no log)"
    return " | ".join(line.strip()[:300] for line in text.splitlines()[-lines:]) or "(empty log)"
