"""Key store in PostgreSQL. Look-ups are cached for a few seconds, but not beyond the key's end."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from typing import Any

from pydantic import ValidationError

from edge.callers.store import CallersUnreadable, Key, KeyEnds, digest_of
from edge.config.gateway import Allowance
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
       extract(epoch FROM not_after - clock_timestamp())::double precision AS left_s,
       models, allowance, counted_as, evaluation
FROM isthmus.keys WHERE digest = $1
"""
_ENDS = """
SELECT workload, min(left_s) FILTER (WHERE left_s > 0) AS first, max(left_s) AS last
FROM (SELECT workload,
             coalesce(extract(epoch FROM not_after - clock_timestamp()), 'Infinity')::double precision AS left_s
      FROM isthmus.keys WHERE class = $1 AND revoked_at IS NULL) AS keys
GROUP BY workload
"""
_FIND_ID = _FIND.replace("digest = $1", "id = $1")


class PostgresKeys:
    """Looks up keys. Concurrent requests with the same key share one query."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[bytes | str, tuple[float, Key | None]] = OrderedDict()
        self._asking: dict[bytes | str, asyncio.Task[Key | None]] = {}

    async def find(self, key: str) -> Key | None:
        """The key with this digest, or None. The result is at most `CACHE_S` old. Raises CallersUnreadable."""
        if not SHAPE.fullmatch(key):
            return None
        return await self._look_up(digest_of(key))

    async def find_id(self, key_id: str) -> Key | None:
        """The key of this id, or None. The result is at most `CACHE_S` old. Raises CallersUnreadable."""
        return await self._look_up(key_id)

    async def ends(self, data_class: str) -> dict[str, KeyEnds]:
        """When the keys of each workload end. Raises CallersUnreadable."""
        try:
            rows = await self._database.fetch(_ENDS, data_class)
        except DatabaseDown as error:
            raise CallersUnreadable(str(error)) from None
        return {row["workload"]: KeyEnds(row["first"], row["last"]) for row in rows}

    async def problem(self) -> str | None:
        """Why the database cannot be used, or None."""
        return await outdated(self._database)

    async def _look_up(self, name: bytes | str) -> Key | None:
        """The key of a digest or an id."""
        ends, cached_key = self._kept.get(name, (0.0, None))
        if time.monotonic() < ends:
            self._kept.move_to_end(name)
            return cached_key
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        # Shielded, because other requests wait for the same query when the first client leaves.
        return await asyncio.shield(task)

    async def _ask(self, name: bytes | str) -> Key | None:
        started = time.monotonic()  # before the query, because its answer may take a while
        try:
            rows = await self._database.fetch(_FIND if isinstance(name, bytes) else _FIND_ID, name)
        except DatabaseDown as error:
            self._kept.pop(name, None)
            raise CallersUnreadable(str(error)) from None
        key = None
        if rows:
            key = _key(rows[0])
        cache_s = CACHE_S if key else MISS_CACHE_S
        if key and key.left_s is not None and key.left_s > 0:
            cache_s = min(cache_s, key.left_s)
        self._kept[name] = (started + cache_s, key)
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)
        return key


def _key(row: Any) -> Key:
    """A key of a row. Raises CallersUnreadable if its limits cannot be read: they must not be passed over."""
    try:
        allowance = Allowance.model_validate_json(row["allowance"])
    except ValidationError:
        raise CallersUnreadable(f"the limits of the key {row['id']} are malformed") from None
    return Key(
        row["id"],
        row["workload"],
        row["class"],
        row["revoked"],
        row["left_s"],
        models=None if row["models"] is None else frozenset(row["models"]),
        allowance=None if allowance == Allowance() else allowance,
        counted_as=row["counted_as"] or "",
        evaluates=row["evaluation"],
    )
