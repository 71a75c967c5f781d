"""`Idempotency-Key`: the same request with the same key gets the stored answer, for a day, without asking the model.

The answer is stored when its record is durable, before its last byte leaves. So whoever received it can get it again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.callers import Caller
from edge.database import Database, DatabaseDown
from edge.deadlines import Deadline
from edge.files import Cipher, Unreadable
from edge.files.store import KEEP
from edge.journal import write_line
from edge.openai_api import Refusal, bad_request

HEADER = "idempotency-key"
REPLAYED = "idempotent-replayed"
MOST_KEY = 255
_HEADERS = ("content-type", "location", "retry-after")
"""Headers that are stored with an answer."""
_RETRY_S = "2"
_BEGIN = """
INSERT INTO isthmus.repeatable_answers AS a (class, site, owner, key, request, run, running_until, delete_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::interval, clock_timestamp() + $8::interval)
ON CONFLICT (class, site, owner, key) DO UPDATE
SET request = excluded.request, run = excluded.run, running_until = excluded.running_until, answer = NULL,
    delete_at = excluded.delete_at
WHERE a.delete_at <= clock_timestamp()
    OR (a.answer IS NULL AND a.running_until <= clock_timestamp() AND a.request = excluded.request)
RETURNING run
"""
_GET = """
SELECT request, answer FROM isthmus.repeatable_answers WHERE (class, site, owner, key) = ($1, $2, $3, $4)
"""
_KEEP = """
UPDATE isthmus.repeatable_answers SET answer = $2, delete_at = clock_timestamp() + $3::interval WHERE run = $1
    AND (class, site, owner, key) = ($4, $5, $6, $7)
"""
_FORGET = """
DELETE FROM isthmus.repeatable_answers
WHERE run = $1 AND answer IS NULL AND (class, site, owner, key) = ($2, $3, $4, $5)
"""
_SWEEP = "DELETE FROM isthmus.repeatable_answers WHERE delete_at <= clock_timestamp()"


@dataclass
class _Run:
    """A request that runs under a key."""

    id: str
    owner: str
    key: bytes
    is_over: bool = False


class RepeatableAnswers:
    """The stored answers of one class and site."""

    def __init__(
        self, database: Database, cipher: Cipher, data_class: str, site: str, timeout_s: float
    ) -> None:
        """`timeout_s`: how long a request runs at most."""
        self._database, self._cipher = database, cipher
        self._place = data_class, site
        self._running = timedelta(seconds=timeout_s + 30)

    async def begin(
        self, request: Request, caller: Caller, payload: Mapping[str, Any], deadline: Deadline
    ) -> Response | None:
        """The stored answer of a request, or None if it must be sent. Raises Refusal 400, 409, 422 or 503."""
        text = request.headers.get(HEADER)
        if text is None:
            return None
        if not 0 < len(text) <= MOST_KEY:
            raise bad_request("invalid_idempotency_key", f"The key must have 1 to {MOST_KEY} characters.")
        if payload.get("stream"):
            raise bad_request(
                "stream_not_repeatable",
                f"A stream is not stored, so it cannot be repeated. Remove the header {HEADER}, or send"
                ' "stream": false.',
            )
        owner = caller.identity
        key = self._cipher.digest(f"{owner}\0key", text.encode("utf-8", "surrogateescape"))
        body = json.dumps([request.scope["path"], payload], sort_keys=True, separators=(",", ":"))
        request_digest = self._cipher.digest(f"{owner}\0request", body.encode("ascii"))
        run = _Run(secrets.token_hex(16), owner, key)
        try:
            beginning = self._database.fetch(
                _BEGIN, *self._place, owner, key, request_digest, run.id, self._running, KEEP
            )
            begun = await deadline.wait(beginning)
            if begun:
                request.state.repeatable_run = run
                return None
            rows = await deadline.wait(self._database.fetch(_GET, *self._place, owner, key))
        except DatabaseDown:
            raise _unavailable() from None
        if rows and rows[0]["request"] != request_digest:
            raise Refusal(
                422,
                "idempotency_key_reused",
                "This key was sent with another request. Send each request with a key of its own.",
            )
        if not rows or rows[0]["answer"] is None:
            raise Refusal(
                409,
                "request_running",
                "The request with this key is still running. Send it again a little later.",
                {"retry-after": _RETRY_S},
            )
        request.state.exchange.verdicts.append("idempotent-replay")
        return self._replay(run, rows[0]["answer"])

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The application, which stores the answers of requests that `begin` let run."""

        async def storing(scope: Scope, receive: Receive, send: Send) -> None:
            name = HEADER.encode()
            if scope["type"] != "http" or not any(header == name for header, _ in scope["headers"]):
                await app(scope, receive, send)
                return
            state = scope.setdefault("state", {})
            try:
                await app(scope, receive, self._sender(state, send))
            finally:
                run = state.get("repeatable_run")
                if run is not None and not run.is_over:
                    await self._forget(run)

        return storing

    async def sweep(self) -> None:
        """Delete what has had its time. Raises DatabaseDown."""
        await self._database.fetch(_SWEEP)

    def _sender(self, state: dict[str, Any], send: Send) -> Send:
        start: dict[str, Any] = {}
        body = bytearray()

        async def sending(message: Message) -> None:
            run: _Run | None = state.get("repeatable_run")
            if run is not None and message["type"] == "http.response.start":
                start.update(message)
            elif run is not None and message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await self._end(run, start, bytes(body))
            await send(message)

        return sending

    async def _end(self, run: _Run, start: dict[str, Any], body: bytes) -> None:
        """Store a good answer. After an error the key is free again."""
        if start.get("status") not in (200, 202):
            await self._forget(run)
            return
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        stored_headers = {name: headers[name] for name in _HEADERS if name in headers}
        text = json.dumps([start["status"], stored_headers]).encode() + b"\n" + body
        sealed = self._cipher.encrypt(_name(run), text)
        run.is_over = True
        try:
            await self._database.fetch(_KEEP, run.id, sealed, KEEP, *self._place, run.owner, run.key)
        except DatabaseDown as error:
            write_line("repeatable_failed", error=str(error))

    async def _forget(self, run: _Run) -> None:
        run.is_over = True
        try:
            await self._database.fetch(_FORGET, run.id, *self._place, run.owner, run.key)
        except DatabaseDown as error:
            write_line("repeatable_failed", error=str(error))

    def _replay(self, run: _Run, sealed: bytes) -> Response:
        try:
            head, _, body = self._cipher.decrypt(_name(run), sealed).partition(b"\n")
        except Unreadable:
            raise _unavailable() from None
        status, headers = json.loads(head)
        return Response(body, status, {**headers, REPLAYED: "true"})


def _name(run: _Run) -> str:
    return f"{run.owner}\0{run.key.hex()}\0answer"


def _unavailable() -> Refusal:
    return Refusal(
        503,
        "idempotency_unavailable",
        "The gateway cannot look for a stored answer now. Send the request again.",
    )
