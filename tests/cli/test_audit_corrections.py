"""`isthmus audit corrections` where nothing may be exported: told before a database is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandResult, Isthmus
from tests.edge.audit.harness import AuditSite, exchange


@pytest.fixture
def store(tmp_path: Path) -> AuditSite:
    """A store of class restricted at fra1."""
    audit_site = AuditSite.at(tmp_path / "site")
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "r1")
    sealer.seal()
    (audit_site.root / "seal.pem").write_bytes(audit_site.public)
    (audit_site.root / "wrapping.key").write_text("cd" * 32)
    (audit_site.root / "keys").mkdir()
    return audit_site


def export(isthmus: Isthmus, project: Path, store: AuditSite, workload: str) -> CommandResult:
    root = store.root
    return isthmus(
        *("audit", "corrections", "bank-dev", workload, root / "store", "--public-key", root / "seal.pem"),
        *("--database", root / "none.yaml", "--keys", root / "keys", "--wrapping-key", root / "wrapping.key"),
        *("--volume", root, "--by", "model-team", "--reason", "fine-tuning", "--licence", "internal use"),
        *("--keep-until", "2120-01-01", "-o", root / "c.jsonl", "--project", project),
    )


def test_class_restricted_exports_no_corrections(isthmus: Isthmus, project: Path, store: AuditSite):
    result = export(isthmus, project, store, "transaction-narratives")
    assert result.code == 1
    assert (
        "handling.restricted.corrections_exported: corrected answers of class restricted may not"
        in result.err
    )
    assert not (store.root / "c.jsonl").exists()


def test_a_store_of_another_class_is_invalid_input(isthmus: Isthmus, project: Path, store: AuditSite):
    result = export(isthmus, project, store, "kyc-extraction")
    assert result.code == 2
    assert (
        "the store is of class restricted at fra1, and `kyc-extraction` runs in confidential at" in result.err
    )


def test_an_altered_store_exports_nothing(isthmus: Isthmus, project: Path, store: AuditSite):
    seal = store.root / "store/seals/000000000001.seal"
    seal.write_bytes(seal.read_bytes().replace(b"claims", b"c1aims"))
    result = export(isthmus, project, store, "transaction-narratives")
    assert (result.code, "no line could be traced back" in result.err) == (1, True)
