"""Stopped canaries in PostgreSQL: a stop is written once and never removed."""

from __future__ import annotations

from typing import NamedTuple

from edge.database import Database

_READ = """
SELECT workload, model, release FROM isthmus.canary_stops WHERE (class, site) = ($1, $2)
"""
_WRITE = """
INSERT INTO isthmus.canary_stops (class, site, workload, model, release, gateway, answered, failed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""


class CanaryName(NamedTuple):
    """A canary that a gateway may serve."""

    workload: str
    model: str
    """The model's name for callers."""
    release: str


class CanaryStops:
    """The stopped canaries of one class and site. A gateway may add to them, and remove none."""

    def __init__(self, database: Database, data_class: str, site: str, gateway: str) -> None:
        self._database, self._place, self._gateway = database, (data_class, site), gateway

    async def read(self) -> set[CanaryName]:
        """Those that are stopped. Raises DatabaseDown."""
        rows = await self._database.fetch(_READ, *self._place)
        return {CanaryName(row["workload"], row["model"], row["release"]) for row in rows}

    async def write(self, name: CanaryName, answered: int, failed: int) -> None:
        """Stop a canary for all copies of the gateway. Raises DatabaseDown."""
        await self._database.fetch(_WRITE, *self._place, *name, self._gateway, answered, failed)
