"""httpx's way to the wire by aiohttp: the same requests and errors at a quarter of the processor time.

httpx's own (httpcore over anyio, h11) does TLS and HTTP in Python, a millisecond a request, which was most of what the
edge added; aiohttp has C for both (`python -m bench.edge_clients`). `httpx-aiohttp` is not used: of a server that went
away after it had the request it says "could not connect", and such a request must not be offered to another.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator

import aiohttp
import httpx


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One pool of connections. It keeps no cookies, follows no redirect, and sends a POST once."""

    def __init__(self, verify: ssl.SSLContext | bool, limits: httpx.Limits) -> None:
        self._verify, self._limits = verify, limits
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and give the answer with its body unread."""
        times = request.extensions["timeout"]
        with _errors(request):
            response = await self._open().request(
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
        kept = [(name, value) for name, value in response.raw_headers if name.lower() != b"set-cookie"]
        return httpx.Response(response.status, headers=kept, stream=_Body(request, response), request=request)

    async def aclose(self) -> None:
        """Give back every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:  # it belongs to the loop that runs, so it is made under one
            connector = aiohttp.TCPConnector(
                ssl=self._verify,
                limit=self._limits.max_connections or 0,
                keepalive_timeout=self._limits.keepalive_expiry,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session


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
