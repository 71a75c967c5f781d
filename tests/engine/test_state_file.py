"""A state file that cannot be used is named, with what can take its place."""

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


def place(backend: Path, text: str | bytes) -> Path:
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
        (TEXT[:-40], "is cut off after"),
        ("<html>gateway</html>", "is not JSON (line 1"),
        ("[]", "no checkpoint of Pulumi's"),
        (b"\xff\xfe\x00", "cannot be read"),
        (json.dumps({**GOOD, "version": 5}), "is of version 5"),
        (json.dumps({**GOOD, "version": "3"}), "names no version"),
    ],
)
def test_a_problem_of_a_state_file_is_named(tmp_path, text, error_text):
    file = place(tmp_path, text)
    message = message_for(tmp_path)
    assert error_text in message
    assert str(file) in message


def test_a_newer_state_asks_for_the_pulumi_that_wrote_it_and_offers_no_copy(tmp_path):
    newer = {**GOOD, "version": 9}
    newer["checkpoint"] = {"latest": {"manifest": {"version": "v9.9.9"}}}
    file = place(tmp_path, json.dumps(newer))
    file.with_name("dev.json.bak").write_text(TEXT)
    message = message_for(tmp_path)
    assert "Pulumi v9.9.9 wrote it" in message
    assert "cp " not in message


def test_the_copies_that_can_take_its_place_are_named(tmp_path):
    file = place(tmp_path, TEXT[:50])
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "2026-11-25T040000.000000Z.json").write_text("{}")
    file.with_name("dev.json.bak").write_text(TEXT)
    message = message_for(tmp_path)
    assert f"cp {file}.bak {file}" in message
    assert "2 resources" in message
    assert "2026-11-25T040000.000000Z.json" in message


def test_a_copy_that_is_broken_too_is_not_offered(tmp_path):
    file = place(tmp_path, TEXT[:50])
    file.with_name("dev.json.bak").write_text(TEXT[:60])
    assert "no good copy" in message_for(tmp_path)


@pytest.mark.parametrize("text", [TEXT, json.dumps({"version": 3, "checkpoint": {"stack": "x"}})])
def test_a_good_state_and_an_empty_stack_pass(tmp_path, text):
    place(tmp_path, text)
    state_file.check(f"file://{tmp_path}", "isthmus", "dev", tmp_path)


@pytest.mark.parametrize("backend", ["s3://bucket", "https://api.pulumi.com", ""])
def test_another_backend_is_left_to_the_engine(backend, tmp_path):
    state_file.check(backend, "isthmus", "dev", tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(TEXT) - 1))
def test_a_file_that_is_cut_off_anywhere_is_never_taken_for_whole(tmp_path, length):
    place(tmp_path, TEXT[:length])
    assert "is cut off after" in (message := message_for(tmp_path)) or "is empty" in message


ATTRIBUTES = '{"user.content_type":"application/json","md5":"rL0Y20zC+Fzt72VPzMSk2A=="}'


@pytest.mark.parametrize("where", ["stacks/isthmus/dev.json", "history/isthmus/dev/dev-1.history.json"])
@pytest.mark.parametrize("cut", ["", ATTRIBUTES[:20]])
def test_attributes_that_are_cut_off_are_taken_away_and_whole_ones_stay(tmp_path, where, cut):
    place(tmp_path, TEXT)
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


def test_another_backend_has_no_attribute_files(tmp_path):
    assert state_file.drop_broken_attributes("s3://bucket", "isthmus", "dev") == []
