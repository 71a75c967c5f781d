"""Keys in a real PostgreSQL: issued, rotated and revoked by command, and looked up by the gateway's database user."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge import keys
from edge.callers import postgres as lookups
from edge.callers.postgres import PostgresKeys
from edge.callers.store import CallersUnreadable, digest_of, id_of
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown, connection
from edge.database.migrations import STEPS
from tests.edge.certificates import Authority
from tests.edge.postgres import ADMIN_PASSWORD, Door, Postgres
from tests.edge.processes import ROOT

NAME, GATEWAY_PASSWORD = "keys", "gateway-s3cret"
WORKLOAD = ["--workload", "claims", "--class", "restricted"]


@dataclass
class Desk:
    """The database where keys are issued, and a gateway's access to it."""

    postgres: Postgres
    folder: Path

    def file(self, stem: str, **changes: Any) -> Path:
        path = self.folder / f"{stem}.yaml"
        YAML().dump({**self.postgres.administrator(NAME), **changes}, path)
        return path

    def run(self, *arguments: str) -> int:
        return keys.main(["--database", str(self.file("admin")), *arguments])

    def gateway(self, **changes: Any) -> Database:
        (self.folder / "gateway-password").write_text(GATEWAY_PASSWORD)
        login = {"user": "gateway", "password": self.folder / "gateway-password"}
        return Database(DatabaseConfig(**{**self.postgres.administrator(NAME), **login, **changes}))


@pytest.fixture(scope="module")
def tables(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    postgres.ask(f"CREATE DATABASE {NAME}")
    postgres.ask(f"CREATE ROLE gateway LOGIN PASSWORD '{GATEWAY_PASSWORD}'")
    desk = Desk(postgres, tmp_path_factory.mktemp("keys"))
    assert desk.run("migrate", "--gateway-user", "gateway") == 0
    return desk


@pytest.fixture
def desk(tables: Desk, capsys: pytest.CaptureFixture[str]) -> Desk:
    tables.postgres.ask("TRUNCATE isthmus.keys", NAME)
    capsys.readouterr()
    return tables


def issued(desk: Desk, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert desk.run(*(arguments or ("issue", *WORKLOAD))) == 0
    return capsys.readouterr().out.strip()


def find_keys(desk: Desk, *keys_to_find: str, **changes: Any) -> list[Any]:
    """Each key, looked up with a gateway's database user."""

    async def ask() -> list[Any]:
        database = desk.gateway(**changes)
        try:
            store = PostgresKeys(database)
            return [await store.find(key) for key in keys_to_find]
        finally:
            await database.close()

    return asyncio.run(ask())


def test_a_key_is_printed_once_and_only_its_digest_is_stored(desk: Desk, capsys: pytest.CaptureFixture[str]):
    key = issued(desk, capsys)
    (row,) = desk.postgres.ask("SELECT * FROM isthmus.keys", NAME)
    assert row["digest"] == digest_of(key)
    assert key not in str(dict(row))
    (found_key,) = find_keys(desk, key)
    assert (found_key.id, found_key.workload, found_key.data_class) == (
        id_of(digest_of(key)),
        "claims",
        "restricted",
    )
    assert not found_key.revoked
    assert found_key.left_s is None
    assert len({issued(desk, capsys) for _ in range(3)} | {key}) == 4


def test_after_a_rotation_both_keys_are_valid_until_the_old_one_expires(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    old = issued(desk, capsys)
    new = issued(desk, capsys, "rotate", *WORKLOAD, "--overlap-h", "2")
    first, second = find_keys(desk, old, new)
    assert 7190 < first.left_s <= 7200
    assert second.left_s is None
    assert (
        find_keys(desk, issued(desk, capsys, "rotate", *WORKLOAD, "--overlap-h", "0"), new, old)[1].left_s
        <= 0
    )
    assert find_keys(desk, old)[0].left_s <= 0, "a rotation must not make an older key live longer"


def test_a_revoked_key_is_recognised_and_an_unknown_id_exits_1(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    key = issued(desk, capsys)
    assert desk.run("revoke", id_of(digest_of(key))) == 0
    assert "within 5 s" in capsys.readouterr().err
    assert find_keys(desk, key)[0].revoked
    assert desk.run("revoke", "0" * 12) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_of_keys_shows_states_and_no_digests(desk: Desk, capsys: pytest.CaptureFixture[str]):
    valid_key, gone = issued(desk, capsys), issued(desk, capsys, "issue", *WORKLOAD, "--days", "30")
    desk.run("revoke", id_of(digest_of(gone)))
    capsys.readouterr()
    assert desk.run("list") == 0
    text = capsys.readouterr().out
    states = {line["id"]: line["state"] for line in map(json.loads, text.splitlines())}
    assert states == {id_of(digest_of(valid_key)): "valid", id_of(digest_of(gone)): "revoked"}
    assert digest_of(valid_key).hex() not in text


def test_migrating_again_or_concurrently_applies_every_step_once(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    assert desk.run("migrate") == 0
    assert "nothing to do" in capsys.readouterr().err
    desk.postgres.ask("CREATE DATABASE twice")

    async def migrate_both() -> list[list[int]]:
        databases = [Database(DatabaseConfig(**desk.postgres.administrator("twice"))) for _ in range(2)]
        try:
            return await asyncio.gather(*(keys.migrate(database) for database in databases))
        finally:
            for database in databases:
                await database.close()

    assert sorted(asyncio.run(migrate_both())) == [[], list(range(1, len(STEPS) + 1))]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO isthmus.keys (digest, workload, class) VALUES (decode(repeat('00', 32), 'hex'), 'x', 'public')",
        "UPDATE isthmus.keys SET revoked_at = NULL",
        "DELETE FROM isthmus.used",
        "DELETE FROM isthmus.accounts",
        "CREATE TABLE isthmus.more (x int)",
    ],
)
def test_the_gateways_database_user_can_neither_issue_nor_delete_keys(desk: Desk, statement: str):
    async def attempt() -> None:
        database = desk.gateway()
        try:
            await database.fetch(statement)
        finally:
            await database.close()

    with pytest.raises(DatabaseDown, match="InsufficientPrivilegeError"):
        asyncio.run(attempt())


def test_an_unreachable_database_exits_3_without_showing_a_secret(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    (desk.folder / "wrong").write_text("not-the-password")
    for changes in ({"port": 1}, {"password": str(desk.folder / "wrong")}, {"name": "elsewhere"}):
        file = desk.file("away", **changes)
        assert keys.main(["--database", str(file), "list"]) == 3
        errors = capsys.readouterr().err
        assert errors.startswith(f"edge.keys: {file}: ")
        assert errors.count("\n") == 1
        assert ADMIN_PASSWORD not in errors
    desk.postgres.ask("CREATE DATABASE empty")
    assert keys.main(["--database", str(desk.file("empty", name="empty")), "list"]) == 3
    assert "run `python -m edge.keys migrate`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hots": "x"}, "hots"),
        ({"host": "db.isthmus-restricted.svc"}, "ca is needed"),
        ({"password": None}, "password is needed"),
        ({"port": "many"}, "port"),
    ],
)
def test_an_invalid_database_file_exits_2_and_names_the_key(
    desk: Desk, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
):
    assert keys.main(["--database", str(desk.file("wrong", **changes)), "list"]) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_only_a_database_with_the_stated_authority_and_name_is_used(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    key = issued(desk, capsys)
    authority, other_authority = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "other-ca")
    door = Door(desk.postgres, *authority.issue("db", "db.svc"))
    try:
        right = {"host": "127.0.0.1", "port": door.port, "ca": authority.path}
        assert find_keys(desk, key, **right)[0].workload == "claims"
        for wrong in ({"ca": other_authority.path}, {"host": "localhost"}):
            with pytest.raises(CallersUnreadable):
                find_keys(desk, key, **{**right, **wrong})
        door.shut()
        with pytest.raises(CallersUnreadable):
            find_keys(desk, key, **right)
    finally:
        door.close()


def test_after_a_restart_of_the_database_at_most_one_request_fails(desk: Desk):
    async def use() -> list[str]:
        database, outcomes = desk.gateway(), []
        try:
            await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(6)))
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'"
            await asyncio.to_thread(desk.postgres.ask, cut)
            for _ in range(10):
                try:
                    await database.fetch("SELECT 1")
                    outcomes.append("ok")
                except DatabaseDown:
                    outcomes.append("down")
            return outcomes
        finally:
            await database.close()

    assert asyncio.run(use()).count("down") <= 1


def test_requests_waiting_for_a_hanging_database_fail_quickly(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.3)

    async def use() -> float:
        database = desk.gateway()
        try:
            await database.fetch("SELECT 1")
            began = time.monotonic()
            slow = [database.fetch("SELECT pg_sleep(5)") for _ in range(40)]
            answers = await asyncio.gather(*slow, return_exceptions=True)
            assert {type(answer) for answer in answers} == {DatabaseDown}
            return time.monotonic() - began
        finally:
            await database.close()

    assert asyncio.run(use()) < 2


def test_the_documented_key_commands_work(desk: Desk, capsys: pytest.CaptureFixture[str]):
    text = (ROOT / "docs" / "edge.md").read_text()
    shown = [line.split("#")[0] for line in text.splitlines() if line.startswith("    python -m edge.keys")]
    assert len(shown) == 9
    key = "0" * 12
    for line in shown:
        arguments = (
            line.replace("[", "").replace("]", "").replace(" W", " claims").replace(" C", " restricted")
        )
        values = (
            arguments.replace("FILE", str(desk.file("admin")))
            .replace("KEY-ID", key)
            .replace("days N", "days 9")
        )
        assert keys.main(values.split()[3:]) == 0, line
        printed = capsys.readouterr().out.strip()
        key = id_of(digest_of(printed)) if printed.startswith("isk_") else key


class Counting(Database):
    asked = 0

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        self.asked += 1
        return await super().fetch(statement, *values)


def test_key_lookups_are_cached_for_five_seconds_and_malformed_keys_are_never_looked_up(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    key = issued(desk, capsys)
    unknown = keys.PREFIX + "x" * 43
    now = [1000.0]
    monkeypatch.setattr(lookups.time, "monotonic", lambda: now[0])

    async def use() -> list[int]:
        database = Counting(DatabaseConfig(**desk.postgres.administrator(NAME)))
        store, results = PostgresKeys(database), []
        try:
            for wait, expected in (
                (0, key),
                (4.9, key),
                (0.2, key),
                (0, unknown),
                (0.9, unknown),
                (0.2, unknown),
            ):
                now[0] += wait
                await store.find(expected)
                results.append(database.asked)
            assert [
                await store.find(key_text) for key_text in ("", "isk_short", key + "x", "isk_" + "é" * 43)
            ] == [None] * 4
            results.append(database.asked)
            now[0] += 10
            assert (
                len(
                    {
                        record.id
                        for record in await asyncio.gather(*(store.find(key) for _ in range(50)))
                        if record
                    }
                )
                == 1
            )
            results.append(database.asked)
            monkeypatch.setattr(lookups, "MAX_CACHED", 3)
            for number in range(10):
                await store.find(f"{keys.PREFIX}{number:043d}")
            assert len(store._kept) == 3
            return results
        finally:
            await database.close()

    assert asyncio.run(use()) == [1, 1, 2, 3, 3, 4, 4, 5]


def test_a_gateway_reports_a_missing_database_migration(desk: Desk):
    async def problem() -> str | None:
        database = desk.gateway()
        try:
            return await PostgresKeys(database).problem()
        finally:
            await database.close()

    assert asyncio.run(problem()) is None
    desk.postgres.ask(
        "DELETE FROM isthmus.migrations WHERE number = (SELECT max(number) FROM isthmus.migrations)", NAME
    )
    try:
        assert "python -m edge.keys migrate" in (asyncio.run(problem()) or "")
    finally:
        desk.postgres.ask(
            "INSERT INTO isthmus.migrations (number) SELECT max(number) + 1 FROM isthmus.migrations", NAME
        )
