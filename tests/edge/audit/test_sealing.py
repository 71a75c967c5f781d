"""The sealer continues every chain, detects contradictions, and its seals pass the verification."""

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
from tests.edge.audit.harness import Place, close, exchange, intent, outcome, write


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.at(tmp_path)


def test_what_was_sealed_is_proven_and_an_orderly_end_leaves_nothing_open(place: Place):
    writer, sealer = place.writer(), place.sealer()
    exchange(writer, "a")
    assert sealer.seal() is not None
    exchange(writer, "b")
    close(writer)
    assert sealer.seal() is not None
    assert sealer.seal() is None
    proof = place.verify(records=place.records, seals=place.seals)
    assert (proof.findings, proof.unfinished, proof.tail) == ([], {}, {})
    assert (proof.seals, proof.records) == (2, 6)
    assert [writer["state"] for writer in proof.writers.values()] == ["closed"]


def test_a_crash_leaves_an_unfinished_intent_and_half_a_line_and_no_false_alarm(place: Place):
    writer, sealer = place.writer(), place.sealer()
    exchange(writer, "a")
    write(writer, ("intent", intent("b")))
    sealer.seal()
    with record_files(writer.folder)[-1][1].open("ab") as stream:
        stream.write(b'{"half a line')
    writer.give_up()
    sealer.seal()
    proof = place.verify(records=place.records, seals=place.seals)
    assert proof.findings == []
    assert list(proof.unfinished) == ["b"]
    assert [(writer["state"], writer["note"]) for writer in proof.writers.values()] == [
        ("crashed", "13 bytes of a record that was not finished")
    ]


def test_the_unsealed_tail_is_counted_and_its_outcomes_finish_intents(place: Place):
    writer, sealer = place.writer(), place.sealer()
    write(writer, ("intent", intent("a")), ("intent", intent("b")))
    sealer.seal()
    write(writer, ("outcome", outcome("a")), ("intent", intent("c")))
    assert sorted(place.verify().unfinished) == ["a", "b"]
    assert place.verify().tail is None
    proof = place.verify(records=place.records)
    assert proof.tail == {writer.folder.name: 2}
    assert sorted(proof.unfinished) == ["b", "c"]
    assert proof.findings == []


def test_a_writer_whose_files_went_away_is_found(place: Place):
    writer, sealer = place.writer(), place.sealer()
    other_writer = place.writer("gw-1")
    sealer.seal()
    exchange(writer, "a")
    shutil.rmtree(writer.folder)
    exchange(other_writer, "b")
    sealer.seal()
    findings = place.verify().findings
    assert findings == [
        f"seals/000000000002.seal: writer {writer.folder.name} is lost: its files are gone, and it had not ended"
    ]
    sealer.seal(allow_empty=True)
    assert place.verify().findings == findings


def test_a_writer_that_ended_may_be_cleared_away(place: Place):
    writer, sealer = place.writer(), place.sealer()
    exchange(writer, "a")
    close(writer)
    sealer.seal()
    shutil.rmtree(writer.folder)
    sealer.seal()
    sealer.seal(allow_empty=True)
    assert place.verify(records=place.records).findings == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_chain_changed_on_the_volume_after_it_was_sealed_is_told(place: Place, restarted: bool):
    writer, sealer = place.writer(), place.sealer()
    exchange(writer, "a")
    sealer.seal()
    path = record_files(writer.folder)[0][1]
    text = path.read_bytes().replace(b'"id":"a"', b'"id":"x"')
    path.write_bytes(text)
    if restarted:
        sealer = place.sealer()
    write(writer, ("intent", intent("b", forged=True)))
    path.write_bytes(path.read_bytes().replace(b'"forged":true', b'"forged":false'))
    write(writer, ("outcome", outcome("b")))
    sealer.seal()
    sealer.seal()
    assert any("is broken" in finding for finding in place.verify().findings)


def test_a_dead_writers_chain_that_goes_on_is_told(place: Place):
    writer, sealer = place.writer(), place.sealer()
    exchange(writer, "a")
    sealer.seal()
    path = record_files(writer.folder)[0][1]
    chain = writer.chain
    writer.give_up()
    sealer.seal()
    with path.open("ab") as stream:
        stream.write(chain.write("intent", "2026-01-01T00:00:00.000Z", intent("late")) + b"\n")
    sealer.seal()
    assert [f.partition(": ")[2].partition("is ")[2] for f in place.verify().findings] == [
        "broken: it went on after it had crashed"
    ]


def test_a_process_that_died_before_its_first_record_is_no_newcomer_and_no_writer(place: Place):
    writer, sealer = place.writer(), place.sealer()
    assert sealer.newcomers()
    record_files(writer.folder)[0][1].write_bytes(b'{"half')
    writer.give_up()
    assert sealer.seal() is None
    assert not sealer.newcomers()
    other_writer = place.writer("gw-1")
    assert sealer.newcomers()
    sealer.seal()
    assert not sealer.newcomers()
    assert list(place.verify(records=place.records).writers) == [other_writer.folder.name]


def test_a_volume_that_lost_what_the_store_has_is_a_crash(place: Place):
    """A machine that goes down may lose bytes that the sealer had read already; the store has them."""
    writer = place.writer()
    exchange(writer, "a")
    place.sealer().seal()
    path = record_files(writer.folder)[0][1]
    writer.give_up()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    place.sealer().seal()
    proof = place.verify(records=place.records)
    assert proof.findings == []
    assert proof.unfinished == {}
    assert [writer["state"] for writer in proof.writers.values()] == ["crashed"]


def test_a_sealer_that_starts_anew_goes_on_from_the_store_over_rotated_files(place: Place):
    writer = place.writer(rotate_bytes=500)
    for number in range(5):
        exchange(writer, f"r{number}")
        place.sealer().seal()
    assert len(record_files(writer.folder)) > 5
    close(writer)
    place.sealer().seal()
    proof = place.verify(records=place.records, seals=place.seals)
    assert (proof.findings, proof.records) == ([], 12)


def test_two_sealers_make_no_fork(place: Place):
    writer = place.writer()
    first_sealer, two = place.sealer(), place.sealer()
    exchange(writer, "a")
    first_sealer.seal()
    exchange(writer, "b")
    with pytest.raises(StoreFault):
        two.seal()
    two.restore()
    two.seal()
    assert place.verify().findings == []


def test_a_sealer_does_not_go_on_in_a_store_that_has_lost_a_seal(place: Place):
    writer, sealer = place.writer(), place.sealer()
    sealer.seal()
    exchange(writer, "a")
    sealer.seal()
    (place.root / "store/seals/000000000002.seal").unlink()
    with pytest.raises(StoreFault, match="the store has it no more"):
        place.sealer()


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
def test_a_record_that_no_gateway_writes_is_told_and_the_rest_is_read(
    place: Place, kind: str, fields: dict[str, Any], says: str
):
    writer = place.writer()
    write(writer, (kind, fields))
    exchange(writer, "b")
    place.sealer().seal()
    proof = place.verify()
    assert [says in finding for finding in proof.findings] == [True]
    assert proof.records == 4
    assert proof.unfinished == {}


def test_an_outcome_without_an_intent_or_a_second_one_is_told(place: Place):
    writer = place.writer()
    exchange(writer, "a")
    write(
        writer,
        ("outcome", outcome("a")),
        ("outcome", outcome("b")),
        ("outcome", outcome("c", attempts=0, ran=None)),
    )
    place.sealer().seal()
    assert [finding.partition(": ")[2][:8] for finding in place.verify().findings] == ["record 3", "record 4"]


def test_outcomes_in_another_writer_finish_the_intents_of_one_that_failed(place: Place):
    """After a write error the gateway begins a new chain: what was under way is finished there."""
    first, second = place.writer("gw-b"), place.writer("gw-a")
    write(first, ("intent", intent("a")))
    first.give_up()
    write(second, ("outcome", outcome("a")))
    place.sealer().seal()
    proof = place.verify()
    assert (proof.findings, proof.unfinished) == ([], {})


def test_a_long_silence_is_a_gap_and_a_seal_from_the_past_a_finding(place: Place):
    times = iter(
        ["2026-11-26T10:00:00Z", "2026-11-26T10:59:00Z", "2026-11-26T13:00:00Z", "2026-11-26T12:00:00Z"]
    )
    writer, sealer = place.writer(), place.sealer(clock=lambda: next(times))
    for name in "abcd":
        exchange(writer, name)
        sealer.seal()
    proof = place.verify(now=datetime(2026, 11, 26, 12, 59, tzinfo=UTC))
    assert proof.gaps == [("2026-11-26T10:59:00Z", "2026-11-26T13:00:00Z")]
    assert proof.findings == ["seals/000000000004.seal: it is older than the seal before it"]
    late = place.verify(now=datetime(2026, 11, 26, 15, 0, tzinfo=UTC))
    assert any("the sealer promised one every 3600 s" in finding for finding in late.findings)


def test_a_look_may_begin_at_a_later_seal(place: Place):
    writer, sealer = place.writer(), place.sealer()
    write(writer, ("intent", intent("a")))
    sealer.seal()
    exchange(writer, "b")
    sealer.seal()
    write(writer, ("outcome", outcome("a")))
    sealer.seal()
    (place.root / "store/seals/000000000001.seal").unlink()
    assert place.verify(since=2).findings == []
    assert place.verify(since=2).records == 3
    assert place.verify().findings[0] == "seal 1 is missing from the store"


@pytest.mark.parametrize("written", [False, True])
def test_a_store_that_fails_at_the_very_first_seal_makes_no_gap(place: Place, written: bool):
    class Failing(FolderStore):
        def put(self, name: str, data: bytes, keep_days: int) -> None:
            if written:
                super().put(name, data, keep_days)
            raise StoreFault("down")

    writer = place.writer()
    sealer = place.sealer(Failing(place.root / "store"))
    with pytest.raises(StoreFault):
        sealer.seal()
    sealer._store = place.store
    sealer.restore()
    exchange(writer, "a")
    sealer.seal()
    proof = place.verify()
    assert (proof.findings, proof.records) == ([], 3)


def with_content(place: Place) -> Path:
    """Seal a request with stored content, and return the object that holds the content."""
    writer = place.writer()
    write(writer, ("intent", intent("a")))
    line = canonical({"id": "a", "key": "k", "day": "2026-11-26", "data": "x"})
    fields = outcome("a", content=reference(line, "k", "2026-11-26"))
    writer.commit([writer.chain.write("outcome", now(), fields)], line + b"\n")
    place.sealer().seal()
    assert place.verify().findings == []
    return next((place.root / "store/content").rglob("*.jsonl"))


def test_content_that_was_altered_or_gone_before_its_time_is_found(place: Place):
    path = with_content(place)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"data":"x"', b'"data":"y"'))
    assert ["it is not what was sealed" in finding for finding in place.verify().findings] == [True, False]
    path.unlink()
    assert [finding.rpartition(": ")[2] for finding in place.verify().findings] == [
        "it is gone before its time"
    ]
    late = place.verify(now=datetime.now(UTC) + timedelta(days=31))
    assert not any("content" in finding for finding in late.findings)
    assert late.contents_gone == 1


def test_content_of_which_the_chain_says_another_digest_is_found(place: Place):
    writer = place.writer()
    write(writer, ("intent", intent("a")))
    line = canonical({"id": "a", "key": "k", "day": "2026-11-26", "data": "x"})
    fields = outcome("a", content=reference(b"another", "k", "2026-11-26"))
    writer.commit([writer.chain.write("outcome", now(), fields)], line + b"\n")
    place.sealer().seal()
    assert ["is not in the store" in finding for finding in place.verify().findings] == [True]
