"""What the versions of a release did for each unit, counted in memory and added to the class's database.

A unit is a person or a conversation under a keyed hash of its own: nobody can tell whom it stands for, nor compare it
with the hash that assigns people to a canary. A copy that is killed loses what it has not added yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from edge.canary.share import unit_of
from edge.canary.stops import CanaryName
from edge.canary.watch import FAILURES
from edge.database import Database, DatabaseDown
from edge.exchange import Exchange
from edge.journal import write_line
from edge.metrics import Metrics

if TYPE_CHECKING:
    from edge.routing.route import RoutedModel

FLUSH_S = 5.0
"""Seconds between two additions to the database."""
SWEEP_S, SWEEP_PAUSE_S = 3600.0, 0.1
MOST_UNITS = 20_000
"""Sums that a copy keeps in memory, each of one unit at one version. Requests of further units are dropped."""
MOST_ROWS = 2_000
"""Sums that one statement adds."""
MOST_AMOUNT = 10**9
"""Maximum that one request adds to a sum."""
GUARD_REFUSED = "content_blocked"
Variant = Literal["in-use", "canary", "shadow"]
_ADD = """
SELECT isthmus.release_outcomes_add($1, $2, $3, $4, $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
    $17::bigint[], $18::double precision[], $19::bigint[], $20::double precision[])
"""
SWEPT = 2_000
"""Old sums that one statement deletes."""
_SWEEP = "SELECT isthmus.release_outcomes_sweep($1) AS deleted"
_READ = """
SELECT variant, unit, day, requests, failed, guard_refused, latency_ms, streams, first_token_ms, output_tokens, scored,
    score, judged, judged_score
FROM isthmus.release_outcomes
WHERE (class, site, workload, model, release) = ($1, $2, $3, $4, $5) ORDER BY variant, day, unit
"""


@dataclass
class Sums:
    """Sums of requests of one unit at one version. They only grow."""

    requests: int = 0
    """Requests that were answered, failed, or had their answer refused by a guard. Others are not counted."""
    failed: int = 0
    guard_refused: int = 0
    latency_ms: int = 0
    """Of answered requests: from the first byte in to the last one out."""
    streams: int = 0
    """Answered streams with a time to the first token."""
    first_token_ms: int = 0
    output_tokens: int = 0
    """Of answered requests."""
    scored: int = 0
    """Answers with a score of the workload's calibration."""
    score: float = 0.0
    judged: int = 0
    judged_score: float = 0.0

    def add(self, other: Sums) -> None:
        """Add the sums of other requests."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Counted(NamedTuple):
    """What sums are of."""

    release: CanaryName
    variant: Variant
    unit: bytes


class OutcomeRow(NamedTuple):
    """Sums of one unit at one version on one day (UTC)."""

    variant: Variant
    unit: bytes
    day: date
    sums: Sums


class Fetches(Protocol):
    """A `Database`, or a connection of asyncpg."""

    async def fetch(self, statement: str, /, *values: Any) -> Sequence[Mapping[str, Any]]: ...


async def read(
    connection: Fetches, place: tuple[str, str], workload: str, model: str, release: str
) -> list[OutcomeRow]:
    """The outcomes of a release, by variant, day and unit.

    Args:
        connection: with the rights of an operator. What it raises passes.
        place: class and site.
        workload: of the release.
        model: its name for callers.
        release: name of the attempt, as `canary.release` states it.
    """
    rows = await connection.fetch(_READ, *place, workload, model, release)
    return [
        OutcomeRow(
            row["variant"],
            bytes(row["unit"]),
            row["day"],
            Sums(**{field.name: row[field.name] for field in fields(Sums)}),
        )
        for row in rows
    ]


def outcome_of(exchange: Exchange, seconds: float) -> Sums | None:
    """What a request adds to the sums at its end. None: it says nothing of the model (a caller's error, a limit)."""
    if exchange.code in FAILURES or exchange.fallback:
        return Sums(requests=1, failed=1)
    if exchange.code == GUARD_REFUSED:
        return Sums(requests=1, guard_refused=1)
    if exchange.code != "ok":
        return None
    first, score = exchange.first_token_s, (exchange.confidence or {}).get("score")
    tokens = exchange.completion_tokens
    return Sums(
        requests=1,
        latency_ms=milliseconds(seconds),
        streams=0 if first is None else 1,
        first_token_ms=0 if first is None else milliseconds(first),
        output_tokens=min(exchange.pieces if tokens is None else tokens, MOST_AMOUNT),
        scored=0 if score is None else 1,
        score=0.0 if score is None else float(min(max(score, 0.0), 1.0)),
    )


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, as far as a sum takes them."""
    return round(min(max(seconds * 1000, 0.0), MOST_AMOUNT)) if math.isfinite(seconds) else 0


class Outcomes:
    """The outcomes that one copy of a gateway counts. Belongs to one event loop."""

    def __init__(self, database: Database, data_class: str, site: str, key: bytes, metrics: Metrics) -> None:
        """`key`: the same in every copy, so that a person is one unit at all of them."""
        self._database, self._place, self._key, self._metrics = database, (data_class, site), key, metrics
        self._sums: dict[Counted, Sums] = {}
        self._copy, self._batch = uuid.uuid4(), 0
        self._unconfirmed: list[tuple[Counted, Sums]] = []
        """The batch that was sent last, until the database has confirmed it."""
        self._writing = asyncio.Lock()

    def watch(
        self, model: RoutedModel, exchange: Exchange, payload: Mapping[str, Any], variant: Variant
    ) -> None:
        """Count the request at its end. `payload`: its fields. `variant`: which version serves it."""
        counted = self.counted(model, exchange.person, payload, variant)

        def note() -> None:
            if (sums := outcome_of(exchange, time.perf_counter() - exchange.started)) is not None:
                self.add(counted, sums)

        exchange.end_notes.append(note)

    def counted(
        self, model: RoutedModel, person: str, payload: Mapping[str, Any], variant: Variant
    ) -> Counted:
        """Whose sums a request belongs to. The model has a canary with a `release`."""
        release = release_of(model)
        assert release is not None, "whoever counts looked"
        return Counted(release, variant, unit_hash(self._key, release.release, unit_of(person, payload)))

    def add(self, counted: Counted, sums: Sums) -> None:
        """Add to a unit's sums, or drop them where memory is full."""
        known = self._sums.get(counted)
        if known is not None:
            known.add(sums)
        elif len(self._sums) + len(self._unconfirmed) < MOST_UNITS:
            self._sums[counted] = sums
        else:
            self._metrics.drop_outcome(counted.release.workload, counted.release.model)

    async def flush(self) -> None:
        """Add what was counted to the database. Raises DatabaseDown, and then keeps what was not confirmed."""
        async with self._writing:
            while self._unconfirmed or self._sums:
                if not self._unconfirmed:
                    self._batch += 1
                    self._unconfirmed = self._take()
                await self._write(self._unconfirmed)
                self._unconfirmed = []

    def _take(self) -> list[tuple[Counted, Sums]]:
        # In one order at all copies, so that two of them never wait for each other's rows.
        keys = sorted(self._sums)[:MOST_ROWS]
        return [(key, self._sums.pop(key)) for key in keys]

    async def _write(self, batch: list[tuple[Counted, Sums]]) -> None:
        names = [[*counted.release, counted.variant, counted.unit] for counted, _ in batch]
        values = [astuple(sums) for _, sums in batch]
        columns = [list(column) for column in (*zip(*names, strict=True), *zip(*values, strict=True))]
        # The database takes each batch of a copy once, so one whose confirmation was lost is sent again.
        await self._database.fetch(_ADD, self._copy, self._batch, *self._place, *columns)

    async def flushing(self) -> None:
        """Add to the database every few seconds, in a loop."""
        failed = False
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
                failed = False
            except DatabaseDown as error:
                if not failed:
                    write_line("release_outcomes_failed", error=str(error))
                failed = True

    async def sweeping(self) -> None:
        """Delete what is older than 90 days, every hour and few rows a statement, in a loop."""
        while True:
            with contextlib.suppress(DatabaseDown):
                while (await self._database.fetch(_SWEEP, SWEPT))[0]["deleted"] >= SWEPT:
                    await asyncio.sleep(SWEEP_PAUSE_S)
            await asyncio.sleep(SWEEP_S)


def release_of(model: RoutedModel) -> CanaryName | None:
    """The release of a model. None: it has no canary, or one without a `release`."""
    route = model.route
    if route.canary is None or route.canary.release is None:
        return None
    return CanaryName(route.workload, route.called, route.canary.release)


def unit_hash(key: bytes, release: str, unit: bytes) -> bytes:
    """The name of a unit in the outcomes of one release. Other releases and the assignment have other names."""
    own_key = hmac.digest(key, f"isthmus release outcome unit 1\n{release}".encode(), hashlib.sha256)
    return hmac.digest(own_key, unit, hashlib.sha256)[:8]
