"""Lists of held answers for the review desk: waiting and decided ones, by filter, and decisions on similar requests.

A person sees the answers of their scopes. Each scope is a *lane* of its own with an index, so that a list costs the
same whether a domain has ten answers or fifty thousand. Nothing here reads content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.config import DataClass
from edge.database import Database, DatabaseDown
from edge.reviews.identity import ID
from edge.reviews.reviewers import Person, unavailable

WAITING, DECIDED = ("held", "escalated"), ("approved", "rejected", "expired")
PAGE = 50
"""Answers of a page."""
CANDIDATES = 16
"""Answers that are tried at most for the next one, while other reviewers claim theirs."""
SHOWN_SIMILAR = 5
"""Decisions on similar requests that are shown at most. The newest 500 of the workload are counted."""
_SHOWN = """
SELECT h.id, h.workload, h.domain, h.task, h.why, h.score, h.state, h.held_at, h.decide_by, h.decided_at, h.reason,
       h.approvers, h.delivered, CASE WHEN h.claimed_until > isthmus.now() THEN h.claimed_by END AS claimed_by,
       (SELECT count(*) FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition)) AS approvals,
       h.planted, CASE WHEN h.planted THEN ARRAY(SELECT a.by FROM isthmus.review_acts a
           WHERE a.id = h.id AND a.act IN ('approve', 'correct', 'reject', 'escalate')) END AS decided_by,
       CASE WHEN h.planted THEN (SELECT coalesce(p.entry, '') FROM isthmus.planted p WHERE p.id = h.id) END AS entry
"""
_CLAIMS = (
    _SHOWN
    + """
FROM isthmus.held h
WHERE class = $1 AND site = $2 AND claimed_by = $3 AND state IN ('held', 'escalated')
    AND claimed_until > isthmus.now() AND decide_by > isthmus.now()
ORDER BY claimed_until LIMIT 50
"""
)
_WORKLOADS = "SELECT DISTINCT workload FROM isthmus.held WHERE class = $1 AND site = $2 ORDER BY workload"
_SIMILAR = """
WITH latest AS (
    SELECT h.state, h.reason, h.decided_at, h.corrected IS NOT NULL AS corrected, h.why FROM isthmus.held h
    WHERE class = $1 AND site = $2 AND delivered = $3 AND workload = $4 AND id <> $5 AND NOT planted
        AND state IN ('approved', 'rejected', 'expired')
    ORDER BY decided_at DESC LIMIT 500
)
SELECT state, coalesce(reason, '') AS reason, decided_at, corrected FROM latest WHERE why && $6
ORDER BY decided_at DESC
"""


def position_of(at: datetime, held_id: str) -> str:
    """The position of an answer in a list, with which the next page begins."""
    return f"{at.isoformat()}~{held_id}"


def parse_position(text: str) -> tuple[datetime, str] | None:
    """Time and id of a position; None for an empty one. Raises ValueError."""
    if not text:
        return None
    at, _, held_id = text.partition("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None or ID.fullmatch(held_id) is None:
        raise ValueError(text)
    return moment, held_id


@dataclass(frozen=True)
class Filter:
    """Which answers a list has. None: no condition."""

    decided: bool = False
    """Decided answers, the newest first; otherwise waiting ones, the next deadline first."""
    delivered: bool = False
    """Answers that people look at after delivery."""
    state: str | None = None
    domain: str | None = None
    workload: str | None = None
    reason: str | None = None
    older_h: float | None = None
    """Held for at least so many hours."""
    due_h: float | None = None
    """To be decided within so many hours."""


@dataclass(frozen=True)
class Similar:
    """Decisions on requests of the same workload that were held for the same reason."""

    counts: dict[str, int]
    """By state."""
    latest: list[dict[str, Any]]
    """`state`, `reason`, `decided_at` and `corrected` of the newest, without ids and people."""


class Queue:
    """The lists of one class at one site. Raises Refusal 503 if the database does not answer."""

    def __init__(self, database: Database, data_class: DataClass, site: str) -> None:
        self._database, self._site = database, site
        self._class: DataClass = data_class

    async def page(
        self, person: Person, names: list[str], wanted: Filter, after: tuple[datetime, str] | None
    ) -> list[dict[str, Any]]:
        """A page of answers that this person may see. `names`: those under which the person could have asked."""
        query = _Query(self._class, self._site, wanted, names)
        if after is not None:
            query.begin_after(*after)
        return await self._listed(query, person, PAGE)

    async def candidates(self, person: Person, names: list[str], wanted: Filter) -> list[str]:
        """Ids of waiting answers that this person may decide now and nobody has claimed, the most urgent first."""
        query = _Query(self._class, self._site, wanted, names)
        query.only_free_for(person)
        return [row["id"] for row in await self._listed(query, person, CANDIDATES, decides=True)]

    async def claims(self, person: Person) -> list[dict[str, Any]]:
        """The answers that this person has claimed, the oldest claim first."""
        return [dict(row) for row in await self._fetch(_CLAIMS, self._class, self._site, person.name)]

    async def workloads(self) -> list[str]:
        """The workloads that have answers here, by name."""
        return [row["workload"] for row in await self._fetch(_WORKLOADS, self._class, self._site)]

    async def similar(self, row: Any) -> Similar:
        """Decisions on similar requests. No content, no person, no id is in it."""
        values = (self._class, self._site, row["delivered"], row["workload"], row["id"], row["why"])
        rows = await self._fetch(_SIMILAR, *values)
        counts: dict[str, int] = {}
        for decided in rows:
            state = (
                "corrected" if decided["corrected"] and decided["state"] == "approved" else decided["state"]
            )
            counts[state] = counts.get(state, 0) + 1
        return Similar(counts, [dict(decided) for decided in rows[:SHOWN_SIMILAR]])

    async def _listed(
        self, query: _Query, person: Person, most: int, *, decides: bool = False
    ) -> list[dict[str, Any]]:
        lanes = _lanes(person, query.wanted, decides=decides)
        if not lanes:
            return []
        return [dict(row) for row in await self._fetch(query.text(lanes, most), *query.values)]

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        try:
            return await self._database.fetch(statement, *values)
        except DatabaseDown:
            raise unavailable() from None


@dataclass(frozen=True)
class _Lane:
    """A part of the answers that has an index: a workload's, a domain's, or all (`column` empty)."""

    column: str
    value: str
    is_senior: bool
    """Whether the person may decide escalated answers in it."""


class _Query:
    """The statement of a list. Values are parameters, never part of its text."""

    def __init__(self, data_class: DataClass, site: str, wanted: Filter, names: list[str]) -> None:
        self.wanted = wanted
        self.values: list[Any] = [data_class, site, wanted.delivered, names]
        self._ordered_by = "decided_at" if wanted.decided else "decide_by"
        states = DECIDED if wanted.decided else WAITING
        self._conditions = [
            "class = $1 AND site = $2 AND delivered = $3 AND NOT not_by && $4",
            f"state IN ({', '.join(repr(state) for state in states)})",
        ]
        if wanted.state is not None:
            self._condition("state = {}", wanted.state)
        if wanted.domain is not None:
            self._condition("domain = {}", wanted.domain)
        if wanted.workload is not None:
            self._condition("workload = {}", wanted.workload)
        if wanted.reason is not None:
            self._condition("why @> ARRAY[{}::text]", wanted.reason)
        if wanted.older_h is not None:
            self._condition("held_at <= now() - make_interval(secs => {})", wanted.older_h * 3600)
        if wanted.due_h is not None:
            self._condition(
                "decide_by <= (SELECT isthmus.now()) + make_interval(secs => {})", wanted.due_h * 3600
            )

    def begin_after(self, at: datetime, held_id: str) -> None:
        """List what follows the last answer of a page."""
        sign = "<" if self.wanted.decided else ">"
        self._condition(f"({self._ordered_by}, id) {sign} ({{}}, {{}})", at, held_id)

    def only_free_for(self, person: Person) -> None:
        """List what nobody else has claimed, and what this person has not approved yet."""
        self._condition(
            "(claimed_until IS NULL OR claimed_until <= isthmus.now())"
            " AND decide_by > isthmus.now() AND NOT EXISTS (SELECT FROM isthmus.review_votes v"
            " WHERE (v.id, v.edition, v.by) = (h.id, h.edition, {0}))",
            person.name,
        )

    def text(self, lanes: Sequence[_Lane], most: int) -> str:
        """The statement for these lanes, with at most `most` rows."""
        order = f"{self._ordered_by} DESC, id DESC" if self.wanted.decided else f"{self._ordered_by}, id"
        parts: list[str] = []
        for lane in lanes:
            conditions = [*self._conditions]
            if lane.column:
                conditions.append(f"{lane.column} = {self._value(lane.value)}")
            if not lane.is_senior:
                conditions.append("state <> 'escalated'")
            part = f"SELECT id FROM isthmus.held h WHERE {' AND '.join(conditions)}"  # noqa: S608 (parameters)
            parts.append(f"({part} ORDER BY {order} LIMIT {most})")
        outer = ", ".join(f"h.{key}" for key in order.split(", "))
        return (
            f"WITH listed AS ({' UNION '.join(parts)}) {_SHOWN}"
            f"FROM listed JOIN isthmus.held h USING (id) ORDER BY {outer} LIMIT {most}"
        )

    def _condition(self, condition: str, *values: Any) -> None:
        self._conditions.append(condition.format(*(self._value(value) for value in values)))

    def _value(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def _lanes(person: Person, wanted: Filter, *, decides: bool) -> list[_Lane]:
    """The lanes of what a person may see, narrowed to the filter. `decides`: of what this person may decide."""
    lanes: dict[tuple[str, str], bool] = {}

    def add(column: str, value: str, *, is_senior: bool) -> None:
        lanes[column, value] = lanes.get((column, value), False) or is_senior

    for scope in person.scopes:
        if scope.role == "owner" or (decides and scope.role == "auditor"):
            continue
        # A list also shows escalated answers to those who may only read them.
        is_senior = scope.role == "senior" or not decides
        if scope.is_everything:
            narrowed = [("workload", wanted.workload), ("domain", wanted.domain)]
            column, value = next(((c, v) for c, v in narrowed if v is not None), ("", ""))
            add(column, value, is_senior=is_senior)
        for column, names, only in (
            ("workload", scope.workloads, wanted.workload),
            ("domain", scope.domains, wanted.domain),
        ):
            for name in sorted(names or ()):
                if only in (None, name):
                    add(column, name, is_senior=is_senior)
    return [_Lane(column, value, is_senior) for (column, value), is_senior in lanes.items()]
