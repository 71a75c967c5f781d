"""Stops in PostgreSQL, as a gateway reads them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from edge.database import Database, DatabaseDown
from edge.stops.stop import Stop, StopsUnreadable

_READ = """
SELECT s.id, s.workload, s.message, a.by, a.through, a.reason
FROM isthmus.stops s
JOIN LATERAL (
    SELECT by, through, reason FROM isthmus.stop_acts WHERE stop = s.id AND act = 'stop' ORDER BY number DESC LIMIT 1
) a ON true
WHERE (s.class, s.site) = ($1, $2) AND s.ended_at IS NULL
ORDER BY s.workload
"""
_RESTARTED_BY = """
SELECT by FROM isthmus.stop_acts WHERE stop = $1 AND act IN ('ask-restart', 'restart') ORDER BY number DESC LIMIT 2
"""
_CONFIRM = (
    "INSERT INTO isthmus.stop_refusing (stop, copy, gateway) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
)


class PostgresStops:
    """The stops of one class and site."""

    def __init__(self, database: Database, data_class: str, site: str, name: str) -> None:
        """`name`: of this gateway."""
        self._database, self._place = database, (data_class, site)
        self._copy, self._name = uuid.uuid4(), name

    async def read(self) -> Sequence[Stop]:
        """The stops in effect. Raises StopsUnreadable."""
        try:
            rows = await self._database.fetch(_READ, *self._place)
        except DatabaseDown as error:
            raise StopsUnreadable(str(error)) from None
        return [
            Stop(row["id"], row["workload"], row["message"], row["by"], row["through"], row["reason"])
            for row in rows
        ]

    async def restarted_by(self, stop: Stop) -> list[str]:
        """The people who asked for the restart. Raises StopsUnreadable."""
        try:
            rows = await self._database.fetch(_RESTARTED_BY, stop.id)
        except DatabaseDown as error:
            raise StopsUnreadable(str(error)) from None
        return sorted(row["by"] for row in rows)

    async def confirm(self, stop: Stop) -> None:
        """Note that this copy refuses the workload. Raises StopsUnreadable."""
        try:
            await self._database.fetch(_CONFIRM, stop.id, self._copy, self._name)
        except DatabaseDown as error:
            raise StopsUnreadable(str(error)) from None
