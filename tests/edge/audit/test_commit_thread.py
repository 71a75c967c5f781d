"""The commit thread runs commits, and reports each result in the event loop."""

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


def test_a_commit_is_done_in_its_thread_and_told_in_the_loops():
    did: list[str] = []
    error, where = ends(lambda: did.append(threading.current_thread().name))
    assert (did, error, where) == (["audit"], None, "MainThread")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("too long"), KeyError("x")]
)
def test_whatever_keeps_it_from_being_done_is_told(error: Exception):
    def fails() -> None:
        raise error

    assert ends(fails)[0] is error


def test_the_loop_runs_on_while_the_disk_takes_its_time():
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


def test_two_at_once_would_be_a_fault_of_ours():
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


def test_it_ends_only_after_what_it_has_begun():
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
