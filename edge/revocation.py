"""A stream goes on only as long as its caller may call: a key that is revoked, or a certificate, ends it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from edge import sse
from edge.callers import Identify
from edge.openai_api import Refusal
from edge.request_context import RequestContext

LOOK_S = 5.0
"""So often a stream's caller is looked up again. An answer of the key store is up to 5 s old: 10 s in all."""


async def while_allowed(
    pieces: AsyncIterator[bytes], context: RequestContext, identify: Identify
) -> AsyncIterator[bytes]:
    """The stream's pieces; an error in place of the next one when its caller may call no more.

    A key store that does not answer ends no stream: new requests are refused meanwhile.
    """
    looked = time.monotonic()
    async for piece in pieces:
        if time.monotonic() - looked >= LOOK_S and not context.exchange.ended:
            looked = time.monotonic()
            try:
                await identify.caller(context.request)
            except Refusal as refusal:
                if refusal.status in (401, 403):
                    context.exchange.code, context.exchange.ended = refusal.code, True
                    yield sse.event(refusal.body())
                    return
        yield piece
