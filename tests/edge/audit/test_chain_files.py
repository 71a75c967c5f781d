"""A writer's files: durable, locked while the writer lives, readable from any record, and safe from links."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edge.audit import chain_files
from edge.audit.chain_files import (
    ChainTruncated,
    Tail,
    Writer,
    is_alive,
    list_writers,
    new_name,
    record_files,
)
from edge.audit.records import MAX_LINE_BYTES, Broken, Chain
from edge.audit.seal_format import Signer
from edge.audit.seal_status import SealWatch, delete_sealed_files
from tests.edge.audit.harness import OPENING, Place, close, exchange, intent, write


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.at(tmp_path)


def all_of(folder: Path, at_most: int = 1 << 20) -> list[bytes]:
    tail, lines = Tail(folder, Chain(folder.name)), []
    while new := tail.read(at_most):
        lines += new
    return lines


@pytest.mark.parametrize("at_most", [1, 700, 1 << 20])
def test_a_chain_is_read_whole_over_rotated_files_in_pieces_of_any_size(place: Place, at_most: int):
    writer = place.writer(rotate_bytes=900)
    for number in range(6):
        exchange(writer, str(number))
    assert len(record_files(writer.folder)) > 3
    assert len(all_of(writer.folder, at_most)) == 13


def test_a_process_that_lives_holds_its_lock_and_nothing_else_does(place: Place):
    writer = place.writer()
    assert is_alive(writer.folder)
    writer.give_up()
    assert not is_alive(writer.folder)
    (writer.folder / "lock").unlink()
    assert is_alive(writer.folder), "one that has not come to its lock yet is not dead"


def test_a_line_that_is_not_finished_is_not_read_until_it_is(place: Place):
    writer = place.writer()
    path = record_files(writer.folder)[0][1]
    tail = Tail(writer.folder, Chain(writer.folder.name))
    line = writer.chain.write("intent", "t", intent("a"))
    with path.open("ab", buffering=0) as stream:
        stream.write(line[:40])
        assert (len(tail.read(1 << 20)), tail.torn) == (1, 40)
        stream.write(line[40:] + b"\n")
        assert (tail.read(1 << 20), tail.torn) == ([line], 0)


def test_good_lines_before_a_bad_one_are_given_first(place: Place):
    writer = place.writer()
    exchange(writer, "a")
    with record_files(writer.folder)[0][1].open("ab") as stream:
        stream.write(b"{}\n")
    tail = Tail(writer.folder, Chain(writer.folder.name))
    assert len(tail.read(1 << 20)) == 3
    with pytest.raises(Broken, match=r"000000000000\.jsonl from byte"):
        tail.read(1 << 20)


def test_a_line_without_an_end_is_not_read_for_ever(place: Place):
    writer = place.writer()
    with record_files(writer.folder)[0][1].open("ab") as stream:
        stream.write(b"x" * (3 * MAX_LINE_BYTES))
    tail = Tail(writer.folder, Chain(writer.folder.name))
    assert len(tail.read(1000)) == 1
    with pytest.raises(Broken, match="a line without an end"):
        tail.read(1000)


def test_files_that_end_before_the_known_place_are_short_and_a_changed_line_is_broken(place: Place):
    writer = place.writer()
    exchange(writer, "a")
    ahead = Chain(writer.folder.name, writer.chain.seq + 1, "0" * 64)
    with pytest.raises(ChainTruncated, match="ends at record 2, and 3 was sealed"):
        Tail(writer.folder, ahead).read(1 << 20)
    with pytest.raises(Broken, match=r"record 1 .* is not the one that was sealed"):
        Tail(writer.folder, Chain(writer.folder.name, 1, "0" * 64)).read(1 << 20)


@pytest.mark.parametrize("name", ["000000000000.jsonl", "lock"])
def test_what_a_link_leads_to_is_never_read(place: Place, tmp_path: Path, name: str):
    writer = place.writer()
    exchange(writer, "a")
    (tmp_path / "secret").write_text("the sealer's key\n")
    (writer.folder / name).unlink(missing_ok=True)
    (writer.folder / name).symlink_to(tmp_path / "secret")
    other_writer = place.writer("gw-1")
    place.sealer().seal()
    states = {name: writer["state"] for name, writer in place.verify().writers.items()}
    assert states == {writer.folder.name: "broken", other_writer.folder.name: "open"}
    assert b"sealer's key" not in place.store.get("seals/000000000001.seal")  # type: ignore[operator]


def test_a_linked_content_file_does_not_come_into_the_store(place: Place, tmp_path: Path):
    writer = place.writer()
    (tmp_path / "secret").write_text("the sealer's key\n")
    (writer.folder / "content-000001.jsonl").symlink_to(tmp_path / "secret")
    place.sealer().seal()
    assert place.store.names("content/") == []
    assert [f.rpartition(": ")[2] for f in place.verify().findings] == [
        "content-000001.jsonl is no plain file"
    ]


def test_a_pipe_in_the_place_of_a_file_stops_nobody_for_ever(place: Place):
    writer = place.writer()
    os.mkfifo(writer.folder / "content-000001.jsonl")
    place.sealer().seal()
    assert [writer["state"] for writer in place.verify().writers.values()] == ["broken"]


def test_a_linked_folder_is_no_writer(place: Place, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (place.records / new_name("gw-0")).symlink_to(tmp_path / "elsewhere")
    assert list_writers(place.records) == []


def test_a_start_that_came_to_no_record_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chain_files.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        Writer(place.records, new_name("gw-0"), OPENING, 1 << 20)
    assert list(place.records.iterdir()) == []


def watched(place: Place) -> SealWatch:
    watch = SealWatch(place.seals, Signer(place.private).public)
    watch.look()
    return watch


def test_what_is_sealed_and_older_is_cleared_and_nothing_else(place: Place):
    ended, current, second = (
        place.writer("gw-0"),
        place.writer("gw-1", rotate_bytes=900),
        place.writer("gw-2"),
    )
    exchange(ended, "a")
    close(ended)
    for number in range(4):
        exchange(current, str(number))
    sealer = place.sealer()
    sealer.seal()
    exchange(current, "late")
    unsealed = [path.name for first, path in record_files(current.folder) if first > 8]
    assert delete_sealed_files(place.records, current.folder.name, watched(place), keep_s=3600) == []
    gone = delete_sealed_files(place.records, current.folder.name, watched(place), keep_s=-1)
    assert ended.folder.name in gone
    assert second.folder.is_dir()
    assert set(unsealed) <= {path.name for _, path in record_files(current.folder)}
    assert record_files(current.folder)[0][0] > 0
    sealer.seal()
    assert place.sealer().seal() is None
    assert place.verify(records=place.records).findings == []


def test_a_sealer_goes_on_when_the_file_that_it_reads_is_cleared_away(place: Place):
    writer, sealer = place.writer(rotate_bytes=1), place.sealer()
    exchange(writer, "a")
    sealer.seal()
    exchange(writer, "b")
    delete_sealed_files(place.records, writer.folder.name, watched(place), keep_s=-1)
    sealer.seal()
    assert place.verify(records=place.records).findings == []
    assert place.verify().records == 5


def test_an_older_seal_or_one_of_another_key_changes_nothing_for_a_gateway(place: Place):
    writer, sealer = place.writer(), place.sealer()
    sealer.seal()
    old = (place.seals / "latest.json").read_bytes()
    write(writer, ("intent", intent("a")))
    sealer.seal()
    watch = watched(place)
    assert watch.sealed(writer.folder.name) == 1
    for content in (old, b"{}", b""):
        time.sleep(0.01)  # another modification time
        (place.seals / "latest.json").write_bytes(content)
        watch.look()
        assert watch.sealed(writer.folder.name) == 1
    assert watch.sealed("gw-9-20261126t150000z-00000000") == -1
