"""Runs the studio's jobs in a process of its own, one at a time: the newest question wins."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

GRACE_S = 2.0
"""A job that has run this long is ended when a newer one comes; a younger one is let finish, which is faster."""
_START = multiprocessing.get_context("spawn")


class Worker:
    """A process that answers jobs. `job` of a request is the name of a function of `isthmus.studio.jobs`."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._turn = asyncio.Lock()
        self._newest = 0
        self._began: float | None = None
        self.doing = ""
        """What the running job does, in words; empty if none runs."""

    @property
    def seconds(self) -> float:
        """How long the running job has run; 0 if none runs."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    async def run(self, job: str, *arguments: Any) -> Any:
        """The result of a job; None if a newer one took its place. Raises what the job raises."""
        self._newest += 1
        number = self._newest
        if self._began is not None and self.seconds > GRACE_S:
            self.stop()
        async with self._turn:
            if number != self._newest:
                return None
            pipe = self._start()
            self._began = time.monotonic()
            try:
                result = await asyncio.to_thread(self._exchange, pipe, job, arguments)
            except (EOFError, OSError):
                self.stop()
                if number == self._newest:
                    raise RuntimeError(
                        "the planning process has ended; it may have had too little memory"
                    ) from None
                return None
            finally:
                self._began, self.doing = None, ""
        if isinstance(result, Exception):
            raise result
        return result

    def warm(self) -> None:
        """Start the process, so that the first job does not wait for imports."""
        self._start()

    def stop(self) -> None:
        """End the process, with the job that it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join(10)
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self.stop()
        here, there = _START.Pipe()
        self._process = _START.Process(target=_serve, args=(there,), daemon=True, name="isthmus-studio-plan")
        self._process.start()
        there.close()
        self._pipe = here
        return here

    def _exchange(self, pipe: Connection, job: str, arguments: tuple[Any, ...]) -> Any:
        pipe.send((job, arguments))
        while True:
            kind, content = pipe.recv()
            if kind == "result":
                return content
            self.doing = content


def _serve(pipe: Connection) -> None:
    """The process: answers jobs until the pipe closes."""
    import signal

    # Ctrl-C goes to every process of the terminal; the server ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from isthmus.studio import jobs

    def progress(words: str) -> None:
        pipe.send(("progress", words))

    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        job: Callable[..., Any] = getattr(jobs, name)
        try:
            result: Any = job(*arguments, progress)
        except Exception as error:  # noqa: BLE001 - it is sent to the server, which reports it
            result = RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(("result", result))
