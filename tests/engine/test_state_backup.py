"""Backups of the state before it is changed."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state import backup as state_backup

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
URN = "urn:pulumi:dev::isthmus::aws:kms/key:Key::key"


def exported(mark: int = 0, pending: str | None = None) -> dict:
    state: dict = {"resources": [{"urn": "a", "mark": mark}]}
    if pending:
        state["pending_operations"] = [{"resource": {"urn": pending}, "type": "creating"}]
    return {"version": 3, "deployment": state}


def test_a_backup_has_a_utc_time_in_its_name_and_is_readable_by_its_owner_only(tmp_path):
    file = state_backup.write(tmp_path, "dev", exported(), NOON)
    assert file
    assert file == tmp_path / "out" / "backups" / "dev" / "2026-11-25T120000.000000Z.json"
    assert json.loads(file.read_text()) == exported()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_last_ten_backups_are_kept(tmp_path):
    for number in range(14):
        state_backup.write(tmp_path, "dev", exported(number), NOON + timedelta(minutes=number))
    left = [json.loads(file.read_text()) for file in sorted(state_backup.folder(tmp_path, "dev").iterdir())]
    assert [backup["deployment"]["resources"][0]["mark"] for backup in left] == list(range(4, 14))


def test_an_unchanged_state_gets_no_second_backup(tmp_path):
    first = state_backup.write(tmp_path, "dev", exported(), NOON)
    assert state_backup.write(tmp_path, "dev", exported(), NOON + timedelta(hours=1)) == first
    assert len(list(state_backup.folder(tmp_path, "dev").iterdir())) == 1


def test_an_empty_stack_gets_no_backup(tmp_path):
    assert state_backup.write(tmp_path, "dev", {"version": 3, "deployment": {}}) is None
    assert not state_backup.folder(tmp_path, "dev").exists()


def test_a_backup_that_cannot_be_written_stops_the_run(tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentFault, match="no backup of the state can be written"):
        state_backup.write(tmp_path, "dev", exported())


def test_a_failed_write_leaves_no_partial_backup(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        state_backup.write(tmp_path, "dev", exported())
    assert list(state_backup.folder(tmp_path, "dev").iterdir()) == []


def test_the_start_of_a_creation_is_the_time_of_the_newest_backup_without_it(tmp_path):
    state_backup.write(tmp_path, "dev", exported(1), NOON)
    state_backup.write(tmp_path, "dev", exported(2), NOON + timedelta(hours=1))
    state_backup.write(tmp_path, "dev", exported(2, URN), NOON + timedelta(hours=2))
    assert state_backup.time_of_copy_before(tmp_path, "dev", URN) == "2026-11-25T13:00:00+00:00"
    assert state_backup.time_of_copy_before(tmp_path, "dev", "another") == "2026-11-25T14:00:00+00:00"
    assert state_backup.time_of_copy_before(tmp_path, "prod", URN) is None
