"""Adds up tokens, GPU time and cost by day in PostgreSQL.

The journal is the complete record. These sums are written to the database every second, so a replica that is killed
loses the last second of them.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from typing import NamedTuple

from edge.config import Place
from edge.database import Database

_ADD = """
INSERT INTO isthmus.accounts AS a
SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date, $1, $2, u.*
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::double precision[], $11::double precision[]) AS u
ON CONFLICT (day, class, site, team, workload, model, endpoint) DO UPDATE SET
    requests = a.requests + excluded.requests,
    prompt_tokens = a.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = a.completion_tokens + excluded.completion_tokens,
    gpu_seconds = a.gpu_seconds + excluded.gpu_seconds,
    usd = a.usd + excluded.usd
"""


MAX_AMOUNT = 10**12
"""Maximum amount that one request can add to a sum."""


class AccountKey(NamedTuple):
    """The team and workload that used a model, and the endpoint that served it."""

    team: str
    workload: str
    model: str
    endpoint: str


class Accounts:
    """Sums that are not in the database yet."""

    def __init__(self, database: Database, data_class: str, site: str) -> None:
        self._database, self._class, self._site = database, data_class, site
        self._sums: defaultdict[AccountKey, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0, 0.0])
        self._writing = asyncio.Lock()

    def add(self, key: AccountKey, prompt: int, completion: int, gpu_seconds: float, usd: float) -> None:
        """Add one request. Values are limited, because one value that the column cannot hold would block all sums."""
        sums = self._sums[key]
        for at, more in enumerate((1, prompt, completion, gpu_seconds, usd)):
            sums[at] += min(max(more, 0), MAX_AMOUNT) if math.isfinite(more) else 0

    async def flush(self) -> None:
        """Write the sums to the database. Raises DatabaseDown; then the sums are kept for the next time."""
        async with self._writing:
            await self._write()

    async def _write(self) -> None:
        if not self._sums:
            return
        sums_by_key, self._sums = self._sums, defaultdict(lambda: [0, 0, 0, 0.0, 0.0])
        keys = sorted(sums_by_key)
        columns = [[key[at] for key in keys] for at in range(4)]
        columns += [[sums_by_key[key][at] for key in keys] for at in range(5)]
        try:
            await self._database.fetch(_ADD, self._class, self._site, *columns)
        except BaseException:
            for key, sums in sums_by_key.items():
                for at, more in enumerate(sums):
                    self._sums[key][at] += more
            raise


def cost(
    place: Place, gpu_seconds: float | None, prompt: int, completion: int, cached: int = 0
) -> tuple[float | None, float | None]:
    """GPU-seconds and USD of a request. None: the place has no number of GPUs, or no price.

    `cached`: tokens of the prompt that the provider's cache had.
    """
    if place.usd_per_million_tokens is not None:
        price = place.usd_per_million_tokens
        usd = (prompt - cached) * price.prompt + completion * price.completion
        usd += cached * (price.prompt if price.cached is None else price.cached)
        return gpu_seconds, usd / 1e6
    if place.usd_per_gpu_hour is not None and gpu_seconds is not None:
        return gpu_seconds, gpu_seconds / 3600 * place.usd_per_gpu_hour
    return gpu_seconds, None
