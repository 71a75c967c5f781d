"""An endpoint (an address with its TLS client and replicas), a model at it, and a call of that model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from edge.config import Limits, Place, UpstreamTls
from edge.openai_api import TOKENIZE_PATH, Refusal
from edge.routing.health import Health
from edge.routing.rejection import translate_rejection
from edge.routing.replica import Replica
from edge.routing.replica_list import ReplicaList
from edge.routing.window import Window
from edge.tls import Watch, client_context
from edge.upstream import BROKEN, UNANSWERED, Client, is_broken, read_answer, refusal_of

PROBE_TIMEOUT_S = 2.0


class Unsent(Refusal):
    """The upstream did not accept the request: no connection, or 503 before the first byte. Another may be tried."""


class Broken(Unsent):
    """The connection broke before the first byte. The request may have killed the replica, so it is retried once."""


def no_tokenizer() -> Unsent:
    """The error where tokens cannot be counted. Another place of the route may have the model's tokenizer."""
    return Unsent(
        400,
        "no_tokenizer",
        "Tokens cannot be counted: what serves this model has no tokenizer, as the translator to AWS has none. The"
        " usage of each answer has its counts.",
    )


class Endpoint:
    """One address under one server name. All routes that lead to it share the object."""

    def __init__(
        self, url: str, server_name: str, tls: UpstreamTls, limits: Limits, *, by_replica: bool = False
    ) -> None:
        """`by_replica`: whether the URL's host name lists the addresses of the replicas."""
        self.url, self.server_name = url, server_name
        host, port = urlsplit(url).hostname or "", urlsplit(url).port or 443
        self.name = f"{server_name}:{port}"
        self.window: Window | None = None
        """Limits the requests of this copy at the endpoint. None: it takes every request at once."""
        self.concurrency_of_replica = 0.0
        """Requests at once for each replica that the host name lists. 0: the window's limit is for all of them."""
        self.queued = 0
        """Requests that wait in this copy until the window has room."""
        self.watch = Watch([tls.certificate, tls.key, tls.ca, *tls.ca_bundles], self._renew)
        self._tls, self._limits = tls, limits
        self._client = Client(limits, client_context(tls))
        self._closing: set[asyncio.Task[None]] = set()
        self._listed = (
            ReplicaList(self.name, host, port, self._replica, limits.probe_s) if by_replica else None
        )
        """The replicas that the host name lists. None: it does not list them."""
        self._whole = self._replica("")

    @property
    def replicas(self) -> list[Replica]:
        """The replicas that may get requests. Without a list of them, the address as a whole."""
        return [self._whole] if self._listed is None else self._listed.current

    @property
    def limit(self) -> int | None:
        """Most requests at once from this copy, for now. None: there is no limit."""
        return None if self.window is None else self.window.limit

    def plan_window(self) -> None:
        """Let the limit follow the number of listed replicas."""
        if self.window is not None and self.concurrency_of_replica:
            self.window.plan(max(1, math.ceil(self.concurrency_of_replica * len(self.replicas))))

    @property
    def good(self) -> bool:
        """Whether any replica is healthy."""
        return any(replica.health.good for replica in self.replicas)

    @property
    def running(self) -> int:
        """Requests of this gateway that run there, also at replicas that are no longer listed."""
        draining = [] if self._listed is None else self._listed.draining
        return sum(replica.sharing.running for replica in (*self.replicas, *draining))

    @property
    def waiting(self) -> int:
        """Requests in the queues of its replicas."""
        return sum(replica.waiting for replica in self.replicas)

    @property
    def usual_queue(self) -> int:
        """The queue that half of its replicas have or exceed. One replica with false metrics does not set it."""
        queues = sorted(replica.waiting for replica in self.replicas)
        return queues[(len(queues) - 1) // 2]

    @property
    def replica_states(self) -> dict[str, int] | None:
        """Replicas by state: good, bad, draining. None: the host name does not list them."""
        if self._listed is None:
            return None
        good = sum(replica.health.good for replica in self.replicas)
        return {"good": good, "bad": len(self.replicas) - good, "draining": len(self._listed.draining)}

    @property
    def is_resolved(self) -> bool:
        """Whether the last look-up of the host name listed replicas. True if it does not list them."""
        return self._listed is None or self._listed.is_resolved

    async def post(
        self,
        path: str,
        headers: dict[str, str],
        body: bytes,
        *,
        replica: Replica | None = None,
        fresh: bool = False,
    ) -> httpx.Response:
        """The response, with its body not read yet. `replica`: where to send it. Raises httpx.HTTPError."""
        url = self.url if replica is None else replica.url
        return await self._client.send(
            "POST", url + path, body=body, headers=headers, server_name=self.server_name, fresh=fresh
        )

    async def probing(self) -> None:
        """Probe in a loop, and look up the replicas if the host name lists them."""
        await (self._whole.probing() if self._listed is None else self._listed.watch())

    async def close(self) -> None:
        """Close every connection."""
        for task in self._closing:
            task.cancel()
        await self._client.aclose()

    def _replica(self, address: str) -> Replica:
        return Replica(
            f"https://{address}" if address else self.url, self._get, self._limits.probe_s, address
        )

    async def _get(self, url: str, fresh: bool) -> bytes | None:
        """The response's body. Empty if the path does not exist there (translator, router); None if it is unhealthy."""
        try:
            response, content = await self._client.get(
                url, PROBE_TIMEOUT_S, server_name=self.server_name, fresh=fresh
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
    """A request at a replica of an upstream. It counts as running there until it is closed."""

    def __init__(self, upstream: Upstream, *, uses_gpu: bool = True) -> None:
        self.upstream, self._replica = upstream, upstream.replica
        self._entered = self._replica.sharing.enter() if uses_gpu else 0.0
        if uses_gpu:
            self._replica.prefixes.add(upstream.prefix)
        self._share: float | None = None if uses_gpu else 0.0
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
        health: Health = self._replica.health
        try:
            self._response = await self.upstream.endpoint.post(
                path, headers, body, replica=self._replica, fresh=fresh
            )
        except httpx.HTTPError as error:
            refusal = refusal_of(error)
            if is_broken(error):
                health.refused()
                raise Broken(refusal.status, refusal.code, refusal.message) from error
            # An address that another pod got has another name in its certificate. It has received nothing.
            is_another = bool(self._replica.address) and isinstance(error, httpx.ConnectError)
            if refusal.status != 503 and not is_another:  # the upstream may have processed the request
                raise refusal from error
            health.refused()
            raise Unsent(refusal.status, refusal.code, refusal.message) from error
        status = self._response.status_code
        if status == 503 or BROKEN in self._response.headers:
            health.refused()
        else:
            health.took()
        if status != 200:
            self.declined = True
            if status == 404 and path == TOKENIZE_PATH:
                raise no_tokenizer()
            raise await self.upstream.refusal(self._response)

    def gpu_seconds(self) -> float | None:
        """The request's GPU time: its share of the replica's time, times the replica's GPUs. None: their number is
        not configured. The first call ends the request's running time.
        """
        if self._share is None:
            self._share = self._replica.sharing.leave(self._entered)
        gpus = self.upstream.gpus_of_replica
        return None if gpus is None else self._share * gpus

    async def close(self) -> None:
        """Release the connection."""
        self.gpu_seconds()
        if self._response is not None:
            await self._response.aclose()


class Upstream:
    """A model at an endpoint, and the replica that the router chose. The server's certificate must contain the place's
    `server_name`.
    """

    def __init__(
        self, place: Place, endpoint: Endpoint, model_name: str, replica: Replica | None = None
    ) -> None:
        """`replica`: None if none is chosen yet."""
        self.place, self.endpoint, self._called = place, endpoint, model_name
        self.replica = endpoint.replicas[0] if replica is None else replica
        self.prefix: Sequence[int] = ()
        """Hashes of the request's beginning, which the replica has in its cache after the request."""

    def at_each_replica(self) -> list[Upstream]:
        """The upstream once for each replica that may get requests."""
        return [
            Upstream(self.place, self.endpoint, self._called, replica) for replica in self.endpoint.replicas
        ]

    def note_answer(self) -> None:
        """Note that the model there has generated something for a caller."""
        self.replica.note_answer(self.place.model)

    @property
    def gpus_of_replica(self) -> float | None:
        """GPUs of one replica, as far as the host name tells replicas apart. None: not configured."""
        place = self.place
        if place.gpus is None or not place.by_replica:
            return place.gpus
        return place.gpus / (place.replicas or len(self.endpoint.replicas))

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
