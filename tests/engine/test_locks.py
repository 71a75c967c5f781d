"""Locks of dead runs, and of living ones."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from isthmus.contracts.errors import EnvironmentFault
from isthmus.engine import locks


def lock(backend: Path, pid: int, host: str | None = None) -> Path:
    folder = backend / ".pulumi" / "locks" / "organization" / "isthmus" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{pid}.json"
    said = {"pid": pid, "username": "ada", "hostname": host or socket.gethostname(), "timestamp": "then"}
    file.write_text(json.dumps(said))
    return file


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_removed(tmp_path, dead):
    file = lock(tmp_path, dead)
    cleared = locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert [each.pid for each in cleared] == [dead]
    assert not file.exists()


def test_the_lock_of_a_living_process_names_its_owner(tmp_path):
    file = lock(tmp_path, os.getpid())
    with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} of ada"):
        locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert file.exists()


def test_a_lock_from_another_host_is_never_called_dead(tmp_path, dead):
    file = lock(tmp_path, dead, host="elsewhere")
    with pytest.raises(EnvironmentFault, match="elsewhere"):
        locks.clear_dead(f"file://{tmp_path}", "isthmus", "dev")
    assert file.exists()


def test_a_lock_of_another_stack_is_not_ours(tmp_path, dead):
    lock(tmp_path, dead)
    assert locks.clear_dead(f"file://{tmp_path}", "isthmus", "other") == []


def test_a_remote_backend_keeps_its_own_locks():
    assert locks.locks("s3://bucket", "isthmus", "dev") == []
