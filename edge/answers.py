"""Relays an upstream's answer, whole or as a stream: checked, counted, scored and screened in the form of chat."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from edge import sse
from edge.allowance import tokens_of_choices
from edge.allowance.estimate import count_answers
from edge.deadlines import while_connected
from edge.exchange import Exchange
from edge.interfaces.writer import AnswerWriter, Held, Mark, StreamPart
from edge.openai_api import Refusal
from edge.request_context import RequestContext
from edge.upstream import read_answer, refusal_of

BEAT = b": being checked\n\n"
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def whole_answer(context: RequestContext, response: httpx.Response) -> dict[str, Any]:
    """A whole answer in the form of chat. Notes its token counts. Raises Refusal."""
    try:
        async with while_connected(context.request.receive):
            raw = await context.deadline.wait(read_answer(response))
        answer = context.task.answer.validate_python(_parse(raw))
    except httpx.HTTPError as error:
        raise refusal_of(error) from error
    except (ValueError, RecursionError):
        raise Refusal(502, "bad_gateway", "The model server's answer cannot be read.") from None
    context.note_answer()
    _note_usage(context.exchange, answer.get("usage"))
    if answer.get("usage") is None:  # missing, or not counts
        answer.pop("usage", None)
    context.exchange.pieces = tokens_of_choices(answer.get("choices"))
    if context.scorer is not None:
        context.scorer.whole(answer)
        context.exchange.confidence = context.scorer.outcome
    if context.answer_text is not None:
        context.answer_text.take(answer.get("choices"), "message")
    if context.screen is not None:
        answer = await context.deadline.wait(context.screen.whole(answer))
    return context.head.on(answer)


def _note_usage(exchange: Exchange, usage: Any) -> None:
    """Take the token counts, and remove the number of cached tokens. It would tell a caller, block by block, what
    others have sent.
    """
    exchange.note_usage(usage)
    if isinstance(usage, dict) and isinstance(details := usage.get("prompt_tokens_details"), dict):
        details.pop("cached_tokens", None)


def _parse(raw: bytes) -> Any:
    """The JSON of an answer; raises ValueError.

    Python also reads half of a surrogate pair, which UTF-8 cannot encode. That is an error of the model server (502).
    Without this check the caller gets a 400 when the answer is written.
    """
    value = json.loads(raw)
    if _ESCAPED_SURROGATE.search(raw):
        json.dumps(value, ensure_ascii=False).encode()
    return value


async def relay_chunks(
    context: RequestContext,
    response: httpx.Response,
    complete: Callable[[], Awaitable[None]],
    *,
    at_once: bool = True,
) -> AsyncIterator[StreamPart]:
    """Relay the stream chunk by chunk, in the form of chat. Raises Refusal if it breaks; then no `Mark.END` came.

    `complete` is called before the end, when usage is final. `at_once`: whether the caller gets chunks as they come, so
    that the time to the first token is theirs.
    """
    source = sse.events(response.aiter_bytes())
    exchange, deadline = context.exchange, context.deadline
    pieces = context.screen.pieces() if context.screen is not None else None
    timed = at_once and count_answers(context.payload) == 1  # several answers are generated side by side
    try:
        while (data := await deadline.wait(anext(source, None))) != sse.DONE_DATA:
            if data is None:
                raise Refusal(502, "stream_cut", "The model's stream ended before it was complete.")
            chunk = json.loads(data)
            if not isinstance(chunk, dict) or "error" in chunk or "choices" not in chunk:
                raise Refusal(502, "stream_failed", "The model server failed within the stream.")
            chunk = _allowed_chunk(context, chunk)
            # The model server sends counts with each event, so an aborted stream is settled by the tokens generated
            # so far.
            _note_usage(exchange, chunk.get("usage"))
            if chunk["choices"] or chunk.get("usage") is None:
                chunk.pop("usage", None)
            exchange.pieces += tokens_of_choices(chunk["choices"])
            if context.scorer is not None:
                context.scorer.chunk(chunk)  # raises ValueError if a choice goes on after its end
                exchange.confidence = context.scorer.outcome
            if context.answer_text is not None:
                context.answer_text.take(chunk["choices"], "delta")
            if not context.wants_usage:
                chunk.pop("usage", None)
                if not chunk["choices"]:
                    continue
            for piece in [chunk] if pieces is None else await deadline.wait(pieces.add(chunk)):
                yield _relayed(piece, context, timed=timed)
        for piece in [] if pieces is None else await deadline.wait(pieces.end()):
            yield _relayed(piece, context, timed=timed)
        await complete()
        yield Mark.END
        # Read to the end, so that the connection can be reused. A break after the answer's end does not affect the
        # answer.
        with contextlib.suppress(httpx.HTTPError, TimeoutError, sse.BrokenStream):
            await deadline.wait(anext(source, None))
    except httpx.HTTPError:
        raise Refusal(502, "stream_cut", "The model's stream broke before it was complete.") from None
    except TimeoutError:
        raise deadline.refusal() from None
    except (ValueError, RecursionError, sse.BrokenStream):
        raise Refusal(502, "stream_failed", "The model server's stream cannot be read.") from None


async def write_stream(
    parts: AsyncIterator[StreamPart], writer: AnswerWriter, exchange: Exchange
) -> AsyncIterator[bytes]:
    """The bytes of a stream in the caller's form. A Refusal becomes its last event."""
    try:
        async for part in parts:
            if isinstance(part, dict):
                piece = writer.chunk(part)
                if exchange.answer is not None:
                    exchange.answer.add(part)
            elif part is Mark.BEAT:
                piece = BEAT
            elif isinstance(part, Held):
                piece = writer.held(part.notice)
            else:
                exchange.ended = True
                piece = writer.end()
            if piece:
                yield piece
    except Refusal as refusal:
        exchange.code, exchange.ended = refusal.code, True
        yield writer.error(refusal)


def _allowed_chunk(context: RequestContext, chunk: dict[str, Any]) -> dict[str, Any]:
    """The fields of a stream event that may pass. Notes that one arrived. Raises ValueError."""
    context.note_first_event()
    if context.task.chunk is None:
        raise ValueError("this task is not streamed")
    allowed = context.task.chunk.validate_python(chunk)
    context.note_answer()
    return allowed


def _relayed(piece: dict[str, Any], context: RequestContext, *, timed: bool) -> dict[str, Any]:
    """The chunk for the caller. `timed`: its text counts in the times of the stream."""
    if timed and tokens_of_choices(piece["choices"]):
        context.exchange.note_text()
    return context.head.on(piece)
