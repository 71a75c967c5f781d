"""Seals with a valid signature that do not match: from a lying sealer, a second sealer, or another store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.audit import seal_format
from edge.audit.records import canonical, digest
from edge.audit.seal_format import Seal, Signer
from tests.edge.audit.harness import AuditSite, close, exchange

Change = Callable[[dict[str, Any], list[bytes]], None]


@pytest.fixture
def audit_site(tmp_path: Path) -> AuditSite:
    """A place with two writers and two seals. One writer continues, and the other one ends in the second seal."""
    audit_site = AuditSite.at(tmp_path)
    goes_on, ends = audit_site.writer("gw-0"), audit_site.writer("gw-1")
    sealer = audit_site.sealer()
    exchange(goes_on, "a")
    sealer.seal()
    exchange(goes_on, "b")
    exchange(ends, "c")
    close(ends)
    sealer.seal()
    return audit_site


def sealed(audit_site: AuditSite, number: int) -> Seal:
    data = (audit_site.root / "store" / seal_format.name(number)).read_bytes()
    return seal_format.read(data, Signer(audit_site.private).public)


def signed_anew(
    audit_site: AuditSite, number: int, change: Change, as_number: int | None = None
) -> list[str]:
    """Change a seal, sign it again with the sealer's key, and return the findings."""
    seal = sealed(audit_site, number)
    lines = seal.payload.split(b"\n")[:-1]
    change(seal.body, lines)
    payload = b"".join(line + b"\n" for line in lines)
    seal.body["payload"] = {"sha256": digest(payload), "bytes": len(payload), "lines": len(lines)}
    data = Signer(audit_site.private).head(seal.body) + b"\n" + payload
    (audit_site.root / "store" / seal_format.name(as_number or number)).write_bytes(data)
    return audit_site.verify().findings


def writer_of(body: dict[str, Any], state: str) -> str:
    return next(name for name, writer in body["writers"].items() if writer["state"] == state)


def leave_out_a_writer(body: dict[str, Any], lines: list[bytes]) -> None:
    name = writer_of(body, "open")
    del body["writers"][name]
    lines[:] = [line for line in lines if name.encode() not in line]


def leave_out_a_record(body: dict[str, Any], lines: list[bytes]) -> None:
    name = writer_of(body, "open")
    body["writers"][name]["new"] -= 1
    lines.remove([line for line in lines if name.encode() in line][-1])


def add_a_record(body: dict[str, Any], lines: list[bytes]) -> None:
    lines.append(canonical({"kind": "intent"}))


def another_head(body: dict[str, Any], lines: list[bytes]) -> None:
    body["writers"][writer_of(body, "open")]["head"] = "0" * 64


def another_link(body: dict[str, Any], lines: list[bytes]) -> None:
    body["prev"] = "0" * 64


def another_class(body: dict[str, Any], lines: list[bytes]) -> None:
    body["class"] = "public"


def another_number(body: dict[str, Any], lines: list[bytes]) -> None:
    body["seal"] = 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (leave_out_a_writer, "is missing, and it had not ended"),
        (leave_out_a_record, "ends at record 3, and was sealed at 4"),
        (add_a_record, "it holds more records than it names"),
        (another_head, "ends at record 4, and was sealed at 4"),
        (another_link, "it names another seal before it"),
        (another_class, "it is of class public at fra1"),
        (another_number, "it was sealed as number 7"),
    ],
)
def test_a_seal_that_does_not_match_is_found_despite_a_valid_signature(
    audit_site: AuditSite, change: Change, says: str
):
    assert audit_site.verify().findings == []
    findings = signed_anew(audit_site, 2, change)
    assert any(says in finding for finding in findings), findings


def test_a_writer_that_reappears_after_its_end_is_found(audit_site: AuditSite):
    ended = writer_of(sealed(audit_site, 2).body, "closed")

    def third(with_it: bool, number: int) -> Change:
        def change(body: dict[str, Any], lines: list[bytes]) -> None:
            body.update(seal=number, prev=sealed(audit_site, number - 1).hash)
            lines.clear()
            for writer in body["writers"].values():
                writer["new"] = 0
            if not with_it:
                del body["writers"][ended]

        return change

    assert signed_anew(audit_site, 2, third(False, 3), as_number=3) == []
    findings = signed_anew(audit_site, 2, third(True, 4), as_number=4)
    assert f"seals/000000000004.seal: writer {ended} had ended, and is there again" in findings


def test_a_seal_of_a_second_sealer_with_the_same_key_is_found(tmp_path: Path):
    """Two stores of one volume: a seal of one store is not valid in the other, even if its records continue the
    chain.
    """
    audit_site = AuditSite.at(tmp_path)
    second_store = type(audit_site.store)(tmp_path / "other")
    writer = audit_site.writer()
    for store, time in ((audit_site.store, "2026-11-26T10:00:00Z"), (second_store, "2026-11-26T10:00:01Z")):
        seals = tmp_path / f"seals-{time[-2]}"
        seals.mkdir()
        sealer = audit_site.sealer(store, clock=lambda time=time: time, seals=seals)
        sealer.seal()
    exchange(writer, "a")
    sealer.seal()
    data = second_store.get(seal_format.name(2))
    assert data is not None
    audit_site.store.put(seal_format.name(2), data, 1)
    assert "seals/000000000002.seal: it names another seal before it" in audit_site.verify().findings
