"""The figures of the board: backlog, throughput, agreement, rejections and detection, for the answers of a scope.

Nothing here reads content or names a person. Planted answers and second looks count in no figure of real answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from edge.config import DataClass
from edge.config.desk import People
from edge.database import Database, DatabaseDown
from edge.intervals import cohens_kappa
from edge.reviews.detection import Detection
from edge.reviews.people_figures import PeopleFigures, people_figures, shown_detection
from edge.reviews.reviewers import BOARD_SCOPE, Person, unavailable

DAYS, WEEKS = 28, 8
"""Periods of throughput and of rejections."""
MEASURED_DAYS = 365
"""Days of planted answers and second looks that count."""
LEAST_PAIRS = 30
"""Pairs of judgements below which agreement is not known."""
MOST_REJECTIONS = 5000
"""Rows of rejections at most, those of the newest weeks."""
VERDICTS = ("approve", "correct", "reject")
"""Judgements that agreement compares. Who escalates does not judge."""
_BACKLOG = f"""
WITH waiting AS (
    SELECT coalesce(domain, '') AS domain, delivered, held_at, state,
        coalesce(first_due <= $6, true) AS past_deadline, reminded OR coalesce(remind_at <= $6, false) AS past_reminder
    FROM isthmus.held WHERE {BOARD_SCOPE} AND state IN ('held', 'escalated') AND NOT planted
)
SELECT domain, delivered, count(*) AS answers, min(held_at) AS oldest,
    count(*) FILTER (WHERE NOT past_deadline AND NOT past_reminder) AS in_time,
    count(*) FILTER (WHERE NOT past_deadline AND past_reminder) AS past_reminder,
    count(*) FILTER (WHERE past_deadline) AS past_deadline,
    count(*) FILTER (WHERE state = 'escalated') AS escalated
FROM waiting GROUP BY domain, delivered ORDER BY domain, delivered
"""  # noqa: S608 (constants)
_DECIDED = f"""
WITH facts AS (
    SELECT domain, outcome, in_time, CASE WHEN outcome <> 'expired' THEN took_s END AS took_s,
        (decided_at AT TIME ZONE 'UTC')::date AS day
    FROM isthmus.review_facts WHERE {BOARD_SCOPE} AND decided_at > $6::timestamptz - $7::interval
)
SELECT day, domain, grouping(day) = 1 AS of_all_days, grouping(domain) = 1 AS of_all_domains, count(*) AS decided,
    count(*) FILTER (WHERE outcome IN ('approved', 'answered')) AS approved,
    count(*) FILTER (WHERE outcome = 'corrected') AS corrected,
    count(*) FILTER (WHERE outcome = 'rejected') AS rejected,
    count(*) FILTER (WHERE outcome = 'expired') AS expired,
    count(*) FILTER (WHERE in_time AND outcome <> 'expired') AS in_time,
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY took_s) AS took
FROM facts GROUP BY GROUPING SETS ((day), (domain), ()) ORDER BY day, domain
"""  # noqa: S608 (constants)
_REJECTED = f"""
SELECT (date_trunc('week', decided_at AT TIME ZONE 'UTC'))::date AS week, workload, model, reason, count(*) AS answers
FROM isthmus.review_facts WHERE {BOARD_SCOPE} AND outcome = 'rejected' AND decided_at > $6::timestamptz - $7::interval
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 5 DESC, 2, 3, 4 LIMIT {MOST_REJECTIONS}
"""  # noqa: S608 (constants)
_DETECTED = f"""
SELECT domain, count(DISTINCT p.id) AS answers, count(*) AS decisions, count(*) FILTER (WHERE d.detected) AS detected
FROM isthmus.planted p JOIN isthmus.planted_decisions d USING (id)
WHERE {BOARD_SCOPE} AND d.detected IS NOT NULL AND d.at > $6::timestamptz - $7::interval GROUP BY domain ORDER BY domain
"""  # noqa: S608 (constants)
_PAIRS = f"""
WITH second AS (
    SELECT DISTINCT ON (p.id) p.domain, p.first_verdict, d.verdict
    FROM isthmus.planted p JOIN isthmus.planted_decisions d USING (id)
    WHERE {BOARD_SCOPE} AND p.entry IS NULL AND d.at > $6::timestamptz - $7::interval ORDER BY p.id, d.version
)
SELECT domain, first_verdict, verdict, count(*) AS pairs FROM second
WHERE verdict = ANY ($8) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608 (constants)


@dataclass(frozen=True)
class Waiting:
    """Answers of a domain that wait, by where they are between their reminder and their deadline."""

    domain: str
    delivered: bool
    answers: int
    oldest_s: float
    in_time: int
    past_reminder: int
    past_deadline: int
    escalated: int


@dataclass(frozen=True)
class Decided:
    """What was decided, of a domain or on a day, and how long it took (`None`: nobody decided)."""

    domain: str
    day: date | None
    decided: int
    approved: int
    corrected: int
    rejected: int
    expired: int
    in_time: int
    median_s: float | None
    p90_s: float | None


@dataclass(frozen=True)
class Rejected:
    """Rejections of a week for one reason, of one workload and model."""

    week: date
    workload: str
    model: str
    reason: str
    answers: int


@dataclass(frozen=True)
class Agreement:
    """How far two people agree who judged the same answer without knowing each other's judgement."""

    domain: str
    pairs: int
    agreed: int
    kappa: float | None
    """Cohen's kappa; None below `LEAST_PAIRS`, or where all judgements are the same word."""


@dataclass(frozen=True)
class Figures:
    """All figures of the board for one scope."""

    at: datetime
    backlog: list[Waiting]
    domains: list[Decided]
    days: list[Decided]
    """The newest first. Days without decisions are there."""
    total: Decided
    rejections: list[Rejected]
    detection: list[Detection]
    agreement: list[Agreement]
    people: PeopleFigures
    hidden_domains: int
    """Domains of which detection is not shown, because too few people decided."""
    weeks: list[tuple[date, int]]
    """Rejections by week, the newest first."""


class FiguresOf:
    """The figures of one class at one site. Raises Refusal 503 if the database does not answer."""

    def __init__(self, database: Database, data_class: DataClass, site: str, people: People) -> None:
        """`people`: whose figures may be shown."""
        self._database, self._site = database, site
        self._class: DataClass = data_class
        self._people: People = people

    async def figures(self, person: Person) -> Figures:
        """The figures of the answers for which a person has a role of the board."""
        place = (self._class, self._site, *person.board_scope())
        try:
            at = (await self._database.fetch("SELECT isthmus.now()"))[0]["now"]
            measured = (*place, at, timedelta(days=MEASURED_DAYS))
            backlog, decided, rejected, detected, pairs = await asyncio.gather(
                self._database.fetch(_BACKLOG, *place, at),
                self._database.fetch(_DECIDED, *place, at, timedelta(days=DAYS)),
                self._database.fetch(_REJECTED, *place, at, timedelta(weeks=WEEKS)),
                self._database.fetch(_DETECTED, *measured),
                self._database.fetch(_PAIRS, *measured, list(VERDICTS)),
            )
            detection, hidden = await shown_detection(
                *(self._database, self._people, place, at.date()),
                [Detection(*row.values()) for row in detected],
            )
            people = await people_figures(self._database, self._people, place, at.date())
        except DatabaseDown:
            raise unavailable() from None
        rejections = [Rejected(*row.values()) for row in rejected]
        return Figures(
            at,
            [_waiting(row, at) for row in backlog],
            [_decided(row) for row in decided if not row["of_all_domains"]],
            _all_days([_decided(row) for row in decided if not row["of_all_days"]], at.date()),
            next(
                (_decided(row) for row in decided if row["of_all_days"] and row["of_all_domains"]),
                _NOTHING,
            ),
            rejections,
            detection,
            _agreements(pairs),
            people,
            hidden,
            _weeks(rejections),
        )


_NOTHING = Decided("", None, 0, 0, 0, 0, 0, 0, None, None)


def _waiting(row: Any, at: datetime) -> Waiting:
    numbers = {key: row[key] for key in ("answers", "in_time", "past_reminder", "past_deadline", "escalated")}
    return Waiting(row["domain"], row["delivered"], oldest_s=(at - row["oldest"]).total_seconds(), **numbers)


def _decided(row: Any) -> Decided:
    counts = ("decided", "approved", "corrected", "rejected", "expired", "in_time")
    median, p90 = row["took"] or (None, None)
    numbers = {key: row[key] for key in counts}
    return Decided(row["domain"] or "", row["day"], **numbers, median_s=median, p90_s=p90)


def _all_days(days: Sequence[Decided], today: date) -> list[Decided]:
    """The days, the newest first, with those on which nobody decided."""
    by_day = {decided.day: decided for decided in days}
    return [
        by_day.get(day) or replace(_NOTHING, day=day)
        for day in (today - timedelta(days=back) for back in range(DAYS))
    ]


def _weeks(rejections: Sequence[Rejected]) -> list[tuple[date, int]]:
    by_week: dict[date, int] = {}
    for rejected in rejections:
        by_week[rejected.week] = by_week.get(rejected.week, 0) + rejected.answers
    return sorted(by_week.items(), reverse=True)


def _agreements(rows: Sequence[Any]) -> list[Agreement]:
    """The agreement in each domain, and in all of them together where there are several (`domain` empty)."""
    by_domain: dict[str, dict[tuple[str, str], int]] = {}
    for row in rows:
        pair = (row["first_verdict"], row["verdict"])
        by_domain.setdefault(row["domain"], {})[pair] = row["pairs"]
    agreements = [agreement_of(domain, pairs) for domain, pairs in by_domain.items()]
    if len(by_domain) > 1:
        together: dict[tuple[str, str], int] = {}
        for pairs in by_domain.values():
            for pair, count in pairs.items():
                together[pair] = together.get(pair, 0) + count
        agreements.append(agreement_of("", together))
    return agreements


def agreement_of(domain: str, pairs: dict[tuple[str, str], int]) -> Agreement:
    """The agreement of pairs of judgements, by first and second."""
    total = sum(pairs.values())
    agreed = sum(count for (first, second), count in pairs.items() if first == second)
    return Agreement(domain, total, agreed, cohens_kappa(pairs) if total >= LEAST_PAIRS else None)
