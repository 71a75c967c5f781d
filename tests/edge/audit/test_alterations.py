"""Four writers are killed while the sealer runs. Verification accepts the result, and detects every alteration.

`make test` runs it with 4,000 records and two alterations of each kind. `make soak` uses 100,000 records with ten
alterations of each kind, and the small store with a hundred.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.audit.chain_files import record_files
from edge.audit.verify import Proof
from tests.edge.audit.altering import EVERY
from tests.edge.audit.harness import AuditSite
from tests.edge.processes import ROOT

WRITERS = 4


@dataclass
class Crashed:
    """The store and the records of four killed writers."""

    audit_site: AuditSite
    durable: int
    """Number of records that were reported as durable before the kill."""
    proof: Proof
    anchor: tuple[int, str]


def crash(root: Path, total: int) -> Crashed:
    audit_site = AuditSite.at(root)
    requests_per_writer = total // WRITERS
    sealer = audit_site.sealer()
    durable_files = [root / f"durable-{number}" for number in range(WRITERS)]
    writers: dict[int, subprocess.Popen[bytes]] = {}
    for number in range(WRITERS):
        # Writers would write many times more. They are killed during or between writes.
        command = [
            "-m",
            "tests.edge.audit.writing",
            str(audit_site.records),
            f"gw-{number}",
            str(requests_per_writer * 20),
        ]
        with durable_files[number].open("wb") as out:
            writers[number] = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=out)
    living, sealed = set(writers), 0.0
    try:
        while living:
            for number in sorted(living):
                if durable(durable_files[number]) >= requests_per_writer:
                    writers[number].send_signal(signal.SIGKILL)
                    assert writers[number].wait(10) == -signal.SIGKILL, "it was in the middle"
                    living.remove(number)
            if time.monotonic() > sealed + 0.2:
                sealer.seal()
                sealed = time.monotonic()
            time.sleep(0.01)
    finally:
        for writer in writers.values():
            writer.kill()
            writer.wait(10)
    while sealer.seal():
        pass
    proof = audit_site.verify()
    assert proof.last is not None
    return Crashed(audit_site, sum(map(durable, durable_files)), proof, (proof.last.number, proof.last.hash))


def durable(durable_file: Path) -> int:
    """Number of records that a writer has reported as durable, from its last whole line."""
    lines = durable_file.read_text().split("\n")[:-1]
    return int(lines[-1]) if lines else 0


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    return crash(tmp_path_factory.mktemp("crashed"), 4_000)


def all_found(crashed: Crashed, scratch: Path, seeds: range) -> None:
    audit_site = crashed.audit_site
    names = list(EVERY)
    for seed in seeds:
        name, rng = names[seed % len(names)], random.Random(seed)
        store = scratch / str(seed)
        shutil.copytree(audit_site.root / "store", store)
        alteration = EVERY[name](store, rng)
        # Only alterations that cut the end need earlier knowledge.
        anchor = crashed.anchor if name == "roll_back" else None
        findings = audit_site.verify(type(audit_site.store)(store), anchor=anchor).findings
        assert findings, f"{name} ({alteration}), seed {seed}, was not found"
        shutil.rmtree(store)


def no_false_alarm(crashed: Crashed) -> None:
    proof = crashed.proof
    assert proof.findings == []
    assert proof.records >= crashed.durable
    assert sorted(writer["state"] for writer in proof.writers.values()) == ["crashed"] * WRITERS
    # Requests that were running at the kill: at most one commit of each writer.
    assert len(proof.unfinished) <= WRITERS * 50
    for name, unfinished in proof.unfinished.items():
        assert name.startswith(unfinished["writer"][:4])


def test_killed_writers_give_no_finding_and_lose_no_committed_record(crashed: Crashed):
    no_false_alarm(crashed)


def test_every_alteration_before_the_last_seal_is_found(crashed: Crashed, tmp_path: Path):
    all_found(crashed, tmp_path, range(2 * len(EVERY)))


def test_an_unaltered_copy_of_a_store_is_proven(crashed: Crashed, tmp_path: Path):
    shutil.copytree(crashed.audit_site.root / "store", tmp_path / "copy")
    store = type(crashed.audit_site.store)(tmp_path / "copy")
    assert crashed.audit_site.verify(store, anchor=crashed.anchor).findings == []


def test_a_rolled_back_store_is_found_by_comparing_it_with_the_volume(crashed: Crashed, tmp_path: Path):
    shutil.copytree(crashed.audit_site.root / "store", tmp_path / "copy")
    EVERY["roll_back"](tmp_path / "copy", random.Random(1))
    store = type(crashed.audit_site.store)(tmp_path / "copy")
    assert crashed.audit_site.verify(store).findings == []
    findings = crashed.audit_site.verify(store, seals=crashed.audit_site.seals).findings
    assert any(finding.startswith("the gateways have seen seal") for finding in findings)


def test_the_unsealed_tail_of_a_killed_writer_is_counted(crashed: Crashed, tmp_path: Path):
    """The same volume, with a store whose sealer stopped earlier."""
    shutil.copytree(crashed.audit_site.root / "store", tmp_path / "copy")
    seals = sorted((tmp_path / "copy/seals").iterdir())
    for path in seals[len(seals) // 2 :]:
        path.unlink()
    store = type(crashed.audit_site.store)(tmp_path / "copy")
    proof = crashed.audit_site.verify(store, records=crashed.audit_site.records)
    assert proof.findings == []
    assert proof.tail is not None
    written = sum(
        path.read_bytes().count(b"\n")
        for folder in crashed.audit_site.records.iterdir()
        for _, path in record_files(folder)
    )
    assert sum(proof.tail.values()) == written - proof.records > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_alterations_of_every_kind_are_found(crashed: Crashed, tmp_path: Path):
    all_found(crashed, tmp_path, range(100 * len(EVERY)))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_ten_alterations_of_every_kind_are_found_among_a_hundred_thousand_records(tmp_path: Path):
    crashed = crash(tmp_path / "crashed", 100_000)
    assert crashed.durable >= 100_000
    no_false_alarm(crashed)
    all_found(crashed, tmp_path, range(10 * len(EVERY)))
