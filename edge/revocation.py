"""Ends a stream when the caller's key or certificate is revoked, or its workload is stopped."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from edge.callers import Identify
from edge.interfaces.writer import Mark, StreamPart
from edge.openai_api import Refusal
from edge.request_context import RequestContext

LOOK_S = 5.0
"""Seconds between two look-ups of a stream's caller. The key store's answer may be 5 s old, so a stream ends within
10 s of the revocation."""


async def while_allowed(
    parts: AsyncIterator[StreamPart], context: RequestContext, identify: Identify
) -> AsyncIterator[StreamPart]:
    """The parts of a stream. Raises Refusal in place of the next part if the caller's access is revoked, or the request
    was cut.

    If the key store does not answer, running streams continue, while new requests are refused.
    """
    looked = time.monotonic()
    async for part in parts:
        if time.monotonic() - looked >= LOOK_S and part is not Mark.END:
            looked = time.monotonic()
            try:
                await identify.caller(context.request)
            except Refusal as refusal:
                # A token that expires meanwhile was valid for this request, which its own time limit ends.
                if refusal.status in (401, 403) and refusal.code != "expired_token":
                    raise
        if context.deadline.was_cut and part is not Mark.END:
            raise context.deadline.refusal()  # a stopped workload's text must not go on while events are there
        yield part
