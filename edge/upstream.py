"""A client for upstreams, what is sent to them beside a body, and a transport's failures as answers."""

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
"""Of a server's health and metrics."""
UNANSWERED = (httpx.HTTPError, TimeoutError, Refusal)
"""What comes of `get` where there is no answer: none, too late, too large."""
WORKLOAD = "x-isthmus-workload"
BROKEN = "x-isthmus-broken"
"""A sidecar says by it that its model server broke off before the first byte of an answer."""
# Less than the 65 s for which our own listeners keep a connection: no request meets a closing one.
KEEP_ALIVE_S = 30
_POOL = httpx.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEP_ALIVE_S)


class Client:
    """Sends a request once, as it is asked: follows no redirect, keeps no cookie, reads no proxy from the environment.

    httpx's own client looks into all of that, asked or not: an eighth of what a request costs the edge.
    """

    def __init__(self, limits: Limits, verify: ssl.SSLContext | bool) -> None:
        short = limits.connect_timeout_s
        self._timeout = httpx.Timeout(limits.request_timeout_s, connect=short, pool=short).as_dict()
        self._transport = AiohttpTransport(verify, _POOL)

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
        """The answer with its body unread; the server's certificate must bear `server_name`. Raises httpx.HTTPError.

        `fresh`: over a new connection, which may lead to another replica.
        """
        extensions: dict[str, Any] = {"timeout": self._timeout, "fresh": fresh}
        if server_name is not None:
            extensions["sni_hostname"] = server_name
        request = httpx.Request(method, _parsed(url), headers=headers, content=body, extensions=extensions)
        return await self._transport.handle_async_request(request)

    async def get(
        self, url: str, timeout_s: float, *, server_name: str | None = None, fresh: bool = False
    ) -> tuple[httpx.Response, bytes]:
        """What is answered in time, and its body; raises one of `UNANSWERED`."""
        async with asyncio.timeout(timeout_s):
            response = await self.send(
                "GET", url, headers=plain_headers("text/plain"), server_name=server_name, fresh=fresh
            )
            return response, await read_answer(response, MAX_GOTTEN_BYTES)

    async def aclose(self) -> None:
        """Give back every connection."""
        await self._transport.aclose()


@functools.lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)  # of the few that the configuration names


def plain_headers(accept: str) -> dict[str, str]:
    """All headers that go upstream: none of them comes from the client."""
    return {
        "content-type": "application/json",
        "accept": accept,
        "accept-encoding": "identity",
        "user-agent": "isthmus-edge",
    }


async def read_answer(response: httpx.Response, most: int = MAX_ANSWER_BYTES) -> bytes:
    """The whole body, and the connection given back; raises Refusal 502 when it is beyond all measure."""
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
    """A transport's failure as an answer that names no address."""
    if _is_tls(error):  # under TLS 1.3 a server refuses our certificate only when we read
        return Refusal(502, "bad_gateway", "The model server's certificate or ours was not accepted.")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return Refusal(503, "model_unavailable", "The model server cannot be reached now; try again later.")
    if isinstance(error, httpx.TimeoutException):
        return Refusal(504, "timeout", "The model did not answer within the time limit.")
    return Refusal(502, "bad_gateway", "The connection to the model server broke.")


def is_broken(error: Exception) -> bool:
    """Whether a connection was made, and broke before the answer began. What was late may still run."""
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
