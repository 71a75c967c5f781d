"""Local processes under their supervisor: started in order, restarted once, ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sandbox.local import supervisor
from sandbox.local.supervisor import Process, State

pytestmark = pytest.mark.service

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def process(folder: Path, name: str, command: list[str], waits_for: str = "") -> Process:
    return Process(name, command, dict(os.environ), str(folder / f"{name}.log"), str(folder), "", waits_for)


@contextmanager
def supervised(folder: Path, *processes: Process) -> Iterator[subprocess.Popen[bytes]]:
    run = folder / "run.json"
    supervisor.write_run(run, processes)
    with subprocess.Popen([sys.executable, "-m", "sandbox.local.supervisor", str(run)]) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0


def states(folder: Path, wanted: Callable[[dict[str, State]], bool]) -> dict[str, State]:
    """The states, once they are as wanted."""
    end, found = time.monotonic() + 20, dict[str, State]()
    while time.monotonic() < end:
        found = {state.name: state for state in supervisor.read_states(folder / "status.json")}
        if wanted(found):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_a_process_that_dies_is_named_and_restarted_once(tmp_path: Path):
    with supervised(tmp_path, process(tmp_path, "steady", SLEEP)):
        before = states(tmp_path, lambda found: "steady" in found)["steady"]
        os.kill(before.pid, signal.SIGKILL)
        again = states(tmp_path, lambda found: found["steady"].restarts == 1)["steady"]
        assert again.pid != before.pid
        assert again.is_running
        assert again.ended == ["ended with code -9"]
        os.kill(again.pid, signal.SIGKILL)
        gone = states(tmp_path, lambda found: not found["steady"].is_running)["steady"]
        assert gone.ended == ["ended with code -9", "ended with code -9"]


def test_a_process_waits_for_its_file(tmp_path: Path):
    waiting = process(tmp_path, "later", SLEEP, waits_for=str(tmp_path / "ready"))
    with supervised(tmp_path, process(tmp_path, "first", SLEEP), waiting):
        time.sleep(0.5)
        assert not (tmp_path / "later.log").exists()
        (tmp_path / "ready").touch()
        assert states(tmp_path, lambda found: "later" in found)["later"].is_running


def test_all_end_with_the_supervisor(tmp_path: Path):
    with supervised(tmp_path, *(process(tmp_path, name, SLEEP) for name in ("one", "two"))):
        found = states(tmp_path, lambda found: len(found) == 2)
    assert not [state.name for state in found.values() if psutil.pid_exists(state.pid)]
