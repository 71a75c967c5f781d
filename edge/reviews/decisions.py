"""Decides held answers. Every act is one transition in PostgreSQL, and its audit record is durable before the commit.

The record is written within the transaction, after the rows are locked and the act is checked. A crash between record
and commit leaves a record of an act that did not happen, and the next act has the same version. No act lacks a record.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from edge.audit.auditor import Auditor
from edge.audit.keys import expire, holds
from edge.audit.records import digest
from edge.config import ReviewsConfig
from edge.database import Database, DatabaseDown
from edge.openai_api import Refusal
from edge.reviews import decision_records
from edge.reviews.corrections import apply_correction, texts_of
from edge.reviews.domain_deadlines import DomainDeadlines
from edge.reviews.envelope import Envelopes, Erased, correction_name, note_name
from edge.reviews.identity import ID, fold
from edge.reviews.people import ReviewPeople
from edge.reviews.planted_notice import Notice, notice_of
from edge.reviews.planting import Planter
from edge.reviews.reviewers import Person, unavailable
from edge.reviews.votes import planted_name

MAX_LISTED = 200
"""Answers in one list, and overdue answers in one transaction, at most."""
_WAITING = """
SELECT id, workload, domain, task, why, score, state, held_at, decide_by, version, approvers, delivered,
       CASE WHEN claimed_until > isthmus.now() THEN claimed_by END AS claimed_by,
       ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
           AS approved_by
FROM isthmus.held h
WHERE class = $1 AND site = $2 AND state = ANY ($3) AND ($4 OR workload = ANY ($5))
    AND ($6::timestamptz IS NULL OR (held_at, id) > ($6, $7::text))
    AND NOT not_by && $8
ORDER BY held_at, id LIMIT $9
"""
_ONE = """
SELECT *, ARRAY(SELECT v.by FROM isthmus.review_votes v WHERE (v.id, v.edition) = (h.id, h.edition) ORDER BY v.by)
        AS approved_by,
    CASE WHEN claimed_until > isthmus.now() AND state IN ('held', 'escalated') AND decide_by > isthmus.now()
        THEN claimed_by END AS claim_of,
    extract(epoch FROM least(claimed_until, decide_by) - isthmus.now())::float8 AS claim_left_s,
    ARRAY(SELECT j.by FROM isthmus.review_judgements j WHERE j.id = h.id) AS judged_by,
    CASE WHEN planted THEN (SELECT coalesce(p.entry, '') FROM isthmus.planted p WHERE p.id = h.id) END AS entry,
    CASE WHEN planted THEN ARRAY(SELECT a.by FROM isthmus.review_acts a
        WHERE a.id = h.id AND a.act IN ('approve', 'correct', 'reject', 'escalate')) END AS decided_by
FROM isthmus.held h WHERE (id, class, site) = ($1, $2, $3)
"""
_ACTS = "SELECT version, at, act, by, reason, note FROM isthmus.review_acts WHERE id = $1 ORDER BY version"
_NOW = "SELECT isthmus.now()"
_ACT = "SELECT * FROM isthmus.review_act_by_plan($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_REMIND = "SELECT isthmus.review_remind($1, $2, $3, $4) AS reminded"
_ANNOUNCE = "SELECT isthmus.review_announce($1, $2, $3, $4) AS announced"
_OVERDUE = "SELECT * FROM isthmus.review_overdue_by_plan($1, $2, $3, $4)"
_VOTER = """
INSERT INTO isthmus.review_voters (id, edition, identity) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING identity
"""
_JUDGE = "INSERT INTO isthmus.review_judgements (id, edition, by, judgement) VALUES ($1, $2, $3, $4)"
_JUDGE_FIRST = """
INSERT INTO isthmus.review_judgements (id, edition, by, judgement)
SELECT id, edition, $2, $4 FROM isthmus.held
WHERE (id, version, claimed_by) = ($1, $3, $2) AND state IN ('held', 'escalated')
    AND claimed_until > isthmus.now() AND decide_by > isthmus.now()
ON CONFLICT DO NOTHING RETURNING edition
"""
_READER = """
INSERT INTO isthmus.planted_readers (class, site, domain, entry, who)
SELECT p.class, p.site, p.domain, p.entry, who FROM isthmus.planted p, unnest($2::text[]) who
WHERE p.id = $1 AND p.entry IS NOT NULL
ON CONFLICT DO NOTHING
"""
_WITHDRAWN = "SELECT * FROM isthmus.planted_withdraw($1, $2, $3, $4)"
_DEFER = "SELECT isthmus.planted_defer($1, $2)"
WITHDRAW = timedelta(seconds=60)
"""So long before its deadline a planted answer ends, so that nobody is told of it."""
_SWEEP_FACTS = "SELECT isthmus.review_facts_sweep($1, $2, $3), isthmus.review_people_sweep($1, $2, $3)"
FACTS_DAYS = 400
"""Days for which the board's facts are kept. They name no person and have no content."""
_SWEEP = "SELECT isthmus.review_sweep($1, $2, $3, $4) AS gone"

DECISIONS = ("approve", "correct", "reject", "escalate")
MOST_NOTE = 4000
"""Characters of a note at most."""
JUDGEMENTS = ("right", "wrong", "partly", "harmful")
"""Words for a delivered answer, and for a first judgement before the model's score is shown."""

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
    "own_appeal": (
        403,
        "own_appeal",
        "You cannot decide on your own appeal, nor on an appeal against your decision.",
    ),
    "not_reviewer": (
        403,
        "not_reviewer",
        "Your role may read lists and acts. It may not read the content or decide.",
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
    judgement: str = ""
    """The reviewer's word on a delivered answer."""
    answer: list[str] | None = None
    """HMACs of the texts that an approval or a correction is of."""


@dataclass(frozen=True)
class Content:
    """What a reviewer reads of an answer."""

    sha256: str
    """Digest of the encrypted answer that is decided on."""
    asked: dict[str, Any]
    answer: bytes
    """The answer that is decided on: the correction if there is one."""
    first: bytes
    """The model's own answer."""
    about: dict[str, Any]
    """What the gateway noted: `verdicts` of its checks, `unsure` parts of the texts, marks of a case's `turns`, the
    `decision` that a person appeals against, the `legal_basis` and `notice` of a case."""


class ReviewDesk:
    """The acts on held answers of one class at one site. Raises ConfigError."""

    def __init__(self, config: ReviewsConfig, database: Database, auditor: Auditor) -> None:
        self._config, self._database, self._auditor = config, database, auditor
        self._envelopes = Envelopes(config.held, "held")
        self._deadlines = DomainDeadlines(config.domains)
        self.people = ReviewPeople(config, database, auditor, self._envelopes.keys)
        self.planter = Planter(config, database, auditor, self._envelopes)
        self.pseudonym = auditor.hmacs.subject
        """What records have in place of a person's subject."""

    @property
    def form_key(self) -> bytes:
        """A key that every copy of the service has, and the database has not."""
        return self._envelopes.derived_key(b"isthmus desk form 1")

    async def waiting(
        self, person: Person, states: list[str], after: tuple[datetime, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Waiting answers that this person may decide, the oldest first, without their content. Raises Refusal."""
        at, held_id = after or (None, None)
        rows = await self._ask(
            _WAITING,
            *(self._config.data_class, self._config.site, states),
            *(any(scope.is_everything for scope in person.scopes), _workloads(person)),
            *(at, held_id, self.names_of(person), limit),
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
        notice = self.notice(person, row)
        return {
            **{key: row[key] for key in (*keys, *times, "approved_by")},
            "acts": (await self.history(held_id, reads_notes=False))[0],
            **({} if notice is None else notice.as_json()),
        }

    def notice(self, person: Person, row: Any) -> Notice | None:
        """What this person may know of a planted row. None for a real answer."""
        return notice_of(self._config.desk.planted if self._config.desk is not None else {}, person, row)

    async def history(
        self, held_id: str, *, reads_notes: bool
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """The acts on an answer, and the notes of reviewers if wanted. Raises Refusal."""
        rows = await self._ask(_ACTS, held_id)
        notes: list[dict[str, str]] = []
        for act in rows if reads_notes else []:
            if act["note"] is not None:
                note = await self._open(act["note"], note_name(held_id, act["version"]))
                notes.append({"by": act["by"], "act": act["act"], "note": note["answer"].decode()})
        return [{key: value for key, value in dict(act).items() if key != "note"} for act in rows], notes

    @staticmethod
    def why_not_claimed(row: Any) -> Refusal:
        """The refusal of a decision on an answer that the person has not claimed."""
        waits = row["state"] in ("held", "escalated")
        return Refusal(*REFUSALS["decided" if not waits else "claimed" if row["claim_of"] else "unclaimed"])

    async def claim(self, person: Person, held_id: str) -> dict[str, Any]:
        """Claim an answer and return its request and answer. Raises Refusal."""
        row = await self._row(person, held_id, decides=True)
        content = await self._content(row)
        outcome = await self._act(person, row, _Act("claim", row["version"], _candidate(row)[0]))
        return {
            **outcome,
            "why": row["why"],
            "delivered": row["delivered"],
            "score": row["score"],
            "approved_by": row["approved_by"],
            "sha256": content.sha256,
            "asked": content.asked,
            **{key: content.about[key] for key in ("turns", "decision", "sources") if content.about.get(key)},
            "answer": content.answer.decode(),
            "texts": texts_of(content.answer),
            "notes": (await self.history(held_id, reads_notes=True))[1],
        }

    async def reserve(self, person: Person, held_id: str) -> None:
        """Claim an answer without reading it yet. Raises Refusal."""
        row = await self._row(person, held_id, decides=True)
        await self._act(person, row, _Act("claim", row["version"], _candidate(row)[0]))

    async def claimed(self, person: Person, held_id: str) -> tuple[Any, Content | None]:
        """The row of an answer; its content too while this person's claim lasts. Raises Refusal."""
        row = await self._row(person, held_id)
        if row["claim_of"] != person.name or not person.may_decide(row["workload"], row["domain"]):
            return row, None
        return row, await self._content(row)

    async def release(self, person: Person, held_id: str, version: int) -> dict[str, Any]:
        """Release a claimed answer. Raises Refusal."""
        row = await self._row(person, held_id, decides=True)
        return await self._act(person, row, _Act("release", version, _candidate(row)[0]))

    async def judge(
        self, person: Person, held_id: str, *, version: int, sha256: str, judgement: str, note: str
    ) -> dict[str, Any]:
        """Take a word of `JUDGEMENTS` on a claimed answer. Raises Refusal.

        It decides a delivered answer. Of a held one it is the first judgement, and the decision follows.
        """
        row = await self._row(person, held_id, decides=True)
        line, _ = _candidate(row)
        if digest(line) != sha256:
            raise Refusal(*REFUSALS["changed"])
        if row["delivered"]:
            act = "approve" if judgement == "right" else "reject"
            vote = self._vote(row, row["edition"], person, line)
            sealed = await self._note(line, held_id, version, note)
            return await self._act(
                person, row, _Act(act, version, line, judgement, sealed, None, vote, judgement)
            )
        if person.name not in row["judged_by"]:
            await self._judge_first(person, row, version, judgement, line)
        return {"id": held_id, "object": "review", "status": row["state"], "version": version}

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
        row = await self._row(person, held_id, decides=True)
        line, name = _candidate(row)
        if digest(line) != sha256:
            raise Refusal(*REFUSALS["changed"])
        vote = correction = hmacs = None
        if act in ("approve", "correct"):
            answer = (await self._open(line, name))["answer"]
            if act == "correct":
                answer = apply_correction(answer, texts)
                line = correction = await self._beside(line, correction_name(held_id), answer)
            edition = row["edition"] + (act == "correct")
            vote = self._vote(row, edition, person, line)
            hmacs = self._auditor.hmacs.answers(held_id, texts_of(answer))
        sealed = await self._note(line, held_id, version, note)
        decided = _Act(act, version, line, reason, sealed, correction, vote, answer=hmacs)
        return await self._act(person, row, decided)

    async def announce(self) -> int:
        """Put new answers of domains that announce them into the outbox. Returns their number. Raises DatabaseDown."""
        domains = [domain.name for domain in self._config.domains if domain.announce]
        if not domains:
            return 0
        place = (self._config.data_class, self._config.site)
        (row,) = await self._database.fetch(_ANNOUNCE, *place, domains, MAX_LISTED)
        return row["announced"]

    async def remind(self) -> int:
        """Put the reminders that are due into the outbox. Returns the number of answers. Raises DatabaseDown."""

        if not self._config.domains:
            return 0

        async def remind(connection: Any) -> int:
            return await connection.fetchval(
                _REMIND,
                *(self._config.data_class, self._config.site, MAX_LISTED, await self._plans(connection)),
            )

        return await self._database.transaction(remind)

    async def overdue(self) -> int:
        """Escalate or expire overdue answers, each with a record, and notify by the outbox.

        Returns their number. Raises Refusal, DatabaseDown.
        """

        async def move_on(connection: Any) -> int:
            place = (self._config.data_class, self._config.site)
            withdrawn = await connection.fetch(_WITHDRAWN, *place, WITHDRAW, MAX_LISTED)
            overdue = await connection.fetch(_OVERDUE, *place, MAX_LISTED, await self._plans(connection))
            rows = [*((row, True) for row in withdrawn), *((row, False) for row in overdue)]
            records = [
                decision_records.fields(
                    row["id"],
                    "escalate" if row["state"] == "escalated" else "expire",
                    actor={"workload": row["workload"], "reviewer": "", "identity": "deadline"},
                    state=row["state"],
                    version=row["version"],
                    reason="deadline",
                    line=row["content"],
                    planted=planted,
                )
                for row, planted in rows
            ]
            await asyncio.gather(*(self._auditor.review(record) for record in records))
            return len(overdue)

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

    async def sweep_facts(self) -> None:
        """Delete the board's facts, and what is noted of people, after their time. Raises DatabaseDown."""
        await self._database.fetch(_SWEEP_FACTS, self._config.data_class, self._config.site, FACTS_DAYS)

    async def expire(self) -> int:
        """Destroy expired keys and return their number. Raises OSError."""
        return await asyncio.to_thread(expire, self._envelopes.folder, datetime.now(UTC).date())

    async def _plans(self, connection: Any) -> str | None:
        """The deadlines of all steps from the database's time on. None: no domain states any."""
        return self._deadlines.plans(await connection.fetchval(_NOW)) if self._config.domains else None

    async def _note(self, line: bytes, held_id: str, version: int, note: str) -> bytes | None:
        """The encrypted note of an act on this version."""
        return await self._beside(line, note_name(held_id, version + 1), note.encode()) if note else None

    def names_of(self, person: Person) -> list[str]:
        """Names under which the person could have sent the request."""
        return [person.name, person.identity, self._auditor.hmacs.subject(fold(person.name))]

    async def _act(self, person: Person, row: Any, act: _Act) -> dict[str, Any]:
        """Do the act, with its audit record in the same transaction. Raises Refusal."""
        actor = _actor(person, row)
        senior = person.is_senior(row["workload"], row["domain"])

        async def act_and_record(connection: Any) -> Any:
            plans = await self._plans(connection) if act.name == "escalate" else None
            outcome = await connection.fetchrow(
                _ACT,
                *(row["id"], act.name, person.name, self.names_of(person), senior, act.version),
                *(act.reason, act.note, act.correction, act.vote, self._config.claim_s),
                None if row["planted"] else plans,
            )
            if outcome["outcome"] == "done":
                if row["planted"]:
                    await self._follow_planted(connection, person, row, act, plans)
                await _note_voter(connection, person, row["id"], outcome["edition"], act)
                await self._note_person(connection, person, row, act, outcome["version"])
                record = decision_records.fields(
                    row["id"],
                    act.name,
                    actor=actor,
                    state=outcome["state"],
                    version=outcome["version"],
                    reason=act.reason,
                    line=act.line,
                    **({} if act.answer is None else {"answer": act.answer}),
                    planted=row["planted"],
                )
                await self._auditor.review(record)
            return outcome

        try:
            outcome = await self._database.transaction(act_and_record)
        except DatabaseDown:
            raise unavailable() from None
        if (kind := outcome["outcome"]) != "done":
            raise Refusal(*REFUSALS["own_appeal" if kind == "own" and row["appeal_of"] else kind])
        done = {
            "id": row["id"],
            "object": "review",
            "status": outcome["state"],
            "version": outcome["version"],
        }
        now = {**row, "state": outcome["state"], "decided_by": [*(row["decided_by"] or ()), person.name]}
        notice = self.notice(person, now) if act.name in DECISIONS else None
        return done if notice is None else {**done, **notice.as_json()}

    async def _follow_planted(
        self, connection: Any, person: Person, row: Any, act: _Act, plans: str | None
    ) -> None:
        """Note who has read a planted answer; its deadline after an escalation, of which nobody is notified."""
        if act.name == "claim":
            await connection.execute(_READER, row["id"], self.names_of(person)[1:])
        steps = json.loads(plans).get(row["domain"], []) if plans is not None else []
        if row["step"] + 1 < len(steps):
            await connection.execute(
                _DEFER, row["id"], datetime.fromisoformat(steps[row["step"] + 1]["decide_by"])
            )

    async def _note_person(self, connection: Any, person: Person, row: Any, act: _Act, version: int) -> None:
        """Note the decision for the board's figures of people. Raises Refusal 503."""
        if act.name not in DECISIONS:
            return
        claimed_at = row["claimed_until"] - timedelta(seconds=self._config.claim_s)
        try:
            await self.people.note(connection, person, row, version, claimed_at)
        except (OSError, ValueError):
            raise Refusal(
                503, "keys_unreadable", "The keys cannot be read now. Decide again later."
            ) from None

    def _vote(self, row: Any, edition: int, person: Person, line: bytes) -> bytes:
        """The seal of an approval. No gateway accepts one of a planted answer."""
        name = planted_name(row["id"]) if row["planted"] else row["id"]
        return self._envelopes.votes.seal(name, edition, person.name, line)

    async def _judge_first(self, person: Person, row: Any, version: int, judgement: str, line: bytes) -> None:
        """Store a first judgement, with its record in the same transaction. Raises Refusal."""
        record = decision_records.fields(
            row["id"],
            "judge",
            actor=_actor(person, row),
            state=row["state"],
            version=version,
            reason=judgement,
            line=line,
            planted=row["planted"],
        )

        async def judge_and_record(connection: Any) -> Any:
            edition = await connection.fetchval(_JUDGE_FIRST, row["id"], person.name, version, judgement)
            if edition is not None:
                await self._auditor.review(record)
            return edition

        try:
            if await self._database.transaction(judge_and_record) is None:
                raise Refusal(*REFUSALS["changed"])
        except DatabaseDown:
            raise unavailable() from None

    async def _row(self, person: Person, held_id: str, *, decides: bool = False) -> Any:
        """The row of an answer that this person may see. `decides`: and decide on. Raises Refusal."""
        if (
            ID.fullmatch(held_id) is None
        ):  # no answer has such an id, and PostgreSQL rejects some of them (NUL)
            raise Refusal(*REFUSALS["unknown"])
        rows = await self._ask(_ONE, held_id, self._config.data_class, self._config.site)
        if not rows or not person.may_see(rows[0]["workload"], rows[0]["domain"]):
            raise Refusal(*REFUSALS["unknown"])
        if decides and not person.may_decide(rows[0]["workload"], rows[0]["domain"]):
            raise Refusal(*REFUSALS["not_reviewer"])
        return rows[0]

    async def _content(self, row: Any) -> Content:
        line, name = _candidate(row)
        exchange = await self._open(line, name)
        first = exchange if name == row["id"] else await self._open(row["content"], row["id"])
        return Content(
            digest(line), first["asked"], exchange["answer"], first["answer"], first.get("about", {})
        )

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


def _workloads(person: Person) -> list[str]:
    """The workloads of a person's scopes. Keys and certificates, which the API takes, have no domains."""
    return sorted({name for scope in person.scopes for name in scope.workloads or ()})


def _actor(person: Person, row: Any) -> dict[str, str]:
    """Who acts, for the record."""
    return {"workload": row["workload"], "reviewer": person.name, "identity": person.identity}


async def _note_voter(connection: Any, person: Person, held_id: str, edition: int, act: _Act) -> None:
    """Note who stands behind an approval and what was said. Raises Refusal if it is the same person's second one."""
    approves = act.name in ("approve", "correct")
    known = None
    if approves or act.name == "reject":  # whoever decided may not decide on an appeal
        known = await connection.fetchval(_VOTER, held_id, edition, person.identity)
    if approves and known is None:
        raise Refusal(*REFUSALS["already"])
    if act.judgement:
        await connection.execute(_JUDGE, held_id, edition, person.name, act.judgement)
