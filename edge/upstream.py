"""One upstream: a pooled client with mutual TLS, renewed with its files, and its failures as answers."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx

from edge.config import Limits, Route, UpstreamTls
from edge.openai_api import Refusal
from edge.tls import Watch, client_context

MAX_ANSWER_BYTES = 64 * 1024 * 1024
# Less than the 65 s for which our own listeners keep a connection: no request meets a closing one.
WORKLOAD = "x-isthmus-workload"
KEEP_ALIVE_S = 30
_POOL = httpx.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEP_ALIVE_S)


def new_client(limits: Limits, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
    """A client that follows no redirect, reads no proxy from the environment and retries nothing."""
    timeout = httpx.Timeout(
        limits.request_timeout_s, connect=limits.connect_timeout_s, pool=limits.connect_timeout_s
    )
    return httpx.AsyncClient(
        verify=verify, timeout=timeout, limits=_POOL, trust_env=False, follow_redirects=False
    )


class Upstream:
    """Where one workload's requests go. The server's certificate must bear the route's `server_name`."""

    def __init__(self, route: Route, tls: UpstreamTls, limits: Limits) -> None:
        self.route = route
        self._tls, self._limits = tls, limits
        self.watch = Watch([tls.certificate, tls.key, tls.ca], self._renew)
        self._client = new_client(limits, client_context(tls))
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, path: str, body: bytes, accept: str) -> httpx.Response:
        """Send, and return the answer with its body unread; raises Refusal when there is none to use."""
        request = self._client.build_request(
            "POST",
            self.route.url + path,
            content=body,
            headers=plain_headers(accept) | ({WORKLOAD: self.route.workload} if self.route.named else {}),
            extensions={"sni_hostname": self.route.server_name},
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise refusal_of(error) from error
        if response.status_code != 200:
            raise await self._refused(response)
        return response

    async def _refused(self, response: httpx.Response) -> Refusal:
        try:
            detail = await read_answer(response)
        except (httpx.HTTPError, Refusal):
            detail = b""
        status = response.status_code
        if status in (400, 422):
            text = self._message(detail) or "The model server does not accept this request."
            return Refusal(400, "rejected_by_model", text)
        if status == 413:
            return Refusal(413, "request_too_large", "The request is too large for the model server.")
        if status == 429:
            return Refusal(429, "model_busy", "The model is at its limit; try again later.")
        if status in (503, 504):
            return Refusal(status, "model_unavailable", "The model is not available now; try again later.")
        return Refusal(502, "bad_gateway", "The model server failed on this request.")

    def _message(self, detail: bytes) -> str:
        """What the model server says of the caller's own mistake, with the model's name as the caller's."""
        try:
            document: Any = httpx.Response(200, content=detail).json()
            inner = document.get("error", document)
            message = inner.get("message")
        except (ValueError, AttributeError):
            return ""
        if not isinstance(message, str):
            return ""
        return message.replace(self.route.model, self.route.workload)[:400]

    async def close(self) -> None:
        """Give back every connection."""
        for task in self._closing:
            task.cancel()
        await self._client.aclose()

    def _renew(self) -> None:
        old, self._client = self._client, new_client(self._limits, client_context(self._tls))
        task = asyncio.get_running_loop().create_task(self._close_later(old))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_later(self, client: httpx.AsyncClient) -> None:
        await asyncio.sleep(self._limits.request_timeout_s)  # its running requests end first
        await client.aclose()


def plain_headers(accept: str) -> dict[str, str]:
    """All headers that go upstream: none of them comes from the client."""
    return {
        "content-type": "application/json",
        "accept": accept,
        "accept-encoding": "identity",
        "user-agent": "isthmus-edge",
    }


async def read_answer(response: httpx.Response) -> bytes:
    """The whole body, and the connection given back; raises Refusal 502 when it is beyond all measure."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
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


def _is_tls(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, ssl.SSLError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
