"""Deadlines and disconnection, where a real process would need luck to meet the moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.flow import Deadline, Relay


def test_a_stream_that_ends_before_its_first_piece_closes_its_source():
    closed: list[bool] = []
    running: set[Deadline] = set()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"never asked for"

    async def close() -> None:
        closed.append(True)

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(5)

    async def scenario() -> None:
        relay = Relay(pieces(), Deadline(5, running), close, headers={})
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await asyncio.wait_for(relay(scope, gone, send), 2)

    asyncio.run(scenario())
    assert closed == [True], "the upstream's connection would be lost to the pool"
    assert running == set()


def test_a_deadline_that_is_cut_ends_the_wait_at_once_and_every_later_one():
    async def scenario() -> None:
        running: set[Deadline] = set()
        deadline = Deadline(60, running)
        asyncio.get_running_loop().call_later(0.05, deadline.cut)
        begin = asyncio.get_running_loop().time()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await deadline.wait(asyncio.sleep(5))
        assert asyncio.get_running_loop().time() - begin < 3
        assert deadline.refusal().code == "shutting_down"
        assert running == {deadline}

    asyncio.run(scenario())
