"""Requests at once, counted by several copies in a real PostgreSQL, or by one copy alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge import keys
from edge.allowance.parallel import DRY_S, Parallel, TooMany
from edge.config.database import DatabaseConfig
from edge.database import Database
from tests.edge.postgres import Postgres


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> DatabaseConfig:
    postgres.ask("CREATE DATABASE parallel")
    config = DatabaseConfig(**postgres.administrator("parallel"))

    async def migrate() -> None:
        database = Database(config)
        await keys.migrate(database)
        await database.close()

    asyncio.run(migrate())
    return config


def with_copies(
    config: DatabaseConfig, work: Callable[[list[Parallel], list[Database], Clock], Awaitable[Any]]
) -> Any:
    async def run() -> Any:
        databases, clock = [Database(config) for _ in range(3)], Clock()
        try:
            return await work([Parallel(database, clock) for database in databases], databases, clock)
        finally:
            for database in databases:
                await database.close()

    return asyncio.run(run())


async def fill(copies: list[Parallel], scope: str, most: int) -> list[Callable[[], None]]:
    """Take slots at each copy in turn until none has any."""
    taken: list[Callable[[], None]] = []
    for _ in range(3 * most):
        for copy in copies:
            with contextlib.suppress(TooMany):
                taken.append(await copy.take({scope: most}))
    return taken


@pytest.mark.parametrize("most", [1, 5, 64])
def test_copies_together_run_as_many_as_the_limit_says(tables: DatabaseConfig, most: int):
    async def work(copies: list[Parallel], databases: list[Database], clock: Clock) -> int:
        return len(await fill(copies, f"full-{most}", most))

    spare = 2 * min(4, most // 8)  # what two copies have leased and do not use
    assert most - spare <= with_copies(tables, work) <= most


def test_what_one_copy_gives_back_another_can_take(tables: DatabaseConfig):
    async def work(copies: list[Parallel], databases: list[Database], clock: Clock) -> int:
        for give_back in await fill(copies[:1], "moves", 6):
            give_back()
        for _ in range(2):  # the first still keeps what ran within the last second
            await copies[0].flush()
        return len(await fill(copies[1:2], "moves", 6))

    assert with_copies(tables, work) == 6


def test_slots_of_a_copy_that_was_killed_are_free_after_ten_seconds(tables: DatabaseConfig):
    async def work(copies: list[Parallel], databases: list[Database], clock: Clock) -> tuple[int, int]:
        await fill(copies[:1], "killed", 4)
        before = len(await fill(copies[1:2], "killed", 4))
        await databases[2].fetch(
            "UPDATE isthmus.parallel SET renewed_at = renewed_at - interval '11 seconds' WHERE scope = 'killed'"
        )
        clock.now += DRY_S
        return before, len(await fill(copies[1:2], "killed", 4))

    assert with_copies(tables, work) == (0, 4)


def test_a_renewed_lease_stays_with_its_copy(tables: DatabaseConfig):
    async def work(copies: list[Parallel], databases: list[Database], clock: Clock) -> int:
        await fill(copies[:1], "renewed", 4)
        await databases[2].fetch(
            "UPDATE isthmus.parallel SET renewed_at = '-infinity' WHERE scope = 'renewed'"
        )
        await copies[0].flush()
        return len(await fill(copies[1:2], "renewed", 4))

    assert with_copies(tables, work) == 0


def test_a_request_takes_a_slot_of_each_scope_or_of_none():
    async def work() -> list[int]:
        copy = Parallel(None)
        first = await copy.take({"team": 2, "key": 1})
        with pytest.raises(TooMany):
            await copy.take({"team": 2, "key": 1})
        other = await copy.take({"team": 2})
        with pytest.raises(TooMany):
            await copy.take({"team": 2})
        first()
        first()  # a second time changes nothing
        await copy.take({"team": 2, "key": 1})
        other()
        return []

    assert asyncio.run(work()) == []


def test_a_lower_limit_applies_to_the_next_request(tables: DatabaseConfig):
    async def work(copies: list[Parallel], databases: list[Database], clock: Clock) -> None:
        await fill(copies[:1], "lowered", 6)
        with pytest.raises(TooMany):
            await copies[0].take({"lowered": 3})

    with_copies(tables, work)
