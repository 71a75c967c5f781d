"""The endpoints that some workloads share, and the requests that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from edge.admission.fair_queue import FairQueue, Item
from edge.admission.promises import Pace, Promises
from edge.openai_api import Refusal
from edge.routing import Endpoint, Window

LONGEST_QUEUE = 8
"""Most waiting requests for each one that may run. Their time is bounded first; this bounds the memory."""
PROMISED_PART = 0.75
"""Part of the endpoints' speed that is promised to refused requests. The rest is for callers that come anew."""
FEWEST_QUEUED = 16
"""Requests that may wait in any case, as long as nothing is known about the endpoint's speed."""


@dataclass(frozen=True)
class Ask:
    """What the queue needs to know about a request."""

    workload: str
    caller: str
    endpoints: tuple[Endpoint, ...]
    """Where it may be sent, in order of preference. All have a window."""
    wait_s: float
    """Longest time that it may wait, in seconds."""
    batch: bool
    digest: Callable[[], bytes]
    """A digest of the request, by which it is known when it comes back. Not needed if it is sent at once."""

    @property
    def identity(self) -> tuple[str, str]:
        """The caller within its workload."""
        return self.workload, self.caller


@dataclass
class _Waiting:
    ask: Ask
    granted: asyncio.Future[Slot]


_Item = Item[_Waiting, Endpoint]
_Queue = FairQueue[_Waiting, Endpoint]


class Slot:
    """The right to have one request at an endpoint. Give it back with `release`."""

    def __init__(self, pool: Pool, queue: _Queue, item: _Item, endpoint: Endpoint) -> None:
        self._pool, self._queue, self._item = pool, queue, item
        self.endpoint: Endpoint = endpoint
        self._started = _window(endpoint).start()
        self._counted = queue.start(item)
        self._released = False

    def move(self, endpoint: Endpoint) -> None:
        """Count the request at another endpoint, which it is sent to instead."""
        if self._released or endpoint is self.endpoint or endpoint.window is None:
            return
        _window(self.endpoint).end(self._started, counted=False)
        self.endpoint, self._started = endpoint, endpoint.window.start()
        self._pool.pump()

    def release(self, *, served: bool = True) -> None:
        """Give the right back, once."""
        if self._released:
            return
        self._released = True
        _window(self.endpoint).end(self._started, counted=served)
        self._queue.end(self._item, self._counted)
        self._pool.pump()


class Pool:
    """Admits requests to endpoints that share workloads. Belongs to one event loop."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        weights: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints, self._clock = list(endpoints), clock
        self._interactive: _Queue = FairQueue(weights, clock)
        self._batch: _Queue = FairQueue(weights, clock)
        self._promised: deque[_Item] = deque()
        self._promises: Promises[tuple[str, str]] = Promises()

    def check(self, ask: Ask) -> None:
        """Raise Refusal 429 or 503 if `enter` would refuse the request at once."""
        if self._free(ask) is None and not self._may_wait(ask):
            raise self._refusal(ask)

    async def enter(self, ask: Ask) -> Slot:
        """Wait for a slot. Raises Refusal 429 or 503. A caller that is cancelled gives its place up."""
        queue = self._batch if ask.batch else self._interactive
        item: _Item = Item(
            _Waiting(ask, asyncio.get_running_loop().create_future()),
            ask.workload,
            ask.caller,
            ask.endpoints,
        )
        if (endpoint := self._free(ask)) is not None:
            return Slot(self, queue, item, endpoint)
        if not self._may_wait(ask):
            raise self._refusal(ask)
        number = None
        if not ask.batch and self._promises.keep(ask.identity, ask.digest(), self._clock()):
            self._promised.append(item)
        else:
            number = queue.add(item)
        self._show()
        granted = item.entry.granted
        try:
            async with asyncio.timeout(ask.wait_s):
                return await asyncio.shield(granted)
        except TimeoutError:
            if granted.done():
                return granted.result()
            self._leave(item, number)
            if number is None and (endpoint := self._above(ask)) is not None:
                return Slot(self, queue, item, endpoint)
            raise self._refusal(ask) from None
        except asyncio.CancelledError:
            if granted.done():
                granted.result().release(served=False)
            self._leave(item, number)
            raise
        finally:
            self._show()

    def enter_spare(self, ask: Ask) -> Slot | None:
        """A slot that nobody else could use now. None: somebody waits, or there is no room."""
        if self._all_waiting or (endpoint := self._free(ask)) is None:
            return None
        granted: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        item: _Item = Item(_Waiting(ask, granted), ask.workload, ask.caller, ask.endpoints)
        return Slot(self, self._batch, item, endpoint)

    def adapt(self) -> None:
        """Adapt the limits to what was observed since the last call."""
        for endpoint in self._endpoints:
            endpoint.plan_window()
            _window(endpoint).adapt(endpoint.usual_queue)
        self.pump()

    def pump(self) -> None:
        """Give free slots to waiting requests."""
        while self._all_waiting and (pair := self._next()) is not None:
            item, queue, endpoint = pair
            item.entry.granted.set_result(Slot(self, queue, item, endpoint))
        self._show()

    def _next(self) -> tuple[_Item, _Queue, Endpoint] | None:
        good = [endpoint for endpoint in self._endpoints if endpoint.good]
        free = {endpoint for endpoint in good or self._endpoints if _window(endpoint).room(batch=False)}
        if not free:
            return None
        for item in self._promised:
            if (endpoint := _first(item.places, free)) is not None:
                self._promised.remove(item)
                return item, self._interactive, endpoint
        if (item := self._interactive.take(free)) is not None:
            return item, self._interactive, _required(item, free)
        free = {endpoint for endpoint in free if _window(endpoint).room(batch=True)}
        if len(self._batch) and (item := self._batch.take(free)) is not None:
            return item, self._batch, _required(item, free)
        return None

    def _free(self, ask: Ask) -> Endpoint | None:
        """A free endpoint for a request that comes now. Nobody who waits could use it, or `pump` had given it away."""
        good = [endpoint for endpoint in ask.endpoints if endpoint.good]
        return next(
            (endpoint for endpoint in good or ask.endpoints if _window(endpoint).room(batch=ask.batch)), None
        )

    def _above(self, ask: Ask) -> Endpoint | None:
        """An endpoint that takes a request above its limit, because it was promised. Few are, and only a part above."""
        return next((endpoint for endpoint in ask.endpoints if _window(endpoint).room_above), None)

    def _leave(self, item: _Item, number: int | None) -> None:
        if number is None:
            with contextlib.suppress(ValueError):
                self._promised.remove(item)
        else:
            (self._batch if item.entry.ask.batch else self._interactive).remove(number)

    def _may_wait(self, ask: Ask) -> bool:
        if not any(endpoint.good for endpoint in ask.endpoints):
            return False
        limit = sum(_window(endpoint).limit for endpoint in self._endpoints)
        if ask.batch:
            return len(self._batch) < max(FEWEST_QUEUED, LONGEST_QUEUE * limit)
        if self._promises.is_due(ask.identity, ask.digest(), self._clock()):
            return True
        if self._waiting >= max(FEWEST_QUEUED, LONGEST_QUEUE * limit):
            return False
        return self._wait_s(ask, behind_promises=False) <= ask.wait_s

    def _rate(self, ask: Ask) -> float:
        """Requests a second that end where the request may be sent, while it is full there."""
        # Until the first request has ended, requests are expected to take half as long as this one may wait.
        return math.fsum(_window(endpoint).rate(ask.wait_s / 2) for endpoint in ask.endpoints)

    def _wait_s(self, ask: Ask, *, behind_promises: bool) -> float:
        """Seconds until a request that comes now would get a slot, behind those that wait before it.

        `behind_promises`: behind all that was promised, too, and not only behind what comes back meanwhile.
        """
        rate, now = self._rate(ask), self._clock()
        if ask.batch:
            return (self._waiting + len(self._batch) + 1) / rate
        ahead = self._interactive.ahead(*ask.identity)
        ahead += sum(item.entry.ask.identity == ask.identity for item in self._promised)
        if behind_promises:
            ahead += self._promises.count(ask.identity, now)
            total = self._waiting + sum(
                self._promises.count(caller, now) for caller in self._promises.callers(now)
            )
        else:
            total = self._waiting + self._promises.due_within(now, ask.wait_s)
        return min((ahead + 1) / (self._share(ask) * rate), (total + 1) / rate)

    def _share(self, ask: Ask) -> float:
        """The caller's part of the endpoints, among all callers that wait, run or may come back."""
        callers = set(self._promises.callers(self._clock())) | {ask.identity}
        callers |= {
            (workload, caller)
            for workload in self._interactive.workloads()
            for caller in self._interactive.callers(workload)
        }
        weights = sum(self._interactive.weight(name) for name in {workload for workload, _ in callers})
        rivals = sum(workload == ask.workload for workload, _ in callers)
        return self._interactive.weight(ask.workload) / weights / rivals

    @property
    def _all_waiting(self) -> int:
        return self._waiting + len(self._batch)

    @property
    def _waiting(self) -> int:
        return len(self._interactive) + len(self._promised)

    def _refusal(self, ask: Ask) -> Refusal:
        if not any(endpoint.good for endpoint in ask.endpoints):
            return Refusal(
                503,
                "model_unavailable",
                "The model is not available now; try again later.",
                {"retry-after": "5"},
            )
        expected_s = self._wait_s(ask, behind_promises=True)
        if ask.batch:
            seconds = max(1, math.ceil(expected_s))
        else:
            # Half of the time in the queue is left for what was estimated wrongly.
            # Those that come back at one moment must all begin in time.
            per_second = PROMISED_PART * self._rate(ask) * min(1.0, ask.wait_s)
            pace = Pace(expected_s - ask.wait_s / 2, per_second, per_second * self._share(ask))
            seconds = self._promises.make(ask.identity, ask.digest(), self._clock(), pace)
        return Refusal(
            429,
            "model_busy",
            f"The model is at its limit, and more requests wait than it can begin in time; try again in {seconds} s.",
            {"retry-after": str(seconds)},
        )

    def _show(self) -> None:
        """Tell each endpoint how many requests wait for it."""
        for endpoint in self._endpoints:
            endpoint.queued = self._all_waiting


def _window(endpoint: Endpoint) -> Window:
    assert endpoint.window is not None, "the pool has only endpoints with one"
    return endpoint.window


def _first(places: Collection[Endpoint], free: set[Endpoint]) -> Endpoint | None:
    return next((endpoint for endpoint in places if endpoint in free), None)


def _required(item: _Item, free: set[Endpoint]) -> Endpoint:
    endpoint = _first(item.places, free)
    assert endpoint is not None, "the queue chose it for one of them"
    return endpoint
