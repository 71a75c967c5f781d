"""Whose GPU time it was: at every moment an endpoint's GPUs are divided alike among the requests that run there."""

from __future__ import annotations

import time
from collections.abc import Callable


class Sharing:
    """Adds up 1/n over time, n being how many run; what it grew by during a request is the request's share.

    So the shares of all requests add up to the time in which any ran, and no request waits for another's account.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at = clock, clock()
        self._sum, self.running, self._told = 0.0, 0, 0

    def enter(self) -> float:
        """A request begins; give what comes back to `leave`."""
        self._advance()
        self.running += 1
        return self._sum

    def leave(self, entered: float) -> float:
        """A request ended: its seconds of the whole endpoint."""
        self._advance()
        self.running -= 1
        return self._sum - entered

    def told(self, running: int) -> None:
        """How many the endpoint itself says it runs, those of the gateway's other copies with them."""
        self._advance()
        self._told = running

    def _advance(self) -> None:
        now = self._clock()
        if self.running:
            self._sum += (now - self._at) / max(self.running, self._told)
        self._at = now
