"""A share of a workload's requests for its canary: exact, without chance."""

from __future__ import annotations

_ONE_REQUEST = 100_000
"""A request, in thousandths of a percent."""


class Split:
    """Adds the share up with each request: whenever a whole one has come together it is the canary's.

    So 1 % is one request of each hundred, however few there are: chance would need thousands to come near it, and
    each copy of the gateway keeps the share by itself.
    """

    def __init__(self, percent: float) -> None:
        self._share, self._owed = round(percent * 1000), 0

    def next(self) -> bool:
        """Whether this request is the canary's."""
        self._owed += self._share
        if self._owed < _ONE_REQUEST:
            return False
        self._owed -= _ONE_REQUEST
        return True
