"""Leases: a copy of the gateway takes a share of what is left from PostgreSQL, and spends it without asking again.

So most requests cost no round trip, and yet the sum of all leases never passes the limit. What a request takes beyond
its reservation is told afterwards, and the next period's first lease knows nothing of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edge.database import Database, DatabaseDown

Period = Literal["minute", "month"]
LEASES_PER_LIMIT: dict[Period, int] = {"minute": 20, "month": 2000}
"""Of the whole, one lease: what a copy that ends without a word takes with it."""
IDLE_S = 5.0
"""A lease that nobody drew on for so long is given back."""
DRY_S = 1.0
"""After "nothing is left" the database is not asked again for so long: others may have given back by then."""

_LEASE = """
SELECT l.granted, l.began, l.ends_in
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
     WITH ORDINALITY AS a(scope, unit, period, most, need, want, place),
     LATERAL isthmus.lease(a.scope, a.unit, a.period, a.most, a.need, a.want) AS l
ORDER BY a.place
"""
_SETTLE = """
UPDATE isthmus.used AS u SET amount = greatest(0, u.amount + d.more)
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[])
      AS d(scope, unit, since, more)) AS d
WHERE (u.scope, u.unit, u.since) = (d.scope, d.unit, d.since)
"""


@dataclass(frozen=True, order=True)
class Limit:
    """So much of one unit in each period, for one scope."""

    scope: str
    unit: str
    period: Period
    most: int


class Exhausted(Exception):
    """A limit has no room for this now; `left_s` until its period ends."""

    def __init__(self, limit: Limit, left_s: float) -> None:
        super().__init__(limit.unit)
        self.limit, self.left_s = limit, left_s


@dataclass(frozen=True)
class Withdrawal:
    """What was taken of one limit, in which period."""

    limit: Limit
    amount: int
    since: datetime


@dataclass
class _Lease:
    left: int = 0
    since: datetime | None = None
    ends: float = float("-inf")
    used_at: float = 0.0
    dry_until: float = float("-inf")
    dry_for: int = 0


class Ledger:
    """The leases of this copy. Belongs to one loop."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._leases: defaultdict[Limit, _Lease] = defaultdict(_Lease)
        self._debts: defaultdict[tuple[str, str, datetime], int] = defaultdict(int)
        self._asking = asyncio.Lock()

    async def take(self, amount_by_limit: dict[Limit, int]) -> list[Withdrawal]:
        """All of it or nothing; raises Exhausted or DatabaseDown."""
        for _ in range(5):
            if withdrawals := self._from_leases(amount_by_limit):
                return withdrawals
            async with self._asking:
                if not self._short(amount_by_limit):  # whoever asked before left enough
                    continue
                await self._lease(self._short(amount_by_limit))
        raise DatabaseDown("others take faster than this copy can ask")

    def settle(self, withdrawals: list[Withdrawal], actual_by_unit: dict[str, int]) -> None:
        """What it came to in the end, by unit; a unit that is not named came to what was taken."""
        for withdrawal in withdrawals:
            excess = actual_by_unit.get(withdrawal.limit.unit, withdrawal.amount) - withdrawal.amount
            lease = self._leases[withdrawal.limit]
            if lease.since == withdrawal.since and lease.left >= excess:
                lease.left -= excess
            elif excess > 0:
                self._debts[(withdrawal.limit.scope, withdrawal.limit.unit, withdrawal.since)] += excess

    async def flush(self, *, last: bool = False) -> None:
        """Tell what was used beyond leases, and give back those that nobody draws on; raises DatabaseDown."""
        now = self._clock()
        changes = dict(self._debts)
        for limit, lease in self._leases.items():
            if lease.left and lease.since and (last or now - lease.used_at > IDLE_S):
                key = (limit.scope, limit.unit, lease.since)
                if now < lease.ends:
                    changes[key] = changes.get(key, 0) - lease.left
                lease.left = 0  # before it is told: if that fails it is lost to all, and never there twice
        if not changes:
            return
        debts = dict(self._debts)
        keys = sorted(changes)
        scopes, units, periods = ([key[at] for key in keys] for at in range(3))
        await self._database.fetch(_SETTLE, scopes, units, periods, [changes[key] for key in keys])
        for key, amount in debts.items():
            self._debts[key] -= amount
            if not self._debts[key]:
                del self._debts[key]

    def _short(self, amount_by_limit: dict[Limit, int]) -> dict[Limit, int]:
        """What the leases lack."""
        now = self._clock()
        missing_by_limit: dict[Limit, int] = {}
        for limit, amount in amount_by_limit.items():
            lease = self._leases[limit]
            if now >= lease.ends:
                lease.left = 0  # of a period that is over
            if lease.left < amount:
                missing_by_limit[limit] = amount - lease.left
        return missing_by_limit

    def _from_leases(self, amount_by_limit: dict[Limit, int]) -> list[Withdrawal]:
        now = self._clock()
        for limit, missing in self._short(amount_by_limit).items():
            lease = self._leases[limit]
            if now < lease.dry_until and missing >= lease.dry_for:
                raise Exhausted(limit, max(lease.ends - now, 0.0))
        if self._short(amount_by_limit):
            return []
        withdrawals: list[Withdrawal] = []
        for limit, amount in amount_by_limit.items():
            lease = self._leases[limit]
            lease.left, lease.used_at = lease.left - amount, now
            assert lease.since is not None
            withdrawals.append(Withdrawal(limit, amount, lease.since))
        return withdrawals

    async def _lease(self, missing_by_limit: dict[Limit, int]) -> None:
        limits = sorted(missing_by_limit)  # all copies lock rows in one order
        rows = await self._database.fetch(
            _LEASE,
            [limit.scope for limit in limits],
            [limit.unit for limit in limits],
            [limit.period for limit in limits],
            [limit.most for limit in limits],
            [missing_by_limit[limit] for limit in limits],
            [limit.most // LEASES_PER_LIMIT[limit.period] for limit in limits],
        )
        now = self._clock()
        for limit, row in zip(limits, rows, strict=True):
            lease = self._leases[limit]
            if lease.since != row["began"]:
                lease.left = 0
            lease.since, lease.ends = row["began"], now + row["ends_in"]
            lease.left += row["granted"]
            if not row["granted"]:
                lease.dry_until, lease.dry_for = min(now + DRY_S, lease.ends), missing_by_limit[limit]
