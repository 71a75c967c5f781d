"""Ends a stream when the caller's key or certificate is revoked."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from edge import sse
from edge.callers import Identify
from edge.openai_api import Refusal
from edge.request_context import RequestContext

LOOK_S = 5.0
"""Seconds between two look-ups of a stream's caller. The key store's answer may be 5 s old, so a stream ends within
10 s of the revocation."""


async def while_allowed(
    pieces: AsyncIterator[bytes], context: RequestContext, identify: Identify
) -> AsyncIterator[bytes]:
    """The pieces of a stream. If the caller's access is revoked, an error replaces the next piece and the stream
    ends.

    If the key store does not answer, running streams continue, while new requests are refused.
    """
    looked = time.monotonic()
    async for piece in pieces:
        if time.monotonic() - looked >= LOOK_S and not context.exchange.ended:
            looked = time.monotonic()
            try:
                await identify.caller(context.request)
            except Refusal as refusal:
                # A token that expires meanwhile was valid for this request, which its own time limit ends.
                if refusal.status in (401, 403) and refusal.code != "expired_token":
                    context.exchange.code, context.exchange.ended = refusal.code, True
                    yield sse.event(refusal.body())
                    return
        yield piece
