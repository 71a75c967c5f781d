"""A pool of connections that is made when it is first wanted, and whose every failure is one exception."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from edge.config.base import ConfigError
from edge.config.database import DatabaseConfig

T = TypeVar("T")
TIMEOUT_S = 2.0
"""Of a statement and of making a connection: a request waits for both at most."""
PAUSE_AFTER_TIMEOUT_S = 0.5
"""After no answer nobody asks again for so long: a thousand requests do not wait one after the other."""
POOL = 8


# The last one: a connection that was cut while a statement was prepared on it.
_FAILURES = (
    TimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class DatabaseDown(Exception):
    """There was no answer, or none that can be used. Nothing is told of where and as whom it was asked."""


class Database:
    """Asked by any task of one loop. What it says may be old by `heard_s` at most."""

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._tls = _tls(config)
        self._pool: Any = None
        self._making = asyncio.Lock()
        self._failed = self._heard = float("-inf")

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        """The rows of one statement, by their columns' names; raises DatabaseDown."""
        return await self._with(lambda connection: connection.fetch(statement, *values))

    async def transaction(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Work with one connection, whole or not at all; raises DatabaseDown."""

        async def in_transaction(connection: Any) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._with(in_transaction)

    async def heard_within(self, seconds: float) -> None:
        """Return at once when it answered so lately, else ask; raises DatabaseDown."""
        if time.monotonic() - self._heard > seconds:
            await self.fetch("SELECT 1")

    async def close(self) -> None:
        """End every connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await pool.close()
            except _FAILURES:
                pool.terminate()

    async def _with(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if time.monotonic() - self._failed < PAUSE_AFTER_TIMEOUT_S:
            raise DatabaseDown("it did not answer a moment ago")
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                pool = self._pool or await self._made()
                async with pool.acquire(timeout=TIMEOUT_S) as connection:
                    result = await work(connection)
        except _FAILURES as error:
            if isinstance(error, TimeoutError):
                self._failed = time.monotonic()
            elif not _is_statement_error(error) and self._pool is not None:
                # The server is another one now, or was started anew: no request more meets a connection to the old.
                await self._pool.expire_connections()
            # The class of the error only: its words may hold addresses, names and values.
            raise DatabaseDown(type(error).__name__) from None
        self._heard = time.monotonic()
        return result

    async def _made(self) -> Any:
        async with self._making:
            if self._pool is not None:
                return self._pool
            if time.monotonic() - self._failed < PAUSE_AFTER_TIMEOUT_S:
                raise TimeoutError
            config = self._config
            try:
                self._pool = await asyncpg.create_pool(
                    host=config.host,
                    port=config.port,
                    database=config.name,
                    user=config.user,
                    password=self._password,
                    ssl=self._tls,
                    min_size=1,
                    max_size=POOL,
                    timeout=TIMEOUT_S,
                    command_timeout=TIMEOUT_S,
                    server_settings={"application_name": "isthmus-edge"},
                )
            except BaseException:
                self._failed = time.monotonic()
                raise
            return self._pool

    def _password(self) -> str:
        return self._config.password.read_text().strip() if self._config.password else ""


def _is_statement_error(error: Exception) -> bool:
    """Whether PostgreSQL said no to the statement, and the connection is as good as before."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(
        error, (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)
    )


def _tls(config: DatabaseConfig) -> ssl.SSLContext | bool:
    """Its certificate must be of `ca` and bear `host`; `False`: asyncpg then asks no environment variable."""
    if config.ca is None:
        return False
    try:
        context = ssl.create_default_context(cafile=str(config.ca))
    except (ssl.SSLError, OSError):
        raise ConfigError(f"database.ca: {config.ca} holds no PEM certificate.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
