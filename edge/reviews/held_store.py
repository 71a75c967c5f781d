"""The gateway's access to held answers: stores them, and reads approved ones. Its database user can do nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.classes import CLASS_DEMANDS
from edge.config import DataClass, Reviews
from edge.database import Database
from edge.reviews.domain_deadlines import DomainDeadlines
from edge.reviews.envelope import correction_name
from edge.reviews.votes import VOTES, Vote, Votes, votes_of

CASE = "case"
"""Task of a held answer that a person asks about."""
CASE_STATES = {
    "held": "open",
    "escalated": "open",
    "approved": "answered",
    "rejected": "closed",
    "expired": "expired",
}
"""What the person is told of a case, by its state."""
MOST_LISTED = 200
_PUT = """
INSERT INTO isthmus.held (
    id, class, site, workload, domain, task, subject, not_by, why, score, approvers, content, decide_by, escalated_for,
    delete_at, collect_for, delivered, remind_at, appeal_of, webhook, model
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($18, isthmus.now() + $13::interval), $14,
    isthmus.now() + $15::interval, $16, $17, $19, $20, $21, $22
) RETURNING decide_by
"""
_GET = f"""
SELECT h.id, h.state, h.version, h.edition, h.content, h.corrected, h.reason, h.held_at, h.decide_by, h.decided_at,
       h.delivered, h.task, h.appeal_of, isthmus.appeal_until(h, $6) AS appeal_by,
       (SELECT a.note FROM isthmus.review_acts a WHERE (a.id, a.version) = (h.id, h.version)) AS note, {VOTES}
FROM isthmus.held h
WHERE (h.id, h.class, h.site, h.workload) = ($1, $2, $3, $4) AND h.delete_at > isthmus.now()
    AND ($5::text IS NULL OR $5 = ANY (h.not_by))
"""  # noqa: S608 (constants)
_LIST = """
SELECT h.id, h.state, h.workload, h.task, h.held_at, h.decide_by, h.decided_at, h.appeal_of,
    isthmus.appeal_until(h, $6) AS appeal_by
FROM isthmus.held h
WHERE (h.class, h.site) = ($1, $2) AND h.workload = ANY ($3) AND $4 = ANY (h.not_by)
    AND NOT h.delivered AND h.delete_at > isthmus.now()
ORDER BY h.held_at DESC LIMIT $5
"""
_DECIDERS = """
SELECT DISTINCT by FROM isthmus.review_acts WHERE id = $1 AND act IN ('approve', 'correct', 'reject')
"""


@dataclass(frozen=True)
class ListedAnswer:
    """A held answer in the list of the person who asked."""

    id: str
    state: str
    task: str
    told: dict[str, str]
    """Its workload and its times; `appeal_of` of an appeal, and `appeal_by` of a decision that can be appealed."""


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
    appeal_of: str | None = None
    """Id of the decided answer that it is an appeal against. Seniors decide, and nobody who decided that answer."""
    webhook: str | None = None
    """Name of the webhook that is told of the decision."""
    model: str | None = None
    """The model that answered, as the platform names it."""


@dataclass(frozen=True)
class HeldAnswer:
    """A held answer, as its application may see it."""

    id: str
    state: str
    version: int
    edition: int
    first: bytes
    """The encrypted request, with the model's own answer."""
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
    workload: str
    appeal_of: str | None
    """Of an appeal, the id of the decided answer."""
    appeal_by: datetime | None
    """Until when the person may appeal. None: they may not."""

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
        self._deadlines = DomainDeadlines(settings.domains)
        self._appeal_within = timedelta(days=settings.cases.appeal_days)
        self._class: DataClass = data_class
        self._site = site

    async def put(self, new_answer: NewHeldAnswer, line: bytes) -> datetime:
        """Store an answer. Returns its deadline. Raises DatabaseDown; then the answer may be stored nevertheless."""
        settings, collect = self._settings, CLASS_DEMANDS[self._class].collect_s_max
        domain, decide_by, remind_at = new_answer.domain, None, None
        if domain is not None and domain in self._deadlines:
            now = (await self._database.fetch("SELECT isthmus.now()"))[0]["now"]
            step = 0 if new_answer.appeal_of is None else 1
            deadline = self._deadlines.on_arrival(domain, now, timedelta(days=settings.keep_days), step)
            decide_by = deadline.decide_by
            remind_at = None if new_answer.delivered else deadline.remind_at
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
            *(new_answer.delivered, decide_by, remind_at),
            *(new_answer.appeal_of, new_answer.webhook, new_answer.model),
        )
        return rows[0]["decide_by"]

    async def of_person(self, identity: str, workloads: Sequence[str]) -> list[ListedAnswer]:
        """The held answers and cases of a person, the newest first. Raises DatabaseDown."""
        rows = await self._database.fetch(
            *(_LIST, self._class, self._site, list(workloads), identity, MOST_LISTED, self._appeal_within)
        )
        return [
            ListedAnswer(
                *(row["id"], row["state"], row["task"]),
                {
                    **{"workload": row["workload"], **_times(row)},
                    **({"appeal_of": row["appeal_of"]} if row["appeal_of"] else {}),
                },
            )
            for row in rows
        ]

    async def get(self, held_id: str, workload: str, asked_by: str | None = None) -> HeldAnswer | None:
        """Return a held answer of the workload; None if it has none with this id. Raises DatabaseDown.

        `asked_by`: only if this identity sent the request.
        """
        values = (held_id, self._class, self._site, workload, asked_by, self._appeal_within)
        rows = await self._database.fetch(_GET, *values)
        if not rows:
            return None
        row: Any = rows[0]
        name = held_id if row["corrected"] is None else correction_name(held_id)
        votes = votes_of(row)
        line = row["corrected"] if row["corrected"] is not None else row["content"]
        return HeldAnswer(
            *(held_id, row["state"], row["version"], row["edition"], row["content"], line, name),
            *(row["reason"], row["note"], _times(row), votes, row["delivered"], row["task"], workload),
            *(row["appeal_of"], row["appeal_by"]),
        )

    async def deciders(self, held_id: str) -> list[str]:
        """Names of those who approved, corrected or rejected an answer. Raises DatabaseDown."""
        return [row["by"] for row in await self._database.fetch(_DECIDERS, held_id)]


def _times(row: Any) -> dict[str, str]:
    return {
        key: row[key].isoformat(timespec="milliseconds")
        for key in ("held_at", "decide_by", "decided_at", "appeal_by")
        if row[key] is not None
    }
