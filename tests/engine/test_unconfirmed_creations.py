"""Creations without a confirmed result are written to a file that the next run reads."""

from __future__ import annotations

import stat

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state import unconfirmed_creations
from isthmus.engine.state.interrupted_creations import Creation

URN = "urn:pulumi:dev::isthmus::aws:kms/key:Key::key"


def lost(mark: int = 0, urn: str = URN) -> Creation:
    resource = {"urn": urn, "type": "aws:kms/key:Key", "custom": True, "inputs": {"mark": mark}}
    return Creation(resource, "2026-11-25T04:00:00+00:00")


def test_a_recorded_creation_is_read_only_by_its_owner(tmp_path):
    unconfirmed_creations.add(tmp_path, "dev", [lost()])
    assert unconfirmed_creations.read(tmp_path, "dev") == [lost()]
    assert unconfirmed_creations.read(tmp_path, "prod") == []
    # Inputs may hold what a stack's settings keep as a secret.
    assert stat.S_IMODE(unconfirmed_creations.list_file(tmp_path, "dev").stat().st_mode) == 0o600


def test_further_runs_add_unconfirmed_creations_without_duplicates(tmp_path):
    unconfirmed_creations.add(tmp_path, "dev", [lost(1)])
    unconfirmed_creations.add(tmp_path, "dev", [lost(1), lost(2)])
    assert unconfirmed_creations.read(tmp_path, "dev") == [lost(1), lost(2)], (
        "made anew with a name of its own"
    )


def test_without_lost_creations_no_file_is_written(tmp_path):
    unconfirmed_creations.add(tmp_path, "dev", [])
    assert not unconfirmed_creations.list_file(tmp_path, "dev").parent.exists()


def test_decided_creations_are_removed_from_the_file(tmp_path):
    unconfirmed_creations.add(tmp_path, "dev", [lost()])
    unconfirmed_creations.forget(tmp_path, "dev")
    unconfirmed_creations.forget(tmp_path, "dev")
    assert unconfirmed_creations.read(tmp_path, "dev") == []


@pytest.mark.parametrize("text", ["", '[{"resource"', "[1]", "{}x", '[{"urn": 1}]'])
def test_an_unreadable_file_of_creations_stops_the_run(tmp_path, text):
    file = unconfirmed_creations.list_file(tmp_path, "dev")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(EnvironmentFault, match="cannot be read") as caught:
        unconfirmed_creations.read(tmp_path, "dev")
    assert str(file) in str(caught.value)
