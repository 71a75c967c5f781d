"""Reviews of streamed answers: a stream whose end may hold it is collected first, the others are looked at afterwards.

While an answer is collected, the stream has heartbeats. Then come the answer's chunks, or a notice in place of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from edge.interfaces.writer import Held, Mark, StreamPart
from edge.request_context import RequestContext
from edge.reviews.gateway_holding import AnswerHolder
from edge.stream_assembly import Assembly

BEAT_S = 5.0


class StreamReview:
    """The review of one streamed answer."""

    def __init__(
        self, holder: AnswerHolder, context: RequestContext, record: Callable[[], Awaitable[None]]
    ) -> None:
        """`record`: records the outcome, before the last byte leaves."""
        self._holder, self._context, self._record = holder, context, record
        self._collects = holder.collects(context.caller.workload, context.task)
        self._assembly = Assembly()
        self._notice: dict[str, Any] | None = None

    async def complete(self) -> None:
        """Decide on the whole answer, once the model has ended. Raises Refusal."""
        context = self._context
        score = context.scorer.score if context.scorer else None
        self._notice = await self._holder.decide(
            context, self._assembly.answer(), score, context.exchange.reviewing
        )
        if not self._collects:
            await self._record()

    async def parts(self, parts: AsyncIterator[StreamPart]) -> AsyncIterator[StreamPart]:
        """What the caller gets of the stream's parts. Raises Refusal."""
        if not self._collects:
            async for part in parts:
                self._take(part)
                yield part
            return
        collected: list[StreamPart] = []
        yield Mark.BEAT
        async with contextlib.aclosing(_with_beats(self._collect(parts, collected))) as beats:
            async for beat in beats:
                yield beat
        for part in [Held(self._notice)] if self._notice is not None else collected[:-1]:
            yield part
        await self._record()
        yield Mark.END

    async def _collect(self, parts: AsyncIterator[StreamPart], collected: list[StreamPart]) -> None:
        async for part in parts:
            self._take(part)
            collected.append(part)

    def _take(self, part: StreamPart) -> None:
        if isinstance(part, dict):
            self._assembly.add(part)


async def _with_beats(work: Awaitable[None]) -> AsyncGenerator[StreamPart, None]:
    """Heartbeats until the work is done. Ends the work if nobody wants them any more."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=BEAT_S))[0]:
            yield Mark.BEAT
        task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
