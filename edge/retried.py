"""Does work in order, in the background. What fails is tried again before what comes after it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

RETRY_S = 1.0
"""Seconds after a failure until the next try."""
T = TypeVar("T")


class Retried(Generic[T]):
    """Pieces of work, and what does each."""

    def __init__(self, work: Callable[[T], Awaitable[None]], *faults: type[Exception]) -> None:
        """`faults`: what `work` raises when it has to be tried again."""
        self._work, self._faults = work, faults
        self._waiting: deque[T] = deque()
        self._added = asyncio.Event()

    def add(self, piece: T) -> None:
        """Let a piece of work be done."""
        self._waiting.append(piece)
        self._added.set()

    async def working(self) -> None:
        """Do what was added, in a loop."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._waiting:
                try:
                    await self._work(self._waiting[0])
                except self._faults:
                    await asyncio.sleep(RETRY_S)
                else:
                    self._waiting.popleft()
