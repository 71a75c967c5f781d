"""Batches and their lines in PostgreSQL. Copies of the gateway share them by leases."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from edge.batches.lines import Line
from edge.callers import StoredIdentity
from edge.config.file_store import Batches
from edge.database import Database
from edge.files import Cipher, Unreadable
from edge.files.store import KEEP

WINDOW = timedelta(hours=24)
"""Time from the creation of a batch in which its lines are sent."""
MOST_OPEN = 200
"""Batches that are worked at once."""
_LOST = WINDOW + 2 * KEEP
_OF = "(class, site, owner) = ($1, $2, $3)"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"
_OPEN = "status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"
_COUNT = f"SELECT count(*) FROM isthmus.batches WHERE {_OF} AND {_OPEN}"  # noqa: S608 (constants)
_CREATE = """
INSERT INTO isthmus.batches
    (id, class, site, owner, endpoint, input_file, identity, metadata, granted_until, expires_at, delete_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9), clock_timestamp() + $10::interval,
    clock_timestamp() + $11::interval) RETURNING *
"""
_GET = f"SELECT * FROM isthmus.batches WHERE {_OF} AND id = $4 AND delete_at > clock_timestamp()"  # noqa: S608
_LIST = f"""
SELECT * FROM isthmus.batches WHERE {_OF} AND delete_at > clock_timestamp()
    AND ($4::text IS NULL OR (created_at, id) < (SELECT created_at, id FROM isthmus.batches WHERE {_OF} AND id = $4))
ORDER BY created_at DESC, id DESC LIMIT $5
"""  # noqa: S608
_CANCEL = f"""
UPDATE isthmus.batches SET status = 'cancelling', ending = 'cancelled', cancelling_at = clock_timestamp()
WHERE {_OF} AND id = $4 AND status IN ('validating', 'in_progress')
"""  # noqa: S608
_GRANTABLE = f"""
SELECT id FROM isthmus.batches
WHERE {_OF} AND status IN ('validating', 'in_progress') AND granted_until <= to_timestamp($4)
"""  # noqa: S608
_GRANT = """
UPDATE isthmus.batches SET identity = $2, granted_until = to_timestamp($3)
WHERE id = $1 AND granted_until <= to_timestamp($3)
"""
_END = """
UPDATE isthmus.batches SET status = 'finalizing', finalizing_at = clock_timestamp(), ending = $2, reason = $3
WHERE id = $1 AND status IN ('validating', 'in_progress')
"""
_EXPIRE = """
UPDATE isthmus.batches SET status = 'finalizing', finalizing_at = clock_timestamp(), ending = 'expired',
    reason = 'batch_expired The 24 hours of the batch ended before this line was sent.'
WHERE (class, site) = ($1, $2) AND status IN ('validating', 'in_progress') AND expires_at <= clock_timestamp()
"""
_TAKE = """
UPDATE isthmus.batches SET leased_by = $3, leased_until = clock_timestamp() + $4::interval WHERE id = (
    SELECT id FROM isthmus.batches b
    WHERE (class, site) = ($1, $2) AND (leased_until IS NULL OR leased_until < clock_timestamp())
        AND (status = 'validating' OR status IN ('finalizing', 'cancelling') AND NOT EXISTS (
            SELECT FROM isthmus.batch_lines l WHERE l.batch = b.id AND l.result IS NULL
                AND l.leased_by IS NOT NULL AND l.leased_until > clock_timestamp()))
    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING *
"""
_RENEW = """
UPDATE isthmus.batches SET leased_until = clock_timestamp() + $2::interval WHERE leased_by = $1
"""
_RENEW_LINES = """
UPDATE isthmus.batch_lines SET leased_until = clock_timestamp() + $2::interval
WHERE leased_by = $1 AND result IS NULL
    AND (batch, number) IN (SELECT * FROM unnest($3::text[], $4::integer[]))
"""
_RUNNING = """
SELECT * FROM isthmus.batches WHERE (class, site) = ($1, $2) AND status = 'in_progress'
    AND (granted_until IS NULL OR granted_until > clock_timestamp())
ORDER BY created_at LIMIT $3
"""
_LEASE = """
UPDATE isthmus.batch_lines l
SET leased_by = $1, leased_until = clock_timestamp() + $2::interval, attempts = attempts + 1
FROM (
    SELECT batch, number FROM isthmus.batch_lines
    WHERE batch = $3 AND model = $4 AND result IS NULL
        AND (leased_until IS NULL OR leased_until < clock_timestamp())
    ORDER BY number LIMIT $5 FOR UPDATE SKIP LOCKED
) AS free
WHERE (l.batch, l.number) = (free.batch, free.number) RETURNING l.number, l.request, l.attempts
"""
_RELEASE = """
UPDATE isthmus.batch_lines l SET leased_by = NULL, leased_until = clock_timestamp() + r.pause,
    attempts = greatest(0, l.attempts - r.uncounted)
FROM unnest($2::text[], $3::integer[], $4::interval[], $5::integer[]) AS r(batch, number, pause, uncounted)
WHERE (l.batch, l.number) = (r.batch, r.number) AND l.leased_by = $1 AND l.result IS NULL
"""
_STORE = """
WITH stored AS (
    UPDATE isthmus.batch_lines l
    SET result = r.result, succeeded = r.succeeded, request = NULL, leased_by = NULL, leased_until = NULL
    FROM unnest($2::text[], $3::integer[], $4::bytea[], $5::boolean[]) AS r(batch, number, result, succeeded)
    WHERE (l.batch, l.number) = (r.batch, r.number) AND l.leased_by = $1 AND l.result IS NULL
    RETURNING l.batch, l.succeeded
), sums AS (
    SELECT batch, count(*) FILTER (WHERE succeeded) AS good, count(*) FILTER (WHERE NOT succeeded) AS bad
    FROM stored GROUP BY batch
)
UPDATE isthmus.batches b SET completed = b.completed + sums.good, failed = b.failed + sums.bad
FROM sums WHERE b.id = sums.batch RETURNING b.id
"""
# A statement of its own after the sums: their row lock makes it see what another copy has stored.
_ALL_DONE = """
UPDATE isthmus.batches b SET status = 'finalizing', finalizing_at = clock_timestamp()
WHERE b.id = ANY ($1) AND b.status = 'in_progress'
    AND NOT EXISTS (SELECT FROM isthmus.batch_lines l WHERE l.batch = b.id AND l.result IS NULL)
"""
_ADD_LINES = """
INSERT INTO isthmus.batch_lines (batch, number, model, request, result, succeeded)
SELECT $1, number, model, request, result, CASE WHEN result IS NULL THEN NULL ELSE false END
FROM unnest($2::integer[], $3::text[], $4::bytea[], $5::bytea[]) AS n(number, model, request, result)
"""
_VALIDATED = """
UPDATE isthmus.batches SET status = CASE WHEN $3::integer > $4::integer THEN 'in_progress' ELSE 'finalizing' END,
    in_progress_at = clock_timestamp(), total = $3, failed = $4, models = $5,
    ending = CASE WHEN $3::integer > $4::integer THEN ending ELSE 'failed' END, reason = $6, leased_by = NULL,
    leased_until = NULL
WHERE id = $1 AND leased_by = $2 AND status = 'validating' RETURNING id
"""
_UNANSWERED = """
SELECT number, request FROM isthmus.batch_lines WHERE batch = $1 AND result IS NULL ORDER BY number LIMIT $2
"""
_CLOSE_LINES = """
UPDATE isthmus.batch_lines l SET result = r.result, succeeded = false, request = NULL, leased_by = NULL
FROM unnest($2::integer[], $3::bytea[]) AS r(number, result)
WHERE l.batch = $1 AND l.number = r.number AND l.result IS NULL
"""
_RESULTS = """
SELECT number, result, succeeded FROM isthmus.batch_lines WHERE batch = $1 AND number > $2 ORDER BY number LIMIT $3
"""
_ENDED = """
UPDATE isthmus.batches SET status = ending, output_file = $3, error_file = $4, ended_at = clock_timestamp(),
    delete_at = clock_timestamp() + $5::interval, leased_by = NULL, leased_until = NULL,
    total = greatest(total, (SELECT count(*) FROM isthmus.batch_lines WHERE batch = $1)),
    failed = (SELECT count(*) FROM isthmus.batch_lines WHERE batch = $1 AND NOT succeeded)
WHERE id = $1 AND leased_by = $2 AND status IN ('finalizing', 'cancelling') RETURNING id
"""
_DELETE_LINES = "DELETE FROM isthmus.batch_lines WHERE batch = $1"
_GIVE_BACK = """
UPDATE isthmus.batch_lines SET leased_by = NULL, leased_until = NULL, attempts = greatest(0, attempts - 1)
WHERE leased_by = $1 AND result IS NULL
"""
_GIVE_BACK_BATCHES = """
UPDATE isthmus.batches SET leased_by = NULL, leased_until = NULL
WHERE leased_by = $1 AND ($2::text IS NULL OR id = $2)
"""
_SWEEP = "DELETE FROM isthmus.batches WHERE delete_at <= clock_timestamp()"
PAGE = 200
"""Lines that are read or written at once."""


class TooManyBatches(Exception):
    """The owner has too many batches that have not ended."""


class LeaseLost(Exception):
    """Another copy has taken up the batch."""


@dataclass(frozen=True)
class Batch:
    """A batch as a row has it."""

    row: Any
    metadata: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        return self.row[name]


@dataclass(frozen=True)
class LeasedLine:
    """A line that this copy may send."""

    batch: Batch
    identity: StoredIdentity
    number: int
    model: str
    custom_id: str
    body: bytes
    attempts: int


@dataclass
class Outcomes:
    """What became of leased lines: results, and lines to send again."""

    results: list[tuple[Batch, int, bytes, bool]] = field(default_factory=list)
    """Batch, line, result and whether it succeeded."""
    releases: list[tuple[Batch, int, float, bool]] = field(default_factory=list)
    """Batch, line, pause in seconds and whether the attempt counts."""


class BatchStore:
    """The batches of one class and site. Every method raises DatabaseDown."""

    def __init__(
        self, database: Database, cipher: Cipher, settings: Batches, data_class: str, site: str
    ) -> None:
        self._database, self._cipher, self._settings = database, cipher, settings
        self._place = data_class, site
        self.copy = secrets.token_hex(8)
        """Name of this copy of the gateway in leases."""
        self._lease = timedelta(seconds=settings.lease_s)

    async def create(
        self, identity: StoredIdentity, endpoint: str, input_file: str, metadata: dict[str, str]
    ) -> Batch:
        """A new batch. Raises TooManyBatches."""
        batch_id, owner = f"batch_{secrets.token_hex(16)}", identity.identity
        sealed = self._cipher.encrypt(_name(batch_id, owner, "identity"), identity.dump())
        about = self._cipher.encrypt(_name(batch_id, owner, "metadata"), json.dumps(metadata).encode())

        async def run(connection: Any) -> Any:
            await connection.execute(_LOCK, "/".join((*self._place, owner)))
            if await connection.fetchval(_COUNT, *self._place, owner) >= self._settings.max_unfinished:
                raise TooManyBatches
            values = (endpoint, input_file, sealed, about, identity.until, WINDOW, _LOST)
            return await connection.fetchrow(_CREATE, batch_id, *self._place, owner, *values)

        return self._batch(await self._database.transaction(run))

    async def get(self, batch_id: str, owner: str) -> Batch | None:
        """A batch of the owner; None if there is none of this id."""
        rows = await self._database.fetch(_GET, *self._place, owner, batch_id)
        return self._batch(rows[0]) if rows else None

    async def listed(self, owner: str, after: str | None, most: int) -> list[Batch]:
        """Batches of the owner, the newest first. `after`: only those that come after this id."""
        return [
            self._batch(row) for row in await self._database.fetch(_LIST, *self._place, owner, after, most)
        ]

    async def cancel(self, batch_id: str, owner: str) -> None:
        """Send no further line of a batch of the owner."""
        await self._database.fetch(_CANCEL, *self._place, owner, batch_id)

    async def grant(self, identity: StoredIdentity) -> None:
        """Let the batches of a person go on with the rights of their newest token."""
        owner, until = identity.identity, identity.until
        for row in await self._database.fetch(_GRANTABLE, *self._place, owner, until):
            sealed = self._cipher.encrypt(_name(row["id"], owner, "identity"), identity.dump())
            await self._database.fetch(_GRANT, row["id"], sealed, until)

    async def end(self, batch: Batch, ending: str, code: str, message: str) -> None:
        """End a batch early: its other lines are not sent."""
        await self._database.fetch(_END, batch.id, ending, f"{code} {message}")

    async def take(self) -> Batch | None:
        """Lease a batch that is to be validated or finished."""
        rows = await self._database.fetch(_TAKE, *self._place, self.copy, self._lease)
        return self._batch(rows[0]) if rows else None

    async def renew(self, lines: Sequence[LeasedLine]) -> None:
        """Renew this copy's leases of batches and of these lines."""
        await self._database.fetch(_RENEW, self.copy, self._lease)
        batches, numbers = [line.batch.id for line in lines], [line.number for line in lines]
        await self._database.fetch(_RENEW_LINES, self.copy, self._lease, batches, numbers)

    async def running(self) -> list[Batch]:
        """Batches whose lines may be sent, the oldest first."""
        return [self._batch(row) for row in await self._database.fetch(_RUNNING, *self._place, MOST_OPEN)]

    async def lease(self, batch: Batch, model: str, most: int) -> list[LeasedLine]:
        """Lease lines of a batch for a model. Raises Unreadable."""
        identity = self.identity(batch)
        rows = await self._database.fetch(_LEASE, self.copy, self._lease, batch.id, model, most)
        lines: list[LeasedLine] = []
        for row in rows:
            custom_id, body = self.request(batch, row)
            lines.append(LeasedLine(batch, identity, row["number"], model, custom_id, body, row["attempts"]))
        return lines

    async def store(self, outcomes: Outcomes) -> None:
        """Store results and release lines, each only if its lease is still this copy's."""
        results, releases = outcomes.results, outcomes.releases
        sealed = [
            self._cipher.encrypt(_line_name(batch, number, "result"), text)
            for batch, number, text, _ in results
        ]

        async def run(connection: Any) -> None:
            if releases:
                batches, numbers, pauses, counts = zip(*releases, strict=True)
                await connection.execute(
                    *(_RELEASE, self.copy, [batch.id for batch in batches], list(numbers)),
                    *([timedelta(seconds=pause) for pause in pauses], [int(not count) for count in counts]),
                )
            if results:
                batches, numbers, _, succeeded = zip(*results, strict=True)
                ids = [batch.id for batch in batches]
                await connection.fetch(_STORE, self.copy, ids, list(numbers), sealed, list(succeeded))
                await connection.execute(_ALL_DONE, sorted(set(ids)))

        await self._database.transaction(run)

    async def begin_lines(self, batch: Batch) -> None:
        """Delete the lines of an earlier validation that was cut off."""
        await self._database.fetch(_DELETE_LINES, batch.id)

    async def add_lines(
        self, batch: Batch, lines: Sequence[tuple[int, str, bytes | None, bytes | None]]
    ) -> None:
        """Add lines: number, model, and the request or the result of a bad line."""
        numbers, models, requests, results = zip(*lines, strict=True)
        sealed = [
            [
                None if text is None else self._cipher.encrypt(_line_name(batch, number, kind), text)
                for number, text in zip(numbers, texts, strict=True)
            ]
            for kind, texts in (("request", requests), ("result", results))
        ]
        await self._database.fetch(_ADD_LINES, batch.id, list(numbers), list(models), *sealed)

    async def validated(
        self, batch: Batch, total: int, failed: int, models: list[str], reason: str | None
    ) -> None:
        """Let the lines of a batch be sent, or finish it if none can be. Raises LeaseLost."""
        rows = await self._database.fetch(_VALIDATED, batch.id, self.copy, total, failed, models, reason)
        if not rows:
            raise LeaseLost

    async def unanswered(self, batch: Batch) -> list[Any]:
        """Rows of lines without a result: a page of them."""
        return await self._database.fetch(_UNANSWERED, batch.id, PAGE)

    async def close_lines(self, batch: Batch, results: Sequence[tuple[int, bytes]]) -> None:
        """Give lines that are not sent their result. A later result of another copy no longer counts."""
        sealed = [self._cipher.encrypt(_line_name(batch, number, "result"), text) for number, text in results]
        await self._database.fetch(_CLOSE_LINES, batch.id, [number for number, _ in results], sealed)

    async def results(self, batch: Batch, after: int) -> list[tuple[int, bytes, bool]]:
        """A page of results: number, line and whether it succeeded. Raises Unreadable."""
        rows = await self._database.fetch(_RESULTS, batch.id, after, PAGE)
        return [
            (
                row["number"],
                self._cipher.decrypt(_line_name(batch, row["number"], "result"), row["result"]),
                row["succeeded"],
            )
            for row in rows
        ]

    async def ended(self, batch: Batch, output: Any, errors: Any) -> None:
        """Publish the result files (`FileWriter` or None) and end the batch, in one transaction. Raises LeaseLost."""

        async def run(connection: Any) -> None:
            for writer in filter(None, (output, errors)):
                await writer.finish(connection)
            ids = [writer.id if writer is not None else None for writer in (output, errors)]
            if await connection.fetchrow(_ENDED, batch.id, self.copy, *ids, KEEP) is None:
                raise LeaseLost
            await connection.execute(_DELETE_LINES, batch.id)

        await self._database.transaction(run)

    async def give_back(self) -> None:
        """Give up all leases of this copy, which ends."""
        await self._database.fetch(_GIVE_BACK, self.copy)
        await self.give_back_batch(None)

    async def give_back_batch(self, batch_id: str | None) -> None:
        """Give up this copy's lease of a batch; None: of all."""
        await self._database.fetch(_GIVE_BACK_BATCHES, self.copy, batch_id)

    async def sweep(self) -> None:
        """End batches whose window is over, and delete those that have had their time."""
        await self._database.fetch(_EXPIRE, *self._place)
        await self._database.fetch(_SWEEP)

    def identity(self, batch: Batch) -> StoredIdentity:
        """Who the batch belongs to. Raises Unreadable."""
        text = self._cipher.decrypt(_name(batch.id, batch.owner, "identity"), batch.row["identity"])
        return StoredIdentity.load(text)

    def request(self, batch: Batch, row: Any) -> tuple[str, bytes]:
        """`custom_id` and body of a line's row. Raises Unreadable."""
        return Line.load(self._cipher.decrypt(_line_name(batch, row["number"], "request"), row["request"]))

    def _batch(self, row: Any) -> Batch:
        try:
            text = self._cipher.decrypt(_name(row["id"], row["owner"], "metadata"), row["metadata"])
        except Unreadable:  # the key was replaced; the worker ends the batch
            text = b"{}"
        return Batch(row, json.loads(text))


def _name(batch_id: str, owner: str, part: str) -> str:
    return f"{batch_id}\0{owner}\0{part}"


def _line_name(batch: Batch, number: int, part: str) -> str:
    return _name(batch.id, batch.owner, f"{number}\0{part}")
