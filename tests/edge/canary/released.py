"""Gateways with a canary, records and outcomes in a real PostgreSQL: two models, of which the second is the canary."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.audit.chain_files import record_files
from edge.canary import outcomes
from edge.canary.outcomes import OutcomeRow, Sums
from edge.config.database import DatabaseConfig
from edge.database import Database
from tests.edge.audit.audited import settings
from tests.edge.audit.harness import AuditSite
from tests.edge.counted import Counted, counted
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import sealing

WORKLOAD, CLASS, PLACE = "claims", "internal", ("internal", "fra1")
SOON_S = outcomes.FLUSH_S + 5
"""Seconds until a copy has added what it counted, on a busy machine."""
_questions = itertools.count()


class Released:
    """The gateways, both models and the database."""

    def __init__(self, made: Counted, audit_site: AuditSite, data_class: str) -> None:
        self.made, self.audit_site, self.data_class = made, audit_site, data_class
        self.key = made.issue(WORKLOAD, data_class)
        self.evaluation_key = made.issue(WORKLOAD, data_class, "--evaluation")
        self.in_use, self.canary = made.models[:2]

    def start(
        self,
        release: str,
        canary: dict[str, Any] | None = None,
        content: dict[str, Any] | None = None,
        more_routes: Sequence[dict[str, Any]] = (),
        **changes: Any,
    ) -> int:
        """Start one more copy of the gateway. Returns its number.

        `canary`: settings beside the usual ones. `content`: how requests and answers are kept; None: they are not.
        """
        number = len(self.made.gateways)
        place = {**self.made.place(1, "llama-v2"), "percent": 50.0, "release": release, **(canary or {})}
        route = {**self.made.place(0), "workload": WORKLOAD, "canary": place}
        audit = settings(self.made.folder, self.audit_site, name=f"gw-{number}")
        audit |= {"content": content} if content else {}
        config = {"class": self.data_class, "routes": [route, *more_routes], "audit": audit, **changes}
        self.made.start(**config).wait_until_up().wait_until_well()
        return number

    def ask(self, gateway: int, times: int = 1, key: str | None = None, **fields: Any) -> list[int]:
        """Begin so many conversations. Returns the statuses."""
        return [self.say(f"question {next(_questions)}", gateway, key, **fields) for _ in range(times)]

    def say(self, text: str, gateway: int, key: str | None = None, **fields: Any) -> int:
        """Begin the conversation with this text. Returns the status."""
        messages = [{"role": "user", "content": text}]
        return self.made.chat(key or self.key, WORKLOAD, gateway, messages=messages, **fields).status_code

    def rows(self, release: str) -> list[OutcomeRow]:
        """The outcomes of a release, as an operator reads them."""

        async def read() -> list[OutcomeRow]:
            plain = self.made.postgres.administrator(self.made.database)
            database = Database(DatabaseConfig(**{**plain, "password": Path(plain["password"])}))
            try:
                return await outcomes.read(database, PLACE, WORKLOAD, WORKLOAD, release)
            finally:
                await database.close()

        return asyncio.run(read())

    def sums(self, release: str) -> dict[str, Sums]:
        """The sums of each variant."""
        return total(self.rows(release))

    def wait_for(self, release: str, is_there: Callable[[dict[str, Sums]], bool]) -> dict[str, Sums]:
        """Wait until the sums are so."""
        end = time.monotonic() + SOON_S
        while not is_there(sums := self.sums(release)):
            assert time.monotonic() < end, sums
            time.sleep(0.2)
        return sums

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Records of all gateways of a kind, in order of time."""
        records: list[dict[str, Any]] = []
        for folder in self.audit_site.records.iterdir():
            for _, path in record_files(folder):
                lines = [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
                records += [line for line in lines if line["kind"] == kind]
        return sorted(records, key=lambda record: record["time"])


def total(rows: Sequence[OutcomeRow]) -> dict[str, Sums]:
    sums: dict[str, Sums] = {}
    for row in rows:
        sums.setdefault(row.variant, Sums()).add(row.sums)
    return sums


def all_requests(sums: dict[str, Sums]) -> int:
    return sum(variant.requests for variant in sums.values())


@contextmanager
def released(
    folder: Path, postgres: Postgres, name: str, data_class: str = CLASS, judges: Sequence[FakeModel] = ()
) -> Iterator[Released]:
    """Start the models and the database. The test starts the gateways."""
    audit_site = AuditSite.at(folder / "audit")
    with (
        counted(folder, postgres, name, [FakeModel(), FakeModel(), *judges], data_class) as made,
        sealing(audit_site, data_class),
    ):
        yield Released(made, audit_site, data_class)
