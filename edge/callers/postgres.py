"""Keys in PostgreSQL: an answer is used for a few seconds, and none for longer than the key lives."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict

from edge.callers.store import CallersUnreadable, Key, digest_of
from edge.database import Database, DatabaseDown
from edge.database.migrations import outdated

PREFIX = "isk_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
"""32 bytes in base64url. What is not of this shape is never asked for, so noise does not reach the database."""
CACHE_S = 5.0
"""A revoked key is refused after so long at most."""
MISS_CACHE_S = 1.0
"""A new key that was tried too early works after so long at most."""
MAX_CACHED = 10_000
"""Answers kept, unknown keys among them: who tries many pushes out others, and fills no memory."""
_FIND = """
SELECT id, workload, class, revoked_at IS NOT NULL AS revoked,
       extract(epoch FROM not_after - clock_timestamp())::double precision AS left_s
FROM isthmus.keys WHERE digest = $1
"""


class PostgresKeys:
    """Several requests with one key that is not known yet ask once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[bytes, tuple[float, Key | None]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Key | None]] = {}

    async def find(self, key: str) -> Key | None:
        """The key by its digest, as it was at most `KNOWN_S` ago; raises CallersUnreadable."""
        if not SHAPE.fullmatch(key):
            return None
        digest = digest_of(key)
        ends, cached_key = self._kept.get(digest, (0.0, None))
        if time.monotonic() < ends:
            self._kept.move_to_end(digest)
            return cached_key
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._ask(digest))
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        # Shielded: the first who asked may go away, and the others still want to know.
        return await asyncio.shield(task)

    async def problem(self) -> str | None:
        """Whether the database answers and has the tables that this program knows."""
        return await outdated(self._database)

    async def _ask(self, digest: bytes) -> Key | None:
        started = time.monotonic()  # before the answer: it may be on its way for a while
        try:
            rows = await self._database.fetch(_FIND, digest)
        except DatabaseDown as error:
            self._kept.pop(digest, None)
            raise CallersUnreadable(str(error)) from None
        key = None
        if rows:
            row = rows[0]
            key = Key(row["id"], row["workload"], row["class"], row["revoked"], row["left_s"])
        cache_s = CACHE_S if key else MISS_CACHE_S
        if key and key.left_s is not None and key.left_s > 0:
            cache_s = min(cache_s, key.left_s)
        self._kept[digest] = (started + cache_s, key)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)
        return key
