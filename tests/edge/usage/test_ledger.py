"""The usage ledger in a real PostgreSQL: loading is exact however it is interrupted, and closed months stay closed."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.audit.seal_format import Signer
from edge.audit.verify import NotProven
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown, usage
from edge.database.migrations import migrate
from edge.usage.ledger import _KNOWN, Ledger, LedgerError, MemoryLedger, Place, digest_of
from edge.usage.loading import Source, WrongStore, load_new, read_all
from edge.usage.rows import ROW_DAYS
from tests.edge.audit.harness import AuditSite, close, exchange, intent, write
from tests.edge.postgres import Postgres
from tests.edge.usage.conftest import LedgerDatabase
from tests.edge.usage.histories import BEGIN, History, histories, load, outcome, seal
from tests.edge.usage.histories import intent as asked

pytestmark = pytest.mark.service

RESTRICTED = Place("restricted", "fra1")
PLACE_OF_HISTORIES = Place("confidential", "fra1")


def nobody(_: str) -> bool:
    return False


def everybody(_: str) -> bool:
    return True


def source(site: AuditSite, place: Place = RESTRICTED, since: int = 1) -> Source:
    return Source(place, site.store, Signer(site.private).public, nobody, since)


class Stopped(Exception):
    """The loader ended."""


class Ending:
    """A database whose loader ends inside each transaction, after it has written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transaction(self, work: Any) -> Any:
        async def ending(connection: Any) -> None:
            await work(connection)
            raise Stopped

        return await self._database.transaction(ending)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=histories(), chance=st.randoms(use_true_random=False))
def test_the_ledger_equals_the_records_through_failures_and_repetitions(
    ledger_database: LedgerDatabase, history: History, chance: random.Random
):
    ledger_database.empty()

    async def run(database: Database) -> Any:
        ledger = Ledger(database)
        for each, records in history.seals:
            if chance.random() < 0.5:
                with pytest.raises(Stopped):
                    await Ledger(Ending(database)).take(each, records, everybody)  # type: ignore[arg-type]
            assert await ledger.take(each, records, everybody)
            if chance.random() < 0.5:
                assert not await ledger.take(each, records, everybody), "it has that seal"
        return await ledger.days(), await ledger.hours()

    days, hours = ledger_database.with_database(run)
    memory = load(history)
    assert days == memory.days()
    assert hours == memory.hours()


def test_each_load_reads_only_new_seals_and_ends_with_what_the_store_has(
    ledger: LedgerDatabase, tmp_path: Path
):
    site = AuditSite.at(tmp_path)
    writer, sealer = site.writer(), site.sealer()
    exchange(writer, "r1")
    write(writer, ("intent", intent("r2")))
    sealer.seal()
    loaded = [ledger.with_ledger(lambda each: load_new(each, source(site)))]
    close(writer)
    sealer.seal(allow_empty=True)
    loaded.append(ledger.with_ledger(lambda each: load_new(each, source(site))))
    loaded.append(ledger.with_ledger(lambda each: load_new(each, source(site))))
    assert loaded == [1, 1, 0]
    days = ledger.with_ledger(lambda each: each.days())
    assert days == read_all(source(site)).days()
    assert sum(day.sums.requests for day in days) == 2
    assert sum(day.sums.unfinished for day in days) == 1, "its gateway has ended"


def test_a_store_that_was_changed_is_loaded_up_to_the_change(ledger: LedgerDatabase, tmp_path: Path):
    site = AuditSite.at(tmp_path)
    writer, sealer = site.writer(), site.sealer()
    for number in range(3):
        exchange(writer, f"r{number}")
        sealer.seal()
    changed = site.root / "store/seals/000000000002.seal"
    original = changed.read_bytes()
    changed.write_bytes(original.replace(b"claims", b"c1aims"))
    with pytest.raises(NotProven, match="000000000002"):
        ledger.with_ledger(lambda each: load_new(each, source(site)))
    assert [loaded.seal for loaded in ledger.with_ledger(lambda each: each.loaded())] == [1]
    with pytest.raises(NotProven):
        read_all(source(site))
    changed.write_bytes(original)
    assert ledger.with_ledger(lambda each: load_new(each, source(site))) == 2


def test_another_store_does_not_continue_a_ledger(ledger: LedgerDatabase, tmp_path: Path):
    sites = [AuditSite.at(tmp_path / name) for name in "ab"]
    for site in sites:
        exchange(site.writer(), "r1")
        site.sealer().seal()
    ledger.with_ledger(lambda each: load_new(each, source(sites[0])))
    other = Source(RESTRICTED, sites[1].store, Signer(sites[1].private).public, nobody)
    with pytest.raises(NotProven, match="seal 1 is not the one that was there before"):
        ledger.with_ledger(lambda each: load_new(each, other))
    (sites[0].root / "store/seals/000000000001.seal").unlink()
    with pytest.raises(NotProven, match="no seal 1, which was there before"):
        ledger.with_ledger(lambda each: load_new(each, source(sites[0])))


def test_a_store_of_another_class_is_not_loaded(ledger: LedgerDatabase, tmp_path: Path):
    site = AuditSite.at(tmp_path)
    exchange(site.writer(), "r1")
    site.sealer().seal()
    with pytest.raises(WrongStore, match="it is of class restricted at fra1"):
        ledger.with_ledger(lambda each: load_new(each, source(site, Place("internal", "fra1"))))


def test_an_old_store_is_loaded_from_a_later_seal_on(ledger: LedgerDatabase, tmp_path: Path):
    site = AuditSite.at(tmp_path)
    writer, sealer = site.writer(), site.sealer()
    for number in range(3):
        exchange(writer, f"r{number}")
        sealer.seal()
    (site.root / "store/seals/000000000001.seal").unlink()
    assert ledger.with_ledger(lambda each: load_new(each, source(site, since=2))) == 2


def test_rows_are_deleted_after_their_time_and_sums_stay(ledger: LedgerDatabase):
    async def run(each: Ledger) -> list[Any]:
        await each.take(seal(1), [outcome("r1", BEGIN), asked("r2", BEGIN)], everybody)
        days = timedelta(days=ROW_DAYS["confidential"])
        counts = []
        for now in (BEGIN + days, BEGIN + days + timedelta(seconds=1)):
            await each.expire(now)
            rows = await each._database.fetch("SELECT id FROM isthmus.usage_requests")
            counts.append(sorted(row["id"] for row in rows))
        return [counts, await each.days(), await each.hours()]

    counts, days, hours = ledger.with_ledger(run)
    assert counts == [["r1", "r2"], ["r2"]], "a request that may still be settled stays"
    assert [day.sums.requests for day in days] == [1]
    assert hours == []


def test_hours_from_before_their_table_are_made_from_the_rows(postgres: Postgres):
    name = "usage_before_hours"
    postgres.ask(f"CREATE DATABASE {name}")

    async def fill() -> list[Any]:
        database = Database(DatabaseConfig(**postgres.administrator(name)))
        try:
            await migrate(database)
            await Ledger(database).take(seal(1), [outcome("r1", BEGIN), asked("r2", BEGIN)], everybody)
            await database.transaction(lambda each: each.execute("DROP TABLE isthmus.usage_hours"))
            await database.transaction(lambda each: each.execute(usage.HOURS_STEP))
            return await Ledger(database).hours()
        finally:
            await database.close()

    (hour,) = asyncio.run(fill())
    assert (hour.key.hour, hour.requests) == (BEGIN.replace(minute=0), 1)


def test_evaluations_are_apart_in_sums_and_in_a_closed_month(ledger: LedgerDatabase):
    nobodys = {"workload": "claims", "team": "", "identity": "key:k1"}
    records = [
        outcome("r1", BEGIN, who=nobodys),
        outcome("r2", BEGIN, who={**nobodys, "purpose": "evaluation"}),
    ]

    async def run(each: Ledger) -> Any:
        await each.take(seal(1, datetime(2026, 12, 1, 1, tzinfo=UTC)), records, everybody)
        [closed] = await each.close(date(2026, 11, 1))
        return closed.figures, await each.days(), await each.days(by_person=False), await each.hours()

    figures, days, of_all, hours = ledger.with_ledger(run)
    assert [(day.key.purpose, day.sums.requests) for day in days] == [("", 1), ("evaluation", 1)]
    assert list(figures) == days == of_all
    assert [hour.requests for hour in hours] == [1]


TOKEN_PRICE = {"usd_per_million_tokens": {"prompt": 1.1, "completion": 5.5}}


def test_cached_tokens_at_full_price_from_before_their_column_are_found_in_the_rows(postgres: Postgres):
    name = "usage_before_cached"
    postgres.ask(f"CREATE DATABASE {name}")
    more = {"price": TOKEN_PRICE, "tokens": {"prompt": 50, "cached": 64, "completion": 1}}
    priced = {"usd_per_million_tokens": {**TOKEN_PRICE["usd_per_million_tokens"], "cached": 0.11}}
    records = [outcome("r1", BEGIN, **more), outcome("r2", BEGIN), outcome("r3", BEGIN, price=priced)]
    records.append(
        outcome("r4", BEGIN, **{**more, "tokens": {"prompt": None, "cached": 64, "completion": 1}})
    )
    records.append(outcome("r5", BEGIN, **more, usd=None))

    async def fill() -> list[Any]:
        database = Database(DatabaseConfig(**postgres.administrator(name)))
        column = "ALTER TABLE isthmus.usage_days DROP COLUMN full_price_cached_tokens"
        try:
            await migrate(database)
            await Ledger(database).take(seal(1), records, everybody)
            before = await Ledger(database).days()
            for text in (column, usage.CACHED_STEP):
                await database.transaction(lambda each, text=text: each.execute(text))
            return [before, await Ledger(database).days()]
        finally:
            await database.close()

    before, after = asyncio.run(fill())
    assert after == before
    assert sum(day.sums.full_price_cached_tokens for day in after) == 50


def test_a_month_that_was_closed_before_cached_tokens_had_a_price_has_them_at_full_price(
    ledger: LedgerDatabase,
):
    november, late = date(2026, 11, 1), datetime(2026, 12, 1, 1, tzinfo=UTC)
    records = [outcome("r1", BEGIN, price=TOKEN_PRICE, gpu_seconds=None)]
    ledger.with_ledger(lambda each: each.take(seal(1, late), records, everybody))
    [closed] = ledger.with_ledger(lambda each: each.close(november))
    text = ledger.postgres.ask("SELECT figures FROM isthmus.usage_closed", ledger.name)[0][0]
    earlier = text.replace('"full_price_cached_tokens":64,', "")
    assert earlier != text
    change = f"UPDATE isthmus.usage_closed SET figures = '{earlier}', digest = '{digest_of(earlier)}'"  # noqa: S608
    ledger.postgres.ask(change, ledger.name)
    assert ledger.with_ledger(lambda each: each.closed())[0].figures == closed.figures


def test_a_closed_month_keeps_its_figures_when_a_line_comes_later(ledger: LedgerDatabase):
    november = date(2026, 11, 1)
    late = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)

    async def run(each: Ledger) -> Any:
        await each.take(seal(1, late), [outcome("r1", BEGIN), asked("r2", BEGIN)], everybody)
        (closed,) = await each.close(november)
        await each.take(seal(2, late + timedelta(hours=1)), [outcome("r2", BEGIN)], everybody)
        with pytest.raises(LedgerError, match="2026-11 is closed already"):
            await each.close(november)
        return closed, await each.closed(), await each.days()

    closed, again, days = ledger.with_ledger(run)
    assert again == [closed]
    assert (closed.seal, closed.month, [day.sums.requests for day in closed.figures]) == (1, november, [1])
    assert closed.figures[0].sums.usd == Decimal("0.0005")
    assert sum(day.sums.requests for day in days) == 2


def test_a_month_is_not_closed_before_its_last_records_are_loaded(ledger: LedgerDatabase):
    async def run(each: Ledger) -> None:
        with pytest.raises(LedgerError, match="the ledger is empty"):
            await each.close(date(2026, 11, 1))
        await each.take(seal(1, datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)), [], everybody)
        with pytest.raises(LedgerError, match="loaded until 2026-11-30 23:59 UTC"):
            await each.close(date(2026, 11, 1))

    ledger.with_ledger(run)


def test_readers_see_sums_and_no_request_and_nobody_changes_a_closed_month(ledger: LedgerDatabase):
    async def fill(each: Ledger) -> None:
        late = datetime(2026, 12, 1, 1, tzinfo=UTC)
        await each.take(seal(1, late), [outcome("r1", BEGIN)], everybody)
        await each.close(date(2026, 11, 1))

    ledger.with_ledger(fill)
    days, closed, loaded = (
        ledger.with_ledger(read, "usage_readers")
        for read in (lambda each: each.days(), lambda each: each.closed(), lambda each: each.loaded())
    )
    assert (len(days), len(closed), len(loaded)) == (1, 1, 1)
    for mode, statement in (
        ("usage_readers", "SELECT id FROM isthmus.usage_requests"),
        ("usage_readers", "DELETE FROM isthmus.usage_days"),
        ("usage", "UPDATE isthmus.usage_closed SET figures = '[]'"),
        ("usage", "DELETE FROM isthmus.usage_closed"),
        ("usage", "SELECT * FROM isthmus.keys"),
    ):
        with pytest.raises(DatabaseDown, match="InsufficientPrivilegeError"):
            ledger.with_database(lambda database, text=statement: database.fetch(text), mode)


def test_changed_figures_of_a_closed_month_are_told(ledger: LedgerDatabase):
    async def fill(each: Ledger) -> None:
        await each.take(seal(1, datetime(2026, 12, 1, 1, tzinfo=UTC)), [outcome("r1", BEGIN)], everybody)
        await each.close(date(2026, 11, 1))

    ledger.with_ledger(fill)
    ledger.postgres.ask("UPDATE isthmus.usage_closed SET figures = replace(figures, '100', '1')", ledger.name)
    with pytest.raises(LedgerError, match="the figures of 2026-11 of class confidential were changed"):
        ledger.with_ledger(lambda each: each.closed())


def test_a_record_without_a_time_is_told_and_not_loaded(ledger: LedgerDatabase):
    memory = MemoryLedger(everybody)
    with pytest.raises(ValueError, match="Invalid isoformat"):
        memory.take(seal(1), [{**outcome("r1", BEGIN), "time": "soon"}])


def test_requests_are_found_by_their_primary_key_before_the_database_has_statistics(ledger: LedgerDatabase):
    """A planner that knows nothing read the whole class for each seal: loading grew with the square of its length."""
    rows = 5000

    async def run(database: Database) -> str:
        await Ledger(database).take(
            seal(1), [outcome(f"r{number}", BEGIN) for number in range(rows)], everybody
        )
        ids = [f"r{number}" for number in range(rows, 2 * rows)]
        plan = await database.fetch(f"EXPLAIN {_KNOWN}", *PLACE_OF_HISTORIES, ids)
        return "\n".join(line[0] for line in plan)

    plan = ledger.with_database(run)
    assert "usage_requests_pkey" in plan
    assert "Index Cond: ((class = 'confidential'::text) AND (site = 'fra1'::text) AND (id = " in plan
