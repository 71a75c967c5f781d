"""Processes are ended by id, and never somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sandbox import processes
from sandbox.home import Home

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def home(tmp_path):
    created = Home.at(tmp_path / "home")
    created.make()
    return created


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", SLEEP])
    yield child
    child.kill()
    child.wait()


def test_a_recorded_process_is_ended_with_all_that_it_started(home):
    begin = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
    code = f"{begin}; print(child.pid, flush=True); {SLEEP}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        processes.record(home, {"parent": parent.pid})
        processes.end_all(home)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert not psutil.pid_exists(parent.pid)
    assert not home.processes.exists()


def test_a_number_that_was_given_away_again_is_left_alone(home, sleeper):
    processes.record(home, {"ours": sleeper.pid})
    entry = json.loads(home.processes.read_text())
    entry["ours"]["started"] -= 100
    home.processes.write_text(json.dumps(entry))
    assert processes.running_processes(home) == {}
    processes.end_all(home)
    assert sleeper.poll() is None, "a process of somebody else was ended"


def test_an_unrecorded_component_of_this_home_is_found_and_others_are_not(home, sleeper, tmp_path):
    for folder in (home.kwok, tmp_path / "other" / "kwok"):
        (folder / "clusters" / "isthmus-x" / "bin").mkdir(parents=True)
    ours = home.kwok / "clusters" / "isthmus-x" / "bin" / "etcd"
    theirs = tmp_path / "other" / "kwok" / "clusters" / "isthmus-x" / "bin" / "etcd"
    started = []
    for path in (ours, theirs):
        path.symlink_to("/bin/sleep")
        # The name a process was called by is what its command line shows.
        started.append(subprocess.Popen([str(path), "60"]))
    editor = subprocess.Popen([sys.executable, "-c", SLEEP, str(home.kubeconfig)])
    try:
        assert [process.pid for process in processes.find_strays(home)] == [started[0].pid]
        processes.end_all(home)
        assert [child.poll() is None for child in started] == [False, True]
        assert editor.poll() is None
    finally:
        for child in (*started, editor):
            child.kill()
            child.wait()


def test_a_stray_aws_endpoint_is_known_by_its_home(home, tmp_path):
    command = [sys.executable, "-c", SLEEP, "sandbox.aws.endpoint"]
    children = [
        subprocess.Popen(command, env=os.environ | {"ISTHMUS_HOME": str(root)})
        for root in (home.root, tmp_path / "x")
    ]
    try:
        assert [process.pid for process in processes.find_strays(home)] == [children[0].pid]
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_the_tail_of_a_log_is_one_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(10)))
    assert processes.tail(log, 2) == "line 8 | line 9"
    assert processes.tail(tmp_path / "none") == "(no log)"


def test_a_process_that_outlives_its_starter_causes_no_warning(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from sandbox import processes\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        f"print(processes.start([sys.executable, '-c', {SLEEP!r}], log=log, environment={{}}, folder=log.parent))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    try:
        assert "ResourceWarning" not in done.stderr
    finally:
        psutil.Process(int(done.stdout)).kill()
