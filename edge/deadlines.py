"""Deadlines of requests, and their cancellation when the client disconnects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edge.openai_api import Refusal

T = TypeVar("T")
TIMEOUT = "x-request-timeout"
"""Request header: seconds in which the sender needs the whole answer. The gateway passes on what is left of them."""
_SECONDS = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,6})?")


def allowed_s(request: Request, most_s: float) -> float:
    """Seconds in which a request must be finished: what its sender allows, at most `most_s`. Raises Refusal 400."""
    values = request.headers.getlist(TIMEOUT)
    if not values:
        return most_s
    if len(values) > 1 or not _SECONDS.fullmatch(values[0]) or float(values[0]) == 0:
        raise Refusal(
            400,
            "invalid_request_timeout",
            f"The header {TIMEOUT} must be one number of seconds above 0, for example 30 or 2.5.",
        )
    return min(most_s, float(values[0]))


class Deadline:
    """The time at which a request must be finished. `cut` moves it to now."""

    def __init__(self, seconds: float, running: set[Deadline]) -> None:
        self._at = asyncio.get_running_loop().time() + seconds
        self._scope: asyncio.Timeout | None = None
        self._running = running
        self._why: Refusal | None = None
        self.workload = ""
        """The workload that it is of, once that is known."""
        running.add(self)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, at least a millisecond."""
        return max(self._at - asyncio.get_running_loop().time(), 0.001)

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for the awaitable and return its result. Raises TimeoutError at the deadline. Only one wait may run
        at a time.
        """
        async with asyncio.timeout_at(self._at) as scope:
            self._scope = scope
            try:
                return await awaitable
            finally:
                self._scope = None

    @property
    def was_cut(self) -> bool:
        """Whether the request had to end before its deadline."""
        return self._why is not None

    def cut(self, why: Refusal | None = None) -> None:
        """End the request now, as if its deadline had come. `why`: the caller's error, if not the process's end."""
        self._at = asyncio.get_running_loop().time()
        self._why = why or Refusal(503, "shutting_down", "The edge is shutting down; send the request again.")
        if self._scope is not None:
            self._scope.reschedule(self._at)

    def done(self) -> None:
        """Note that the request has ended."""
        self._running.discard(self)

    def refusal(self) -> Refusal:
        """The error for the caller when the time is over."""
        return self._why or Refusal(504, "timeout", "The model did not finish within the time limit.")


class Relay(StreamingResponse):
    """A streaming response that closes its source in every case, also if the stream ends before its first piece.

    The `finally` of a generator is not enough: a generator that was never started does not run it.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        deadline: Deadline,
        close: Callable[[], Awaitable[None]],
        *,
        headers: dict[str, str],
        status_code: int = 200,
    ) -> None:
        super().__init__(pieces, headers=headers, status_code=status_code)
        self._deadline, self._close = deadline, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's own implementation starts a group of two tasks, which is a quarter of a sidecar's time for a
        # request.
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            async with while_connected(receive):
                await send(start)
                async for piece in self.body_iterator:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientLeft:
            return  # the answer has begun, so no error can be sent
        finally:
            self._deadline.done()
            await self._close()


class ClientLeft(Refusal):
    """The client disconnected. The status is for the journal only, because nobody receives it."""

    def __init__(self) -> None:
        super().__init__(499, "client_closed_request", "The client went away.")


class while_connected:
    """Context manager that cancels its body when the client disconnects, and then raises ClientLeft.

    Nothing else may call `receive` in that time, so the request's body must have been read before. Like
    `asyncio.timeout`, it counts cancellations: its own and one of the event loop can come at the same moment, and
    it takes back only its own.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive, self._left, self._within = receive, False, False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is answered by a task"
        self._task, self._before, self._within = task, task.cancelling(), True
        self._gone = asyncio.ensure_future(self._disconnected())
        self._gone.add_done_callback(self._leave)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._within = False
        self._gone.cancel()
        if self._left and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise ClientLeft from None

    def _leave(self, gone: asyncio.Future[None]) -> None:
        if self._within and not gone.cancelled():
            self._left = True
            self._task.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
