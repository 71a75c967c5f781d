"""A replica: one server behind an endpoint, with its health, load and GPU time."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable

from edge.routing.gpu_time import Sharing
from edge.routing.health import Health
from edge.routing.prefixes import PrefixCache

STALE_PROBES = 3
PROBES = 3
MOST_REPORTED = 100_000
"""Highest number of requests that a replica can report. A higher one is false, and so is the whole report."""
MOST_CACHED = 1_000_000_000
"""Highest size of a prefix cache that a replica can report, in tokens."""
_CACHE = re.compile(rb"^vllm:cache_config_info\{([^\n]*)\}", re.MULTILINE)
_CACHE_LABEL = re.compile(rb'\b(block_size|num_gpu_blocks)="(\d{1,9})"')
_GAUGE = re.compile(rb"^vllm:num_requests_(waiting|running)(?:\{[^\n]*\})? ([^\s]+)", re.MULTILINE)

Get = Callable[[str, bool], Awaitable[bytes | None]]
"""Gets a URL, with a new connection if the second argument is true: the body, or None if the server is unhealthy."""


class Replica:
    """A server at an address of its own, or every server behind one address, if nobody lists them."""

    def __init__(self, url: str, get: Get, probe_s: float, address: str = "") -> None:
        """`address`: its IP address and port. Empty: the URL's host stands for all servers behind it.

        A replica with an address of its own is not preferred before its first good probe.
        """
        self.url, self.address = url, address
        self.health, self.sharing, self.prefixes = Health(), Sharing(), PrefixCache()
        if address:
            self.health.said(False)
        self._get, self._probe_s = get, probe_s
        self._waiting, self._reported_at = 0, float("-inf")
        self._answered_at: dict[str, float] = {}

    def note_answer(self, model: str) -> None:
        """Note that a model there has generated something for a caller. `model`: its name there."""
        self._answered_at[model] = time.monotonic()

    def answered_s(self, model: str) -> float:
        """Seconds since a model there last generated something for a caller. Infinite before the first time."""
        return time.monotonic() - self._answered_at.get(model, float("-inf"))

    @property
    def running(self) -> int:
        """Requests of this gateway in flight there."""
        return self.sharing.running

    @property
    def waiting(self) -> int:
        """Requests in the model server's queue at the last probe, or 0 without a recent probe."""
        return self._waiting if self._is_recent() else 0

    @property
    def load(self) -> tuple[int, int]:
        """Load by which the router prefers a replica: the lower one.

        The gateway's own running requests decide, because a replica may report false numbers. What it reports decides
        between equals. If no list of replicas exists, the report is all that is known of the number of servers.
        """
        if self.address:
            return self.running, self.waiting
        return self.running + self.waiting, 0

    async def probe(self) -> None:
        """Update health and load.

        Several servers may share one address. The replica is unhealthy if none of three connections succeeds.
        """
        health = await self._get(self.url + "/health", False)
        for _ in range(PROBES - 1):
            if health is None:
                health = await self._get(self.url + "/health", True)
        self.health.said(health is not None)
        if health is None:
            self.prefixes.clear()
        metrics = None if health is None else await self._get(self.url + "/metrics", False)
        counts = None if metrics is None else read_counts(metrics)
        if counts is not None:
            self._waiting, self._reported_at = counts[0], time.monotonic()
            self.sharing.report(sum(counts))
        elif not self._is_recent():
            self.sharing.report(0)
        if metrics is not None and (tokens := read_cache_tokens(metrics)) is not None:
            self.prefixes.resize(tokens)

    async def probing(self) -> None:
        """Probe in a loop."""
        while True:
            await self.probe()
            await asyncio.sleep(self._probe_s)

    def _is_recent(self) -> bool:
        return time.monotonic() - self._reported_at < STALE_PROBES * self._probe_s


def read_counts(metrics: bytes) -> tuple[int, int] | None:
    """Waiting and running requests in vLLM's metrics. None if a number is impossible: negative, NaN or too large."""
    counts = {b"waiting": 0.0, b"running": 0.0}
    for kind, text in _GAUGE.findall(metrics):  # a line for each engine behind the address
        try:
            value = float(text)
        except ValueError:
            return None
        if not (math.isfinite(value) and value >= 0):
            return None
        counts[kind] += value
    if max(counts.values()) > MOST_REPORTED:
        return None
    return int(counts[b"waiting"]), int(counts[b"running"])


def read_cache_tokens(metrics: bytes) -> int | None:
    """Tokens that the prefix cache holds, by vLLM's metrics. None if they do not say it, or an impossible number."""
    if (line := _CACHE.search(metrics)) is None:
        return None
    labels = {name: int(value) for name, value in _CACHE_LABEL.findall(line[1])}
    tokens = labels.get(b"block_size", 0) * labels.get(b"num_gpu_blocks", 0)
    return tokens if 0 < tokens <= MOST_CACHED else None
