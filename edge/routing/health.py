"""Whether an endpoint is worth asking: by its own word, and by what came of the last requests."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S, LONGEST_S = 1.0, 30.0
"""How long an endpoint that took no request is left alone, and the most that this doubles to."""
IN_A_ROW = 3
"""Requests that it must refuse one after the other: behind one address one of several replicas may be dead."""


class Health:
    """Of one endpoint. It orders the ways and closes none: the last one that is left is asked in any case."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._says_no = False
        self._refused = 0
        self._failures, self._until = 0, 0.0

    @property
    def good(self) -> bool:
        """Whether it is asked before those that are not."""
        return not self._says_no and self._clock() >= self._until

    def said(self, well: bool) -> None:
        """The answer of a probe. One that is well again is asked at once."""
        self._says_no = not well
        if well and self._failures:
            self.took()

    def took(self) -> None:
        """It took a request, whatever came of it then: a model's error may be the request's own fault."""
        self._refused = 0
        self._failures, self._until = 0, 0.0

    def refused(self) -> None:
        """It took none: no connection, or its own word that it cannot."""
        if self._clock() < self._until:
            return  # one of several that were under way when the first of them failed
        self._refused += 1
        if self._refused < IN_A_ROW and not self._failures:
            return
        pause = min(LONGEST_S, FIRST_S * 2**self._failures)
        self._failures, self._until = min(self._failures + 1, 10), self._clock() + pause
