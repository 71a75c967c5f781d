"""The thread that commits records to disk, and how it reports results to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from edge.audit.commit_thread import Commit, Committer


def until(disk: threading.Event) -> Commit:
    """A commit that waits for this event, like a slow disk."""

    def commit() -> None:
        assert disk.wait(10), "the disk never came"

    return commit


def ends(commit: Callable[[], None]) -> tuple[Exception | None, str]:
    """The result of a commit as the loop gets it, and the thread that ran it."""

    async def run() -> tuple[Exception | None, str]:
        outcome: asyncio.Future[tuple[Exception | None, str]] = asyncio.get_running_loop().create_future()
        committer = Committer()
        committer.commit(commit, lambda error: outcome.set_result((error, threading.current_thread().name)))
        try:
            return await asyncio.wait_for(outcome, 10)
        finally:
            await committer.close()

    return asyncio.run(run())


def test_a_commit_runs_in_its_thread_and_reports_in_the_event_loop():
    did: list[str] = []
    error, where = ends(lambda: did.append(threading.current_thread().name))
    assert (did, error, where) == (["audit"], None, "MainThread")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("too long"), KeyError("x")]
)
def test_every_error_of_a_commit_is_reported(error: Exception):
    def fails() -> None:
        raise error

    assert ends(fails)[0] is error


def test_the_event_loop_is_not_blocked_by_a_slow_disk():
    async def run() -> list[str]:
        events: list[str] = []
        disk, durable = threading.Event(), asyncio.Event()
        committer = Committer()

        def note_error(error: Exception | None) -> None:
            events.append("durable")
            durable.set()

        committer.commit(until(disk), note_error)
        assert committer.busy
        await asyncio.sleep(0.05)
        events.append("the loop runs")
        disk.set()
        await asyncio.wait_for(durable.wait(), 10)
        assert not committer.busy
        await committer.close()
        return events

    assert asyncio.run(run()) == ["the loop runs", "durable"]


def test_a_second_commit_during_a_running_one_is_a_programming_error():
    async def run() -> None:
        disk = threading.Event()
        committer = Committer()
        committer.commit(until(disk), lambda error: None)
        try:
            with pytest.raises(AssertionError):
                committer.commit(lambda: None, lambda error: None)
        finally:
            disk.set()
            await committer.close()

    asyncio.run(run())


def test_closing_waits_for_the_running_commit():
    did: list[str] = []

    async def run() -> None:
        disk = threading.Event()
        committer = Committer()

        def slow() -> None:
            until(disk)()
            did.append("done")

        committer.commit(slow, lambda error: None)
        asyncio.get_running_loop().call_later(0.05, disk.set)
        await committer.close()
        assert did == ["done"]

    asyncio.run(run())
