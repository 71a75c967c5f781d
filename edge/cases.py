"""Cases: a person asks a reviewer about an answer. A case waits among the held answers; the reply is its correction.

The gateway keeps no content, so the person's application sends the conversation that the case is about.
"""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.callers import Caller
from edge.database import DatabaseDown
from edge.exchange import Exchange
from edge.feedback import Feedback, require_person
from edge.openai_api import Refusal, bad_request, check_fields, dump, parse_object, read_body
from edge.reviews.envelope import Erased
from edge.reviews.gateway_holding import AnswerHolder
from edge.reviews.held_store import CASE, HeldAnswer

PATH, ONE_PATH = "/v1/cases", "/v1/cases/{id}"
MOST_QUESTION, MOST_MESSAGES, MOST_TEXT = 4000, 100, 100_000
ROLES = ("user", "assistant", "system")


class Cases:
    """Cases of one gateway."""

    def __init__(self, holder: AnswerHolder, feedback: Feedback) -> None:
        self._holder, self._feedback = holder, feedback

    async def open(self, request: Request, caller: Caller, max_bytes: int) -> Response:
        """`POST /v1/cases`. Raises Refusal."""
        body = parse_object(await read_body(request, max_bytes))
        check_fields(body, {"id", "question", "messages"})
        question = body.get("question")
        if not isinstance(question, str) or not 0 < len(question.strip()) <= MOST_QUESTION:
            raise bad_request(
                "invalid_question",
                f"The field 'question' must be a text of at most {MOST_QUESTION} characters.",
            )
        messages = _messages(body.get("messages"))
        request_id, workload = await self._feedback.own(body.get("id"), caller)
        case_id = uuid.uuid4().hex
        asked = {"request": request_id, "question": question, "messages": messages}
        # The last answer is what the reviewer reads, and replaces by the reply.
        last = next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), "")
        answer = {
            "object": "case",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": last}}],
        }
        exchange: Exchange = request.state.exchange
        decide_by = await self._holder.open_case(case_id, workload, exchange, caller, asked, dump(answer))
        return JSONResponse(
            {
                "id": case_id,
                "object": "case",
                "status": "open",
                "decide_by": decide_by.isoformat("T", "milliseconds"),
            },
            status_code=201,
            headers={"location": ONE_PATH.format(id=case_id)},
        )

    async def look(self, case_id: str, caller: Caller) -> Response:
        """`GET /v1/cases/ID`, for the person who opened it. Raises Refusal."""
        require_person(caller)
        try:
            case = await self._holder.find(case_id, caller)
            if case is None or case.task != CASE:
                raise Refusal(404, "case_not_found", "You opened no case with this id, or it was deleted.")
            told: dict[str, Any] = {
                **{"id": case.id, "object": "case", "status": _STATES[case.state]},
                **case.times,
            }
            if case.state in ("approved", "rejected"):
                told |= await self._reply(case, caller)
        except Erased:
            raise Refusal(410, "review_erased", "The case was erased and cannot be read any more.") from None
        except (OSError, ValueError, DatabaseDown):
            raise Refusal(
                503, "reviews_unavailable", "The gateway cannot read cases now. Send the request again."
            ) from None
        return JSONResponse(told)

    async def _reply(self, case: HeldAnswer, caller: Caller) -> dict[str, Any]:
        """What the reviewer said: the reply, that the answer was right, or why there is no reply."""
        if case.state == "rejected":
            return {"reason": case.reason or "", **await self._holder.note_of(case)}
        given = await self._holder.give(case, caller)
        return {"reply": given["choices"][0]["message"]["content"]} if case.corrected else {"confirmed": True}


_STATES = {
    "held": "open",
    "escalated": "open",
    "approved": "answered",
    "rejected": "closed",
    "expired": "expired",
}


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
