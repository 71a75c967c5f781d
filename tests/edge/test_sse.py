"""Events of a stream are parsed identically, however its bytes are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge import sse


def read(*pieces: bytes) -> list[bytes]:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def collect() -> list[bytes]:
        return [data async for data in sse.events(source())]

    return asyncio.run(collect())


STREAM = (
    'data: {"text": "a\u2028b\u0085c"}\r\n\r\n: a comment\n\nevent: x\ndata:1\ndata: 2\n\ndata: [DONE]\n\n'
).encode()
EVENTS = ['{"text": "a\u2028b\u0085c"}'.encode(), b"1\n2", b"[DONE]"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_parsed_identically_however_their_bytes_are_cut(size: int):
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert read(*pieces) == EVENTS


def test_a_truncated_event_is_not_returned():
    assert read(b"data: whole\n\ndata: {", b'"half') == [b"whole"]
    assert read(b"data: whole\n\ndata: line without an end of event\n") == [b"whole"]


def test_an_oversized_event_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(sse.BrokenStream):
        read(b"data: ", b"x" * 60, b"x" * 60)
