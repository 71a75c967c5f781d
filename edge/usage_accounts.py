"""What each request took, added up by day in PostgreSQL; and what that cost.

The journal's lines are the whole record. These sums are told every second, so a copy that is killed leaves out what it
had not told yet.
"""

from __future__ import annotations

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
"""Of anything that one request can add."""


class AccountKey(NamedTuple):
    """For whom, and where it ran."""

    team: str
    workload: str
    model: str
    endpoint: str


class Accounts:
    """The sums that the database was not told yet."""

    def __init__(self, database: Database, data_class: str, site: str) -> None:
        self._database, self._class, self._site = database, data_class, site
        self._sums: defaultdict[AccountKey, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0, 0.0])

    def add(self, key: AccountKey, prompt: int, completion: int, gpu_seconds: float, usd: float) -> None:
        """One request. A count that no column can hold would keep everybody's sums from the database."""
        sums = self._sums[key]
        for at, more in enumerate((1, prompt, completion, gpu_seconds, usd)):
            sums[at] += min(max(more, 0), MAX_AMOUNT) if math.isfinite(more) else 0

    async def flush(self) -> None:
        """Tell them; raises DatabaseDown, and what was not told stays to be told."""
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


def cost(place: Place, share_s: float, prompt: int, completion: int) -> tuple[float | None, float | None]:
    """GPU-seconds, and USD: by the GPU's hour or by the token, as the place is priced; None where it is not."""
    gpu_seconds = None if place.gpus is None else share_s * place.gpus
    if place.usd_per_million_tokens is not None:
        price = place.usd_per_million_tokens
        return gpu_seconds, (prompt * price.prompt + completion * price.completion) / 1e6
    if place.usd_per_gpu_hour is not None and gpu_seconds is not None:
        return gpu_seconds, gpu_seconds / 3600 * place.usd_per_gpu_hour
    return gpu_seconds, None
