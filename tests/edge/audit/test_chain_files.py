"""Record files of a writer: durable, locked while it runs, readable from any position, never followed through links."""

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
from tests.edge.audit.harness import OPENING, AuditSite, close, exchange, intent, write


@pytest.fixture
def audit_site(tmp_path: Path) -> AuditSite:
    return AuditSite.at(tmp_path)


def all_of(folder: Path, at_most: int = 1 << 20) -> list[bytes]:
    tail, lines = Tail(folder, Chain(folder.name)), []
    while new := tail.read(at_most):
        lines += new
    return lines


@pytest.mark.parametrize("at_most", [1, 700, 1 << 20])
def test_a_chain_over_rotated_files_is_read_completely_in_pieces_of_any_size(
    audit_site: AuditSite, at_most: int
):
    writer = audit_site.writer(rotate_bytes=900)
    for number in range(6):
        exchange(writer, str(number))
    assert len(record_files(writer.folder)) > 3
    assert len(all_of(writer.folder, at_most)) == 13


def test_a_writer_counts_as_alive_while_its_lock_is_held_or_not_yet_created(audit_site: AuditSite):
    writer = audit_site.writer()
    assert is_alive(writer.folder)
    writer.give_up()
    assert not is_alive(writer.folder)
    (writer.folder / "lock").unlink()
    assert is_alive(writer.folder), "one that has not come to its lock yet is not dead"


def test_an_unfinished_line_is_not_read_until_it_ends(audit_site: AuditSite):
    writer = audit_site.writer()
    path = record_files(writer.folder)[0][1]
    tail = Tail(writer.folder, Chain(writer.folder.name))
    line = writer.chain.write("intent", "t", intent("a"))
    with path.open("ab", buffering=0) as stream:
        stream.write(line[:40])
        assert (len(tail.read(1 << 20)), tail.torn) == (1, 40)
        stream.write(line[40:] + b"\n")
        assert (tail.read(1 << 20), tail.torn) == ([line], 0)


def test_valid_lines_before_an_invalid_one_are_returned_first(audit_site: AuditSite):
    writer = audit_site.writer()
    exchange(writer, "a")
    with record_files(writer.folder)[0][1].open("ab") as stream:
        stream.write(b"{}\n")
    tail = Tail(writer.folder, Chain(writer.folder.name))
    assert len(tail.read(1 << 20)) == 3
    with pytest.raises(Broken, match=r"000000000000\.jsonl from byte"):
        tail.read(1 << 20)


def test_a_line_without_an_end_is_read_up_to_a_limit(audit_site: AuditSite):
    writer = audit_site.writer()
    with record_files(writer.folder)[0][1].open("ab") as stream:
        stream.write(b"x" * (3 * MAX_LINE_BYTES))
    tail = Tail(writer.folder, Chain(writer.folder.name))
    assert len(tail.read(1000)) == 1
    with pytest.raises(Broken, match="a line without an end"):
        tail.read(1000)


def test_files_shorter_than_sealed_are_truncated_and_a_changed_line_is_broken(audit_site: AuditSite):
    writer = audit_site.writer()
    exchange(writer, "a")
    ahead = Chain(writer.folder.name, writer.chain.seq + 1, "0" * 64)
    with pytest.raises(ChainTruncated, match="ends at record 2, and 3 was sealed"):
        Tail(writer.folder, ahead).read(1 << 20)
    with pytest.raises(Broken, match=r"record 1 .* is not the one that was sealed"):
        Tail(writer.folder, Chain(writer.folder.name, 1, "0" * 64)).read(1 << 20)


@pytest.mark.parametrize("name", ["000000000000.jsonl", "lock"])
def test_the_target_of_a_link_is_never_read(audit_site: AuditSite, tmp_path: Path, name: str):
    writer = audit_site.writer()
    exchange(writer, "a")
    (tmp_path / "secret").write_text("the sealer's key\n")
    (writer.folder / name).unlink(missing_ok=True)
    (writer.folder / name).symlink_to(tmp_path / "secret")
    other_writer = audit_site.writer("gw-1")
    audit_site.sealer().seal()
    states = {name: writer["state"] for name, writer in audit_site.verify().writers.items()}
    assert states == {writer.folder.name: "broken", other_writer.folder.name: "open"}
    assert b"sealer's key" not in audit_site.store.get("seals/000000000001.seal")  # type: ignore[operator]


def test_a_linked_content_file_is_not_copied_into_the_store(audit_site: AuditSite, tmp_path: Path):
    writer = audit_site.writer()
    (tmp_path / "secret").write_text("the sealer's key\n")
    (writer.folder / "content-000001.jsonl").symlink_to(tmp_path / "secret")
    audit_site.sealer().seal()
    assert audit_site.store.names("content/") == []
    assert [f.rpartition(": ")[2] for f in audit_site.verify().findings] == [
        "content-000001.jsonl is no plain file"
    ]


def test_a_pipe_instead_of_a_file_does_not_block_the_sealer(audit_site: AuditSite):
    writer = audit_site.writer()
    os.mkfifo(writer.folder / "content-000001.jsonl")
    audit_site.sealer().seal()
    assert [writer["state"] for writer in audit_site.verify().writers.values()] == ["broken"]


def test_a_linked_folder_does_not_count_as_a_writer(audit_site: AuditSite, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (audit_site.records / new_name("gw-0")).symlink_to(tmp_path / "elsewhere")
    assert list_writers(audit_site.records) == []


def test_a_writer_that_fails_at_its_first_record_leaves_no_folder(
    audit_site: AuditSite, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chain_files.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        Writer(audit_site.records, new_name("gw-0"), OPENING, 1 << 20)
    assert list(audit_site.records.iterdir()) == []


def watched(audit_site: AuditSite) -> SealWatch:
    watch = SealWatch(audit_site.seals, Signer(audit_site.private).public)
    watch.look()
    return watch


def test_only_old_sealed_files_are_deleted(audit_site: AuditSite):
    ended, current, second = (
        audit_site.writer("gw-0"),
        audit_site.writer("gw-1", rotate_bytes=900),
        audit_site.writer("gw-2"),
    )
    exchange(ended, "a")
    close(ended)
    for number in range(4):
        exchange(current, str(number))
    sealer = audit_site.sealer()
    sealer.seal()
    exchange(current, "late")
    unsealed = [path.name for first, path in record_files(current.folder) if first > 8]
    assert (
        delete_sealed_files(audit_site.records, current.folder.name, watched(audit_site), keep_s=3600) == []
    )
    gone = delete_sealed_files(audit_site.records, current.folder.name, watched(audit_site), keep_s=-1)
    assert ended.folder.name in gone
    assert second.folder.is_dir()
    assert set(unsealed) <= {path.name for _, path in record_files(current.folder)}
    assert record_files(current.folder)[0][0] > 0
    sealer.seal()
    assert audit_site.sealer().seal() is None
    assert audit_site.verify(records=audit_site.records).findings == []


def test_a_sealer_continues_when_the_file_that_it_reads_is_deleted(audit_site: AuditSite):
    writer, sealer = audit_site.writer(rotate_bytes=1), audit_site.sealer()
    exchange(writer, "a")
    sealer.seal()
    exchange(writer, "b")
    delete_sealed_files(audit_site.records, writer.folder.name, watched(audit_site), keep_s=-1)
    sealer.seal()
    assert audit_site.verify(records=audit_site.records).findings == []
    assert audit_site.verify().records == 5


def test_a_gateway_ignores_an_older_or_invalid_seal(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    sealer.seal()
    old = (audit_site.seals / "latest.json").read_bytes()
    write(writer, ("intent", intent("a")))
    sealer.seal()
    watch = watched(audit_site)
    assert watch.sealed(writer.folder.name) == 1
    for content in (old, b"{}", b""):
        time.sleep(0.01)  # another modification time
        (audit_site.seals / "latest.json").write_bytes(content)
        watch.look()
        assert watch.sealed(writer.folder.name) == 1
    assert watch.sealed("gw-9-20261126t150000z-00000000") == -1
