"""Relays an upstream's answer to the caller, whole or as a stream, under the caller's name of the model."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
from starlette.responses import Response

from edge import sse
from edge.allowance import tokens_of_choices
from edge.deadlines import while_connected
from edge.exchange import Exchange
from edge.openai_api import Refusal, dump
from edge.request_context import RequestContext
from edge.tasks import Task
from edge.upstream import read_answer, refusal_of

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


async def answer_response(context: RequestContext, response: httpx.Response) -> Response:
    """The response for a whole answer. Notes its token counts. Raises Refusal."""
    try:
        async with while_connected(context.request.receive):
            raw = await context.deadline.wait(read_answer(response))
        answer = context.task.answer.validate_python(_parse(raw))
    except httpx.HTTPError as error:
        raise refusal_of(error) from error
    except (ValueError, RecursionError):
        raise Refusal(502, "bad_gateway", "The model server's answer cannot be read.") from None
    context.exchange.note_usage(answer.get("usage"))
    if answer.get("usage") is None:  # missing, or not counts
        answer.pop("usage", None)
    context.exchange.pieces = tokens_of_choices(answer.get("choices"))
    if context.scorer is not None:
        context.scorer.whole(answer)
        context.exchange.confidence = context.scorer.outcome
    if context.screen is not None:
        answer = await context.deadline.wait(context.screen.whole(answer))
    return Response(dump(_with_own_head(answer, context)), media_type="application/json")


def _parse(raw: bytes) -> Any:
    """The JSON of an answer; raises ValueError.

    Python also reads half of a surrogate pair, which UTF-8 cannot encode. That is an error of the model server (502).
    Without this check the caller gets a 400 when the answer is written.
    """
    value = json.loads(raw)
    if _ESCAPED_SURROGATE.search(raw):
        json.dumps(value, ensure_ascii=False).encode()
    return value


async def relay_stream(
    context: RequestContext, response: httpx.Response, complete: Callable[[], Awaitable[None]]
) -> AsyncIterator[bytes]:
    """Relay the stream event by event. If it breaks, the caller gets an error event and no `[DONE]`.

    `complete` is called before `[DONE]` is sent, when usage is final.
    """
    source = sse.events(response.aiter_bytes())
    exchange, deadline = context.exchange, context.deadline
    pieces = context.screen.pieces() if context.screen is not None else None
    try:
        while (data := await deadline.wait(anext(source, None))) != sse.DONE_DATA:
            if data is None:
                raise Refusal(502, "stream_cut", "The model's stream ended before it was complete.")
            chunk = json.loads(data)
            if not isinstance(chunk, dict) or "error" in chunk or "choices" not in chunk:
                raise Refusal(502, "stream_failed", "The model server failed within the stream.")
            chunk = _allowed_chunk(context.task, chunk)
            # The model server sends counts with each event, so an aborted stream is settled by the tokens generated
            # so far.
            exchange.note_usage(chunk.get("usage"))
            if chunk["choices"] or chunk.get("usage") is None:
                chunk.pop("usage", None)
            exchange.pieces += tokens_of_choices(chunk["choices"])
            if context.scorer is not None:
                context.scorer.chunk(chunk)  # raises ValueError if a choice goes on after its end
                exchange.confidence = context.scorer.outcome
            if not context.wants_usage:
                chunk.pop("usage", None)
                if not chunk["choices"]:
                    continue
            for piece in [chunk] if pieces is None else await deadline.wait(pieces.add(chunk)):
                yield sse.event(_with_own_head(piece, context))
        for piece in [] if pieces is None else await deadline.wait(pieces.end()):
            yield sse.event(_with_own_head(piece, context))
        await complete()
        exchange.ended = True
        yield sse.DONE
        # Read to the end, so that the connection can be reused. A break after the answer's end does not affect the
        # answer.
        with contextlib.suppress(httpx.HTTPError, TimeoutError, sse.BrokenStream):
            await deadline.wait(anext(source, None))
    except Refusal as refusal:
        yield _error_event(exchange, refusal)
    except httpx.HTTPError:
        yield _error_event(
            exchange, Refusal(502, "stream_cut", "The model's stream broke before it was complete.")
        )
    except TimeoutError:
        yield _error_event(exchange, deadline.refusal())
    except (ValueError, RecursionError, sse.BrokenStream):
        yield _error_event(
            exchange, Refusal(502, "stream_failed", "The model server's stream cannot be read.")
        )


def _allowed_chunk(task: Task, chunk: dict[str, Any]) -> dict[str, Any]:
    """The fields of a stream event that may pass. Raises ValueError."""
    if task.chunk is None:
        raise ValueError("this task is not streamed")
    return task.chunk.validate_python(chunk)


def _with_own_head(answer: dict[str, Any], context: RequestContext) -> dict[str, Any]:
    """The answer under the caller's name of the model, with the gateway's own id and time."""
    created = {"created": context.created} if "choices" in answer else {}
    return {"id": context.answer_id, **created, **answer, "model": context.called}


def _error_event(exchange: Exchange, refusal: Refusal) -> bytes:
    exchange.code, exchange.ended = refusal.code, True
    return sse.event(refusal.body())
