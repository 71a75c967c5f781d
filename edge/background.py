"""Serves the health port of a mode that works in the background and listens to no callers, until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from edge.journal import write_line

if TYPE_CHECKING:
    from starlette.responses import Response

    from edge.config import LoaderConfig, NotifierConfig, SealerConfig
    from edge.reload import Reloading


@asynccontextmanager
async def serving_health(
    config: LoaderConfig | NotifierConfig | SealerConfig,
    reloading: Reloading,
    *,
    problem: Callable[[], Awaitable[str | None]],
    metrics: Callable[[], Awaitable[Response]],
    close: Callable[[], Awaitable[None]],
) -> AsyncIterator[asyncio.Event]:
    """Serve `problem` and `metrics` at the health port during the context. Gives the event that SIGTERM, SIGINT and a
    reload set. `close`: is called at the end.
    """
    from edge.listeners import bind, health_listener
    from edge.metrics import Metrics
    from edge.service import Service, State, application, health_application

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reloading.listen(stop)
    service = Service(app=application([]), paths=set(), problem=problem, metrics=metrics, close=close)
    health = health_listener(health_application(service, State(Metrics(config.data_class))))
    where = config.health
    serving = asyncio.create_task(health.serve(sockets=[bind(where.host, where.port, "health.port")]))
    write_line("started", mode=config.mode, **{"class": config.data_class})
    yield stop
    health.should_exit = True
    await serving
    await close()
    write_line("stopped", mode=config.mode, **{"class": config.data_class})
