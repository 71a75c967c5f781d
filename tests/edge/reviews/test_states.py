"""States of a held answer in a real PostgreSQL compared with a model of the rules, and who may change them."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge.config import Reviews
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown
from edge.database.migrations import grant, migrate
from edge.reviews.held_store import HeldAnswerStore, NewHeldAnswer
from tests.edge.postgres import ADMIN, ADMIN_PASSWORD, Postgres

NAME = "states"
PEOPLE = {"anna": False, "bert": True, "cara": True, "dave": True}
"""Reviewers, and whether they are senior. Dave sent the request."""
ACTS = ("claim", "release", "approve", "correct", "reject", "escalate")
FINAL = ("approved", "rejected", "expired")


@pytest.fixture(scope="module")
def tables(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    postgres.ask(f"CREATE DATABASE {NAME}")
    for role in ("gateway", "reviews"):
        postgres.ask(f"CREATE ROLE {NAME}_{role} LOGIN PASSWORD '{role}'")

    async def make() -> None:
        database = Database(DatabaseConfig(**postgres.administrator(NAME)))
        try:
            await migrate(database)
            for mode in ("gateway", "reviews"):
                await grant(database, f"{NAME}_{mode}", mode)
        finally:
            await database.close()

    asyncio.run(make())
    return postgres


@dataclass
class Account:
    """The expected state of one answer by the rules."""

    state: str = "held"
    version: int = 0
    edition: int = 0
    voted: set[str] = field(default_factory=set)
    claimed: str = ""
    overdue: bool = False

    def act(self, act: str, person: str, version: int) -> str:
        """Apply an act to the expected state. Returns the expected result."""
        refused = self._refused(act, person, version)
        if refused:
            return refused
        self.version += 1
        self.claimed = person if act == "claim" else ""
        if act in ("correct", "escalate"):
            self.edition, self.voted = self.edition + 1, set()
        if act in ("approve", "correct"):
            self.voted.add(person)
        if len(self.voted) == 2:
            self.state = "approved"
        elif act in ("reject", "escalate"):
            self.state = {"reject": "rejected", "escalate": "escalated"}[act]
        return "done"

    def _refused(self, act: str, person: str, version: int) -> str:
        if self.state in FINAL:
            return "decided"
        if self.overdue:
            return "overdue"
        if person == "dave":
            return "own"
        if self.state == "escalated" and not PEOPLE[person]:
            return "not_senior"
        if self.claimed not in ("", person):
            return "claimed"
        if version != self.version:
            return "changed"
        if act == "claim":
            return ""
        if self.claimed != person:
            return "unclaimed"
        if act == "escalate" and self.state == "escalated":
            return "escalated"
        return "already" if act == "approve" and person in self.voted else ""

    def time_passes(self) -> None:
        """Move the expected state after its deadline."""
        if self.overdue:
            self.overdue, self.claimed, self.version = False, "", self.version + 1
            if self.state == "held":
                self.state, self.edition, self.voted = "escalated", self.edition + 1, set()
            else:
                self.state = "expired"


class States(RuleBasedStateMachine):
    """A state machine for one answer of a class with two approvers."""

    postgres: ClassVar[Postgres]
    ids: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.connection: Any = self.loop.run_until_complete(
            asyncpg.connect(
                host="127.0.0.1",
                port=self.postgres.port,
                user=ADMIN,
                password=ADMIN_PASSWORD,
                database=NAME,
            )
        )
        self.id, self.account = f"{next(self.ids):032x}", Account()
        self.ask(
            "INSERT INTO isthmus.held (id, class, site, workload, task, subject, not_by, why, approvers, content,"
            " decide_by, escalated_for, delete_at) VALUES ($1, 'restricted', 's', 'w', 't', 'u', '{dave}', '{impact}',"
            " 2, 'x', now() + interval '1 h', '1 h', now() + interval '1 day')",
            self.id,
        )

    def ask(self, statement: str, *values: Any) -> list[Any]:
        return self.loop.run_until_complete(self.connection.fetch(statement, *values))

    @rule(
        act=st.sampled_from(ACTS),
        person=st.sampled_from(sorted(PEOPLE)),
        behind=st.sampled_from([0, 0, 0, 1, -1]),
    )
    def somebody_acts(self, act: str, person: str, behind: int) -> None:
        version = self.account.version - behind
        expected = self.account.act(act, person, version)
        (row,) = self.ask(
            "SELECT * FROM isthmus.review_act($1, $2, $3, '{}', $4, $5, 'r', NULL, $6, 'v', 60)",
            *(self.id, act, person, PEOPLE[person], version, b"c" if act == "correct" else None),
        )
        assert row["outcome"] == expected
        assert (row["state"], row["version"], row["edition"]) == (
            self.account.state,
            self.account.version,
            self.account.edition,
        )

    @rule(act=st.sampled_from(ACTS), person=st.sampled_from(["anna", "bert", "cara"]))
    def somebody_claims_and_acts(self, act: str, person: str) -> None:
        self.somebody_acts("claim", person, 0)
        self.somebody_acts(act, person, 0)

    @rule()
    def a_claim_lapses(self) -> None:
        self.ask("UPDATE isthmus.held SET claimed_until = now() - interval '1 s' WHERE id = $1", self.id)
        self.account.claimed = ""

    @rule()
    def its_time_is_over(self) -> None:
        if self.account.state not in FINAL:
            self.ask("UPDATE isthmus.held SET decide_by = now() WHERE id = $1", self.id)
            self.account.overdue = True

    @rule()
    def time_is_looked_at(self) -> None:
        moved = self.ask("SELECT * FROM isthmus.review_overdue('restricted', 's', 10)")
        assert [row["id"] for row in moved] == ([self.id] if self.account.overdue else [])
        self.account.time_passes()

    @invariant()
    def the_row_is_as_the_account_says(self) -> None:
        (row,) = self.ask(
            "SELECT h.*, ARRAY(SELECT by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition))"
            " AS voted, (SELECT count(*) FROM isthmus.review_acts a WHERE a.id = h.id) AS acts"
            " FROM isthmus.held h WHERE id = $1",
            self.id,
        )
        account = self.account
        assert (row["state"], row["version"], row["edition"]) == (
            account.state,
            account.version,
            account.edition,
        )
        assert set(row["voted"]) == account.voted
        assert row["acts"] == row["version"], "an act without its line, or a line without its act"
        assert (row["state"] == "approved") == (len(row["voted"]) == 2)
        assert "dave" not in row["voted"]
        assert (row["decided_at"] is not None) == (row["state"] in FINAL)

    def teardown(self) -> None:
        self.ask("DELETE FROM isthmus.held WHERE id = $1", self.id)
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()


def test_under_any_sequence_of_decisions_and_deadlines_the_database_follows_the_rules(tables: Postgres):
    States.postgres = tables
    examples = max(5, settings().max_examples // 5)
    run_state_machine_as_test(
        States, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )


def as_role(tables: Postgres, folder: Path, role: str, *statements: str) -> list[str]:
    """PostgreSQL's result for each statement of a role: `ok`, or the error's name."""
    (folder / role).write_text(role)
    login = {"user": f"{NAME}_{role}", "password": folder / role}

    async def ask() -> list[str]:
        database, results = Database(DatabaseConfig(**{**tables.administrator(NAME), **login})), []
        try:
            for statement in statements:
                try:
                    await database.fetch(statement)
                    results.append("ok")
                except DatabaseDown as error:
                    results.append(str(error))
        finally:
            await database.close()
        return results

    return asyncio.run(ask())


PUT = (
    "INSERT INTO isthmus.held (id, class, site, workload, task, subject, not_by, why, approvers, content, decide_by,"
    " escalated_for, delete_at{more}) VALUES (md5(random()::text), 'restricted', 's', 'w', 't', 'u', '{{}}',"
    " '{{impact}}', 2, 'x', now() + interval '1 h', '1 h', now() + interval '1 day'{value})"
)
ROW = "SELECT *, delete_at - decided_at AS left FROM isthmus.held WHERE id = '{id}'"
END = "UPDATE isthmus.held SET delete_at = now() WHERE id = '{id}'"
LEFT = "SELECT FROM isthmus.review_acts WHERE id = '{id}'"
ACT = "SELECT isthmus.review_act('{id}', '{act}', 'x', '{{}}', true, {version}, 'r', NULL, NULL, NULL, 9)"


def test_the_gateways_database_user_can_insert_and_read_but_not_approve(tables: Postgres, tmp_path: Path):
    results = as_role(
        tables,
        tmp_path,
        "gateway",
        PUT.format(more="", value=""),
        "SELECT * FROM isthmus.held",
        PUT.format(more=", state", value=", 'approved'"),
        "UPDATE isthmus.held SET state = 'approved'",
        "DELETE FROM isthmus.held",
        "INSERT INTO isthmus.review_votes VALUES ('x', 0, 'gateway', 'x')",
        ACT.format(id="0" * 32, act="claim", version=0),
        "SELECT isthmus.review_overdue('restricted', 's', 1)",
        "SELECT isthmus.review_sweep('restricted', 's', '{}', 1)",
        "SELECT * FROM isthmus.reviewer_keys",
    )
    assert results == ["ok", "ok", *["InsufficientPrivilegeError"] * 8]


def test_the_review_services_database_user_decides_only_through_functions(tables: Postgres, tmp_path: Path):
    results = as_role(
        tables,
        tmp_path,
        "reviews",
        ACT.format(id="0" * 32, act="claim", version=0),
        "SELECT * FROM isthmus.held, isthmus.review_votes, isthmus.review_acts, isthmus.reviewer_keys",
        PUT.format(more="", value=""),
        "UPDATE isthmus.held SET state = 'approved'",
        "INSERT INTO isthmus.review_votes VALUES ('x', 0, 'reviews', 'x')",
        "DELETE FROM isthmus.review_acts",
        "INSERT INTO isthmus.reviewer_keys (digest, reviewer, class) VALUES (sha256('x'), 'x', 'restricted')",
        "SELECT * FROM isthmus.keys",
    )
    assert results == ["ok", "ok", *["InsufficientPrivilegeError"] * 6]


def test_a_held_answer_gets_the_times_of_its_class_and_is_deleted_after_them(tables: Postgres):
    async def put(data_class: Any, keep_days: int) -> None:
        database = Database(DatabaseConfig(**tables.administrator(NAME)))
        reviews = Reviews(
            keys=Path("/k"),
            wrapping_key=Path("/w"),
            keep_days=keep_days,
            decide_h=1,
            escalated_h=2,
        )
        try:
            shelf = HeldAnswerStore(database, reviews, data_class, "s")
            name = {"internal": "e" * 32, "restricted": "f" * 32}[data_class]
            await shelf.put(
                NewHeldAnswer(name, "w", None, "t", f"u-{data_class}", [], ["impact"], None), b"line"
            )
        finally:
            await database.close()

    for data_class, days in (("internal", 7), ("restricted", 90)):
        asyncio.run(put(data_class, days))
        name = {"internal": "e", "restricted": "f"}[data_class] * 32
        (row,) = tables.ask(ROW.format(id=name), NAME)
        assert (row["decide_by"] - row["held_at"]).total_seconds() == pytest.approx(3600, abs=5)
        assert (row["delete_at"] - row["held_at"]).days in (days - 1, days)
        for version, act in enumerate(("claim", "reject")):
            tables.ask(ACT.format(id=name, act=act, version=version), NAME)
        (row,) = tables.ask(ROW.format(id=name), NAME)
        assert row["state"] == "rejected"
        assert row["left"].days in ((1,) if data_class == "internal" else (89,))
        sweep = f"SELECT isthmus.review_sweep('{data_class}', 's', '{{%s}}', 10) AS gone"
        assert tables.ask(sweep % "", NAME)[0]["gone"] == 0
        tables.ask(END.format(id=name), NAME)
        assert tables.ask(sweep % f"u-{data_class}", NAME)[0]["gone"] == 0, "a legal hold keeps it"
        assert tables.ask(sweep % "", NAME)[0]["gone"] == 1
        assert tables.ask(LEFT.format(id=name), NAME) == []
