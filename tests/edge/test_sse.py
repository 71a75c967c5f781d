"""The events of a stream do not depend on how its bytes are cut into pieces."""

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
def test_events_are_the_same_however_they_are_cut(size: int):
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert read(*pieces) == EVENTS


def test_an_event_that_was_cut_is_not_given():
    assert read(b"data: whole\n\ndata: {", b'"half') == [b"whole"]
    assert read(b"data: whole\n\ndata: line without an end of event\n") == [b"whole"]


def test_an_event_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(sse.BrokenStream):
        read(b"data: ", b"x" * 60, b"x" * 60)
