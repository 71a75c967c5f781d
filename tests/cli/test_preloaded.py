"""Commands that tests fork (`tests/preloaded.py`) behave like new interpreters and end with their parent process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import preloaded

PROGRAM = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def allow_forking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(preloaded.SWITCH, raising=False)


def environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if preloaded.is_plain(name)}
    return plain | {"PYTHONPATH": str(preloaded.ROOT)}


@pytest.mark.parametrize("arguments", [["--version"], ["rendr"], ["render", "nobody"], ["schema", "plan"]])
def test_a_forked_command_has_the_output_and_exit_code_of_a_new_interpreter(arguments: list[str]) -> None:
    command, env = [sys.executable, "-m", "isthmus", *arguments], environment()
    assert preloaded.may_fork(env), "both would be new interpreters"
    new = subprocess.run(command, cwd=preloaded.ROOT, env=env, capture_output=True, text=True, check=False)
    forked = preloaded.isthmus(arguments, preloaded.ROOT, env)
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)


def program(tmp_path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A program that the language host would start, and the process that it runs in."""
    env = environment() | preloaded.lay_interpreter(tmp_path / ".venv")
    script, pid_file = tmp_path / "pulumi-language-python-exec", tmp_path / "pid"
    script.write_text(PROGRAM)
    waiting = subprocess.Popen(
        [str(tmp_path / ".venv/bin/python"), "-u", str(script), str(pid_file)], env=env
    )
    deadline = time.monotonic() + 60
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return waiting, int(pid_file.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_forked_program_ends_with_the_process_that_the_host_started(tmp_path: Path, number: int) -> None:
    waiting, pid = program(tmp_path)
    assert pid != waiting.pid
    waiting.send_signal(number)
    assert waiting.wait(10) == -number
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_the_signal_that_ended_a_forked_program_is_reported(tmp_path: Path) -> None:
    waiting, pid = program(tmp_path)
    os.kill(pid, signal.SIGKILL)
    assert waiting.wait(10) == -signal.SIGKILL
