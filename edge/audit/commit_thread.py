"""A thread that waits for the disk in a loop's place, for one commit after the other.

Not asyncio's executor, with whose futures and tasks a record takes a sixth longer (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Commit = Callable[[], None]
"""Done in the thread; may raise OSError or ValueError."""
OnCommitted = Callable[[Exception | None], None]
"""Called in the loop when the commit is durable, or with why it is not."""


class Committer:
    """Belongs to the loop in which it is made."""

    def __init__(self) -> None:
        self.busy = False
        """Whether a commit is under way."""
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[tuple[Commit, OnCommitted] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def commit(self, commit: Commit, on_committed: OnCommitted) -> None:
        """Have it done. Not while another is under way."""
        assert not self.busy, "one commit at a time"
        self.busy = True
        self._work.put((commit, on_committed))

    async def close(self) -> None:
        """After the commit that is under way."""
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            commit, on_committed = work
            failure: Exception | None = None
            try:
                commit()
            except Exception as error:  # noqa: BLE001 (whatever it was, requests wait for it)
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._done, on_committed, failure)

    def _done(self, on_committed: OnCommitted, failure: Exception | None) -> None:
        self.busy = False
        on_committed(failure)
