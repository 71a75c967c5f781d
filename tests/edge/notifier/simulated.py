"""Held answers, a review desk and a notifier on a real PostgreSQL, at times that the test sets.

Only the owner of `isthmus.now()` can replace it. Here the administrator does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edge.audit.content import Hmacs
from edge.config import NotifierConfig, Reviews, ReviewsConfig
from edge.config.database import DatabaseConfig
from edge.database import Database
from edge.database.migrations import GRANTS, grant, migrate
from edge.notifier.process import Notifier
from edge.review_domains import ReviewDomain
from edge.reviews.decisions import ReviewDesk
from edge.reviews.held_store import HeldAnswerStore, NewHeldAnswer
from tests.edge.audit.audited import WRAPPING_KEY
from tests.edge.mail_relay import MailRelay
from tests.edge.postgres import Postgres

CLOCK = """
CREATE TABLE isthmus.clock (at timestamptz NOT NULL);
INSERT INTO isthmus.clock VALUES (clock_timestamp());
CREATE OR REPLACE FUNCTION isthmus.now() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER
    AS 'SELECT at FROM isthmus.clock';
"""


class Recorder:
    """Takes the place of the audit log."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.hmacs = Hmacs(b"site-key")

    async def review(self, record: dict[str, Any]) -> None:
        self.records.append(record)


@dataclass
class Simulated:
    """The three processes' parts, each with its own database user."""

    postgres: Postgres
    name: str
    folder: Path
    domains: list[dict[str, Any]]
    relay: MailRelay
    loop: asyncio.AbstractEventLoop
    recorder: Recorder = field(default_factory=Recorder)
    made: int = 0

    def __post_init__(self) -> None:
        (self.folder / "wrapping.key").write_text(WRAPPING_KEY)
        (self.folder / "keys").mkdir()
        domains = [ReviewDomain.model_validate(domain) for domain in self.domains]
        self.databases = {mode: Database(self.database_config(mode)) for mode in ("gateway", "reviews")}
        keys, wrapping_key = self.folder / "keys", self.folder / "wrapping.key"
        settings = Reviews(keys=keys, wrapping_key=wrapping_key, keep_days=30, domains=domains)
        self.store = HeldAnswerStore(self.databases["gateway"], settings, "confidential", "fra1")
        desk_config = ReviewsConfig.model_construct(
            data_class="confidential", site="fra1", held=settings, domains=domains, claim_s=900
        )
        self.desk = ReviewDesk(desk_config, self.databases["reviews"], self.recorder)  # pyright: ignore[reportArgumentType]
        self.notifier = Notifier(NotifierConfig.model_validate(self.notifier_config()))

    def database_config(self, mode: str) -> DatabaseConfig:
        return DatabaseConfig(**self.database_section(mode))

    def database_section(self, mode: str) -> dict[str, Any]:
        password = self.folder / f"{mode}-password"
        password.write_text(mode)
        login = {"user": f"{self.name}_{mode}", "password": str(password)}
        return {**self.postgres.administrator(self.name), **login}

    def notifier_config(self, **changes: Any) -> dict[str, Any]:
        mail = {
            **{"relay": "127.0.0.1", "port": self.relay.port, "tls": "none"},
            **{"sender": "isthmus@bank.example", "to": ["desk@bank.example"]},
        }
        return {
            "mode": "notifier",
            "class": "confidential",
            "site": "fra1",
            "health": {"host": "127.0.0.1", "port": 9090},
            "database": self.database_section("notifier"),
            "link": "https://desk.bank.example/",
            "targets": [{"name": "desk", "mail": mail}],
            "default": ["desk"],
            "gather_s": 0,
            **changes,
        }

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def sql(self, statement: str) -> list[Any]:
        return self.postgres.ask(statement, self.name)

    def set_time(self, now: datetime) -> None:
        self.run(self.databases["admin"].fetch("UPDATE isthmus.clock SET at = $1", now))

    def hold(self, domain: str | None, **more: Any) -> str:
        """An answer arrives. Returns its id."""
        self.made += 1
        answer = NewHeldAnswer(
            f"{self.made:032x}", "w", domain, "t", f"u{self.made}", [], ["impact"], None, **more
        )
        self.run(self.store.put(answer, b"line"))
        return answer.id

    def act(self, answer_id: str, *acts: str) -> None:
        """A senior acts on an answer."""
        for act in acts:
            statement = (
                "SELECT outcome FROM isthmus.review_act_by_plan($1, $2, 'senior', '{}', true,"
                " (SELECT version FROM isthmus.held WHERE id = $1), 'r', NULL, NULL, 'v', 900, $3)"
            )
            now = self.run(self.databases["reviews"].fetch("SELECT isthmus.now()"))[0]["now"]
            plans = self.desk._deadlines.plans(now)
            (row,) = self.run(self.databases["reviews"].fetch(statement, answer_id, act, plans))
            assert row["outcome"] == "done"

    def tick(self) -> None:
        """Do what the review service and the notifier do every second."""
        self.run(self.desk.announce())
        self.run(self.desk.remind())
        self.run(self.desk.overdue())
        self.run(self.notifier.turn())

    def outbox(self) -> list[tuple[datetime, str, str, str, int]]:
        rows = self.sql("SELECT at, kind, domain, addressee, answers FROM isthmus.outbox ORDER BY number")
        return [tuple(row.values()) for row in rows]

    def pass_time(self, start: datetime, end: datetime, step: timedelta) -> None:
        """Set the clock and tick, from `start` to `end`."""
        now = start
        while now <= end:
            self.set_time(now)
            self.tick()
            now += step


@contextmanager
def simulated(
    postgres: Postgres, folder: Path, name: str, domains: list[dict[str, Any]]
) -> Iterator[Simulated]:
    """A database of its own with a clock that the test sets, and a mail relay."""
    postgres.ask(f"CREATE DATABASE {name}")
    for mode in GRANTS:
        postgres.ask(f"CREATE ROLE {name}_{mode} LOGIN PASSWORD '{mode}'")
    loop = asyncio.new_event_loop()
    admin = Database(DatabaseConfig(**postgres.administrator(name)))

    async def make() -> None:
        await migrate(admin)
        for mode in GRANTS:
            await grant(admin, f"{name}_{mode}", mode)
        await admin.transaction(lambda connection: connection.execute(CLOCK))

    relay = MailRelay()
    loop.run_until_complete(make())
    site = Simulated(postgres, name, folder, domains, relay, loop)
    site.databases["admin"] = admin
    try:
        yield site
    finally:
        relay.close()
        for database in site.databases.values():
            loop.run_until_complete(database.close())
        loop.run_until_complete(site.notifier.close())
        loop.close()
