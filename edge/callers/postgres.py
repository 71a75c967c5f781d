"""Key store in PostgreSQL. Look-ups are cached for a few seconds, but not beyond the key's end."""

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
"""32 bytes in base64url. Other texts are not looked up, so that noise does not reach the database."""
CACHE_S = 5.0
"""Seconds for which a known key is cached: a revoked key is refused after this time at most."""
MISS_CACHE_S = 1.0
"""Seconds for which an unknown key is cached: a new key works after this time at most."""
MAX_CACHED = 10_000
"""Cached keys at most, unknown ones included, so that many unknown keys cannot fill the memory."""
_FIND = """
SELECT id, workload, class, revoked_at IS NOT NULL AS revoked,
       extract(epoch FROM not_after - clock_timestamp())::double precision AS left_s
FROM isthmus.keys WHERE digest = $1
"""


class PostgresKeys:
    """Looks up keys. Concurrent requests with the same key share one query."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[bytes, tuple[float, Key | None]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Key | None]] = {}

    async def find(self, key: str) -> Key | None:
        """The key with this digest, or None. The result is at most `CACHE_S` old. Raises CallersUnreadable."""
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
        # Shielded, because other requests wait for the same query when the first client leaves.
        return await asyncio.shield(task)

    async def problem(self) -> str | None:
        """Why the database cannot be used, or None."""
        return await outdated(self._database)

    async def _ask(self, digest: bytes) -> Key | None:
        started = time.monotonic()  # before the query, because its answer may take a while
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
