"""Limits of requests at once, which all copies of a gateway count together where they share a database.

A copy leases slots from the database, as it does with amounts, and renews them every second. Without a database each
copy counts its own requests.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.database import Database

DRY_S = 0.25
"""Seconds without queries after the answer that no slot is free."""
MOST_SPARE = 4
"""Most slots that a copy leases beyond what it needs now."""
_LEASE = "SELECT isthmus.lease_parallel($1, $2, $3, $4) AS granted"
_RENEW = """
INSERT INTO isthmus.parallel
SELECT u.scope, $1, u.slots, clock_timestamp() FROM unnest($2::text[], $3::integer[]) AS u(scope, slots)
ON CONFLICT (scope, copy) DO UPDATE SET slots = excluded.slots, renewed_at = excluded.renewed_at
"""
_WEIGHT = 0.1


class TooMany(Exception):
    """No slot is free. `wait_s`: seconds until one usually is."""

    def __init__(self, scope: str, most: int, wait_s: float) -> None:
        super().__init__(scope)
        self.scope, self.most, self.wait_s = scope, most, wait_s


@dataclass
class _Slots:
    running: int = 0
    leased: int = 0
    peak: int = 0
    """Most that ran at once since the last renewal."""
    dry_until: float = float("-inf")
    mean_s: float = 1.0
    """How long requests run."""


class Parallel:
    """The requests of this copy that run, by scope. Belongs to one event loop."""

    def __init__(self, database: Database | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._copy = uuid.uuid4()
        self._scopes: dict[str, _Slots] = {}
        self._asking = asyncio.Lock()

    async def take(self, most_by_scope: Mapping[str, int]) -> Callable[[], None]:
        """Take a slot of each scope, or of none. Returns the function that gives them back.

        Raises TooMany or DatabaseDown.
        """
        started, taken = self._clock(), list[str]()

        def give_back() -> None:
            while taken:
                self._end(taken.pop(), started)

        try:
            for scope, most in most_by_scope.items():
                await self._take(scope, most)
                taken.append(scope)
        except BaseException:
            give_back()
            raise
        return give_back

    async def flush(self, *, last: bool = False) -> None:
        """Renew the leases, and return what was not used since the last call. Raises DatabaseDown."""
        if self._database is None:
            return
        async with self._asking:
            leased = {scope: slots for scope, slots in self._scopes.items() if slots.leased}
            for scope, slots in leased.items():
                slots.leased = 0 if last else min(slots.leased, max(slots.running, slots.peak))
                slots.peak = slots.running
                if not slots.leased:
                    del self._scopes[scope]
            if leased:
                amounts = [slots.leased for slots in leased.values()]
                await self._database.fetch(_RENEW, self._copy, list(leased), amounts)

    async def _take(self, scope: str, most: int) -> None:
        slots = self._scopes.setdefault(scope, _Slots())
        if self._database is None:
            slots.leased = most
        elif slots.running >= min(slots.leased, most):
            async with self._asking:
                slots = self._scopes.setdefault(scope, _Slots())
                if slots.running >= min(slots.leased, most) and self._clock() >= slots.dry_until:
                    await self._lease(self._database, scope, slots, most)
        if slots.running >= min(slots.leased, most):
            raise TooMany(scope, most, slots.mean_s / most)
        slots.running += 1
        slots.peak = max(slots.peak, slots.running)

    async def _lease(self, database: Database, scope: str, slots: _Slots, most: int) -> None:
        want = min(most, slots.running + 1 + min(MOST_SPARE, most // 8))
        [row] = await database.fetch(_LEASE, scope, self._copy, most, want)
        slots.leased = row["granted"]
        if slots.leased <= slots.running:
            slots.dry_until = self._clock() + DRY_S

    def _end(self, scope: str, started: float) -> None:
        slots = self._scopes[scope]
        slots.running -= 1
        slots.mean_s += _WEIGHT * (self._clock() - started - slots.mean_s)
        if self._database is None and not slots.running:
            del self._scopes[scope]


def whole_seconds(wait_s: float) -> str:
    """The value of `Retry-After`: at least a second."""
    return str(max(1, math.ceil(wait_s)))
