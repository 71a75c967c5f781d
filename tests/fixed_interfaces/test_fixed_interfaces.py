"""The fixed interfaces that need no rendering are as their samples say; those of renderings: tests/graders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixed_interfaces import checkouts, internals, tables
from tests.fixed_interfaces.samples import RENDERED, SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_a_fixed_interface_equals_its_sample(name: str):
    lines = tables.differences(tables.read(name), SAMPLES[name]())
    assert not lines, tables.complaint(name, lines)


def test_every_sample_file_belongs_to_an_interface():
    files = {path.stem for path in tables.FOLDER.glob("*.json")}
    assert files == SAMPLES.keys() | RENDERED.keys()


def test_the_sampled_audit_records_can_still_be_read():
    sample = tables.read("audit_records")
    lines = [line.encode() for entry, line in sorted(sample.items()) if entry.startswith("record ")]
    assert len(lines) > 5
    assert internals.read_audit_lines(lines) == []


def test_the_sampled_seal_over_the_sampled_records_can_still_be_read():
    sample = tables.read("audit_records")
    records = "".join(f"{line}\n" for entry, line in sorted(sample.items()) if entry.startswith("record "))
    (head,) = tables.read("seals").values()
    assert internals.read_seal(f"{head}\n{records}".encode())


def test_differences_name_what_was_removed_added_and_changed():
    lines = tables.differences({"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1"})
    assert lines == ["removed  a: 1", "changed  c: 1", "     to  c: 2", "added    d: 1"]


def test_a_diff_of_renderings_shows_changed_and_missing_files(tmp_path: Path):
    for side, text in (("before", "one\n"), ("after", "two\n")):
        (tmp_path / side / "stack").mkdir(parents=True)
        (tmp_path / side / "stack" / "changed").write_text(text)
        (tmp_path / side / "stack" / "same").write_text("same\n")
    (tmp_path / "after" / "stack" / "new").write_text("new\n")
    lines = checkouts.unified_diff(tmp_path / "before", tmp_path / "after")
    assert [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        "-one\n",
        "+two\n",
        "+new\n",
    ]
