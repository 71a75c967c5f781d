"""Sends a line of a batch to the gateway's own application, in the process. So it passes what every request passes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message

from edge.callers import StoredIdentity
from edge.exchange import Exchange
from edge.openai_api import Refusal, dump


@dataclass
class Answer:
    """The application's answer."""

    status: int = 500
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    code: str = "ok"
    """The journal's code of the request."""

    @property
    def request_id(self) -> str:
        """The request's id in journal and records."""
        return self.headers.get(b"x-request-id", b"").decode()

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which the request may be sent again, if the answer says so."""
        value = self.headers.get(b"retry-after", b"").decode()
        return float(value) if value.isdigit() else None


async def send_line(app: ASGIApp, path: str, body: bytes, identity: StoredIdentity, batch: str) -> Answer:
    """Send a body as the stored caller, and return the whole answer.

    The identity is in the request's state, which only the process can set, never a client.
    """
    answer = Answer()
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # nobody disconnects
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = dict(message.get("headers", []))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": None,
        "server": None,
        "state": {"stored_identity": identity, "batch": batch},
    }
    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 (the application has answered 500, and its line is in the journal)
        fault = Refusal(500, "internal_error", "The gateway failed on this request.")
        answer.status, answer.body = 500, bytearray(dump(fault.body()))
    exchange: Exchange | None = scope["state"].get("exchange")
    answer.code = exchange.code if exchange is not None else answer.code
    return answer
