"""Holds an answer for review until it is approved, or lets people look at it after its delivery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from edge.audit.auditor import Auditor, audited_of
from edge.audit.records import canonical, digest
from edge.callers import Caller, require_person
from edge.config import DataClass, GatewayConfig, Reviews
from edge.database import Database, DatabaseDown
from edge.exchange import Exchange
from edge.feedback import Feedback
from edge.interfaces.writer import Head
from edge.journal import write_line
from edge.openai_api import Refusal, dump
from edge.request_context import RequestContext
from edge.reviews import decision_records
from edge.reviews.appeals import APPEAL, Original
from edge.reviews.corrections import texts_of
from edge.reviews.envelope import Envelopes, Erased, note_name
from edge.reviews.held_store import (
    CASE,
    CASE_STATES,
    HeldAnswer,
    HeldAnswerStore,
    ListedAnswer,
    NewHeldAnswer,
)
from edge.reviews.identity import ID, fold
from edge.reviews.trigger import Score, demand_of, draw, find_reasons
from edge.tasks import Task, writer_of

LIST_PATH, PATH = "/v1/reviews", "/v1/reviews/{id}"
MARK = "x-isthmus-review"
"""Header of a reviewed answer: `approved` or `corrected`."""
RETRY_S = "30"
EXPIRED = "No reviewer decided before the deadline, so the answer is not given out. Send the request again if needed."
"""What the caller is told of an expired answer."""


@dataclass(frozen=True)
class NewCase:
    """What a person asks a reviewer."""

    id: str
    workload: str
    asked: dict[str, Any]
    """The question and the conversation, as the person sends them."""
    answer: dict[str, Any]
    """The last answer of the conversation, in the form of chat. The reply takes its place."""
    basis: dict[str, Any]
    """`legal_basis` and `notice`, which the person has read. Empty: the settings state none."""
    turns: list[str] = field(default_factory=list)
    """Marks of the conversation's messages (`edge.conversation_check`)."""
    original: Original | None = None
    """What the person appeals against. None: it is no appeal."""

    @property
    def about(self) -> dict[str, Any]:
        """What reviewers are told beside the conversation."""
        noted = {"turns": self.turns} if self.original is None else self.original.about
        decision = {} if self.original is None else {"decision": self.original.decision}
        return {**noted, **decision, **self.basis}

    @property
    def recorded(self) -> dict[str, Any]:
        """Further fields of its record: what was compared, the legal basis, and the digest of the notice."""
        fields: dict[str, Any] = {"turns": self.turns}
        if self.original is not None:
            fields = {"appeal_of": self.original.id}
        if self.basis:
            fields["legal_basis"] = self.basis["legal_basis"]
            fields["notice"] = digest(canonical(self.basis["notice"]))
        return fields


class AnswerHolder:
    """Holds answers of one gateway. Raises ConfigError."""

    def __init__(
        self,
        config: GatewayConfig,
        settings: Reviews,
        database: Database,
        auditor: Auditor,
        feedback: Feedback | None,
    ) -> None:
        """`feedback`: of people's requests. None: the gateway accepts no tokens."""
        self._class: DataClass = config.data_class
        self._settings, self._auditor, self._feedback = settings, auditor, feedback
        self._envelopes = Envelopes(settings, "reviews")
        self._shelf = HeldAnswerStore(database, settings, config.data_class, config.site)
        self._workloads = {workload.name: workload for workload in config.workloads}
        self._demands = {
            name: demand_of(config.data_class, workload.impact or "high", workload.review)
            for name, workload in self._workloads.items()
        }
        screening = config.screening
        self._guarded = {
            name
            for name in self._workloads
            if screening and any(guard.then == "review" for guard in screening.guards_of(self._class, name))
        }

    def check_stream(self, workload: str, task: Task, stream: bool) -> None:
        """Raise Refusal 400 for a stream of a workload of which every answer is held."""
        if stream and is_reviewable(task) and self._demands[workload].impact == "high":
            raise Refusal(
                400,
                "stream_not_reviewable",
                "Every answer of this workload is held for human review, so none can be streamed. Send"
                ' "stream": false; where the status is 202, follow GET /v1/reviews/{id}.',
            )

    def collects(self, workload: str, task: Task) -> bool:
        """Whether a stream is collected before anything of it leaves, because its end may hold it."""
        return is_reviewable(task) and (self._demands[workload].may_hold or workload in self._guarded)

    def keeps(self, workload: str, task: Task, request_id: str) -> bool:
        """Whether people may see the answer of this request, before or after its delivery."""
        if self.collects(workload, task):
            return True
        demand = self._demands[workload]
        is_drawn = draw(self._auditor.hmacs.key, request_id) < demand.sample_rate
        return is_reviewable(task) and (demand.looks_low or is_drawn)

    async def decide(
        self, context: RequestContext, answer: dict[str, Any], score: Score | None, guards: Sequence[str]
    ) -> dict[str, Any] | None:
        """Put a whole answer, in the form of chat, away if people see it.

        Returns the notice in its place, or None if it is delivered.

        Raises Refusal 503; then nothing of the answer may leave.
        """
        exchange = context.exchange
        drawn = draw(self._auditor.hmacs.key, exchange.request_id)
        reasons = find_reasons(self._demands[context.caller.workload], score, guards, drawn)
        if guards and not is_reviewable(context.task):
            raise Refusal(
                400,
                "content_blocked",
                f"The guard {guards[0]!r} requires human review, but answers of this task cannot be reviewed.",
            )
        if not reasons.why or not is_reviewable(context.task):
            return None
        delivered = not reasons.hold
        try:
            decide_by = await self._put(context, dump(answer), score, reasons.why, delivered=delivered)
        except (OSError, ValueError, DatabaseDown) as error:
            refusal = _unavailable(error)
            if delivered:  # the record says that nobody will look at it
                return None
            raise refusal from None
        if delivered:
            return None
        exchange.status = 202
        return {
            "id": exchange.request_id,
            "object": "review",
            "status": "held",
            "decide_by": decide_by.isoformat(timespec="milliseconds"),
        }

    async def _put(
        self, context: RequestContext, answer: bytes, score: Score | None, why: list[str], *, delivered: bool
    ) -> datetime:
        """Encrypt and store the answer; return its deadline. Raises OSError, ValueError or DatabaseDown."""
        request_id, workload = context.exchange.request_id, self._workloads[context.caller.workload]
        subject = self._auditor.hmacs.subject_of(context.payload, request_id, context.exchange.person)
        user = context.exchange.person or context.payload.get("user")
        holding = NewHeldAnswer(
            request_id,
            workload.name,
            workload.review.domain if workload.review else None,
            context.task.path,
            subject,
            [*self._asking(context.caller, user), *(f"certificate:{name}" for name in workload.clients)],
            why,
            None if score is None else score.value,
            delivered,
            webhook=workload.webhook,
            model=_model_of(context),
        )
        line = await asyncio.to_thread(
            self._envelopes.first,
            *(request_id, subject, self._settings.keep_days, context.payload, answer),
            _about(context, answer),
        )
        audit_entry: dict[str, Any] = {"why": why, "sha256": digest(line), "kept": False}
        if delivered:
            audit_entry["delivered"] = True
        if (audited := audited_of(context.request)) is not None:
            audited.held = audit_entry
        decide_by = await context.deadline.wait(self._shelf.put(holding, line))
        audit_entry["kept"] = True
        return decide_by

    def _asking(self, caller: Caller, user: object) -> list[str]:
        """Identities of the requester: the key or certificate, and the person or `user` in the form of reviewers."""
        subjects = [self._auditor.hmacs.subject(fold(user))] if isinstance(user, str) else []
        return [caller.identity, *subjects]

    async def open_case(self, case: NewCase, exchange: Exchange, caller: Caller) -> datetime:
        """Put a person's case among the held answers; return its deadline. Raises Refusal 503."""
        workload, original = self._workloads[case.workload], case.original
        subject = self._auditor.hmacs.subject_of({}, case.id, exchange.person)
        why = "asked" if original is None else APPEAL
        deciders = [self._auditor.hmacs.subject(fold(name)) for name in original.deciders] if original else []
        held = NewHeldAnswer(
            *(case.id, workload.name, workload.review.domain if workload.review else None, CASE, subject),
            *([*self._asking(caller, exchange.person), *deciders], [why], None),
            is_case=True,
            appeal_of=None if original is None else original.id,
            webhook=workload.webhook,
        )
        try:
            line = await asyncio.to_thread(
                *(self._envelopes.first, case.id, subject, self._settings.keep_days),
                *(case.asked, dump(case.answer), case.about),
            )
            record = decision_records.fields(
                *(case.id, "open"),
                actor={"workload": workload.name, "team": caller.team, "identity": caller.identity},
                state="held" if original is None else "escalated",
                version=0,
                reason=why,
                line=line,
                **case.recorded,
            )
            await self._auditor.review(record)
            return await self._shelf.put(held, line)
        except (OSError, ValueError, DatabaseDown) as error:
            raise _unavailable(error) from None

    async def look(self, held_id: str, caller: Caller) -> Response:
        """The state of a held answer of the caller's workload, or the approved answer. Raises Refusal."""
        try:
            held_answer = await self.find(held_id, caller)
        except DatabaseDown as error:
            raise _unavailable(error) from None
        if held_answer is None or held_answer.task == CASE:
            raise Refusal(
                404, "review_not_found", "No held answer of this workload has this id, or it was deleted."
            )
        try:
            is_given = held_answer.state == "approved" and not held_answer.delivered
            return await (self._given if is_given else self._told)(held_answer, caller)
        except Erased:
            raise Refusal(
                410, "review_erased", "The answer was erased and cannot be read any more."
            ) from None
        except (OSError, ValueError) as error:
            raise _unavailable(error) from None

    async def list_own(self, caller: Caller) -> Response:
        """`GET /v1/reviews`: a person's held answers and cases, the newest first, without content. Raises Refusal."""
        require_person(caller)
        try:
            entries = await self._shelf.of_person(caller.identity, caller.own)
        except DatabaseDown as error:
            raise _unavailable(error) from None
        return JSONResponse({"object": "list", "data": [_listed(entry) for entry in entries]})

    async def find(self, held_id: str, caller: Caller) -> HeldAnswer | None:
        """The answer, if the caller's workload asked for it. A person sees those of their own requests only.

        Raises DatabaseDown.
        """
        if not ID.fullmatch(held_id):
            return None
        asked_by = caller.identity if caller.is_person else None
        for workload in caller.own:
            if (held_answer := await self._shelf.get(held_id, workload, asked_by)) is not None:
                return held_answer
        return None

    async def original_of(self, decided: HeldAnswer) -> Original:
        """A decided answer, as an appeal carries it. Raises Erased, OSError, ValueError, DatabaseDown."""
        first = await asyncio.to_thread(self._envelopes.open, decided.first, decided.id)
        answer = first["answer"]
        if decided.corrected:
            answer = (await asyncio.to_thread(self._envelopes.open, decided.line, decided.name))["answer"]
        status = "corrected" if decided.state == "approved" else decided.state
        decision = {"status": status, "reason": decided.reason or "", **await self.note_of(decided)}
        return Original(
            *(decided.id, decided.workload, first["asked"], first.get("about", {}), answer, decision),
            await self._shelf.deciders(decided.id),
        )

    async def note_of(self, held_answer: HeldAnswer) -> dict[str, str]:
        """The note of the last act. Raises Erased, OSError, ValueError."""
        if held_answer.note is None:
            return {}
        name = note_name(held_answer.id, held_answer.version)
        note = await asyncio.to_thread(self._envelopes.open, held_answer.note, name)
        return {"note": note["answer"].decode()}

    async def _told(self, held_answer: HeldAnswer, caller: Caller) -> Response:
        status = {"id": held_answer.id, "object": "review", "status": held_answer.state, **held_answer.times}
        if held_answer.delivered:
            decided = held_answer.state not in ("held", "escalated")
            return JSONResponse({**status, "status": held_answer.state if decided else "delivered"})
        if held_answer.state in ("held", "escalated"):
            return JSONResponse(status, status_code=202, headers={"retry-after": RETRY_S})
        status["reason"] = held_answer.reason or ""
        if held_answer.state == "expired":
            status["message"] = EXPIRED
        return JSONResponse(status | await self.note_of(held_answer))

    async def _given(self, held_answer: HeldAnswer, caller: Caller) -> Response:
        mark = "corrected" if held_answer.corrected else "approved"
        answer = await self.give(held_answer, caller)
        if isinstance(answer.get("review"), dict) and "appeal_by" in held_answer.times:
            answer["review"] = {**answer["review"], "appeal_by": held_answer.times["appeal_by"]}
        head = Head(answer.get("id", ""), answer.get("created", 0), answer.get("model", ""))
        writer = writer_of(held_answer.task)({}, head)
        return Response(writer.whole(answer), media_type="application/json", headers={MARK: mark})

    async def give(self, held_answer: HeldAnswer, caller: Caller) -> dict[str, Any]:
        """The approved answer as an object. Raises Refusal 503, Erased, OSError, ValueError."""
        return json.loads(await self._release(held_answer, caller))

    async def _release(self, held_answer: HeldAnswer, caller: Caller) -> bytes:
        """The approved answer, after its votes are verified and the release is recorded."""
        if not held_answer.approved(self._envelopes.votes, self._class):
            write_line("review_unproven", id=held_answer.id, workload=caller.workload)
            raise Refusal(
                503, "review_unproven", "The approval of this answer cannot be verified. Ask the operators."
            )
        exchange = await asyncio.to_thread(self._envelopes.open, held_answer.line, held_answer.name)
        hmacs = self._auditor.hmacs.answers(held_answer.id, texts_of(exchange["answer"]))
        actor = {"workload": caller.workload, "team": caller.team, "identity": caller.identity}
        record = decision_records.fields(
            *(held_answer.id, "give"),
            actor=actor,
            state=held_answer.state,
            version=held_answer.version,
            reason="approved",
            line=held_answer.line,
            answer=hmacs,
        )
        await self._auditor.review(record)
        if self._feedback is not None and held_answer.task != CASE:
            await self._feedback.answered(held_answer.id, hmacs)
        return exchange["answer"]


def _listed(entry: ListedAnswer) -> dict[str, Any]:
    if entry.task == CASE:
        return {"id": entry.id, "object": "case", "status": CASE_STATES[entry.state], **entry.told}
    return {"id": entry.id, "object": "review", "status": entry.state, **entry.told}


def is_reviewable(task: Task) -> bool:
    """Whether people can review answers of the task: text, not embeddings or rankings."""
    return task.holds == "choices"


def _about(context: RequestContext, answer: bytes) -> dict[str, Any]:
    """What reviewers are told beside the answer: the verdicts of its checks, the application's sources, and by text the
    parts that the model was unsure of. Texts that screening changed have no such parts.
    """
    texts = [text for text in texts_of(answer) if isinstance(text, str)]
    unsure = context.scorer.unsure() if context.scorer else {}
    return {
        "verdicts": list(context.exchange.verdicts),
        **({"sources": sources} if (sources := context.body.get("sources")) else {}),
        "unsure": [[text, parts] for text, parts in unsure.items() if parts and text in texts],
    }


def _model_of(context: RequestContext) -> str | None:
    """The model that answered last, as the record of the request names it."""
    audited = audited_of(context.request)
    return str(audited.attempts[-1]["model"]) if audited is not None and audited.attempts else None


def _unavailable(error: Exception) -> Refusal:
    write_line("review_failed", error=type(error).__name__)
    return Refusal(
        503, "reviews_unavailable", "The gateway cannot access held answers now. Send the request again."
    )
