"""Where held answers are decided. Every act is one transition in PostgreSQL, and its record is durable before it holds.

The record is written within the transaction, when the rows are locked and the act is known to be a lawful one. A crash
between the two leaves a record of an act that did not come to be, whose version is taken by the next one: never an act
without a record.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from edge.audit.auditor import Auditor
from edge.audit.keys import expire, holds
from edge.audit.records import digest
from edge.config import ReviewsConfig
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal
from edge.reviews import decision_records
from edge.reviews.corrections import apply_correction, texts_of
from edge.reviews.envelope import Envelopes, Erased, correction_name, note_name
from edge.reviews.identity import ID, fold
from edge.reviews.reviewers import Person, unavailable

MAX_LISTED = 200
"""Answers listed at once, and moved on by time at once."""
_WAITING = """
SELECT id, workload, domain, task, why, score, state, held_at, decide_by, version, approvers,
       CASE WHEN claimed_until > clock_timestamp() THEN claimed_by END AS claimed_by,
       ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
           AS approved_by
FROM isthmus.held h
WHERE class = $1 AND site = $2 AND state = ANY ($3) AND ($4::text[] IS NULL OR workload = ANY ($4))
    AND ($5::timestamptz IS NULL OR (held_at, id) > ($5, $6::text))
    AND NOT not_by && $7
ORDER BY held_at, id LIMIT $8
"""
_ONE = """
SELECT *, ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
    AS approved_by
FROM isthmus.held h WHERE (id, class, site) = ($1, $2, $3)
"""
_ACTS = "SELECT version, at, act, by, reason, note FROM isthmus.review_acts WHERE id = $1 ORDER BY version"
_ACT = "SELECT * FROM isthmus.review_act($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_OVERDUE = "SELECT * FROM isthmus.review_overdue($1, $2, $3)"
_SWEEP = "SELECT isthmus.review_sweep($1, $2, $3, $4) AS gone"

REFUSALS = {
    "unknown": (404, "review_not_found", "There is no such answer here."),
    "decided": (409, "already_decided", "It was decided already."),
    "overdue": (409, "overdue", "Its time is over: it is being escalated or has expired; look at it again."),
    "own": (
        403,
        "own_request",
        "Nobody decides upon an answer to a request of their own or of their client.",
    ),
    "not_senior": (403, "not_senior", "It was escalated: a senior reviewer decides."),
    "claimed": (409, "claimed", "Another reviewer has it; wait until it is released or the claim is over."),
    "unclaimed": (409, "not_claimed", "Claim it first, and read what it says."),
    "changed": (409, "changed", "It has changed since you looked; claim it again."),
    "already": (
        409,
        "already_approved",
        "You have approved it already; a second approver is another person.",
    ),
    "escalated": (409, "already_escalated", "It is escalated already; approve, correct or reject it."),
}


class ReviewDesk:
    """Of one class at one site. Raises ConfigError."""

    def __init__(self, config: ReviewsConfig, database: Database, auditor: Auditor) -> None:
        self._config, self._database, self._auditor = config, database, auditor
        self._envelopes = Envelopes(config.held, "held")

    async def waiting(
        self, person: Person, states: list[str], after: tuple[datetime, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """What this person may decide, the oldest first, without what it says. Raises Refusal."""
        at, held_id = after or (None, None)
        rows = await self._ask(
            _WAITING,
            *(self._config.data_class, self._config.site, states, person.workloads),
            *(at, held_id, self._names(person), limit),
        )
        return [dict(row) for row in rows]

    async def one(self, person: Person, held_id: str) -> dict[str, Any]:
        """Where it stands, and who did what. Raises Refusal."""
        row = await self._row(person, held_id)
        keys = ("id", "workload", "domain", "task", "why", "score", "state", "version", "approvers", "reason")
        times = ("held_at", "decide_by", "decided_at", "delete_at")
        acts = [
            {key: value for key, value in dict(act).items() if key != "note"}
            for act in await self._ask(_ACTS, held_id)
        ]
        return {key: row[key] for key in (*keys, *times, "approved_by")} | {"acts": acts}

    async def claim(self, person: Person, held_id: str) -> dict[str, Any]:
        """Take it, and read what was asked and answered. Raises Refusal."""
        row = await self._row(person, held_id)
        line, name = _candidate(row)
        exchange = await self._open(line, name)
        outcome = await self._act(person, row, "claim", "", line, version=row["version"])
        return {
            **outcome,
            "why": row["why"],
            "score": row["score"],
            "approved_by": row["approved_by"],
            "sha256": digest(line),
            "asked": exchange["asked"] or (await self._open(row["content"], held_id))["asked"],
            "answer": exchange["answer"].decode(),
            "texts": texts_of(exchange["answer"]),
            "notes": await self._notes(held_id),
        }

    async def release(self, person: Person, held_id: str, version: int) -> dict[str, Any]:
        """Give back what was claimed. Raises Refusal."""
        row = await self._row(person, held_id)
        return await self._act(person, row, "release", "", _candidate(row)[0], version=version)

    async def decide(
        self,
        person: Person,
        held_id: str,
        act: str,
        *,
        version: int,
        sha256: str,
        reason: str,
        note: str,
        texts: object,
    ) -> dict[str, Any]:
        """One act upon what was claimed, named by its version and by what was read. Raises Refusal."""
        row = await self._row(person, held_id)
        line, name = _candidate(row)
        if digest(line) != sha256:
            raise Refusal(*REFUSALS["changed"])
        vote = correction = None
        if act == "correct":
            answer = apply_correction((await self._open(line, name))["answer"], texts)
            line = correction = await self._beside(line, correction_name(held_id), answer)
        if act in ("approve", "correct"):
            edition = row["edition"] + (act == "correct")
            vote = self._envelopes.votes.seal(held_id, edition, person.name, line)
        sealed = await self._beside(line, note_name(held_id, version + 1), note.encode()) if note else None
        return await self._act(
            person, row, act, reason, line, version=version, note=sealed, correction=correction, vote=vote
        )

    async def overdue(self) -> int:
        """Move on what nobody decided in time, each with its record; how many. Raises Refusal, DatabaseDown."""

        async def move_on(connection: Any) -> int:
            rows = await connection.fetch(_OVERDUE, self._config.data_class, self._config.site, MAX_LISTED)
            records = [
                decision_records.fields(
                    row["id"],
                    "escalate" if row["state"] == "escalated" else "expire",
                    actor={"workload": row["workload"], "reviewer": "", "identity": "deadline"},
                    state=row["state"],
                    version=row["version"],
                    reason="deadline",
                    line=row["content"],
                )
                for row in rows
            ]
            await asyncio.gather(*(self._auditor.review(record) for record in records))
            return len(rows)

        return await self._database.transaction(move_on)

    async def sweep(self) -> int:
        """Delete what its retention is over for, but for subjects under a legal hold; how many. Raises DatabaseDown."""
        holds_by_subject = await asyncio.to_thread(holds, self._envelopes.folder)
        if "all" in holds_by_subject:
            return 0
        rows = await self._database.fetch(
            _SWEEP, self._config.data_class, self._config.site, sorted(holds_by_subject), 10 * MAX_LISTED
        )
        return rows[0]["gone"]

    async def expire(self) -> int:
        """Destroy the keys whose days are over; how many there were. Raises OSError."""
        return await asyncio.to_thread(expire, self._envelopes.folder, datetime.now(UTC).date())

    async def _notes(self, held_id: str) -> list[dict[str, str]]:
        """What reviewers before have written."""
        notes: list[dict[str, str]] = []
        for act in await self._ask(_ACTS, held_id):
            if act["note"] is not None:
                note = await self._open(act["note"], note_name(held_id, act["version"]))
                notes.append({"by": act["by"], "act": act["act"], "note": note["answer"].decode()})
        return notes

    def _names(self, person: Person) -> list[str]:
        """By which the person could be known as the one who asked."""
        return [person.name, person.identity, self._auditor.hmacs.subject(fold(person.name))]

    async def _act(
        self,
        person: Person,
        row: Any,
        act: str,
        reason: str,
        line: bytes,
        *,
        version: int,
        note: bytes | None = None,
        correction: bytes | None = None,
        vote: bytes | None = None,
    ) -> dict[str, Any]:
        actor = {"workload": row["workload"], "reviewer": person.name, "identity": person.identity}

        async def act_and_record(connection: Any) -> Any:
            outcome = await connection.fetchrow(
                _ACT,
                *(row["id"], act, person.name, self._names(person), person.senior, version),
                *(reason, note, correction, vote, self._config.claim_s),
            )
            if outcome["outcome"] == "done":
                record = decision_records.fields(
                    row["id"],
                    act,
                    actor=actor,
                    state=outcome["state"],
                    version=outcome["version"],
                    reason=reason,
                    line=line,
                )
                await self._auditor.review(record)
            return outcome

        try:
            outcome = await self._database.transaction(act_and_record)
        except DatabaseDown:
            raise unavailable() from None
        if outcome["outcome"] != "done":
            raise Refusal(*REFUSALS[outcome["outcome"]])
        return {
            "id": row["id"],
            "object": "review",
            "status": outcome["state"],
            "version": outcome["version"],
        }

    async def _row(self, person: Person, held_id: str) -> Any:
        if ID.fullmatch(held_id) is None:  # what no answer can have: PostgreSQL does not even take a NUL
            raise Refusal(*REFUSALS["unknown"])
        rows = await self._ask(_ONE, held_id, self._config.data_class, self._config.site)
        if not rows or not person.may(rows[0]["workload"]):
            raise Refusal(*REFUSALS["unknown"])
        return rows[0]

    async def _ask(self, statement: str, *values: Any) -> list[Any]:
        try:
            return await self._database.fetch(statement, *values)
        except DatabaseDown:
            raise unavailable() from None

    async def _open(self, line: bytes, name: str) -> dict[str, Any]:
        return await self._kept(self._envelopes.open, line, name)

    async def _beside(self, line: bytes, name: str, text: bytes) -> bytes:
        return await self._kept(self._envelopes.beside, line, name, text)

    @staticmethod
    async def _kept(work: Any, *values: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *values)
        except Erased:
            raise Refusal(410, "review_erased", "The answer was erased; it expires undecided.") from None
        except (OSError, ValueError):
            raise Refusal(
                503, "review_unreadable", "The answer cannot be opened; ask the operators."
            ) from None


def _candidate(row: Any) -> tuple[bytes, str]:
    """What is to be decided upon, and by which name its line is bound."""
    if row["corrected"] is not None:
        return row["corrected"], correction_name(row["id"])
    return row["content"], row["id"]
