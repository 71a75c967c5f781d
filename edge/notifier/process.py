"""Runs `mode: notifier`: routes new notifications, sends what is due, and exports how the outbox stands."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.responses import Response

from edge.background import serving_health
from edge.config import NotifierConfig
from edge.database import Database, DatabaseDown
from edge.database.migrations import outdated
from edge.database.outbox import STATUS
from edge.journal import quiet_libraries, write_line
from edge.notifier.messages import Delivery, SendError
from edge.notifier.sending import Sender
from edge.reload import Reloading

POLL_S = 2.0
LEASE_S = 60
"""Seconds after which another notifier sends what a killed one had leased. Renewed while a target is slow."""
BACKOFF_S = (30, 60, 120, 300, 600, 900)
"""Seconds until the next attempt, by the number of failed ones. The last applies to all further ones."""
KEEP_DAYS = 30
"""Days for which delivered notifications stay in the outbox."""
_UNROUTED = """
SELECT id, domain, addressee FROM isthmus.outbox
WHERE (class, site) = ($1, $2) AND routed_at IS NULL AND at <= isthmus.now() - $3::interval
ORDER BY number LIMIT 100
"""
_LEASE = """
SELECT l.*, coalesce(o.item, '') AS item, coalesce(o.status, '') AS status, coalesce(o.workload, '') AS workload
FROM isthmus.outbox_lease($1, $2, $3, $4) l JOIN isthmus.outbox o ON o.id = l.id
"""


class Notifier:
    """Sends the notifications of one class at one site. Raises ConfigError."""

    def __init__(self, config: NotifierConfig) -> None:
        self._config = config
        self._place = (config.data_class, config.site)
        self._database = Database(config.database)
        self._sender = Sender(config)
        self._routes = {(route.domain, route.to): route.targets for route in config.routes}
        self._id = uuid.uuid4()
        self._registry = CollectorRegistry()
        gauge, counter = self._gauge, self._counter
        self._waiting = gauge("outbox_waiting", "Deliveries of notifications that wait.")
        self._oldest = gauge("outbox_oldest_seconds", "Age of the oldest notification that waits.")
        self._dead = gauge("outbox_dead", "Deliveries that were given up.")
        self._sent = counter("notifications_sent", "Notifications that a target accepted.")
        self._failed = counter("notifications_failed", "Attempts that failed.")

    async def turn(self) -> int:
        """Route and send everything that is due. Returns the number of deliveries tried. Raises DatabaseDown."""
        for row in await self._database.fetch(
            _UNROUTED, *self._place, timedelta(seconds=self._config.gather_s)
        ):
            targets = self._targets_of(row["domain"], row["addressee"])
            await self._database.fetch("SELECT isthmus.outbox_route($1, $2)", row["id"], targets)
        tried = 0
        while rows := await self._database.fetch(_LEASE, *self._place, self._id, LEASE_S):
            await self._deliver(Delivery.of(rows[0]))
            tried += 1
        return tried

    async def observe(self) -> None:
        """Update the gauges, and delete what was delivered long ago. Raises DatabaseDown."""
        (row,) = await self._database.fetch(STATUS, *self._place)
        self._waiting.labels(self._config.data_class).set(row["waiting"])
        self._oldest.labels(self._config.data_class).set(row["oldest_s"])
        self._dead.labels(self._config.data_class).set(row["dead"])
        await self._database.fetch(
            "SELECT isthmus.outbox_sweep($1, $2, $3)", *self._place, timedelta(days=KEEP_DAYS)
        )

    async def close(self) -> None:
        """End the connections."""
        await self._database.close()

    async def problem(self) -> str | None:
        """Why nothing can be sent now, or None."""
        return await outdated(self._database)

    async def metrics(self) -> Response:
        """The metrics in Prometheus' format."""
        return Response(
            generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    def _targets_of(self, domain: str, addressee: str) -> list[str]:
        return (
            self._routes.get((domain, addressee)) or self._routes.get((domain, None)) or self._config.default
        )

    async def _deliver(self, delivery: Delivery) -> None:
        """Send one notification and mark the result. Raises DatabaseDown; then it is sent again after the lease."""
        error: str | None = None
        renewing = asyncio.create_task(self._renew(delivery))
        try:
            await asyncio.to_thread(self._sender.send, delivery)
        except SendError as problem:
            error = str(problem)
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
        pause = BACKOFF_S[min(delivery.attempts, len(BACKOFF_S)) - 1] if error else 0
        outcome = (
            await self._database.fetch(
                "SELECT isthmus.outbox_mark($1, $2, $3, $4, $5, $6) AS outcome",
                *(delivery.id, delivery.target, self._id, error),
                *(timedelta(seconds=pause), timedelta(hours=self._config.give_up_h)),
            )
        )[0]["outcome"]
        (self._failed if error else self._sent).labels(self._config.data_class).inc()
        write_line(
            "notification",
            **{"id": str(delivery.id), "kind": delivery.kind},
            **({"workload": delivery.workload} if delivery.domain is None else {"domain": delivery.domain}),
            **{"target": delivery.target, "attempt": delivery.attempts, "result": outcome},
            **({"error": error} if error else {}),
        )

    async def _renew(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(DatabaseDown):
                await self._database.fetch(
                    "SELECT isthmus.outbox_renew($1, $2, $3, $4)",
                    *(delivery.id, delivery.target, self._id, LEASE_S),
                )

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(f"isthmus_{name}", description, ["class"], registry=self._registry)

    def _counter(self, name: str, description: str) -> Counter:
        return Counter(f"isthmus_{name}", description, ["class"], registry=self._registry)


def run(config: NotifierConfig, reloading: Reloading) -> None:
    """Send until SIGTERM or SIGINT. Raises ConfigError at start."""
    quiet_libraries()
    asyncio.run(_serve(config, reloading))


async def _serve(config: NotifierConfig, reloading: Reloading) -> None:
    notifier = Notifier(config)
    async with serving_health(
        config, reloading, problem=notifier.problem, metrics=notifier.metrics, close=notifier.close
    ) as stop:
        while not stop.is_set():
            try:
                await notifier.turn()
                await notifier.observe()
            except DatabaseDown as error:
                write_line("notifier_failed", error=str(error))  # it is tried again
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_S)
