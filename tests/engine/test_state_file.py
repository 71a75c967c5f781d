"""A state file that cannot be used is reported, with the backups that can replace it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.state import state_file

GOOD = {
    "version": 3,
    "checkpoint": {
        "stack": "organization/isthmus/dev",
        "latest": {"resources": [{"urn": "a"}, {"urn": "b"}]},
    },
}
TEXT = json.dumps(GOOD, indent=4)


def write_state(backend: Path, text: str | bytes) -> Path:
    file = backend / ".pulumi" / "stacks" / "isthmus" / "dev.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def message_for(backend: Path) -> str:
    with pytest.raises(EnvironmentFault) as caught:
        state_file.check(f"file://{backend}", "isthmus", "dev", backend / "copies")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "error_text"),
    [
        ("", "is empty"),
        (TEXT[:-40], "is truncated after"),
        ("<html>gateway</html>", "is not JSON (line 1"),
        ("[]", "no checkpoint of Pulumi's"),
        (b"\xff\xfe\x00", "cannot be read"),
        (json.dumps({**GOOD, "version": 5}), "has version 5"),
        (json.dumps({**GOOD, "version": "3"}), "has no version"),
    ],
)
def test_a_broken_state_file_is_reported_with_its_problem(tmp_path, text, error_text):
    file = write_state(tmp_path, text)
    message = message_for(tmp_path)
    assert error_text in message
    assert str(file) in message


def test_a_newer_state_asks_for_the_pulumi_that_wrote_it_and_offers_no_copy(tmp_path):
    newer = {**GOOD, "version": 9}
    newer["checkpoint"] = {"latest": {"manifest": {"version": "v9.9.9"}}}
    file = write_state(tmp_path, json.dumps(newer))
    file.with_name("dev.json.bak").write_text(TEXT)
    message = message_for(tmp_path)
    assert "Pulumi v9.9.9 wrote it" in message
    assert "cp " not in message


def test_usable_backups_of_a_broken_state_are_listed(tmp_path):
    file = write_state(tmp_path, TEXT[:50])
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "2026-11-25T040000.000000Z.json").write_text("{}")
    file.with_name("dev.json.bak").write_text(TEXT)
    message = message_for(tmp_path)
    assert f"cp {file}.bak {file}" in message
    assert "2 resources" in message
    assert "2026-11-25T040000.000000Z.json" in message


def test_a_broken_backup_is_not_offered(tmp_path):
    file = write_state(tmp_path, TEXT[:50])
    file.with_name("dev.json.bak").write_text(TEXT[:60])
    assert "No usable copy" in message_for(tmp_path)


@pytest.mark.parametrize("text", [TEXT, json.dumps({"version": 3, "checkpoint": {"stack": "x"}})])
def test_a_good_state_and_an_empty_stack_pass(tmp_path, text):
    write_state(tmp_path, text)
    state_file.check(f"file://{tmp_path}", "isthmus", "dev", tmp_path)


@pytest.mark.parametrize("backend", ["s3://bucket", "https://api.pulumi.com", ""])
def test_a_state_in_a_remote_backend_is_not_checked(backend, tmp_path):
    state_file.check(backend, "isthmus", "dev", tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(TEXT) - 1))
def test_a_state_file_truncated_anywhere_is_never_accepted(tmp_path, length):
    write_state(tmp_path, TEXT[:length])
    assert "is truncated after" in (message := message_for(tmp_path)) or "is empty" in message


ATTRIBUTES = '{"user.content_type":"application/json","md5":"rL0Y20zC+Fzt72VPzMSk2A=="}'


@pytest.mark.parametrize("where", ["stacks/isthmus/dev.json", "history/isthmus/dev/dev-1.history.json"])
@pytest.mark.parametrize("cut", ["", ATTRIBUTES[:20]])
def test_broken_attribute_files_of_a_stack_are_removed_and_others_stay(tmp_path, where, cut):
    write_state(tmp_path, TEXT)
    broken = tmp_path / ".pulumi" / f"{where}.attrs"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_text(cut)
    with_name = broken.with_name("dev.json.bak.attrs")
    with_name.write_text(ATTRIBUTES)
    other_stack = tmp_path / ".pulumi/stacks/isthmus/production.json.attrs"
    other_stack.write_text("")
    assert state_file.drop_broken_attributes(f"file://{tmp_path}", "isthmus", "dev") == [broken]
    assert (broken.exists(), with_name.exists(), other_stack.exists()) == (False, True, True)
    state_file.check(f"file://{tmp_path}", "isthmus", "dev", tmp_path)


def test_a_remote_backend_has_no_attribute_files(tmp_path):
    assert state_file.drop_broken_attributes("s3://bucket", "isthmus", "dev") == []
