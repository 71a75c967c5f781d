"""Time and disconnection: what ends a request before it is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edge.openai_api import Refusal

T = TypeVar("T")


class Deadline:
    """The moment by which a request must be done. `cut` brings it to now, when the process must end."""

    def __init__(self, seconds: float, running: set[Deadline]) -> None:
        self._at = asyncio.get_running_loop().time() + seconds
        self._scope: asyncio.Timeout | None = None
        self._running = running
        self.was_cut = False
        running.add(self)

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The awaitable's result; raises TimeoutError at the deadline. One wait at a time."""
        async with asyncio.timeout_at(self._at) as scope:
            self._scope = scope
            try:
                return await awaitable
            finally:
                self._scope = None

    def cut(self) -> None:
        """End the request now, as at its deadline."""
        self._at = asyncio.get_running_loop().time()
        self.was_cut = True
        if self._scope is not None:
            self._scope.reschedule(self._at)

    def done(self) -> None:
        """The request ended."""
        self._running.discard(self)

    def refusal(self) -> Refusal:
        """Why the time is over, as an answer."""
        if self.was_cut:
            return Refusal(503, "shutting_down", "The edge is shutting down; send the request again.")
        return Refusal(504, "timeout", "The model did not finish within the time limit.")


class Relay(StreamingResponse):
    """A stream whose source is closed however it ends, also when it ends before its first piece.

    A generator's own `finally` is not enough: one that was never started never reaches it.
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
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._deadline.done()
            await self._close()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; when the client goes away first the work is cancelled. Raises Refusal 499."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        # Status 499 reaches nobody; it is for the journal.
        raise Refusal(499, "client_closed_request", "The client went away.")
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
