"""Runs the sealer as a process, with `mode: sealer`. Needs boto3, which the translator's image has."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from starlette.responses import Response

from edge.audit import seal_format
from edge.audit.folders import require_writable
from edge.audit.seal_format import Seal, Signer
from edge.audit.sealer import MOST_BYTES, Sealer, SealerSettings
from edge.audit.stores import S3Store, StoreFault
from edge.background import serving_health
from edge.config import ConfigError, SealerConfig
from edge.journal import quiet_libraries, write_line
from edge.reload import Reloading

POLL_S = 0.5
"""Seconds between two looks for new writers, which serve only after their first seal."""
RETRY_S = 5.0


def run(config: SealerConfig, reloading: Reloading) -> None:
    """Seal until SIGTERM or SIGINT. Raises ConfigError at start."""
    quiet_libraries()
    sealing = Sealing(config)
    asyncio.run(sealing.serve(reloading))


class Sealing:
    """The loop around a sealer, with its health and metrics."""

    def __init__(self, config: SealerConfig) -> None:
        self._config = config
        require_writable(config.seals, "seals")
        store = S3Store(_client(config), config.store.bucket, config.store.prefix)
        self._sealer = Sealer(
            store,
            _signer(config),
            SealerSettings(
                records=config.records,
                seals=config.seals,
                data_class=config.data_class,
                site=config.site,
                every_s=config.every_s,
                idle_s=config.idle_s,
                keep_days=config.store.retention_days,
                content_days=config.store.content_days,
            ),
        )
        self._store = store
        self._restored, self._fault = False, "not started yet"
        self._looked = self._tried = self._sealed = -math.inf
        self._records = self._alarms = 0

    async def serve(self, reloading: Reloading) -> None:
        """Seal until a signal. Then finish the running seal and seal the remaining records."""
        async with serving_health(
            self._config, reloading, problem=self._problem, metrics=self._metrics, close=_do_nothing
        ) as stop:
            while not stop.is_set():
                await asyncio.to_thread(self.turn)
                try:
                    await asyncio.wait_for(stop.wait(), POLL_S)
                except TimeoutError:
                    continue
            self._looked = -math.inf
            await asyncio.to_thread(self.turn)

    def turn(self) -> None:
        """Seal if the interval has passed or a new writer waits."""
        now = time.monotonic()
        if not self._restored and now < self._tried + RETRY_S:
            return
        try:
            if not self._restored:
                self._tried = now
                number = self._sealer.restore()
                if problems := self._store.unlocked():
                    raise StoreFault(problems[0])
                self._restored, self._fault = True, ""
                write_line("sealer_restored", seal=number)
            if now < self._looked + self._config.every_s and not self._sealer.newcomers():
                return
            idle = now >= self._sealed + self._config.idle_s
            self._looked = now
            while seal := self._sealer.seal(allow_empty=idle):
                self._note(seal)
                idle = False
                if seal.body["payload"]["bytes"] < MOST_BYTES:
                    break
        except (StoreFault, OSError) as error:
            self._restored, self._fault = False, str(error)
            write_line("seal_failed", reason=str(error))

    def _note(self, seal: Seal) -> None:
        self._sealed = time.monotonic()
        self._records += seal.body["payload"]["lines"]
        alarms = {
            writer: entry for writer, entry in seal.writers.items() if entry["state"] in ("lost", "broken")
        }
        self._alarms = len(alarms)
        write_line("sealed", seal=seal.number, hash=seal.hash, records=seal.body["payload"]["lines"])
        for writer, entry in alarms.items():
            write_line("audit_alarm", writer=writer, state=entry["state"], reason=entry.get("note", ""))

    async def _problem(self) -> str | None:
        return "cannot seal" if self._fault else None

    async def _metrics(self) -> Response:
        lines = [
            "# TYPE isthmus_sealed_records_total counter",
            f"isthmus_sealed_records_total {self._records}",
            "# TYPE isthmus_audit_alarms gauge",
            f"isthmus_audit_alarms {self._alarms}",
            "# TYPE isthmus_sealer_up gauge",
            f"isthmus_sealer_up {0 if self._fault else 1}",
        ]
        return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")


async def _do_nothing() -> None:
    return None


def _signer(config: SealerConfig) -> Signer:
    try:
        signer = Signer(config.signing_key.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"signing_key: {config.signing_key} cannot be used: {error}.") from None
    if config.earlier_keys is not None:
        try:
            signer.public.update(seal_format.read_pem(config.earlier_keys))
        except (OSError, ValueError) as error:
            raise ConfigError(f"earlier_keys: {config.earlier_keys} cannot be used: {error}.") from None
    return signer


def _client(config: SealerConfig) -> Any:
    from edge.fetch import client

    store = config.store
    return client(store.endpoint, store.region, store.credentials, store.ca)
