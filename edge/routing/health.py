"""Health of an endpoint, from its probes and from the results of the last requests."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S, LONGEST_S = 1.0, 30.0
"""First and longest pause of an endpoint that accepts no request, in seconds. It doubles each time."""
IN_A_ROW = 3
"""Consecutive refusals that start a pause. A single one may come from one dead replica of several."""


class Health:
    """Health of one endpoint. It orders upstreams but excludes none: the last one left is tried in any case."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._says_no = False
        self._refused = 0
        self._failures, self._until = 0, 0.0

    @property
    def good(self) -> bool:
        """Whether the endpoint is preferred over unhealthy ones."""
        return not self._says_no and self._clock() >= self._until

    def said(self, well: bool) -> None:
        """Note the result of a probe. An endpoint that has recovered is used at once."""
        self._says_no = not well
        if well and self._failures:
            self.took()

    def took(self) -> None:
        """Note that the endpoint accepted a request. A later error of the model may be the request's fault."""
        self._refused = 0
        self._failures, self._until = 0, 0.0

    def refused(self) -> None:
        """Note that the endpoint did not accept a request: no connection, or a 503."""
        if self._clock() < self._until:
            return  # one of several requests that were running when the first one failed
        self._refused += 1
        if self._refused < IN_A_ROW and not self._failures:
            return
        pause = min(LONGEST_S, FIRST_S * 2**self._failures)
        self._failures, self._until = min(self._failures + 1, 10), self._clock() + pause
