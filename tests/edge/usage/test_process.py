"""The loader as a process: it loads what a sealer puts into an S3 store, once, whatever becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.audit.seal_format import Signer
from edge.audit.stores import S3Store
from edge.audit.verify import NotProven
from edge.config import ConfigError, LoaderConfig, check
from edge.database import Database
from edge.usage.ledger import Ledger, Place
from edge.usage.loading import Source, read_all
from edge.usage.process import Loader
from tests.edge.audit.harness import AuditSite, close, exchange
from tests.edge.processes import Edge
from tests.edge.usage.conftest import LedgerDatabase
from tests.s3_service import client, s3_service

pytestmark = pytest.mark.service

PLACE, PREFIX = Place("restricted", "fra1"), "fra1/restricted"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with s3_service() as url:
        yield url


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite.at(tmp_path)


@pytest.fixture
def start() -> Iterator[Callable[[Path, dict[str, Any]], Edge]]:
    """Starts a loader, which ends with the test at the latest."""
    started: list[Edge] = []

    def begin(folder: Path, settings: dict[str, Any]) -> Edge:
        started.append(Edge(folder, settings))
        return started[-1]

    yield begin
    for loader in started:
        loader.stop()


def config(site: AuditSite, ledger: LedgerDatabase, url: str, bucket: str) -> dict[str, Any]:
    (site.root / "sealer.pub").write_bytes(site.public)
    (site.root / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    store = {"endpoint": url, "region": "us-east-1", "bucket": bucket, "prefix": PREFIX}
    return {
        "mode": "loader",
        "class": "restricted",
        "site": "fra1",
        "database": ledger.settings(),
        "store": {**store, "credentials": str(site.root / "credentials")},
        "public_key": str(site.root / "sealer.pub"),
        "every_s": 1,
    }


def in_folder(site: AuditSite, ledger: LedgerDatabase) -> Loader:
    """A loader in this process, on the store in the site's folder."""
    settings = {**config(site, ledger, "http://127.0.0.1:9", "b"), "health": {"host": "127.0.0.1", "port": 9}}
    return Loader(LoaderConfig(**settings), site.store)


def wait_for_seal(ledger: LedgerDatabase, number: int) -> None:
    end = time.monotonic() + 60
    while [loaded.seal for loaded in ledger.with_ledger(lambda each: each.loaded())] != [number]:
        assert time.monotonic() < end, f"seal {number} was not loaded"
        time.sleep(0.1)


def test_a_loader_loads_what_is_sealed_and_says_how_far_it_is(
    site: AuditSite, ledger: LedgerDatabase, s3_url: str, start: Callable[..., Edge]
):
    s3 = client(s3_url)
    s3.create_bucket(Bucket="says", ObjectLockEnabledForBucket=True)
    store = S3Store(s3, "says", PREFIX)
    writer, sealer = site.writer(), site.sealer(store)
    exchange(writer, "r1")
    sealer.seal()
    loader = start(site.root / "loader", config(site, ledger, s3_url, "says")).wait_until_up()
    loader.wait_for_line("usage_loaded", seal=1, records=3)
    exchange(writer, "r2")
    close(writer)
    sealer.seal()
    loader.wait_for_line("usage_loaded", seal=2, records=3)
    loader.wait_until_well()
    assert loader.health().text == "ok\n"
    metrics = loader.health("/metrics").text
    assert 'isthmus_usage_seals_total{class="restricted"} 2.0' in metrics
    assert 'isthmus_usage_records_total{class="restricted"} 6.0' in metrics
    assert 'isthmus_usage_failures_total{class="restricted"} 0.0' in metrics
    assert 'isthmus_usage_lag_seconds{class="restricted"}' in metrics
    assert 'isthmus_usage_seal_age_seconds{class="restricted"}' in metrics
    assert loader.stop() == 0
    source = Source(PLACE, store, Signer(site.private).public, lambda _: False)
    days = ledger.with_ledger(lambda each: each.days())
    assert days == read_all(source).days()
    assert sum(day.sums.requests for day in days) == 2


def test_a_loader_that_is_killed_again_and_again_loads_each_seal_once(
    site: AuditSite, ledger: LedgerDatabase, s3_url: str, start: Callable[..., Edge]
):
    s3 = client(s3_url)
    s3.create_bucket(Bucket="killed", ObjectLockEnabledForBucket=True)
    store = S3Store(s3, "killed", PREFIX)
    writer, sealer = site.writer(), site.sealer(store)
    settings = config(site, ledger, s3_url, "killed")
    for number in range(1, 7):
        for request in range(200):
            exchange(writer, f"r{number}-{request}")
        sealer.seal()
        loader = start(site.root / f"loader-{number}", dict(settings)).wait_until_up()
        time.sleep(0.05 * number)
        loader.process.kill()
        loader.process.wait(10)
    last = start(site.root / "last", dict(settings)).wait_until_up()
    wait_for_seal(ledger, 6)
    assert last.stop() == 0
    source = Source(PLACE, store, Signer(site.private).public, lambda _: False)
    days = ledger.with_ledger(lambda each: each.days())
    assert days == read_all(source).days()
    assert sum(day.sums.requests for day in days) == 1200


def test_one_loader_loads_at_a_time(site: AuditSite, ledger: LedgerDatabase):
    exchange(site.writer(), "r1")
    site.sealer().seal()

    async def run(other: Database) -> list[int]:
        loader, counts = in_folder(site, ledger), []
        async with other.exclusively("usage ledger restricted fra1") as is_held:
            assert is_held
            await loader.turn()
            counts.append(len(await Ledger(other).loaded()))
        await loader.turn()
        counts.append(len(await Ledger(other).loaded()))
        await loader.close()
        return counts

    assert ledger.with_database(run) == [0, 1]


def test_records_that_are_not_proven_are_told_and_loading_goes_on_once_they_are(
    site: AuditSite, ledger: LedgerDatabase
):
    writer, sealer = site.writer(), site.sealer()
    for number in range(2):
        exchange(writer, f"r{number}")
        sealer.seal()
    changed = site.root / "store/seals/000000000002.seal"
    original = changed.read_bytes()
    changed.write_bytes(original.replace(b"claims", b"c1aims"))

    async def run() -> list[str | None]:
        loader = in_folder(site, ledger)
        with pytest.raises(NotProven, match="000000000002"):
            await loader.turn()
        await loader.attempt()
        problems = [await loader.problem()]
        assert b'isthmus_usage_failures_total{class="restricted"} 1.0' in (await loader.metrics()).body
        changed.write_bytes(original)
        await loader.attempt()
        problems.append(await loader.problem())
        await loader.close()
        return problems

    assert asyncio.run(run()) == ["cannot load", None]
    assert [loaded.seal for loaded in ledger.with_ledger(lambda each: each.loaded())] == [2]


@pytest.mark.parametrize(
    ("section", "key", "value", "problem"),
    [
        ("store", "endpoint", None, "store.endpoint: records of class restricted must stay on-prem"),
        ("store", "credentials", None, "store.credentials is needed for class restricted"),
        ("database", "host", "db.x.rds.amazonaws.com", "usage of class restricted must stay on-prem"),
    ],
)
def test_a_restricted_loader_stays_on_site(
    site: AuditSite, ledger: LedgerDatabase, section: str, key: str, value: str | None, problem: str
):
    settings = config(site, ledger, "https://store.fra1.example", "b")
    settings["health"] = {"host": "127.0.0.1", "port": 9}
    settings[section] = {**settings[section], key: value}
    if section == "database":
        settings[section]["ca"] = "/none/ca.crt"
    with pytest.raises(ConfigError, match=problem):
        check(settings, Path("loader.yaml"))
