"""Leases: a gateway replica takes a share of a limit from PostgreSQL and spends it without further queries.

So most requests need no round trip, and the sum of all leases never exceeds the limit. Usage above a reservation is
reported afterwards. It counts in the same period only.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edge.database import Database, DatabaseDown

Period = Literal["minute", "month"]
LEASES_PER_LIMIT: dict[Period, int] = {"minute": 20, "month": 2000}
"""Leases that make up a limit. A replica that crashes loses one lease at most."""
IDLE_S = 5.0
"""Seconds without use after which a lease is returned."""
DRY_S = 1.0
"""Seconds without queries after the answer that nothing is left. Others may return leases in that time."""

_LEASE = """
SELECT l.granted, l.began, l.ends_in, l.remaining
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
_USED = """
SELECT a.place, u.amount
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS a(scope, unit, period, place)
JOIN isthmus.used u ON (u.scope, u.unit) = (a.scope, a.unit)
     AND u.since >= date_trunc(a.period, clock_timestamp(), 'UTC')
"""


@dataclass(frozen=True, order=True)
class Limit:
    """The maximum of a unit in each period, for one scope."""

    scope: str
    unit: str
    period: Period
    most: int


class Exhausted(Exception):
    """A limit is used up. `left_s`: seconds until its period ends."""

    def __init__(self, limit: Limit, left_s: float) -> None:
        super().__init__(limit.unit)
        self.limit, self.left_s = limit, left_s


@dataclass(frozen=True)
class Withdrawal:
    """An amount that was taken from one limit in one period."""

    limit: Limit
    amount: int
    since: datetime


@dataclass
class _Lease:
    left: int = 0
    beyond: int = 0
    """What nobody had leased at the last query."""
    since: datetime | None = None
    ends: float = float("-inf")
    used_at: float = 0.0
    dry_until: float = float("-inf")
    dry_for: int = 0


class Ledger:
    """The leases of this replica. Belongs to one event loop."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._leases: defaultdict[Limit, _Lease] = defaultdict(_Lease)
        self._debts: defaultdict[tuple[str, str, datetime], int] = defaultdict(int)
        self._asking = asyncio.Lock()

    async def take(self, amount_by_limit: dict[Limit, int]) -> list[Withdrawal]:
        """Take all amounts or none. Raises Exhausted or DatabaseDown."""
        for _ in range(5):
            if withdrawals := self._from_leases(amount_by_limit):
                return withdrawals
            async with self._asking:
                if not self._short(amount_by_limit):  # a concurrent lease was large enough
                    continue
                await self._lease(self._short(amount_by_limit))
        raise DatabaseDown("others take faster than this copy can ask")

    def settle(self, withdrawals: list[Withdrawal], actual_by_unit: dict[str, int]) -> None:
        """Replace taken by actual amounts, by unit. A unit without an actual amount keeps the taken one."""
        for withdrawal in withdrawals:
            excess = actual_by_unit.get(withdrawal.limit.unit, withdrawal.amount) - withdrawal.amount
            lease = self._leases[withdrawal.limit]
            if lease.since == withdrawal.since and lease.left >= excess:
                lease.left -= excess
            elif excess > 0:
                self._debts[(withdrawal.limit.scope, withdrawal.limit.unit, withdrawal.since)] += excess

    async def flush(self, *, last: bool = False) -> None:
        """Report usage beyond leases and return idle leases. Raises DatabaseDown."""
        now = self._clock()
        changes = dict(self._debts)
        for limit, lease in self._leases.items():
            if lease.left and lease.since and (last or now - lease.used_at > IDLE_S):
                key = (limit.scope, limit.unit, lease.since)
                if now < lease.ends:
                    changes[key] = changes.get(key, 0) - lease.left
                lease.left = (
                    0  # before the report: if that fails the amount is lost, but it is never counted twice
                )
        for limit in [limit for limit, lease in self._leases.items() if now >= lease.ends]:
            del self._leases[limit]  # of callers that may never come again
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

    async def used(self, limits: Sequence[Limit]) -> dict[Limit, int]:
        """What was used of each limit in its present period, by all replicas, with the leases that they hold. Raises
        DatabaseDown."""
        rows = await self._database.fetch(
            _USED,
            [limit.scope for limit in limits],
            [limit.unit for limit in limits],
            [limit.period for limit in limits],
        )
        amounts = {row["place"] - 1: row["amount"] for row in rows}
        return {limit: amounts.get(place, 0) for place, limit in enumerate(limits)}

    def remaining(self, limit: Limit) -> tuple[int, float] | None:
        """What is left of a limit as far as this replica knows, and seconds until its period ends. None: unknown."""
        lease = self._leases.get(limit)
        if lease is None or (left_s := lease.ends - self._clock()) <= 0:
            return None
        return lease.left + lease.beyond, left_s

    def _short(self, amount_by_limit: dict[Limit, int]) -> dict[Limit, int]:
        """The amounts that the leases lack."""
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
        limits = sorted(missing_by_limit)  # all replicas lock rows in one order
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
            lease.beyond = row["remaining"]
            if not row["granted"]:
                lease.dry_until, lease.dry_for = min(now + DRY_S, lease.ends), missing_by_limit[limit]
