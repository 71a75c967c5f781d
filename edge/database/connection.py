"""A lazily created connection pool. Every failure becomes one exception, DatabaseDown."""

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
"""Timeout in seconds, for a statement and for making a connection."""
PAUSE_AFTER_TIMEOUT_S = 0.5
"""Seconds without queries after a timeout, so that requests do not wait one after the other."""
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
    """The database did not answer, or failed. The message names neither address nor user."""


class Database:
    """A database. Any task of one event loop may use it."""

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._tls = _tls(config)
        self._pool: Any = None
        self._making = asyncio.Lock()
        self._failed = self._heard = float("-inf")

    async def fetch(self, statement: str, *values: Any) -> list[Any]:
        """The rows of one statement, with columns by name. Raises DatabaseDown."""
        return await self._with(lambda connection: connection.fetch(statement, *values))

    async def transaction(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run `work` in a transaction. Raises DatabaseDown."""

        async def in_transaction(connection: Any) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._with(in_transaction)

    async def heard_within(self, seconds: float) -> None:
        """Check that the database answered within the last `seconds`, with a query if needed. Raises DatabaseDown."""
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
                # The server was replaced or restarted, so connections to the old one must not be used again.
                await self._pool.expire_connections()
            # Only the error's class: its message may hold addresses, names and values.
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
    """Whether PostgreSQL rejected the statement, so that the connection is still good."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(
        error, (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)
    )


def _tls(config: DatabaseConfig) -> ssl.SSLContext | bool:
    """TLS settings: the server needs a certificate of `ca` for `host`. False stops asyncpg from reading variables."""
    if config.ca is None:
        return False
    try:
        context = ssl.create_default_context(cafile=str(config.ca))
    except (ssl.SSLError, OSError):
        raise ConfigError(f"database.ca: {config.ca} holds no PEM certificate.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
