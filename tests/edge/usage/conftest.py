"""Fixture: an empty usage ledger in a database of its own, with a user of each mode."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.config.database import DatabaseConfig
from edge.database import Database
from edge.database.migrations import grant, migrate
from edge.usage.ledger import TIMEOUT_S, Ledger
from tests.edge.postgres import Postgres

MODES = ("usage", "usage_readers")
_numbers = itertools.count(1)


@dataclass
class LedgerDatabase:
    """A database with the ledger's tables. Each call connects anew, as a command does."""

    postgres: Postgres
    name: str
    folder: Path

    def settings(self, mode: str = "usage") -> dict[str, Any]:
        """Section `database` for a mode's user."""
        if mode == "admin":
            return self.postgres.administrator(self.name)
        password = self.folder / f"{mode}.password"
        if not password.exists():  # a running loader may be reading it
            password.write_text(mode)
        place = {"host": "127.0.0.1", "port": self.postgres.port, "name": self.name}
        return {**place, "user": f"{self.name}_{mode}", "password": str(password)}

    def with_ledger(self, work: Callable[[Ledger], Coroutine[Any, Any, Any]], mode: str = "usage") -> Any:
        return self.with_database(lambda database: work(Ledger(database)), mode)

    def with_database(self, work: Callable[[Database], Coroutine[Any, Any, Any]], mode: str = "usage") -> Any:
        async def run() -> Any:
            database = Database(DatabaseConfig(**self.settings(mode)), TIMEOUT_S)
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(run())

    def empty(self) -> None:
        tables = [f"isthmus.usage_{name}" for name in ("seals", "requests", "days", "hours", "closed")]
        self.postgres.ask(f"TRUNCATE {', '.join(tables)}", self.name)


@pytest.fixture(scope="module")
def ledger_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> LedgerDatabase:
    database = LedgerDatabase(postgres, f"usage{next(_numbers)}", tmp_path_factory.mktemp("ledger"))
    postgres.ask(f"CREATE DATABASE {database.name}")
    for mode in MODES:
        postgres.ask(f"CREATE ROLE {database.name}_{mode} LOGIN PASSWORD '{mode}'")

    async def make(admin: Database) -> None:
        await migrate(admin)
        for mode in MODES:
            await grant(admin, f"{database.name}_{mode}", mode)

    database.with_database(make, "admin")
    return database


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> LedgerDatabase:
    ledger_database.empty()
    return ledger_database
