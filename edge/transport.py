"""httpx's way to the wire by aiohttp: the same requests and errors at a quarter of the processor time.

httpx's own (httpcore over anyio, h11) does TLS and HTTP in Python, a millisecond a request, which was most of what the
edge added; aiohttp has C for both (`python -m bench.edge_clients`). `httpx-aiohttp` is not used: of a server that went
away after it had the request it says "could not connect", and such a request must not be offered to another.
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
"""After so long without a word a server's machine is asked whether it is there; after twice that it is given up."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One pool of connections. It keeps no cookies, follows no redirect, and sends a POST once."""

    def __init__(self, verify: ssl.SSLContext | bool, limits: httpx.Limits) -> None:
        self._verify, self._limits = verify, limits
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and give the answer with its body unread."""
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
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"set-cookie"]
        return httpx.Response(
            response.status, headers=headers, stream=_Body(request, response), request=request
        )

    async def aclose(self) -> None:
        """Give back every connection."""
        for session in self._sessions.values():
            await session.close()

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        """The session that keeps connections, or the one that makes a new one for each request."""
        if fresh not in self._sessions:  # it belongs to the loop that runs, so it is made under one
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
    """A socket that closes its own file only.

    uvloop 0.22 and 0.23 close the file of a connection that is reset while it is made, and leave its number with the
    Python object, whose end would close it again: by then perhaps another client's connection.
    """

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._inode = os.fstat(self.fileno()).st_ino

    def close(self) -> None:
        """As every socket, unless the number is another file's by now."""
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
    """A socket on which a machine that went away is noticed, with a request under way or without."""
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
        # A body that was not read to its end takes its connection with it.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


@contextlib.contextmanager
def _errors(request: httpx.Request) -> Iterator[None]:
    """aiohttp's errors as httpx's. Only those of connecting say that the server had nothing of the request."""
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
