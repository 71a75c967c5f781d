"""Runs a mode as a process: two listeners, renewal of certificates, and draining at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import Any

from edge.config import ChatConfig, GatewayConfig, ReviewsConfig, SidecarConfig, TranslatorConfig
from edge.connections import Connections, Sources, affordable_connections
from edge.journal import Journal, quiet_libraries, write_line
from edge.listeners import Listener, bind, health_listener, listener, loop_factory
from edge.metrics import Metrics
from edge.protocol import protocol_class
from edge.reload import Reloading
from edge.service import Service, State, health_application
from edge.tls import RenewableServerContext

POLL_S = 1.0
# Seconds after the drain time in which running streams can send their error and end.
LAST_WORDS_S = 3


Served = ChatConfig | GatewayConfig | ReviewsConfig | SidecarConfig | TranslatorConfig


def run(config: Served, reloading: Reloading) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError or EnvironmentFault before it listens."""
    quiet_libraries()
    # LiteLLM creates its own connections, whose sockets uvloop may close twice (`edge.transport.OwnSocket`).
    with asyncio.Runner(
        loop_factory=None if isinstance(config, TranslatorConfig) else loop_factory()
    ) as runner:
        runner.run(_serve(config, reloading))


def _make_service(config: Served, state: State) -> Service:
    if isinstance(config, GatewayConfig):
        from edge.gateway import Gateway

        return Gateway(config, state).service()
    if isinstance(config, ChatConfig):
        from edge.chats.proxy import ChatProxy

        return ChatProxy(config, state).service()
    if isinstance(config, SidecarConfig):
        from edge.sidecar import Sidecar

        return Sidecar(config, state).service()
    if isinstance(config, ReviewsConfig):
        from edge.reviews.service import ReviewsService

        reviews = ReviewsService(config, state)
        if config.desk is None:
            return reviews.service()
        from edge.desk.service import with_desk

        return with_desk(reviews, config, state)
    from edge.translator import Translator  # imports LiteLLM, which only the translator's image contains

    return Translator(config, state).service()


async def _serve(config: Served, reloading: Reloading) -> None:
    workloads = config.workloads if isinstance(config, GatewayConfig) else []
    state = State(Metrics(config.data_class, [workload.slo for workload in workloads if workload.slo]))
    tls = RenewableServerContext(config.listen)
    desk = config.desk.listen if isinstance(config, ReviewsConfig) and config.desk is not None else None
    desk_tls = RenewableServerContext(desk) if desk is not None else None
    state.is_revoked = (
        tls.is_revoked
        if desk_tls is None
        else lambda shown: tls.is_revoked(shown) or desk_tls.is_revoked(shown)
    )
    service = _make_service(config, state)
    # Exclude all existing objects from garbage collection, which would delay requests by 25 ms or more.
    gc.freeze()
    main = _main_listener(config, service, state, tls)
    health = health_listener(health_application(service, state))
    main_sockets = [bind(config.listen.host, config.listen.port, "listen.port")]
    if isinstance(config, GatewayConfig) and config.access is not None:
        main_sockets.append(bind(config.listen.host, config.access.port, "access.port"))
        main.sources[main_sockets[1]] = Sources(config.access.source_ranges, state.metrics.refused_address)
    if desk is not None and desk_tls is not None:
        main_sockets.append(bind(desk.host, desk.port, "desk.listen.port"))
        main.contexts[main_sockets[1]] = desk_tls.context
        service.watches.append(desk_tls.watch)
    health_socket = bind(config.health.host, config.health.port, "health.port")
    stop = _stop_signal(reloading)
    main_task = asyncio.create_task(main.serve(sockets=main_sockets))
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

    # Gateway and review service identify each caller, so any client with a certificate of their CA may connect. The
    # chat's proxy identifies each person.
    by_caller = isinstance(config, (ChatConfig, GatewayConfig, ReviewsConfig))
    allowed = None if by_caller else config.allowed_clients
    journal = Journal(
        service.app,
        mode=config.mode,
        data_class=config.data_class,
        metrics=state.metrics,
        paths=service.paths,
    )
    state.app = journal
    most = affordable_connections(config.limits.max_connections)
    return listener(
        journal,
        Connections(most, min(config.limits.max_connections_per_client, most * 3 // 4)),
        http=protocol_class(allowed, count_refused, lambda: state.draining, state.is_revoked),
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
