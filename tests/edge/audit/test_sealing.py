"""The sealer continues every chain and reports contradictions; what it sealed can be proven."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.audit.chain_files import now, record_files
from edge.audit.content import reference
from edge.audit.records import canonical
from edge.audit.stores import FolderStore, StoreFault
from tests.edge.audit.harness import AuditSite, close, exchange, intent, outcome, write


@pytest.fixture
def audit_site(tmp_path: Path) -> AuditSite:
    return AuditSite.at(tmp_path)


def test_sealed_records_are_proven_and_a_closed_writer_leaves_nothing_unfinished(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "a")
    assert sealer.seal() is not None
    exchange(writer, "b")
    close(writer)
    assert sealer.seal() is not None
    assert sealer.seal() is None
    proof = audit_site.verify(records=audit_site.records, seals=audit_site.seals)
    assert (proof.findings, proof.unfinished, proof.tail) == ([], {}, {})
    assert (proof.seals, proof.records) == (2, 6)
    assert [writer["state"] for writer in proof.writers.values()] == ["closed"]


def test_a_crash_leaves_an_unfinished_intent_and_a_partial_line_without_a_finding(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "a")
    write(writer, ("intent", intent("b")))
    sealer.seal()
    with record_files(writer.folder)[-1][1].open("ab") as stream:
        stream.write(b'{"half a line')
    writer.give_up()
    sealer.seal()
    proof = audit_site.verify(records=audit_site.records, seals=audit_site.seals)
    assert proof.findings == []
    assert list(proof.unfinished) == ["b"]
    assert [(writer["state"], writer["note"]) for writer in proof.writers.values()] == [
        ("crashed", "13 bytes of a record that was not finished")
    ]


def test_the_unsealed_tail_is_counted_and_its_outcomes_finish_intents(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    write(writer, ("intent", intent("a")), ("intent", intent("b")))
    sealer.seal()
    write(writer, ("outcome", outcome("a")), ("intent", intent("c")))
    assert sorted(audit_site.verify().unfinished) == ["a", "b"]
    assert audit_site.verify().tail is None
    proof = audit_site.verify(records=audit_site.records)
    assert proof.tail == {writer.folder.name: 2}
    assert sorted(proof.unfinished) == ["b", "c"]
    assert proof.findings == []


def test_a_writer_whose_files_are_missing_is_found(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    other_writer = audit_site.writer("gw-1")
    sealer.seal()
    exchange(writer, "a")
    shutil.rmtree(writer.folder)
    exchange(other_writer, "b")
    sealer.seal()
    findings = audit_site.verify().findings
    assert findings == [
        f"seals/000000000002.seal: writer {writer.folder.name} is lost: its files are gone, and it had not ended"
    ]
    sealer.seal(allow_empty=True)
    assert audit_site.verify().findings == findings


def test_files_of_a_closed_writer_may_be_deleted(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "a")
    close(writer)
    sealer.seal()
    shutil.rmtree(writer.folder)
    sealer.seal()
    sealer.seal(allow_empty=True)
    assert audit_site.verify(records=audit_site.records).findings == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_chain_changed_on_the_volume_after_sealing_is_reported(audit_site: AuditSite, restarted: bool):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "a")
    sealer.seal()
    path = record_files(writer.folder)[0][1]
    text = path.read_bytes().replace(b'"id":"a"', b'"id":"x"')
    path.write_bytes(text)
    if restarted:
        sealer = audit_site.sealer()
    write(writer, ("intent", intent("b", forged=True)))
    path.write_bytes(path.read_bytes().replace(b'"forged":true', b'"forged":false'))
    write(writer, ("outcome", outcome("b")))
    sealer.seal()
    sealer.seal()
    assert any("is broken" in finding for finding in audit_site.verify().findings)


def test_a_chain_that_continues_after_its_writer_died_is_reported(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "a")
    sealer.seal()
    path = record_files(writer.folder)[0][1]
    chain = writer.chain
    writer.give_up()
    sealer.seal()
    with path.open("ab") as stream:
        stream.write(chain.write("intent", "2026-01-01T00:00:00.000Z", intent("late")) + b"\n")
    sealer.seal()
    assert [f.partition(": ")[2].partition("is ")[2] for f in audit_site.verify().findings] == [
        "broken: it went on after it had crashed"
    ]


def test_a_process_that_died_before_its_first_record_is_not_a_writer(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    assert sealer.newcomers()
    record_files(writer.folder)[0][1].write_bytes(b'{"half')
    writer.give_up()
    assert sealer.seal() is None
    assert not sealer.newcomers()
    other_writer = audit_site.writer("gw-1")
    assert sealer.newcomers()
    sealer.seal()
    assert not sealer.newcomers()
    assert list(audit_site.verify(records=audit_site.records).writers) == [other_writer.folder.name]


def test_a_volume_that_lost_sealed_records_counts_as_a_crash(audit_site: AuditSite):
    """A machine that fails may lose bytes that the sealer has already read. The store has them."""
    writer = audit_site.writer()
    exchange(writer, "a")
    audit_site.sealer().seal()
    path = record_files(writer.folder)[0][1]
    writer.give_up()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    audit_site.sealer().seal()
    proof = audit_site.verify(records=audit_site.records)
    assert proof.findings == []
    assert proof.unfinished == {}
    assert [writer["state"] for writer in proof.writers.values()] == ["crashed"]


def test_a_restarted_sealer_continues_from_the_store_over_rotated_files(audit_site: AuditSite):
    writer = audit_site.writer(rotate_bytes=500)
    for number in range(5):
        exchange(writer, f"r{number}")
        audit_site.sealer().seal()
    assert len(record_files(writer.folder)) > 5
    close(writer)
    audit_site.sealer().seal()
    proof = audit_site.verify(records=audit_site.records, seals=audit_site.seals)
    assert (proof.findings, proof.records) == ([], 12)


def test_two_sealers_never_fork_the_seals(audit_site: AuditSite):
    writer = audit_site.writer()
    first_sealer, two = audit_site.sealer(), audit_site.sealer()
    exchange(writer, "a")
    first_sealer.seal()
    exchange(writer, "b")
    with pytest.raises(StoreFault):
        two.seal()
    two.restore()
    two.seal()
    assert audit_site.verify().findings == []


def test_a_sealer_refuses_a_store_that_has_lost_a_seal(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    sealer.seal()
    exchange(writer, "a")
    sealer.seal()
    (audit_site.root / "store/seals/000000000002.seal").unlink()
    with pytest.raises(StoreFault, match="the store has it no more"):
        audit_site.sealer()


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("intent", {"id": "a"}, "class is not as it must be"),
        ("intent", intent("a", attempt=True), "attempt is not as it must be"),
        ("outcome", outcome("a", content="x"), "content is not as it must be"),
        ("outcome", outcome("a", verdicts=None), "verdicts is not as it must be"),
        ("outcome", outcome("a", verdicts=["guard@1: passed", 7]), "verdicts is not as it must be"),
        ("pardon", {}, "the kind 'pardon' is unknown"),
    ],
)
def test_an_impossible_record_is_reported_and_the_rest_is_read(
    audit_site: AuditSite, kind: str, fields: dict[str, Any], says: str
):
    writer = audit_site.writer()
    write(writer, (kind, fields))
    exchange(writer, "b")
    audit_site.sealer().seal()
    proof = audit_site.verify()
    assert [says in finding for finding in proof.findings] == [True]
    assert proof.records == 4
    assert proof.unfinished == {}


def test_an_outcome_without_an_intent_or_a_second_outcome_is_reported(audit_site: AuditSite):
    writer = audit_site.writer()
    exchange(writer, "a")
    write(
        writer,
        ("outcome", outcome("a")),
        ("outcome", outcome("b")),
        ("outcome", outcome("c", attempts=0, ran=None)),
    )
    audit_site.sealer().seal()
    assert [finding.partition(": ")[2][:8] for finding in audit_site.verify().findings] == [
        "record 3",
        "record 4",
    ]


def test_outcomes_in_another_writer_finish_the_intents_of_one_that_failed(audit_site: AuditSite):
    """After a write error the gateway starts a new chain, and finishes running requests there."""
    first, second = audit_site.writer("gw-b"), audit_site.writer("gw-a")
    write(first, ("intent", intent("a")))
    first.give_up()
    write(second, ("outcome", outcome("a")))
    audit_site.sealer().seal()
    proof = audit_site.verify()
    assert (proof.findings, proof.unfinished) == ([], {})


def test_a_late_seal_is_a_gap_and_an_older_seal_a_finding(audit_site: AuditSite):
    times = iter(
        ["2026-11-26T10:00:00Z", "2026-11-26T10:59:00Z", "2026-11-26T13:00:00Z", "2026-11-26T12:00:00Z"]
    )
    writer, sealer = audit_site.writer(), audit_site.sealer(clock=lambda: next(times))
    for name in "abcd":
        exchange(writer, name)
        sealer.seal()
    proof = audit_site.verify(now=datetime(2026, 11, 26, 12, 59, tzinfo=UTC))
    assert proof.gaps == [("2026-11-26T10:59:00Z", "2026-11-26T13:00:00Z")]
    assert proof.findings == ["seals/000000000004.seal: it is older than the seal before it"]
    late = audit_site.verify(now=datetime(2026, 11, 26, 15, 0, tzinfo=UTC))
    assert any("the sealer promised one every 3600 s" in finding for finding in late.findings)


def test_a_verification_may_begin_at_a_later_seal(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    write(writer, ("intent", intent("a")))
    sealer.seal()
    exchange(writer, "b")
    sealer.seal()
    write(writer, ("outcome", outcome("a")))
    sealer.seal()
    (audit_site.root / "store/seals/000000000001.seal").unlink()
    assert audit_site.verify(since=2).findings == []
    assert audit_site.verify(since=2).records == 3
    assert audit_site.verify().findings[0] == "seal 1 is missing from the store"


@pytest.mark.parametrize("written", [False, True])
def test_a_store_that_fails_at_the_first_seal_causes_no_gap(audit_site: AuditSite, written: bool):
    class Failing(FolderStore):
        def put(self, name: str, data: bytes, keep_days: int) -> None:
            if written:
                super().put(name, data, keep_days)
            raise StoreFault("down")

    writer = audit_site.writer()
    sealer = audit_site.sealer(Failing(audit_site.root / "store"))
    with pytest.raises(StoreFault):
        sealer.seal()
    sealer._store = audit_site.store
    sealer.restore()
    exchange(writer, "a")
    sealer.seal()
    proof = audit_site.verify()
    assert (proof.findings, proof.records) == ([], 3)


def with_content(audit_site: AuditSite) -> Path:
    """Seal a request with stored content, and return the object that holds the content."""
    writer = audit_site.writer()
    write(writer, ("intent", intent("a")))
    line = canonical({"id": "a", "key": "k", "day": "2026-11-26", "data": "x"})
    fields = outcome("a", content=reference(line, "k", "2026-11-26"))
    writer.commit([writer.chain.write("outcome", now(), fields)], line + b"\n")
    audit_site.sealer().seal()
    assert audit_site.verify().findings == []
    return next((audit_site.root / "store/content").rglob("*.jsonl"))


def test_content_that_was_altered_or_deleted_early_is_found(audit_site: AuditSite):
    path = with_content(audit_site)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"data":"x"', b'"data":"y"'))
    assert ["it is not what was sealed" in finding for finding in audit_site.verify().findings] == [
        True,
        False,
    ]
    path.unlink()
    assert [finding.rpartition(": ")[2] for finding in audit_site.verify().findings] == [
        "it is gone before its time"
    ]
    late = audit_site.verify(now=datetime.now(UTC) + timedelta(days=31))
    assert not any("content" in finding for finding in late.findings)
    assert late.contents_gone == 1


def content_before_its_record(audit_site: AuditSite) -> Path:
    """Seal a request: its intent in seal 1, its content in seal 2, its outcome in seal 3. Returns the content."""
    writer, sealer = audit_site.writer(), audit_site.sealer()
    write(writer, ("intent", intent("a")))
    sealer.seal()
    line = canonical({"id": "a", "data": "x"})
    writer._keep(line + b"\n")  # the moment between content and record: both are one commit
    exchange(writer, "b")
    sealer.seal()
    write(writer, ("outcome", outcome("a", content=reference(line, "k", "2026-11-26"))))
    sealer.seal()
    return next((audit_site.root / "store/content").rglob("*.jsonl"))


def test_content_of_an_earlier_seal_is_found_where_verification_begins_later(audit_site: AuditSite):
    content_before_its_record(audit_site)
    assert audit_site.verify().findings == []
    later = audit_site.verify(since=3)
    assert (later.findings, later.seals) == ([], 1)


def test_content_that_no_seal_has_is_missing_wherever_verification_begins(audit_site: AuditSite):
    writer, sealer = audit_site.writer(), audit_site.sealer()
    for kind, fields in (
        ("intent", intent("a")),
        ("outcome", outcome("a", content=reference(b"line", "k", "2026-11-26"))),
    ):
        write(writer, (kind, fields))
        sealer.seal()
    for since in (1, 2):
        (finding,) = audit_site.verify(since=since).findings
        assert "request a: its content" in finding
        assert "is not in the store" in finding


def test_content_of_an_earlier_seal_that_was_altered_is_found_where_verification_begins_later(
    audit_site: AuditSite,
):
    content = content_before_its_record(audit_site)
    content.write_bytes(content.read_bytes().replace(b'"x"', b'"y"'))
    (finding,) = audit_site.verify(since=3).findings
    assert "request a: its content" in finding


def test_earlier_seals_that_are_gone_after_their_retention_are_no_finding(audit_site: AuditSite):
    content_before_its_record(audit_site)
    for number in (1, 2):
        (audit_site.root / f"store/seals/{number:012d}.seal").unlink()
    assert audit_site.verify(since=3).findings == []


def test_content_with_another_digest_than_its_record_is_found(audit_site: AuditSite):
    writer = audit_site.writer()
    write(writer, ("intent", intent("a")))
    line = canonical({"id": "a", "key": "k", "day": "2026-11-26", "data": "x"})
    fields = outcome("a", content=reference(b"another", "k", "2026-11-26"))
    writer.commit([writer.chain.write("outcome", now(), fields)], line + b"\n")
    audit_site.sealer().seal()
    assert ["is not in the store" in finding for finding in audit_site.verify().findings] == [True]


def test_a_seal_that_is_still_being_written_to_a_folder_is_no_finding(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.put("seals/000000000001.seal", b"{}", 1)
    (tmp_path / "seals" / ".000000000002.seal").write_bytes(b"{")
    assert store.names("") == store.names("seals/") == ["seals/000000000001.seal"]
