"""Cases: a person asks a reviewer about an answer, or appeals against a decision. The reply is the case's correction.

A case waits among the held answers. The gateway keeps no content of delivered answers, so the person's application
sends the conversation that a question is about. An appeal has the held answer that people decided on.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.callers import Caller, require_person
from edge.config.cases import CaseSettings
from edge.conversation_check import check_conversation
from edge.database import DatabaseDown
from edge.exchange import Exchange
from edge.feedback import Feedback
from edge.openai_api import Refusal, bad_request, check_fields, parse_object, read_body
from edge.reviews.appeals import answer_of, asked_of
from edge.reviews.envelope import Erased
from edge.reviews.gateway_holding import AnswerHolder, NewCase
from edge.reviews.held_store import CASE, CASE_STATES, HeldAnswer

PATH, ONE_PATH, NOTICE_PATH = "/v1/cases", "/v1/cases/{id}", "/v1/cases/notice"
MOST_QUESTION, MOST_MESSAGES, MOST_TEXT = 4000, 100, 100_000
ROLES = ("user", "assistant", "system")


class Cases:
    """Cases of one gateway."""

    def __init__(
        self, settings: CaseSettings, holder: AnswerHolder, feedback: Feedback, site_key: bytes
    ) -> None:
        self._settings = settings
        self._holder, self._feedback, self._key = holder, feedback, site_key

    async def notice(self, caller: Caller) -> Response:
        """`GET /v1/cases/notice`: what a person reads before they send a case. Raises Refusal 403."""
        require_person(caller)
        return JSONResponse({"object": "case_notice", **self._settings.model_dump()})

    async def open(self, request: Request, caller: Caller, max_bytes: int) -> Response:
        """`POST /v1/cases`: a question about an answer, or an appeal against a decision. Raises Refusal."""
        body = parse_object(await read_body(request, max_bytes))
        is_appeal = "appeal_of" in body
        check_fields(body, {"question", "confirmed", *(["appeal_of"] if is_appeal else ["id", "messages"])})
        question = body.get("question")
        if not isinstance(question, str) or not 0 < len(question.strip()) <= MOST_QUESTION:
            raise bad_request(
                "invalid_question",
                f"The field 'question' must be a text of at most {MOST_QUESTION} characters.",
            )
        self._check_confirmed(body.get("confirmed"))
        case = await (self._appeal if is_appeal else self._question)(body, question, caller)
        exchange: Exchange = request.state.exchange
        decide_by = await self._holder.open_case(case, exchange, caller)
        return JSONResponse(
            {
                **{"id": case.id, "object": "case", "status": "open"},
                **({"appeal_of": case.original.id} if case.original is not None else {}),
                "decide_by": decide_by.isoformat("T", "milliseconds"),
            },
            status_code=201,
            headers={"location": ONE_PATH.format(id=case.id)},
        )

    async def _question(self, body: dict[str, Any], question: str, caller: Caller) -> NewCase:
        """A case about an answer that the person got. Raises Refusal."""
        messages = _messages(body.get("messages"))
        request_id, workload = await self._feedback.own(body.get("id"), caller)
        turns = await self._check(messages, request_id, caller)
        asked = {"request": request_id, "question": question, "messages": messages}
        # The last answer is what the reviewer reads, and replaces by the reply.
        last = next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), "")
        answer = {
            "object": "case",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": last}}],
        }
        return NewCase(uuid.uuid4().hex, workload, asked, answer, self._basis(), turns)

    async def _appeal(self, body: dict[str, Any], question: str, caller: Caller) -> NewCase:
        """An appeal against the decision on an answer to the person's own request. Raises Refusal."""
        require_person(caller)
        if self._settings.appeal_days == 0:
            raise Refusal(403, "appeals_off", "This gateway takes no appeals.")
        try:
            decided = await self._holder.find(str(body["appeal_of"]), caller)
            if decided is None or decided.task == CASE:
                raise Refusal(
                    404, "review_not_found", "No held answer of yours has this id, or it was deleted."
                )
            if decided.appeal_by is None:
                raise Refusal(
                    409,
                    "not_appealable",
                    "You can appeal once against an answer that people corrected or rejected, or that expired, within"
                    f" {self._settings.appeal_days} days and while it is kept.",
                )
            original = await self._holder.original_of(decided)
        except Erased:
            raise _erased() from None
        except (OSError, ValueError, DatabaseDown):
            raise _unavailable() from None
        asked = asked_of(original, question)
        case_id = uuid.uuid4().hex
        return NewCase(
            case_id, original.workload, asked, answer_of(original), self._basis(), original=original
        )

    async def _check(self, messages: list[dict[str, str]], request_id: str, caller: Caller) -> list[str]:
        """Marks of the messages, by the record of this person's requests. Raises Refusal 503."""
        try:
            requests = await self._feedback.recorded(caller)
        except DatabaseDown:
            raise _unavailable() from None
        return [*await asyncio.to_thread(check_conversation, self._key, messages, requests, request_id)]

    def _check_confirmed(self, confirmed: object) -> None:
        """Raise Refusal 400 unless the person has read the notice, where there is one."""
        if confirmed not in (None, False, True):
            raise bad_request("invalid_confirmed", "The field 'confirmed' must be true or false.")
        if self._settings.notice and confirmed is not True:
            raise bad_request(
                "notice_unconfirmed",
                "Show the person the notice (GET /v1/cases/notice) and the conversation. Send 'confirmed': true when"
                " they agree.",
            )

    def _basis(self) -> dict[str, Any]:
        if self._settings.legal_basis is None:
            return {}
        return self._settings.model_dump(include={"legal_basis", "notice"})

    async def look(self, case_id: str, caller: Caller) -> Response:
        """`GET /v1/cases/ID`, for the person who opened it. Raises Refusal."""
        require_person(caller)
        try:
            case = await self._holder.find(case_id, caller)
            if case is None or case.task != CASE:
                raise Refusal(404, "case_not_found", "You opened no case with this id, or it was deleted.")
            content: dict[str, Any] = {
                **{"id": case.id, "object": "case", "status": CASE_STATES[case.state]},
                **case.times,
            }
            if case.appeal_of is not None:
                content["appeal_of"] = case.appeal_of
            if case.state in ("approved", "rejected"):
                content |= await self._reply(case, caller)
        except Erased:
            raise _erased() from None
        except (OSError, ValueError, DatabaseDown):
            raise _unavailable() from None
        return JSONResponse(content)

    async def _reply(self, case: HeldAnswer, caller: Caller) -> dict[str, Any]:
        """What the reviewer said: the reply, that the answer or the decision was right, or why there is no reply."""
        if case.state == "rejected":
            return {"reason": case.reason or "", **await self._holder.note_of(case)}
        reply = await self._holder.give(case, caller)
        if not case.corrected:
            return {"confirmed": True} if case.appeal_of is None else {"upheld": True}
        return {"reply": "\n\n".join(choice["message"]["content"] for choice in reply["choices"])}


def _erased() -> Refusal:
    return Refusal(410, "review_erased", "It was erased and cannot be read any more.")


def _unavailable() -> Refusal:
    return Refusal(503, "reviews_unavailable", "The gateway cannot read cases now. Send the request again.")


def _messages(value: object) -> list[dict[str, str]]:
    """The conversation of a case. Raises Refusal 400."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_MESSAGES:
        raise bad_request("invalid_messages", f"The field 'messages' must be a list of 1 to {MOST_MESSAGES}.")
    messages, length = [], 0
    for message in value:
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            raise bad_request(
                "invalid_messages", "Each message must have 'role' and 'content' and nothing else."
            )
        role, content = message["role"], message["content"]
        if role not in ROLES or not isinstance(content, str):
            raise bad_request("invalid_messages", f"A role is one of {', '.join(ROLES)}, a content is text.")
        length += len(content)
        messages.append({"role": role, "content": content})
    if length > MOST_TEXT:
        raise bad_request("invalid_messages", f"The messages have more than {MOST_TEXT} characters.")
    return messages
