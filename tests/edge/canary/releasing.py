"""A workload whose canary is released in steps: two models, gateways and people who may move the release."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge import ssh_signatures
from edge.audit.chain_files import record_files
from edge.canary import release_acts
from edge.canary.move import APPROVAL, NAMESPACE, Act, Move
from edge.canary.stops import CanaryName
from edge.config.database import DatabaseConfig
from edge.database import Database
from edge.openai_api import Refusal
from tests.edge.audit.audited import settings
from tests.edge.audit.harness import AuditSite
from tests.edge.counted import Counted, GatewayDatabase, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import sealing

WORKLOAD, PLACE = "claims", ("restricted", "fra1")
STEPS = (10.0, 50.0, 100.0)
SOON_S = 3.0
"""Seconds until every copy knows: one reading each second, and time for a busy machine."""
_questions = itertools.count()


@dataclass
class Person:
    """Somebody with a database user and a signing key of their own."""

    database: GatewayDatabase
    user: str
    key: bytes = field(
        default_factory=lambda: Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        )
    )

    @property
    def public_key(self) -> str:
        return f"{ssh_signatures.public_key_of(self.key)} {self.user}"

    def settings(self) -> dict[str, Any]:
        """Section `database` of a file of this person's own."""
        password = self.database.folder / f"{self.user}-password"
        password.write_text("operator-s3cret\n")
        access = self.database.postgres.administrator(self.database.database)
        return {**access, "user": self.user, "password": str(password)}

    def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do something in a transaction as this person's user."""

        async def once() -> Any:
            database = Database(DatabaseConfig.model_validate(self.settings()))
            try:
                return await database.transaction(work)
            finally:
                await database.close()

        return asyncio.run(once())

    def moves(self, workload: str = WORKLOAD) -> release_acts.Moves:
        return self.run(lambda connection: release_acts.read(connection, PLACE, workload))

    def sign(self, move: Move) -> str:
        return ssh_signatures.sign(move.text(), NAMESPACE, self.key)

    def make(self, move: Move, signature: str | None = None) -> None:
        """Make this very move. Raises Refusal."""
        signature = self.sign(move) if signature is None else signature
        self.run(lambda connection: release_acts.make(connection, move, signature))

    def propose(self, act: Act, release: str) -> Move:
        """Propose a move of `WORKLOAD` that another person approves. Raises Refusal."""
        move = self.moves().following(CanaryName(WORKLOAD, WORKLOAD, release), act, STEPS, "test")
        self.run(lambda connection: release_acts.propose(connection, move, self.sign(move)))
        return move

    def approve(self, move: Move) -> None:
        """Approve what another person has proposed. Raises Refusal."""
        approval = ssh_signatures.sign(move.text(), APPROVAL, self.key)
        self.run(lambda connection: release_acts.approve(connection, move, approval))

    def move(self, act: Act, release: str) -> None:
        """Move a release of `WORKLOAD`. Raises Refusal."""
        self.move_of(WORKLOAD, act, release)

    def move_of(self, workload: str, act: Act, release: str) -> None:
        """Move a release. Raises Refusal."""
        name = CanaryName(workload, workload, release)
        self.make(self.moves(workload).following(name, act, STEPS, "test"))


def person(database: GatewayDatabase, postgres: Postgres, name: str) -> Person:
    """Create somebody with a database user."""
    user = f"{database.database}_{name}"
    postgres.ask(f"CREATE ROLE {user} LOGIN PASSWORD 'operator-s3cret'")
    database.keys("migrate", "--operators-user", user)
    return Person(database, user)


@dataclass
class Site:
    """The version in use, its canary, and copies of the gateway."""

    made: Counted
    audit_site: AuditSite
    ann: Person
    key: str
    workload: str = WORKLOAD

    def start(
        self,
        release: str = "second",
        steps: tuple[float, ...] = STEPS,
        second: Person | None = None,
        **changes: Any,
    ) -> int:
        """Start one more copy of the gateway. Returns its number. `second`: the second person, who is then needed."""
        canary = {**self.made.place(1, "llama-v2"), "percent": 0, "release": release, "steps": list(steps)}
        canary["two_people"] = second is not None
        route = {**self.made.place(0), "workload": self.workload, "canary": canary}
        number = len(self.made.gateways)
        audit = settings(self.made.folder, self.audit_site, name=f"gw-{number}")
        releasers = [person.public_key for person in (self.ann, second) if person is not None]
        edge = self.made.start(routes=[route], releasers=releasers, audit=audit, **changes)
        edge.wait_until_up().wait_until_well()
        return number

    def records(self) -> list[dict[str, Any]]:
        """Records of moves that copies of the gateway follow."""
        lines = [
            json.loads(line)
            for folder in sorted(self.audit_site.records.iterdir())
            for _, path in record_files(folder)
            for line in path.read_bytes().splitlines()
            if line.endswith(b"}")
        ]
        return [line for line in lines if line["kind"] == "move"]

    def asked_of_canary(self, gateway: int, times: int = 60) -> float:
        """Percentage of so many conversations that the canary got."""
        before = len(self.made.models[1].received)
        for _ in range(times):
            messages = [{"role": "user", "content": f"{next(_questions)}"}]
            assert self.made.chat(self.key, self.workload, gateway, messages=messages).status_code == 200
        return 100 * (len(self.made.models[1].received) - before) / times

    def change(self, release: str, change: str) -> None:
        """Change the moves of a release behind the back of the functions, as the database's administrator may."""
        self.made.ask_database(f"UPDATE isthmus.release_moves SET {change} WHERE release = '{release}'")  # noqa: S608

    def table_rights(self, user: str) -> set[str]:
        """What a database user may do to the whole table of moves."""
        table = "information_schema.role_table_grants WHERE table_name = 'release_moves'"
        rows = self.made.ask_database(f"SELECT privilege_type FROM {table} AND grantee = '{user}'")  # noqa: S608
        return {row["privilege_type"] for row in rows}

    def percent(self, gateway: int) -> float:
        return self.made.gateways[gateway].metric(
            "isthmus_canary_percent", workload=self.workload, model=self.workload
        )

    def wait_for(self, percent: float, *gateways: int, seconds: float = SOON_S + 5) -> None:
        """Wait until copies of the gateway have this share in force."""
        end = time.monotonic() + seconds
        for gateway in gateways:
            while self.percent(gateway) != percent:
                assert time.monotonic() < end, f"{self.percent(gateway)} % in force, not {percent} %"
                time.sleep(0.1)


@contextmanager
def released_site(postgres: Postgres, folder: Path, name: str) -> Iterator[Site]:
    """A workload with two models, a sealed chain of records, and ann who may move its releases."""
    with counted(folder, postgres, name, [FakeModel(), FakeModel()]) as made:
        audit_site = AuditSite.at(made.folder / "audit")
        with sealing(audit_site):
            yield Site(made, audit_site, person(made, postgres, "ann"), made.issue(WORKLOAD))


def code_of(call: Callable[[], object]) -> str:
    """The code with which the database refuses an act."""
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code
