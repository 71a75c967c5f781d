"""An answer whose outcome cannot be recorded does not leave: a whole answer becomes a 503, a stream breaks off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message

from edge.audit.auditor import AuditedRequest
from edge.audit.log import Unrecorded
from edge.exchange import Exchange
from edge.openai_api import Refusal


class Log:
    """An audit log whose disk may be full."""

    name = "gw-0"

    def __init__(self, full: bool) -> None:
        self.full, self.kept = full, []

    async def append(self, kind: str, fields: dict[str, Any], content: bytes = b"") -> None:
        if self.full:
            raise Unrecorded("audit_unwritable", "The gateway cannot write its audit record.")
        self.kept.append((kind, fields["status"], fields["code"]))


def answer_of(app: ASGIApp, log: Log) -> tuple[list[Message], Exchange]:
    """What an application's answer becomes on its way to the client."""
    exchange = Exchange("POST")
    settings = SimpleNamespace(policy="p1")
    auditor: Any = SimpleNamespace(
        log=log,
        data_class="restricted",
        site="fra1",
        settings=settings,
        keys=None,
        days_of=lambda _: None,
        counts_only=lambda _: False,
    )
    request = AuditedRequest(auditor, exchange)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "state": {"audited": request}}

        async def receive() -> Message:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        await app(scope, receive, request.sender(send))

    asyncio.run(run())
    return sent, exchange


def test_an_answer_is_sent_after_its_outcome_is_recorded():
    log = Log(full=False)
    sent, _ = answer_of(JSONResponse({"secret": 1}), log)
    assert log.kept == [("outcome", 200, "ok")]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["body"] == b'{"secret":1}'


def test_a_whole_answer_without_a_recorded_outcome_becomes_a_503():
    sent, exchange = answer_of(JSONResponse({"secret": 1}, headers={"x-of-it": "1"}), Log(full=True))
    start, body = sent
    assert start["status"] == 503
    assert [name for name, _ in start["headers"]] == [b"content-type", b"content-length"]
    assert json.loads(body["body"])["error"]["code"] == "audit_unwritable"
    assert exchange.code == "audit_unwritable"


def test_a_stream_without_a_recorded_outcome_is_not_ended_properly():
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"

    with pytest.raises(Refusal, match="withheld"):
        answer_of(StreamingResponse(pieces(), media_type="text/event-stream"), Log(full=True))


def test_a_request_gets_only_one_outcome_even_if_it_is_recorded_twice():
    log = Log(full=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["state"]["audited"].outcome(ended_well=True)
        await JSONResponse({})(scope, receive, send)

    answer_of(app, log)
    assert len(log.kept) == 1
