"""A lazily created connection pool. Every failure becomes one exception, DatabaseDown."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from edge.config.base import ConfigError
from edge.config.database import DatabaseConfig

T = TypeVar("T")
TIMEOUT_S = 2.0
"""Default timeout in seconds, for a statement and for making a connection."""
PAUSE_AFTER_TIMEOUT_S = 0.5
"""Seconds without queries after a timeout, so that requests do not wait one after the other."""
POOL = 8
_LOCK = "SELECT pg_try_advisory_lock(4715922, hashtext($1))"  # the number is any that no other lock has


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

    def __init__(self, config: DatabaseConfig, timeout_s: float | None = None) -> None:
        """`timeout_s`: for a statement and for making a connection; a transaction may take twice as long."""
        self._config, self._timeout_s = config, TIMEOUT_S if timeout_s is None else timeout_s
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

    @contextlib.asynccontextmanager
    async def exclusively(self, name: str) -> AsyncIterator[bool]:
        """Hold the database's lock of this name while the block runs. False: another process has it.

        The lock ends with its connection, so a process that was killed leaves none. Raises DatabaseDown.
        """
        connection, is_held = await self._locked(name)
        try:
            yield is_held
        finally:
            # The pool ends all locks of a connection that it takes back.
            with contextlib.suppress(*_FAILURES):
                if self._pool is not None:
                    await self._pool.release(connection)

    async def _locked(self, name: str) -> tuple[Any, bool]:
        connection: Any = None
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                pool = self._pool or await self._made()
                connection = await pool.acquire(timeout=self._timeout_s)
                return connection, await connection.fetchval(_LOCK, name)
        except _FAILURES as error:
            if connection is not None:
                with contextlib.suppress(*_FAILURES):
                    await self._pool.release(connection)
            raise DatabaseDown(type(error).__name__) from None

    async def heard_within(self, seconds: float) -> None:
        """Check that the database answered within the last `seconds`, with a query if needed. Raises DatabaseDown."""
        if time.monotonic() - self._heard > seconds:
            await self.fetch("SELECT 1")

    async def close(self) -> None:
        """End every connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await pool.close()
            except _FAILURES:
                pool.terminate()

    async def _with(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if time.monotonic() - self._failed < PAUSE_AFTER_TIMEOUT_S:
            raise DatabaseDown("it did not answer a moment ago")
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                pool = self._pool or await self._made()
                async with pool.acquire(timeout=self._timeout_s) as connection:
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
                    timeout=self._timeout_s,
                    command_timeout=self._timeout_s,
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
