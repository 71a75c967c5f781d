"""Reviews of streamed answers: a stream whose end may hold it is collected first, the others are looked at afterwards.

While an answer is collected, the stream has heartbeats: comments, which clients skip. Then come the answer's events, or
an event `review` in place of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from edge import sse
from edge.openai_api import dump
from edge.request_context import RequestContext
from edge.reviews.gateway_holding import AnswerHolder
from edge.stream_assembly import Assembly

BEAT = b": being checked\n\n"
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
        self._told: dict[str, Any] | None = None

    async def complete(self) -> None:
        """Decide on the whole answer, once the model has ended. Raises Refusal."""
        context = self._context
        score = context.scorer.score if context.scorer else None
        self._told = await self._holder.decide(
            context, dump(self._assembly.answer()), score, context.exchange.reviewing
        )
        if not self._collects:
            await self._record()

    async def pieces(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """What the caller gets of the stream's events."""
        if not self._collects:
            async for event in events:
                self._take(event)
                yield event
            return
        collected: list[bytes] = []
        yield BEAT
        async with contextlib.aclosing(_with_beats(self._collect(events, collected))) as beats:
            async for beat in beats:
                yield beat
        exchange = self._context.exchange
        if not collected or collected[-1] != sse.DONE:  # an error, which alone is told
            for event in collected[-1:]:
                yield event
            return
        exchange.ended = False
        if self._told is not None:
            head = {"created": self._context.created, "model": self._context.called, "choices": []}
            collected = [b"event: review\n" + sse.event({**self._told, **head}), sse.DONE]
        for event in collected[:-1]:
            yield event
        await self._record()
        exchange.ended = True
        yield sse.DONE

    async def _collect(self, events: AsyncIterator[bytes], collected: list[bytes]) -> None:
        async for event in events:
            self._take(event)
            collected.append(event)

    def _take(self, event: bytes) -> None:
        if event != sse.DONE:
            self._assembly.add(json.loads(event.removeprefix(b"data: ")))


async def _with_beats(work: Awaitable[None]) -> AsyncGenerator[bytes, None]:
    """Heartbeats until the work is done. Ends the work if nobody wants them any more."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=BEAT_S))[0]:
            yield BEAT
        task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
