"""Divides a replica's GPU time equally among the requests that run at each moment."""

from __future__ import annotations

import time
from collections.abc import Callable


class Sharing:
    """Integrates 1/n over time, where n requests run. A request's share is the increase of the integral during it.

    The shares of all requests add up to the time in which any request ran, over all gateways together.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._at = clock, clock()
        self._sum, self.running, self._others = 0.0, 0, 0

    def enter(self) -> float:
        """Begin a request. Pass the returned value to `leave`."""
        self._advance()
        self.running += 1
        return self._sum

    def leave(self, entered: float) -> float:
        """End a request. Returns its share of the replica in seconds."""
        self._advance()
        self.running -= 1
        return self._sum - entered

    def report(self, requests: int) -> None:
        """Note how many requests the replica reports, running and waiting. Those that are not this gateway's belong
        to other gateways.
        """
        self._advance()
        self._others = max(0, requests - self.running)

    def _advance(self) -> None:
        now = self._clock()
        if self.running:
            self._sum += (now - self._at) / (self.running + self._others)
        self._at = now
