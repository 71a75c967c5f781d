"""The HTTP protocol of the TLS listener: it looks at the client's certificate before any byte is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Base: Any  # one of two classes with the same hooks
try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    Base = HttpToolsProtocol
except ImportError:  # httptools has no wheel for this machine
    from uvicorn.protocols.http.h11_impl import H11Protocol

    Base = H11Protocol

FIRST_REQUEST_S = 15
MAX_HEADER_BYTES = 32 * 1024


def names_of(certificate: dict[str, Any] | None) -> frozenset[str]:
    """The DNS names, in lower case, and SPIFFE ids of a verified peer certificate, as `ssl` gives it."""
    names = (certificate or {}).get("subjectAltName", ())
    dns = {value.lower() for kind, value in names if kind == "DNS"}
    return frozenset(
        dns | {value for kind, value in names if kind == "URI" and value.startswith("spiffe://")}
    )


def protocol_class(
    allowed_clients: list[str] | None, on_refused: Callable[[], None], draining: Callable[[], bool]
) -> type[asyncio.Protocol]:
    """uvicorn's protocol for one listener; with `allowed_clients`, only these DNS names may speak.

    uvicorn does not hand the peer's certificate to the application, so the check stands here, and what it
    bears goes along as `client_names`. A wildcard in a certificate matches nothing: names are compared as they are.
    A handshake that is over only when the process drains is given up: uvicorn waits for no such connection, and would
    leave its request half answered.
    """
    allowed = None if allowed_clients is None else frozenset(name.lower() for name in allowed_clients)

    class EdgeProtocol(Base):
        refused = False
        header_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if draining():
                self.refused = True
                transport.abort()
                return
            tls = transport.get_extra_info("ssl_object")
            names = names_of(tls.getpeercert()) if tls is not None else frozenset()
            if allowed is not None and not names & allowed:
                self.refused = True
                on_refused()
                transport.abort()
                return
            # Each request's scope begins as a copy of this.
            self.app_state = {**self.app_state, "client_names": names}
            # uvicorn limits the time between requests, not the time before the first one.
            self.timeout_keep_alive_task = self.loop.call_later(
                FIRST_REQUEST_S, self.timeout_keep_alive_handler
            )

        def data_received(self, data: bytes) -> None:
            if not self.refused:
                super().data_received(data)

        def on_message_begin(self) -> None:
            self.header_bytes = 0
            super().on_message_begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            self.header_bytes += len(name) + len(value)
            if self.header_bytes > MAX_HEADER_BYTES:
                raise ValueError("headers too large")  # the parser turns it into a 400
            super().on_header(name, value)

    return EdgeProtocol
