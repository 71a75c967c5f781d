"""What a gateway does with an answer that people must see: 202 and an id in its place, and the answer once approved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from edge.audit.auditor import Auditor, audited_of
from edge.audit.records import digest
from edge.callers import Caller
from edge.config import DataClass, GatewayConfig, Reviews
from edge.database import Database, DatabaseDown
from edge.journal import write_line
from edge.openai_api import Refusal
from edge.request_context import RequestContext
from edge.reviews import decision_records
from edge.reviews.envelope import Envelopes, Erased, note_name, subject_of
from edge.reviews.held_store import HeldAnswer, HeldAnswerStore, NewHeldAnswer
from edge.reviews.identity import ID, fold
from edge.reviews.trigger import Score, demand_of, draw, find_hold_reasons
from edge.tasks import Task

PATH = "/v1/reviews/{id}"
MARK = "x-isthmus-review"
"""Of an answer that people have seen: `approved` or `corrected`."""
RETRY_S = "30"


class AnswerHolder:
    """Of one gateway. Raises ConfigError."""

    def __init__(
        self, config: GatewayConfig, settings: Reviews, database: Database, auditor: Auditor
    ) -> None:
        self._class: DataClass = config.data_class
        self._settings, self._auditor = settings, auditor
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
        """What has been streamed cannot be held. Raises Refusal 400."""
        if stream and _is_reviewable(task) and (self._demands[workload].any or workload in self._guarded):
            raise Refusal(
                400,
                "stream_not_reviewable",
                "Answers of this workload may be held for people to look at, so they are not streamed. Send"
                ' "stream": false; where the status is 202, follow GET /v1/reviews/{id}.',
            )

    async def instead_of(
        self,
        context: RequestContext,
        answer: Response,
        score: Score | None = None,
        guards: Sequence[str] = (),
    ) -> Response:
        """The answer itself, or that it is held. Raises Refusal 503: then nothing of it leaves."""
        exchange = context.exchange
        drawn = draw(self._auditor.hmacs.key, exchange.request_id)
        hold_reasons = find_hold_reasons(self._demands[context.caller.workload], score, guards, drawn)
        if guards and not _is_reviewable(context.task):
            raise Refusal(
                400,
                "content_blocked",
                f"The guard {guards[0]!r} wants people to look at this, and nobody can judge such an answer.",
            )
        if not hold_reasons or not _is_reviewable(context.task):
            return answer
        workload = self._workloads[context.caller.workload]
        subject = subject_of(self._auditor.hmacs, context.payload, exchange.request_id)
        holding = NewHeldAnswer(
            exchange.request_id,
            workload.name,
            workload.review.domain if workload.review else None,
            context.task.path,
            subject,
            [*self._asking(context), *(f"certificate:{name}" for name in workload.clients)],
            hold_reasons,
            None if score is None else score.value,
        )
        try:
            line = await asyncio.to_thread(
                self._envelopes.first,
                *(exchange.request_id, subject, self._settings.keep_days),
                *(context.payload, bytes(answer.body)),
            )
            audit_entry: dict[str, Any] = {"why": hold_reasons, "sha256": digest(line), "kept": False}
            if (audited := audited_of(context.request)) is not None:
                audited.held = audit_entry
            decide_by = await context.deadline.wait(self._shelf.put(holding, line))
        except (OSError, ValueError, DatabaseDown) as error:
            raise _unavailable(error) from None
        audit_entry["kept"] = True
        exchange.status = 202
        return JSONResponse(
            {
                "id": exchange.request_id,
                "object": "review",
                "status": "held",
                "decide_by": decide_by.isoformat(timespec="milliseconds"),
            },
            status_code=202,
            headers={"location": PATH.format(id=exchange.request_id), "retry-after": RETRY_S},
        )

    def _asking(self, context: RequestContext) -> list[str]:
        """Who asks: the key or certificate, and the person whom the request names, as a reviewer is called."""
        user = context.payload.get("user")
        subjects = [self._auditor.hmacs.subject(fold(user))] if isinstance(user, str) else []
        return [context.caller.identity, *subjects]

    async def look(self, held_id: str, caller: Caller) -> Response:
        """What has become of a held answer of the caller's own workload. Raises Refusal."""
        try:
            held_answer = await self._shelf.get(held_id, caller.workload) if ID.fullmatch(held_id) else None
        except DatabaseDown as error:
            raise _unavailable(error) from None
        if held_answer is None:
            raise Refusal(
                404, "review_not_found", "No held answer of this workload has this id, or it was deleted."
            )
        try:
            return await (self._given if held_answer.state == "approved" else self._told)(held_answer, caller)
        except Erased:
            raise Refusal(
                410, "review_erased", "The answer was erased; nobody can read it any more."
            ) from None
        except (OSError, ValueError) as error:
            raise _unavailable(error) from None

    async def _told(self, held_answer: HeldAnswer, caller: Caller) -> Response:
        status = {"id": held_answer.id, "object": "review", "status": held_answer.state, **held_answer.times}
        if held_answer.state in ("held", "escalated"):
            return JSONResponse(status, status_code=202, headers={"retry-after": RETRY_S})
        status["reason"] = held_answer.reason or ""
        if held_answer.note is not None:
            note = await asyncio.to_thread(
                self._envelopes.open, held_answer.note, note_name(held_answer.id, held_answer.version)
            )
            status["note"] = note["answer"].decode()
        return JSONResponse(status)

    async def _given(self, held_answer: HeldAnswer, caller: Caller) -> Response:
        """The record comes first, and before it the proof that enough people have approved these bytes."""
        if not held_answer.approved(self._envelopes.votes, self._class):
            write_line("review_unproven", id=held_answer.id, workload=caller.workload)
            raise Refusal(
                503, "review_unproven", "That this answer was approved is not proven; ask the operators."
            )
        exchange = await asyncio.to_thread(self._envelopes.open, held_answer.line, held_answer.name)
        actor = {"workload": caller.workload, "team": caller.team, "identity": caller.identity}
        record = decision_records.fields(
            *(held_answer.id, "give"),
            actor=actor,
            state=held_answer.state,
            version=held_answer.version,
            reason="approved",
            line=held_answer.line,
        )
        await self._auditor.review(record)
        mark = "corrected" if held_answer.corrected else "approved"
        return Response(exchange["answer"], media_type="application/json", headers={MARK: mark})


def _is_reviewable(task: Task) -> bool:
    """Whether people can judge such an answer: a text, not a vector or an order."""
    return task.holds == "choices"


def _unavailable(error: Exception) -> Refusal:
    write_line("review_failed", error=type(error).__name__)
    return Refusal(
        503, "reviews_unavailable", "The gateway cannot look after held answers now; send the request again."
    )
