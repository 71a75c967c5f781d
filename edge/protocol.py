"""The HTTP protocol of every listener: checks the client's certificate before reading, and limits waiting times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.connections import HEADERS_S, Connection

Base: Any  # one of two classes with the same methods
try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    Base = HttpToolsProtocol
except ImportError:  # httptools has no wheel for this platform
    from uvicorn.protocols.http.h11_impl import H11Protocol

    Base = H11Protocol

MAX_HEADER_BYTES = 32 * 1024
IDLE_S = 70.0
"""Maximum seconds between two requests of a connection, slightly more than uvicorn's own limit."""


def names_of(certificate: dict[str, Any] | None) -> frozenset[str]:
    """The DNS names, in lower case, and SPIFFE ids of a verified peer certificate, as `ssl` gives it."""
    names = (certificate or {}).get("subjectAltName", ())
    dns = {value.lower() for kind, value in names if kind == "DNS"}
    return frozenset(
        dns | {value for kind, value in names if kind == "URI" and value.startswith("spiffe://")}
    )


@dataclass(frozen=True)
class Clients:
    """The clients of a listener, and whether the process still accepts requests."""

    allowed: frozenset[str] | None
    """DNS names in lower case. None: every client with a valid certificate."""
    on_refused: Callable[[], None]
    draining: Callable[[], bool]
    is_revoked: Callable[[bytes | None], bool]
    """Whether a certificate (DER) is revoked."""

    def may_speak(self, names: frozenset[str]) -> bool:
        return self.allowed is None or not names.isdisjoint(self.allowed)


class EdgeProtocol(Base):
    """uvicorn's protocol with a check of the client, and limits on headers and waiting."""

    clients: Clients
    connection: Connection
    refused = False
    client_revoked: Callable[[], bool]
    in_headers = False
    header_bytes = partial_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connection.abort = transport.abort
        self.connection.reading_paused = lambda: self.flow.read_paused
        self.connection.wait(HEADERS_S)
        if self.clients.draining():
            self.refused = True
            transport.abort()
            return
        tls = transport.get_extra_info("ssl_object")
        names = names_of(tls.getpeercert()) if tls is not None else frozenset()
        if not self.clients.may_speak(names):
            self.refused = True
            self.clients.on_refused()
            transport.abort()
            return
        # The scope of each request starts as a copy of this.
        shown = tls.getpeercert(binary_form=True) if tls is not None else None
        self.client_revoked = lambda: self.clients.is_revoked(shown)
        self.app_state = {
            **self.app_state,
            "client_names": names,
            "client_certificate": shown,
            "client_revoked": self.client_revoked,
        }

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.partial_bytes = 0
            if cycle.more_body:
                self.connection.receive_body(len(data))
            else:
                self.connection.work()
            return
        # Between requests, the data belongs to the next header block or to a body that is no longer read.
        self.connection.receive_headers()
        self.partial_bytes += 0 if cycle is not None and cycle.more_body else len(data)
        if self.partial_bytes > 2 * MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # the client has not sent another request yet
            self.connection.wait(IDLE_S)

    def pause_writing(self) -> None:
        self.connection.stall()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.connection.flow()
        super().resume_writing()

    def on_message_begin(self) -> None:
        self.header_bytes, self.in_headers = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.in_headers = False
        if self.client_revoked():  # revoked since the handshake
            self.refused = True
            self.clients.on_refused()
            self.transport.abort()
            return
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_bytes += len(name) + len(value)
        if self.header_bytes > MAX_HEADER_BYTES:
            raise ValueError("headers too large")  # the parser answers with 400
        if not self.in_headers:
            return  # a trailer; uvicorn would treat it as a header, e.g. as credentials
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise ValueError("the body is in another coding than chunked, which nobody here decodes")
        super().on_header(name, value)


def protocol_class(
    allowed_clients: list[str] | None,
    on_refused: Callable[[], None],
    draining: Callable[[], bool],
    is_revoked: Callable[[bytes | None], bool] = lambda certificate: False,
) -> type[asyncio.Protocol]:
    """uvicorn's protocol for one listener.

    `allowed_clients`: DNS names of the clients that may connect; None: every client. `on_refused` is called for
    each refused client. `draining` returns whether the process is ending. `is_revoked` returns whether a
    certificate (DER) is revoked.

    uvicorn does not pass the peer's certificate to the application. So the protocol checks it, and passes its names
    as `client_names`. Names are compared literally: a wildcard in a certificate matches nothing. A handshake that
    completes while the process drains is aborted, because uvicorn would not wait for its request.
    """
    allowed = None if allowed_clients is None else frozenset(name.lower() for name in allowed_clients)
    clients = Clients(allowed, on_refused, draining, is_revoked)
    return type("EdgeProtocol", (EdgeProtocol,), {"clients": clients})
