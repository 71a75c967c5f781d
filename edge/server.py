"""Runs a mode as a process: two listeners, renewal of certificates, and draining at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from edge.config import EnvironmentFault, GatewayConfig, ReviewsConfig, SidecarConfig, TranslatorConfig
from edge.connections import Acceptor, Connections, affordable_connections
from edge.journal import Journal, quiet_libraries, write_line
from edge.metrics import Metrics
from edge.protocol import protocol_class
from edge.reload import Reloading
from edge.service import Service, State, health_application
from edge.tls import RenewableServerContext

KEEP_ALIVE_S = 65
POLL_S = 1.0
# Seconds after the drain time in which running streams can send their error and end.
LAST_WORDS_S = 3


Served = GatewayConfig | ReviewsConfig | SidecarConfig | TranslatorConfig


HEALTH_CONNECTIONS = 64


class Listener(uvicorn.Server):
    """A uvicorn server without its signal handlers and its own accept loop, which the process provides for both
    listeners.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.connections = connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections on bound sockets."""
        await self.lifespan.startup()
        config = self.config

        def protocol() -> Any:
            protocol_type: Any = config.http_protocol_class
            return protocol_type(config=config, server_state=self.server_state, app_state=self.lifespan.state)

        accepting: Any = [
            Acceptor(listening, self.connections, config.ssl, protocol) for listening in sockets or []
        ]
        self.servers = accepting
        self.started = True


def run(config: Served, reloading: Reloading) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError or EnvironmentFault before it listens."""
    quiet_libraries()
    # LiteLLM creates its own connections, whose sockets uvloop may close twice (`edge.transport.OwnSocket`).
    with asyncio.Runner(
        loop_factory=None if isinstance(config, TranslatorConfig) else loop_factory()
    ) as runner:
        runner.run(_serve(config, reloading))


def loop_factory() -> Any:
    """The event loop's factory: uvloop if it is installed. asyncio leaves Nagle's algorithm on for sockets that the
    process bound, which costs 40 ms for each answer.
    """
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _make_service(config: Served, state: State) -> Service:
    if isinstance(config, GatewayConfig):
        from edge.gateway import Gateway

        return Gateway(config, state).service()
    if isinstance(config, SidecarConfig):
        from edge.sidecar import Sidecar

        return Sidecar(config, state).service()
    if isinstance(config, ReviewsConfig):
        from edge.reviews.service import ReviewsService

        return ReviewsService(config, state).service()
    from edge.translator import Translator  # imports LiteLLM, which only the translator's image contains

    return Translator(config, state).service()


async def _serve(config: Served, reloading: Reloading) -> None:
    state = State(Metrics(config.data_class))
    tls = RenewableServerContext(config.listen)
    service = _make_service(config, state)
    # Exclude all existing objects from garbage collection, which would delay requests by 25 ms or more.
    gc.freeze()
    main = _main_listener(config, service, state, tls)
    health = health_listener(health_application(service, state))
    main_socket = bind(config.listen.host, config.listen.port, "listen.port")
    health_socket = bind(config.health.host, config.health.port, "health.port")
    stop = _stop_signal(reloading)
    main_task = asyncio.create_task(main.serve(sockets=[main_socket]))
    health_task = asyncio.create_task(health.serve(sockets=[health_socket]))
    watching = [asyncio.create_task(_watch(config, [tls.watch, *service.watches]))]
    watching += [asyncio.create_task(work()) for work in service.background]
    write_line("started", mode=config.mode, port=config.listen.port, **{"class": config.data_class})
    stopping = asyncio.create_task(stop.wait())
    # If a background task fails, the process stops in order. Otherwise requests would not be counted or recorded.
    await asyncio.wait({stopping, main_task, health_task, *watching}, return_when=asyncio.FIRST_COMPLETED)
    await _drain(config, state, main, main_task)
    health.should_exit = True
    await health_task
    failed = [task for task in watching if task.done()]
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)
    await service.close()
    write_line("stopped", mode=config.mode, **{"class": config.data_class})
    for task in failed:
        task.result()


def _main_listener(config: Served, service: Service, state: State, tls: RenewableServerContext) -> Listener:
    """The TLS listener of requests. Not started yet."""

    def count_refused() -> None:
        state.metrics.refused_client()
        write_line("client_refused", mode=config.mode, **{"class": config.data_class})

    # Gateway and review service identify each caller, so any client with a certificate of their CA may connect.
    allowed = None if isinstance(config, (GatewayConfig, ReviewsConfig)) else config.allowed_clients
    journal = Journal(
        service.app,
        mode=config.mode,
        data_class=config.data_class,
        metrics=state.metrics,
        paths=service.paths,
    )
    most = affordable_connections(config.limits.max_connections)
    return listener(
        journal,
        Connections(most, min(config.limits.max_connections_per_client, most * 3 // 4)),
        http=protocol_class(allowed, count_refused, lambda: state.draining, tls.is_revoked),
        ssl_certfile=str(config.listen.certificate),
        ssl_context_factory=lambda _config, _default: tls.context,
        timeout_graceful_shutdown=int(config.limits.drain_s + LAST_WORDS_S + 1),
    )


def _stop_signal(reloading: Reloading) -> asyncio.Event:
    """An event that SIGTERM, SIGINT and a changed configuration set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reloading.listen(stop)
    return stop


async def _drain(config: Served, state: State, main: Listener, main_task: asyncio.Task[None]) -> None:
    """Stop accepting requests and wait for the running ones. After `drain_s` seconds they are cut."""
    state.draining = True
    write_line("draining", mode=config.mode, running=len(state.running), **{"class": config.data_class})
    last_call = asyncio.get_running_loop().call_later(
        config.limits.drain_s, lambda: [deadline.cut() for deadline in list(state.running)]
    )
    main.should_exit = True
    ending = asyncio.create_task(_end_when_done(main, state))
    await main_task
    ending.cancel()
    last_call.cancel()


async def _end_when_done(listener: Listener, state: State) -> None:
    """Close idle connections when all requests have ended. With TLS, a client that does not react would keep its
    connection open.
    """
    while state.running:
        await asyncio.sleep(0.05)
    await asyncio.sleep(LAST_WORDS_S)
    listener.force_exit = True


async def _watch(config: Served, watches: list[Any]) -> None:
    while True:
        await asyncio.sleep(POLL_S)
        for watch in watches:
            result = watch.poll()
            if result is not None:
                write_line("certificate", mode=config.mode, result=result, **{"class": config.data_class})


def health_listener(app: Any) -> Listener:
    """The plain HTTP listener of probes and monitoring, with its own limit of connections."""
    return plain_listener(app, HEALTH_CONNECTIONS, timeout_graceful_shutdown=1)


def plain_listener(app: Any, most: int, **options: Any) -> Listener:
    """A listener without TLS that accepts any client."""
    http = protocol_class(None, lambda: None, lambda: False)
    return listener(app, Connections(most, most), http=http, **options)


def listener(app: Any, connections: Connections, **options: Any) -> Listener:
    """A listener for an application. Not started yet."""
    return Listener(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            **options,
        ),
        connections,
    )


def bind(host: str, port: int, key: str) -> socket.socket:
    """A bound socket that listens. `key` names the setting in errors. Raises EnvironmentFault."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise EnvironmentFault(f"{key}: {host}:{port} cannot be listened on: {error.strerror}.") from None
