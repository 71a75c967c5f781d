"""Plants wrong answers among the held ones, to measure how many of them people detect, and second looks at decided
ones, to measure how often two people agree.

A real answer that arrives is drawn with the site's key. Some time later a planted one takes its workload, reasons and
deadlines, so that it looks the same in each list, page and API. It never leaves the review service: the database hides
it from gateways, and no gateway accepts the votes on it.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edge.audit.auditor import Auditor
from edge.audit.records import Broken
from edge.config import ReviewsConfig
from edge.config.desk import PlantedAnswer
from edge.database import Database
from edge.reviews import decision_records
from edge.reviews.disguise import Disguised, again, disguise
from edge.reviews.domain_deadlines import DomainDeadlines
from edge.reviews.envelope import Envelopes, Erased
from edge.reviews.held_store import CASE
from edge.reviews.trigger import draw

PLANT_S = 5.0
"""Seconds between two looks at the answers that arrived."""
MOST_DELAY_S = 300.0
"""A planted answer comes up to so many seconds after the real one that it takes after."""
ACT = "plant"
"""Act in the audit record of a planted answer."""
SECOND_LOOK = "second-look"
"""Reason in the record of a second look."""
MOST_SECOND_LOOKS = 20
"""Second looks in a domain within 24 hours at most."""
_ARRIVED = """
SELECT id, workload, domain, why, score, delete_at - held_at AS keep,
    extract(epoch FROM isthmus.now() - held_at)::float8 AS age_s
FROM isthmus.held h
WHERE class = $1 AND site = $2 AND state = 'held'
    AND held_at > isthmus.now() - $4::interval AND domain = ANY ($3) AND task <> $5 AND NOT planted
    AND NOT EXISTS (SELECT FROM isthmus.planted p WHERE p.planted_for = h.id)
ORDER BY held_at LIMIT 2000
"""
_USES = """
SELECT p.entry, count(*) AS uses, coalesce(bool_or(h.state IN ('held', 'escalated')), false) AS waits
FROM isthmus.planted p LEFT JOIN isthmus.held h USING (id)
WHERE (p.class, p.site, p.domain) = ($1, $2, $3) GROUP BY p.entry
"""
_DECIDED = """
SELECT id, workload, domain, delete_at - held_at AS keep,
    extract(epoch FROM isthmus.now() - decided_at)::float8 AS age_s
FROM isthmus.held h
WHERE class = $1 AND site = $2 AND delivered IN (false, true) AND state IN ('approved', 'rejected')
    AND decided_at > isthmus.now() - $3::interval AND domain IS NOT NULL AND step = 0 AND task <> $4 AND NOT planted
    AND NOT EXISTS (SELECT FROM isthmus.planted p WHERE p.planted_for = h.id)
ORDER BY decided_at LIMIT 2000
"""
_CONTENT = "SELECT content FROM isthmus.held WHERE id = $1"
_REPEAT = "SELECT isthmus.review_repeat($1, $2, $3, $4, $5)"
_PLANT = "SELECT isthmus.review_plant($1, $2, $3, $4, $5, $6, $7, $8)"
_random = random.SystemRandom()


@dataclass(frozen=True)
class _Planting:
    """A row that is planted, for the database and for its record."""

    row: Any
    """The real answer that it takes after."""
    held_id: str
    line: bytes
    reason: str
    statement: str


class Planter:
    """Plants what the desk's settings ask for."""

    def __init__(
        self, config: ReviewsConfig, database: Database, auditor: Auditor, envelopes: Envelopes
    ) -> None:
        self._config, self._database, self._auditor, self._envelopes = config, database, auditor, envelopes
        self._deadlines = DomainDeadlines(config.domains)
        self._planted = config.desk.planted if config.desk is not None else {}
        self._second_look_rate = config.desk.second_look_rate if config.desk is not None else 0.0

    @property
    def has_work(self) -> bool:
        """Whether the settings ask for planted answers or second looks."""
        return bool(self._planted) or self._second_look_rate > 0

    async def plant(self) -> int:
        """Plant what is due. Returns the number of answers. Raises DatabaseDown, Refusal."""
        return await self._plant_entries() + await self._look_again()

    async def _plant_entries(self) -> int:
        """Plant a wrong answer for each real one that was drawn."""
        if not self._planted:
            return 0
        rows = await self._database.fetch(
            _ARRIVED,
            *(self._config.data_class, self._config.site, sorted(self._planted)),
            *(timedelta(seconds=2 * MOST_DELAY_S), CASE),
        )
        planted = 0
        for row in rows:
            if self._is_drawn(row, "plant", self._planted[row["domain"]].rate):
                planted += await self._plant_after(row)
        return planted

    async def _look_again(self) -> int:
        """Give a second person each decided answer that was drawn."""
        if not self._second_look_rate:
            return 0
        rows = await self._database.fetch(
            _DECIDED,
            *(self._config.data_class, self._config.site, timedelta(seconds=2 * MOST_DELAY_S), CASE),
        )
        planted = 0
        for row in rows:
            if not self._is_drawn(row, "second look", self._second_look_rate):
                continue
            held_id = uuid.uuid4().hex
            encrypted = await self._encrypted(row["id"], held_id, again)
            if encrypted is not None:
                line, _ = encrypted
                act = _Planting(row, held_id, line, SECOND_LOOK, _REPEAT)
                planted += await self._insert(act, (held_id, row["id"], line), (MOST_SECOND_LOOKS,))
        return planted

    def _is_drawn(self, row: Any, purpose: str, rate: float) -> bool:
        key = self._auditor.hmacs.key
        if draw(key, f"{purpose} {row['id']}") >= rate:
            return False
        return row["age_s"] >= MOST_DELAY_S * draw(key, f"{purpose} after {row['id']}")

    async def _plant_after(self, row: Any) -> bool:
        """Plant an answer that takes after this one. Whether there is one that fits."""
        settings = self._planted[row["domain"]]
        entry = await self._next_entry(row)
        if entry is None:
            return False
        held_id = uuid.uuid4().hex
        encrypted = await self._encrypted(
            row["id"], held_id, lambda real: disguise(entry, real, row["why"], row["score"])
        )
        if encrypted is None:
            return False
        line, disguised = encrypted
        act = _Planting(row, held_id, line, entry.name[:40], _PLANT)
        values = (held_id, row["id"], entry.name, line, disguised.score)
        return await self._insert(act, values, (settings.most_per_day, settings.most_uses))

    async def _encrypted(
        self, real_id: str, held_id: str, make: Callable[[dict[str, Any]], Disguised | None]
    ) -> tuple[bytes, Disguised] | None:
        """The line of what `make` makes of a real answer, under that answer's key. None: it lends nothing."""
        rows = await self._database.fetch(_CONTENT, real_id)
        if not rows:
            return None
        content = rows[0]["content"]
        try:
            disguised = make(await asyncio.to_thread(self._envelopes.open, content, real_id))
            if disguised is None:
                return None
            values = (content, held_id, disguised.request, disguised.answer, disguised.about)
            return await asyncio.to_thread(self._envelopes.alike, *values), disguised
        except (Erased, OSError, ValueError, KeyError, Broken):
            return None

    async def _insert(self, act: _Planting, values: tuple[Any, ...], bounds: tuple[int, ...]) -> bool:
        """Insert a planted row, with its record in the same transaction. False: a bound forbids it."""
        row = act.row

        async def plant_and_record(connection: Any) -> bool:
            deadline = None
            if row["domain"] in self._deadlines:
                now = await connection.fetchval("SELECT isthmus.now()")
                deadline = self._deadlines.on_arrival(row["domain"], now, row["keep"]).decide_by
            if not await connection.fetchval(act.statement, *values, deadline, *bounds):
                return False
            record = decision_records.fields(
                act.held_id,
                ACT,
                actor={"workload": row["workload"], "reviewer": "", "identity": ACT},
                state="held",
                version=0,
                reason=act.reason,
                line=act.line,
                planted=True,
            )
            await self._auditor.review(record)
            return True

        return await self._database.transaction(plant_and_record)

    async def _next_entry(self, row: Any) -> PlantedAnswer | None:
        """One of the entries that were planted least often, among those that fit."""
        settings = self._planted[row["domain"]]
        rows = await self._database.fetch(_USES, self._config.data_class, self._config.site, row["domain"])
        uses = {use["entry"]: use["uses"] for use in rows}
        waiting = {use["entry"] for use in rows if use["waits"]}
        fitting = [
            entry
            for entry in settings.answers
            if (entry.workloads is None or row["workload"] in entry.workloads)
            and uses.get(entry.name, 0) < settings.most_uses
            and entry.name not in waiting
        ]
        if not fitting:
            return None
        least = min(uses.get(entry.name, 0) for entry in fitting)
        return _random.choice([entry for entry in fitting if uses.get(entry.name, 0) == least])
