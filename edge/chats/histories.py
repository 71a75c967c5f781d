"""Conversations in the database of Open WebUI: deleted when they expire, kept under a legal hold, erased on demand.

Tables `chat` (`user_id`, `updated_at` in seconds since 1970; its messages go with it) and `user` are Open WebUI's own
(0.12). Holds are in a schema of ours; a trigger keeps everybody from deleting what is held, the person included.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edge.config.chat import History
from edge.database import Database, DatabaseDown
from edge.journal import write_line

SWEEP_S, RETRY_S = 3600.0, 5.0
DAY_S = 86400
_PREPARE = """
CREATE SCHEMA IF NOT EXISTS isthmus;
CREATE TABLE IF NOT EXISTS isthmus.holds (
    name text PRIMARY KEY, held_by text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION isthmus.is_held(who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM isthmus.holds WHERE name = 'all' OR name = lower(who))
$$;
CREATE OR REPLACE FUNCTION isthmus.keep_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF isthmus.is_held((SELECT name FROM "user" WHERE id = OLD.user_id)) THEN
        RAISE EXCEPTION 'a legal hold keeps this conversation';
    END IF;
    RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER keep_held BEFORE DELETE ON chat FOR EACH ROW EXECUTE FUNCTION isthmus.keep_held();
"""
_SWEEP = """
DELETE FROM chat USING "user"
WHERE chat.user_id = "user".id AND chat.updated_at < $1 AND NOT isthmus.is_held("user".name)
"""
_OWNERLESS = (
    'DELETE FROM chat WHERE updated_at < $1 AND NOT EXISTS (SELECT FROM "user" WHERE id = chat.user_id)'
)
_HOLD = """
INSERT INTO isthmus.holds (name, held_by, reason) VALUES (lower($1), $2, $3)
ON CONFLICT (name) DO UPDATE SET held_by = $2, reason = $3, at = now()
"""
_RELEASE = "DELETE FROM isthmus.holds WHERE name = lower($1) RETURNING name"
_IS_HELD = "SELECT isthmus.is_held($1) AS held"
_ERASE = """
DELETE FROM chat USING "user" WHERE chat.user_id = "user".id AND lower("user".name) = lower($1) RETURNING chat.id
"""


class Histories:
    """The conversations of one chat."""

    def __init__(self, settings: History) -> None:
        self._days, self._database = settings.days, Database(settings.database)
        self.is_ready = False

    async def sweeping(self) -> None:
        """Delete expired conversations every hour, in a loop."""
        while True:
            try:
                await prepare(self._database)
                await self.sweep()
                self.is_ready = True
            except DatabaseDown as error:
                write_line("histories_failed", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Delete what is older than it is kept. Raises DatabaseDown."""
        oldest = int(time.time()) - self._days * DAY_S
        await self._database.fetch(_SWEEP, oldest)
        await self._database.fetch(_OWNERLESS, oldest)

    async def close(self) -> None:
        """End the connections."""
        await self._database.close()


async def prepare(database: Database) -> None:
    """Create the table of holds and the trigger. Raises DatabaseDown, also while Open WebUI has no tables yet."""

    async def run(connection: Any) -> None:
        await connection.execute(_PREPARE)

    await database.transaction(run)


async def hold(database: Database, name: str, by: str, reason: str) -> None:
    """Keep a person's conversations, or everybody's (`all`). Raises DatabaseDown."""
    await prepare(database)
    await database.fetch(_HOLD, name, by, reason)


async def release(database: Database, name: str) -> bool:
    """End a hold. Returns whether there was one. Raises DatabaseDown."""
    await prepare(database)
    return bool(await database.fetch(_RELEASE, name))


async def is_held(database: Database, name: str) -> bool:
    """Whether a hold keeps a person's conversations. Raises DatabaseDown."""
    await prepare(database)
    return bool((await database.fetch(_IS_HELD, name))[0]["held"])


async def erase(database: Database, name: str) -> int:
    """Delete a person's conversations. Returns how many there were. Raises DatabaseDown, also under a hold."""
    return len(await database.fetch(_ERASE, name))
