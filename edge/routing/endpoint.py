"""One address: a pooled client with mutual TLS, its health and load; and a model there, as a route knows it."""

from __future__ import annotations

import asyncio
import re
import time
from urllib.parse import urlsplit

import httpx

from edge.config import Limits, Place, UpstreamTls
from edge.openai_api import Refusal
from edge.routing.gpu_time import Sharing
from edge.routing.health import Health
from edge.routing.rejection import translate_rejection
from edge.tls import Watch, client_context
from edge.upstream import BROKEN, UNANSWERED, Client, is_broken, read_answer, refusal_of

PROBE_TIMEOUT_S = 2.0
STALE_PROBES = 3
PROBES = 3
_GAUGE = re.compile(rb"^vllm:num_requests_(waiting|running)(?:\{[^\n]*\})? ([0-9.e+]+)$", re.MULTILINE)


class Unsent(Refusal):
    """Nothing came of the request there: no connection, or 503 before the first byte. Another may be asked."""


class Broken(Unsent):
    """The connection broke before the first byte. The replica may have died of it, so it is offered only once more."""


class Endpoint:
    """Shared by all routes that lead to one address under one name."""

    def __init__(self, url: str, server_name: str, tls: UpstreamTls, limits: Limits) -> None:
        self.url, self.server_name = url, server_name
        self.name = f"{server_name}:{urlsplit(url).port or 443}"
        self.health, self.sharing = Health(), Sharing()
        self.watch = Watch([tls.certificate, tls.key, tls.ca, *tls.ca_bundles], self._renew)
        self._tls, self._limits = tls, limits
        self._client = Client(limits, client_context(tls))
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting, self._told_at = 0, float("-inf")

    @property
    def waiting(self) -> int:
        """Requests that wait there, as its model server said lately; 0 where it says nothing."""
        return self._waiting if time.monotonic() - self._told_at < STALE_PROBES * self._limits.probe_s else 0

    @property
    def load(self) -> int:
        """By which the less busy one is chosen."""
        return self.sharing.running + self.waiting

    async def post(
        self, path: str, headers: dict[str, str], body: bytes, *, fresh: bool = False
    ) -> httpx.Response:
        """The answer with its body unread; raises httpx.HTTPError."""
        return await self._client.send(
            "POST", self.url + path, body=body, headers=headers, server_name=self.server_name, fresh=fresh
        )

    async def probe(self) -> None:
        """Ask for its health, and then for its load.

        Behind one address there may be several replicas. It is ill when none of three connections leads to a well one.
        """
        health = await self._get("/health")
        for _ in range(PROBES - 1):
            if health is None:
                health = await self._get("/health", fresh=True)
        self.health.said(health is not None)
        if health is None or (metrics := await self._get("/metrics")) is None:
            return
        counts = {b"waiting": 0.0, b"running": 0.0}
        for kind, value in _GAUGE.findall(metrics):  # a line for each engine behind the address
            counts[kind] += float(value)
        self._waiting, self._told_at = int(counts[b"waiting"]), time.monotonic()
        self.sharing.told(int(counts[b"running"]))

    async def probing(self) -> None:
        """Probe for ever."""
        while True:
            await self.probe()
            await asyncio.sleep(self._limits.probe_s)

    async def close(self) -> None:
        """Give back every connection."""
        for task in self._closing:
            task.cancel()
        await self._client.aclose()

    async def _get(self, path: str, *, fresh: bool = False) -> bytes | None:
        """What is answered; empty where the path is not known there (a translator, a router); None where it is ill."""
        try:
            response, content = await self._client.get(
                self.url + path, PROBE_TIMEOUT_S, server_name=self.server_name, fresh=fresh
            )
        except UNANSWERED:
            return None
        if response.status_code >= 500:
            return None
        return content if response.status_code == 200 else b""

    def _renew(self) -> None:
        old, self._client = self._client, Client(self._limits, client_context(self._tls))
        task = asyncio.get_running_loop().create_task(self._close_later(old))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_later(self, client: Client) -> None:
        await asyncio.sleep(self._limits.request_timeout_s)  # its running requests end first
        await client.aclose()


class UpstreamCall:
    """A request that was given to an upstream. Until it is closed it counts as running there."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._entered = upstream.endpoint.sharing.enter()
        self._share: float | None = None
        self._response: httpx.Response | None = None
        self.declined = False
        """Whether it was answered, and with an error: no text came of it."""

    @property
    def response(self) -> httpx.Response:
        """What came of `send`, its body unread."""
        assert self._response is not None
        return self._response

    async def send(self, path: str, body: bytes, headers: dict[str, str], *, fresh: bool = False) -> None:
        """Until the answer begins; raises Unsent, or Refusal when it is no use."""
        endpoint = self.upstream.endpoint
        try:
            self._response = await endpoint.post(path, headers, body, fresh=fresh)
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            if is_broken(error):
                endpoint.health.refused()
                raise Broken(refusal.status, refusal.code, refusal.message) from error
            if refusal.status != 503:  # it was connected: something may have come of it
                raise refusal from error
            endpoint.health.refused()
            raise Unsent(refusal.status, refusal.code, refusal.message) from error
        status = self._response.status_code
        if status == 503 or BROKEN in self._response.headers:
            endpoint.health.refused()
        else:
            endpoint.health.took()
        if status != 200:
            self.declined = True
            raise await self.upstream.refusal(self._response)

    def share_s(self) -> float:
        """Seconds of the whole endpoint that the request took; from now on it runs no longer."""
        if self._share is None:
            self._share = self.upstream.endpoint.sharing.leave(self._entered)
        return self._share

    async def close(self) -> None:
        """Give back the connection."""
        self.share_s()
        if self._response is not None:
            await self._response.aclose()


class Upstream:
    """A model at an endpoint. The server's certificate must bear the place's `server_name`."""

    def __init__(self, place: Place, endpoint: Endpoint, model_name: str) -> None:
        self.place, self.endpoint, self._called = place, endpoint, model_name

    async def refusal(self, response: httpx.Response) -> Refusal:
        """An answer that is an error, as the caller is told it."""
        try:
            detail = await read_answer(response)
        except (httpx.HTTPError, Refusal):
            detail = b""
        status = response.status_code
        if status in (400, 422):
            return translate_rejection(detail)
        if status == 413:
            return Refusal(413, "request_too_large", "The request is too large for the model server.")
        if status == 429:
            return Refusal(429, "model_busy", "The model is at its limit; try again later.")
        if status in (503, 504):
            refusal_class = Unsent if status == 503 else Refusal
            return refusal_class(
                status, "model_unavailable", "The model is not available now; try again later."
            )
        refusal_class = Broken if BROKEN in response.headers else Refusal
        return refusal_class(502, "bad_gateway", "The model server failed on this request.")
