"""Sends an exact share of a workload's requests to its canary, without randomness."""

from __future__ import annotations

_ONE_REQUEST = 100_000
"""One request, in units of a thousandth of a percent."""


class Split:
    """Adds the canary's share with each request. When the sum reaches one whole request, that request goes to the
    canary.

    So with 1 % exactly one of 100 requests goes to the canary, also in small numbers. Random choice would need
    thousands of requests to come close. Each replica of the gateway keeps the share by itself.
    """

    def __init__(self, percent: float) -> None:
        self._share, self._owed = round(percent * 1000), 0

    def next(self) -> bool:
        """Whether this request goes to the canary."""
        self._owed += self._share
        if self._owed < _ONE_REQUEST:
            return False
        self._owed -= _ONE_REQUEST
        return True
