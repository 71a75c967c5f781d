"""The HTTP client for upstreams, its headers, and the errors that callers get when it fails."""

from __future__ import annotations

import asyncio
import functools
import ssl
from typing import Any

import httpx

from edge.config import Limits
from edge.openai_api import Refusal
from edge.transport import AiohttpTransport

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_GOTTEN_BYTES = 8 * 1024 * 1024
"""Maximum size of a server's health or metrics response."""
UNANSWERED = (httpx.HTTPError, TimeoutError, Refusal)
"""Errors of `get` without a usable response: no connection, too late, too large."""
WORKLOAD = "x-isthmus-workload"
BROKEN = "x-isthmus-broken"
"""Response header of a sidecar: its model server closed the connection before the first byte of an answer."""
# Less than the 65 s for which the edge's own listeners keep a connection, so that no request meets a closing one.
KEEP_ALIVE_S = 30
_POOL = httpx.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEP_ALIVE_S)


class Client:
    """Sends a request exactly once: follows no redirects, keeps no cookies, and ignores proxy variables.

    httpx's own client checks all of these in any case, which takes an eighth of the edge's time for a request.
    """

    def __init__(
        self, limits: Limits, verify: ssl.SSLContext | bool, *, passes_cookies: bool = False
    ) -> None:
        """`passes_cookies`: whether responses keep the cookies that the server sets."""
        short = limits.connect_timeout_s
        self._timeout = httpx.Timeout(limits.request_timeout_s, connect=short, pool=short).as_dict()
        self._transport = AiohttpTransport(verify, _POOL, passes_cookies=passes_cookies)

    async def send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str],
        server_name: str | None = None,
        fresh: bool = False,
    ) -> httpx.Response:
        """Send a request and return the response, with its body not read yet. Raises httpx.HTTPError.

        `server_name`: name that the server's certificate must contain. `fresh`: use a new connection, which may
        lead to another replica.
        """
        extensions: dict[str, Any] = {"timeout": self._timeout, "fresh": fresh}
        if server_name is not None:
            extensions["sni_hostname"] = server_name
        request = httpx.Request(method, _parsed(url), headers=headers, content=body, extensions=extensions)
        return await self._transport.handle_async_request(request)

    async def get(
        self, url: str, timeout_s: float, *, server_name: str | None = None, fresh: bool = False
    ) -> tuple[httpx.Response, bytes]:
        """The response to a GET within `timeout_s` seconds, and its body. Raises one of `UNANSWERED`."""
        async with asyncio.timeout(timeout_s):
            response = await self.send(
                "GET", url, headers=plain_headers("text/plain"), server_name=server_name, fresh=fresh
            )
            return response, await read_answer(response, MAX_GOTTEN_BYTES)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


@functools.lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)  # a few configured addresses


def plain_headers(accept: str) -> dict[str, str]:
    """All headers of a request to an upstream. None of them comes from the client."""
    return {
        "content-type": "application/json",
        "accept": accept,
        "accept-encoding": "identity",
        "user-agent": "isthmus-edge",
    }


async def read_answer(response: httpx.Response, most: int = MAX_ANSWER_BYTES) -> bytes:
    """Read the whole body and release the connection. Raises Refusal 502 if it is longer than `most` bytes."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > most:
                raise Refusal(502, "bad_gateway", "The model server's answer is too large.")
    finally:
        await response.aclose()
    return bytes(body)


def refusal_of(error: Exception) -> Refusal:
    """The error for the caller, from a failure of the transport. It names no address."""
    if _is_tls(error):  # with TLS 1.3 the server's refusal of our certificate arrives at the first read
        return Refusal(502, "bad_gateway", "The model server's certificate or ours was not accepted.")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return Refusal(503, "model_unavailable", "The model server cannot be reached now; try again later.")
    if isinstance(error, httpx.TimeoutException):
        return Refusal(504, "timeout", "The model did not answer within the time limit.")
    return Refusal(502, "bad_gateway", "The connection to the model server broke.")


def is_broken(error: Exception) -> bool:
    """Whether the connection broke after connecting and before the answer began. Timeouts do not count: the request
    may still run.
    """
    return isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)) and not (
        _is_tls(error) or isinstance(error, httpx.ConnectError)
    )


def _is_tls(error: BaseException | None) -> bool:
    depth = 0
    while error is not None and depth < 8:
        if isinstance(error, ssl.SSLError):
            return True
        error, depth = error.__cause__ or error.__context__, depth + 1
    return False
