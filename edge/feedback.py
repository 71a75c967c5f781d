"""Feedback on an answer, by the person who asked: a thumb and a reason, in the record and in the database."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.audit.auditor import Auditor
from edge.callers import Caller, require_person
from edge.config import DataClass
from edge.conversation_check import RecordedRequest
from edge.database import Database, DatabaseDown
from edge.exchange import Exchange
from edge.journal import write_line
from edge.openai_api import Refusal, bad_request, check_fields, is_reason, parse_object, read_body

PATH = "/v1/feedback"
REFERENCE = "x-client-request-id"
"""Header in which an application names its request, as OpenAI's API has it."""
KEEP_DAYS = 30
"""Days for which a person can give feedback on an answer, or ask a person about it."""
RATINGS = {"up": 1, "down": -1}
SWEEP_S = 3600.0
MOST_COMPARED = 1000
"""Requests of a person, the newest, with which a conversation is compared."""
_ASKED = """
INSERT INTO isthmus.asked (id, class, site, workload, model, by, delete_at, reference, question)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval, $8, $9) ON CONFLICT DO NOTHING
"""
_ANSWERED = "UPDATE isthmus.asked SET answers = $2 WHERE id = $1"
_RECORDED = """
SELECT id, question, answers FROM isthmus.asked
WHERE (class, site, by) = ($1, $2, $3) AND delete_at > clock_timestamp() ORDER BY at DESC LIMIT $4
"""
_OWN = """
SELECT id, workload FROM isthmus.asked
WHERE (class, site, by) = ($2, $3, $4) AND (id = $1 OR reference = $5) AND delete_at > clock_timestamp()
ORDER BY at DESC LIMIT 1
"""
_GIVE = """
INSERT INTO isthmus.feedback (id, rating, reason) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET rating = $2, reason = $3, at = clock_timestamp()
"""
_NAMED = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SWEEP = "DELETE FROM isthmus.asked WHERE delete_at <= clock_timestamp()"


class Feedback:
    """People's requests and what they say of the answers, at one gateway."""

    def __init__(self, database: Database, auditor: Auditor, data_class: DataClass, site: str) -> None:
        self._database, self._auditor = database, auditor
        self._place = data_class, site

    async def asked(
        self, request: Request, exchange: Exchange, caller: Caller, payload: dict[str, Any]
    ) -> None:
        """Note that a person asked. Without the note nothing else is lost but feedback on this answer."""
        if not caller.is_person:
            return
        named = request.headers.get(REFERENCE, "")
        try:
            await self._database.fetch(
                *(_ASKED, exchange.request_id, *self._place, caller.workload, exchange.model),
                *(caller.identity, timedelta(days=KEEP_DAYS), named if _NAMED.fullmatch(named) else None),
                self._auditor.hmacs.question(exchange.request_id, payload),
            )
        except DatabaseDown:
            write_line("asked_failed", id=exchange.request_id)

    async def answered(self, request_id: str, answers: list[str]) -> None:
        """Note the HMACs of the answer that a person gets. Without them a case cannot be compared with the answer."""
        if not answers:
            return
        try:
            await self._database.fetch(_ANSWERED, request_id, answers)
        except DatabaseDown:
            write_line("asked_failed", id=request_id, reason="the answer cannot be compared later")

    async def recorded(self, caller: Caller) -> list[RecordedRequest]:
        """What is on record of this person's own requests, the newest first. Raises DatabaseDown."""
        rows = await self._database.fetch(_RECORDED, *self._place, caller.identity, MOST_COMPARED)
        return [RecordedRequest(row["id"], row["question"], row["answers"]) for row in rows]

    async def own(self, request_id: object, caller: Caller) -> tuple[str, str]:
        """Id and workload of a request of this person, by its id or the application's name of it.

        Raises Refusal 403, 404 or 503.
        """
        require_person(caller)
        named = request_id if isinstance(request_id, str) and _NAMED.fullmatch(request_id) else ""
        plain = named.replace("_", "-").rpartition("-")[2]  # without the prefix of an answer's id
        try:
            rows = (
                await self._database.fetch(_OWN, plain, *self._place, caller.identity, named) if named else []
            )
        except DatabaseDown:
            raise _unavailable() from None
        if not rows:
            raise Refusal(
                404, "request_not_found", f"You sent no request with this id in the last {KEEP_DAYS} days."
            )
        return rows[0]["id"], rows[0]["workload"]

    async def give(self, request: Request, caller: Caller, max_bytes: int) -> Response:
        """`POST /v1/feedback`. A later call replaces an earlier one. Raises Refusal."""
        body = parse_object(await read_body(request, max_bytes))
        check_fields(body, {"id", "rating", "reason"})
        rating, reason = body.get("rating"), body.get("reason") or ""
        if rating not in RATINGS:
            raise bad_request("invalid_rating", "The field 'rating' must be up or down.")
        if not is_reason(reason):
            raise bad_request(
                "invalid_reason", "The field 'reason' must be a word such as out-of-date: a-z, 0-9 and -."
            )
        request_id, workload = await self.own(body.get("id"), caller)
        who = {"workload": workload, "team": caller.team, "identity": caller.identity}
        await self._auditor.feedback({"id": request_id, "who": who, "rating": rating, "reason": reason})
        try:
            await self._database.fetch(_GIVE, request_id, RATINGS[rating], reason)
        except DatabaseDown:
            raise _unavailable() from None
        answer: dict[str, Any] = {"id": request_id, "object": "feedback", "rating": rating, "reason": reason}
        return JSONResponse(answer)

    async def sweeping(self) -> None:
        """Delete what is older than it is kept, every hour, in a loop."""
        while True:
            try:
                await self._database.fetch(_SWEEP)
            except DatabaseDown:
                write_line("asked_failed", reason="expired requests are not deleted")
            await asyncio.sleep(SWEEP_S)


def _unavailable() -> Refusal:
    return Refusal(503, "feedback_unavailable", "The gateway cannot store this now. Send it again later.")
