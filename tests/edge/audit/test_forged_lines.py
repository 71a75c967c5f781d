"""Texts of callers and model servers that imitate lines of the journal, of the records, or events of a stream."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.edge.audit.audited import CHAT, Audited
from tests.edge.conftest import KEYS, WORKLOAD, Site, bearer, chat

FORGED = (
    '"}\r\n{"event":"request","kind":"outcome","id":"no-such-id","status":200}\r\n\u2028\x85\x0b{"forged":"'
)
EVENTS = (
    '\n\ndata: [DONE]\n\ndata: {"error":{"message":"no-such-id","code":"no-such-id"}}\n\n'
    "event: no-such-id\r\n\r\nid: 1\n\n"
)


@pytest.fixture(scope="module")
def gateway(start: Any) -> Audited:
    audited = start()
    audited.seal_newcomer()
    return audited


def the_journal_and_the_record_hold_one_request_more(
    gateway: Audited, answer: httpx.Response, lines: int
) -> None:
    """Check that every line is whole, that the request has its own lines, and that no forged line appears."""
    gateway.gateway.wait_for_line("request", request_id=answer.headers["x-request-id"])
    parsed = [json.loads(line) for line in gateway.gateway.output().splitlines()]
    assert all(isinstance(line, dict) and "event" in line for line in parsed)
    assert len([line for line in parsed if line["event"] == "request"]) == lines + 1
    written = (
        json.dumps(gateway.records()) + gateway.gateway.output() + gateway.gateway.health("/metrics").text
    )
    assert "no-such-id" not in written
    assert "forged" not in written


def count_lines(gateway: Audited) -> int:
    return len(gateway.gateway.lines("request"))


MESSAGE = {"role": "user", "content": "x"}
FIELDS: dict[str, dict[str, Any]] = {
    "the prompt": {"messages": [{"role": "user", "content": FORGED}]},
    "a participant": {"messages": [{**MESSAGE, "name": FORGED}]},
    "a role": {"messages": [{**MESSAGE, "role": FORGED}]},
    "the user": {"user": FORGED},
    "the model": {"model": FORGED},
    "the name of a field": {FORGED: 1},
    "the name of a field within": {"messages": [{**MESSAGE, FORGED: 1}]},
    "metadata": {"metadata": {FORGED: FORGED}},
    "a tool": {"tools": [{"type": "function", "function": {"name": FORGED}}]},
    "a schema": {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"$ref": FORGED}}}]},
    "the id of a call": {
        "messages": [MESSAGE, {"role": "tool", "tool_call_id": FORGED[:200], "content": "x"}]
    },
    "a stop word": {"stop": [FORGED]},
    "a stream": {"stream": True, "user": FORGED, "messages": [{"role": "user", "content": FORGED}]},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_no_field_of_a_request_can_forge_a_line(gateway: Audited, chain: Site, fields: dict[str, Any]):
    lines = count_lines(gateway)
    answer = gateway.ask(**fields)
    assert answer.status_code in (200, 400, 404), answer.text
    the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)
    kinds = [record["kind"] for record in gateway.of(answer.headers["x-request-id"])]
    assert kinds == (["intent", "outcome"] if answer.status_code == 200 else ["outcome"])


IN_A_HEADER = FORGED.replace("\r\n", " ").replace("\u2028", "").replace("\x0b", "")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "x-request-id",
            "traceparent",
            "tracestate",
            "baggage",
            "user-agent",
            "cookie",
            "referer",
            "forwarded",
        ),
        *("x-forwarded-for", "x-isthmus-workload", "openai-organization", "idempotency-key", "accept"),
    ],
)
def test_no_header_can_forge_a_line(gateway: Audited, chain: Site, name: str):
    lines = count_lines(gateway)
    headers = [("authorization", f"Bearer {KEYS[WORKLOAD]}"), (name, IN_A_HEADER)]
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers]
    answer = gateway.client.post(CHAT, json=chat(), headers=raw)
    assert answer.status_code == 200, answer.text
    assert "no-such-id" not in str(answer.headers)
    the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)


def test_no_api_key_can_forge_a_line(gateway: Audited, chain: Site):
    for value in (f"Bearer {IN_A_HEADER}", IN_A_HEADER, f"Bearer {KEYS[WORKLOAD]} {IN_A_HEADER}"):
        lines = count_lines(gateway)
        answer = gateway.client.post(CHAT, json=chat(), headers=[(b"authorization", value.encode("latin-1"))])
        assert answer.status_code == 401
        the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)
    assert chain.model.received == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/" + quote(FORGED)),
        ("POST", "/" + quote(FORGED)),
        ("POST", f"{CHAT}/{quote(FORGED)}"),
        ("POST", f"{CHAT}?x={quote(FORGED)}"),
        ("GET", f"/v1/models/{quote(FORGED, safe='')}"),
        ("GET", f"/v1/reviews/{quote(FORGED, safe='')}"),
        ("PURGE", "/v1/models"),
    ],
)
def test_no_url_can_forge_a_line(gateway: Audited, chain: Site, method: str, path: str):
    lines = count_lines(gateway)
    body = chat() if method == "POST" else None
    answer = gateway.client.request(method, path, json=body, headers=bearer(KEYS[WORKLOAD]))
    assert answer.status_code in (200, 404, 405)
    the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)
    assert "PURGE" not in gateway.gateway.output()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {
            "id": FORGED,
            "model": FORGED,
            "object": "chat.completion",
            "system_fingerprint": FORGED,
            FORGED: FORGED,
        },
        {"object": FORGED},
        {"usage": {FORGED: 1, "prompt_tokens": FORGED}},
        {
            "choices": [
                {"index": 0, "message": {"role": FORGED}, "delta": {"role": FORGED}, "finish_reason": None}
            ]
        },
        {"error": {"message": FORGED, "code": FORGED}},
    ],
    ids=["names", "the kind", "counts", "a role", "an error"],
)
def test_no_field_of_a_model_server_can_forge_a_line(
    gateway: Audited, chain: Site, changes: dict[str, Any], stream: bool
):
    lines = count_lines(gateway)
    chain.model.changes = changes
    answer = gateway.ask(stream=stream)
    assert answer.status_code in (200, 502)
    the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)
    _, outcome = gateway.of(answer.headers["x-request-id"])
    assert outcome["code"] in ("ok", "bad_gateway", "stream_failed")


@pytest.mark.parametrize("tokens", [[FORGED, EVENTS, " end"], list(EVENTS)], ids=["at once", "by the letter"])
def test_the_text_of_a_model_can_forge_no_line_and_no_stream_event(
    gateway: Audited, chain: Site, tokens: list[str]
):
    lines = count_lines(gateway)
    chain.model.words = tokens
    answer = gateway.ask(stream=True)
    *events, last, remainder = answer.text.split("\n\n")
    assert (last, remainder) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert all(set(event) == {"id", "object", "created", "model", "choices"} for event in chunks)
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in chunks) == "".join(tokens)
    the_journal_and_the_record_hold_one_request_more(gateway, answer, lines)


def test_records_with_forgery_attempts_are_proven(gateway: Audited, chain: Site):
    for fields in FIELDS.values():
        gateway.ask(**fields)
    time.sleep(0.2)
    gateway.seal()
    proof = gateway.audit_site.verify(records=gateway.seen_at)
    assert proof.findings == []
