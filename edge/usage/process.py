"""Runs `mode: loader`: loads new seals into the usage ledger, and exports how far it is. Needs boto3."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.responses import Response

from edge.audit import seal_format
from edge.audit.seal_format import Seal
from edge.audit.stores import S3Store, Store, StoreFault
from edge.audit.verify import NotProven
from edge.background import serving_health
from edge.config import ConfigError, LoaderConfig
from edge.database import Database, DatabaseDown
from edge.database.migrations import outdated
from edge.journal import quiet_libraries, write_line
from edge.reload import Reloading
from edge.usage.ledger import TIMEOUT_S, Ledger, LedgerError, Place, sealed_at
from edge.usage.loading import Source, WrongStore, load_new

EXPIRE_S = 3600.0
"""Seconds between two deletions of rows that are too old."""
_FAULTS = (DatabaseDown, StoreFault, NotProven, WrongStore, LedgerError)


class Loader:
    """Loads the seals of one class at one site. Raises ConfigError."""

    def __init__(self, config: LoaderConfig, store: Store | None = None) -> None:
        """`store`: in place of the one in `config`, for tests."""
        self._config = config
        self._database = Database(config.database, TIMEOUT_S)
        self._ledger = Ledger(self._database)
        named = frozenset(config.named_workloads)
        self._source = Source(
            Place(config.data_class, config.site),
            _store(config) if store is None else store,
            _public_keys(config),
            named.__contains__,
            config.since,
        )
        self._fault: str | None = "not started yet"
        self._expired: float | None = None
        self._complete = time.monotonic()
        self._sealed_at: datetime | None = None
        self._registry = CollectorRegistry()
        gauge, counter = self._gauge, self._counter
        self._age = gauge("seal_age_seconds", "Age of the last seal that the ledger has.")
        self._lag = gauge("lag_seconds", "Seconds since the ledger had all seals of the store.")
        self._seals = counter("seals", "Seals that were loaded.")
        self._records = counter("records", "Records in the seals that were loaded.")
        self._failures = counter("failures", "Attempts to load that failed.")

    async def turn(self) -> None:
        """Load all new seals, unless another loader does. Raises DatabaseDown, StoreFault, NotProven and others."""
        place = self._source.place
        async with self._database.exclusively(f"usage ledger {place.data_class} {place.site}") as is_held:
            if is_held:
                await self._load()
        self._fault, self._complete = None, time.monotonic()

    async def _load(self) -> None:
        if self._sealed_at is None:
            self._sealed_at = next(
                (
                    loaded.sealed_at
                    for loaded in await self._ledger.loaded()
                    if loaded.place == self._source.place
                ),
                None,
            )
        await load_new(self._ledger, self._source, self._note)
        if self._expired is None or time.monotonic() > self._expired + EXPIRE_S:
            await self._ledger.expire(datetime.now(UTC))
            self._expired = time.monotonic()

    async def attempt(self) -> None:
        """Like `turn`, but a failure is counted and told. The next attempt goes on from there."""
        try:
            await self.turn()
        except _FAULTS as error:
            self._fault = str(error)
            self._failures.labels(self._config.data_class).inc()
            write_line("usage_not_loaded", reason=str(error))

    def _note(self, seal: Seal, records: int) -> None:
        self._sealed_at, self._fault = sealed_at(seal), None
        self._seals.labels(self._config.data_class).inc()
        self._records.labels(self._config.data_class).inc(records)
        write_line("usage_loaded", seal=seal.number, records=records)

    async def close(self) -> None:
        """End the connections."""
        await self._database.close()

    async def problem(self) -> str | None:
        """Why nothing can be loaded now, or None."""
        if (problem := await outdated(self._database)) is not None:
            return problem
        return "cannot load" if self._fault else None

    async def metrics(self) -> Response:
        """The metrics in Prometheus' format."""
        self._lag.labels(self._config.data_class).set(time.monotonic() - self._complete)
        if self._sealed_at is not None:
            age = datetime.now(UTC) - self._sealed_at
            self._age.labels(self._config.data_class).set(age.total_seconds())
        return Response(
            generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(f"isthmus_usage_{name}", description, ["class"], registry=self._registry)

    def _counter(self, name: str, description: str) -> Counter:
        counter = Counter(f"isthmus_usage_{name}", description, ["class"], registry=self._registry)
        counter.labels(self._config.data_class)  # it is exported from the start, as 0
        return counter


def run(config: LoaderConfig, reloading: Reloading) -> None:
    """Load until SIGTERM or SIGINT. Raises ConfigError at start."""
    quiet_libraries()
    asyncio.run(_serve(config, reloading))


async def _serve(config: LoaderConfig, reloading: Reloading) -> None:
    loader = Loader(config)
    async with serving_health(
        config, reloading, problem=loader.problem, metrics=loader.metrics, close=loader.close
    ) as stop:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            attempt = asyncio.create_task(loader.attempt())
            await asyncio.wait({attempt, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if (
                not attempt.done()
            ):  # the seal that is being loaded is rolled back, and loaded by the next process
                attempt.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await attempt
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), config.every_s)


def _store(config: LoaderConfig) -> S3Store:
    from edge.fetch import client

    store = config.store
    return S3Store(
        client(store.endpoint, store.region, store.credentials, store.ca), store.bucket, store.prefix
    )


def _public_keys(config: LoaderConfig) -> dict[str, object]:
    try:
        return seal_format.read_pem(config.public_key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"public_key: {config.public_key} cannot be used: {error}.") from None
