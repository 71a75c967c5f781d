"""Provider plugins whose engine is dead are stopped; other processes are left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from isthmus.engine.automation import orphan_plugins

BACKEND = "file:///a/backend"
Starts = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starts]:
    """A process with the command line of a plugin, that sleeps."""
    running: list[subprocess.Popen[str]] = []

    def started(
        address: str, backend: str = BACKEND, name: str = "pulumi-resource-kubernetes", deaf: bool = False
    ) -> subprocess.Popen[str]:
        code = "import signal, time\n"
        code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if deaf else ""
        (tmp_path / "sleep.py").write_text(f"{code}print('there', flush=True)\ntime.sleep(60)\n")
        process = subprocess.Popen(
            [name, str(tmp_path / "sleep.py"), address],
            executable=sys.executable,
            env={**os.environ, "PULUMI_BACKEND_URL": backend},
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of an engine that lives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead_process() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_plugin_whose_engine_is_dead_is_stopped_and_reported(start, dead_process):
    process = start(dead_process)
    assert orphan_plugins.end(BACKEND) == ["pulumi-resource-kubernetes"]
    assert not psutil.pid_exists(process.pid)


def test_a_plugin_that_ignores_the_request_to_stop_is_killed(start, dead_process, monkeypatch):
    monkeypatch.setattr(orphan_plugins, "_WAIT_S", 0.5)
    process = start(dead_process, deaf=True)
    orphan_plugins.end(BACKEND)
    assert not psutil.pid_exists(process.pid)


def test_only_orphan_plugins_of_this_backend_are_stopped(start, dead_process, engine):
    others_running = [
        start(engine),
        start(dead_process, backend="file:///another"),
        start(dead_process, name="pulumi-language-python"),
        start("--help"),
        start("10.0.0.1:4000"),
    ]
    assert orphan_plugins.end(BACKEND) == []
    assert [process.poll() for process in others_running] == [None] * 5


def test_an_orphan_aws_plugin_of_the_sandbox_is_stopped_too(start, dead_process, tmp_path):
    # As its shell script runs it: `python -m sandbox.aws.plugin ADDRESS`.
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws.plugin", dead_process],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PULUMI_BACKEND_URL": BACKEND},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline().strip().isdigit()
        assert orphan_plugins.end(BACKEND) == ["pulumi-resource-aws"]
        process.wait(timeout=5)
    finally:
        process.kill()
        process.communicate()
