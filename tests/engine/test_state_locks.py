"""State locks of dead and of running processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state import locks as state_locks


def lock(backend: Path, pid: int, host: str | None = None) -> Path:
    folder = backend / ".pulumi" / "locks" / "organization" / "isthmus" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{pid}.json"
    content = {"pid": pid, "username": "ada", "hostname": host or socket.gethostname(), "timestamp": "then"}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_removed(tmp_path, dead):
    file = lock(tmp_path, dead)
    cleared = state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert [lock.pid for lock in cleared] == [dead]
    assert not file.exists()


def test_the_lock_of_a_living_process_names_its_owner(tmp_path):
    file = lock(tmp_path, os.getpid())
    with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} of ada"):
        state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert file.exists()


def test_a_lock_from_another_host_is_never_removed(tmp_path, dead):
    file = lock(tmp_path, dead, host="elsewhere")
    with pytest.raises(EnvironmentFault, match="elsewhere"):
        state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert file.exists()


def test_a_lock_of_another_stack_is_ignored(tmp_path, dead):
    lock(tmp_path, dead)
    assert state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "other") == []


def test_locks_of_a_remote_backend_are_not_touched():
    assert state_locks.locks("s3://bucket", "isthmus", "dev") == []


def test_a_lock_whose_process_id_was_reused_is_removed(tmp_path):
    """After a restart of the machine the lock's number may be any process', this one's for example."""
    file = lock(tmp_path, os.getpid())
    content = json.loads(file.read_text()) | {"timestamp": "2020-01-01T00:00:00.123456789Z"}
    file.write_text(json.dumps(content))
    assert [lock.pid for lock in state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")] == [
        os.getpid()
    ]
    assert not file.exists()


def test_a_living_process_keeps_its_lock(tmp_path):
    file = lock(tmp_path, os.getpid())
    content = json.loads(file.read_text()) | {"timestamp": datetime.now(UTC).isoformat()}
    file.write_text(json.dumps(content))
    with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} of ada"):
        state_locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert file.exists()


def test_a_second_run_is_refused_with_the_holder_of_the_lock(tmp_path):
    backend = f"file://{tmp_path}"
    with state_locks.exclusive_lock(backend, tmp_path, "isthmus", "dev"):
        with (
            pytest.raises(EnvironmentFault) as caught,
            state_locks.exclusive_lock(backend, tmp_path, "isthmus", "dev"),
        ):
            pass
        with state_locks.exclusive_lock(backend, tmp_path, "isthmus", "prod"):
            pass
    for part in (f"process {os.getpid()} of ", socket.gethostname(), "since 20"):
        assert part in str(caught.value)
    with state_locks.exclusive_lock(backend, tmp_path, "isthmus", "dev"):
        pass


def test_the_exclusive_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from isthmus.engine.state import locks\n"
        "with locks.exclusive_lock(sys.argv[1], Path('.'), 'isthmus', 'dev'):\n"
        "    print('mine', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, f"file://{tmp_path}"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "mine\n"
    with (
        pytest.raises(EnvironmentFault, match=f"process {child.pid}"),
        state_locks.exclusive_lock(f"file://{tmp_path}", tmp_path, "isthmus", "dev"),
    ):
        pass
    child.kill()
    child.communicate()
    with state_locks.exclusive_lock(f"file://{tmp_path}", tmp_path, "isthmus", "dev"):
        pass
