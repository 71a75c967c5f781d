"""The sealer as a process, on an S3 service with Object Lock: seals cannot be removed, and attempts are visible."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from edge.audit.seal_format import public_keys
from edge.audit.stores import S3Store, StoreFault
from edge.audit.verify import verify
from tests.edge.audit.harness import AuditSite, close, exchange, intent, new_key, write
from tests.edge.processes import Edge
from tests.s3_service import client, s3_service

BUCKET, PREFIX = "isthmus-audit", "fra1/restricted"


@dataclass
class Bucket:
    s3: Any
    url: str
    name: str

    @property
    def store(self) -> S3Store:
        return S3Store(self.s3, self.name, PREFIX)


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Any, str]]:
    with s3_service() as url:
        yield client(url), url


@pytest.fixture
def bucket(service: tuple[Any, str], request: pytest.FixtureRequest) -> Bucket:
    name = f"{BUCKET}-{zlib.crc32(request.node.name.encode())}"
    service[0].create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return Bucket(*service, name)


@pytest.fixture
def audit_site(tmp_path: Path) -> AuditSite:
    return AuditSite.at(tmp_path)


def config(audit_site: AuditSite, bucket: Bucket, **changes: Any) -> dict[str, Any]:
    (audit_site.root / "sealer.pem").write_bytes(audit_site.private)
    (audit_site.root / "credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    store = {
        "endpoint": bucket.url,
        "region": "us-east-1",
        "bucket": bucket.name,
        "prefix": PREFIX,
        "credentials": str(audit_site.root / "credentials"),
        "retention_days": 1825,
    }
    return {
        "mode": "sealer",
        "class": "restricted",
        "site": "fra1",
        "records": str(audit_site.records),
        "seals": str(audit_site.seals),
        "signing_key": str(audit_site.root / "sealer.pem"),
        "every_s": 1,
        "store": store,
        **changes,
    }


def test_the_sealer_seals_new_writers_at_once_others_on_time_and_everything_at_its_end(
    audit_site: AuditSite, bucket: Bucket
):
    writer = audit_site.writer()
    sealer = Edge(audit_site.root / "sealer", config(audit_site, bucket)).wait_until_up()
    sealer.wait_for_line("sealed", seal=1, records=1)
    exchange(writer, "a")
    sealer.wait_for_line("sealed", seal=2, records=2)
    assert sealer.health().text == "ok\n"
    assert "isthmus_sealed_records_total 3" in sealer.health("/metrics").text
    close(writer)
    assert sealer.stop() == 0
    proof = audit_site.verify(bucket.store, records=audit_site.records, seals=audit_site.seals)
    assert (proof.findings, proof.records, proof.unfinished) == ([], 4, {})
    store = bucket.store
    locked = [store.locked_until(name) for name in store.names("seals/")]
    assert [until.year - time.gmtime().tm_year for until in locked if until] == [5, 5, 5]


def test_no_seal_can_be_deleted_and_overwritten_or_hidden_seals_are_reported(
    audit_site: AuditSite, bucket: Bucket
):
    writer, sealer = audit_site.writer(), audit_site.sealer(bucket.store)
    sealer.seal()
    exchange(writer, "a")
    sealer.seal()
    key = f"{PREFIX}/seals/000000000002.seal"
    first = bucket.s3.head_object(Bucket=bucket.name, Key=key)["VersionId"]
    with pytest.raises(ClientError, match="Access Denied"):
        bucket.s3.delete_object(Bucket=bucket.name, Key=key, VersionId=first)
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"another past")
    bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PREFIX}/seals/000000000001.seal")
    proof = audit_site.verify(bucket.store)
    assert proof.records == 3, "what was written first is what is read"
    assert [finding.partition(", 2")[0].partition(" of 2")[0] for finding in proof.findings] == [
        "seals/000000000001.seal: a delete marker",
        "seals/000000000002.seal: another version was laid over it",
    ]


def test_a_seal_that_lifecycle_rules_hide_after_its_retention_is_no_finding(bucket: Bucket):
    store, locked, over = bucket.store, "seals/000000000001.seal", "seals/000000000002.seal"
    for name, days in ((locked, 30), (over, -1)):
        store.put(name, b"a seal", days)
        bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PREFIX}/{name}")
    assert store.names("seals/") == [locked, over]
    assert [finding.partition(":")[0] for finding in store.oddities()] == [locked]


def test_a_bucket_without_object_lock_is_refused_by_the_sealer(
    audit_site: AuditSite, service: tuple[Any, str]
):
    service[0].create_bucket(Bucket="unlocked-bucket")
    bucket = Bucket(*service, "unlocked-bucket")
    audit_site.writer()
    sealer = Edge(audit_site.root / "sealer", config(audit_site, bucket)).wait_until_up()
    failed = sealer.wait_for_line("seal_failed")
    assert "no Object Lock" in failed["reason"]
    assert sealer.health().text == "cannot seal\n"
    assert not (audit_site.seals / "latest.json").exists()
    sealer.stop()
    assert any("no Object Lock" in finding for finding in bucket.store.oddities())


def test_an_unreachable_store_is_reported_and_sealing_resumes_when_it_is_back(
    audit_site: AuditSite, bucket: Bucket
):
    writer = audit_site.writer()
    sealer = audit_site.sealer(bucket.store)
    sealer.seal()
    exchange(writer, "a")
    down = Bucket(client("http://127.0.0.1:1"), "", bucket.name)
    with pytest.raises(StoreFault, match="EndpointConnectionError"):
        audit_site.sealer(down.store)
    write(writer, ("intent", intent("b")))
    again = audit_site.sealer(bucket.store)
    again.seal()
    proof = audit_site.verify(bucket.store)
    assert (proof.findings, proof.records, list(proof.unfinished)) == ([], 4, ["b"])


def test_repeating_a_put_whose_response_was_lost_is_no_finding(audit_site: AuditSite, bucket: Bucket):
    audit_site.writer()
    store = bucket.store
    audit_site.sealer(store).seal()
    data = store.get("seals/000000000001.seal")
    assert data is not None
    store.put("seals/000000000001.seal", data, 30)
    with pytest.raises(StoreFault, match="there is another one"):
        store.put("seals/000000000001.seal", data + b"x", 30)
    assert audit_site.verify(bucket.store).findings == []


def test_a_new_signing_key_continues_the_seals_if_the_earlier_key_is_named(
    audit_site: AuditSite, bucket: Bucket
):
    writer = audit_site.writer()
    audit_site.sealer(bucket.store).seal()
    exchange(writer, "a")
    (audit_site.root / "earlier.pem").write_bytes(audit_site.public)
    fresh = AuditSite(audit_site.root, *new_key())
    sealer = Edge(
        audit_site.root / "sealer", config(fresh, bucket, earlier_keys=str(audit_site.root / "earlier.pem"))
    ).wait_until_up()
    sealer.wait_for_line("sealed", seal=2, records=2)
    sealer.stop()
    assert any("no seal of a key" in finding for finding in audit_site.verify(bucket.store).findings)
    both_keys = public_keys([audit_site.public, fresh.public])
    assert verify(bucket.store, both_keys, now=datetime.now(UTC)).findings == []
