"""The gateway's access to held answers: stores them, and reads approved ones. Its database user can do nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.classes import CLASS_DEMANDS
from edge.config import DataClass, Reviews
from edge.database import Database
from edge.reviews.envelope import correction_name
from edge.reviews.votes import Vote, Votes

CASE = "case"
"""Task of a held answer that a person asks about."""
_PUT = """
INSERT INTO isthmus.held (
    id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content, decide_by, escalated_for,
    delete_at, collect_for, delivered
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp() + $13::interval, $14,
    clock_timestamp() + $15::interval, $16, $17
) RETURNING decide_by
"""
_GET = """
SELECT h.id, h.state, h.version, h.edition, h.content, h.corrected, h.reason, h.held_at, h.decide_by, h.decided_at,
       h.delivered, h.task,
       (SELECT a.note FROM isthmus.review_acts a WHERE (a.id, a.version) = (h.id, h.version)) AS note,
       ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by) AS by,
       ARRAY(SELECT v.sealed FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
           AS sealed
FROM isthmus.held h
WHERE (h.id, h.class, h.site, h.workload) = ($1, $2, $3, $4) AND h.delete_at > clock_timestamp()
    AND ($5::text IS NULL OR $5 = ANY (h.not_by))
"""


@dataclass(frozen=True)
class NewHeldAnswer:
    """The fields that are stored with a held answer."""

    id: str
    workload: str
    domain: str | None
    task: str
    subject: str
    callers: list[str]
    """Identities of the workload's callers. None of them may decide."""
    why: list[str]
    score: float | None
    delivered: bool = False
    """It was given out already; one person looks at it afterwards."""
    is_case: bool = False
    """A person asks about it; one reviewer answers."""


@dataclass(frozen=True)
class HeldAnswer:
    """A held answer, as its application may see it."""

    id: str
    state: str
    version: int
    edition: int
    line: bytes
    """The encrypted answer to decide on: the correction if there is one."""
    name: str
    """The name to which the line is bound."""
    reason: str | None
    note: bytes | None
    times: dict[str, str]
    votes: list[Vote]
    delivered: bool
    """It was given out at once."""
    task: str

    @property
    def corrected(self) -> bool:
        return self.name != self.id

    def approved(self, votes: Votes, data_class: DataClass) -> bool:
        """Whether enough people have approved exactly these bytes. The state in the database alone is not trusted."""
        good = votes.good(self.id, self.edition, self.line, self.votes)
        needed = 1 if self.task == CASE else CLASS_DEMANDS[data_class].approvers
        return self.state == "approved" and len(good) >= needed


class HeldAnswerStore:
    """The held answers of one gateway."""

    def __init__(self, database: Database, settings: Reviews, data_class: DataClass, site: str) -> None:
        self._database, self._settings = database, settings
        self._class: DataClass = data_class
        self._site = site

    async def put(self, new_answer: NewHeldAnswer, line: bytes) -> datetime:
        """Store an answer. Returns its deadline. Raises DatabaseDown; then the answer may be stored nevertheless."""
        settings, collect = self._settings, CLASS_DEMANDS[self._class].collect_s_max
        rows = await self._database.fetch(
            _PUT,
            *(
                new_answer.id,
                self._class,
                self._site,
                new_answer.workload,
                new_answer.domain,
                new_answer.task,
            ),
            *(
                new_answer.subject,
                [*new_answer.callers, new_answer.subject],
                new_answer.why,
                new_answer.score,
            ),
            *(
                1 if new_answer.delivered or new_answer.is_case else CLASS_DEMANDS[self._class].approvers,
                line,
            ),
            *(timedelta(hours=settings.decide_h), timedelta(hours=settings.escalated_h)),
            *(timedelta(days=settings.keep_days), None if collect is None else timedelta(seconds=collect)),
            new_answer.delivered,
        )
        return rows[0]["decide_by"]

    async def get(self, held_id: str, workload: str, asked_by: str | None = None) -> HeldAnswer | None:
        """Return a held answer of the workload; None if it has none with this id. Raises DatabaseDown.

        `asked_by`: only if this identity sent the request.
        """
        rows = await self._database.fetch(_GET, held_id, self._class, self._site, workload, asked_by)
        if not rows:
            return None
        row: Any = rows[0]
        name = held_id if row["corrected"] is None else correction_name(held_id)
        votes = [
            Vote(row["edition"], *person_and_seal)
            for person_and_seal in zip(row["by"], row["sealed"], strict=True)
        ]
        times = {
            key: row[key].isoformat(timespec="milliseconds")
            for key in ("held_at", "decide_by", "decided_at")
            if row[key] is not None
        }
        line = row["corrected"] if row["corrected"] is not None else row["content"]
        return HeldAnswer(
            *(held_id, row["state"], row["version"], row["edition"], line, name),
            *(row["reason"], row["note"], times, votes, row["delivered"], row["task"]),
        )
