"""An endpoint (an address with its TLS client, health and load), a model at it, and a call of that model."""

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
    """The upstream did not accept the request: no connection, or 503 before the first byte. Another may be tried."""


class Broken(Unsent):
    """The connection broke before the first byte. The request may have killed the replica, so it is retried once."""


class Endpoint:
    """One address under one server name. All routes that lead to it share the object."""

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
        """Requests in the model server's queue at the last probe, or 0 without a recent probe."""
        return self._waiting if time.monotonic() - self._told_at < STALE_PROBES * self._limits.probe_s else 0

    @property
    def load(self) -> int:
        """Running and waiting requests. The router prefers the endpoint with the lower load."""
        return self.sharing.running + self.waiting

    async def post(
        self, path: str, headers: dict[str, str], body: bytes, *, fresh: bool = False
    ) -> httpx.Response:
        """The response, with its body not read yet. Raises httpx.HTTPError."""
        return await self._client.send(
            "POST", self.url + path, body=body, headers=headers, server_name=self.server_name, fresh=fresh
        )

    async def probe(self) -> None:
        """Update health and load.

        Several replicas may share one address. The endpoint is unhealthy if none of three connections succeeds.
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
        """Probe in a loop."""
        while True:
            await self.probe()
            await asyncio.sleep(self._limits.probe_s)

    async def close(self) -> None:
        """Close every connection."""
        for task in self._closing:
            task.cancel()
        await self._client.aclose()

    async def _get(self, path: str, *, fresh: bool = False) -> bytes | None:
        """The response's body. Empty if the path does not exist there (translator, router); None if it is unhealthy."""
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
        await asyncio.sleep(self._limits.request_timeout_s)  # so that its running requests can end
        await client.aclose()


class UpstreamCall:
    """A request at an upstream. It counts as running there until it is closed."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._entered = upstream.endpoint.sharing.enter()
        self._share: float | None = None
        self._response: httpx.Response | None = None
        self.declined = False
        """Whether the upstream answered with an error, so that no text was generated."""

    @property
    def response(self) -> httpx.Response:
        """The response to `send`, with its body not read yet."""
        assert self._response is not None
        return self._response

    async def send(self, path: str, body: bytes, headers: dict[str, str], *, fresh: bool = False) -> None:
        """Send the request and wait for the first bytes. Raises Unsent if another upstream may be tried, or Refusal."""
        endpoint = self.upstream.endpoint
        try:
            self._response = await endpoint.post(path, headers, body, fresh=fresh)
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            if is_broken(error):
                endpoint.health.refused()
                raise Broken(refusal.status, refusal.code, refusal.message) from error
            if refusal.status != 503:  # the upstream was connected and may have processed the request
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
        """The request's share of the endpoint in seconds. The first call ends the request's running time."""
        if self._share is None:
            self._share = self.upstream.endpoint.sharing.leave(self._entered)
        return self._share

    async def close(self) -> None:
        """Release the connection."""
        self.share_s()
        if self._response is not None:
            await self._response.aclose()


class Upstream:
    """A model at an endpoint. The server's certificate must contain the place's `server_name`."""

    def __init__(self, place: Place, endpoint: Endpoint, model_name: str) -> None:
        self.place, self.endpoint, self._called = place, endpoint, model_name

    async def refusal(self, response: httpx.Response) -> Refusal:
        """The error that the caller gets for an upstream's error response."""
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
