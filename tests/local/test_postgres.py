"""The local PostgreSQL where root's folders are closed to the user that runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.local import postgres
from sandbox.local.postgres import Postgres


@pytest.mark.parametrize("program", ["initdb", "postgres", "pg_isready"])
def test_a_copied_program_finds_its_libraries(tmp_path: Path, monkeypatch, program: str):
    monkeypatch.setattr(postgres, "_is_root", lambda: True)
    monkeypatch.setattr(postgres, "_is_open_to_all", lambda path: False)
    copied = Postgres(tmp_path, 0)._program(program)
    assert copied.is_relative_to(tmp_path)
    done = subprocess.run(["ldd", str(copied)], capture_output=True, text=True, check=True)
    assert "not found" not in done.stdout
