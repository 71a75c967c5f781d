"""Several gateway replicas share limits in a real PostgreSQL: never exceeded, almost fully used, with few queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge import keys
from edge.allowance.ledger import DRY_S, IDLE_S, LEASES_PER_LIMIT, Exhausted, Ledger, Limit
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown
from tests.edge.postgres import Postgres

NAME = "ledger"
COPIES = 4


class Clock:
    """A clock that the test moves. The database's own clock runs on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(Database):
    asked = 0

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        self.asked += 1
        return await super().fetch(statement, *values)


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> DatabaseConfig:
    postgres.ask(f"CREATE DATABASE {NAME}")
    config = DatabaseConfig(**postgres.administrator(NAME))
    asyncio.run(_migrated(config))
    return config


async def _migrated(config: DatabaseConfig) -> None:
    database = Database(config)
    await keys.migrate(database)
    await database.close()


def with_copies(config: DatabaseConfig, work: Callable[..., Awaitable[Any]], count: int = COPIES) -> Any:
    """Run `work(clock, databases, ledgers)` with `count` replicas."""

    async def run() -> Any:
        clock, databases = Clock(), [Counting(config) for _ in range(count)]
        try:
            return await work(clock, databases, [Ledger(database, clock) for database in databases])
        finally:
            for database in databases:
                await database.close()

    return asyncio.run(run())


async def used(database: Database, limit: Limit) -> int:
    """The used and leased amount in the database."""
    rows = await database.fetch(
        "SELECT amount FROM isthmus.used WHERE (scope, unit) = ($1, $2)", limit.scope, limit.unit
    )
    return rows[0]["amount"]


async def takes(ledger: Ledger, limit: Limit, amount: int = 1) -> bool:
    try:
        await ledger.take({limit: amount})
    except Exhausted as error:
        return not (error.limit == limit and 0 < error.left_s <= 32 * 24 * 3600)
    return True


# Per month, because a minute may end during the test. The SQL is the same.
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_replicas_together_use_exactly_the_whole_limit(tables: DatabaseConfig, most: int):
    limit = Limit(f"a/b/team/all-{most}", "requests/minute", "month", most)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> int:
        async def take_all(ledger: Ledger) -> int:
            return sum([await takes(ledger, limit) for _ in range(most)])

        admitted = sum(await asyncio.gather(*(take_all(ledger) for ledger in ledgers)))
        assert await used(databases[0], limit) == most
        return admitted

    assert with_copies(tables, work) == most


def test_a_limit_per_minute_is_used_up_to_a_twentieth_per_replica(tables: DatabaseConfig):
    most = 600
    limit = Limit("a/b/team/minute", "requests/minute", "minute", most)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> tuple[int, int]:
        (row,) = await databases[0].fetch("SELECT extract(second FROM clock_timestamp())::float8 AS at")
        await asyncio.sleep(max(0.0, row["at"] - 50) and 60.5 - row["at"])  # no minute ends in between
        # An idle replica keeps its lease. The others get the rest.
        assert await takes(ledgers[0], limit)
        admitted = 1
        while await takes(ledgers[1], limit):
            admitted += 1
        return admitted, sum(database.asked for database in databases)

    admitted, statements = with_copies(tables, work, 2)
    assert most - most // LEASES_PER_LIMIT["minute"] <= admitted <= most
    assert statements < admitted / 5, "nearly every request asked the database"


@pytest.mark.parametrize(
    ("used", "need", "want", "granted"),
    [
        (0, 1, 5, 5),
        (0, 1, 80, 25),
        (90, 1, 80, 2),
        (99, 1, 80, 1),
        (50, 40, 5, 40),
        (61, 40, 5, 0),
        (100, 1, 1, 0),
    ],
)
def test_a_lease_is_at_most_a_quarter_of_the_rest_unless_one_request_needs_more(
    tables: DatabaseConfig, used: int, need: int, want: int, granted: int
):
    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> int:
        scope = f"a/b/team/{used}-{need}-{want}"
        statement = "SELECT granted FROM isthmus.lease($1, 'u', 'month', 100, $2, 0)"
        if used:
            await databases[0].fetch(statement, scope, used)
        return (await databases[0].fetch(statement.replace("0)", "$3)"), scope, need, want))[0]["granted"]

    assert with_copies(tables, work, 1) == granted


def test_an_unused_lease_of_a_replica_is_returned(tables: DatabaseConfig):
    limit = Limit("a/b/team/idle", "tokens/month", "month", 100_000)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> None:
        (ledger,), (database,) = ledgers, databases
        assert await takes(ledger, limit, 3)
        assert await used(database, limit) == 100_000 // LEASES_PER_LIMIT["month"]
        clock.now += IDLE_S + 1
        await ledger.flush()
        assert await used(database, limit) == 3
        assert await takes(ledger, limit, 3)
        await ledger.flush(last=True)  # stops in order
        assert await used(database, limit) == 6

    with_copies(tables, work, 1)


def test_only_running_requests_above_their_reservation_can_exceed_a_limit(
    tables: DatabaseConfig,
):
    most, reserved, came_to = 1000, 100, 180
    limit = Limit("a/b/workload/over", "tokens/minute", "month", most)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> tuple[int, int]:
        running = []
        for ledger in [*ledgers] * 5:
            try:
                running.append((ledger, await ledger.take({limit: reserved})))
            except Exhausted:
                continue
        assert len(running) == most // reserved, "as many run at once as have room"
        for ledger, reservation in running:
            ledger.settle(reservation, {"tokens/minute": came_to})
        for ledger in ledgers:
            await ledger.flush()
        clock.now += DRY_S + 1
        assert not any([await takes(ledger, limit) for ledger in ledgers]), "the debt is everybody's"
        return await used(databases[0], limit), len(running)

    amount, count = with_copies(tables, work)
    assert amount == most + count * (came_to - reserved)


def test_unused_reservations_are_available_again_and_reported_at_the_end(tables: DatabaseConfig):
    limit = Limit("a/b/workload/under", "tokens/month", "month", 1000)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> int:
        (ledger,) = ledgers
        for _ in range(13):  # the last request needs 500 above the 480 before it
            reservation = await ledger.take({limit: 500})
            ledger.settle(reservation, {"tokens/month": 40})
        await ledger.flush(last=True)
        return await used(databases[0], limit)

    assert with_copies(tables, work, 1) == 520


def test_several_limits_are_reserved_together_or_not_at_all(tables: DatabaseConfig):
    wide = Limit("a/b/team/wide", "requests/minute", "month", 100)
    narrow = Limit("a/b/workload/narrow", "tokens/minute", "month", 10)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> None:
        (ledger,) = ledgers
        for _ in range(5):
            await ledger.take({wide: 1, narrow: 2})
        for _ in range(5):
            with pytest.raises(Exhausted) as caught:
                await ledger.take({wide: 1, narrow: 2})
            assert caught.value.limit == narrow
        statements = databases[0].asked
        for _ in range(100):
            with pytest.raises(Exhausted):
                await ledger.take({wide: 1, narrow: 2})
        assert databases[0].asked == statements, "a flood of refused requests must not reach the database"
        await ledger.flush(last=True)
        assert await used(databases[0], wide) == 5

    with_copies(tables, work, 1)


def test_a_new_period_begins_at_zero_without_old_debts(tables: DatabaseConfig):
    limit = Limit("a/b/team/turn", "requests/minute", "month", 10)

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> None:
        (ledger,), (database,) = ledgers, databases
        reservation = await ledger.take({limit: 10})
        assert not await takes(ledger, limit)
        # The month changes: the row belongs to the month before, and the replica's lease is over.
        await database.fetch(
            "UPDATE isthmus.used SET since = since - interval '1 month' WHERE scope = $1", limit.scope
        )
        clock.now += 32 * 24 * 3600
        assert await takes(ledger, limit)
        before = await used(database, limit)
        ledger.settle(
            [type(reservation[0])(limit, 10, reservation[0].since.replace(year=2001))],
            {"requests/minute": 5000},
        )
        await ledger.flush()
        after = await used(database, limit)
        assert after == before

    with_copies(tables, work, 1)


def test_without_the_database_nothing_is_leased_and_debts_are_reported_later(tables: DatabaseConfig):
    limit = Limit("a/b/team/away", "tokens/minute", "month", 1000)
    away = tables.model_copy(update={"port": 1})

    async def work(clock: Clock, databases: list[Counting], ledgers: list[Ledger]) -> int:
        with pytest.raises(DatabaseDown):
            await Ledger(Database(away), clock).take({limit: 1})
        (ledger,) = ledgers
        reservation = await ledger.take({limit: 100})
        ledger.settle(reservation, {"tokens/minute": 700})
        good, ledger._database = ledger._database, Database(away)
        with pytest.raises(DatabaseDown):
            await ledger.flush()
        ledger._database = good
        await ledger.flush()
        await ledger.flush(last=True)
        return await used(databases[0], limit)

    assert with_copies(tables, work, 1) == 700
