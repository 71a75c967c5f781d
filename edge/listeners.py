"""Sockets, event loop and uvicorn servers of a mode's process."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

from edge.config import EnvironmentFault
from edge.connections import Acceptor, Connections, Sources
from edge.protocol import protocol_class

KEEP_ALIVE_S = 65
HEALTH_CONNECTIONS = 64


class Listener(uvicorn.Server):
    """A uvicorn server without its signal handlers and its own accept loop, which the process provides for both
    listeners.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.connections = connections
        self.sources: dict[socket.socket, Sources] = {}
        """By socket: from where it accepts connections. Others accept every address."""
        self.contexts: dict[socket.socket, ssl.SSLContext] = {}
        """By socket: its TLS context. Others have the listener's."""

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
            Acceptor(
                listening,
                self.connections,
                self.contexts.get(listening, config.ssl),
                protocol,
                self.sources.get(listening),
            )
            for listening in sockets or []
        ]
        self.servers = accepting
        self.started = True


def loop_factory() -> Any:
    """The event loop's factory: uvloop if it is installed. asyncio leaves Nagle's algorithm on for sockets that the
    process bound, which costs 40 ms for each answer.
    """
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


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
