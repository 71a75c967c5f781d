"""An httpx transport on aiohttp, which needs a quarter of the processor time of httpx's own transport.

httpx's own transport (httpcore over anyio, h11) does TLS and HTTP in Python. It takes a millisecond for each
request, which was most of the latency that the edge added. aiohttp uses C for both (`python -m
bench.edge_clients`). `httpx-aiohttp` is not used: if a server fails after it has received the request, it reports
"could not connect". Such a request must not be sent to another server.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import httpx

SILENT_S = 6
"""Seconds of silence after which a connection is probed (TCP keep-alive). After twice that time it is closed."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """A pool of connections. It keeps no cookies, follows no redirects, and sends a POST only once."""

    def __init__(
        self, verify: ssl.SSLContext | bool, limits: httpx.Limits, *, passes_cookies: bool = False
    ) -> None:
        """`passes_cookies`: whether responses keep the cookies that the server sets."""
        self._verify, self._limits, self._passes_cookies = verify, limits, passes_cookies
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response, with its body not read yet."""
        times = request.extensions["timeout"]
        with _errors(request):
            response = await self._open(fresh=request.extensions.get("fresh", False)).request(
                request.method,
                str(request.url),
                headers=[(name, value) for name, value in request.headers.items() if name != "host"],
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=times["pool"], sock_connect=times["connect"], sock_read=times["read"]
                ),
                server_hostname=request.extensions.get("sni_hostname"),
            )
        headers = [
            (name, value)
            for name, value in response.raw_headers
            if self._passes_cookies or name.lower() != b"set-cookie"
        ]
        return httpx.Response(
            response.status, headers=headers, stream=_Body(request, response), request=request
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        """The session that reuses connections, or with `fresh` the one that makes a new connection for each
        request.
        """
        if fresh not in self._sessions:  # a session belongs to the running event loop
            connector = aiohttp.TCPConnector(
                ssl=self._verify,
                limit=self._limits.max_connections or 0,
                socket_factory=_socket,
                force_close=fresh,
                keepalive_timeout=None if fresh else self._limits.keepalive_expiry,
            )
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._sessions[fresh]


class OwnSocket(socket.socket):
    """A socket that never closes the file of another socket.

    uvloop 0.22 and 0.23 close the file of a connection that is reset during connect, but leave its number in the
    Python object. When that object is deleted, it would close the number again, which may belong to another
    connection by then.
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._inode = os.fstat(self.fileno()).st_ino

    def close(self) -> None:
        """Close the socket, unless its file number belongs to another file now."""
        self._leave_others()
        super().close()

    def __del__(self) -> None:
        self._leave_others()

    def _leave_others(self) -> None:
        number = self.fileno()
        if number < 0:
            return
        try:
            is_own = os.fstat(number).st_ino == self._inode
        except OSError:
            is_own = False
        if not is_own:
            self.detach()


def _socket(address: Any) -> socket.socket:
    """A socket that detects an unreachable server, with or without a running request."""
    family, kind, protocol, *_ = address
    connecting = OwnSocket(family, kind, protocol)
    for option, value in ((socket.TCP_KEEPIDLE, SILENT_S), (socket.TCP_KEEPINTVL, SILENT_S // 2)):
        connecting.setsockopt(socket.IPPROTO_TCP, option, value)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2 * SILENT_S * 1000)
    return connecting


class _Body(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, response: aiohttp.ClientResponse) -> None:
        self._request, self._response = request, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors(self._request):
            async for piece in self._response.content.iter_any():
                yield piece

    async def aclose(self) -> None:
        # A connection with an unread body cannot be reused.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


@contextlib.contextmanager
def _errors(request: httpx.Request) -> Iterator[None]:
    """Convert aiohttp's errors into httpx's. Only connection errors mean that the server has received nothing."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error), request=request) from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx.ReadTimeout(str(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(str(error), request=request) from error
