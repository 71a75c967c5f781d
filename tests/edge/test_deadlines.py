"""Deadlines and disconnections at exact moments, without a real process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from edge.deadlines import TIMEOUT, ClientLeft, Deadline, Relay, allowed_s, while_connected
from edge.openai_api import Refusal


def test_a_stream_that_ends_before_its_first_chunk_closes_its_source():
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


def test_a_shortened_deadline_ends_the_current_and_every_later_wait():
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


class Client:
    """A client that sends nothing until it disconnects."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def test_work_for_a_disconnected_client_is_cancelled_with_its_own_error():
    async def scenario() -> None:
        client, ended = Client(), asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, client.gone.set)

        async def request() -> None:
            async with while_connected(client.receive):
                try:
                    await asyncio.sleep(5)
                finally:
                    ended.set()

        with pytest.raises(ClientLeft):
            await request()
        assert ended.is_set()
        await asyncio.sleep(0.01)  # no cancellation is left on the task

    asyncio.run(scenario())


def test_cancelling_a_request_is_not_reported_as_a_disconnect():
    async def scenario() -> None:
        async def request() -> None:
            async with while_connected(Client().receive):
                await asyncio.sleep(5)

        task = asyncio.ensure_future(request())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


@pytest.mark.parametrize("inside", [True, False], ids=["deadline inside", "deadline outside"])
def test_a_client_that_disconnects_at_its_deadline_ends_the_request_once(inside: bool):
    async def scenario() -> None:
        client, running = Client(), set[Deadline]()
        deadline = Deadline(60, running)

        def run_both() -> None:
            client.gone.set()
            deadline.cut()

        async def request() -> None:
            async with while_connected(client.receive):
                await (deadline.wait(asyncio.sleep(5)) if inside else asyncio.sleep(5))

        asyncio.get_running_loop().call_later(0.02, run_both)
        with pytest.raises((ClientLeft, TimeoutError)):
            await (request() if inside else deadline.wait(request()))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "a cancellation is left upon the task"
        await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_disconnect_after_the_answer_does_not_undo_it():
    async def scenario() -> None:
        client = Client()
        async with while_connected(client.receive):
            await asyncio.sleep(0)
            client.gone.set()
        await asyncio.sleep(0.02)

    asyncio.run(scenario())


def test_a_request_has_the_shorter_time_of_its_sender_and_the_process():
    def asking(*seconds: str) -> Request:
        headers = [(TIMEOUT.encode(), value.encode()) for value in seconds]
        return Request({"type": "http", "headers": headers})

    assert allowed_s(asking(), 300) == 300
    assert allowed_s(asking("2.5"), 300) == 2.5
    assert allowed_s(asking("600"), 300) == 300
    with pytest.raises(Refusal, match="one number of seconds"):
        allowed_s(asking("2", "3"), 300)


def test_what_is_left_of_a_deadline_shrinks_and_is_never_zero():
    async def scenario() -> None:
        deadline = Deadline(0.02, set())
        before = deadline.left_s
        await asyncio.sleep(0.03)
        assert 0 < deadline.left_s < before

    asyncio.run(scenario())
