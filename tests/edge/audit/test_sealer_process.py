"""The sealer as a process, with an S3 service with Object Lock: seals cannot be removed, and attempts are detected."""

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
from tests.edge.audit.harness import Place, close, exchange, intent, new_key, write
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
def place(tmp_path: Path) -> Place:
    return Place.at(tmp_path)


def config(place: Place, bucket: Bucket, **changes: Any) -> dict[str, Any]:
    (place.root / "sealer.pem").write_bytes(place.private)
    (place.root / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    store = {
        "endpoint": bucket.url,
        "region": "us-east-1",
        "bucket": bucket.name,
        "prefix": PREFIX,
        "credentials": str(place.root / "credentials"),
        "retention_days": 1825,
    }
    return {
        "mode": "sealer",
        "class": "restricted",
        "site": "fra1",
        "records": str(place.records),
        "seals": str(place.seals),
        "signing_key": str(place.root / "sealer.pem"),
        "every_s": 1,
        "store": store,
        **changes,
    }


def test_it_seals_newcomers_at_once_the_rest_in_time_and_all_of_it_at_its_end(place: Place, bucket: Bucket):
    writer = place.writer()
    sealer = Edge(place.root / "sealer", config(place, bucket)).wait_until_up()
    sealer.wait_for_line("sealed", seal=1, records=1)
    exchange(writer, "a")
    sealer.wait_for_line("sealed", seal=2, records=2)
    assert sealer.health().text == "ok\n"
    assert "isthmus_sealed_records_total 3" in sealer.health("/metrics").text
    close(writer)
    assert sealer.stop() == 0
    proof = place.verify(bucket.store, records=place.records, seals=place.seals)
    assert (proof.findings, proof.records, proof.unfinished) == ([], 4, {})
    store = bucket.store
    locked = [store.locked_until(name) for name in store.names("seals/")]
    assert [until.year - time.gmtime().tm_year for until in locked if until] == [5, 5, 5]


def test_neither_the_sealer_nor_anybody_takes_a_seal_away_and_what_is_laid_over_it_is_told(
    place: Place, bucket: Bucket
):
    writer, sealer = place.writer(), place.sealer(bucket.store)
    sealer.seal()
    exchange(writer, "a")
    sealer.seal()
    key = f"{PREFIX}/seals/000000000002.seal"
    first = bucket.s3.head_object(Bucket=bucket.name, Key=key)["VersionId"]
    with pytest.raises(ClientError, match="Access Denied"):
        bucket.s3.delete_object(Bucket=bucket.name, Key=key, VersionId=first)
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"another past")
    bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PREFIX}/seals/000000000001.seal")
    proof = place.verify(bucket.store)
    assert proof.records == 3, "what was written first is what is read"
    assert [finding.partition(", 2")[0].partition(" of 2")[0] for finding in proof.findings] == [
        "seals/000000000001.seal: a delete marker",
        "seals/000000000002.seal: another version was laid over it",
    ]


def test_a_seal_that_the_bucket_s_own_rules_hide_after_its_time_is_no_finding(bucket: Bucket):
    store, locked, over = bucket.store, "seals/000000000001.seal", "seals/000000000002.seal"
    for name, days in ((locked, 30), (over, -1)):
        store.put(name, b"a seal", days)
        bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PREFIX}/{name}")
    assert store.names("seals/") == [locked, over]
    assert [finding.partition(":")[0] for finding in store.oddities()] == [locked]


def test_a_bucket_without_object_lock_is_not_sealed_into(place: Place, service: tuple[Any, str]):
    service[0].create_bucket(Bucket="unlocked-bucket")
    bucket = Bucket(*service, "unlocked-bucket")
    place.writer()
    sealer = Edge(place.root / "sealer", config(place, bucket)).wait_until_up()
    failed = sealer.wait_for_line("seal_failed")
    assert "no Object Lock" in failed["reason"]
    assert sealer.health().text == "cannot seal\n"
    assert not (place.seals / "latest.json").exists()
    sealer.stop()
    assert any("no Object Lock" in finding for finding in bucket.store.oddities())


def test_a_store_that_is_down_is_told_and_sealing_goes_on_when_it_is_back(place: Place, bucket: Bucket):
    writer = place.writer()
    sealer = place.sealer(bucket.store)
    sealer.seal()
    exchange(writer, "a")
    down = Bucket(client("http://127.0.0.1:1"), "", bucket.name)
    with pytest.raises(StoreFault, match="EndpointConnectionError"):
        place.sealer(down.store)
    write(writer, ("intent", intent("b")))
    again = place.sealer(bucket.store)
    again.seal()
    proof = place.verify(bucket.store)
    assert (proof.findings, proof.records, list(proof.unfinished)) == ([], 4, ["b"])


def test_a_put_whose_answer_was_lost_is_no_second_seal(place: Place, bucket: Bucket):
    place.writer()
    store = bucket.store
    place.sealer(store).seal()
    data = store.get("seals/000000000001.seal")
    assert data is not None
    store.put("seals/000000000001.seal", data, 30)
    with pytest.raises(StoreFault, match="there is another one"):
        store.put("seals/000000000001.seal", data + b"x", 30)
    assert place.verify(bucket.store).findings == []


def test_a_new_signing_key_goes_on_where_the_earlier_one_is_named(place: Place, bucket: Bucket):
    writer = place.writer()
    place.sealer(bucket.store).seal()
    exchange(writer, "a")
    (place.root / "earlier.pem").write_bytes(place.public)
    fresh = Place(place.root, *new_key())
    sealer = Edge(
        place.root / "sealer", config(fresh, bucket, earlier_keys=str(place.root / "earlier.pem"))
    ).wait_until_up()
    sealer.wait_for_line("sealed", seal=2, records=2)
    sealer.stop()
    assert any("no seal of a key" in finding for finding in place.verify(bucket.store).findings)
    both_keys = public_keys([place.public, fresh.public])
    assert verify(bucket.store, both_keys, now=datetime.now(UTC)).findings == []
