"""An event loop whose clock jumps to the next timer, and clients of a `Pool` in its time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from edge.admission.pool import Ask, Pool
from edge.openai_api import Refusal
from edge.routing import Endpoint, Window
from edge.routing.health import Health

T = TypeVar("T")
_NUMBERS = itertools.count()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Does not wait: time is what the timers make it. It starts where monotonic clocks do not: at 1000 s."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 1000.0
        selector = cast(Any, self)._selector
        select = selector.select

        def jump(timeout: float | None) -> Any:
            self._virtual_s += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self._virtual_s


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


def now() -> float:
    """The virtual time in seconds."""
    return asyncio.get_running_loop().time()


class FakeEndpoint:
    """What a pool uses of an endpoint, with a model that takes `seconds` for each request."""

    def __init__(self, concurrency: int, seconds: Callable[[], float] = lambda: 1.0) -> None:
        self.window = Window(concurrency, now)
        self.health, self.usual_queue, self.queued = Health(now), 0, 0
        self.seconds = seconds

    def plan_window(self) -> None:
        """The number of replicas does not change."""

    @property
    def good(self) -> bool:
        return self.health.good


def make_pool(*endpoints: FakeEndpoint, weights: dict[str, int] | None = None) -> Pool:
    return Pool(cast("list[Endpoint]", endpoints), weights or {}, now)


@dataclass
class Outcomes:
    """What happened to the requests of a test."""

    waits_s: dict[str, list[float]] = field(default_factory=dict)
    """By workload: seconds in the queue of each admitted request."""
    served: dict[tuple[str, str], int] = field(default_factory=dict)
    time_s: dict[str, float] = field(default_factory=dict)
    """By workload: seconds of the endpoints that it used."""
    refused: int = 0
    returned: list[bool] = field(default_factory=list)
    """Of requests that waited as long as Retry-After said: whether they were admitted."""


class Client:
    """Sends requests as one caller."""

    def __init__(self, pool: Pool, endpoints: list[FakeEndpoint], outcomes: Outcomes, ask: Ask) -> None:
        self.pool, self.outcomes, self.ask = pool, outcomes, ask
        self.seconds = {cast(Any, endpoint): endpoint.seconds for endpoint in endpoints}

    async def send(self, body: bytes) -> float | None:
        """Send one request. Returns None if it was served, or `Retry-After`."""
        began, outcomes = now(), self.outcomes
        ask = replace(self.ask, digest=lambda: body)
        try:
            slot = await self.pool.enter(ask)
        except Refusal as refusal:
            outcomes.refused += 1
            return float(refusal.headers["retry-after"])
        outcomes.waits_s.setdefault(ask.workload, []).append(now() - began)
        started = now()
        try:
            await asyncio.sleep(self.seconds[slot.endpoint]())
        finally:
            slot.release()
            outcomes.served[ask.identity] = outcomes.served.get(ask.identity, 0) + 1
            outcomes.time_s[ask.workload] = outcomes.time_s.get(ask.workload, 0.0) + now() - started
        return None

    async def send_patiently(self) -> None:
        """Send one request, and come back as `Retry-After` says until it is admitted."""
        body = str(next(_NUMBERS)).encode()
        retry_after = await self.send(body)
        while retry_after is not None:
            await asyncio.sleep(retry_after)
            retry_after = await self.send(body)
            self.outcomes.returned.append(retry_after is None)

    async def send_open(self, rate: float, until: float, random_numbers: random.Random) -> None:
        """Send requests at random times, at a mean rate, whatever happens to earlier ones."""
        tasks: list[Awaitable[None]] = []
        while now() < until:
            tasks.append(asyncio.create_task(self.send_patiently()))
            await asyncio.sleep(random_numbers.expovariate(rate))
        await asyncio.gather(*tasks)
