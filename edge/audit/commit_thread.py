"""Runs commits one after the other in a thread, so that the event loop does not wait for the disk.

asyncio's executor is not used: its futures and tasks make a record a sixth slower (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Commit = Callable[[], None]
"""Called in the thread. May raise OSError or ValueError."""
OnCommitted = Callable[[Exception | None], None]
"""Called in the loop with None when the commit is durable, or with its error."""


class Committer:
    """Belongs to the event loop that creates it."""

    def __init__(self) -> None:
        self.busy = False
        """Whether a commit is running."""
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[tuple[Commit, OnCommitted] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def commit(self, commit: Commit, on_committed: OnCommitted) -> None:
        """Start a commit. Only one may run at a time."""
        assert not self.busy, "one commit at a time"
        self.busy = True
        self._work.put((commit, on_committed))

    async def close(self) -> None:
        """Stop the thread after the running commit."""
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            commit, on_committed = work
            failure: Exception | None = None
            try:
                commit()
            except Exception as error:  # noqa: BLE001 (requests wait for the result of any failure)
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits for the result
                self._loop.call_soon_threadsafe(self._done, on_committed, failure)

    def _done(self, on_committed: OnCommitted, failure: Exception | None) -> None:
        self.busy = False
        on_committed(failure)
