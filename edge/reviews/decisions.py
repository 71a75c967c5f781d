"""Decides held answers. Every act is one transition in PostgreSQL, and its audit record is durable before the commit.

The record is written within the transaction, after the rows are locked and the act is checked. A crash between record
and commit leaves a record of an act that did not happen, and the next act has the same version. No act lacks a record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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
"""Answers in one list, and overdue answers in one transaction, at most."""
_WAITING = """
SELECT id, workload, domain, task, why, score, state, held_at, decide_by, version, approvers, delivered,
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
    "unknown": (404, "review_not_found", "No held answer has this id."),
    "decided": (409, "already_decided", "The answer was decided already."),
    "overdue": (
        409,
        "overdue",
        "The time to decide is over. The answer is escalated or expired; read it again.",
    ),
    "own": (
        403,
        "own_request",
        "You cannot decide on an answer to your own request or your client's.",
    ),
    "not_senior": (403, "not_senior", "The answer is escalated. Only a senior reviewer may decide."),
    "claimed": (
        409,
        "claimed",
        "Another reviewer has claimed the answer. Wait until it is released or the claim ends.",
    ),
    "unclaimed": (409, "not_claimed", "Claim the answer first, and read it."),
    "changed": (409, "changed", "The answer has changed since you read it. Claim it again."),
    "already": (
        409,
        "already_approved",
        "You have approved the answer already. Another person must be the second approver.",
    ),
    "escalated": (
        409,
        "already_escalated",
        "The answer is escalated already. Approve, correct or reject it.",
    ),
}


@dataclass(frozen=True)
class _Act:
    """An act on a held answer, as the database and the audit record get it."""

    name: str
    version: int
    """Version of the answer that the reviewer read."""
    line: bytes
    """The encrypted answer that is decided on."""
    reason: str = ""
    note: bytes | None = None
    """Encrypted note of the reviewer."""
    correction: bytes | None = None
    """Encrypted corrected answer."""
    vote: bytes | None = None
    """Seal of an approval, so that nobody can add one in the database."""


class ReviewDesk:
    """The acts on held answers of one class at one site. Raises ConfigError."""

    def __init__(self, config: ReviewsConfig, database: Database, auditor: Auditor) -> None:
        self._config, self._database, self._auditor = config, database, auditor
        self._envelopes = Envelopes(config.held, "held")

    async def waiting(
        self, person: Person, states: list[str], after: tuple[datetime, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Waiting answers that this person may decide, the oldest first, without their content. Raises Refusal."""
        at, held_id = after or (None, None)
        rows = await self._ask(
            _WAITING,
            *(self._config.data_class, self._config.site, states, person.workloads),
            *(at, held_id, self._names(person), limit),
        )
        return [dict(row) for row in rows]

    async def one(self, person: Person, held_id: str) -> dict[str, Any]:
        """State of an answer and the acts on it. Raises Refusal."""
        row = await self._row(person, held_id)
        keys = (
            "id",
            "workload",
            "domain",
            "task",
            "why",
            "score",
            "state",
            "version",
            "approvers",
            "reason",
            "delivered",
        )
        times = ("held_at", "decide_by", "decided_at", "delete_at")
        acts = [
            {key: value for key, value in dict(act).items() if key != "note"}
            for act in await self._ask(_ACTS, held_id)
        ]
        return {key: row[key] for key in (*keys, *times, "approved_by")} | {"acts": acts}

    async def claim(self, person: Person, held_id: str) -> dict[str, Any]:
        """Claim an answer and return its request and answer. Raises Refusal."""
        row = await self._row(person, held_id)
        line, name = _candidate(row)
        exchange = await self._open(line, name)
        outcome = await self._act(person, row, _Act("claim", row["version"], line))
        return {
            **outcome,
            "why": row["why"],
            "delivered": row["delivered"],
            "score": row["score"],
            "approved_by": row["approved_by"],
            "sha256": digest(line),
            "asked": exchange["asked"] or (await self._open(row["content"], held_id))["asked"],
            "answer": exchange["answer"].decode(),
            "texts": texts_of(exchange["answer"]),
            "notes": await self._notes(held_id),
        }

    async def release(self, person: Person, held_id: str, version: int) -> dict[str, Any]:
        """Release a claimed answer. Raises Refusal."""
        row = await self._row(person, held_id)
        return await self._act(person, row, _Act("release", version, _candidate(row)[0]))

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
        """Do an act on a claimed answer, whose version and digest must be those that were read. Raises Refusal."""
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
        return await self._act(person, row, _Act(act, version, line, reason, sealed, correction, vote))

    async def overdue(self) -> int:
        """Escalate or expire overdue answers with a record each. Returns their number. Raises Refusal, DatabaseDown."""

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
        """Delete answers after their retention, unless a legal hold applies; return how many. Raises DatabaseDown."""
        holds_by_subject = await asyncio.to_thread(holds, self._envelopes.folder)
        if "all" in holds_by_subject:
            return 0
        rows = await self._database.fetch(
            _SWEEP, self._config.data_class, self._config.site, sorted(holds_by_subject), 10 * MAX_LISTED
        )
        return rows[0]["gone"]

    async def expire(self) -> int:
        """Destroy expired keys and return their number. Raises OSError."""
        return await asyncio.to_thread(expire, self._envelopes.folder, datetime.now(UTC).date())

    async def _notes(self, held_id: str) -> list[dict[str, str]]:
        """Notes of earlier reviewers."""
        notes: list[dict[str, str]] = []
        for act in await self._ask(_ACTS, held_id):
            if act["note"] is not None:
                note = await self._open(act["note"], note_name(held_id, act["version"]))
                notes.append({"by": act["by"], "act": act["act"], "note": note["answer"].decode()})
        return notes

    def _names(self, person: Person) -> list[str]:
        """Names under which the person could have sent the request."""
        return [person.name, person.identity, self._auditor.hmacs.subject(fold(person.name))]

    async def _act(self, person: Person, row: Any, act: _Act) -> dict[str, Any]:
        """Do the act, with its audit record in the same transaction. Raises Refusal."""
        actor = {"workload": row["workload"], "reviewer": person.name, "identity": person.identity}

        async def act_and_record(connection: Any) -> Any:
            outcome = await connection.fetchrow(
                _ACT,
                *(row["id"], act.name, person.name, self._names(person), person.senior, act.version),
                *(act.reason, act.note, act.correction, act.vote, self._config.claim_s),
            )
            if outcome["outcome"] == "done":
                record = decision_records.fields(
                    row["id"],
                    act.name,
                    actor=actor,
                    state=outcome["state"],
                    version=outcome["version"],
                    reason=act.reason,
                    line=act.line,
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
        if (
            ID.fullmatch(held_id) is None
        ):  # no answer has such an id, and PostgreSQL rejects some of them (NUL)
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
            raise Refusal(410, "review_erased", "The answer was erased. It will expire undecided.") from None
        except (OSError, ValueError):
            raise Refusal(
                503, "review_unreadable", "The answer cannot be decrypted. Ask the operators."
            ) from None


def _candidate(row: Any) -> tuple[bytes, str]:
    """The encrypted answer to decide on, and the name that its line is bound to."""
    if row["corrected"] is not None:
        return row["corrected"], correction_name(row["id"])
    return row["content"], row["id"]
