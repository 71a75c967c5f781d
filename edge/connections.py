"""Accepts connections, limits their number in total and per client address, and closes slow ones.

A connection is waiting until the client has sent a whole request. A full listener closes the connection that has
waited longest, so slow clients do not block others.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

HANDSHAKE_S = 10.0
HEADERS_S = 15.0
"""Seconds for a whole header block from its first byte, and for the first request of a connection."""
BODY_S, BODY_BYTES_A_SECOND = 20.0, 2048
"""Seconds for a request body, plus one second for each `BODY_BYTES_A_SECOND` bytes that were received."""
STALLED_S = 30.0
"""Seconds for a client to read pending output when the buffers are full."""
SWEEP_S = 1.0
RESERVED_FILES = 160
"""Files reserved for the health listener, the database and everything else that the process opens."""


class Connection:
    """A client's connection, from the moment when it is accepted."""

    def __init__(self, connections: Connections, client: str) -> None:
        self._connections, self.client = connections, client
        self.ends = 0.0
        """Time of the monotonic clock at which the connection is closed, unless a whole request arrives before."""
        self.abort: Callable[[], None] = lambda: None
        self.reading_paused: Callable[[], bool] = lambda: False
        self._partial = self._body = self._closed = False
        self.wait(HANDSHAKE_S + HEADERS_S)

    def wait(self, seconds: float) -> None:
        """Start waiting for a request, which must arrive within `seconds`."""
        self._partial = self._body = False
        self._wait_until(time.monotonic() + seconds)

    def receive_headers(self) -> None:
        """Note that a part of a header block arrived. Further parts do not extend the time."""
        if not self._partial:
            self._partial = True
            self._wait_until(min(self.ends, time.monotonic() + HEADERS_S))

    def receive_body(self, size: int) -> None:
        """Note that `size` bytes of a body arrived, which extends the time."""
        now = time.monotonic()
        if not self._body:
            self._body, self.ends = True, now + BODY_S
        # A fast beginning extends the time by a limited amount only.
        self._wait_until(min(self.ends + size / BODY_BYTES_A_SECOND, now + 2 * BODY_S))

    def work(self) -> None:
        """Note that the request is complete, so that its connection is not closed while the edge answers."""
        self._connections.leave_waiting(self)

    def stall(self) -> None:
        """Note that the client does not read what is written to it."""
        self._connections.stalled[self] = time.monotonic() + STALLED_S

    def flow(self) -> None:
        """Note that the client reads again."""
        self._connections.stalled.pop(self, None)

    def close(self) -> None:
        """Note that the connection is closed."""
        if not self._closed:
            self._closed = True
            self._connections.remove(self)

    def _wait_until(self, ends: float) -> None:
        self.ends = ends
        if not self._closed:
            self._connections.enter_waiting(self)


class Connections:
    """The open connections of one listener."""

    def __init__(self, maximum: int, maximum_per_client: int) -> None:
        self.most, self.most_per_client = maximum, maximum_per_client
        self.stalled: dict[Connection, float] = {}
        self._open: dict[str, int] = {}
        self._count = 0
        self._waiting: dict[str, OrderedDict[Connection, None]] = {}

    def admit(self, client: str) -> Connection | None:
        """Register a new connection of a client. May close a waiting one for it. None: there is no room."""
        if self._open.get(client, 0) >= self.most_per_client and not self._give_up_one_of(client):
            return None
        if self._count >= self.most:
            # Close one of the client with the most waiting connections, because it causes the shortage.
            client_with_most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=None)
            if client_with_most is None or not self._give_up_one_of(client_with_most):
                return None
        self._count += 1
        self._open[client] = self._open.get(client, 0) + 1
        return Connection(self, client)

    def make_room(self) -> None:
        """Close a waiting connection, because the process can open no more files."""
        client_with_most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=None)
        if client_with_most is not None:
            self._give_up_one_of(client_with_most)

    def enter_waiting(self, connection: Connection) -> None:
        """Mark the connection as waiting for its client. The longest wait is first in the order."""
        self._waiting.setdefault(connection.client, OrderedDict()).setdefault(connection)

    def leave_waiting(self, connection: Connection) -> None:
        """Mark the connection as not waiting."""
        waiting = self._waiting.get(connection.client)
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del self._waiting[connection.client]

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection from the counts."""
        self.leave_waiting(connection)
        self.stalled.pop(connection, None)
        self._count -= 1
        self._open[connection.client] -= 1
        if not self._open[connection.client]:
            del self._open[connection.client]

    def sweep(self) -> None:
        """Close the connections whose time is over."""
        now = time.monotonic()
        for waiting in list(self._waiting.values()):
            for connection in list(waiting):
                if connection.reading_paused():
                    connection.ends += SWEEP_S  # the edge itself has paused reading
                elif now >= connection.ends:
                    self._give_up(connection)
        for connection in [stalled for stalled, ends in self.stalled.items() if now >= ends]:
            self._give_up(connection)

    def _give_up_one_of(self, client: str) -> bool:
        connection = next(iter(self._waiting.get(client, ())), None)
        if connection is None:
            return False
        self._give_up(connection)
        return True

    def _give_up(self, connection: Connection) -> None:
        connection.abort()
        connection.close()


class Sources:
    """The addresses from which a socket accepts connections."""

    def __init__(self, ranges: Sequence[str], on_refused: Callable[[], None]) -> None:
        """`on_refused` is called for each connection that is closed because of its address."""
        self._networks, self._on_refused = [ip_network(text) for text in ranges], on_refused

    def allow(self, client: str) -> bool:
        """Whether the address is in one of the ranges."""
        address = ip_address(client.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        allowed = any((mapped or address) in network for network in self._networks)
        if not allowed:
            self._on_refused()
        return allowed


class Acceptor:
    """Accepts connections on one socket until it is closed. It has the interface of an asyncio server, for uvicorn."""

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        tls: ssl.SSLContext | None,
        protocol: Callable[[], Any],
        sources: Sources | None = None,
    ) -> None:
        """`sources` None: connections from every address are accepted."""
        self._socket, self._connections, self._tls, self._protocol = listening, connections, tls, protocol
        self._sources = sources
        self._beginning: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._tasks = [asyncio.create_task(self._accept()), asyncio.create_task(self._sweep())]

    def close(self) -> None:
        """Stop accepting."""
        self._tasks[0].cancel()

    async def wait_closed(self) -> None:
        """Cancel the remaining tasks. uvicorn has already waited for its connections."""
        for task in (*self._tasks, *self._beginning):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._beginning, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError:  # no file is left, or the client has gone
                self._connections.make_room()
                await asyncio.sleep(0.01)
                continue
            if self._sources is not None and not self._sources.allow(str(address[0])):
                accepted.close()
                continue
            connection = self._connections.admit(str(address[0]))
            if connection is None:
                accepted.close()
                continue
            task = asyncio.create_task(self._begin(accepted, connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket, connection: Connection) -> None:
        """Do the TLS handshake, then run the protocol."""
        task = asyncio.current_task()
        assert task is not None
        connection.abort = lambda: (task.cancel(), None)[1]

        def protocol() -> Any:
            instance = self._protocol()
            instance.connection = connection
            return instance

        begun = False
        try:
            with contextlib.suppress(OSError):  # the client has gone; the handshake fails
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # From here on the event loop owns the socket. Closing it here as well could close another socket that
            # has got the same file number.
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls is not None else None,
            )
            begun = True
        except (OSError, TimeoutError):  # a failed handshake is not an error of the edge
            pass
        finally:
            if not begun:
                connection.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._connections.sweep()


def affordable_connections(configured: int) -> int:
    """Maximum number of connections that the process's limit of open files allows, at most `configured`. Each needs
    two files: for the client and for the model server.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return (
        configured
        if hard == resource.RLIM_INFINITY
        else max(8, min(configured, (hard - RESERVED_FILES) // 2))
    )
