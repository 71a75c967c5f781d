"""Conversations in the chat's database: expiry, legal holds and erasure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from edge.audit.records import canonical
from edge.audit.seal_format import LATEST
from edge.chats import histories
from edge.chats.histories import Histories
from edge.config.chat import History
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown
from tests.edge.conversations import conversations
from tests.edge.postgres import Postgres

T = TypeVar("T")
DAY = 86400


class Kept:
    """A database with conversations of people."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres, self.settings = postgres, conversations(postgres)
        self.name = str(self.settings["name"])

    def add(self, chat: str, person: str, days_ago: float) -> None:
        at = int(time.time() - days_ago * DAY)
        for table, values in (
            ('"user"', (person, f"{person}@bank.example")),
            ("chat", (chat, person, at, "A title")),
            ("chat_message", (f"{chat}-1", chat, "Words")),
        ):
            self.sql(f"INSERT INTO {table} VALUES {values} ON CONFLICT DO NOTHING")  # noqa: S608 (ours alone)

    def sql(self, statement: str) -> list[Any]:
        return self.postgres.ask(statement, self.name)

    @property
    def chats(self) -> list[str]:
        return [row["id"] for row in self.sql("SELECT id FROM chat ORDER BY id")]

    def run(self, work: Callable[[Database], Awaitable[T]]) -> T:
        async def once() -> T:
            database = Database(DatabaseConfig(**self.settings))
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(once())

    def sweep(self, days: int) -> None:
        async def once() -> None:
            kept = Histories(History(days=days, database=DatabaseConfig(**self.settings)))
            await kept.sweep()
            await kept.close()

        self.run(histories.prepare)
        asyncio.run(once())


@pytest.fixture
def kept(postgres: Postgres) -> Kept:
    return Kept(postgres)


def test_a_conversation_is_deleted_when_its_last_message_is_older_than_it_is_kept(kept: Kept):
    kept.add("old", "clara", 31)
    kept.add("new", "clara", 29)
    kept.sweep(30)
    assert kept.chats == ["new"]
    assert kept.sql("SELECT chat_id FROM chat_message")[0]["chat_id"] == "new"


def test_nothing_is_kept_where_no_days_are(kept: Kept):
    kept.add("now", "clara", 0.1)
    kept.sweep(0)
    assert kept.chats == []


def test_a_conversation_whose_person_is_gone_expires_too(kept: Kept):
    kept.add("old", "clara", 31)
    kept.sql('DELETE FROM "user"')
    kept.sweep(30)
    assert kept.chats == []


def test_what_is_held_neither_expires_nor_is_deleted_by_anybody(kept: Kept):
    for person in ("clara", "dirk"):
        kept.add(person, person, 31)
    kept.run(lambda database: histories.hold(database, "Clara@bank.example", "legal", "case 7"))
    kept.sweep(30)
    assert kept.chats == ["clara"]
    assert kept.run(lambda database: histories.is_held(database, "clara@bank.example"))
    with pytest.raises(Exception, match="legal hold"):
        kept.sql("DELETE FROM chat WHERE id = 'clara'")
    with pytest.raises(DatabaseDown):
        kept.run(lambda database: histories.erase(database, "clara@bank.example"))
    assert kept.run(lambda database: histories.release(database, "clara@bank.example"))
    assert kept.run(lambda database: histories.erase(database, "CLARA@bank.example")) == 1
    assert kept.chats == []


def test_a_hold_of_everybody_holds_everybody(kept: Kept):
    kept.add("old", "clara", 31)
    kept.run(lambda database: histories.hold(database, "all", "legal", "case 8"))
    kept.sweep(30)
    assert kept.chats == ["old"]
    assert not kept.run(lambda database: histories.release(database, "clara@bank.example"))


def test_erasing_a_person_leaves_the_others(kept: Kept):
    for person in ("clara", "dirk"):
        kept.add(person, person, 1)
    kept.run(histories.prepare)
    assert kept.run(lambda database: histories.erase(database, "dirk@bank.example")) == 1
    assert kept.chats == ["clara"]


def test_before_open_webui_has_its_tables_nothing_is_ready(postgres: Postgres):
    postgres.ask("CREATE DATABASE chat_empty")

    async def once() -> None:
        await histories.prepare(Database(DatabaseConfig(**postgres.administrator("chat_empty"))))

    with pytest.raises(DatabaseDown):
        asyncio.run(once())


@pytest.fixture
def ordered(kept: Kept, tmp_path: Path) -> Callable[..., Any]:
    """`isthmus audit COMMAND` for clara, with the chat's database."""
    from isthmus.cli.audit_commands import app

    for folder in ("keys", "volume/records", "volume/seals"):
        (tmp_path / folder).mkdir(parents=True)
    seal = {"body": {"class": "confidential", "site": "fra1"}}
    (tmp_path / "volume" / "seals" / LATEST).write_bytes(canonical(seal) + b"\n")
    (tmp_path / "site.key").write_text("ab" * 32)
    file = tmp_path / "chat.yaml"
    YAML().dump(kept.settings, file)

    def run(command: str, *more: str, user: str = "clara@bank.example") -> Any:
        options = ["--keys", str(tmp_path / "keys"), "--volume", str(tmp_path / "volume"), "--by", "legal"]
        whose = ["--user", user, "--site-key", str(tmp_path / "site.key")]
        return CliRunner().invoke(app, [command, *options, *whose, "--chats", str(file), *more])

    return run


def test_audit_holds_and_erases_conversations_with_everything_else(kept: Kept, ordered: Callable[..., Any]):
    kept.add("one", "clara", 1)
    kept.add("two", "dirk", 1)
    assert ordered("hold", "--reason", "case 7").exit_code == 0
    refused = ordered("erase")
    assert refused.exit_code != 0
    assert kept.chats == ["one", "two"]
    assert ordered("release").exit_code == 0
    erased = ordered("erase")
    assert erased.exit_code == 0, erased.output
    assert "1 conversations are deleted" in erased.output
    assert kept.chats == ["two"]
